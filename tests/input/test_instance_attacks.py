"""What a Python instance does with a stream manager that is broken or hostile.

After each attack the instance takes part in a good exchange: on the link that it kept, or on a
new one after it ended the old.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zmq

from heronshim.core.codec import link
from heronshim.core.codec.data import decode_outcomes, encode_batch, encode_outcomes, pack_rows
from heronshim.core.codec.metrics import metrics_from_bytes
from heronshim.core.codec.plan import physical_plan_to_bytes
from heronshim.core.io.child import ChildStart
from heronshim.core.io.sockets import router
from heronshim.core.io.tokens import process_token
from heronshim.core.plan.physical import PhysicalPlan
from heronshim.core.spi.scheduler import Launch
from heronshim.core.stream.backpressure import BackPressure
from heronshim.core.stream.frame import FRAME_BYTES_MAX, HEADER, Kind, frame_cost_bytes
from heronshim.core.stream.link import Bye
from heronshim.core.stream.loss import LossNotice
from heronshim.errors import ErrorCode
from tests.input.bombs import BOMBS
from tests.input.peers import (
    DEADLINE_S,
    GROWTH_BYTES_MAX,
    SECRET,
    TOPOLOGY_ID,
    Daemon,
    head,
    packing,
    physical_plan,
    with_sequence,
)

pytestmark = pytest.mark.system
AUTHOR = """
from heronshim.api import Bolt

class Split(Bolt):
    def execute(self, tup):
        len(tup[0])
"""
TASK, SOURCE = 2, 1
NOTICE = LossNotice("n-1", (1,), (2,), "a gap")
LOG_BYTES_MAX = 1 << 20


class Stmgr:
    """A stream manager that says whatever a test wants, and the instance at its socket."""

    def __init__(self, folder: Path) -> None:
        (folder / "app.py").write_text(AUTHOR)
        secret = folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET.hex())
        launch = Launch(
            "words", TOPOLOGY_ID, str(folder), str(folder), str(secret), sys.executable, "file"
        )
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = router(self.context)
        self.socket.bind(f"ipc://{folder}/s")
        start = ChildStart(
            launch, 1, "split-2", 1, process_token(SECRET, TOPOLOGY_ID, "split-2", 1),
            f"ipc://{folder}/s", packing().containers[0], "split", str(folder),
        )  # fmt: skip
        self.instance = Daemon(folder, [sys.executable, "-m", "heronshim.instance.main"], start)
        self.plan = physical_plan(f"ipc://{folder}/s")
        self.plan_bytes = physical_plan_to_bytes(self.plan)
        self.peer = b""
        """The newest connection that said hello."""
        self.hellos = 0
        self.greeting: list[list[bytes]] = [[head(Kind.HELLO_ACK), b""]]
        """How a hello is answered."""
        self.credit = 0
        """Granted on the newest link and not spent, but for what attacks spend."""
        self.sums: dict[str, float] = {}
        self._sequence = 0
        self._roots: set[bytes] = set()
        self._root = 0

    def send(self, *frames: list[bytes], numbered: bool = True) -> None:
        """Send frames on the newest link; nothing if it is gone."""
        for parts in frames:
            self._sequence += 1
            whole = with_sequence(parts, self._sequence) if numbered else parts
            try:
                self.socket.send_multipart([self.peer, *whole])
            except zmq.ZMQError:
                return

    def wait(self, done: Callable[[], Any], what: str) -> None:
        """Take the instance's frames until something is so."""
        end = time.monotonic() + DEADLINE_S
        while not done():
            assert time.monotonic() < end, f"waited for {what}: {self.instance.log()[-3000:]}"
            assert self.instance.process.poll() is None, self.instance.log()[-5000:]
            while self.socket.poll(10):
                self._take(*self.socket.recv_multipart())

    def exchange(self) -> None:
        """Show that the instance is well: it executes a batch and acks it."""
        self._root += 1
        root = self._root.to_bytes(8, "little")
        batch = encode_batch("line", "default", 1, pack_rows([["a word"]]), (), root, root)
        asked_on = sent_on = -1
        end = time.monotonic() + DEADLINE_S

        def settled() -> bool:
            nonlocal asked_on, sent_on
            if self.hellos != asked_on:
                asked_on = self.hellos
                self.send([head(Kind.PLAN), self.plan_bytes], self._request(4096))
            if self.credit >= 1024 and sent_on != self.hellos:
                sent_on = self.hellos
                self.credit -= frame_cost_bytes(len(batch))
                self.send([head(Kind.DATA, 0, TASK, SOURCE), batch])
            assert time.monotonic() < end, self.instance.log()[-3000:]
            return root in self._roots

        self.wait(settled, "an ack")

    def reported(self, name: str) -> float:
        return self.sums.get(name, 0.0)

    def close(self) -> None:
        self.instance.process.kill()
        self.instance.process.wait()
        self.instance.context.destroy(linger=0)
        self.context.destroy(linger=0)

    def _request(self, need_bytes: int) -> list[bytes]:
        return [head(Kind.CREDIT_REQUEST), link.encode_credit_request({TASK: need_bytes})]

    def _take(self, peer: bytes, header: bytes, payload: bytes) -> None:
        kind = HEADER.unpack(header)[1]
        if kind == Kind.HELLO:
            self.peer, self._sequence, self.credit = peer, 0, 0
            self.hellos += 1
            self.send(*self.greeting)
        elif peer == self.peer and kind == Kind.CREDIT:
            self.credit += dict(link.decode_credit(payload)).get(TASK, 0)
        elif kind == Kind.OUTCOMES:
            roots = decode_outcomes(payload).roots
            self._roots |= {roots[at : at + 8] for at in range(0, len(roots), 8)}
        elif kind == Kind.METRICS:
            for name, value in metrics_from_bytes(payload, "words").sums.items():
                self.sums[name] = self.sums.get(name, 0.0) + value


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stmgr]:
    made = Stmgr(tmp_path_factory.mktemp("in"))
    yield made
    made.close()


