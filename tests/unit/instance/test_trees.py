"""What an author anchors, acks and fails decides what the spout hears: design 3.5, Storm's rules.

The trees are made by hand with real collectors: a bolt that holds its tuples until a test says
what to do with each.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heronshim.api import Tuple
from tests.unit.instance.loop import (
    ALL,
    SHUFFLE,
    Feed,
    Hold,
    Loop,
    Take,
    bolt,
    output,
    spout,
)

OBJECTS = {"s": Feed, "r": Feed, "b": Hold, "c": Hold}


def make_loop(seed: int = 0, copies: int = 1, **objects: Any) -> Loop:
    """Spouts "s" and "r" to bolt "b" (all grouping where `copies` > 1), "b" to "c"."""
    grouping = ALL if copies > 1 else SHUFFLE
    loop = Loop(
        [
            spout("s"),
            spout("r"),
            bolt("b", {"s": grouping, "r": grouping}, output(), parallelism=copies),
            bolt("c", {"b": SHUFFLE}),
        ],
        {**OBJECTS, **objects},
        seed=seed,
        message_timeout_s=40.0,
    )
    loop.open()
    return loop


def emitted(loop: Loop, *ids: Any, component: str = "s") -> list[Tuple]:
    """Emit a tuple for each id and return what arrived at "b"."""
    known = len(loop.one("b").got)
    loop.feed([([str(id_)], id_) for id_ in ids], component)
    loop.run()
    return loop.one("b").got[known:]


def child(loop: Loop, *anchors: Tuple) -> Tuple:
    """Emit from "b" with these anchors and return the tuple as "c" got it."""
    loop.one("b").emit(["child"], anchors=anchors)
    loop.run()
    return loop.one("c").got[-1]


def ack(loop: Loop, *tuples: Tuple) -> None:
    for tup in tuples:
        loop.one("c" if tup.component == "b" else "b").ack(tup)
    loop.run()


def fail(loop: Loop, tup: Tuple) -> None:
    loop.one("c" if tup.component == "b" else "b").fail(tup)
    loop.run()


def heard(loop: Loop, component: str = "s") -> tuple[list[Any], list[Any]]:
    feed = loop.one(component)
    return feed.acked, feed.failed


def test_tree_of_one_tuple_completes_with_its_ack():
    loop = make_loop()
    (tup,) = emitted(loop, 1)
    assert heard(loop) == ([], [])
    ack(loop, tup)
    assert heard(loop) == ([1], [])


def test_branching_tree_completes_with_its_last_leaf():
    loop = make_loop()
    (tup,) = emitted(loop, 1)
    leaves = [child(loop, tup) for _ in range(3)]
    ack(loop, tup, leaves[2], leaves[0])
    assert heard(loop) == ([], [])
    ack(loop, leaves[1])
    assert heard(loop) == ([1], [])


def test_leaf_may_be_acked_before_its_anchor():
    loop = make_loop()
    (tup,) = emitted(loop, 1)
    leaf = child(loop, tup)
    ack(loop, leaf)
    assert heard(loop) == ([], [])
    ack(loop, tup)
    assert heard(loop) == ([1], [])


def test_diamond_of_two_copies_joined_again_waits_for_all():
    """s -> two tasks of b -> one tuple of each, joined by a third anchored to both."""
    loop = make_loop(copies=2)
    loop.feed([(["x"], 1)])
    loop.run()
    first, second = (made.got[0] for made in loop.made["b"])
    left, right = loop.made["b"]
    left.emit(["left"], anchors=[first])
    right.emit(["right"], anchors=[second])
    loop.run()
    left.ack(first)
    right.ack(second)
    loop.run()
    assert heard(loop) == ([], [])
    ack(loop, *loop.one("c").got)
    assert heard(loop) == ([1], [])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_two_anchors_of_one_root_do_not_complete_it_falsely(order):
    """One edge for both would cancel itself: the join would be acked before it is."""
    loop = make_loop(copies=2)
    loop.feed([(["x"], 1)])
    loop.run()
    left, right = loop.made["b"]
    first, second = left.got[0], right.got[0]
    # An author may carry a tuple to another bolt of its process: both copies anchor one join.
    left.emit(["join"], anchors=[first, second])
    loop.run()
    (join,) = loop.one("c").got
    acks = [
        lambda: left.ack(first),
        lambda: right.ack(second),
        lambda: loop.one("c").ack(join),
    ]
    for step in order[:-1]:
        acks[step]()
        loop.run()
        assert heard(loop) == ([], [])
    acks[order[-1]]()
    loop.run()
    assert heard(loop) == ([1], [])


def test_one_tuple_anchored_twice_counts_twice():
    loop = make_loop()
    (tup,) = emitted(loop, 1)
    leaf = child(loop, tup, tup)
    ack(loop, tup)
    assert heard(loop) == ([], [])
    ack(loop, leaf)
    assert heard(loop) == ([1], [])


def test_three_anchors_over_two_roots():
    loop = make_loop(copies=2)
    loop.feed([(["x"], 1)])
    loop.run()
    loop.feed([(["y"], 2)])
    loop.run()
    left, right = loop.made["b"]
    left.emit(["join"], anchors=[left.got[0], right.got[0], left.got[1]])
    loop.run()
    (join,) = loop.one("c").got
    for made in (left, right):
        for tup in made.got:
            made.ack(tup)
    loop.run()
    assert heard(loop) == ([], [])
    loop.one("c").ack(join)
    loop.run()
    assert sorted(heard(loop)[0]) == [1, 2]


def test_tuples_of_two_spouts_in_one_join_settle_both():
    loop = make_loop()
    (left,) = emitted(loop, "left", component="s")
    (right,) = emitted(loop, "right", component="r")
    join = child(loop, left, right)
    ack(loop, left, right)
    assert heard(loop, "s") == heard(loop, "r") == ([], [])
    ack(loop, join)
    assert heard(loop, "s") == (["left"], [])
    assert heard(loop, "r") == (["right"], [])


def test_fail_of_a_join_fails_every_root():
    loop = make_loop()
    (left,) = emitted(loop, "left", component="s")
    (right,) = emitted(loop, "right", component="r")
    join = child(loop, left, right)
    fail(loop, join)
    assert heard(loop, "s") == ([], ["left"])
    assert heard(loop, "r") == ([], ["right"])
    ack(loop, left, right)
    assert heard(loop, "s") == ([], ["left"])


def test_join_of_more_roots_than_a_byte_counts():
    loop = make_loop()
    tuples = emitted(loop, *range(300))
    join = child(loop, *tuples)
    ack(loop, *tuples)
    assert heard(loop) == ([], [])
    ack(loop, join)
    assert sorted(heard(loop)[0]) == list(range(300))


def test_anchor_without_a_root_adds_nothing():
    loop = make_loop()
    (tracked,) = emitted(loop, 1)
    (untracked,) = emitted(loop, None)
    join = child(loop, untracked, tracked)
    ack(loop, untracked, tracked)
    assert heard(loop) == ([], [])
    ack(loop, join)
    assert heard(loop) == ([1], [])


def test_unanchored_tuple_is_not_awaited():
    loop = make_loop()
    (tup,) = emitted(loop, 1)
    child(loop)
    ack(loop, tup)
    assert heard(loop) == ([1], [])


def test_tree_that_nobody_acks_times_out_once():
    loop = make_loop()
    (tup,) = emitted(loop, 1)
    for _ in range(6):
        loop.now_ns += 10_000_000_000
        loop.run()
    assert heard(loop) == ([], [1])
    ack(loop, tup)
    assert heard(loop) == ([], [1])


def test_reset_timeout_gives_the_whole_timeout_again():
    loop = make_loop()
    (tup,) = emitted(loop, 1)
    for _ in range(4):
        loop.now_ns += 9_900_000_000
        loop.run()
    loop.one("b").reset_timeout(tup)
    loop.run()
    for _ in range(4):
        loop.now_ns += 9_900_000_000
        loop.run()
    assert heard(loop) == ([], [])
    ack(loop, tup)
    assert heard(loop) == ([1], [])


class Again(Take):
    """Sends each tuple to itself, counted down (self-anchor), anchored by the engine."""

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        if tup[0]:
            self.emit([tup[0] - 1])


def test_bolt_that_takes_its_own_stream_stays_in_the_tree():
    loop = Loop(
        [spout("s", output("n")), bolt("b", {"s": SHUFFLE, "b": SHUFFLE}, output("n"))],
        {"s": Feed, "b": Again},
    )
    loop.open()
    loop.held = lambda frame: frame.destination == frame.source and frame.rows == [[0]]
    loop.feed([([5], "five")])
    loop.run()
    assert loop.one("b").rows == [[5], [4], [3], [2], [1]]
    assert heard(loop) == ([], [])
    loop.held = lambda _: False
    loop.run()
    assert heard(loop) == (["five"], [])


class Model:
    """Which tuples each tree waits for: Storm's rules without any XOR."""

    def __init__(self) -> None:
        self.roots: dict[int, frozenset[Any]] = {}
        self.open: dict[Any, set[int]] = {}
        self.acked: list[Any] = []
        self.failed: list[Any] = []

    def add(self, tup: Tuple, roots: frozenset[Any]) -> None:
        self.roots[id(tup)] = roots
        for root in roots:
            if root in self.open:
                self.open[root].add(id(tup))

    def ack(self, tup: Tuple) -> None:
        for root in self.roots[id(tup)]:
            waiting = self.open.get(root)
            if waiting is not None:
                waiting.discard(id(tup))
                if not waiting:
                    del self.open[root]
                    self.acked.append(root)

    def fail(self, tup: Tuple) -> None:
        for root in self.roots[id(tup)]:
            if self.open.pop(root, None) is not None:
                self.failed.append(root)


