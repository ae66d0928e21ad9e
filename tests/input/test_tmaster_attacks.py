"""What a TMaster does with everything that may come on its socket."""

from __future__ import annotations

import random
from typing import Any

import pytest
import zmq

from heronshim.core.codec.link import encode_hello
from heronshim.core.codec.master import (
    command_to_bytes,
    heartbeat_to_bytes,
    register_to_bytes,
    reply_from_bytes,
)
from heronshim.core.codec.metrics import metrics_to_bytes
from heronshim.core.io.tokens import process_token
from heronshim.core.master.messages import (
    Command,
    CommandKind,
    CommandReply,
    StmgrHeartbeat,
    StmgrRegister,
)
from heronshim.core.plan.topology import METRICSMGR_TASK
from heronshim.core.spi.events import EventRecord
from heronshim.core.spi.metrics_sink import ErrorRecord, MetricsRecord, TaskRecord
from heronshim.core.stream.frame import CONTROL_BYTES_MAX, HEADER, METRICS_BYTES_MAX, Kind
from heronshim.core.stream.link import Role
from heronshim.errors import ErrorCode
from tests.input.bombs import BOMBS
from tests.input.peers import (
    SECRET,
    TOPOLOGY_ID,
    Daemon,
    field,
    head,
    hello_of,
    text,
    varint,
)

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("undisturbed")]
DAEMON = "tmaster"
STMGR, CLIENT, SINK = "stmgr-3", "client-0000000a", "tmaster-sink-3"


def report(**changes: Any) -> bytes:
    """Return a metrics report of some process."""
    values = {"topology": "words", "process": "x-1", "container": 1, "time_ms": 1}
    return metrics_to_bytes(
        MetricsRecord(**{**values, "interval_ms": 1000, "incarnation": 1, "pid": 1, **changes})
    )


PAYLOADS = {
    Kind.STMGR_REGISTER: (STMGR, register_to_bytes(StmgrRegister(3, "here", "ipc://x", 1, 1))),
    Kind.STMGR_HEARTBEAT: (STMGR, heartbeat_to_bytes(StmgrHeartbeat(3, 1, (1, 2), (2,), ("a",)))),
    Kind.COMMAND: (CLIENT, command_to_bytes(Command("a", CommandKind.ERRORS, 3, "split", 7))),
    Kind.METRICS: (
        SINK,
        report(
            sums={"a": 1.0},
            gauges={"b": 2.0},
            tasks=(TaskRecord(1, "line", {"c": 1.0}),),
            errors=(ErrorRecord(1, 1, "line", "no", "trace", 1, "f"),),
            events=(EventRecord("e", 1, "process_died"),),
        ),
    ),
}
"""Who sends each kind that a TMaster takes, and a good payload."""
REFUSALS = (ErrorCode.MALFORMED, ErrorCode.REFUSED, ErrorCode.NOT_FOUND, ErrorCode.TASK)


@pytest.mark.parametrize("kind", PAYLOADS, ids=lambda kind: kind.name)
def test_payload_cut_at_every_byte_is_refused_or_read(tmaster: Daemon, kind: Kind) -> None:
    process, whole = PAYLOADS[kind]
    for length in range(len(whole)):
        code = tmaster.attack(process, [head(kind), whole[:length]])
        assert code in (None, *REFUSALS), length


@pytest.mark.parametrize("kind", PAYLOADS, ids=lambda kind: kind.name)
def test_payload_of_flipped_or_random_bytes_is_refused_or_read(tmaster: Daemon, kind: Kind) -> None:
    process, whole = PAYLOADS[kind]
    rng = random.Random(kind.value)
    for _ in range(60):
        at = rng.randrange(len(whole))
        flipped = whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :]
        for payload in (flipped, rng.randbytes(rng.randrange(1, 60))):
            code = tmaster.attack(process, [head(kind), payload])
            assert code in (None, *REFUSALS), payload.hex()


def test_each_role_sends_its_own_kinds_only(tmaster: Daemon) -> None:
    for process in (STMGR, CLIENT, SINK):
        allowed = {kind for kind, (sender, _) in PAYLOADS.items() if sender == process}
        for kind in (*Kind, 0, 99, 255):
            if kind in allowed or kind in (Kind.HEARTBEAT, Kind.BYE, Kind.BYE_ACK):
                continue
            code = tmaster.attack(process, [head(kind), b""])
            assert code is ErrorCode.KIND, (process, kind)


@pytest.mark.parametrize("bomb", BOMBS)
def test_bomb_is_refused_or_read(tmaster: Daemon, bomb: str) -> None:
    for kind, (process, _) in PAYLOADS.items():
        code = tmaster.attack(process, [head(kind), BOMBS[bomb]])
        assert code in (None, *REFUSALS)


