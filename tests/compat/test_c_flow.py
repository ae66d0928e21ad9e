"""Storm's semantics, section C: limits, back pressure, order and faults (29 to 33)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from heronshim.api import Context, FailTuple, Grouping, StreamRef, TopologyBuilder, Tuple
from tests.compat.conftest import Feed, Pass, Run, Sink
from tests.compat.trees import ALL, T_S, WORDS, Acks, Deed, Holds, chain, part, settled

pytestmark = pytest.mark.compat

Start = Callable[..., Run]


def many(count: int) -> list[list[str]]:
    return [[f"w{number}"] for number in range(count)]


# ---- 29: max spout pending ----


class Counted(Feed):
    """Notes each call with the number of its tuples that are open then."""

    def next_tuple(self) -> None:
        done = sum(
            n.task == self.context.task_id and n.what in ("ack", "fail") for n in self.run.notes
        )
        self.note("call", len(self.returned) - done)
        super().next_tuple()


def pending_run(start: Start, **changes: Any) -> Run:
    """A spout whose tuples stay open, run until it is not called any more."""
    spout = {"rows": many(100), **changes.pop("spout", {})}
    options = changes.pop("options", {"max_spout_pending": 5})
    topology = (
        TopologyBuilder("pending")
        .options(message_timeouts=False, **options)
        .spout("z", Counted.spec(**spout, **changes))
        .bolt("a", Holds.spec(inputs=["z"]))
    )
    run = start(topology)
    run.run_for(1)
    return run


def test_s29_a_spout_is_not_called_while_it_has_its_limit_open(start: Start) -> None:
    """Storm (measured, limit 5): exactly 5 open; the next call only after an ack or fail."""
    run = pending_run(start)
    assert run.pending == 5
    calls = len(run.heard("z", "call"))
    assert calls == 5
    run.run_for(5)
    assert len(run.heard("z", "call")) == calls
    sink = part(run, "a")
    for settle in (sink.ack, sink.fail) * 5:
        settle(sink.tuples[len(run.heard("z", "ack")) + len(run.heard("z", "fail"))])
        run.run_for(0.5)
        calls += 1
        assert (run.pending, len(run.heard("z", "call"))) == (5, calls)
    assert max(run.heard("z", "call")) == 4


def test_s29_a_call_that_emits_several_overshoots(start: Start) -> None:
    """Storm (measured): limit 5, three a call: 6 open; the check is before nextTuple only.

    Differs: the limit is checked before each burst of calls until a call has emitted more than
    one tuple, so that a spout which does so for the first time may overshoot by a burst.
    """
    run = pending_run(start, spout={"per_call": 3})
    assert run.pending == 6
    assert run.heard("z", "call") == [0, 3]
    sink = part(run, "a")
    sink.ack(sink.tuples[0])
    run.run_for(1)
    assert run.pending == 5
    assert len(run.heard("z", "call")) == 2
    sink.ack(sink.tuples[1])
    run.run_for(1)
    assert run.pending == 7
    assert run.heard("z", "call") == [0, 3, 4]


def test_s29_unreliable_tuples_do_not_count(start: Start) -> None:
    run = pending_run(start, spout={"reliable": False})
    assert len(part(run, "a").tuples) == 100
    assert run.pending == 0


def test_s29_a_component_may_have_a_limit_of_its_own(start: Start) -> None:
    """Storm: topology.max.spout.pending in the component's conf. 0 here is Storm's null."""
    run = pending_run(start, options={"max_spout_pending": 5, "containers": 1})
    assert run.pending == 5
    own = {"rows": many(100)}
    run = pending_run(start, spout=own | {"options": {"max_spout_pending": 9}})
    assert run.pending == 9
    run = pending_run(start, spout=own | {"options": {"max_spout_pending": 0}})
    assert run.pending == 100


def test_s29_the_limit_is_each_tasks(start: Start) -> None:
    """Storm: limit x tasks of the executor, against one shared map.

    Differs: each task has the limit to itself, so that one cannot use another's share; the sum of
    an executor's tasks is the same.
    """
    run = pending_run(start, parallelism=1, tasks=3)
    assert run.pending == 15
    open_by_task = dict.fromkeys(run.task_ids("z"), 0)
    for note in run.notes:
        open_by_task[note.task] = open_by_task.get(note.task, 0) + (note.what == "emit")
    assert {open_by_task[task] for task in run.task_ids("z")} == {5}


# ---- 30: back pressure ----


class Flood(Feed):
    """Emits [number, 2 KB of text] as fast as it is called."""

    outputs = ["number", "text"]

    def __init__(self, count: int, reliable: bool) -> None:
        super().__init__(reliable=reliable)
        self.count = count
        self.emitted = 0

    def next_tuple(self) -> None:
        if self.emitted < self.count:
            id_ = self.emitted if self.reliable else None
            self.emit([self.emitted, "x" * 2000], id=id_)
            self.emitted += 1


class Slow(Sink):
    """Takes 2 ms a tuple and keeps numbers only."""

    def execute(self, tup: Tuple) -> None:
        self.run.sleep(0.002)
        self.tuples.append(tup)


@pytest.mark.parametrize("reliable", [False, True])
@pytest.mark.parametrize("containers", [1, 2])
def test_s30_a_slow_bolt_slows_its_spout_and_nothing_is_lost(
    start: Start, reliable: bool, containers: int
) -> None:
    """Storm: bounded queues; no loss, no deadlock, order kept. Here bytes bound them (D4): at most
    1 MiB on each hop and in the spout's process, and a frame over on each.
    """
    count = 4000
    places = 3 if containers == 1 else 4
    tuples_max = places * ((1 << 20) + (64 << 10)) // 2000
    run = start(
        TopologyBuilder("slow")
        .options(containers=containers, max_spout_pending=0, message_timeouts=False)
        .spout("z", Flood.spec(count=count, reliable=reliable))
        .bolt("a", Slow.spec(inputs=["z"]))
    )
    waiting = []
    while not run.objects("a") or len(part(run, "a").tuples) < count:
        run.run_for(0.1)
        waiting.append(part(run, "z").emitted - len(part(run, "a").tuples))
        assert run.now_s < 60
    assert max(waiting) < tuples_max < count
    assert max(waiting[: len(waiting) // 2]) > 100, "the spout is ahead of the bolt at all"
    assert [tup[0] for tup in part(run, "a").tuples] == list(range(count))
    run.run_until_idle()
    assert run.heard("z", "ack") == (list(range(count)) if reliable else [])
    assert run.heard("z", "fail") == []


class Doubles(Sink):
    """Emits two of each number less one to itself, with 1 KB each."""

    outputs = ["left", "text"]

    def execute(self, tup: Tuple) -> None:
        self.note("execute", tup[0])
        for _ in range(2 if tup[0] else 0):
            self.emit([tup[0] - 1, "x" * 1000])


@pytest.mark.parametrize("reliable", [False, True])
def test_s30_an_amplifying_loop_does_not_lock_up(start: Start, reliable: bool) -> None:
    """2 x 2047 tuples of 1 KB go round two tasks in two containers, over windows of 256 KiB."""
    run = start(
        TopologyBuilder("loop")
        .options(containers=2)
        .spout("z", Feed.spec(rows=[[10, ""], [10, ""]], reliable=reliable))
        .bolt("a", Doubles.spec(inputs=["z", "a"], parallelism=2))
    )
    run.run_until_idle()
    assert len(run.heard("a", "execute")) == 2 * 2047
    assert settled(run) == (([0, 1] if reliable else []), [])


# ---- 31: order ----


class Numbered(Feed):
    """Emits [own task, number]."""

    outputs = ["task", "number"]

    def next_tuple(self) -> None:
        if self.waiting:
            number = self.waiting.pop(0)
            self.emit([self.context.task_id, number], id=number)


def test_s31_order_is_kept_on_each_edge(start: Start) -> None:
    """Storm: tuples from one task to another arrive in the order of their emits."""
    run = start(
        TopologyBuilder("order")
        .options(containers=2)
        .spout("z", Numbered.spec(rows=many(600), parallelism=2))
        .bolt(
            "mid",
            Pass.spec(
                inputs={"z": Grouping.fields("task")}, parallelism=2, outputs=["task", "number"]
            ),
        )
        .bolt("sink", Sink.spec(inputs=["mid", "z"], parallelism=3))
    )
    run.run_until_idle()
    for component in ("mid", "sink"):
        edges: dict[tuple[int, int, int], list[int]] = defaultdict(list)
        for place in run.objects(component):
            for tup in place.tuples:
                edges[place.context.task_id, tup.task, tup[0]].append(tup[1])
        assert sum(map(len, edges.values())) == (1200 if component == "mid" else 2400)
        for numbers in edges.values():
            assert all(earlier < later for earlier, later in pairwise(numbers))


class ManyStreams(Feed):
    """Emits numbers on three streams in turns that never repeat."""

    outputs = {"default": ["number"], "second": ["number"], "third": ["number"]}

    def next_tuple(self) -> None:
        for _ in range(min(7, len(self.waiting))):
            number = self.waiting.pop(0)
            stream = ("third", "default", "second", "default")[number * number % 7 % 4]
            self.emit([number], id=number if self.reliable else None, stream=stream)


@pytest.mark.parametrize("reliable", [False, True])
def test_s31_order_is_kept_between_streams_of_one_edge(start: Start, reliable: bool) -> None:
    """Storm: all streams from one task to another share its queues, so a marker on a stream of
    its own arrives behind the tuples that were emitted before it (checkpoints and Trident's
    coordination live on that)."""
    run = start(
        TopologyBuilder("order")
        .spout("z", ManyStreams.spec(rows=many(500), reliable=reliable))
        .bolt("a", Sink.spec(inputs=["z", StreamRef("z", "second"), StreamRef("z", "third")]))
    )
    run.run_until_idle()
    assert [values[0] for values in run.heard("a", "execute")] == list(range(500))


class Reports(Deed):
    """Emits on one stream, then on another, then acks."""

    outputs = {"default": ["word"], "audit": ["word"]}

    def execute(self, tup: Tuple) -> None:
        self.emit([f"{tup[0]} begins"], anchors=[tup], stream="audit")
        self.emit(tup.values, anchors=[tup])
        self.emit([f"{tup[0]} ends"], anchors=[tup], stream="audit")
        self.ack(tup)


def test_s31_emits_before_an_ack_are_seen_in_order(start: Start) -> None:
    run = start(
        TopologyBuilder("order")
        .spout("z", Feed.spec(rows=WORDS))
        .bolt("mid", Reports.spec(inputs=["z"]))
        .bolt("sink", Acks.spec(inputs=["mid", StreamRef("mid", "audit")]))
    )
    run.run_until_idle()
    assert [values[0] for values in run.heard("sink", "execute")] == [
        text for (word,) in WORDS for text in (f"{word} begins", word, f"{word} ends")
    ]
    last = run.times_s("sink", "execute")
    for number, at_s in zip(run.heard("z", "ack"), run.times_s("z", "ack"), strict=True):
        assert at_s >= last[3 * number + 2], "acked after all that was emitted for it ran"


# ---- 32: basic bolts ----


class BasicDeed(Pass):
    """A basic bolt that does something else with w3, after it emitted."""

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        if tup[0] == "w3":
            self.deed(tup)

    def deed(self, tup: Tuple) -> None:
        raise NotImplementedError


class BasicSinkDeed(Sink):
    """The same for a bolt that emits nothing: its batches are acked another way."""

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        if tup[0] == "w3":
            raise FailTuple


class RaisesFailTuple(BasicDeed):
    def deed(self, tup: Tuple) -> None:
        raise FailTuple


class ReportsAndFails(BasicDeed):
    def deed(self, tup: Tuple) -> None:
        self.report_error("bad word")
        raise FailTuple


class RaisesOther(BasicDeed):
    def deed(self, tup: Tuple) -> None:
        msg = f"cannot read {tup[0]}"
        raise ValueError(msg)


class CallsFail(BasicDeed):
    def deed(self, tup: Tuple) -> None:
        self.fail(tup)


class CallsAck(BasicDeed):
    def deed(self, tup: Tuple) -> None:
        self.ack(tup)


class RaisesOnce(BasicDeed):
    raised = False

    def deed(self, tup: Tuple) -> None:
        if not RaisesOnce.raised:
            RaisesOnce.raised = True
            msg = f"cannot read {tup[0]}"
            raise ValueError(msg)


NOT_3 = [number for number in ALL if number != 3]


def test_s32_basic_bolts_anchor_and_ack_by_themselves(start: Start) -> None:
    run = start(chain(Pass, Holds))
    run.run_until_idle()
    assert settled(run) == ([], [])
    sink = part(run, "sink")
    for tup in sink.tuples:
        sink.ack(tup)
    run.run_until_idle()
    assert settled(run) == (ALL, [])


class SlowNotes(Sink):
    def execute(self, tup: Tuple) -> None:
        self.run.sleep(0.002)
        super().execute(tup)


def test_s32_acks_follow_execute_not_the_batch(start: Start) -> None:
    """Tuples that arrive together are acked as they are done, not when all are."""
    run = start(one_bolt(SlowNotes, rows=many(64)))
    run.run_until_idle()
    assert sorted(run.heard("z", "ack")) == list(range(64))
    assert min(run.times_s("z", "ack")) < run.times_s("mid", "execute")[40]


@pytest.mark.parametrize("mid", [RaisesFailTuple, BasicSinkDeed])
def test_s32_fail_tuple_fails_without_a_report(start: Start, mid: type[Sink]) -> None:
    """Storm: FailedException out of BasicBolt.execute."""
    run = start(one_bolt(mid))
    run.run_until_idle()
    assert run.now_s < 1
    assert settled(run) == (NOT_3, [3])
    assert run.errors() == []
    assert run.counts("mid")["ack_count"] == 9
    assert run.counts("mid")["fail_count"] == 1


def one_bolt(mid: type[Sink], rows: list[Any] | None = None, **options: Any) -> TopologyBuilder:
    """Spout "z" -> "mid", whose emits nobody takes."""
    return (
        TopologyBuilder("basic")
        .options(message_timeout_s=T_S, **options)
        .spout("z", Feed.spec(rows=rows or WORDS))
        .bolt("mid", mid.spec(inputs=["z"]))
    )


def test_s32_a_reported_failure_is_reported_and_fails(start: Start) -> None:
    """Storm: ReportedFailedException; here report_error and FailTuple."""
    run = start(chain(ReportsAndFails))
    run.run_until_idle()
    assert settled(run) == (NOT_3, [3])
    (error,) = run.errors()
    assert (error.component, error.message) == ("mid", "bad word")
    assert "w3" in error.in_hand


def test_s32_another_exception_fails_its_tuple_and_the_bolt_goes_on(start: Start) -> None:
    """Differs: heronshim's default, `on_user_exception: fail_tuple`; in Storm the worker dies."""
    run = start(chain(RaisesOther))
    run.run_until_idle()
    assert run.now_s < 1
    assert settled(run) == (NOT_3, [3])
    assert run.restarts == []
    (error,) = run.errors()
    assert (error.component, error.task) == ("mid", run.task_ids("mid")[0])
    assert error.message == "ValueError: cannot read w3"
    assert "Traceback" in error.detail
    assert len(run.heard("mid", "prepare")) == 1