@pytest.fixture
def stmgr(shared: Stmgr) -> Iterator[Stmgr]:
    """After a test the instance is well, has not grown, and its log is short and clear."""
    shared.exchange()
    shared.instance.reset_peak()
    base_bytes, log_bytes = shared.instance.peak_bytes(), len(shared.instance.log())
    yield shared
    shared.greeting = [[head(Kind.HELLO_ACK), b""]]
    shared.exchange()
    growth = shared.instance.peak_bytes() - base_bytes
    assert growth <= GROWTH_BYTES_MAX, f"the instance grew by {growth >> 20} MB"
    log = shared.instance.log()
    assert "Traceback" not in log
    assert len(log) - log_bytes <= LOG_BYTES_MAX


PAYLOADS = {
    Kind.PLAN: lambda stmgr: stmgr.plan_bytes,
    Kind.OUTCOMES: lambda _: encode_outcomes(b"", b"\1" * 16, b"\2" * 16, distinct=True),
    Kind.CREDIT: lambda _: link.encode_credit({1: 1000, 2: 1 << 40}),
    Kind.CREDIT_REQUEST: lambda _: link.encode_credit_request({2: 1000}),
    Kind.HEARTBEAT: lambda _: link.encode_heartbeat(1 << 40),
    Kind.BYE: lambda _: link.encode_bye(Bye(1 << 40, 1 << 40, "for no reason")),
    Kind.BYE_ACK: lambda _: link.encode_bye_ack(1 << 40),
    Kind.LOSS_NOTICE: lambda _: link.encode_loss_notice(NOTICE),
    Kind.LOSS_NOTICE_ACK: lambda _: link.encode_loss_notice_ack("n-1"),
    Kind.BACK_PRESSURE: lambda _: link.encode_back_pressure(BackPressure(1, True, 100)),
    Kind.ERROR: lambda _: link.encode_error(ErrorCode.INTERNAL, "for no reason"),
}
"""A good payload of each kind that a stream manager sends."""


