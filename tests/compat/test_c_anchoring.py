"""Storm's semantics, section C: anchors, threads and message ids (26 to 28)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from heronshim.api import Grouping, TopologyBuilder, Tuple
from tests.compat.conftest import Feed, Pass, Rich, Run, Sink
from tests.compat.trees import (
    ALL,
    T_S,
    WORDS,
    Acks,
    Deed,
    FailsSink,
    Holds,
    Relays,
    chain,
    part,
    settled,
)

pytestmark = pytest.mark.compat

Start = Callable[..., Run]


# ---- 26: anchoring ----


class Joins(Rich):
    """Emits one tuple anchored to one from each input, then acks both."""

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        if len(self.tuples) == 2:
            first, second = self.tuples
            self.emit([first[0] + second[0]], anchors=[first, second])
            self.ack(first)
            self.ack(second)


def two_spouts() -> TopologyBuilder:
    return (
        TopologyBuilder("trees")
        .options(message_timeout_s=T_S)
        .spout("y", Feed.spec(rows=[["a"]]))
        .spout("z", Feed.spec(rows=[["b"]]))
        .bolt("join", Joins.spec(inputs=["y", "z"]))
        .bolt("sink", Holds.spec(inputs=["join"]))
    )


@pytest.mark.parametrize("what", ["ack", "fail"])
def test_s26_a_tuple_anchored_to_two_spouts_settles_both_roots(start: Start, what: str) -> None:
    run = start(two_spouts())
    run.run_until_idle()
    sink = part(run, "sink")
    assert run.pending == 2
    getattr(sink, what)(sink.tuples[0])
    run.run_until_idle()
    assert (run.heard("y", what), run.heard("z", what)) == ([0], [0])
    assert run.pending == 0
    run.run_for(3 * T_S)
    assert sum(note.what in ("ack", "fail") for note in run.notes) == 2


def diamond(join: type[Sink]) -> TopologyBuilder:
    return (
        TopologyBuilder("trees")
        .options(message_timeout_s=T_S)
        .spout("z", Feed.spec(rows=[["a"]]))
        .bolt("left", Pass.spec(inputs=["z"]))
        .bolt("right", Relays.spec(inputs=["z"]))
        .bolt("join", join.spec(inputs=["left", "right"]))
        .bolt("sink", Holds.spec(inputs=["join"]))
    )


@pytest.mark.parametrize("what", ["ack", "fail"])
def test_s26_a_join_of_two_branches_of_one_root_stays_open(start: Start, what: str) -> None:
    """One edge for each anchor: with one edge a copy the two would cancel and ack too early."""
    run = start(diamond(Joins))
    run.run_until_idle()
    assert run.pending == 1
    assert settled(run) == ([], [])
    sink = part(run, "sink")
    getattr(sink, what)(sink.tuples[0])
    run.run_until_idle()
    assert settled(run) == (([0], []) if what == "ack" else ([], [0]))


class JoinsThree(Rich):
    """Anchors to three tuples of two roots."""

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        if len(self.tuples) == 3:
            self.emit(["x"], anchors=self.tuples)
            for held in self.tuples:
                self.ack(held)


def test_s26_three_anchors_over_two_roots(start: Start) -> None:
    run = start(
        TopologyBuilder("trees")
        .spout("y", Feed.spec(rows=[["a"]]))
        .spout("z", Feed.spec(rows=[["b"]]))
        .bolt("left", Pass.spec(inputs=["y"]))
        .bolt("right", Pass.spec(inputs=["y"]))
        .bolt("join", JoinsThree.spec(inputs=["left", "right", "z"]))
        .bolt("sink", Pass.spec(inputs=["join"]))
        .bolt("last", Holds.spec(inputs=["sink"]))
    )
    run.run_until_idle()
    assert run.pending == 2
    last = part(run, "last")
    last.ack(last.tuples[0])
    run.run_until_idle()
    assert (run.heard("y", "ack"), run.heard("z", "ack")) == ([0], [0])


class AnchorsTwice(Rich):
    """Storm's testAckingSelfAnchor: the same tuple twice among the anchors."""

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        self.emit(tup.values, anchors=[tup, tup])
        self.ack(tup)


