"""A bolt task: rows executed in order, acked or failed one by one or by their batch's columns."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heronshim.api import FailTuple, Tuple
from heronshim.core.codec.data import decode_outcomes, encode_batch, pack_rows
from heronshim.core.codec.link import encode_credit
from heronshim.core.stream.ack_tracker import ACK, FAIL, RESET
from heronshim.core.stream.frame import Kind
from heronshim.instance.runtime import UserCodeFailed
from tests.unit.instance.loop import (
    SHUFFLE,
    Feed,
    Hold,
    Loop,
    Sent,
    Take,
    bolt,
    column,
    output,
    spout,
)


def make_loop(kind: type, *outputs: Any, **options: Any) -> Loop:
    """Spout "s" to bolt "b", which has a consumer when it has outputs."""
    components = [spout("s"), bolt("b", {"s": SHUFFLE}, *outputs, options=options.pop("bolt", {}))]
    if outputs:
        components.append(bolt("c", {"b": SHUFFLE}))
    loop = Loop(components, {"s": Feed, "b": kind, "c": Take}, **options)
    loop.open()
    return loop


def heard(loop: Loop) -> tuple[list[Any], list[Any]]:
    return loop.one("s").acked, loop.one("s").failed


def feed(loop: Loop, *words: str) -> None:
    loop.feed([([word], word) for word in words])
    loop.run()


class Naughty(Take):
    """Does what each word says."""

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        if tup[0] == "raise":
            raise ValueError("no good")
        if tup[0] == "stop":
            raise StopIteration
        if tup[0] == "reject":
            raise FailTuple
        if tup[0] == "fail":
            self.fail(tup)


OUTPUTS = pytest.mark.parametrize("outputs", [(), (output(),)], ids=["no outputs", "outputs"])


@OUTPUTS
@pytest.mark.parametrize("deed", ["raise", "stop", "reject", "fail"])
@pytest.mark.parametrize("place", [0, 3, 6])
def test_row_that_fails_fails_alone(outputs, deed, place):
    words = [f"w{number}" for number in range(6)]
    words.insert(place, deed)
    loop = make_loop(Naughty, *outputs)
    feed(loop, *words)
    assert loop.one("b").rows == [[word] for word in words]
    acked, failed = heard(loop)
    assert failed == [deed]
    assert sorted(acked) == sorted(set(words) - {deed})
    counts = loop.counts("b")
    assert counts["ack_count"] == 6
    assert counts["fail_count"] == 1
    assert counts["execute_count/s/default"] == 7
    assert loop.pending() == 0


@OUTPUTS
@pytest.mark.parametrize(
    ("deed", "message"),
    [("raise", "ValueError: no good"), ("stop", "StopIteration")],
)
def test_exception_is_reported_with_trace_and_tuple_in_hand(outputs, deed, message):
    loop = make_loop(Naughty, *outputs)
    feed(loop, "good", deed)
    (error,) = loop.errors()
    assert message in error.message
    assert (error.component, error.task, error.count) == ("b", loop.tasks["b"][0], 1)
    assert "Traceback" in error.detail
    assert f"Tuple(['{deed}'], s:default" in error.in_hand


@OUTPUTS
@pytest.mark.parametrize("deed", ["reject", "fail"])
def test_fail_on_purpose_is_not_reported(outputs, deed):
    loop = make_loop(Naughty, *outputs)
    feed(loop, deed)
    assert loop.errors() == []


@OUTPUTS
def test_restart_ends_the_process_and_leaves_the_tuple_to_its_timeout(outputs):
    loop = make_loop(Naughty, *outputs, bolt={"on_user_exception": "restart"})
    with pytest.raises(UserCodeFailed, match="no good"):
        feed(loop, "good", "raise", "after")
    loop.collect("b")
    assert [kind for kind, _, _ in loop.outcomes()] == [ACK]
    assert "ValueError" in loop.errors()[0].message


def test_fail_tuple_does_not_restart():
    loop = make_loop(Naughty, on_user_exception="restart")
    feed(loop, "reject", "good")
    assert heard(loop) == (["good"], ["reject"])


@OUTPUTS
def test_engine_goes_on_after_an_error_whose_text_cannot_be_read(outputs):
    class Unreadable(Exception):
        def __str__(self) -> str:
            raise ValueError

    class Raises(Take):
        def execute(self, tup: Tuple) -> None:
            raise Unreadable

    loop = make_loop(Raises, *outputs)
    feed(loop, "a")
    assert heard(loop) == ([], ["a"])
    assert "Unreadable: (its text cannot be read)" in loop.errors()[0].message


class TestOutcomes:
    """Echo of whole columns and acks of single rows must come to the same."""

    def test_batch_without_children_is_echoed(self):
        loop = make_loop(Take)
        feed(loop, *"abcdefgh")
        outcomes = [(root, xor) for _, root, xor in loop.outcomes()]
        assert outcomes == self.columns(loop)
        frames = loop.of_kind(Kind.OUTCOMES)
        assert all(decode_outcomes(frame.payload).distinct for frame in frames)

    def test_rows_acked_one_by_one_give_what_an_echo_gives(self):
        class AcksItself(Hold):
            def execute(self, tup: Tuple) -> None:
                self.ack(tup)

        for kind, outputs in ((Take, ()), (AcksItself, ()), (Take, (output(),))):
            loop = make_loop(kind, *outputs)
            loop.feed([([str(number)], number) for number in range(100)])
            loop.run()
            assert sorted(loop.one("s").acked) == list(range(100))
            outcomes = [(root, xor) for _, root, xor in loop.outcomes()]
            assert sorted(outcomes) == sorted(self.columns(loop))

    def columns(self, loop: Loop) -> list[tuple[int, int]]:
        """Return all (root, edge) that the spout sent."""
        return [pair for frame in loop.of_kind(Kind.DATA) for row in frame.pairs for pair in row]

    def test_children_are_in_the_ack_of_their_parent(self):
        class Doubles(Take):
            def execute(self, tup: Tuple) -> None:
                self.emit([tup[0] + "1"])
                self.emit([tup[0] + "2"])

        loop = make_loop(Doubles, output())
        loop.held = lambda frame: frame.destination == loop.tasks["c"][0]
        feed(loop, "a")
        (first,) = (f for f in loop.of_kind(Kind.DATA) if f.destination == loop.tasks["b"][0])
        children = [
            edge
            for frame in loop.of_kind(Kind.DATA)
            if frame.destination == loop.tasks["c"][0]
            for row in frame.pairs
            for _, edge in row
        ]
        ((root, edge),) = first.pairs[0]
        assert len(children) == 2
        assert loop.outcomes() == [(ACK, root, edge ^ children[0] ^ children[1])]

    def test_column_with_roots_of_two_spouts_goes_to_both(self):
        """A bolt between may put rows of several spouts into one batch."""
        loop = Loop(
            [spout("s"), spout("r"), bolt("b", {"s": SHUFFLE, "r": SHUFFLE})],
            {"s": Feed, "r": Feed, "b": Take},
        )
        loop.open()
        loop.feed([(["a"], 1)], "s")
        loop.feed([(["b"], 2)], "r")
        loop.held = lambda frame: frame.kind is Kind.DATA
        loop.run()
        frames = loop.of_kind(Kind.DATA)
        pairs = [frame.pairs[0][0] for frame in frames]
        roots = b"".join(root.to_bytes(8, "little") for root, _ in pairs)
        edges = b"".join(edge.to_bytes(8, "little") for _, edge in pairs)
        payload = encode_batch("x", "default", 2, pack_rows([["a"], ["b"]]), b"", roots, edges)
        loop.runtimes["b"].on_frame(Kind.DATA, loop.tasks["b"][0], 77, payload, 0)
        loop.run()
        assert (loop.one("s").acked, loop.one("r").acked) == ([1], [2])

    def test_acks_and_fails_of_held_tuples_go_in_order(self):
        loop = make_loop(Hold)
        feed(loop, "a", "b", "c")
        first, second, third = loop.one("b").got
        loop.one("b").ack(second)
        loop.one("b").reset_timeout(first)
        loop.one("b").fail(third)
        loop.one("b").ack(first)
        loop.run()
        assert [kind for kind, _, _ in loop.outcomes()].count(RESET) == 1
        assert heard(loop) == (["b", "a"], ["c"])

    @OUTPUTS
    def test_reset_inside_execute_is_an_outcome(self, outputs):
        class Slow(Take):
            def execute(self, tup: Tuple) -> None:
                self.reset_timeout(tup)

        loop = make_loop(Slow, *outputs)
        feed(loop, "a", "b")
        assert sorted(kind for kind, _, _ in loop.outcomes()) == [ACK, ACK, RESET, RESET]
        assert sorted(heard(loop)[0]) == ["a", "b"]

    def test_own_ack_in_an_acking_bolt_counts_once(self):
        class Twice(Take):
            def execute(self, tup: Tuple) -> None:
                self.ack(tup)

        loop = make_loop(Twice)
        feed(loop, "a")
        assert heard(loop) == (["a"], [])
        assert loop.counts("b")["ack_count"] == 1


def test_untracked_rows_have_no_outcomes():
    loop = make_loop(Naughty)
    loop.feed([([word], None) for word in ("good", "raise", "fail")])
    loop.run()
    assert loop.outcomes() == []
    assert loop.one("b").rows == [["good"], ["raise"], ["fail"]]


def test_row_that_cannot_be_written_fails_its_trees_and_names_the_field():
    class EmitsObjects(Take):
        def execute(self, tup: Tuple) -> None:
            self.emit([object() if tup[0] == "bad" else tup[0]])

    loop = make_loop(EmitsObjects, output("thing"))
    feed(loop, "good", "bad", "fine")
    acked, failed = heard(loop)
    assert (sorted(acked), failed) == (["fine", "good"], ["bad"])
    assert loop.one("c").rows == [["good"], ["fine"]]
    (error,) = loop.errors()
    assert 'component "b", stream "default", field "thing"' in error.message
    assert error.message.startswith("ValueEncodingError")


class TestTicks:
    def test_ticks_come_at_their_interval_as_storms_do(self):
        loop = make_loop(Take, bolt={"tick_interval_s": 2.0})
        for _ in range(9):
            loop.now_ns += 1_000_000_000
            loop.run()
        ticks = loop.one("b").got
        assert len(ticks) == 4
        assert {(t.component, t.task, t.stream, t[0], t.is_tick) for t in ticks} == {
            ("__system", -1, "__tick", 2, True)
        }
        assert loop.counts("b")["execute_count/__system/__tick"] == 4

    def test_ticks_that_were_missed_come_once(self):
        loop = make_loop(Take, bolt={"tick_interval_s": 0.5})
        loop.now_ns += 60_000_000_000
        loop.run()
        assert len(loop.one("b").got) == 1
        assert loop.one("b").got[0][0] == 0.5

    def test_next_tick_is_a_deadline(self):
        loop = make_loop(Take, bolt={"tick_interval_s": 2.0}, metrics_interval_s=3600.0)
        assert loop.runtimes["b"].next_deadline_ns() == loop.now_ns + 2_000_000_000

    def test_tick_settles_nothing(self):
        loop = make_loop(Take, bolt={"tick_interval_s": 1.0})
        feed(loop, "a")
        loop.now_ns += 1_000_000_000
        loop.run()
        assert len(loop.outcomes()) == 1

    def test_emit_on_a_tick_is_not_anchored(self):
        class EmitsOnTick(Take):
            def execute(self, tup: Tuple) -> None:
                if tup.is_tick:
                    self.emit(["tock"])

        loop = make_loop(EmitsOnTick, output(), bolt={"tick_interval_s": 1.0})
        loop.now_ns += 1_000_000_000
        loop.run()
        assert loop.one("c").rows == [["tock"]]
        assert loop.of_kind(Kind.DATA)[-1].pairs == [()]

    @pytest.mark.parametrize("rule", ["fail_tuple", "restart"])
    def test_exception_on_a_tick_follows_the_rule(self, rule):
        class Raises(Take):
            def execute(self, tup: Tuple) -> None:
                raise ValueError("tick")

        loop = make_loop(Raises, bolt={"tick_interval_s": 1.0, "on_user_exception": rule})
        loop.now_ns += 1_000_000_000
        if rule == "restart":
            with pytest.raises(UserCodeFailed):
                loop.run()
        else:
            loop.run()
        assert "ValueError: tick" in loop.errors()[0].message


@given(
    words=st.lists(st.sampled_from(["good", "raise", "stop", "reject", "fail"]), max_size=60),
    outputs=st.booleans(),
    seed=st.integers(0, 999),
)
@settings(deadline=None, max_examples=40)
def test_any_mixture_settles_each_row_once(words, outputs, seed):
    loop = make_loop(Naughty, *([output()] if outputs else []), seed=seed)
    loop.feed([([word], (number, word)) for number, word in enumerate(words)])
    loop.run()
    expected = list(enumerate(words))
    acked, failed = heard(loop)
    assert sorted(acked) == [id_ for id_ in expected if id_[1] == "good"]
    assert sorted(failed) == [id_ for id_ in expected if id_[1] != "good"]
    assert loop.pending() == 0


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("frequent_switches")
@pytest.mark.parametrize("outputs", [(), (output(),)], ids=["no outputs", "outputs"])
def test_watcher_that_flushes_during_execute_settles_each_row_once(outputs):
    """The watcher takes outcomes under the IO lock while the author's code runs."""

    class Mixed(Take):
        def execute(self, tup: Tuple) -> None:
            number = tup[0]
            if number % 7 == 0:
                raise FailTuple
            if number % 11 == 0:
                self.fail(tup)
            elif outputs and number % 3 == 0:
                self.emit([number])

    lock = threading.Lock()
    loop = make_loop(Mixed, *outputs, io_lock=lock)
    count = 5000
    rows = [[number] for number in range(count)]
    (task,) = loop.tasks["b"]
    (source,) = loop.tasks["s"]
    random = Random(1)
    roots = [(source << 48) | number for number in range(count)]
    edges = [random.getrandbits(64) | 1 for _ in roots]
    for start in range(0, count, 500):
        part = slice(start, start + 500)
        payload = encode_batch(
            "s",
            "default",
            500,
            pack_rows(rows[part]),
            b"",
            b"".join(root.to_bytes(8, "little") for root in roots[part]),
            b"".join(edge.to_bytes(8, "little") for edge in edges[part]),
        )
        loop.runtimes["b"].on_frame(Kind.DATA, task, source, payload, loop.now_ns)
    runtime = loop.runtimes["b"]
    # A bolt whose output waits is given no input.
    credit = encode_credit(dict.fromkeys(range(9), 1 << 26))
    runtime.on_frame(Kind.CREDIT, 0, 0, credit, loop.now_ns)
    frames: list[Any] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            with lock:
                runtime.flush(loop.now_ns, idle=True)
                frames.extend(runtime.take_frames())

    watcher = threading.Thread(target=watch)
    watcher.start()
    deadline = time.monotonic() + 60
    while runtime.step(loop.now_ns):
        assert time.monotonic() < deadline
    done.set()
    watcher.join()
    runtime.flush(loop.now_ns, idle=True)
    frames += runtime.take_frames()
    values = dict(zip(roots, edges, strict=True))
    failed = set()
    for kind, _, _, payload in frames:
        if kind is Kind.OUTCOMES:
            outcomes = decode_outcomes(payload)
            kinds = outcomes.kinds or bytes(len(outcomes.roots) // 8)
            columns = zip(kinds, column(outcomes.roots), column(outcomes.xors), strict=True)
            for what, root, xor in columns:
                if what == FAIL:
                    assert root not in failed
                    failed.add(root)
                else:
                    values[root] ^= xor
        elif kind is Kind.DATA:
            for row in Sent(Kind.DATA, 0, 0, payload).pairs:
                for root, edge in row:
                    values[root] ^= edge
    expected = {root for root in roots if (n := root & 0xFFFFFF) % 7 == 0 or n % 11 == 0}
    assert failed == expected
    left = {root for root, value in values.items() if value}
    assert left == expected, "acks of rows and edges of their children cancel; failed rows stay"


def test_config_and_context_reach_prepare():
    class Looks(Take):
        def prepare(self, config: Mapping[str, Any], context: Any) -> None:
            super().prepare(config, context)
            self.config = dict(config)

    loop = Loop(
        [spout("s"), bolt("b", {"s": SHUFFLE}, user_config={"a": 1})], {"s": Feed, "b": Looks}
    )
    loop.open()
    made = loop.one("b")
    assert made.config == {"a": 1}
    assert (made.context.task_id, made.context.component_id, made.context.task_index) == (1, "b", 0)
    assert made.context.component_tasks == {"b": (1,), "s": (2,)}