@given(st.integers(0, 1 << 30))
@settings(deadline=None, max_examples=25)
def test_random_forests_settle_as_a_naive_model_says(seed):
    """Emits, joins with any anchors, acks and fails in random order; each tuple settled once."""
    random = Random(seed)
    loop = make_loop(seed)
    model = Model()
    held: list[tuple[Hold, Tuple]] = []
    number = 0
    for _ in range(40):
        choice = random.random()
        at_b = [tup for holder, tup in held if holder is loop.one("b")]
        if choice < 0.35:
            component = random.choice(["s", "r"])
            id_ = (component, number) if random.random() < 0.8 else None
            number += 1
            if id_ is not None:
                model.open[id_] = set()
            (tup,) = emitted(loop, id_, component=component)
            model.add(tup, frozenset([id_] if id_ else []))
            held.append((loop.one("b"), tup))
        elif choice < 0.7 and at_b:
            anchors = [random.choice(at_b) for _ in range(random.randint(0, 4))]
            roots = frozenset().union(*(model.roots[id(tup)] for tup in anchors))
            tup = child(loop, *anchors)
            model.add(tup, roots)
            held.append((loop.one("c"), tup))
        elif held:
            holder, tup = held.pop(random.randrange(len(held)))
            is_fail = random.random() < 0.15
            (holder.fail if is_fail else holder.ack)(tup)
            (model.fail if is_fail else model.ack)(tup)
            if random.random() < 0.5:
                loop.run()
                check(loop, model)
    loop.run()
    check(loop, model)
    for holder, tup in held:
        holder.ack(tup)
        model.ack(tup)
    loop.run()
    check(loop, model)
    assert loop.pending() == len(model.open) == 0


def check(loop: Loop, model: Model) -> None:
    acked = loop.one("s").acked + loop.one("r").acked
    failed = loop.one("s").failed + loop.one("r").failed
    assert sorted(acked) == sorted(model.acked)
    assert sorted(failed) == sorted(model.failed)
    assert all(id_[0] == "s" for id_ in loop.one("s").acked + loop.one("s").failed)
