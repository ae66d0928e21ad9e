"""Who is killed when, when a victim has recovered, and what makes a run fail."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.spi.events import EventKind, EventRecord
from heronshim.demo.chaos import (
    LEVEL_MS,
    TREES_BETWEEN,
    WINDOW_MS,
    Chaos,
    Kill,
    Role,
    Sample,
    missing_words,
    running_pid,
)

LINES = 10_000
KILLED_MS = 10_000
PER_MS = 0.5
"""Acks while all is well."""


def make() -> Chaos:
    return Chaos(
        [
            Kill(Role.INSTANCE, "split-4", 0.25),
            Kill(Role.STMGR, "stmgr-2", 0.5),
            Kill(Role.TMASTER, "tmaster", 0.75),
        ],
        LINES,
    )


def sample(acked: int, *, time_ms: int = 0, open_: int = 5, failed: int = 0) -> Sample:
    return Sample(time_ms, acked, failed, open_)


def event(kind: EventKind, time_ms: int, pid: int, process: str = "split-4") -> EventRecord:
    return EventRecord(f"{kind}{time_ms}{pid}", time_ms, kind, process, numbers={"pid": pid})


REPLACED = event(EventKind.PROCESS_REPLACED, KILLED_MS + 200, 20)
JOINED = event(EventKind.PROCESS_JOINED, KILLED_MS + 900, 20)


def course(back_ms: int, end_ms: int = KILLED_MS + 5000) -> list[Sample]:
    """Return samples of steady acks, of none from the kill until `back_ms`, and steady again."""
    return [
        sample(int(PER_MS * (min(time_ms, KILLED_MS) + max(0, time_ms - back_ms))), time_ms=time_ms)
        for time_ms in range(KILLED_MS - LEVEL_MS - 100, end_ms, 20)
    ]


def killed(**changes: object) -> Chaos:
    chaos = make()
    chaos.killed(chaos.kills[0], 10, replace(sample(5000, time_ms=KILLED_MS), **changes))
    return chaos


@given(st.lists(st.integers(0, 500), max_size=60))
def test_each_is_killed_at_its_share_and_after_enough_trees(steps):
    chaos, acked, kills = make(), 0, []
    for step in steps:
        acked += step
        kill = chaos.due(sample(acked))
        if kill is None:
            continue
        kills.append((kill.at, acked))
        chaos.killed(kill, 7, sample(acked, time_ms=1 + acked))
        # It comes back when some more were acked.
        acked += step
        kill.recovered_ms, kill.recovered_acked = 1 + acked, acked
        kills.append((0.0, acked))
    shares = [at for at, _ in kills if at]
    assert shares == [0.25, 0.5, 0.75][: len(shares)]
    before = 0
    for at, count in kills:
        if at:
            assert count >= at * LINES
            assert count - before >= TREES_BETWEEN
        before = count


def test_nobody_is_killed_while_the_last_victim_is_away():
    chaos = killed()
    assert chaos.due(sample(9000)) is None
    chaos.kills[0].recovered_ms, chaos.kills[0].recovered_acked = 11_000, 5500
    assert chaos.due(sample(6499)) is None
    assert chaos.due(sample(6500)) is chaos.kills[1]


def test_victim_has_recovered_when_it_joined_and_acks_are_as_fast_as_before():
    chaos = killed()
    chaos.look([], course(KILLED_MS + 1500))
    assert (chaos.kills[0].pid_after, chaos.kills[0].recovered_ms) == (0, 0)
    chaos.look([REPLACED], course(KILLED_MS + 1500))
    assert (chaos.kills[0].pid_after, chaos.kills[0].joined_ms) == (20, 0)
    chaos.look([REPLACED, JOINED], course(KILLED_MS + 1500))
    kill = chaos.kills[0]
    assert kill.joined_ms == JOINED.time_ms
    assert 0 <= kill.recovered_ms - (KILLED_MS + 1500 + 0.9 * WINDOW_MS) <= 40
    assert kill.recovery_s == (kill.recovered_ms - KILLED_MS) / 1000


def test_victim_whose_death_disturbs_nothing_has_recovered_when_it_joined():
    late = replace(JOINED, time_ms=KILLED_MS + 3000)
    chaos = killed()
    chaos.look([REPLACED, late], course(KILLED_MS))
    assert 0 <= chaos.kills[0].recovered_ms - late.time_ms <= 20


def test_rate_of_before_the_kill_does_not_count():
    early = replace(JOINED, time_ms=KILLED_MS + 10)
    chaos = killed()
    chaos.look([replace(REPLACED, time_ms=KILLED_MS + 5), early], course(KILLED_MS + 9000))
    assert chaos.kills[0].recovered_ms == 0


def test_join_of_the_killed_process_itself_or_of_another_is_none():
    before = [
        event(EventKind.PROCESS_STARTED, 100, 10),
        event(EventKind.PROCESS_JOINED, KILLED_MS + 1, 10),
        event(EventKind.PROCESS_REPLACED, KILLED_MS + 200, 30, "split-5"),
        event(EventKind.PROCESS_JOINED, KILLED_MS + 300, 30, "split-5"),
    ]
    chaos = killed()
    chaos.look(before, course(KILLED_MS))
    assert (chaos.kills[0].pid_after, chaos.kills[0].joined_ms) == (0, 0)


def test_replacement_that_died_too_is_followed_by_the_next():
    again = event(EventKind.PROCESS_REPLACED, KILLED_MS + 600, 21)
    joined = replace(JOINED, numbers={"pid": 21})
    chaos = killed()
    chaos.look([REPLACED, again, joined], course(KILLED_MS))
    assert (chaos.kills[0].pid_after, chaos.kills[0].joined_ms) == (21, JOINED.time_ms)


def test_trees_that_fail_are_those_since_the_kill():
    chaos = killed(failed=3)
    chaos.look([], [sample(1, time_ms=1, failed=3), sample(1, time_ms=2, failed=12)])
    assert chaos.kills[0].trees_failed == 9


def test_pid_of_a_process_is_that_of_its_newest_start():
    events = [
        event(EventKind.PROCESS_STARTED, 1, 5),
        event(EventKind.PROCESS_JOINED, 2, 6),
        event(EventKind.PROCESS_REPLACED, 3, 7),
        event(EventKind.PROCESS_STARTED, 4, 8, "split-5"),
    ]
    assert running_pid(events, "split-4") == 7
    assert running_pid(events, "stmgr-1") == 0


GOOD = Kill(
    Role.STMGR, "stmgr-2", 0.5, pid_before=10, killed_ms=5, pending=1, pid_after=20, joined_ms=6,
    recovered_ms=7,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, ""),
        ({"killed_ms": 0}, "stream manager stmgr-2 was not killed: the text ended before"),
        (
            {"was_running": False, "pid_before": 0},
            "stream manager stmgr-2 was not running when it was to be killed",
        ),
        ({"pending": 0}, "nothing was pending when stream manager stmgr-2 was killed"),
        (
            {"pid_after": 0, "joined_ms": 0, "recovered_ms": 0},
            "stream manager stmgr-2 was not replaced",
        ),
        (
            {"joined_ms": 0, "recovered_ms": 0},
            "stream manager stmgr-2 was replaced by pid 20, which did not join",
        ),
        (
            {"recovered_ms": 0},
            "after the death of stream manager stmgr-2 acks did not come as fast as before",
        ),
    ],
)
def test_what_did_not_go_as_it_must_is_a_problem(changes, problem):
    assert Chaos([replace(GOOD, **changes)], LINES).problems() == ([problem] if problem else [])


def test_victim_that_was_not_running_holds_up_no_other():
    chaos = make()
    chaos.killed(chaos.kills[0], 0, sample(2500, time_ms=1))
    chaos.look([], [sample(2500)])
    assert chaos.due(sample(5000)) is chaos.kills[1]


def test_words_counted_less_often_than_they_occur_are_missing_and_more_often_are_not():
    expected = Counter({"a": 3, "b": 2, "c": 1})
    assert missing_words(Counter({"a": 4, "b": 1}), expected) == {"b": (1, 2), "c": (0, 1)}
    assert missing_words(expected, expected) == {}
