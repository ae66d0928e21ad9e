"""Counts the words of a text file: the first topology to read.

Run it with `heronshim run examples/word_count.py`; it counts its own source.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heronshim.api import Bolt, Grouping, Spout, Topology

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.api import Context, Tuple


class Lines(Spout):
    """Emits the lines of a file, and again those that failed."""

    outputs = ["line"]

    def __init__(self, path: str) -> None:
        self.path = path

    def open(self, config: Mapping[str, Any], context: Context) -> None:
        """Read the file; a message id is the line's number."""
        self.lines = Path(self.path).read_text("utf-8").splitlines()
        self.to_emit = list(range(len(self.lines)))[::-1]
        self.open_lines = len(self.lines)
        self.exhausted = context.gauge("source_exhausted")

    def next_tuple(self) -> None:
        """Emit one line."""
        if self.to_emit:
            number = self.to_emit.pop()
            self.emit([self.lines[number]], id=number)
        elif not self.open_lines:
            self.exhausted.set(1)

    def ack(self, id: int) -> None:
        """All words of the line are counted."""
        self.open_lines -= 1

    def fail(self, id: int) -> None:
        """Emit the line again."""
        self.to_emit.append(id)


class Split(Bolt):
    """Emits the words of a line."""

    outputs = ["word"]

    def execute(self, tup: Tuple) -> None:
        """Emit each word, anchored to the line: the line is done when all its words are."""
        for word in tup["line"].split():
            self.emit([word])


class Count(Bolt):
    """Counts words; emits a word's new count."""

    outputs = ["word", "count"]

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        """Start from nothing."""
        self.counts: Counter[str] = Counter()

    def execute(self, tup: Tuple) -> None:
        """Count one word."""
        word = tup["word"]
        self.counts[word] += 1
        self.emit([word, self.counts[word]])


class WordCount(Topology):
    """Lines, split evenly; words, counted each by the task that its letters choose."""

    options = {"containers": 2, "message_timeout_s": 30}

    lines = Lines.spec(path=__file__)
    split = Split.spec(inputs=[lines], parallelism=2)
    count = Count.spec(inputs={split: Grouping.fields("word")}, parallelism=2)
