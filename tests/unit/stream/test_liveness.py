"""Silence is suspected early and punished late, and never for a pause of the watcher's own."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.stream.liveness import (
    LOOK_NS,
    START_NS,
    SUSPECT_NS,
    Change,
    Liveness,
    Turn,
)

S = 1_000_000_000
LIMIT_NS = 30 * S
BEGIN_NS = 1000 * S


class Watcher:
    """Looks every LOOK_NS while time passes, and notes what changed."""

    def __init__(self, limit_ns: int = LIMIT_NS) -> None:
        self.liveness: Liveness[str] = Liveness(limit_ns)
        self.now_ns = BEGIN_NS
        self.changes: list[Change[str]] = []
        self.look()

    def look(self) -> None:
        self.changes += self.liveness.look(self.now_ns)

    def heard(self, key: str) -> None:
        self.liveness.heard(key, self.now_ns)

    def passes(self, time_ns: int, *, heard: str = "") -> None:
        """Let time pass while the watcher runs; `heard` speaks before each look."""
        end_ns = self.now_ns + time_ns
        while self.now_ns < end_ns:
            self.now_ns = min(end_ns, self.now_ns + LOOK_NS)
            if heard:
                self.heard(heard)
            self.look()

    def sleeps(self, time_ns: int) -> None:
        """Let time pass while the watcher does not run."""
        self.now_ns += time_ns

    def turns(self, key: str = "a") -> list[Turn]:
        return [change.turn for change in self.changes if change.key == key]


def test_who_speaks_is_never_suspected() -> None:
    watcher = Watcher()
    watcher.passes(3 * LIMIT_NS, heard="a")
    assert watcher.changes == []
    assert watcher.liveness.suspected == []


def test_a_short_silence_is_suspected_and_ends_with_the_first_sign_of_life() -> None:
    watcher = Watcher()
    watcher.heard("a")
    watcher.passes(5 * S)
    assert watcher.liveness.suspected == ["a"]
    watcher.heard("a")
    watcher.look()
    assert watcher.liveness.suspected == []
    assert watcher.changes == [
        Change("a", Turn.SUSPECTED, SUSPECT_NS),
        Change("a", Turn.ANSWERS, 5 * S),
    ]


def test_silence_beyond_the_limit_is_overdue_once() -> None:
    watcher = Watcher()
    watcher.heard("a")
    watcher.passes(LIMIT_NS - 1)
    assert watcher.turns() == [Turn.SUSPECTED]
    watcher.passes(1)
    assert watcher.changes[-1] == Change("a", Turn.OVERDUE, LIMIT_NS)
    watcher.passes(3 * LIMIT_NS)
    assert watcher.turns() == [Turn.SUSPECTED, Turn.OVERDUE]


def test_a_limit_below_the_suspicion_is_both_at_once() -> None:
    watcher = Watcher(limit_ns=1 * S)
    watcher.heard("a")
    watcher.passes(1 * S)
    assert watcher.turns() == [Turn.SUSPECTED, Turn.OVERDUE]


def test_who_has_just_been_started_may_take_its_time() -> None:
    watcher = Watcher()
    watcher.liveness.expect("a", watcher.now_ns)
    watcher.passes(START_NS - 1)
    assert watcher.changes == []
    watcher.passes(1)
    assert watcher.changes == [Change("a", Turn.OVERDUE, START_NS)]


def test_a_new_life_begins_unsuspected_and_has_the_time_of_a_start() -> None:
    watcher = Watcher()
    watcher.heard("a")
    watcher.passes(LIMIT_NS)
    watcher.liveness.expect("a", watcher.now_ns)
    assert watcher.liveness.suspected == []
    watcher.passes(LIMIT_NS)
    assert watcher.turns() == [Turn.SUSPECTED, Turn.OVERDUE]


@pytest.mark.parametrize("before_ns", [0, 1 * S, 10 * S, LIMIT_NS - LOOK_NS])
def test_after_a_pause_of_the_watchers_own_all_have_the_whole_limit(before_ns: int) -> None:
    watcher = Watcher()
    watcher.heard("a")
    watcher.liveness.expect("b", watcher.now_ns)
    watcher.passes(before_ns)
    watcher.sleeps(3600 * S)
    watcher.look()
    watcher.passes(LIMIT_NS - 1)
    assert Turn.OVERDUE not in watcher.turns()
    watcher.passes(1)
    assert watcher.turns()[-1] is Turn.OVERDUE
    assert watcher.turns("b") == []


def test_a_pause_of_the_watchers_own_ends_no_suspicion() -> None:
    watcher = Watcher()
    watcher.heard("a")
    watcher.passes(5 * S)
    watcher.sleeps(60 * S)
    watcher.look()
    assert watcher.liveness.suspected == ["a"]
    assert watcher.turns() == [Turn.SUSPECTED]


def test_who_is_forgotten_is_judged_no_more() -> None:
    watcher = Watcher()
    watcher.heard("a")
    watcher.passes(5 * S)
    watcher.liveness.forget("a")
    watcher.liveness.forget("never seen")
    watcher.passes(3 * LIMIT_NS)
    assert watcher.turns() == [Turn.SUSPECTED]
    assert watcher.liveness.keys() == []


STEPS = st.lists(
    st.tuples(st.sampled_from(["heard", "passes", "sleeps"]), st.integers(0, 20 * S)), max_size=40
)


@given(STEPS)
def test_overdue_means_a_whole_limit_of_silence_that_was_watched(steps) -> None:
    """Whatever happens: never without it, always with it; suspicions begin and end in turn."""
    watcher = Watcher()
    watcher.heard("a")
    watched_from_ns = watcher.now_ns
    for step, time_ns in steps:
        told = len(watcher.changes)
        if step == "heard":
            watcher.heard("a")
            watched_from_ns = watcher.now_ns
        elif step == "sleeps":
            watcher.sleeps(time_ns)
            if watcher.now_ns - watcher.liveness._looked_ns > SUSPECT_NS:
                watched_from_ns = watcher.now_ns
            watcher.look()
        else:
            watcher.passes(time_ns)
        silent_ns = watcher.now_ns - watched_from_ns
        overdue = [change for change in watcher.changes[told:] if change.turn is Turn.OVERDUE]
        assert not overdue or silent_ns >= LIMIT_NS
        if overdue:
            watcher.liveness.expect("a", watcher.now_ns)
            watcher.heard("a")
            watched_from_ns = watcher.now_ns
        else:
            assert silent_ns < LIMIT_NS
    turns = [turn for turn in watcher.turns() if turn is not Turn.OVERDUE]
    for earlier, later in pairwise(turns):
        assert later is not Turn.ANSWERS or earlier is Turn.SUSPECTED