@pytest.mark.parametrize("kind", PAYLOADS, ids=lambda kind: kind.name)
def test_frame_over_its_limit_is_too_large(tmaster: Daemon, kind: Kind) -> None:
    size = METRICS_BYTES_MAX if kind is Kind.METRICS else CONTROL_BYTES_MAX
    code = tmaster.attack(PAYLOADS[kind][0], [head(kind), bytes(size + 1)])
    assert code is ErrorCode.TOO_LARGE


@pytest.mark.parametrize("sequence", [0, 2, 1 << 40, (1 << 64) - 1])
def test_sequence_number_that_does_not_follow_ends_the_link(tmaster: Daemon, sequence: int) -> None:
    frame = [head(Kind.METRICS, sequence), report()]
    assert tmaster.attack(SINK, frame, numbered=False) is ErrorCode.MALFORMED


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"token": ""}, ErrorCode.TOKEN),
        ({"token": "0" * 64}, ErrorCode.TOKEN),
        ({"token": process_token(SECRET, TOPOLOGY_ID, "stmgr-1", 1)}, ErrorCode.TOKEN),
        ({"token": process_token(SECRET, TOPOLOGY_ID, STMGR, 2)}, ErrorCode.TOKEN),
        ({"token": process_token(bytes(32), TOPOLOGY_ID, STMGR, 1)}, ErrorCode.TOKEN),
        ({"topology_id": "words-2"}, ErrorCode.TOPOLOGY),
        ({"tasks": (1,)}, ErrorCode.TASK),
        ({"tasks": (METRICSMGR_TASK,)}, ErrorCode.TASK),
        ({"role": Role.INSTANCE, "tasks": (3,)}, ErrorCode.TASK),
        ({"role": Role.TMASTER}, ErrorCode.TASK),
        ({"role": Role.CLIENT}, ErrorCode.TASK),
        ({"role": Role.METRICSMGR, "tasks": (METRICSMGR_TASK,)}, ErrorCode.TASK),
        ({"process": "stmgr-0"}, ErrorCode.TASK),
        ({"process": "stmgr-99999999999", "container": 3}, ErrorCode.TASK),
        ({"process": "client-0000000G"}, ErrorCode.TASK),
        ({"process": "client-00000000 "}, ErrorCode.TASK),
        ({"process": "tmaster", "role": Role.STMGR}, ErrorCode.TASK),
    ],
)
def test_who_is_not_who_it_says_is_refused(
    tmaster: Daemon, other: dict[str, Any], code: ErrorCode
) -> None:
    assert tmaster.refused(**other) is code


@pytest.mark.parametrize(
    ("process", "changes", "code"),
    [
        (STMGR, {}, ErrorCode.NOT_FOUND),
        (STMGR, {"container": 1}, ErrorCode.TASK),
        (STMGR, {"container": 0}, ErrorCode.MALFORMED),
        (STMGR, {"incarnation": 2}, ErrorCode.MALFORMED),
        (STMGR, {"peer_endpoint": ""}, ErrorCode.MALFORMED),
        (STMGR, {"container": (1 << 31) - 1}, ErrorCode.TASK),
    ],
)
def test_registration_that_does_not_fit_is_refused(
    tmaster: Daemon, process: str, changes: dict[str, Any], code: ErrorCode
) -> None:
    values = {"container": 3, "host": "here", "peer_endpoint": "ipc://x", "pid": 1}
    register = StmgrRegister(**{**values, "incarnation": 1, **changes})
    frame = [head(Kind.STMGR_REGISTER), register_to_bytes(register)]
    assert tmaster.attack(process, frame, probed=False) is code


def test_heartbeat_before_registration_is_refused(tmaster: Daemon) -> None:
    for container in (1, 3):
        beat = heartbeat_to_bytes(StmgrHeartbeat(container, 1))
        frame = [head(Kind.STMGR_HEARTBEAT), beat]
        assert tmaster.attack(STMGR, frame, probed=False) is ErrorCode.REFUSED


# ---- commands ----


