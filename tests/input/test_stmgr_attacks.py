"""What a stream manager does with everything that may come on its socket."""

from __future__ import annotations

import random
from typing import Any

import pytest

from heronshim.core.codec.link import (
    encode_bye,
    encode_credit,
    encode_credit_request,
    encode_error,
    encode_heartbeat,
    encode_hello,
    encode_loss_notice,
    encode_loss_notice_ack,
)
from heronshim.core.io.sockets import FRAME_BYTES_MAX
from heronshim.core.io.tokens import process_token
from heronshim.core.plan.topology import METRICSMGR_TASK
from heronshim.core.stream.frame import CONTROL_BYTES_MAX, METRICS_BYTES_MAX, Kind
from heronshim.core.stream.link import Bye, Role
from heronshim.core.stream.loss import LossNotice
from heronshim.errors import ErrorCode
from tests.input.peers import SECRET, TOPOLOGY_ID, Daemon, field, head, hello_of, text, varint

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("undisturbed")]
DAEMON = "stmgr"
ROGUE = "rogue-3"
NEVER_TAKEN = {
    *(Kind.HELLO, Kind.HELLO_ACK, Kind.ERROR, Kind.PLAN, Kind.LOAD_REPORT),
    *(Kind.STMGR_REGISTER, Kind.STMGR_HEARTBEAT, Kind.COMMAND, Kind.COMMAND_REPLY),
}
PAYLOADS = {
    Kind.CREDIT: encode_credit({3: 1000, 4: 1 << 40}),
    Kind.CREDIT_REQUEST: encode_credit_request({1: 1000, 2: 1 << 40}),
    Kind.HEARTBEAT: encode_heartbeat(1 << 40),
    Kind.LOSS_NOTICE: encode_loss_notice(LossNotice("n-1", (1, 2), (3,), "a gap")),
    Kind.LOSS_NOTICE_ACK: encode_loss_notice_ack("n-1"),
    Kind.ERROR: encode_error(ErrorCode.KIND, "text"),
}
"""A good payload of each kind whose payload a stream manager reads."""


def counted(daemon: Any, name: str, at_least: float) -> None:
    """Wait until the process has reported that it counted so much."""
    daemon.peers.wait(lambda: daemon.peers.sums.get(name, 0) >= at_least, f"{name} {at_least}")


def refused(stmgr: Daemon, **other: Any) -> ErrorCode:
    """Return the code that a hello of a rogue gets."""
    process = other.pop("process", ROGUE)
    stmgr.attempts += 1
    hello = hello_of(process, **{"attempt": stmgr.attempts, **other})
    code, message = stmgr.refusal(head(Kind.HELLO, 0), encode_hello(hello))
    assert message
    return code


def test_hello_cut_at_every_byte_is_refused(stmgr: Daemon) -> None:
    whole = encode_hello(hello_of(ROGUE))
    before = stmgr.peers.sums.get("refused_hello_count", 0)
    for length in range(len(whole)):
        code, message = stmgr.refusal(head(Kind.HELLO, 0), whole[:length])
        assert code in (ErrorCode.MALFORMED, ErrorCode.TOKEN, ErrorCode.VERSION,
                        ErrorCode.TOPOLOGY, ErrorCode.TASK), length  # fmt: skip
        assert message
    counted(stmgr, "refused_hello_count", before + len(whole))


def test_every_bit_of_a_hello_matters_or_is_harmless(stmgr: Daemon) -> None:
    """A flipped hello is refused, or says the same but for what is only for people."""
    whole = encode_hello(hello_of("rogue-6"))
    for at in range(len(whole)):
        wrong = whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :]
        code = stmgr.refusal_or_none(head(Kind.HELLO, 0), wrong)
        assert code is not ErrorCode.UNSPECIFIED


