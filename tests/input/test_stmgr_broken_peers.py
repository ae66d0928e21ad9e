"""What a stream manager does with peers that may speak and break the rules of credit and tasks."""

from __future__ import annotations

import pytest

from heronshim.core.codec.link import (
    encode_back_pressure,
    encode_credit,
    encode_credit_request,
    encode_loss_notice,
)
from heronshim.core.daemons.stmgr import FRAMES_PER_TURN
from heronshim.core.daemons.stmgr_admission import sources_of
from heronshim.core.plan.topology import METRICSMGR_TASK
from heronshim.core.stream.backpressure import BackPressure
from heronshim.core.stream.frame import FRAME_BYTES_MAX, Kind
from heronshim.core.stream.loss import LossNotice
from heronshim.errors import ErrorCode
from tests.input.peers import Daemon, head, hello_of

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("undisturbed")]
DAEMON = "stmgr"
ROGUE = "rogue-3"
OWN, OTHER, ABSENT = 3, 2, 4
"""The rogue's task, one of a process that works well, and one of a process that is not there."""


def data(destination: int, source: int = OWN, size: int = 1000) -> list[bytes]:
    return [head(Kind.DATA, 0, destination, source), bytes(size)]


@pytest.mark.parametrize(("size", "count"), [(0, 2000), (1000, 2000), (1 << 20, 2)])
def test_data_without_credit_ends_the_link(stmgr: Daemon, size: int, count: int) -> None:
    before = stmgr.peers.sums.get("bad_frame_count", 0)
    for _ in range(5):
        assert stmgr.attack(ROGUE, *[data(ABSENT, size=size)] * count) is ErrorCode.CREDIT
    stmgr.counted("bad_frame_count", before + 5)
    assert "of credit" in stmgr.log()


def test_what_was_sent_without_credit_is_not_kept(stmgr: Daemon) -> None:
    """Half a gigabyte for a task that is not there: `undisturbed` looks at the memory."""
    for _ in range(32):
        frames = [data(ABSENT, size=16 << 20)]
        assert stmgr.attack(ROGUE, *frames) is ErrorCode.CREDIT


@pytest.mark.parametrize("need_bytes", [FRAME_BYTES_MAX + 1, 1 << 40, (1 << 63) - 1])
def test_credit_for_more_than_a_frame_is_not_asked_for(stmgr: Daemon, need_bytes: int) -> None:
    frame = [head(Kind.CREDIT_REQUEST), encode_credit_request({OTHER: need_bytes})]
    assert stmgr.attack(ROGUE, frame) is ErrorCode.TOO_LARGE


def test_credit_for_tasks_of_no_plan_is_bounded(stmgr: Daemon) -> None:
    frames = [
        [
            head(Kind.CREDIT_REQUEST),
            encode_credit_request(dict.fromkeys(range(first, first + 60_000), 1024)),
        ]
        for first in range(100_000, 1_000_000, 60_000)
    ]
    assert stmgr.attack(ROGUE, *frames) is ErrorCode.MALFORMED


@pytest.mark.parametrize("grants", [[1 << 40], [(1 << 63) - 1], [1 << 26] * 3])
def test_credit_that_no_frame_needs_is_refused(stmgr: Daemon, grants: list[int]) -> None:
    # Credit counts from the turn after the hello's on, and nothing was asked for before.
    first_turn = [[head(Kind.CREDIT), encode_credit({})]] * FRAMES_PER_TURN
    frames = [[head(Kind.CREDIT), encode_credit({OWN: grant})] for grant in grants]
    assert stmgr.attack(ROGUE, *first_turn, *frames) is ErrorCode.MALFORMED


def test_credit_for_tasks_of_others_is_nothing(stmgr: Daemon) -> None:
    tasks = dict.fromkeys([OTHER, ABSENT, *range(1000, 50_000)], 1 << 62)
    assert stmgr.attack(ROGUE, [head(Kind.CREDIT), encode_credit(tasks)]) is None


@pytest.mark.parametrize("source", [-(1 << 31), -1, 0, 1, OTHER, (1 << 31) - 1])
def test_frames_of_tasks_of_others_end_the_link(stmgr: Daemon, source: int) -> None:
    before = stmgr.peers.sums.get("foreign_source_count", 0)
    for kind in (Kind.DATA, Kind.OUTCOMES, Kind.BARRIER):
        frame = [head(kind, 0, OTHER, source), b"x"]
        assert stmgr.attack(ROGUE, frame) is ErrorCode.TASK
    stmgr.counted("foreign_source_count", before + 3)


@pytest.mark.parametrize("source", [1, OWN, ABSENT, 999])
def test_a_peer_passes_on_nothing_that_is_not_of_its_container(stmgr: Daemon, source: int) -> None:
    """The plan knows container 1 alone, and each of these tasks lives there or nowhere."""
    before = stmgr.peers.sums.get("foreign_source_count", 0)
    for process in ("stmgr-2", "stmgr-1"):
        for kind in (Kind.DATA, Kind.OUTCOMES):
            frame = [head(kind, 0, OTHER, source), b"x"]
            assert stmgr.attack(process, frame) is ErrorCode.TASK
    stmgr.counted("foreign_source_count", before + 4)


def test_sources_of_a_peer_are_the_tasks_of_its_container() -> None:
    peer = hello_of("stmgr-2")
    assert sources_of(peer, {}) is None
    assert sources_of(peer, {1: (), 2: (7, 8), 3: (9,)}) == {7, 8}
    assert sources_of(hello_of("stmgr-4"), {1: (), 2: (7, 8)}) == frozenset()
    assert sources_of(hello_of(ROGUE), {}) == {OWN}
    assert sources_of(hello_of("metricsmgr-1"), {1: ()}) == {METRICSMGR_TASK}


def test_outcomes_without_end_are_bounded(stmgr: Daemon) -> None:
    before = stmgr.peers.sums.get("outcomes_dropped_count", 0)
    for size, count in ((1, 50_000), (1 << 20, 100)):
        frame = [head(Kind.OUTCOMES, 0, ABSENT, OWN), bytes(size)]
        assert stmgr.attack(ROGUE, *[frame] * count) is None
    stmgr.counted("outcomes_dropped_count", before + 1)


def test_notices_and_announcements_without_end_are_bounded(stmgr: Daemon) -> None:
    notices = [
        [
            head(Kind.LOSS_NOTICE),
            encode_loss_notice(LossNotice(f"n-{n}", (1, 2), (3,), "c" * 10_000)),
        ]
        for n in range(5000)
    ]
    assert stmgr.attack(ROGUE, *notices) is None
    said = [
        [head(Kind.BACK_PRESSURE), encode_back_pressure(BackPressure(task, True, 1))]
        for task in range(1, 20_000)
    ]
    assert stmgr.attack("stmgr-2", *said) is None