def test_s32_another_exception_ends_the_process_with_restart(start: Start) -> None:
    """Storm: any other exception out of a BasicBolt kills the worker: `restart`."""
    RaisesOnce.raised = False
    run = start(chain(RaisesOnce, on_user_exception="restart", spout={"again": True}))
    run.run_for(3 * T_S)
    ((process, error),) = run.restarts
    assert (process, str(error)) == ("mid-1", "cannot read w3")
    assert len(run.heard("mid", "prepare")) == 2
    assert settled(run)[0] == ALL
    assert 3 in settled(run)[1], "left to the timeout"
    assert min(run.times_s("z", "fail")) >= T_S


def test_s32_fail_in_a_basic_bolt_fails_its_tuple(start: Start) -> None:
    """Storm's BasicOutputCollector has no fail; here it says what FailTuple says."""
    run = start(chain(CallsFail))
    run.run_for(3 * T_S)
    assert settled(run) == (NOT_3, [3])
    assert run.counts("mid")["ack_count"] == 9


def test_s32_ack_in_a_basic_bolt_is_what_it_does_anyway(start: Start) -> None:
    """Storm's BasicOutputCollector has no ack; a tuple must not be acked twice here."""
    run = start(chain(CallsAck))
    run.run_for(3 * T_S)
    assert settled(run) == (ALL, [])