@pytest.mark.parametrize("kind", PAYLOADS, ids=lambda kind: kind.name)
def test_control_payload_cut_at_every_byte_is_refused_or_read(stmgr: Daemon, kind: Kind) -> None:
    whole = PAYLOADS[kind]
    for length in range(len(whole)):
        code = stmgr.attack(ROGUE, [head(kind), whole[:length]])
        assert code in (None, ErrorCode.MALFORMED, ErrorCode.KIND)


@pytest.mark.parametrize("kind", PAYLOADS, ids=lambda kind: kind.name)
def test_control_payload_of_random_bytes_is_refused_or_read(stmgr: Daemon, kind: Kind) -> None:
    rng = random.Random(kind.value)
    for _ in range(40):
        code = stmgr.attack(ROGUE, [head(kind), rng.randbytes(rng.randrange(1, 60))])
        assert code in (None, ErrorCode.MALFORMED, ErrorCode.KIND)


def test_every_kind_before_a_hello_is_refused(stmgr: Daemon) -> None:
    before = stmgr.peers.sums.get("stale_frame_count", 0)
    for kind in range(256):
        if kind != Kind.HELLO:
            assert stmgr.refusal(head(kind), b"x")[0] is ErrorCode.NO_HELLO
    counted(stmgr, "stale_frame_count", before + 255)


def test_unknown_and_foreign_kinds_end_the_link(stmgr: Daemon) -> None:
    known = {int(kind) for kind in Kind}
    for kind in (*range(0, 256, 7), 255, *NEVER_TAKEN):
        if kind not in known or kind in NEVER_TAKEN:
            code = stmgr.attack(ROGUE, [head(kind), b""])
            assert code in (ErrorCode.KIND, ErrorCode.MALFORMED), kind


@pytest.mark.parametrize("size", [*range(24), 25, 48, 1000])
def test_header_of_another_size_is_malformed(stmgr: Daemon, size: int) -> None:
    header = (head(Kind.CREDIT) * 50)[:size]
    assert stmgr.refusal(header, b"x")[0] is ErrorCode.MALFORMED
    assert stmgr.attack(ROGUE, [header, b"x"]) is ErrorCode.MALFORMED


@pytest.mark.parametrize("count", [1, 3, 4, 1000, 100_000])
def test_frame_of_another_number_of_parts_is_malformed(stmgr: Daemon, count: int) -> None:
    parts = [head(Kind.CREDIT)] + [b"x"] * (count - 1)
    assert stmgr.refusal(*parts)[0] is ErrorCode.MALFORMED
    assert stmgr.attack(ROGUE, parts) is ErrorCode.MALFORMED


@pytest.mark.parametrize("version", [0, 2, 255])
def test_future_and_past_versions_are_named(stmgr: Daemon, version: int) -> None:
    code, message = stmgr.refusal(head(Kind.HELLO, 0, version=version), b"")
    assert code is ErrorCode.VERSION
    assert f"protocol version {version} is not supported; this side speaks 1" in message
    assert stmgr.attack(ROGUE, [head(Kind.CREDIT, version=version), b""]) is ErrorCode.VERSION
    if version != 255:
        assert refused(stmgr, protocol_version=version) is ErrorCode.VERSION


def test_extremes_in_the_header_harm_nobody(stmgr: Daemon) -> None:
    before = stmgr.peers.sums.get("unknown_task_count", 0)
    extremes = (-(1 << 31), -3, -1, 0, 7, (1 << 31) - 1)
    for kind in (Kind.DATA, Kind.OUTCOMES, Kind.BARRIER):
        frames = [
            [head(kind, 0, destination, source, flags=0xFFFF), b"x"]
            for destination in extremes
            for source in (-1, 3)
        ]
        code = stmgr.attack(ROGUE, *frames)
        assert code in (None, ErrorCode.TASK)
        if code is None:
            counted(stmgr, "unknown_task_count", before + len(frames))
            before += len(frames)


