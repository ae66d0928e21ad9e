"""What an author may write; test_typing.py runs mypy --strict on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from heronshim.api import (
    Bolt,
    ComponentSpec,
    Context,
    CustomGrouping,
    FailTuple,
    Grouping,
    Spout,
    Stream,
    StreamRef,
    TaskHook,
    Topology,
    TopologyBuilder,
    Tuple,
)
from heronshim.testing import LocalTopology, complete_topology, read_tuples, run_bolt, run_spout


class Lines(Spout):
    outputs = {"default": ["line"], "errors": Stream(["line"], direct=True), "plain": ["line"]}

    def __init__(self, path: str, limit: int = 3) -> None:
        self.path = path
        self.limit = limit

    def open(self, config: Mapping[str, Any], context: Context) -> None:
        self.gauge = context.gauge("source_exhausted")
        context.add_hook(TaskHook())

    def next_tuple(self) -> None:
        tasks: Sequence[int] = self.emit([self.path], id=1)
        self.emit_direct(tasks[0], [self.path], stream="errors")

    def ack(self, id: int) -> None:
        self.gauge.set(1)


class Upper(Bolt):
    outputs = ["word", "task"]
    auto_ack = False

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        self.task: int = context.task_id

    def execute(self, tup: Tuple) -> None:
        if tup.is_tick:
            raise FailTuple
        line: str = tup["line"]
        self.emit([line.upper(), self.task], anchors=[tup])
        self.ack(tup)


class First(CustomGrouping):
    def __init__(self, size: int) -> None:
        self.size = size

    def prepare(
        self, context: Context | None, component: str, stream: str, tasks: Sequence[int]
    ) -> None:
        self.tasks = tasks

    def choose_tasks(self, values: Sequence[Any]) -> Sequence[int]:
        return self.tasks[: self.size]


class Shout(Topology):
    options = {"containers": 2, "message_timeout_s": 30, "delivery": "at_least_once"}
    config = {"any.user.key": 1}

    lines = Lines.spec(parallelism=1, path="x.txt")
    upper = Upper.spec(inputs=[lines, lines["plain"]], parallelism=2)
    custom = Upper.spec(inputs={lines: Grouping.custom(First, size=1)}, outputs=["word", "task"])
    mixed = Upper.spec(
        inputs={
            lines: Grouping.fields("line"),
            upper["default"]: Grouping.partial_key("word", "task"),
            "custom": Grouping.global_(),
            StreamRef("lines", "plain"): Grouping.all(),
            lines["errors"]: Grouping.direct(),
        },
        options={"tick_interval_s": 1},
        config={"a": [1, {"b": None}]},
        tasks=3,
        outputs={"default": ["word", "task"], "more": Stream(["x"])},
    )


class Renamed(Shout, name="shout-again"):
    last = Upper.spec(inputs={Shout.upper: Grouping.none()}, name="the-last", args={})


builder = (
    TopologyBuilder("built")
    .options(containers=1, max_spout_pending=100)
    .config({"a": 1})
    .spout("lines", Lines.spec(path="x.txt"))
    .bolt("upper", Upper.spec(inputs=["lines"], parallelism=2))
    .bolt("other", Upper.spec(inputs={"lines": Grouping.local_or_shuffle()}))
)
spec: ComponentSpec = Lines.spec(path="x", args={"limit": 3})


def try_it() -> list[list[Any]]:
    run_spout(Lines("x"), calls=2)
    assert run_bolt(Upper(), [{"line": "a"}]).emitted == [["A", 2]]
    with LocalTopology(Shout, seed=1) as local:
        local.run_for(1)
    with LocalTopology(builder) as local:
        local.advance(1.5)
    return read_tuples(complete_topology(Shout.definition(), {"lines": [["a"]]}), "upper")
