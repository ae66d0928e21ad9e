"""Word count in three components: lines of a text, split into words, counted.

Each line is emitted with a message id and replayed when it fails, so every word is counted at
least once; without a failure, exactly once.
"""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heronshim.api import Bolt, Grouping, Spout, TopologyBuilder
from heronshim.demo.tally import Tally, TallyWriter
from heronshim.demo.text import numbered_lines, words_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.api import Context, Tuple
    from heronshim.core.plan.topology import Topology

WRITE_INTERVAL_S = 0.5
"""How often counts are written, so that a person sees them move."""


class Lines(Spout):
    """Emits the lines of a text, each with the id "<repeat>:<line>", and fails none for good."""

    outputs = ("line",)

    def __init__(self, path: str, times: int, rate: float, tally: str = "") -> None:
        """Read `path` ("" for the built-in text) `times` times, `rate` lines a second (0: any).

        With a folder `tally`, keep a tally there for who watches closely.
        """
        self._rest = numbered_lines(path, times)
        self._rate = rate
        self._began = 0.0
        self._emitted = self._acked = self._fails = 0
        self._open: dict[str, str] = {}
        self._failed: deque[str] = deque()
        self._read_all = False
        self._tally_folder = tally
        self._tally: TallyWriter | None = None

    def open(self, config: Mapping[str, Any], context: Context) -> None:
        """Make what is looked at from outside."""
        self._exhausted = context.gauge("source_exhausted")
        if self._tally_folder:
            self._tally = TallyWriter(self._tally_folder)

    def next_tuple(self) -> None:
        """Emit a line that failed, or the next one when its time has come."""
        if self._failed:
            again = self._failed.popleft()
            self.emit([self._open[again]], id=again)
            return
        if self._read_all:
            return
        now = time.monotonic()
        self._began = self._began or now
        if self._rate and self._emitted >= (now - self._began) * self._rate:
            return
        found = next(self._rest, None)
        if found is None:
            self._read_all = True
            self._report()
            return
        id_, line = found
        self._emitted += 1
        self._open[id_] = line
        self.emit([line], id=id_)
        self._write_tally()

    def ack(self, id: str) -> None:  # noqa: A002 - the API's name
        """Forget a line that was counted."""
        del self._open[id]
        self._acked += 1
        self._report()
        self._write_tally()

    def fail(self, id: str) -> None:  # noqa: A002 - the API's name
        """Emit the line again."""
        self._failed.append(id)
        self._fails += 1
        self._write_tally()

    def _report(self) -> None:
        """Say that there is no more once all lines were read and acked."""
        self._exhausted.set(self._read_all and not self._open)

    def _write_tally(self) -> None:
        if self._tally is not None:
            self._tally.write(Tally(self._emitted, self._acked, self._fails, len(self._open)))


class Split(Bolt):
    """Splits lines into words."""

    outputs = ("word",)

    def execute(self, tup: Tuple) -> None:
        """Emit each word of a line."""
        for word in words_of(tup[0]):
            self.emit([word])


class Count(Bolt):
    """Counts words, and keeps its counts in a file for those who watch."""

    def __init__(self, results: str) -> None:
        """Write to count-<task>.json in the folder `results`."""
        self._results = Path(results)
        self._counts: Counter[str] = Counter()

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        """Name the file of this task."""
        self._file = self._results / f"count-{context.task_id}.json"

    def execute(self, tup: Tuple) -> None:
        """Count a word; at a tick write all counts."""
        if tup.is_tick:
            self._write()
        else:
            self._counts[tup[0]] += 1

    def cleanup(self) -> None:
        """Write the last counts."""
        self._write()

    def _write(self) -> None:
        """Replace the file, so that readers never see half of one."""
        temporary = self._file.with_suffix(".new")
        temporary.write_text(json.dumps(self._counts), encoding="utf-8")
        temporary.replace(self._file)


def word_count(
    name: str,
    results: str,
    path: str = "",
    times: int = 1,
    rate: float = 0.0,
    *,
    tally: bool = False,
) -> Topology:
    """Return the topology: one spout, two splitting and two counting tasks, on two containers.

    With `tally` the spout keeps one in the folder `results` too.
    """
    builder = TopologyBuilder(name)
    builder.options(containers=2)
    lines = Lines.spec(path=path, times=times, rate=rate, tally=results if tally else "")
    builder.spout("lines", lines)
    builder.bolt("split", Split.spec(parallelism=2, inputs=["lines"]))
    count = Count.spec(
        parallelism=2,
        inputs={"split": Grouping.fields("word")},
        options={"tick_interval_s": WRITE_INTERVAL_S},
        results=results,
    )
    return builder.bolt("count", count).build()


def read_counts(results: str) -> Counter[str]:
    """Return the sum of what the counting tasks have written so far."""
    total: Counter[str] = Counter()
    for file in Path(results).glob("count-*.json"):
        total.update(json.loads(file.read_text(encoding="utf-8")))
    return total
