"""A spout task: how often it is called, what it hears, and when its trees time out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heronshim.api import Spout, Tuple
from heronshim.core.codec.data import encode_outcomes
from heronshim.core.plan.physical import TopologyState
from heronshim.core.stream.frame import Kind
from heronshim.core.stream.histogram import bucket
from heronshim.instance.runtime import UserCodeFailed
from tests.unit.instance.loop import ALL, SHUFFLE, Feed, Hold, Loop, Take, bolt, output, spout


class Source(Spout):
    """Emits `per_call` numbers a call, up to `limit`, and notes what it hears."""

    per_call = 1
    limit = 1_000_000

    def open(self, config: Mapping[str, Any], context: Any) -> None:
        self.heard: list[Any] = ["open"]
        self.number = 0
        self.calls = 0

    def activate(self) -> None:
        self.heard.append("activate")

    def deactivate(self) -> None:
        self.heard.append("deactivate")

    def close(self) -> None:
        self.heard.append("close")

    def next_tuple(self) -> None:
        self.calls += 1
        for _ in range(self.per_call):
            if self.number < self.limit:
                self.emit([str(self.number)], id=self.number)
                self.number += 1

    def ack(self, id: Any) -> None:
        self.heard.append(("ack", id))

    def fail(self, id: Any) -> None:
        self.heard.append(("fail", id))


def source(**values: Any) -> type[Source]:
    return type("Made", (Source,), values)


def make_loop(kind: type, sink: type = Hold, grouping: Any = SHUFFLE, **options: Any) -> Loop:
    loop = Loop(
        [spout("s"), bolt("b", {"s": grouping}, parallelism=options.pop("sinks", 1))],
        {"s": kind, "b": sink},
        **options,
    )
    loop.open()
    return loop


def turn(loop: Loop, turns: int = 60) -> None:
    for _ in range(turns):
        loop.turn()


class TestPending:
    @pytest.mark.parametrize("limit", [1, 7, 64, 700])
    @pytest.mark.parametrize("sinks", [1, 3])
    def test_one_emit_a_call_never_passes_the_limit(self, limit, sinks):
        loop = make_loop(Source, max_spout_pending=limit, sinks=sinks)
        turn(loop)
        assert loop.one("s").number == loop.pending() == limit

    @pytest.mark.parametrize("copies", [SHUFFLE, ALL], ids=["one copy", "copies"])
    def test_several_emits_a_call_pass_it_by_less_than_one_call(self, copies):
        loop = make_loop(source(per_call=10), max_spout_pending=95, grouping=copies, sinks=2)
        turn(loop)
        assert loop.one("s").number == 100

    def test_next_tuple_goes_on_as_trees_complete(self):
        loop = make_loop(source(limit=500), Take, max_spout_pending=20)
        loop.run()
        assert loop.one("s").number == 500
        acks = [what for what in loop.one("s").heard if what[0] == "ack"]
        assert len(acks) == 500
        assert loop.pending() == 0

    def test_zero_is_no_limit(self):
        loop = make_loop(source(limit=20_000), max_spout_pending=0)
        turn(loop, 200)
        assert loop.pending() == 20_000

    def test_component_overrides_the_topology(self):
        loop = Loop(
            [spout("s", options={"max_spout_pending": 3}), bolt("b", {"s": SHUFFLE})],
            {"s": Source, "b": Hold},
            max_spout_pending=100,
        )
        turn(loop)
        assert loop.pending() == 3

    def test_tuples_without_an_id_do_not_count(self):
        class Untracked(Source):
            def next_tuple(self) -> None:
                if self.number < 100:
                    self.emit(["x"])
                    self.number += 1

        loop = make_loop(Untracked, max_spout_pending=1)
        turn(loop, 200)
        assert loop.one("s").number == 100
        assert loop.pending() == 0

    def test_rows_that_have_not_left_count(self):
        loop = make_loop(Source, max_spout_pending=50)
        runtime = loop.runtimes["s"]
        for _ in range(20):
            runtime.step(loop.now_ns)
        assert runtime.spout_pending() == loop.one("s").number == 50

    @pytest.mark.parametrize(("sinks", "rows"), [(1, 600), (3, 200)])
    def test_limit_is_shared_by_batches_on_their_way(self, sinks, rows):
        loop = make_loop(Source, Take, max_spout_pending=1200, sinks=sinks)
        turn(loop, 400)
        assert max(len(sent.rows) for sent in loop.sent if sent.kind is Kind.DATA) <= rows
        batches = loop.runtimes["s"]._outbox._batches
        assert [batch.rows_max for batch in batches] == [rows] * sinks

    def test_limit_is_no_limit_where_acks_come_at_emit(self):
        loop = make_loop(source(limit=500), max_spout_pending=10, delivery="at_most_once")
        loop.run()
        assert loop.one("s").number == 500


class TestLifecycle:
    def test_open_then_activate_then_next_tuple(self):
        loop = make_loop(source(limit=1), Take)
        loop.run()
        assert loop.one("s").heard == ["open", "activate", ("ack", 0)]
        for runtime in loop.runtimes.values():
            runtime.close()
        assert loop.one("s").heard[3:] == ["deactivate", "close"]

    def test_inactive_topology_is_not_opened_until_activated(self):
        loop = Loop(
            [spout("s"), bolt("b", {"s": SHUFFLE})],
            {"s": Source, "b": Take},
            state=TopologyState.INACTIVE,
        )
        turn(loop, 5)
        assert loop.made == {}
        loop.set_state(TopologyState.ACTIVE)
        turn(loop, 5)
        assert loop.one("s").heard[:2] == ["open", "activate"]

    def test_deactivated_spout_is_not_called_and_still_hears(self):
        loop = make_loop(source(limit=3))
        loop.run()
        loop.set_state(TopologyState.INACTIVE)
        loop.run()
        calls = loop.one("s").calls
        for tup in loop.one("b").got:
            loop.one("b").ack(tup)
        loop.run()
        heard = loop.one("s").heard
        assert heard[:3] == ["open", "activate", "deactivate"]
        assert sorted(heard[3:]) == [("ack", 0), ("ack", 1), ("ack", 2)]
        assert loop.one("s").calls == calls
        loop.set_state(TopologyState.ACTIVE)
        loop.run()
        assert heard[-1] == "activate"
        assert loop.one("s").calls > calls

    def test_plan_of_an_older_epoch_changes_nothing(self):
        loop = make_loop(source(limit=1), Take)
        old = loop.plan
        loop.set_state(TopologyState.INACTIVE)
        loop.run()
        loop.push(old)
        loop.run()
        assert loop.one("s").heard.count("activate") == 1
        assert "deactivate" in loop.one("s").heard


class TestErrors:
    @pytest.mark.parametrize("method", ["next_tuple", "ack", "fail"])
    def test_exception_is_reported_and_the_spout_goes_on(self, method):
        def raises(self: Any, *_: Any) -> None:
            getattr(Source, method)(self, *_)
            raise ValueError("spout")

        loop = make_loop(source(limit=3, **{method: raises}), metrics_interval_s=3600.0)
        turn(loop, 20)
        first, *rest = loop.one("b").got
        loop.one("b").fail(first)
        for tup in rest:
            loop.one("b").ack(tup)
        turn(loop, 20)
        heard = loop.one("s").heard[2:]
        assert sorted(heard) == [("ack", 1), ("ack", 2), ("fail", 0)]
        assert {error.message for error in loop.errors()} == {"ValueError: spout"}

    @pytest.mark.parametrize("method", ["next_tuple", "ack"])
    def test_restart_ends_the_process(self, method):
        def raises(self: Any, *_: Any) -> None:
            getattr(Source, method)(self, *_)
            raise ValueError("spout")

        loop = make_loop(
            source(limit=1),
            Take,
            on_user_exception="restart",
        )
        setattr(type(loop.one("s")), method, raises)
        with pytest.raises(UserCodeFailed, match="spout"):
            turn(loop, 20)

    def test_value_that_cannot_be_written_fails_its_id_and_opens_no_tree(self):
        loop = Loop([spout("s"), bolt("b", {"s": SHUFFLE})], {"s": Feed, "b": Take})
        loop.open()
        loop.feed([(["good"], 1), ([object()], 2), ([object()], None), (["fine"], 3)])
        loop.run()
        assert loop.one("b").rows == [["good"], ["fine"]]
        assert (sorted(loop.one("s").acked), loop.one("s").failed) == ([1, 3], [2])
        errors = loop.errors()
        assert len(errors) == 2
        assert 'component "s", stream "default", field "word"' in errors[0].message
        assert loop.pending() == 0
        assert loop.counts("s")["fail_count"] == 1

    def test_value_that_cannot_be_written_to_several_tasks_fails_once(self):
        loop = Loop([spout("s"), bolt("b", {"s": ALL}, parallelism=3)], {"s": Feed, "b": Take})
        loop.open()
        loop.feed([([object()], 2), (["fine"], 3)])
        loop.run()
        assert (loop.one("s").acked, loop.one("s").failed) == ([3], [2])
        assert loop.pending() == 0


class TestTimeouts:
    def test_tree_fails_once_between_one_and_one_and_a_quarter_timeouts(self):
        loop = make_loop(source(limit=2), message_timeout_s=8.0)
        loop.run()
        failed_after_s = None
        for second in range(1, 12):
            loop.now_ns += 1_000_000_000
            loop.run()
            if ("fail", 0) in loop.one("s").heard and failed_after_s is None:
                failed_after_s = second
        assert failed_after_s is not None
        assert 8 <= failed_after_s <= 11
        assert [what for what in loop.one("s").heard if what[0] == "fail"] == [
            ("fail", 0),
            ("fail", 1),
        ]
        assert loop.counts("s")["timeout_count"] == loop.counts("s")["fail_count"] == 2

    def test_timeouts_may_be_off(self):
        loop = make_loop(source(limit=1), message_timeouts=False, message_timeout_s=1.0)
        loop.run()
        for _ in range(10):
            loop.now_ns += 10_000_000_000
            loop.run()
        assert loop.pending() == 1

    def test_next_rotation_is_a_deadline_while_trees_are_open(self):
        loop = make_loop(source(limit=1), message_timeout_s=4.0, metrics_interval_s=3600.0)
        runtime = loop.runtimes["s"]
        loop.run()
        assert runtime.next_deadline_ns() - loop.now_ns <= 1_000_000_000


def test_outcomes_of_another_process_are_stale_and_dropped():
    loop = make_loop(source(limit=2))
    loop.run()
    (task,) = loop.tasks["s"]
    roots = b"".join(((task << 48) | number).to_bytes(8, "little") for number in range(100))
    for kinds in (b"", bytes([1]) * 100, bytes([2]) * 100):
        payload = encode_outcomes(kinds, roots, bytes(800), distinct=False)
        loop.runtimes["s"].on_frame(Kind.OUTCOMES, task, 1, payload, loop.now_ns)
    loop.run()
    assert loop.pending() == 2
    assert loop.one("s").heard == ["open", "activate"]


class TestAtMostOnce:
    def test_tuple_with_an_id_is_acked_at_emit(self):
        order: list[Any] = []

        class Notes(Source):
            limit = 3

            def ack(self, id: Any) -> None:
                order.append(("ack", id))

        class Sink(Take):
            def execute(self, tup: Tuple) -> None:
                order.append(("execute", tup[0]))
                self.fail(tup)

        loop = make_loop(Notes, Sink, delivery="at_most_once")
        loop.run()
        assert order[:3] == [("ack", 0), ("ack", 1), ("ack", 2)]
        assert loop.one("s").heard == ["open", "activate"]
        assert loop.of_kind(Kind.OUTCOMES) == []
        assert all(pairs == () for frame in loop.of_kind(Kind.DATA) for pairs in frame.pairs)
        assert loop.counts("s")["ack_count"] == 3

    def test_tuple_without_an_id_is_never_acked(self):
        loop = Loop(
            [spout("s"), bolt("b", {"s": SHUFFLE})],
            {"s": Feed, "b": Take},
            delivery="at_most_once",
        )
        loop.open()
        loop.feed([(["a"], None)])
        loop.run()
        assert loop.one("s").acked == []


def test_complete_latency_is_the_time_a_tree_was_open():
    loop = make_loop(source(limit=2))
    loop.run()
    loop.now_ns += 5_000_000
    loop.one("b").ack(loop.one("b").got[0])
    loop.run()
    loop.now_ns += 995_000_000
    loop.one("b").ack(loop.one("b").got[1])
    loop.run()
    loop.report()
    latencies: dict[int, int] = {}
    for record in loop.records:
        for task in record.tasks:
            for key, count in task.histograms.get("complete_latency_us", {}).items():
                latencies[key] = latencies.get(key, 0) + count
    assert latencies == {bucket(5000): 1, bucket(1_000_000): 1}


@given(
    per_call=st.integers(0, 12),
    limit=st.integers(1, 60),
    sinks=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_pending_is_bounded_and_everything_completes(per_call, limit, sinks, seed):
    loop = make_loop(
        source(per_call=per_call, limit=300), Take, max_spout_pending=limit, sinks=sinks, seed=seed
    )
    highest = 0
    for _ in range(3000):
        if not loop.turn() and not loop.turn():
            break
        highest = max(highest, loop.pending())
    # The first call shows how much one call emits; from then on the limit is exact.
    assert highest <= limit - 1 + max(per_call, 1)
    acked = [id_ for what, id_ in loop.one("s").heard[2:]]
    assert sorted(acked) == list(range(loop.one("s").number))
    assert loop.one("s").number == (300 if per_call else 0)


def test_output_streams_of_a_spout_share_its_limit():
    class Both(Source):
        limit = 100

        def next_tuple(self) -> None:
            if self.number < self.limit:
                stream = "default" if self.number % 2 else "side"
                self.emit(["x"], id=self.number, stream=stream)
                self.number += 1

    loop = Loop(
        [spout("s", output(), output(stream="side")), bolt("b", {"s": SHUFFLE, "s/side": ALL})],
        {"s": Both, "b": Hold},
        max_spout_pending=11,
    )
    turn(loop)
    assert loop.pending() == 11
