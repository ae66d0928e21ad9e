"""Storm's semantics, section C: tuple trees, acks, fails and timeouts (21 to 25).

"measured" is what Storm 2.8.3 did with a spout that emits w0 to w9 and a bolt "mid" that does
the deed on w3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from heronshim.api import Grouping, Stream, StreamRef, TopologyBuilder, Tuple
from tests.compat.conftest import Feed, Rich, Run, Sink
from tests.compat.trees import (
    ALL,
    LATE_S,
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


# ---- 21: trees ----


class PerTask(Feed):
    """Message ids that say which task made them."""

    def next_tuple(self) -> None:
        if self.waiting:
            number = self.waiting.pop(0)
            self.emit(self.rows[number], id=(self.context.task_id, number))


def test_s21_a_complete_tree_is_acked_once_on_the_task_that_emitted_it(start: Start) -> None:
    run = start(
        TopologyBuilder("trees")
        .options(containers=2, message_timeout_s=T_S)
        .spout("z", PerTask.spec(rows=WORDS * 20, parallelism=3))
        .bolt("mid", Relays.spec(inputs=["z"], parallelism=2))
        .bolt("sink", Acks.spec(inputs={"mid": Grouping.fields("word")}, parallelism=2))
    )
    run.run_for(3 * T_S)
    assert run.heard("z", "fail") == []
    acks = [(note.task, note.value) for note in run.notes if note.what == "ack"]
    assert all(task == task_of_id for task, (task_of_id, _) in acks)
    assert Counter(id_ for _, id_ in acks) == {
        (task, number): 1 for task in run.task_ids("z") for number in range(200)
    }
    assert run.pending == 0


def test_s21_the_ack_waits_for_the_last_descendant(start: Start) -> None:
    run = start(chain(sink=Holds))
    run.run_until_idle()
    sink = part(run, "sink")
    assert settled(run) == ([], [])
    assert run.pending == 10
    for tup in sink.tuples[5:]:
        sink.ack(tup)
    run.run_until_idle()
    assert settled(run) == ([5, 6, 7, 8, 9], [])
    for tup in sink.tuples[:5]:
        sink.ack(tup)
    run.run_until_idle()
    assert settled(run) == (ALL, [])


def test_s21_every_copy_of_a_tuple_belongs_to_its_tree(start: Start) -> None:
    run = start(
        TopologyBuilder("trees")
        .spout("z", Feed.spec(rows=[["x"]]))
        .bolt("a", Holds.spec(inputs={"z": Grouping.all()}, parallelism=3))
        .bolt("b", Holds.spec(inputs=["z"]))
    )
    run.run_until_idle()
    holders = run.objects("a") + run.objects("b")
    for holder in holders:
        assert settled(run) == ([], [])
        (tup,) = holder.tuples
        holder.ack(tup)
        run.run_until_idle()
    assert settled(run) == ([0], [])


class NoConsumer(Feed):
    outputs = {"default": ["word"], "unused": ["word"]}


def test_s21a_a_tuple_without_a_consumer_is_acked_at_once(start: Start) -> None:
    run = start(TopologyBuilder("trees").spout("z", NoConsumer.spec(rows=WORDS, stream="unused")))
    run.run_until_idle()
    assert settled(run) == (ALL, [])
    assert run.now_s < 1
    assert part(run, "z").returned == [[]] * 10


class AcksThenFails(Deed):
    """The ack leaves nothing open, then comes a fail."""

    def deed(self, tup: Tuple) -> None:
        self.ack(tup)
        self.fail(tup)


class FailsThenAcks(Deed):
    def deed(self, tup: Tuple) -> None:
        self.fail(tup)
        self.ack(tup)


def test_s21b_where_a_fail_meets_a_complete_tree_the_ack_wins(start: Start) -> None:
    """Storm: Acker.execute tests for zero before it tests for failed."""
    run = start(chain(AcksThenFails))
    run.run_for(3 * T_S)
    assert settled(run) == (ALL, [])


def test_s21b_a_fail_before_the_last_ack_wins(start: Start) -> None:
    run = start(chain(FailsThenAcks))
    run.run_for(3 * T_S)
    assert settled(run) == ([0, 1, 2, 4, 5, 6, 7, 8, 9], [3])


class AcksThenFailsOpen(Deed):
    """As AcksThenFails, with a child outstanding."""

    def deed(self, tup: Tuple) -> None:
        self.emit(tup.values, anchors=[tup])
        self.ack(tup)
        self.fail(tup)


def test_s21b_a_late_fail_wins_while_the_tree_is_open(start: Start) -> None:
    """Storm (measured): ack, then fail of one tuple with a child outstanding: spout.fail."""
    run = start(chain(AcksThenFailsOpen))
    run.run_for(3 * T_S)
    assert settled(run) == ([0, 1, 2, 4, 5, 6, 7, 8, 9], [3])
    assert ["w3"] in run.heard("sink", "execute")
    assert run.errors() == []


class AcksTwiceOpen(Deed):
    def deed(self, tup: Tuple) -> None:
        self.emit(tup.values, anchors=[tup])
        self.ack(tup)
        self.ack(tup)


def test_s21c_a_double_ack_of_an_open_tree_ends_in_the_timeout(start: Start) -> None:
    """Storm (Java): the second ack XORs the tuple's edge back in; no error."""
    run = start(chain(AcksTwiceOpen))
    run.run_for(T_S)
    assert settled(run) == ([0, 1, 2, 4, 5, 6, 7, 8, 9], [])
    run.run_for(T_S)
    assert settled(run) == ([0, 1, 2, 4, 5, 6, 7, 8, 9], [3])
    assert run.errors() == []


