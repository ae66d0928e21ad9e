"""Counts every id that its source emits: what a test compares with what was sent."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heronshim.api import Bolt, Context, Grouping, Spout, Topology, Tuple


class Source(Spout):
    """Emits each number below `limit` that is its own, and again when it failed."""

    outputs = ("id",)

    def __init__(self, limit: int = 20_000, per_s: float = 1e9) -> None:
        self._limit = limit
        self._per_s = per_s

    def open(self, config: Mapping[str, Any], context: Context) -> None:
        tasks = context.component_tasks[context.component_id]
        self._numbers = iter(range(context.task_index, self._limit, len(tasks)))
        self._again: list[int] = []
        self._open: set[int] = set()
        self._ended = False
        self._begun, self._emitted = time.monotonic(), 0
        self._exhausted = context.gauge("source_exhausted")

    def next_tuple(self) -> None:
        if self._emitted >= (time.monotonic() - self._begun) * self._per_s:
            return
        self._emitted += 1
        number = self._again.pop() if self._again else next(self._numbers, None)
        if number is None:
            self._ended = True
            return
        self._open.add(number)
        self.emit([f"id{number}"], id=number)

    def ack(self, id: int) -> None:
        self._open.discard(id)
        self._exhausted.set(self._ended and not self._open and not self._again)

    def fail(self, id: int) -> None:
        self._again.append(id)


class Twice(Bolt):
    """Emits each id twice."""

    outputs = ("id",)

    def execute(self, tup: Tuple) -> None:
        self.emit([tup["id"]])
        self.emit([tup["id"]])


class Ledger(Bolt):
    """Writes its counts to a file of its task."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        self._counts: Counter[str] = Counter()
        self._file = self._folder / f"{context.task_id}-{os.getpid()}.json"
        self._same_process = context.resources.setdefault("tasks", [])
        self._same_process.append(context.task_id)

    def execute(self, tup: Tuple) -> None:
        if not tup.is_tick:
            self._counts[tup["id"]] += 1
            return
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps({"counts": self._counts, "tasks": self._same_process}))
        part.rename(self._file)

    def cleanup(self) -> None:
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps({"counts": self._counts, "tasks": self._same_process}))
        part.rename(self._file)


FOLDER = os.environ.get("LEDGER_FOLDER", "")


class AtLeastOnce(Topology):
    options = {"containers": 2}
    source = Source.spec(parallelism=2)
    twice = Twice.spec(inputs=[source], parallelism=2)
    ledger = Ledger.spec(
        inputs={twice: Grouping.fields("id")},
        parallelism=2,
        args={"folder": FOLDER},
        options={"tick_interval_s": 0.2},
    )


class AtMostOnce(Topology):
    options = {"containers": 1, "delivery": "at_most_once"}
    source = Source.spec()
    twice = Twice.spec(inputs=[source])
    ledger = Ledger.spec(
        inputs={twice: Grouping.fields("id")},
        args={"folder": FOLDER},
        options={"tick_interval_s": 0.2},
    )


class ManyTasks(Topology):
    source = Source.spec()
    twice = Twice.spec(inputs=[source], parallelism=1, tasks=3)
    ledger = Ledger.spec(
        inputs={twice: Grouping.fields("id")},
        parallelism=2,
        tasks=4,
        args={"folder": FOLDER},
        options={"tick_interval_s": 0.2},
    )


class Endless(Topology):
    """Never ends; small enough to run beside another."""

    source = Source.spec(args={"limit": 100_000_000, "per_s": 2000.0})
    twice = Twice.spec(inputs=[source])