# ---- 33: faults ----


class RaisesInExecute(Sink):
    """Raises at w3, each time."""

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        if tup[0] == "w3":
            msg = "boom"
            raise RuntimeError(msg)


class RaisesInNextTuple(Feed):
    """Raises in its sixth call, once."""

    raised = False

    def next_tuple(self) -> None:
        if self.waiting and self.waiting[0] == 5 and not RaisesInNextTuple.raised:
            RaisesInNextTuple.raised = True
            msg = "boom"
            raise RuntimeError(msg)
        super().next_tuple()


def test_s33_an_exception_in_next_tuple_ends_the_process_with_restart(start: Start) -> None:
    """Storm (measured): the spout starts from its own beginning; fail() is never called for what
    was in flight; acks for the old trees are forgotten."""
    RaisesInNextTuple.raised = False
    run = start(chain(sink=Holds, feed=RaisesInNextTuple, on_user_exception="restart"))
    run.run_until_idle()
    ((process, error),) = run.restarts
    assert process.startswith("z-")
    assert str(error) == "boom"
    assert len(run.heard("z", "open")) == 2
    assert run.heard("z", "emit") == [0, 1, 2, 3, 4, *ALL]
    sink = part(run, "sink")
    old = len(sink.tuples) - 10
    for tup in sink.tuples[:old]:
        sink.ack(tup)
    run.run_until_idle()
    assert settled(run) == ([], []), "trees of the first life are gone"
    for tup in sink.tuples[old:]:
        sink.ack(tup)
    run.run_for(3 * T_S)
    assert settled(run) == (ALL, [])