def raw_command(id_: bytes, kind: int, container: int = 0, since: bytes = b"") -> bytes:
    """Return a command with whatever in its fields."""
    whole = text(1, id_) + field(2, 0) + varint(kind) + field(3, 0) + varint(container)
    return whole + since


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", ErrorCode.MALFORMED),
        (raw_command(b"", 4), ErrorCode.MALFORMED),
        (raw_command(b"a", 0), ErrorCode.MALFORMED),
        (raw_command(b"a", 99), ErrorCode.MALFORMED),
        (raw_command(b"a", (1 << 64) - 1), ErrorCode.MALFORMED),
        (raw_command(b"a" * 201, 4), ErrorCode.MALFORMED),
        (raw_command(b"a" * (1 << 19), 4), ErrorCode.MALFORMED),
        (raw_command(b"\xff\xfe", 4), ErrorCode.MALFORMED),
    ],
)
def test_command_that_cannot_be_read_is_refused(
    tmaster: Daemon, payload: bytes, code: ErrorCode
) -> None:
    assert tmaster.attack(CLIENT, [head(Kind.COMMAND), payload]) is code


def answers(tmaster: Daemon, *payloads: bytes) -> list[CommandReply]:
    """Return what a client is told to these commands."""
    tmaster.attempts += 1
    peer = tmaster.peer()
    try:
        good = hello_of(CLIENT, attempt=tmaster.attempts)
        peer.send_multipart([head(Kind.HELLO, 0), encode_hello(good)])
        assert HEADER.unpack(peer.recv_multipart()[0])[1] == Kind.HELLO_ACK
        for sequence, payload in enumerate(payloads, 1):
            peer.send_multipart([head(Kind.COMMAND, sequence), payload])
        found: list[CommandReply] = []
        while len(found) < len(payloads):
            found += replies(peer)
        return found
    finally:
        peer.close(0)


def replies(peer: zmq.Socket[bytes]) -> list[CommandReply]:
    """Return the reply in the next frame, if it is one."""
    header, payload = peer.recv_multipart()
    kind = HEADER.unpack(header)[1]
    assert kind != Kind.ERROR
    return [reply_from_bytes(payload, "words")] if kind == Kind.COMMAND_REPLY else []


def test_commands_with_extremes_are_answered(tmaster: Daemon) -> None:
    huge = field(5, 0) + varint((1 << 63) - 1)
    negative = field(5, 0) + varint((1 << 64) - 1)
    texts = (b"", b"\0", b"../../etc/passwd", "\u202e".encode() * 1000, b"x" * 100_000)
    payloads = [raw_command(b"m%d" % kind, kind, 0, huge) for kind in (5, 6, 7)]
    payloads += [raw_command(b"n%d" % kind, kind, 0, negative) for kind in (5, 6, 7)]
    payloads += [raw_command(b"t%d" % n, 5, 0, text(4, each)) for n, each in enumerate(texts)]
    assert all(reply.ok for reply in answers(tmaster, *payloads))
    for container in (7, (1 << 31) - 1, (1 << 64) - 5):
        (reply,) = answers(tmaster, raw_command(b"r%d" % container, 3, container))
        assert not reply.ok
        assert (reply.code, str(1)) == (ErrorCode.NOT_FOUND, reply.message[-1])


def test_flood_of_commands_is_answered_and_forgotten(tmaster: Daemon) -> None:
    ids = [b"%0199d" % number for number in range(3000)]
    found = answers(tmaster, *(raw_command(id_, 4) for id_ in ids))
    assert [reply.request_id.encode() for reply in found] == ids


# ---- what authenticated peers report ----


def test_reports_of_ever_new_processes_tasks_names_and_causes_are_bounded(tmaster: Daemon) -> None:
    before = tmaster.peers.sums.get("metrics_dropped_count", 0)
    frames = []
    for number in range(30):
        some = range(number * 1000, (number + 1) * 1000)
        tasks = tuple(TaskRecord(task + 1, f"c{task}", {"a": 1.0}) for task in some)
        errors = tuple(ErrorRecord(1, 1, "c", "m" * 500, "d", 1, f"{one}") for one in some)
        events = tuple(EventRecord(f"e{one}", one, "k" * 50, cause="c" * 500) for one in some)
        names = {f"name{one}": 1.0 for one in some}
        payload = report(process=f"p-{number}", tasks=tasks, sums=names, gauges=names)
        frames.append([head(Kind.METRICS), payload])
        frames.append([head(Kind.METRICS), report(errors=errors, events=events)])
    assert tmaster.attack(SINK, *frames) is None
    tmaster.counted("metrics_dropped_count", before + 1)


def test_names_of_any_length_are_bounded(tmaster: Daemon) -> None:
    """A name is kept as long as the TMaster lives."""
    frames = [[head(Kind.METRICS), report(sums={f"{n}" * 501: 1.0})] for n in range(20)]
    assert tmaster.attack(SINK, *frames) is ErrorCode.MALFORMED
    frames = [[head(Kind.METRICS), report(process=f"{n}" * 201)] for n in range(20)]
    assert tmaster.attack(SINK, *frames) is ErrorCode.MALFORMED
