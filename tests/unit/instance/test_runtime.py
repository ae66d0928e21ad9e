"""An instance without its socket: plans, several tasks, credit, damaged frames, reports."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heronshim.api import CustomGrouping, Tuple
from heronshim.core.codec.data import decode_batch, encode_batch, pack_rows
from heronshim.core.codec.link import (
    decode_credit,
    decode_credit_request,
    encode_back_pressure,
    encode_credit,
    encode_credit_request,
)
from heronshim.core.plan.physical import TopologyState
from heronshim.core.plan.topology import METRICSMGR_TASK, Grouping, GroupingKind
from heronshim.core.stream.backpressure import BackPressure
from heronshim.core.stream.frame import Kind
from heronshim.errors import ErrorCode, RemoteProtocolError, TopologyError
from heronshim.instance.runtime import UserCodeFailed
from tests.unit.instance.loop import (
    SHUFFLE,
    Feed,
    Hold,
    Loop,
    Take,
    bolt,
    fields,
    output,
    spout,
)


def make_loop(sinks: int = 1, sink: type = Take, **options: Any) -> Loop:
    return Loop(
        [spout("s"), bolt("b", {"s": fields("word")}, parallelism=sinks)],
        {"s": Feed, "b": sink},
        **options,
    )


def batch(*words: str) -> bytes:
    rows = pack_rows([[word] for word in words])
    return encode_batch("s", "default", len(words), rows, b"", b"", b"")


class TestTasks:
    def test_several_tasks_of_one_process_get_their_own_rows(self):
        loop = make_loop(sinks=4)
        loop.open()
        words = [str(number) for number in range(200)]
        loop.feed([([word], word) for word in words])
        loop.run()
        assert len(loop.made["b"]) == 4
        assert sorted(row[0] for made in loop.made["b"] for row in made.rows) == sorted(words)
        assert all(made.rows for made in loop.made["b"])
        assert sorted(loop.one("s").acked) == sorted(words)
        tasks = {task.task for record in loop.records for task in record.tasks}
        loop.report()
        assert tasks == {1, 2, 3, 4, 5}

    def test_tasks_of_one_executor_share_its_data_and_of_one_process_its_resources(self):
        loop = make_loop(sinks=2)
        loop.open()
        first, second = (made.context for made in loop.made["b"])
        assert first.resources is second.resources
        assert first.executor_data is not second.executor_data
        assert first.task_data is not second.task_data
        assert first.container_tasks == (1, 2, 3)

    def test_rows_of_one_source_arrive_in_order(self):
        loop = make_loop(sinks=2)
        loop.open()
        loop.feed([([f"key {number % 3}"], number) for number in range(100)])
        loop.run()
        for made in loop.made["b"]:
            assert all(type(tup) is Tuple for tup in made.got)
        for key in range(3):
            rows = [tup for made in loop.made["b"] for tup in made.got if tup[0] == f"key {key}"]
            assert len(rows) == len([n for n in range(100) if n % 3 == key])


class TestOpening:
    def test_nothing_runs_before_a_plan(self):
        loop = make_loop(state=TopologyState.INACTIVE)
        runtime = loop.runtimes["b"]
        assert not runtime.step(0)
        assert not runtime.opened
        assert runtime.take_frames() == []

    def test_frames_that_come_before_the_tasks_are_open_wait_in_order(self):
        loop = make_loop(state=TopologyState.INACTIVE)
        runtime = loop.runtimes["b"]
        for word in "abc":
            runtime.on_frame(Kind.DATA, 1, 2, batch(word), 0)
        assert not runtime.quiet()
        loop.set_state(TopologyState.ACTIVE)
        loop.run()
        assert loop.one("b").rows == [["a"], ["b"], ["c"]]
        assert runtime.quiet()

    @pytest.mark.parametrize("method", ["open", "activate"])
    def test_exception_while_opening_ends_the_process_and_is_reported(self, method):
        def raises(self: Any, *_: Any) -> None:
            raise ValueError("no database")

        loop = Loop(
            [spout("s"), bolt("b", {"s": SHUFFLE})],
            {"s": type("Bad", (Feed,), {method: raises}), "b": Take},
        )
        with pytest.raises(UserCodeFailed, match="no database"):
            loop.open()
        assert [error.message for error in loop.errors()] == ["ValueError: no database"]

    def test_class_that_is_no_bolt_is_refused_by_name(self):
        loop = Loop([spout("s"), bolt("b", {"s": SHUFFLE})], {"s": Feed, "b": Feed})
        with pytest.raises(TopologyError, match='"b": b is not a Bolt'):
            loop.runtimes["b"].step(loop.now_ns)

    def test_exception_of_a_custom_grouping_ends_the_process_and_is_reported(self):
        class Bad(CustomGrouping):
            def prepare(self, context: Any, component: str, stream: str, tasks: Any) -> None:
                raise ValueError("no map")

        loop = Loop(
            [spout("s"), bolt("b", {"s": Grouping(GroupingKind.CUSTOM, object="bad")})],
            {"s": Feed, "b": Take, "bad": Bad},
        )
        with pytest.raises(UserCodeFailed, match="no map"):
            loop.runtimes["s"].step(loop.now_ns)
        assert "no map" in loop.errors()[0].message

    def test_close_reaches_every_task_though_one_raises(self):
        closed: list[int] = []

        class Closes(Take):
            def cleanup(self) -> None:
                closed.append(self.context.task_id)
                if self.context.task_id == 1:
                    raise ValueError("close")

        loop = make_loop(sinks=3, sink=Closes)
        loop.open()
        with pytest.raises(UserCodeFailed, match="close"):
            loop.runtimes["b"].close()
        assert closed == [1, 2, 3]
        assert [error.message for error in loop.errors()] == ["ValueError: close"]


class TestDamage:
    @pytest.fixture
    def loop(self) -> Loop:
        loop = make_loop()
        loop.run()
        return loop

    @pytest.mark.parametrize(
        ("kind", "payload", "code"),
        [
            (Kind.DATA, b"\xff\xff", ErrorCode.MALFORMED),
            (Kind.DATA, b"", ErrorCode.MALFORMED),
            (Kind.CREDIT, b"\x08", ErrorCode.MALFORMED),
            (Kind.PLAN, b"", ErrorCode.MALFORMED),
            (Kind.COMMAND, b"", ErrorCode.KIND),
            (99, b"", ErrorCode.KIND),
        ],
        ids=["data", "empty data", "credit", "plan", "kind", "unknown kind"],
    )
    def test_frame_that_cannot_be_read_is_the_peers_fault(self, loop, kind, payload, code):
        with pytest.raises(RemoteProtocolError) as caught:
            loop.runtimes["b"].on_frame(kind, 1, 2, payload, 0)
        assert caught.value.code is code
        loop.feed([(["a"], 1)])
        loop.run()
        assert loop.one("s").acked == [1]

    @pytest.mark.parametrize(("component", "task"), [("s", 2), ("b", 99)])
    def test_data_for_a_spout_or_a_stranger_is_refused(self, loop, component, task):
        with pytest.raises(RemoteProtocolError, match=f"task {task}") as caught:
            loop.runtimes[component].on_frame(Kind.DATA, task, 2, batch("a"), 0)
        assert caught.value.code is ErrorCode.TASK

    def test_damaged_batches_hold_no_credit(self, loop):
        runtime = loop.runtimes["b"]
        large = b"\xff" * 100_000
        for _ in range(10):
            with pytest.raises(RemoteProtocolError):
                runtime.on_frame(Kind.DATA, 1, 2, large, 0)
        runtime.on_frame(Kind.CREDIT_REQUEST, 0, 0, encode_credit_request({1: 1024}), 0)
        granted = sum(
            grant
            for kind, _, _, payload in runtime.take_frames()
            if kind is Kind.CREDIT
            for _, grant in decode_credit(payload)
        )
        assert granted >= 10 * 100_000

    def test_damaged_batch_before_opening_is_reported_and_the_others_run(self):
        loop = make_loop(state=TopologyState.INACTIVE)
        for payload in (batch("a"), b"\xff", batch("b")):
            loop.runtimes["b"].on_frame(Kind.DATA, 1, 2, payload, 0)
        loop.set_state(TopologyState.ACTIVE)
        loop.run()
        assert loop.one("b").rows == [["a"], ["b"]]
        assert "DataBatch: 1 bytes are not such a message" in loop.errors()[0].message

    @given(payload=st.binary(max_size=60), kind=st.sampled_from(list(Kind)))
    @settings(deadline=None, max_examples=150)
    def test_any_bytes_are_read_or_refused(self, payload, kind):
        loop = make_loop()
        loop.run()
        for runtime in loop.runtimes.values():
            for task in (1, 2):
                with suppress(RemoteProtocolError):
                    runtime.on_frame(kind, task, 1, payload, loop.now_ns)

    @given(
        change=st.integers(1, 255),
        place=st.floats(0, 1, exclude_max=True),
        cut=st.integers(0, 3),
    )
    @settings(deadline=None, max_examples=150)
    def test_batch_with_one_wrong_byte_is_read_or_refused(self, change, place, cut):
        payload = bytearray(
            encode_batch("s", "default", 2, pack_rows([["a", {"b": [1]}], [2]]), b"\1\1",
                         bytes(16), bytes(16))
        )  # fmt: skip
        payload[int(place * len(payload))] ^= change
        with suppress(RemoteProtocolError):
            message, rows = decode_batch(bytes(payload[: len(payload) - cut]))
            assert len(rows) == message.row_count > 0


class TestCredit:
    def test_instance_asks_for_credit_and_sends_when_it_comes(self):
        loop = make_loop(grants=False)
        loop.open()
        loop.feed([(["a"], 1)])
        loop.run()
        (request,) = loop.of_kind(Kind.CREDIT_REQUEST)
        assert decode_credit_request(request.payload) == [(1, 1024)]
        assert loop.of_kind(Kind.DATA) == []
        assert loop.pending() == 1, "it is counted though its tree opens when it leaves"
        runtime = loop.runtimes["s"]
        runtime.on_frame(Kind.CREDIT, 0, 0, encode_credit({1: 1024}), loop.now_ns)
        loop.run()
        assert loop.one("s").acked == [1]

    def test_spout_is_not_called_while_more_than_a_frame_waits(self):
        class Fast(Feed):
            calls = 0

            def next_tuple(self) -> None:
                Fast.calls += 1
                self.emit(["x" * 10_000])

        loop = Loop([spout("s"), bolt("b", {"s": SHUFFLE})], {"s": Fast, "b": Take}, grants=False)
        for _ in range(300):
            loop.turn()
            loop.now_ns += 1_000_000
        calls = Fast.calls
        assert calls == 3, "one in a frame, then a burst of two"
        for _ in range(50):
            loop.turn()
            loop.now_ns += 1_000_000
        assert Fast.calls == calls
        assert loop.counts("s")["back_pressure_time_us"] >= 50_000
        loop.runtimes["s"].on_frame(Kind.CREDIT, 0, 0, encode_credit({1: 1 << 26}), loop.now_ns)
        loop.turn()
        loop.turn()
        assert Fast.calls > calls

    @pytest.fixture
    def held(self) -> Loop:
        """b and d are bolts of one process; b emits to c, which grants nothing."""

        class Passes(Take):
            def execute(self, tup: Tuple) -> None:
                super().execute(tup)
                self.emit(tup.values)

        loop = Loop(
            [
                spout("s"),
                bolt("b", {"s": SHUFFLE}, output()),
                bolt("c", {"b": SHUFFLE}),
            ],
            {"s": Feed, "b": Passes, "c": Take},
            grants=False,
        )
        loop.open()
        return loop

    def test_bolt_takes_no_input_while_more_than_a_frame_of_its_output_waits(self, held):
        runtime = held.runtimes["b"]
        for number in range(100):
            runtime.on_frame(Kind.DATA, 1, 3, batch(str(number)), held.now_ns)
        for _ in range(300):
            held.turn()
        assert len(held.one("b").got) == 2
        for _ in range(300):
            runtime.on_frame(Kind.CREDIT, 0, 0, encode_credit({2: 1 << 17}), held.now_ns)
            held.turn()
        assert len(held.one("b").got) == 100

    def test_bolt_in_a_cycle_takes_input_though_its_output_waits(self):
        class Circles(Take):
            def execute(self, tup: Tuple) -> None:
                super().execute(tup)
                self.emit(["x" * 100_000])

        loop = Loop(
            [spout("s"), bolt("b", {"s": SHUFFLE, "b": SHUFFLE}, output())],
            {"s": Feed, "b": Circles},
            grants=False,
        )
        loop.open()
        for number in range(100):
            loop.runtimes["b"].on_frame(Kind.DATA, 1, 2, batch(str(number)), loop.now_ns)
        loop.run()
        assert len(loop.one("b").got) == 100

    def test_executed_batches_give_their_credit_back(self):
        loop = make_loop()
        loop.run()
        runtime = loop.runtimes["b"]

        def granted() -> int:
            loop.collect("b")
            frames, loop.sent = loop.of_kind(Kind.CREDIT), []
            return sum(grant for frame in frames for _, grant in decode_credit(frame.payload))

        runtime.on_frame(Kind.CREDIT_REQUEST, 0, 0, encode_credit_request({1: 1024}), 0)
        assert granted() == 1024
        payload = batch("x" * 200_000)
        runtime.on_frame(Kind.DATA, 1, 2, payload, 0)
        assert granted() == 0
        runtime.step(loop.now_ns)
        assert granted() > 100_000, "the window follows what is consumed"

    def test_new_link_grants_and_owes_nothing_of_the_old_one(self):
        loop = make_loop()
        loop.run()
        runtime = loop.runtimes["b"]
        runtime.on_frame(Kind.CREDIT_REQUEST, 0, 0, encode_credit_request({1: 300_000}), 0)
        loop.collect("b")
        runtime.on_frame(Kind.DATA, 1, 2, batch("x" * 200_000), 0)
        runtime.on_new_link()
        loop.sent = []
        runtime.on_frame(Kind.CREDIT_REQUEST, 0, 0, encode_credit_request({1: 1024}), 0)
        loop.collect("b")
        assert loop.of_kind(Kind.CREDIT) == [], "what came on the old link still waits"
        loop.run()
        assert loop.one("b").rows == [["x" * 200_000]]
        loop.collect("b")
        (frame,) = loop.of_kind(Kind.CREDIT)
        ((task, grant),) = decode_credit(frame.payload)
        assert task == 1
        assert grant >= 1024
        runtime._receiver.check_invariants()


class TestPause:
    """Policy "topology": all spouts pause for a lease that is renewed."""

    @staticmethod
    def emitted_after(loop: Loop, seconds: float) -> int:
        before = len(loop.of_kind(Kind.DATA))
        loop.feed([([f"w{loop.now_ns}"], None)])
        loop.now_ns += int(seconds * 1e9)
        loop.run()
        return len(loop.of_kind(Kind.DATA)) - before

    def say(self, loop: Loop, *, active: bool, task: int = 1) -> None:
        payload = encode_back_pressure(BackPressure(task, active, 500))
        loop.runtimes["s"].on_frame(Kind.BACK_PRESSURE, 0, 0, payload, loop.now_ns)

    def test_spout_is_not_called_until_the_lease_ends(self):
        loop = make_loop()
        loop.run()
        self.say(loop, active=True)
        assert self.emitted_after(loop, 1.9) == 0
        self.say(loop, active=True)
        assert self.emitted_after(loop, 1.9) == 0
        assert self.emitted_after(loop, 0.2) == 3

    def test_spout_goes_on_when_every_initiator_is_relieved(self):
        loop = make_loop()
        loop.run()
        self.say(loop, active=True)
        self.say(loop, active=True, task=7)
        self.say(loop, active=False)
        assert self.emitted_after(loop, 0.1) == 0
        self.say(loop, active=False, task=7)
        assert self.emitted_after(loop, 0.1) == 2

    def test_a_pause_dies_with_its_link(self):
        loop = make_loop()
        loop.run()
        self.say(loop, active=True)
        loop.runtimes["s"].on_new_link()
        assert self.emitted_after(loop, 0.1) == 1


class TestFlush:
    @pytest.fixture
    def loop(self) -> Loop:
        loop = Loop(
            [spout("s"), bolt("b", {"s": SHUFFLE})],
            {"s": Feed, "b": Take},
            flush_age_ms=5.0,
            metrics_interval_s=3600.0,
        )
        loop.run()
        loop.sent = []
        return loop

    def test_rows_leave_when_their_instance_is_idle(self, loop):
        loop.feed([(["a"], 1)])
        loop.runtimes["s"].step(loop.now_ns)
        loop.collect("s", idle=False)
        assert loop.of_kind(Kind.CREDIT_REQUEST) == []
        loop.collect("s", idle=True)
        assert len(loop.of_kind(Kind.CREDIT_REQUEST)) == 1

    def test_rows_leave_when_the_oldest_has_its_age(self, loop):
        loop.feed([(["a"], 1), (["b"], 2)])
        runtime = loop.runtimes["s"]
        loop.feed([])
        runtime.step(loop.now_ns)
        loop.collect("s", idle=False)
        assert runtime.next_deadline_ns() == loop.now_ns + 5_000_000
        loop.now_ns += 4_999_999
        loop.collect("s", idle=False)
        assert loop.of_kind(Kind.CREDIT_REQUEST) == []
        loop.now_ns += 1
        loop.collect("s", idle=False)
        assert len(loop.of_kind(Kind.CREDIT_REQUEST)) == 1


class TestReports:
    def test_report_has_process_tasks_counts_and_gauges(self):
        class Gauged(Feed):
            def open(self, config: Mapping[str, Any], context: Any) -> None:
                super().open(config, context)
                context.gauge("source_exhausted").set(1)
                context.gauge("lag").set(3)
                context.counter("lines").increment(2)

        loop = Loop([spout("s"), bolt("b", {"s": SHUFFLE})], {"s": Gauged, "b": Hold})
        loop.open()
        loop.feed([(["a"], 1), (["b"], 2)])
        loop.run()
        loop.report()
        last = {task.component: (record, task) for record in loop.records for task in record.tasks}
        record, task = last["s"]
        assert (record.process, record.container, record.incarnation) == ("s-2", 1, 1)
        assert task.gauges["pending"] == 2
        assert task.gauges["source_exhausted"] == 1
        assert task.gauges["user/lag"] == 3
        counts = loop.counts("s")
        assert counts["emit_count/default"] == 2
        assert counts["user/lines"] == 2
        assert loop.counts("b")["execute_count/s/default"] == 2
        assert {frame.destination for frame in loop.of_kind(Kind.METRICS)} == {METRICSMGR_TASK}

    def test_reports_come_once_an_interval(self):
        loop = make_loop(metrics_interval_s=1.0)
        loop.run()
        first = len(loop.records)
        for _ in range(30):
            loop.now_ns += 100_000_000
            loop.run()
        assert len(loop.records) - first == 2 * 3

    def test_errors_are_throttled_by_the_options(self):
        class Raises(Take):
            def execute(self, tup: Tuple) -> None:
                raise ValueError(tup[0])

        loop = make_loop(sink=Raises, error_report_max=2)
        loop.open()
        loop.feed([([str(number)], number) for number in range(10)])
        loop.run()
        errors = loop.errors()
        assert len(errors) == 2
        assert loop.counts("b")["error_count"] == 10
        assert len(loop.one("s").failed) == 10
