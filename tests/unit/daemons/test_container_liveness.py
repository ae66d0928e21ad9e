"""A supervisor judges its witness by its own ears, and all others by the witness's."""

from __future__ import annotations

from heronshim.core.daemons.container_liveness import ContainerLiveness
from heronshim.core.io.heartbeats import Beat
from heronshim.core.stream.liveness import LOOK_NS, SUSPECT_NS, Change, Turn

S = 1_000_000_000
LIMIT_NS = 30 * S


class Container:
    """Container 1 with a stream manager and two instances, under a supervisor that runs."""

    def __init__(self) -> None:
        self.liveness = ContainerLiveness("stmgr-1", LIMIT_NS)
        self.now_ns = 1000 * S
        self.changes: list[Change[str]] = []
        for number, process in enumerate(("stmgr-1", "count-1", "count-2"), 1):
            self.liveness.started(process, number, self.now_ns)

    def passes(self, time_ns: int, heard: dict[str, int] | None = None, *, beats: bool = True):
        """Let time pass; the witness, if it beats, says that it heard these (all by default)."""
        heard = {"count-1": 2, "count-2": 3} if heard is None else heard
        end_ns = self.now_ns + time_ns
        while self.now_ns < end_ns:
            self.now_ns += LOOK_NS
            if beats:
                self.changes += self.liveness.beat(Beat(tuple(heard.items())), self.now_ns)
            self.changes += self.liveness.look(self.now_ns)

    def turns(self) -> list[tuple[str, Turn]]:
        return [(change.key, change.turn) for change in self.changes]


def test_an_instance_that_the_witness_does_not_hear_is_suspected_and_then_overdue() -> None:
    container = Container()
    container.passes(2 * S)
    container.passes(LIMIT_NS - S, {"count-2": 3})
    assert container.turns() == [("count-1", Turn.SUSPECTED)]
    assert container.liveness.suspected == ("count-1",)
    container.passes(2 * S, {"count-2": 3})
    assert container.turns()[1:] == [("count-1", Turn.OVERDUE)]


def test_a_silent_witness_is_the_only_one_that_is_judged() -> None:
    container = Container()
    container.passes(2 * S)
    container.passes(LIMIT_NS + S, beats=False)
    assert container.turns() == [("stmgr-1", Turn.SUSPECTED), ("stmgr-1", Turn.OVERDUE)]
    assert container.liveness.suspected == ("stmgr-1",)


def test_a_new_witness_finds_all_others_with_the_whole_limit() -> None:
    container = Container()
    container.passes(2 * S)
    container.passes(LIMIT_NS + S, beats=False)
    container.liveness.ended("stmgr-1")
    container.liveness.started("stmgr-1", 4, container.now_ns)
    container.changes.clear()
    container.passes(LIMIT_NS - S, {})
    assert {turn for _, turn in container.turns()} == {Turn.SUSPECTED}
    container.passes(LIMIT_NS)
    assert {turn for _, turn in container.turns()} == {Turn.SUSPECTED, Turn.ANSWERS}


def test_an_older_life_does_not_stand_for_the_present_one() -> None:
    """A stopped process that was replaced may still have its link."""
    container = Container()
    container.passes(2 * S)
    container.liveness.ended("count-1")
    container.liveness.started("count-1", 9, container.now_ns)
    container.passes(S, {"count-1": 9, "count-2": 3})
    container.passes(SUSPECT_NS, {"count-1": 2, "count-2": 3})
    assert container.turns() == [("count-1", Turn.SUSPECTED)]


def test_a_witness_that_hears_nobody_yet_is_only_alive() -> None:
    container = Container()
    for _ in range(200):
        container.now_ns += LOOK_NS
        container.changes += container.liveness.beat(Beat(), container.now_ns)
        container.changes += container.liveness.look(container.now_ns)
    assert container.changes == []


def test_who_ended_and_who_is_unknown_is_not_judged() -> None:
    container = Container()
    container.passes(2 * S)
    container.liveness.ended("count-1")
    container.passes(2 * LIMIT_NS, {"count-2": 3, "stmgr-2": 5, "stmgr-1": 1})
    assert container.changes == []
