"""What a stream manager does with everything that may come on its socket."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from heronshim.core.codec.link import (
    decode_hello,
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
from heronshim.core.stream.link import Role
from heronshim.core.stream.loss import LossNotice
from heronshim.errors import ErrorCode
from tests.input.bombs import BOMBS
from tests.input.peers import SECRET, TOPOLOGY_ID, Daemon, head, hello_of

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


def test_every_bit_of_a_hello_matters_or_is_harmless(stmgr: Daemon) -> None:
    """A flipped hello is refused, or says the same but for what is only for people."""
    attempt, taken = 1, 0
    for at in range(len(encode_hello(hello_of("rogue-6")))):
        good = hello_of("rogue-6", attempt=attempt)
        whole = encode_hello(good)
        wrong = whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :]
        code = stmgr.refusal_or_none(head(Kind.HELLO, 0), wrong)
        assert code is not ErrorCode.UNSPECIFIED
        if code is None:
            said = decode_hello(wrong)
            taken, attempt = taken + 1, max(attempt, said.attempt) + 1
            assert replace(said, attempt=0, pid=0) == replace(good, attempt=0, pid=0)
    assert taken


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


def test_unknown_and_foreign_kinds_end_the_link(stmgr: Daemon) -> None:
    known = {int(kind) for kind in Kind}
    for kind in (*range(0, 256, 7), 255, *NEVER_TAKEN):
        if kind not in known or kind in NEVER_TAKEN:
            code = stmgr.attack(ROGUE, [head(kind), b""])
            assert code in (ErrorCode.KIND, ErrorCode.MALFORMED), kind


def test_extremes_in_the_header_harm_nobody(stmgr: Daemon) -> None:
    before = stmgr.peers.sums.get("unknown_task_count", 0)
    extremes = (-(1 << 31), -3, -1, 0, 7, (1 << 31) - 1)
    for kind in (Kind.DATA, Kind.OUTCOMES, Kind.BARRIER):
        foreign = [head(kind, 0, 7, -1, flags=0xFFFF), b"x"]
        assert stmgr.attack(ROGUE, foreign) is ErrorCode.TASK
        frames = [[head(kind, 0, where, 3, flags=0xFFFF), b"x"] for where in extremes]
        assert stmgr.attack(ROGUE, *frames) is None
        before += len(frames)
        stmgr.counted("unknown_task_count", before)


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
    assert stmgr.refused(**other) is code


# ---- bombs ----


@pytest.mark.parametrize("bomb", BOMBS)
def test_bomb_is_refused_or_read(stmgr: Daemon, bomb: str) -> None:
    payload = BOMBS[bomb]
    for kind in PAYLOADS:
        code = stmgr.attack(ROGUE, [head(kind), payload])
        assert code in (None, ErrorCode.MALFORMED, ErrorCode.KIND)


@pytest.mark.parametrize("kind", PAYLOADS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("size", [CONTROL_BYTES_MAX + 1, FRAME_BYTES_MAX - 1, FRAME_BYTES_MAX])
def test_control_frame_over_its_limit_is_too_large(stmgr: Daemon, kind: Kind, size: int) -> None:
    code = stmgr.attack(ROGUE, [head(kind), bytes(size)])
    assert code in (ErrorCode.TOO_LARGE, ErrorCode.KIND)


def test_report_over_its_limit_is_dropped_and_counted(stmgr: Daemon) -> None:
    before = stmgr.peers.sums.get("metrics_dropped_count", 0)
    for size in (METRICS_BYTES_MAX + 1, FRAME_BYTES_MAX - 1):
        frame = [head(Kind.METRICS, 1, METRICSMGR_TASK, 3), bytes(size)]
        assert stmgr.attack(ROGUE, frame) is None
    stmgr.counted("metrics_dropped_count", before + 2)