class Directs(Feed):
    outputs = {"there": Stream(["word"], direct=True)}

    def next_tuple(self) -> None:
        while self.waiting:
            number = self.waiting.pop(0)
            task = 1 if number % 2 else 50
            self.returned.append(list(self.emit_direct(task, ["x"], stream="there", id=number)))


def test_s21d_emit_direct_to_nobody_is_acked_at_once(start: Start) -> None:
    run = start(
        TopologyBuilder("trees")
        .spout("z", Directs.spec(rows=WORDS))
        .bolt("a", Holds.spec(inputs={StreamRef("z", "there"): Grouping.direct()}))
    )
    run.run_until_idle()
    assert settled(run) == ([0, 2, 4, 6, 8], [])
    assert part(run, "z").returned == [[], [1]] * 5
    assert len(part(run, "a").tuples) == 5
    assert run.pending == 5


# ---- 22: without tracking ----


class AckSeen(Feed):
    """Says after each emit whether its ack had come by then."""

    def next_tuple(self) -> None:
        before = len(self.run.heard("z", "ack"))
        waiting = len(self.waiting)
        super().next_tuple()
        if waiting:
            self.note("acked in emit", len(self.run.heard("z", "ack")) - before)


def test_s22_at_most_once_acks_at_emit(start: Start) -> None:
    """Storm with ackers = 0: ack is called inside emit, whatever becomes of the tuple."""
    run = start(chain(Holds, feed=AckSeen, delivery="at_most_once"))
    run.run_for(3 * T_S)
    assert run.heard("z", "acked in emit") == [1] * 10
    assert settled(run) == (ALL, [])
    assert len(part(run, "mid").tuples) == 10
    assert run.pending == 0


def test_s22_at_most_once_hears_no_fail(start: Start) -> None:
    run = start(chain(sink=FailsSink, delivery="at_most_once"))
    run.run_for(3 * T_S)
    assert settled(run) == (ALL, [])
    assert run.heard("sink", "execute") == WORDS


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
def test_s22_without_a_message_id_neither_ack_nor_fail_comes(start: Start, delivery: str) -> None:
    """Storm (measured): message id {} all the way, fail and timeout unheard."""
    run = start(chain(sink=FailsSink, spout={"reliable": False}, delivery=delivery))
    run.run_for(3 * T_S)
    assert settled(run) == ([], [])
    assert run.heard("sink", "execute") == WORDS
    assert run.pending == 0


def test_s22_tracking_is_on_by_default(start: Start) -> None:
    """Storm: topology.acker.executors unset means one per worker."""
    topology = TopologyBuilder("trees").spout("z", Feed.spec(rows=[["x"]]))
    run = start(topology.bolt("a", Holds.spec(inputs=["z"])))
    run.run_until_idle()
    assert (settled(run), run.pending) == (([], []), 1)


# ---- 23: fails ----


class FailsW3(Deed):
    def deed(self, tup: Tuple) -> None:
        self.fail(tup)


class EmitsThenFailsW3(Deed):
    def deed(self, tup: Tuple) -> None:
        self.emit(tup.values, anchors=[tup])
        self.fail(tup)


@pytest.mark.parametrize(
    ("mid", "sink", "sees_w3"),
    [(FailsW3, Acks, False), (EmitsThenFailsW3, Acks, True), (Relays, FailsSink, True)],
)
def test_s23_a_fail_anywhere_fails_the_tree_at_once_and_once(
    start: Start, mid: type[Sink], sink: type[Sink], sees_w3: bool
) -> None:
    """Storm (measured): spout.fail within milliseconds; what was emitted before still arrives."""
    run = start(chain(mid, sink))
    run.run_until_idle()
    assert run.now_s < 1, "not by the timeout"
    assert settled(run) == ([0, 1, 2, 4, 5, 6, 7, 8, 9], [3])
    assert (["w3"] in run.heard("sink", "execute")) == sees_w3
    run.run_for(3 * T_S)
    assert settled(run) == ([0, 1, 2, 4, 5, 6, 7, 8, 9], [3])