def test_s26_a_tuple_anchored_twice_to_one_tuple(start: Start) -> None:
    run = start(chain(AnchorsTwice, Holds))
    run.run_until_idle()
    assert settled(run) == ([], [])
    sink = part(run, "sink")
    for tup in sink.tuples:
        sink.ack(tup)
    run.run_until_idle()
    assert settled(run) == (ALL, [])


def test_s26_branches_of_a_tree_are_all_awaited(start: Start) -> None:
    """Storm's testAckBranching: a spout, four bolts that pass on, one that gathers all of it."""
    branches = ("b1", "b2", "b3", "b4")
    topology = TopologyBuilder("trees").spout("z", Feed.spec(rows=WORDS))
    for branch in branches:
        topology.bolt(branch, Relays.spec(inputs=["z"], parallelism=2))
    topology.bolt("sink", Holds.spec(inputs=list(branches)))
    run = start(topology)
    run.run_until_idle()
    sink = part(run, "sink")
    assert len(sink.tuples) == 40
    left = Counter(tup[0] for tup in sink.tuples)
    for tup in list(sink.tuples):
        sink.ack(tup)
        run.run_until_idle()
        left[tup[0]] -= 1
        done = sorted(int(word[1:]) for word, count in left.items() if count == 0)
        assert settled(run) == (done, [])
    assert settled(run) == (ALL, [])


class EmitsMany(Rich):
    """Several children, to several tasks each."""

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        for number in range(3):
            self.emit([f"{tup[0]}-{number}"], anchors=[tup])
        self.ack(tup)


def test_s26_many_children_to_many_tasks(start: Start) -> None:
    run = start(
        TopologyBuilder("trees")
        .spout("z", Feed.spec(rows=WORDS))
        .bolt("mid", EmitsMany.spec(inputs=["z"]))
        .bolt("all", Holds.spec(inputs={"mid": Grouping.all()}, parallelism=2))
        .bolt("one", Acks.spec(inputs=["mid"]))
    )
    run.run_until_idle()
    assert settled(run) == ([], [])
    first, second = run.objects("all")
    assert len(first.tuples) == len(second.tuples) == 30
    for holder in (first, second):
        for tup in holder.tuples[:-1]:
            holder.ack(tup)
    run.run_until_idle()
    assert settled(run) == ([0, 1, 2, 3, 4, 5, 6, 7, 8], [])
    for holder in (first, second):
        holder.ack(holder.tuples[-1])
    run.run_until_idle()
    assert settled(run) == (ALL, [])


class EmitsUnanchored(Rich):
    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        self.emit(tup.values)
        self.ack(tup)


class EmitsUnanchoredBasic(Sink):
    """An auto-anchoring bolt anchors nothing where it says so."""

    outputs = ["word"]

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        self.emit(tup.values, anchors=[])


@pytest.mark.parametrize("mid", [EmitsUnanchored, EmitsUnanchoredBasic])
def test_s26_an_unanchored_tuple_belongs_to_no_tree(start: Start, mid: type[Sink]) -> None:
    """Storm (measured): the sink's message id is {}, its fail is unheard, the spout is acked."""
    run = start(chain(mid, FailsSink))
    run.run_for(3 * T_S)
    assert settled(run) == (ALL, [])
    assert run.heard("sink", "execute") == WORDS


class EmitsAfterAck(Deed):
    def deed(self, tup: Tuple) -> None:
        self.ack(tup)
        self.emit(tup.values, anchors=[tup])


@pytest.mark.parametrize("sink", [Acks, FailsSink, Holds])
def test_s26_an_emit_after_the_ack_changes_nothing_for_the_spout(
    start: Start, sink: type[Sink]
) -> None:
    """Storm (measured): the emit works, the sink executes it, the spout was acked already."""
    run = start(chain(EmitsAfterAck, sink))
    run.run_for(3 * T_S)
    assert ["w3"] in run.heard("sink", "execute")
    assert 3 in run.heard("z", "ack")
    assert 3 not in run.heard("z", "fail")


class Loop(Rich):
    """Anchors to its own tuples."""

    outputs = ["word"]

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        if tup[0] < 5:
            self.emit([tup[0] + 1], anchors=[tup])
            self.ack(tup)