def test_s33_an_exception_in_next_tuple_is_reported_and_the_spout_goes_on(start: Start) -> None:
    """Differs: heronshim's default, `on_user_exception: fail_tuple`."""
    RaisesInNextTuple.raised = False
    run = start(chain(feed=RaisesInNextTuple))
    run.run_until_idle()
    assert run.restarts == []
    assert [error.message for error in run.errors()] == ["RuntimeError: boom"]
    assert settled(run) == (ALL, [])


class RaisesInCallbacks(Feed):
    def ack(self, id: Any) -> None:
        super().ack(id)
        if id == 3:
            msg = "boom in ack"
            raise RuntimeError(msg)

    def fail(self, id: Any) -> None:
        super().fail(id)
        msg = "boom in fail"
        raise RuntimeError(msg)


def test_s33_an_exception_in_ack_or_fail_loses_no_other_callback(start: Start) -> None:
    run = start(chain(RaisesFailTuple5, feed=RaisesInCallbacks))
    run.run_until_idle()
    assert settled(run) == ([number for number in ALL if number != 5], [5])
    assert sorted(error.message for error in run.errors()) == [
        "RuntimeError: boom in ack",
        "RuntimeError: boom in fail",
    ]


class RaisesFailTuple5(Pass):
    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        if tup[0] == "w5":
            raise FailTuple