@pytest.mark.parametrize("sequence", [0, 2, 1 << 40, (1 << 64) - 1])
def test_sequence_number_that_does_not_follow_ends_the_link(stmgr: Daemon, sequence: int) -> None:
    frame = [head(Kind.DATA, sequence, 3, 3), b"x"]
    assert stmgr.attack(ROGUE, frame, numbered=False) is ErrorCode.MALFORMED


# ---- who speaks ----


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"token": ""}, ErrorCode.TOKEN),
        ({"token": "0" * 64}, ErrorCode.TOKEN),
        ({"token": "\u202e" * 64}, ErrorCode.TOKEN),
        ({"token": process_token(SECRET, TOPOLOGY_ID, ROGUE, 1).upper()}, ErrorCode.TOKEN),
        ({"token": process_token(SECRET, TOPOLOGY_ID, "line-1", 1)}, ErrorCode.TOKEN),
        ({"token": process_token(SECRET, TOPOLOGY_ID, ROGUE, 2)}, ErrorCode.TOKEN),
        ({"token": process_token(SECRET, "words-2", ROGUE, 1)}, ErrorCode.TOKEN),
        ({"token": process_token(bytes(32), TOPOLOGY_ID, ROGUE, 1)}, ErrorCode.TOKEN),
        ({"topology_id": "words-2"}, ErrorCode.TOPOLOGY),
        ({"tasks": ()}, ErrorCode.TASK),
        ({"tasks": (1,)}, ErrorCode.TASK),
        ({"tasks": (3, 4)}, ErrorCode.TASK),
        ({"tasks": (3, 3)}, ErrorCode.TASK),
        ({"tasks": tuple(range(100_000))}, ErrorCode.TASK),
        ({"role": Role.METRICSMGR, "tasks": (METRICSMGR_TASK,)}, ErrorCode.TASK),
        ({"role": Role.STMGR, "tasks": ()}, ErrorCode.TASK),
        ({"role": Role.TMASTER, "tasks": ()}, ErrorCode.TASK),
        ({"role": Role.CLIENT, "tasks": ()}, ErrorCode.TASK),
        ({"process": "rogue-9"}, ErrorCode.TASK),
        ({"process": "metricsmgr-2", "role": Role.METRICSMGR, "tasks": (METRICSMGR_TASK,)},
         ErrorCode.TASK),
        ({"process": "stmgr-1-3", "role": Role.STMGR}, ErrorCode.TASK),
    ],
)  # fmt: skip
def test_who_is_not_who_it_says_is_refused(
    stmgr: Daemon, other: dict[str, Any], code: ErrorCode
) -> None:
    assert refused(stmgr, **other) is code


def test_token_is_good_for_one_attempt_and_no_older_incarnation(stmgr: Daemon) -> None:
    process = "rogue-4"
    assert stmgr.attack(process, incarnation=7) is None
    for incarnation, attempt in ((7, stmgr.attempts), (7, 0), (6, 1 << 31), (0, 1)):
        code = refused(stmgr, process=process, incarnation=incarnation, attempt=attempt)
        assert code is ErrorCode.STALE_INCARNATION
    assert stmgr.attack(process, incarnation=7) is None
    assert stmgr.attack(process, incarnation=8) is None
    code = refused(stmgr, process=process, incarnation=7)
    assert code is ErrorCode.STALE_INCARNATION


def test_token_is_spent_by_a_bye(stmgr: Daemon) -> None:
    process = "rogue-5"
    code = stmgr.attack(process, [head(Kind.BYE), encode_bye(Bye(0, 0, "done"))])
    assert code is ErrorCode.NO_HELLO
    assert refused(stmgr, process=process) is ErrorCode.STALE_INCARNATION
    assert stmgr.attack(process, incarnation=2) is None


def test_hello_on_a_link_that_has_one_ends_it(stmgr: Daemon) -> None:
    again = encode_hello(hello_of(ROGUE, attempt=stmgr.attempts + 2))
    assert stmgr.attack(ROGUE, [head(Kind.HELLO, 0), again]) is ErrorCode.KIND
    stmgr.attempts += 1


