"""Scripts of what processes say to each other, where the order is the point.

A script is a list of cases: commands, `----`, and what was seen since, up to an empty line. Set
UPDATE_SCRIPTS=1 to write what is seen now into the files; read the difference before you keep it.

    start NAME=VALUE...   a new cluster; names are those of Shape
    show WORD...          frame kinds (capitals) and events of logs to be shown from now on
    run MS                let virtual time pass
    kill | pause | wake | replace | stop | cut PROCESS
    expire PROCESS        its session at the state manager ends, another one is started
    command KIND          what the command line sends: activate or deactivate
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from heronshim.core.codec import data as data_codec
from heronshim.core.codec import link as link_codec
from heronshim.core.codec.master import register_from_bytes
from heronshim.core.codec.plan import physical_plan_from_bytes
from heronshim.core.master.messages import CommandKind
from heronshim.core.stream.frame import HEADER, Kind
from heronshim.wire.v1 import link_pb2
from tests.sim.cluster import Cluster
from tests.sim.ledger import Shape
from tests.sim.processes import MS, Instance, Master, Order
from tests.sim.simulation import quiet_machine

SCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))
OUTCOMES = ("ack", "fail", "reset")


class Interpreter:
    """Runs the commands of one script; every delay is the same, so that order is all there is."""

    def __init__(self) -> None:
        self._cluster = Cluster(1, Shape())
        self._lines: list[str] = []
        self._shown: set[str] = set()

    def run(self, command: str) -> None:
        """Carry out one line."""
        word, *rest = command.split()
        getattr(self, f"_{word}")(*rest)

    def take(self) -> list[str]:
        """Return and forget what was seen."""
        lines, self._lines = self._lines, []
        return lines

    def _start(self, *pairs: str) -> None:
        given = dict(pair.split("=") for pair in pairs)
        shape = Shape(**{name: type(getattr(Shape, name))(text) for name, text in given.items()})
        self._cluster.close()
        story = _Story(self)
        self._cluster = cluster = Cluster(1, shape, story)
        cluster.net.delay_ns = (100_000, 100_000)
        cluster.turn_ns = (10_000, 10_000)
        cluster.restart_ns = (100 * MS, 100 * MS)
        cluster.session_ns = (0, 0)
        cluster.net.trace = self._frame

    def _show(self, *words: str) -> None:
        self._shown = set(words)

    def _run(self, ms: str) -> None:
        with quiet_machine(self._cluster):
            self._cluster.run(self._cluster.now_ns + int(ms) * MS)

    def _kill(self, name: str) -> None:
        self._cluster.kill(self._cluster.processes[name])

    def _pause(self, name: str) -> None:
        self._cluster.processes[name].pause()

    def _wake(self, name: str) -> None:
        processes = [*self._cluster.zombies, self._cluster.processes[name]]
        next(each for each in processes if each.name == name and each.paused).resume()

    def _replace(self, name: str) -> None:
        with quiet_machine(self._cluster):
            self._cluster.replace(self._cluster.processes[name])

    def _expire(self, name: str) -> None:
        master = self._cluster.processes[name]
        assert isinstance(master, Master)
        master.manager.manager.expire_session()
        self._replace(name)

    def _stop(self, name: str) -> None:
        process = self._cluster.processes[name]
        assert isinstance(process, Instance)
        process.pause()  # from here on its own loop polls
        with quiet_machine(self._cluster):
            process.shell._end()
        process.alive = False

    def _cut(self, name: str) -> None:
        for connection in sorted(self._cluster.net.connections, key=lambda item: item.identity):
            if connection.client.process.name == name:
                connection.cut()

    def _command(self, kind: str) -> None:
        with quiet_machine(self._cluster):
            self._cluster.command([Order(CommandKind(kind), f"{kind}-1")])

    def _frame(self, source: str, target: str, frame: tuple[bytes, bytes]) -> None:
        kind = Kind(HEADER.unpack(frame[0])[1])
        if kind.name in self._shown:
            self._lines.append(f"{source} -> {target}: {kind.name}{_details(kind, *frame)}")

    def told(self, line: str) -> None:
        """A line of the story."""
        text = line.split(maxsplit=1)[1]
        if self._shown & {word.strip(":,") for word in text.split()}:
            self._lines.append(text)


class _Story(list):  # type: ignore[type-arg]
    """Hands each line on at once."""

    def __init__(self, interpreter: Interpreter) -> None:
        super().__init__()
        self._interpreter = interpreter

    def append(self, line: str) -> None:
        self._interpreter.told(line)


def _details(kind: Kind, header: bytes, payload: bytes) -> str:
    """Return what of a frame's content matters for order."""
    destination, source = HEADER.unpack(header)[4:6]
    if kind is Kind.HELLO:
        hello = link_codec.decode_hello(payload)
        return f" incarnation={hello.incarnation} attempt={hello.attempt}"
    if kind is Kind.ERROR:
        return f" {link_codec.decode_error(payload)[0].name}"
    if kind is Kind.PLAN:
        plan = physical_plan_from_bytes(payload)
        return f" epoch={plan.plan_epoch} leader={plan.leader_epoch} {plan.state}"
    if kind is Kind.DATA:
        _, rows = data_codec.decode_batch(payload)
        return f" {source}>{destination} rows={len(rows)}"
    if kind is Kind.OUTCOMES:
        outcomes = data_codec.decode_outcomes(payload)
        kinds = [OUTCOMES[number] for number in outcomes.kinds]
        return f" {source}>{destination} {' '.join(kinds) or f'acks={len(outcomes.roots) // 8}'}"
    if kind is Kind.CREDIT:
        return "".join(f" task={task}" for task, _ in link_codec.decode_credit(payload))
    if kind is Kind.CREDIT_REQUEST:
        return "".join(f" task={task}" for task, _ in link_codec.decode_credit_request(payload))
    if kind is Kind.STMGR_REGISTER:
        register = register_from_bytes(payload)
        return f" incarnation={register.incarnation} plan={register.plan_epoch}"
    if kind is Kind.LOSS_NOTICE:
        notice = link_codec.decode_loss_notice(payload)
        return f" {notice.sources}>{notice.destinations} {notice.cause}"
    if kind is Kind.BYE:
        return f" last={link_pb2.Bye.FromString(payload).last_sequence}"
    if kind is Kind.BYE_ACK:
        return f" last={link_pb2.ByeAck.FromString(payload).last_sequence}"
    return ""


def _cases(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield (commands and comments, what is expected) of each case."""
    for block in text.strip().split("\n\n"):
        head, _, expected = block.partition("\n----")
        yield head.split("\n"), expected.split("\n")[1:]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_script_is_seen_as_written(script: Path) -> None:
    interpreter = Interpreter()
    text = script.read_text("utf-8")
    seen_blocks = []
    for commands, _ in _cases(text):
        for command in commands:
            if not command.startswith("#"):
                interpreter.run(command)
        seen_blocks.append("\n".join([*commands, "----", *interpreter.take()]))
    seen = "\n\n".join(seen_blocks) + "\n"
    if os.environ.get("UPDATE_SCRIPTS"):
        script.write_text(seen, "utf-8")
    else:
        assert seen == text


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 7