@pytest.mark.parametrize("kind", PAYLOADS, ids=lambda kind: kind.name)
def test_payload_cut_flipped_or_random_harms_nobody(stmgr: Stmgr, kind: Kind) -> None:
    """Few of each, since a link that ended comes back after up to a second: tests/fuzz has many."""
    whole = PAYLOADS[kind](stmgr)
    rng = random.Random(kind.value)
    at = rng.randrange(len(whole))
    flipped = whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :]
    for payload in (whole[: len(whole) // 2], flipped, rng.randbytes(40)):
        stmgr.send([head(kind), payload])
        stmgr.exchange()


@pytest.mark.parametrize(
    "parts",
    [
        [b""],
        [head(Kind.DATA)],
        [head(Kind.DATA), b"x", b"y"],
        [head(Kind.CREDIT), *[b"x"] * 5000],
        [b"x" * 23, b""],
        [b"x" * 25, b""],
        [head(Kind.PLAN, version=2), b""],
        [head(Kind.PLAN, version=0), b""],
        [head(Kind.DATA), bytes(FRAME_BYTES_MAX + 1)],
    ],
    ids=lambda parts: f"{len(parts)} parts of {len(parts[0])} and {len(parts[-1])} bytes",
)
def test_frame_that_is_none_ends_the_link(stmgr: Stmgr, parts: list[bytes]) -> None:
    before = stmgr.hellos
    stmgr.send(parts)
    stmgr.wait(lambda: stmgr.hellos > before, "another hello")


@pytest.mark.parametrize("sequence", [0, 1, 1 << 40, (1 << 64) - 1])
def test_sequence_number_that_does_not_follow_ends_the_link(stmgr: Stmgr, sequence: int) -> None:
    before = stmgr.hellos
    stmgr.send([head(Kind.CREDIT, sequence), b""], numbered=False)
    stmgr.wait(lambda: stmgr.hellos > before, "another hello")


@pytest.mark.parametrize("kind", [0, 1, 2, 14, 15, 16, 18, 32, 33, 34, 35, 99, 255])
def test_kind_that_no_stream_manager_sends_ends_the_link(stmgr: Stmgr, kind: int) -> None:
    before = stmgr.hellos
    stmgr.send([head(kind), b""])
    stmgr.wait(lambda: stmgr.hellos > before, "another hello")


@pytest.mark.parametrize(
    "greeting",
    [
        [],
        [[b"x", b"y"]],
        [[head(Kind.PLAN), b""]],
        [[head(Kind.HELLO), b""]],
        [[head(Kind.DATA, 1, TASK, SOURCE), b"x"]],
        [[head(Kind.BYE), b""]],
        [[head(Kind.ERROR), b"\xff"]],
        [[head(Kind.ERROR), link.encode_error(ErrorCode.TOKEN, "no \x1b[31m\n" * 50)]],
        [[head(Kind.HELLO_ACK), b"\xff"], [head(Kind.HELLO_ACK), b"\xff"]],
        [[head(Kind.HELLO_ACK, version=9), b""]],
    ],
)
def test_hello_that_is_answered_badly_is_said_again(
    stmgr: Stmgr, greeting: list[list[bytes]]
) -> None:
    stmgr.greeting = greeting
    before = stmgr.hellos
    stmgr.send([head(Kind.LOAD_REPORT), b""])
    stmgr.wait(lambda: stmgr.hellos > before + 2, "a few hellos")
    assert "\x1b" not in stmgr.instance.log()


@pytest.mark.parametrize(("bomb", "kind"), [*zip(BOMBS, [*PAYLOADS] * 2, strict=False)])
def test_bomb_harms_nobody(stmgr: Stmgr, bomb: str, kind: Kind) -> None:
    stmgr.send([head(kind), BOMBS[bomb]])


def changed_plan(stmgr: Stmgr, **changes: Any) -> bytes:
    plan = stmgr.plan
    values = {
        "plan_epoch": 2, "leader_epoch": 1, "topology": plan.topology,
        "containers": plan.containers, "state": plan.state, **changes,
    }  # fmt: skip
    return physical_plan_to_bytes(PhysicalPlan(**values))


@pytest.mark.parametrize("wrong", ["no containers", "another process", "an unknown option"])
def test_plan_that_cannot_be_meant_ends_the_link(stmgr: Stmgr, wrong: str) -> None:
    if wrong == "no containers":
        payload = changed_plan(stmgr, containers=())
    elif wrong == "another process":
        payload = physical_plan_to_bytes(stmgr.plan).replace(b"split-2", b"spl1t-2")
    else:
        topology = replace(stmgr.plan.topology, options={"of_the_future": 1})
        payload = changed_plan(stmgr, topology=topology)
    before, at = stmgr.hellos, len(stmgr.instance.log())
    stmgr.send([head(Kind.PLAN), payload])
    stmgr.wait(lambda: stmgr.hellos > before, "another hello")
    assert "PhysicalPlan" in stmgr.instance.log()[at:]


# ---- tuples ----


def batch(rows: bytes, count: int = 1, **other: Any) -> bytes:
    values = {"component": "line", "stream": "default", "root_counts": ()}
    values |= {"roots": b"", "edges": b"", **other}
    return encode_batch(row_count=count, rows=rows, **values)


DATA = {
    "no batch": b"\xff" * 50,
    "nothing": b"",
    "no rows": batch(b"\x90", 0),
    "rows that are none": batch(b"\x01"),
    "rows of numbers": batch(b"\x91\x01"),
    "rows cut": batch(b"\x91\x91"),
    "rows with a rest": batch(b"\x91\x91\x01\x01"),
    "another count": batch(b"\x91\x91\xa1a", 7),
    "an array of 4 billion": batch(b"\xdd\xff\xff\xff\xff"),
    "a row of 4 billion": batch(b"\x91\xdd\xff\xff\xff\xff"),
    "a text of 4 GB": batch(b"\x91\x91\xdb\xff\xff\xff\xff"),
    "a map of 4 billion": batch(b"\x91\x91\xdf\xff\xff\xff\xff"),
    "an extension of 4 GB": batch(b"\x91\x91\xc9\xff\xff\xff\xff\x01"),
    "bad UTF-8": batch(b"\x91\x91\xa2\xff\xfe"),
    "the byte that means nothing": batch(b"\x91\x91\xc1"),
    "nested lists": batch(b"\x91\x91" + b"\x91" * 20_000 + b"\x01"),
    "nested maps": batch(b"\x91\x91" + b"\x81\x01" * 10_000 + b"\x01"),
    "half a root": batch(b"\x91\x91\xa1a", roots=b"\1" * 4, edges=b"\1" * 4),
    "roots without edges": batch(b"\x91\x91\xa1a", roots=b"\1" * 8),
    "counts without roots": batch(b"\x91\x91\xa1a", root_counts=(1,)),
    "counts of billions": batch(b"\x91\x91\xa1a", root_counts=((1 << 32) - 1,)),
}


@pytest.mark.parametrize("name", DATA)
def test_batch_that_cannot_be_read_is_dropped_and_its_link_stays(stmgr: Stmgr, name: str) -> None:
    """Another instance wrote it: the stream manager is not to blame."""
    before, bad = stmgr.hellos, stmgr.reported("bad_frame_count")
    stmgr.send([head(Kind.DATA, 0, TASK, SOURCE), DATA[name]])
    stmgr.wait(lambda: stmgr.reported("bad_frame_count") > bad, "the count")
    stmgr.exchange()
    assert stmgr.hellos == before


@pytest.mark.parametrize(
    ("component", "stream", "source", "row"),
    [
        ("", "", 0, []),
        ("nobody", "default", 1, ["a"]),
        ("line", "nothing", 1, ["a"]),
        ("line", "default", 999, ["a"]),
        ("line", "default", -5, ["a", "b", "c"]),
        ("line", "default", 1, [{}]),
        ("line\x1b[31m", "default", 1, [None]),
    ],
)
def test_tuples_of_nobody_known_harm_nobody(
    stmgr: Stmgr, component: str, stream: str, source: int, row: list[Any]
) -> None:
    payload = batch(pack_rows([row]), component=component, stream=stream)
    stmgr.send([head(Kind.DATA, 0, TASK, source), payload])


@pytest.mark.parametrize("destination", [-(1 << 31), -1, 0, 1, 3, (1 << 31) - 1])
def test_data_and_credit_for_tasks_of_others_end_the_link(stmgr: Stmgr, destination: int) -> None:
    good = batch(pack_rows([["a"]]))
    request = link.encode_credit_request({destination: 1024})
    for frame in (
        [head(Kind.DATA, 0, destination, SOURCE), good],
        [head(Kind.CREDIT_REQUEST), request],
    ):
        before = stmgr.hellos
        stmgr.send(frame)
        stmgr.wait(lambda before=before: stmgr.hellos > before, "another hello")


def test_data_without_credit_ends_the_link_and_is_not_kept(stmgr: Stmgr) -> None:
    at = len(stmgr.instance.log())
    large = batch(pack_rows([["x" * (8 << 20)]]))
    for _ in range(8):
        before = stmgr.hellos
        stmgr.send(*[[head(Kind.DATA, 0, TASK, SOURCE), large]] * 20)
        stmgr.wait(lambda before=before: stmgr.hellos > before, "another hello")
    assert "of credit" in stmgr.instance.log()[at:]


def test_credit_that_no_frame_needs_ends_the_link(stmgr: Stmgr) -> None:
    for payload in (
        link.encode_credit_request({TASK: FRAME_BYTES_MAX + 1}),
        link.encode_credit_request({TASK: (1 << 63) - 1}),
    ):
        before = stmgr.hellos
        stmgr.send([head(Kind.CREDIT_REQUEST), payload])
        stmgr.wait(lambda before=before: stmgr.hellos > before, "another hello")
    before = stmgr.hellos
    stmgr.send(*[[head(Kind.CREDIT), link.encode_credit({1: 1 << 26})]] * 3)
    stmgr.wait(lambda: stmgr.hellos > before, "another hello")


def test_floods_of_control_frames_are_not_kept(stmgr: Stmgr) -> None:
    every = range(7, 60_007)
    for part in range(20):
        tasks = {part * 100_000 + task: 1 << 20 for task in every}
        stmgr.send([head(Kind.CREDIT), link.encode_credit(tasks)])
        for number in range(500):
            said = BackPressure(part * 1000 + number + 1, True, 0)
            stmgr.send([head(Kind.BACK_PRESSURE), link.encode_back_pressure(said)])
            notice = LossNotice(f"{part}/{number}", (1,), (2,), "x" * 1000)
            stmgr.send([head(Kind.LOSS_NOTICE), link.encode_loss_notice(notice)])
        stmgr.exchange()


def test_an_instance_that_is_told_it_was_replaced_ends_and_says_so(tmp_path: Path) -> None:
    made = Stmgr(tmp_path)
    try:
        payload = link.encode_error(ErrorCode.STALE_INCARNATION, "replaced")
        made.greeting = [[head(Kind.ERROR), payload]]
        end = time.monotonic() + DEADLINE_S
        while made.instance.process.poll() is None:
            assert time.monotonic() < end
            while made.socket.poll(10):
                made._take(*made.socket.recv_multipart())
        assert made.instance.process.wait() == 0
        assert "cause=replaced" in made.instance.log()
    finally:
        made.close()


@pytest.mark.parametrize("line", [b"", b"{}", b"[" * 100_000, b'{"launch": 1}', b"\xff" * 100])
def test_start_line_that_is_none_ends_an_instance_with_a_clear_error(line: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "heronshim.instance.main"],
        input=line + b"\n",
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 1
    assert b"event=bad_start" in done.stderr
    assert b"start line" in done.stderr
    assert b"Traceback" not in done.stderr