# ---- bombs ----


BOMBS = {
    "groups in groups": field(99, 3) * 50_000 + field(99, 4) * 50_000,
    "deep messages": b"\x0a" * 100_000,
    "unknown fields": text(1000, b"x" * 100) * 5000,
    "highest field": field((1 << 29) - 1, 0) + b"\1",
    "field zero": b"\0\1",
    "reserved wire type": field(1, 6) + b"\1",
    "unended group": field(1, 3) * 100,
    "endless varint": field(2, 0) + b"\xff" * 1000,
    "length beyond the end": field(1, 2) + varint((1 << 31) - 1),
    "negative length": field(1, 2) + varint((1 << 64) - 1),
    "bad UTF-8": text(4, b"\xff\xfe\x80") + text(2, b"\xed\xa0\x80") + text(1, b"\xc0\x80"),
    "packed numbers": text(1, b"\x80\x02" * 200_000) + text(2, b"\1" * 200_000),
    "packed columns": text(1, b"\1" * 500_000) + text(2, b"\1" * 500_000),
    "repeated numbers": (field(1, 0) + b"\1") * 250_000,
    "many tasks": text(5, b"\x80\x02" * 500_000),
    "long text": text(4, b"x" * 1_000_000),
    "long id": text(1, b"\xe2\x80\xae" * 300_000),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bomb_is_refused_or_read(stmgr: Daemon, bomb: str) -> None:
    payload = BOMBS[bomb]
    assert len(payload) <= CONTROL_BYTES_MAX
    code, message = stmgr.refusal(head(Kind.HELLO, 0), payload)
    assert code is not ErrorCode.UNSPECIFIED
    assert 0 < len(message) < 1000
    for kind in PAYLOADS:
        code = stmgr.attack(ROGUE, [head(kind), payload])
        assert code in (None, ErrorCode.MALFORMED, ErrorCode.KIND)


@pytest.mark.parametrize("kind", [Kind.HELLO, *PAYLOADS], ids=lambda kind: kind.name)
@pytest.mark.parametrize("size", [CONTROL_BYTES_MAX + 1, FRAME_BYTES_MAX - 1, FRAME_BYTES_MAX])
def test_control_frame_over_its_limit_is_too_large(stmgr: Daemon, kind: Kind, size: int) -> None:
    payload = bytes(size)
    if kind == Kind.HELLO:
        assert stmgr.refusal(head(kind, 0), payload)[0] is ErrorCode.TOO_LARGE
    else:
        code = stmgr.attack(ROGUE, [head(kind), payload])
        assert code in (ErrorCode.TOO_LARGE, ErrorCode.KIND)


def test_report_over_its_limit_is_dropped_and_counted(stmgr: Daemon) -> None:
    before = stmgr.peers.sums.get("metrics_dropped_count", 0)
    for size in (METRICS_BYTES_MAX + 1, FRAME_BYTES_MAX - 1):
        frame = [head(Kind.METRICS, 1, METRICSMGR_TASK, 3), bytes(size)]
        assert stmgr.attack(ROGUE, frame) is None
    counted(stmgr, "metrics_dropped_count", before + 2)


def test_frame_over_all_limits_ends_its_link(stmgr: Daemon) -> None:
    ends = stmgr.log().count("event=link_ended process=rogue-3")
    stmgr.attempts += 1
    peer = stmgr.peer()
    hello = hello_of(ROGUE, attempt=stmgr.attempts)
    peer.send_multipart([head(Kind.HELLO, 0), encode_hello(hello)])
    assert peer.recv_multipart()[0] == head(Kind.HELLO_ACK)
    peer.send_multipart([head(Kind.DATA), bytes(FRAME_BYTES_MAX + 1)])
    stmgr.peers.wait(
        lambda: stmgr.log().count("event=link_ended process=rogue-3") > ends, "the link's end"
    )
    peer.close(0)