def test_s33_a_component_may_have_its_own_rule(start: Start) -> None:
    """The option of a component goes over the topology's."""
    run = start(
        TopologyBuilder("faults")
        .options(on_user_exception="restart", message_timeout_s=T_S)
        .spout("z", Feed.spec(rows=WORDS))
        .bolt("a", RaisesInExecute.spec(inputs=["z"], options={"on_user_exception": "fail_tuple"}))
    )
    run.run_until_idle()
    assert run.restarts == []
    assert settled(run) == (NOT_3, [3])


class Neighbour(Sink):
    """Tasks of one process; task 2 raises at its third tuple."""

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        super().prepare(config, context)
        context.resources["prepared"] = context.resources.get("prepared", 0) + 1

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        lives = len([note for note in self.run.notes if note[2:4] == (2, "prepare")])
        if self.context.task_id == 2 and lives == 1 and len(self.tuples) == 3:
            msg = "boom"
            raise RuntimeError(msg)


def test_s33_all_tasks_of_the_process_end_and_come_back_together(start: Start) -> None:
    """Storm: the worker dies with every task in it; other workers' tasks are not prepared again."""
    run = start(
        TopologyBuilder("faults")
        .options(on_user_exception="restart", message_timeout_s=T_S)
        .spout("z", Feed.spec(rows=many(40), again=True))
        .bolt("a", Neighbour.spec(inputs=["z"], parallelism=3, options={"process": "container"}))
        .bolt("b", Sink.spec(inputs=["z"]))
    )
    run.run_for(4 * T_S)
    assert [process for process, _ in run.restarts] == ["a-1"]
    assert [note.task for note in run.notes if (note.component, note.what) == ("a", "prepare")] == [
        1, 2, 3, 1, 2, 3,
    ]  # fmt: skip
    assert len(run.heard("b", "prepare")) == 1
    assert len(run.heard("z", "open")) == 1
    assert part_resources(run) == [3, 3, 3], "resources are of the new process"
    acks, fails = settled(run)
    assert acks == list(range(40))
    assert fails, "what the process held timed out"
    assert min(run.times_s("z", "fail")) >= T_S