def test_s23_acks_and_fails_after_a_fail_are_ignored(start: Start) -> None:
    """Several descendants fail and others are acked: the spout hears one fail."""
    run = start(
        TopologyBuilder("trees")
        .spout("z", Feed.spec(rows=[["x"]]))
        .bolt("a", Holds.spec(inputs={"z": Grouping.all()}, parallelism=4))
    )
    run.run_until_idle()
    one, two, three, four = run.objects("a")
    two.fail(two.tuples[0])
    run.run_until_idle()
    assert settled(run) == ([], [0])
    one.ack(one.tuples[0])
    three.fail(three.tuples[0])
    four.ack(four.tuples[0])
    two.ack(two.tuples[0])
    run.run_for(1)
    assert settled(run) == ([], [0])
    assert run.errors() == []


class FailsMany(Rich):
    """Fails what it gets 700 times, then holds the last."""

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        if len(self.tuples) <= 700:
            self.fail(tup)


@pytest.mark.parametrize("what", ["ack", "fail"])
def test_s23_outcomes_of_a_failed_tree_do_not_touch_its_successors(start: Start, what: str) -> None:
    """With one tree at a time a spout has 576 slots for trees, so that each is used again."""
    run = start(chain(FailsMany, rows=[["x"]], spout={"again": True}, max_spout_pending=1))
    run.run_until_idle()
    mid = part(run, "mid")
    *stale, last = mid.tuples
    assert (len(stale), run.pending) == (700, 1)
    for tup in stale:
        getattr(mid, what)(tup)
    run.run_until_idle()
    assert settled(run) == ([], [0] * 700)
    assert run.pending == 1
    mid.ack(last)
    run.run_until_idle()
    assert settled(run) == ([0], [0] * 700)


# ---- 24: timeouts ----


class Timed(Feed):
    """Rows are [seconds at which to emit, word]."""

    def next_tuple(self) -> None:
        if self.waiting and self.run.now_s >= self.rows[self.waiting[0]][0]:
            number = self.waiting.pop(0)
            self.note("emit", number)
            self.emit(self.rows[number][1:], id=number)


def test_s24_a_tree_times_out_between_t_and_1_25_t(start: Start) -> None:
    """Storm: between T and 2T (a map of two buckets turned every T; 9.68-9.99 s measured at 5).

    Differs: four epochs make it T to 1.25 T.
    """
    rows = [[0.37 * number, "x"] for number in range(40)]
    run = start(chain(Holds, rows=rows, feed=Timed))
    run.run_for(15 + 2 * T_S)
    assert settled(run) == ([], list(range(40)))
    emitted = dict(zip(run.heard("z", "emit"), run.times_s("z", "emit"), strict=True))
    waited = [
        at_s - emitted[id_]
        for id_, at_s in zip(run.heard("z", "fail"), run.times_s("z", "fail"), strict=True)
    ]
    assert min(waited) >= T_S
    assert max(waited) <= 1.25 * T_S + LATE_S
    assert max(waited) - min(waited) > 0.1 * T_S, "emits are spread over an epoch"


def test_s24_timeouts_can_be_switched_off(start: Start) -> None:
    """Storm: topology.enable.message.timeouts=false."""
    run = start(chain(sink=Holds, message_timeouts=False))
    run.run_for(50 * T_S)
    assert settled(run) == ([], [])
    sink = part(run, "sink")
    for tup in sink.tuples:
        sink.ack(tup)
    run.run_until_idle()
    assert settled(run) == (ALL, [])


class Resets(Rich):
    """Resets the timeout at each tick and acks in the eighth."""

    resets = True

    def execute(self, tup: Tuple) -> None:
        if not tup.is_tick:
            super().execute(tup)
            return
        self.note("tick")
        for held in self.tuples:
            if len(self.run.heard("mid", "tick")) == 8:
                self.ack(held)
            elif self.resets:
                self.reset_timeout(held)


class NeverResets(Resets):
    resets = False


@pytest.mark.parametrize("mid", [Resets, NeverResets])
def test_s24_reset_timeout_keeps_a_tree_open(start: Start, mid: type[Resets]) -> None:
    """Storm (measured): resetTimeout every 2 s for 16 s, then ack: acked; without it, failed."""
    run = start(
        TopologyBuilder("trees")
        .options(message_timeout_s=T_S)
        .spout("z", Feed.spec(rows=WORDS))
        .bolt("mid", mid.spec(inputs=["z"], options={"tick_interval_s": T_S / 2}))
    )
    run.run_for(5 * T_S)
    assert settled(run) == ((ALL, []) if mid.resets else ([], ALL))


