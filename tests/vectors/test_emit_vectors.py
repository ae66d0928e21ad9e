"""A Python bolt draws the edges and sends the outcomes that the vectors of trees say."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from random import Random
from typing import Any

import pytest

from heronshim.api.components import Bolt
from heronshim.core.codec.data import decode_batch, decode_outcomes, encode_batch, pack_rows
from heronshim.core.codec.link import encode_credit
from heronshim.core.codec.plan import physical_plan_to_bytes
from heronshim.core.plan.physical_plan import RegisteredStmgr, build_physical_plan
from heronshim.core.plan.round_robin import RoundRobinPacking
from heronshim.core.plan.topology import (
    Component,
    ComponentKind,
    Grouping,
    GroupingKind,
    InputStream,
    OutputStream,
    Topology,
)
from heronshim.core.stream.frame import Kind
from heronshim.instance.clock import Clock
from heronshim.instance.identity import Identity
from heronshim.instance.runtime import InstanceRuntime

VECTORS = json.loads((Path(__file__).parent / "trees.json").read_text())["emits"]
JOIN, LINES = 1, 2
TASKS_OF = {"c1": (3,), "c2": (4, 5)}
"""A stream for each number of copies: all tasks of its consumer get a tuple."""


class Join(Bolt):
    """Keeps its inputs until told what to emit."""

    auto_ack = False
    auto_anchor = False

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def execute(self, tup: Any) -> None:
        self.kept.append(tup)


class Drawn(Random):
    """Gives a vector's edges, in their order, where 64-bit numbers are drawn."""

    def __init__(self, draws: list[int]) -> None:
        super().__init__(1)
        self._draws = draws

    def randbytes(self, n: int) -> bytes:
        return struct.pack(f"<{len(self._draws)}Q", *self._draws).ljust(n, b"\1")


def plan() -> bytes:
    def bolt(name: str, source: str, stream: str, tasks: int, outputs: Any = ()) -> Component:
        inputs = (InputStream(source, stream, Grouping(GroupingKind.ALL)),)
        return Component(
            name, ComponentKind.BOLT, f"app:{name}", parallelism=tasks, inputs=inputs,
            outputs=outputs,
        )  # fmt: skip

    outputs = tuple(OutputStream(stream, ("v",)) for stream in TASKS_OF)
    lines = OutputStream("default", ("v",))
    topology = Topology(
        "joined",
        (
            bolt("join", "lines", "default", 1, outputs),
            Component("lines", ComponentKind.SPOUT, "app:lines", outputs=(lines,)),
            bolt("one", "join", "c1", 1),
            bolt("two", "join", "c2", 2),
        ),
        id="joined-1",
    )
    packing = RoundRobinPacking().pack(topology)
    where = {1: RegisteredStmgr("host-a", "ipc:///run/heronshim/ab12cd34", 1, 1)}
    made = build_physical_plan(topology, packing, where, plan_epoch=1, leader_epoch=1)
    ids = made.component_tasks()
    assert (ids["join"], ids["one"], ids["two"]) == ((JOIN,), TASKS_OF["c1"], TASKS_OF["c2"])
    return physical_plan_to_bytes(made)


def numbers(column: bytes) -> list[str]:
    return [f"{number:016x}" for (number,) in struct.iter_unpack("<Q", column)]


def batch_of(inputs: list[list[list[str]]]) -> bytes:
    """Return one batch with a row for each input."""
    pairs = [(int(root, 16), int(edge, 16)) for row in inputs for root, edge in row]
    roots, edges = (
        struct.pack(f"<{len(pairs)}Q", *[pair[side] for pair in pairs]) for side in (0, 1)
    )
    counts = [len(row) for row in inputs] if pairs else []
    rows = pack_rows([[number] for number in range(len(inputs))])
    return encode_batch("lines", "default", len(inputs), rows, counts, roots, edges)


def rows_of(frames: list[Any]) -> dict[int, list[list[list[str]]]]:
    """Return the pairs of each row by destination."""
    found: dict[int, list[list[list[str]]]] = {}
    for kind, task, _, payload in frames:
        if kind is not Kind.DATA:
            continue
        batch, rows = decode_batch(payload)
        pairs = [
            list(pair) for pair in zip(numbers(batch.roots), numbers(batch.edges), strict=True)
        ]
        counts = batch.root_counts or [1 if batch.roots else 0] * len(rows)
        for size in counts:
            found.setdefault(task, []).append(pairs[:size])
            pairs = pairs[size:]
    return found


def outcomes_of(frames: list[Any]) -> list[tuple[str, str]]:
    found = []
    for kind, task, source, payload in frames:
        if kind is Kind.OUTCOMES:
            read = decode_outcomes(payload)
            assert not read.kinds
            assert source == JOIN
            found += zip(numbers(read.roots), numbers(read.xors), strict=True)
            assert {int(root[:4], 16) for root in numbers(read.roots)} == {task}
    return found


@pytest.mark.parametrize("vector", VECTORS, ids=[each["name"] for each in VECTORS])
def test_bolt_writes_edges_and_outcomes_of_the_vector(vector: dict) -> None:
    join = Join()
    runtime = InstanceRuntime(
        Identity("join-1", 1, ((JOIN,),)),
        lambda *_: join,
        Drawn([int(edge, 16) for edge in vector["draws"]]),
        Clock(lambda: 1, lambda: 1),
    )
    runtime.on_frame(Kind.PLAN, 0, 0, plan(), 1)
    runtime.step(1)
    every = {task: 1 << 20 for tasks in TASKS_OF.values() for task in tasks}
    runtime.on_frame(Kind.CREDIT, 0, 0, encode_credit(every), 1)
    runtime.on_frame(Kind.DATA, JOIN, LINES, batch_of(vector["inputs"]), 1)
    while len(join.kept) < len(vector["inputs"]):
        assert runtime.step(1)
    for emit in vector["emits"]:
        anchors = [join.kept[index] for index in emit["anchors"]]
        join.emit([1], stream=f"c{emit['copies']}", anchors=anchors)
    runtime.flush(1, idle=True)
    sent = rows_of(runtime.take_frames())
    expected: dict[int, list[Any]] = {}
    rows = iter(vector["rows"])
    for emit in vector["emits"]:
        for task in TASKS_OF[f"c{emit['copies']}"]:
            expected.setdefault(task, []).append(next(rows))
    assert sent == expected
    for tup, acks in zip(join.kept, vector["acks"], strict=True):
        join.ack(tup)
        runtime.flush(1, idle=True)
        assert outcomes_of(runtime.take_frames()) == [tuple(ack) for ack in acks]
