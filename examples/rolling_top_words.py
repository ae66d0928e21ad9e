"""Shows the most frequent words of the last seconds, every second: ticks and a global bolt.

Storm's rolling-count example: counts live in slots of one tick each, and the oldest slot is
forgotten at each tick.
"""

from __future__ import annotations

from collections import Counter, deque
from random import Random
from typing import TYPE_CHECKING, Any

from heronshim.api import Bolt, Grouping, Spout, Topology

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.api import Context, Tuple

WORDS = ("heron", "egret", "bittern", "spoonbill", "ibis", "stork", "crane", "shoebill")


class RandomWords(Spout):
    """Emits words for ever, the first ones of the list more often."""

    outputs = ["word"]

    def __init__(self, seed: int = 0) -> None:
        self.random = Random(seed)

    def next_tuple(self) -> None:
        """Emit one word, without a message id: a lost one does not matter."""
        self.emit([WORDS[min(self.random.randrange(20), len(WORDS) - 1)]])


class RollingCount(Bolt):
    """Emits at each tick how often each word came in the last `slots` ticks."""

    outputs = ["word", "count"]

    def __init__(self, slots: int = 5) -> None:
        self.slots: deque[Counter[str]] = deque([Counter()], maxlen=slots)

    def execute(self, tup: Tuple) -> None:
        """Count a word, or emit all counts and begin a new slot."""
        if not tup.is_tick:
            self.slots[-1][tup["word"]] += 1
            return
        total: Counter[str] = Counter()
        for slot in self.slots:
            total.update(slot)
        for word, count in total.items():
            self.emit([word, count])
        self.slots.append(Counter())


class Top(Bolt):
    """Ranks the counts of all counting tasks; emits the ranking at each tick."""

    outputs = ["ranking"]

    def __init__(self, size: int = 3) -> None:
        self.size = size

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        """Start from nothing."""
        self.counts: dict[str, int] = {}

    def execute(self, tup: Tuple) -> None:
        """Keep a word's newest count, or emit the words that have most."""
        if not tup.is_tick:
            self.counts[tup["word"]] = tup["count"]
            return
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        self.emit([[list(item) for item in ranked[: self.size]]])


class RollingTopWords(Topology):
    """Words, counted by two tasks, ranked by one."""

    options = {"max_spout_pending": 1000}

    words = RandomWords.spec(seed=7)
    count = RollingCount.spec(
        inputs={words: Grouping.fields("word")},
        parallelism=2,
        slots=5,
        options={"tick_interval_s": 1},
    )
    top = Top.spec(inputs={count: Grouping.global_()}, size=3, options={"tick_interval_s": 1})