def test_s24_after_a_reset_the_whole_timeout_begins_again(start: Start) -> None:
    run = start(chain(Holds, rows=[["x"]]))
    run.run_for(0.75 * T_S)
    mid = part(run, "mid")
    reset_s = run.now_s
    mid.reset_timeout(mid.tuples[0])
    run.run_for(3 * T_S)
    (failed_s,) = run.times_s("z", "fail")
    assert T_S <= failed_s - reset_s <= 1.25 * T_S + LATE_S


# ---- 25: lost, late and repeated ----


class Drops(Deed):
    def deed(self, tup: Tuple) -> None:
        """Neither ack nor fail."""


def test_s25_a_tuple_that_nobody_acks_times_out(start: Start) -> None:
    run = start(chain(Drops, spout={"again": True}))
    run.run_for(2.6 * T_S)
    acks, fails = settled(run)
    assert acks == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert fails == [3, 3], "failed, emitted again, failed again"
    first_s, second_s = run.times_s("z", "fail")
    assert first_s >= T_S
    assert second_s >= first_s + T_S


class DiesOnce(Deed):
    """The first time it meets w3 its process ends."""

    died = False

    def deed(self, tup: Tuple) -> None:
        if not DiesOnce.died:
            DiesOnce.died = True
            msg = "boom"
            raise RuntimeError(msg)
        self.ack(tup)


def test_s25_what_a_dead_bolt_had_times_out(start: Start) -> None:
    """Storm: its tuples are forgotten, neither acked nor failed, and left to the timeout."""
    DiesOnce.died = False
    run = start(chain(DiesOnce, on_user_exception="restart", spout={"again": True}))
    run.run_for(2)
    assert [process for process, _ in run.restarts] == ["mid-1"]
    acks, fails = settled(run)
    assert fails == []
    assert 3 not in acks
    run.run_for(2 * T_S)
    acks, fails = settled(run)
    assert acks == ALL
    assert 3 in fails
    assert min(run.times_s("z", "fail")) >= T_S


class AcksTwice(Deed):
    def deed(self, tup: Tuple) -> None:
        self.ack(tup)
        self.ack(tup)


def test_s25_a_second_ack_of_a_complete_tree_is_silent(start: Start) -> None:
    """Storm (measured): the spout is acked once, at once, no error."""
    run = start(chain(AcksTwice))
    run.run_until_idle()
    assert run.now_s < 1
    assert settled(run) == (ALL, [])
    run.run_for(3 * T_S)
    assert settled(run) == (ALL, [])
    assert (run.errors(), run.restarts) == ([], [])


def test_s25_an_ack_long_after_the_timeout_is_silent(start: Start) -> None:
    """Storm (measured): no ack, the fail stands; nothing is wrong for the bolt."""
    run = start(chain(sink=Holds, rows=[["x"]]))
    run.run_for(3 * T_S)
    assert settled(run) == ([], [0])
    sink = part(run, "sink")
    sink.ack(sink.tuples[0])
    sink.fail(sink.tuples[0])
    sink.reset_timeout(sink.tuples[0])
    run.run_for(3 * T_S)
    assert settled(run) == ([], [0])
    assert (run.errors(), run.restarts) == ([], [])


class Blocks(Deed):
    def deed(self, tup: Tuple) -> None:
        self.run.sleep(3 * T_S)
        self.emit(tup.values, anchors=[tup])
        self.ack(tup)


class AcksAtTick(Rich):
    """Acks what it holds at the next tick, so that nothing settles within one moment."""

    def execute(self, tup: Tuple) -> None:
        if not tup.is_tick:
            super().execute(tup)
            return
        for held in self.tuples:
            self.ack(held)
        self.tuples = []


def test_s25_what_waits_behind_a_blocked_execute_times_out_and_still_runs(start: Start) -> None:
    """Storm (measured): a bolt blocks for 12 s; 7 fails in one go; the copies run all the same.

    Differs: what has not left the spout's process yet has no time running, and does not fail.
    """
    rows = [[0.0 if number < 3 else 0.5, f"w{number}"] for number in range(10)]
    run = start(
        TopologyBuilder("trees")
        .options(message_timeout_s=T_S)
        .spout("z", Timed.spec(rows=rows))
        .bolt("mid", Blocks.spec(inputs=["z"]))
        .bolt("last", AcksAtTick.spec(inputs=["mid"], options={"tick_interval_s": 0.1}))
    )
    run.run_for(6 * T_S)
    acked, failed = settled(run)
    assert failed == list(range(3, 3 + len(failed)))
    assert len(failed) >= 3
    assert acked == [number for number in ALL if number not in failed]
    assert run.heard("mid", "execute") == WORDS
    assert len(set(run.times_s("z", "fail"))) == 1
