"""Trees of one spout task: XOR to zero completes, roots of closed trees are stale.

Rules: design 3.5, Storm's acker. Beside examples, a naive model of dicts is compared after each
of a random run of events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from heronshim.core.stream.ack_tracker import (
    ACK,
    EPOCHS_PER_TIMEOUT,
    FAIL,
    RESET,
    SLOT_BITS,
    SLOT_MASK,
    AckTracker,
    task_of_root,
)

TASK = 7


def column(*numbers: int):
    return np.array(numbers, np.uint64)


def acks(tracker: AckTracker, *pairs: tuple[int, int], distinct: bool = True, now_us: int = 0):
    roots, xors = zip(*pairs, strict=True)
    return tracker.settle(column(*roots), column(*xors), b"", distinct=distinct, now_us=now_us)


@pytest.fixture
def tracker() -> AckTracker:
    return AckTracker(TASK, Random(1), capacity=64)


def open_one(tracker: AckTracker, id_: Any = "a", now_us: int = 0) -> tuple[int, int]:
    roots, edges = tracker.open([id_], now_us)
    return int(roots[0]), int(edges[0])


def test_ack_of_the_only_edge_completes_the_tree(tracker):
    root, edge = open_one(tracker, "a", now_us=100)
    settled = acks(tracker, (root, edge), now_us=350)
    assert settled.acked == ["a"]
    assert settled.acked_us.tolist() == [250]
    assert tracker.open_count == 0


def test_root_is_task_tag_slot(tracker):
    roots, edges = tracker.open(["a", "b"], 0)
    assert [task_of_root(int(root)) for root in roots] == [TASK, TASK]
    assert len({int(root) & SLOT_MASK for root in roots}) == 2
    assert len(set(edges.tolist())) == 2
    highest = AckTracker(0xFFFF, Random(1))
    assert task_of_root(open_one(highest)[0]) == 0xFFFF


def test_children_hold_a_tree_open_until_they_are_acked(tracker):
    root, edge = open_one(tracker)
    child = 0x1234
    assert acks(tracker, (root, edge ^ child)).acked == []
    assert tracker.is_open(root)
    assert acks(tracker, (root, child)).acked == ["a"]


def test_acks_may_come_in_any_order(tracker):
    root, edge = open_one(tracker)
    assert acks(tracker, (root, 5)).acked == []
    assert acks(tracker, (root, 6)).acked == []
    assert acks(tracker, (root, edge ^ 5 ^ 6)).acked == ["a"]


def test_second_ack_of_a_completed_tree_is_stale(tracker):
    pair = open_one(tracker)
    acks(tracker, pair)
    assert acks(tracker, pair).acked == []
    assert tracker.stale_count == 1
    tracker.check_invariants()


def test_double_ack_of_an_open_tree_xors_back_and_ends_in_the_timeout(tracker):
    root, edge = open_one(tracker)
    acks(tracker, (root, 5))
    acks(tracker, (root, 5))
    assert acks(tracker, (root, edge ^ 5)).acked == []
    assert [tracker.rotate() for _ in range(EPOCHS_PER_TIMEOUT + 1)][-1] == ["a"]


def test_fail_closes_the_tree_and_later_acks_are_stale(tracker):
    root, edge = open_one(tracker)
    settled = tracker.settle(column(root), column(0), bytes([FAIL]), distinct=True, now_us=0)
    assert (settled.acked, settled.failed) == ([], ["a"])
    assert acks(tracker, (root, edge)).acked == []
    assert tracker.stale_count == 1


def test_outcomes_apply_in_their_order(tracker):
    first, second = open_one(tracker, "a"), open_one(tracker, "b")
    roots = column(first[0], first[0], second[0], second[0])
    xors = column(first[1], 0, 0, second[1])
    settled = tracker.settle(roots, xors, bytes([ACK, FAIL, FAIL, ACK]), distinct=False, now_us=0)
    assert (settled.acked, settled.failed) == (["a"], ["b"])
    assert tracker.stale_count == 2


def test_one_root_twice_in_one_column_combines(tracker):
    root, edge = open_one(tracker)
    assert acks(tracker, (root, edge ^ 9), (root, 9), distinct=False).acked == ["a"]
    tracker.check_invariants()


def test_column_wrongly_called_distinct_does_no_harm(tracker):
    root, edge = open_one(tracker)
    other = open_one(tracker, "b")
    assert acks(tracker, (root, edge), (root, edge), distinct=True).acked == []
    tracker.check_invariants()
    assert acks(tracker, other, (root, edge ^ 9), (root, 9), distinct=True).acked == ["b", "a"]
    tracker.check_invariants()


def test_fail_of_one_root_twice_in_one_column_is_one_fail(tracker):
    root, _ = open_one(tracker)
    settled = tracker.settle(
        column(root, root), column(0, 0), bytes([FAIL, FAIL]), distinct=False, now_us=0
    )
    assert settled.failed == ["a"]
    tracker.check_invariants()


def test_tree_times_out_between_one_and_one_and_a_quarter_timeouts(tracker):
    open_one(tracker, "a")
    for _ in range(EPOCHS_PER_TIMEOUT):
        assert tracker.rotate() == []
    assert tracker.rotate() == ["a"]
    tracker.check_invariants()


def test_reset_gives_the_whole_timeout_again(tracker):
    root, _ = open_one(tracker, "a")
    for _ in range(EPOCHS_PER_TIMEOUT):
        tracker.rotate()
    tracker.settle(column(root), column(0), bytes([RESET]), distinct=True, now_us=0)
    assert [tracker.rotate() for _ in range(EPOCHS_PER_TIMEOUT + 1)] == [[], [], [], [], ["a"]]


def test_epochs_go_round_without_timing_out_young_trees(tracker):
    for _ in range(600):
        root, _ = open_one(tracker, "a")
        for _ in range(EPOCHS_PER_TIMEOUT):
            assert tracker.rotate() == []
        settled = tracker.settle(column(root), column(0), bytes([FAIL]), distinct=True, now_us=0)
        assert settled.failed == ["a"]


def test_slot_is_reused_with_another_tag_and_the_old_root_is_stale(tracker):
    seen: dict[int, set[int]] = {}
    for number in range(64 * 5):
        root, edge = open_one(tracker, number)
        tags = seen.setdefault(root & SLOT_MASK, set())
        assert root >> SLOT_BITS not in tags
        tags.add(root >> SLOT_BITS)
        acks(tracker, (root, edge))
    assert {len(tags) for tags in seen.values()} == {5}


def test_free_slots_are_reused_first_in_first_out(tracker):
    pairs = [open_one(tracker, number) for number in range(64)]
    order = [9, 3, 60]
    for number in order:
        acks(tracker, pairs[number])
    slots = [open_one(tracker)[0] & SLOT_MASK for _ in order]
    assert slots == [pairs[number][0] & SLOT_MASK for number in order]


def test_tracker_grows_while_trees_are_open(tracker):
    pairs = [open_one(tracker, number) for number in range(1000)]
    tracker.check_invariants()
    assert acks(tracker, *pairs).acked == list(range(1000))
    tracker.check_invariants()


def test_open_of_many_at_once_crosses_the_end_of_the_free_list(tracker):
    for _ in range(10):
        roots, edges = tracker.open(list(range(40)), 0)
        settled = tracker.settle(roots, edges, b"", distinct=True, now_us=0)
        assert settled.acked == list(range(40))
        tracker.check_invariants()


@pytest.mark.parametrize(
    "id_",
    [(1, 2), [1, 2], [], (), 0, False, "", b"", {}, 1.5, object(), Ellipsis],
    ids=lambda id_: repr(id_) if type(id_) is not object else "object",
)
def test_message_id_comes_back_as_it_was(tracker, id_):
    (acked,) = acks(tracker, open_one(tracker, id_)).acked
    assert acked is id_


def test_message_ids_of_many_shapes_in_one_batch(tracker):
    ids = [(1,), (1, 2), [3], np.zeros(3), "x", None]
    roots, edges = tracker.open(ids, 0)
    settled = tracker.settle(roots, edges, b"", distinct=True, now_us=0)
    assert all(got is sent for got, sent in zip(settled.acked, ids, strict=True))


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_tree_of_several_copies_completes_with_the_last(tracker, copies):
    root, edges = tracker.open_copies("a", copies, 0)
    assert len(set(edges)) == copies
    for edge in edges[:-1]:
        assert acks(tracker, (root, edge)).acked == []
    assert acks(tracker, (root, edges[-1])).acked == ["a"]


def test_fail_all_closes_every_tree(tracker):
    for number in range(5):
        open_one(tracker, number)
    assert sorted(tracker.fail_all()) == [0, 1, 2, 3, 4]
    assert tracker.open_count == 0
    tracker.check_invariants()


def test_trees_opened_until_a_loss_fail_and_younger_ones_stay(tracker):
    for now_us in (10, 20, 21):
        open_one(tracker, now_us, now_us)
    assert tracker.fail_open_since(20) == [10, 20]
    assert tracker.fail_open_since(20) == []
    assert tracker.open_count == 1
    tracker.check_invariants()


def test_tree_that_was_reset_after_the_loss_has_its_whole_timeout(tracker):
    before, after = open_one(tracker, "before", 10)[0], open_one(tracker, "after", 10)[0]
    reset = bytes([RESET])
    tracker.settle(column(before), column(0), reset, distinct=True, now_us=20)
    tracker.settle(column(after), column(0), reset, distinct=True, now_us=21)
    assert tracker.fail_open_since(20) == ["before"]
    for _ in range(EPOCHS_PER_TIMEOUT):
        assert tracker.rotate() == []
    assert tracker.rotate() == ["after"]


def test_reset_of_an_earlier_tree_spares_no_later_tree_of_its_slot(tracker):
    for number in range(64):
        root = open_one(tracker, number, 10)[0]
        tracker.settle(column(root), column(0), bytes([RESET]), distinct=True, now_us=30)
        tracker.settle(column(root), column(0), bytes([FAIL]), distinct=True, now_us=30)
    for number in range(64):
        open_one(tracker, number, 40)
    assert len(tracker.fail_open_since(40)) == 64


@pytest.mark.parametrize("kind", [ACK, FAIL, RESET])
@pytest.mark.parametrize("slot", [0, 63, 64, SLOT_MASK])
def test_root_that_was_never_given_is_stale(tracker, kind, slot):
    root = (TASK << 48) | (12345 << SLOT_BITS) | slot
    settled = tracker.settle(column(root), column(1), bytes([kind]), distinct=True, now_us=0)
    assert (settled.acked, settled.failed) == ([], [])
    assert tracker.stale_count == 1
    tracker.check_invariants()


@pytest.mark.parametrize("kind", [ACK, FAIL, RESET])
def test_root_of_an_earlier_process_that_meets_the_next_tag_of_a_free_slot_is_stale(tracker, kind):
    """The tag of a slot starts at random, so an older process may have drawn it too."""
    next_root = int(tracker._roots[5])
    settled = tracker.settle(column(next_root), column(0), bytes([kind]), distinct=True, now_us=0)
    assert (settled.acked, settled.failed) == ([], [])
    assert tracker.stale_count == 1
    tracker.check_invariants()


def test_empty_columns_change_nothing(tracker):
    settled = tracker.settle(column(), column(), b"", distinct=True, now_us=0)
    assert settled.acked == []
    assert tracker.open([], 0)[0].tolist() == []
    assert tracker.fail_all() == []


def test_more_trees_than_slots_are_refused_by_name(monkeypatch):
    monkeypatch.setattr("heronshim.core.stream.ack_tracker.SLOTS_MAX", 100)
    tracker = AckTracker(TASK, Random(1), capacity=64)
    tracker.open(list(range(100)), 0)
    with pytest.raises(OverflowError, match="max_spout_pending"):
        tracker.open(["one more"], 0)
    tracker.check_invariants()


@dataclass
class Tree:
    """What the naive model knows of an open tree."""

    id: int
    age: int = 0
    edges: list[int] = field(default_factory=list)
    value: int = 0
    touched_us: int = 0
    """When it was opened, or reset last."""


class TrackerMachine(RuleBasedStateMachine):
    """Random runs against a dict of trees. Roots of closed trees stay in play as stale ones."""

    def __init__(self) -> None:
        super().__init__()
        self.trees: dict[int, Tree] = {}
        self.closed: list[int] = []
        self.stale = 0
        self.numbers = 0
        self.now_us = 0

    @initialize(seed=st.integers(0, 1000))
    def start(self, seed: int) -> None:
        self.random = Random(seed)
        self.tracker = AckTracker(3, Random(seed), capacity=64)

    @rule(count=st.integers(1, 90))
    def open(self, count: int) -> None:
        ids = list(range(self.numbers, self.numbers + count))
        self.numbers += count
        roots, edges = self.tracker.open(ids, self.now_us)
        for id_, root, edge in zip(ids, roots.tolist(), edges.tolist(), strict=True):
            assert root not in self.trees
            self.trees[root] = Tree(id_, edges=[edge], value=edge, touched_us=self.now_us)

    @rule(copies=st.integers(1, 4))
    def open_copies(self, copies: int) -> None:
        root, edges = self.tracker.open_copies(self.numbers, copies, self.now_us)
        tree = self.trees[root] = Tree(self.numbers, edges=edges, touched_us=self.now_us)
        for edge in edges:
            tree.value ^= edge
        self.numbers += 1

    @precondition(lambda self: self.trees or self.closed)
    @rule(
        size=st.integers(1, 40),
        kinds=st.sampled_from([(ACK,), (ACK, FAIL), (ACK, FAIL, RESET)]),
        distinct=st.booleans(),
    )
    def settle(self, size: int, kinds: tuple[int, ...], distinct: bool) -> None:
        """Ack with real edges, some of which become children; fail; reset; name closed trees."""
        candidates = list(self.trees) + self.closed[-20:]
        roots = [self.random.choice(candidates) for _ in range(size)]
        if distinct:
            roots = list(dict.fromkeys(roots))
        entries = [(self.random.choice(kinds), root, self._xor(root)) for root in roots]
        expected_acked, expected_failed = self._apply(entries)
        settled = self.tracker.settle(
            column(*roots),
            column(*(xor for _, _, xor in entries)),
            b"" if kinds == (ACK,) else bytes(kind for kind, _, _ in entries),
            distinct=distinct,
            now_us=self.now_us,
        )
        # Columns of one kind settle at once, so a tree may end anywhere inside its run.
        assert sorted(settled.acked) == sorted(expected_acked)
        assert sorted(settled.failed) == sorted(expected_failed)

    def _xor(self, root: int) -> int:
        tree = self.trees.get(root)
        if tree is None or not tree.edges:
            return self.random.getrandbits(64)
        edge = tree.edges.pop(self.random.randrange(len(tree.edges)))
        children = [self.random.getrandbits(64) for _ in range(self.random.choice([0, 0, 1, 2]))]
        tree.edges += children
        for child in children:
            edge ^= child
        return edge

    def _apply(self, entries: list[tuple[int, int, int]]) -> tuple[list[int], list[int]]:
        """Apply runs of one kind, each as one step, as the rules of Outcomes say."""
        acked: list[int] = []
        failed: list[int] = []
        start = 0
        for end in range(1, len(entries) + 1):
            if end < len(entries) and entries[end][0] == entries[start][0]:
                continue
            run, start = entries[start:end], end
            self.stale += sum(root not in self.trees for _, root, _ in run)
            known = [entry for entry in run if entry[1] in self.trees]
            for kind, root, xor in known:
                if kind == ACK:
                    self.trees[root].value ^= xor
                elif kind == RESET:
                    self.trees[root].age = 0
                    self.trees[root].touched_us = self.now_us
            for kind, root in dict.fromkeys((kind, root) for kind, root, _ in known):
                if kind == FAIL or (kind == ACK and self.trees[root].value == 0):
                    (failed if kind == FAIL else acked).append(self._close(root))
        return acked, failed

    def _close(self, root: int) -> int:
        self.closed.append(root)
        return self.trees.pop(root).id

    @rule()
    def rotate(self) -> None:
        for tree in self.trees.values():
            tree.age += 1
        old = [root for root, tree in self.trees.items() if tree.age > EPOCHS_PER_TIMEOUT]
        assert sorted(self.tracker.rotate()) == sorted([self._close(root) for root in old])

    @rule(step_us=st.integers(1, 5), ago_us=st.integers(0, 12))
    def fail_open_since(self, step_us: int, ago_us: int) -> None:
        until_us = self.now_us - ago_us
        hit = [root for root, tree in self.trees.items() if tree.touched_us <= until_us]
        expected = sorted([self._close(root) for root in hit])
        assert sorted(self.tracker.fail_open_since(until_us)) == expected
        self.now_us += step_us

    @rule()
    def fail_all(self) -> None:
        assert sorted(self.tracker.fail_all()) == sorted(
            [self._close(root) for root in list(self.trees)]
        )

    @rule()
    def complete_all(self) -> None:
        """What is left of each tree is acked: all of them complete."""
        roots = list(self.trees)
        xors = [self.trees[root].value for root in roots]
        settled = self.tracker.settle(column(*roots), column(*xors), b"", distinct=True, now_us=0)
        assert sorted(settled.acked) == sorted([self._close(root) for root in roots])

    @invariant()
    def agree(self) -> None:
        self.tracker.check_invariants()
        assert self.tracker.open_count == len(self.trees)
        assert self.tracker.stale_count == self.stale
        assert all(map(self.tracker.is_open, self.trees))
        assert not any(map(self.tracker.is_open, self.closed[-50:]))


TestAgainstModel = TrackerMachine.TestCase
TestAgainstModel.settings = settings(deadline=None, max_examples=60)
