"""Word count from Python to Python, with the public per-tuple API only.

One emit per next_tuple, execute per tuple, fields grouping on 10,000 words of 16 characters,
message ids. Parameters come from the environment of `heronshim submit`.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from heronshim.api import Bolt, Context, Grouping, Spout, Topology, Tuple

WORDS = 10_000
SAMPLE_S = 0.1
FIRST_LOOK_S = 0.002


def word_list() -> list[str]:
    """Return the words: 16 characters each."""
    return [f"word{number:05d}abcdefg" for number in range(WORDS)]


def start_sampling(file: Path, count: Callable[[], int]) -> None:
    """Append "monotonic_ns count" lines to a file: the first when the count leaves 0."""

    def sample() -> None:
        with file.open("a") as out:
            while not count():
                time.sleep(FIRST_LOOK_S)
            while True:
                out.write(f"{time.monotonic_ns()} {count()}\n")
                out.flush()
                time.sleep(SAMPLE_S)

    threading.Thread(target=sample, daemon=True).start()


class Words(Spout):
    """Emits one word a call, as fast as it is called."""

    outputs = ("word",)

    def open(self, config: Mapping[str, Any], context: Context) -> None:
        self._words = word_list()
        self._next = 0

    def next_tuple(self) -> None:
        number = self._next
        self._next = number + 1
        self.emit([self._words[number % WORDS]], id=number)


class PacedWords(Spout):
    """Emits `per_s` words a second and keeps how long each tree was open."""

    outputs = ("word",)

    def __init__(self, per_s: float, folder: str) -> None:
        self._per_s = per_s
        self._folder = folder

    def open(self, config: Mapping[str, Any], context: Context) -> None:
        self._words = word_list()
        self._emitted = 0
        self._begun_ns = time.monotonic_ns()
        self._latencies_us: list[int] = []
        self._file = Path(self._folder) / f"latency-{context.task_id}.json"

    def next_tuple(self) -> None:
        now_ns = time.monotonic_ns()
        if self._emitted < (now_ns - self._begun_ns) * self._per_s / 1e9:
            self._emitted += 1
            self.emit([self._words[self._emitted % WORDS]], id=now_ns)

    def ack(self, id: int) -> None:
        self._latencies_us.append((time.monotonic_ns() - id) // 1000)

    def close(self) -> None:
        # The first third is warm-up.
        kept = sorted(self._latencies_us[len(self._latencies_us) // 3 :])
        if kept:
            quantiles = {
                name: kept[int(share * (len(kept) - 1))]
                for name, share in (("p50_us", 0.5), ("p99_us", 0.99))
            }
            self._file.write_text(json.dumps({**quantiles, "trees": len(kept)}))


class Count(Bolt):
    """Counts words in a dict."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        self._counts: dict[str, int] = {}
        file = Path(self._folder) / f"count-{context.task_id}.txt"
        start_sampling(file, lambda: sum(list(self._counts.values())))

    def execute(self, tup: Tuple) -> None:
        word = tup.values[0]
        self._counts[word] = self._counts.get(word, 0) + 1


_FOLDER = os.environ.get("BENCH_FOLDER", "")
_PAIRS = int(os.environ.get("BENCH_PAIRS", "1"))
_RATE = float(os.environ.get("BENCH_RATE", "0"))


class WordCount(Topology):
    options = {
        "containers": int(os.environ.get("BENCH_CONTAINERS", "1")),
        "delivery": os.environ.get("BENCH_DELIVERY", "at_least_once"),
    }
    words = (
        PacedWords.spec(parallelism=_PAIRS, args={"per_s": _RATE / _PAIRS, "folder": _FOLDER})
        if _RATE
        else Words.spec(parallelism=_PAIRS)
    )
    count = Count.spec(
        parallelism=_PAIRS,
        inputs={words: Grouping.fields("word")},
        args={"folder": _FOLDER},
    )
