"""run_bolt and run_spout: one component on its own."""

from __future__ import annotations

from typing import Any

import pytest

from heronshim.api import Bolt, FailTuple, Spout, Stream
from heronshim.errors import TopologyError
from heronshim.testing import FixedTuple, make_tuple, run_bolt, run_spout, tick_tuple


class Split(Bolt):
    outputs = {"default": ["word"], "empty": ["reason"], "late": Stream(["word"], direct=True)}

    def prepare(self, config, context):
        self.upper = config.get("upper", False)
        self.cleaned = False
        self.context = context

    def execute(self, tup):
        if tup.is_tick:
            self.emit(["tick"], stream="empty", anchors=[])
            return
        line = tup[0]
        if line == "fail":
            raise FailTuple
        if line == "raise":
            raise ValueError(line)
        if not line:
            self.emit(["empty"], stream="empty")
        for word in line.split():
            self.emit([word.upper() if self.upper else word])

    def cleanup(self):
        self.cleaned = True


class Holding(Bolt):
    outputs = ["pair"]
    auto_ack = False
    auto_anchor = False

    def prepare(self, config, context):
        self.held = []

    def execute(self, tup):
        self.held.append(tup)
        if len(self.held) == 2:
            self.emit([[item["a"] for item in self.held]], anchors=self.held)
            self.ack(self.held[0])
            self.fail(self.held[1])
            self.ack(self.held[1])
            self.report_error("odd one")
            self.reset_timeout(self.held[0])
        else:
            self.emit([["early"]])


class Numbers(Spout):
    outputs = {"default": ["n"], "to": Stream(["n"], direct=True)}

    def __init__(self, limit):
        self.limit = limit
        self.calls = []

    def open(self, config, context):
        self.gauge = context.gauge("source_exhausted")
        self.n = 0

    def next_tuple(self):
        self.n += 1
        if self.n == 2:
            raise OSError("gone")
        if self.n > self.limit:
            self.gauge.set(1)
        elif self.n == 4:
            self.emit_direct(3, [self.n], stream="to")
        else:
            self.emit([self.n], id=self.n)

    def ack(self, id):
        self.calls.append(("ack", id))

    def fail(self, id):
        self.calls.append(("fail", id))

    def close(self):
        self.calls.append("close")


def test_plain_lists_are_tuples() -> None:
    bolt = Split()
    run = run_bolt(bolt, [["a b"], [""], ["c"]], {"upper": True})
    assert run.emitted == [["A"], ["B"], ["C"]]
    assert run.on("empty") == [["empty"]]
    assert run.acked == [["a b"], [""], ["c"]]
    assert run.failed == []
    assert run.errors == []
    assert bolt.cleaned
    assert bolt.context.streams() == ("default", "empty", "late")


def test_emits_are_anchored_to_the_tuple_in_hand() -> None:
    run = run_bolt(Split(), [["a"], tick_tuple()])
    assert [tup.values for tup in run.emits[0].anchors] == [["a"]]
    assert run.emits[1].anchors == ()
    assert run.emits[1].stream == "empty"


def test_raising_fails_the_tuple_as_in_a_topology() -> None:
    run = run_bolt(Split(), [["fail"], ["raise"], ["ok"]])
    assert run.failed == [["fail"], ["raise"]]
    assert [str(error) for error in run.errors] == ["raise"]
    assert run.acked == [["ok"]]


def test_mappings_name_their_fields_and_own_acks_count_once() -> None:
    run = run_bolt(Holding(), [{"a": 1}, FixedTuple([2])], fields=["a"])
    assert run.emitted == [[["early"]], [[1, 2]]]
    assert run.emits[0].anchors == ()
    assert len(run.emits[1].anchors) == 2
    assert run.acked == [[1]]
    assert run.failed == [[2]]
    assert run.errors == ["odd one"]


@pytest.mark.parametrize(
    ("values", "stream", "message"),
    [
        (["a"], "wrods", "Unknown stream ID: wrods; declared: default, empty, late"),
        (["a"], "emty", 'Did you mean "empty"'),
        (["a"], "late", 'the stream "late" is emitted with emit_direct'),
        (["a", "b"], "default", "fields word; emit a list with one value for each"),
        ("a", "default", "emit a list"),
    ],
)
def test_wrong_emits_are_errors(values: Any, stream: str, message: str) -> None:
    class Wrong(Split):
        def execute(self, tup):
            self.emit(values, stream=stream)

    run = run_bolt(Wrong(), [["a"]])
    assert message in str(run.errors[0])
    assert run.failed == [["a"]]


def test_wrong_outputs_are_a_topology_error() -> None:
    class Wrong(Split):
        outputs = "word"

    with pytest.raises(TopologyError, match=r'must be a list of field names.*write \["word"\]'):
        run_bolt(Wrong(), [])


def test_spout_emits_and_hears_what_became_of_it() -> None:
    spout = Numbers(limit=5)
    run = run_spout(spout, calls=6, settle={1: True, 3: False}.get)
    assert run.emitted == [[1], [3], [5]]
    assert run.on("to") == [[4]]
    assert [emit.task for emit in run.emits] == [None, None, 3, None]
    assert run.ids == [1, 3, 5]
    assert [str(error) for error in run.errors] == ["gone"]
    assert run.source_exhausted
    assert spout.calls == [("ack", 1), ("fail", 3), "close"]


def test_made_tuples_look_like_the_engines() -> None:
    tup = make_tuple([1, 2], ["a", "b"], component="other", stream="s", task=9)
    assert (tup["b"], tup.component, tup.stream, tup.task) == (2, "other", "s", 9)
    assert tick_tuple(5).is_tick
    assert tick_tuple(5).values == [5]
    with pytest.raises(ValueError, match="2 values for the fields a; give one value for each"):
        make_tuple([1, 2], ["a"])


def test_fixtures_are_the_functions(run_bolt: Any, run_spout: Any, local_topology: Any) -> None:
    assert run_bolt(Split(), [["a"]]).emitted == [["a"]]
    assert run_spout(Numbers(1)).ids == [1]
    assert callable(local_topology)
