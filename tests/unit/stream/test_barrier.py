"""Cuts are consistent, nothing is lost or reordered, and no checkpoint holds a task for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.stream.barrier import Aligned, Barrier, BarrierAligner

LEFT, RIGHT = 1, 2


def make(**keywords: int) -> BarrierAligner[str]:
    return BarrierAligner((LEFT, RIGHT), **keywords)


def test_source_behind_its_barrier_is_held_until_the_other_barrier_came() -> None:
    aligner = make()
    assert aligner.on_data(LEFT, "l1", 10) == ["l1"]
    assert aligner.on_barrier(LEFT, Barrier(0, 1)) == []
    assert aligner.on_data(LEFT, "l2", 10) == []
    assert aligner.on_data(RIGHT, "r1", 10) == ["r1"]
    assert aligner.held_bytes == 10
    assert aligner.on_barrier(RIGHT, Barrier(0, 1)) == [Aligned(Barrier(0, 1)), "l2"]
    assert aligner.pending is None
    assert aligner.on_data(LEFT, "l3", 10) == ["l3"]


def test_only_source_is_lined_up_at_once() -> None:
    aligner: BarrierAligner[str] = BarrierAligner((LEFT,))
    assert aligner.on_barrier(LEFT, Barrier(0, 1)) == [Aligned(Barrier(0, 1))]


def test_next_barrier_of_a_held_source_waits_behind_its_data() -> None:
    aligner = make()
    aligner.on_barrier(LEFT, Barrier(0, 1))
    aligner.on_data(LEFT, "l2", 1)
    aligner.on_barrier(LEFT, Barrier(0, 2))
    aligner.on_data(LEFT, "l3", 1)
    assert aligner.on_barrier(RIGHT, Barrier(0, 1)) == [Aligned(Barrier(0, 1)), "l2"]
    assert aligner.pending == Barrier(0, 2)
    assert aligner.on_barrier(RIGHT, Barrier(0, 2)) == [Aligned(Barrier(0, 2)), "l3"]


def test_newer_checkpoint_gives_the_older_up_and_its_late_barrier_does_nothing() -> None:
    aligner = make()
    aligner.on_barrier(LEFT, Barrier(0, 1))
    aligner.on_data(LEFT, "l1", 1)
    assert aligner.on_barrier(RIGHT, Barrier(0, 2)) == ["l1"]
    assert aligner.abandoned_count == 1
    assert aligner.on_barrier(LEFT, Barrier(0, 1)) == []
    assert aligner.on_data(LEFT, "l2", 1) == ["l2"]
    assert aligner.on_barrier(LEFT, Barrier(0, 2)) == [Aligned(Barrier(0, 2))]


def test_newer_recovery_epoch_counts_more_than_a_high_checkpoint() -> None:
    aligner = make()
    aligner.on_barrier(LEFT, Barrier(0, 9))
    assert aligner.on_barrier(RIGHT, Barrier(1, 1)) == []
    assert aligner.on_barrier(LEFT, Barrier(1, 1)) == [Aligned(Barrier(1, 1))]


def test_roll_back_drops_what_is_held_and_older_barriers() -> None:
    aligner = make()
    aligner.on_barrier(LEFT, Barrier(0, 3))
    aligner.on_data(LEFT, "l1", 1)
    aligner.on_data(LEFT, "l2", 1)
    assert aligner.on_recovery(1) == 2
    assert aligner.on_recovery(1) == 0
    assert aligner.pending is None
    assert aligner.on_data(LEFT, "again", 1) == ["again"]
    assert aligner.on_barrier(RIGHT, Barrier(0, 3)) == []
    aligner.check_invariants()


def test_checkpoint_is_given_up_rather_than_hold_more_than_the_limit() -> None:
    aligner = make(held_bytes_max=100)
    aligner.on_barrier(LEFT, Barrier(0, 1))
    assert aligner.on_data(LEFT, "l1", 100) == []
    assert aligner.on_data(LEFT, "l2", 1) == ["l1", "l2"]
    assert aligner.abandoned_count == 1
    assert aligner.on_barrier(RIGHT, Barrier(0, 1)) == []


def test_nobody_waits_for_a_source_that_is_gone() -> None:
    aligner = make()
    aligner.on_barrier(LEFT, Barrier(0, 1))
    aligner.on_data(LEFT, "l1", 1)
    assert aligner.set_sources((LEFT,)) == [Aligned(Barrier(0, 1)), "l1"]


Step = tuple[int, int]
"""(source, 0 for data or how much its checkpoint number grows)."""


@given(
    st.lists(st.tuples(st.integers(1, 3), st.sampled_from((0, 0, 0, 1, 1, 2))), max_size=60),
    st.sampled_from((3, 1000)),
)
def test_cuts_are_consistent_whatever_the_order(steps: list[Step], held_bytes_max: int) -> None:
    """Each cut has, of each source, exactly what that one sent before its barrier."""
    aligner: BarrierAligner[tuple[int, int]] = BarrierAligner((1, 2, 3), held_bytes_max)
    checkpoints = dict.fromkeys((1, 2, 3), 0)
    sent: dict[int, int] = dict.fromkeys((1, 2, 3), 0)
    before: dict[tuple[int, int], int] = {}
    done: list[tuple[int, int] | Aligned] = []
    for source, growth in steps:
        if growth:
            checkpoints[source] += growth
            before[source, checkpoints[source]] = sent[source]
            done += aligner.on_barrier(source, Barrier(0, checkpoints[source]))
        else:
            sent[source] += 1
            done += aligner.on_data(source, (source, sent[source]), 1)
        aligner.check_invariants()
    executed: dict[int, int] = dict.fromkeys((1, 2, 3), 0)
    newest = 0
    for item in done:
        if isinstance(item, Aligned):
            number = item.barrier.checkpoint
            assert number > newest
            newest = number
            assert executed == {source: before[source, number] for source in executed}
        else:
            source, number = item
            assert number == executed[source] + 1, "order within a source"
            executed[source] = number
    left = [item for item in aligner.set_sources(()) if not isinstance(item, Aligned)]
    for source, number in left:
        assert number == executed[source] + 1
        executed[source] = number
    assert executed == sent