def part_resources(run: Run) -> list[int]:
    return [place.context.resources["prepared"] for place in run.objects("a")]


class ReportsOften(Sink):
    """Reports an error with each tuple."""

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        self.report_error(f"trouble with {tup[0]}")


def test_s33_report_error_changes_nothing_for_the_tuple(start: Start) -> None:
    """Storm (measured): logged and shown; the tuple goes on, nothing restarts."""
    run = start(one_bolt(ReportsOften, rows=many(3)))
    run.run_until_idle()
    assert settled(run) == ([0, 1, 2], [])
    assert [error.message for error in run.errors()] == [f"trouble with w{n}" for n in range(3)]


class Ticked(Sink):
    """Reports three errors at each tick."""

    def execute(self, tup: Tuple) -> None:
        for _ in range(3):
            self.report_error(f"at {self.run.now_s:.0f}")


def test_s33_reports_are_limited_in_each_interval(start: Start) -> None:
    """Storm: topology.max.error.report.per.interval (5) in topology.error.throttle.interval.secs
    (10). The others are counted with the next one that is shown."""
    run = start(
        TopologyBuilder("faults")
        .spout("z", Feed.spec())
        .bolt("a", Ticked.spec(inputs=["z"], options={"tick_interval_s": 1}))
    )
    run.run_for(10.5)
    errors = run.errors()
    assert [error.message for error in errors] == ["at 1"] * 3 + ["at 2"] * 2
    assert run.counts("a")["error_count"] == 30
    run.run_for(2)
    later = run.errors()[5:]
    assert [error.message for error in later] == ["at 11"] * 3 + ["at 12"] * 2
    assert sum(error.count for error in errors + later) == 5 + 25 + 5
    run = start(
        TopologyBuilder("faults")
        .options(error_report_max=1, error_report_interval_s=3)
        .spout("z", Feed.spec())
        .bolt("a", Ticked.spec(inputs=["z"], options={"tick_interval_s": 1}))
    )
    run.run_for(6.5)
    assert [error.message for error in run.errors()] == ["at 1", "at 4"]
