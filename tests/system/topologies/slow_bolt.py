"""A bolt that is far slower than its source."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from heronshim.api import Bolt, Context, Spout, Topology, Tuple

TUPLES = 4000


class Fast(Spout):
    """Emits as fast as it is called, `TUPLES` numbers, each with a payload."""

    outputs = ("number", "payload")

    def __init__(self, payload_bytes: int) -> None:
        self._payload = "x" * payload_bytes
        self._next = 0

    def next_tuple(self) -> None:
        if self._next < TUPLES:
            self.emit([self._next, self._payload])
            self._next += 1


class Slow(Bolt):
    """Takes a millisecond for each tuple and notes what came out of order."""

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        self._expected = 0
        self._misplaced = context.counter("misplaced")

    def execute(self, tup: Tuple) -> None:
        time.sleep(0.001)
        self._misplaced.increment(tup["number"] != self._expected)
        self._expected += 1


class SlowBolt(Topology):
    options = {"delivery": "at_most_once"}
    fast = Fast.spec(args={"payload_bytes": 2000})
    slow = Slow.spec(inputs=[fast])