def test_s26_a_loop_stays_in_its_tree(start: Start) -> None:
    run = start(
        TopologyBuilder("trees")
        .spout("z", Feed.spec(rows=[[0]]))
        .bolt("a", Loop.spec(inputs=["z", "a"]))
    )
    run.run_until_idle()
    loop = part(run, "a")
    assert [tup[0] for tup in loop.tuples] == [0, 1, 2, 3, 4, 5]
    assert settled(run) == ([], [])
    loop.ack(loop.tuples[-1])
    run.run_until_idle()
    assert settled(run) == ([0], [])


# ---- 27: threads ----


def test_s27_bolts_may_emit_and_ack_from_their_own_threads(start: Start) -> None:
    """Storm: OutputCollector is thread-safe."""
    rows = [[f"w{number}"] for number in range(2000)]
    run = start(chain(Holds, rows=rows, message_timeouts=False, max_spout_pending=0))
    run.run_until_idle()
    mid = part(run, "mid")
    assert len(mid.tuples) == len(rows)

    def settle(share: list[Tuple]) -> None:
        for tup in share:
            mid.emit(tup.values, anchors=[tup])
            (mid.fail if tup[0].endswith("7") else mid.ack)(tup)

    threads = [threading.Thread(target=settle, args=(mid.tuples[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        run.run_for(0.01)
    run.run_until_idle()
    acks, fails = settled(run)
    assert fails == [number for number in range(2000) if number % 10 == 7]
    assert acks == [number for number in range(2000) if number % 10 != 7]
    assert sorted(run.heard("sink", "execute")) == sorted(rows)


def test_s27_several_threads_may_anchor_to_one_tuple(start: Start) -> None:
    run = start(chain(Holds, rows=[["x"]], message_timeouts=False))
    run.run_until_idle()
    mid = part(run, "mid")
    (tup,) = mid.tuples
    threads = [
        threading.Thread(target=lambda: [mid.emit(["y"], anchors=[tup]) for _ in range(500)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.run_until_idle()
    assert len(run.heard("sink", "execute")) == 2000
    assert settled(run) == ([], [])
    mid.ack(tup)
    run.run_until_idle()
    assert settled(run) == ([0], [])


# ---- 28: message ids and replays ----


class Odd:
    """Equal to nothing, not hashable."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        msg = f"compared with {other!r}"
        raise RuntimeError(msg)


IDS: list[Any] = [0, "", False, 1.5, b"x", (1, 2), [3, 4], {"k": [5]}, object(), Odd(), 10**40]


class AnyId(Feed):
    def next_tuple(self) -> None:
        for id_ in IDS if self.waiting else []:
            self.emit(["x"], id=id_)
            self.emit(["y"], id=None)
        self.waiting = []


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
def test_s28_any_object_is_a_message_id_and_none_is_no_id(start: Start, delivery: str) -> None:
    """Storm: messageId is an Object and comes back as the same one; null means unreliable."""
    run = start(chain(feed=AnyId, rows=[[]], delivery=delivery))
    run.run_until_idle()
    back = run.heard("z", "ack")
    assert len(back) == len(IDS)
    assert {id(value) for value in back} == {id(value) for value in IDS}
    assert len(run.heard("sink", "execute")) == 2 * len(IDS)


class Same(Feed):
    """All tuples have the same message id."""

    def next_tuple(self) -> None:
        if self.waiting:
            self.emit(self.rows[self.waiting.pop(0)], id="same")


def test_s28_one_message_id_may_name_several_trees(start: Start) -> None:
    """Storm keeps trees by root; the id is only handed back."""
    run = start(chain(feed=Same, sink=FailsSink))
    run.run_until_idle()
    assert settled(run) == (["same"] * 9, ["same"])


class FailsTwice(Rich):
    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        tries = sum(held[0] == tup[0] for held in self.tuples)
        (self.fail if tup[0] == "w3" and tries <= 2 else self.ack)(tup)


def test_s28_a_replay_is_the_spouts_own_work_and_a_new_tree(start: Start) -> None:
    """Storm (measured): never replays by itself; a re-emitted id gets a new root."""
    run = start(chain(sink=FailsTwice))
    run.run_for(3 * T_S)
    assert settled(run) == ([0, 1, 2, 4, 5, 6, 7, 8, 9], [3])
    run = start(chain(sink=FailsTwice, spout={"again": True}))
    run.run_for(3 * T_S)
    assert settled(run) == (ALL, [3, 3])
    assert Counter(values[0] for values in run.heard("mid", "execute"))["w3"] == 3
