"""Spouts that emit as fast as they are called, bolts far too slow; each writes down its counts.

Parameters come from the environment of `heronshim submit`: FLOOD_FOLDER, and of the topology
`Flood` FLOOD_BYTES, FLOOD_SLOW_S, FLOOD_DELIVERY, FLOOD_POLICY, FLOOD_CONTAINERS,
FLOOD_RIGHT_PER_S.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heronshim.api import Bolt, Context, Spout, Topology, TopologyBuilder, Tuple

FOLDER = os.environ.get("FLOOD_FOLDER", "")
BYTES = int(os.environ.get("FLOOD_BYTES", "16"))
SLOW_S = float(os.environ.get("FLOOD_SLOW_S", "0.01"))
RIGHT_PER_S = float(os.environ.get("FLOOD_RIGHT_PER_S", "inf"))
NOTE_S = 0.2


class Ledger:
    """Counts of one task, written to a file of its own now and then."""

    def __init__(self, context: Context) -> None:
        self._file = Path(FOLDER) / f"{context.component_id}-{context.task_id}-{os.getpid()}.json"
        self._written_s = 0.0
        self.counts: dict[str, Any] = {"component": context.component_id, "pid": os.getpid()}

    def add(self, name: str, by: int = 1) -> None:
        """Count, and write what was counted when that is due."""
        self.counts[name] = self.counts.get(name, 0) + by
        now_s = time.monotonic()
        if now_s - self._written_s >= NOTE_S:
            self._written_s = now_s
            fresh = self._file.with_suffix(".new")
            fresh.write_text(json.dumps({**self.counts, "at_s": now_s}))
            fresh.replace(self._file)


class Floods(Spout):
    """Emits values of `size` bytes as fast as it is called, or `per_s` a second."""

    outputs = ["text"]

    def __init__(self, size: int, ids: bool = True, per_s: float = math.inf) -> None:
        self._value = b"x" * size
        self._ids = ids
        self._per_s = per_s
        self._number = 0

    def open(self, config: Mapping[str, Any], context: Context) -> None:
        self._ledger = Ledger(context)
        self._begun_s = time.monotonic()

    def next_tuple(self) -> None:
        if self._number >= self._per_s * (time.monotonic() - self._begun_s):
            return
        self._number += 1
        self.emit([self._value], id=self._number if self._ids else None)
        self._ledger.add("emitted")

    def ack(self, id: Any) -> None:
        self._ledger.add("acked")

    def fail(self, id: Any) -> None:
        self._ledger.add("failed")


class Slow(Bolt):
    """Takes `seconds` for each tuple, as one that waits for a slow service does.

    Counts the time that it is in `execute`: the rest it waits for input.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        self._ledger = Ledger(context)

    def execute(self, tup: Tuple) -> None:
        begun_ns = time.monotonic_ns()
        time.sleep(self._seconds)
        self._ledger.add("executed")
        counts = self._ledger.counts
        counts["busy_us"] = counts.get("busy_us", 0) + (time.monotonic_ns() - begun_ns) // 1000


class Fast(Bolt):
    """Counts."""

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        self._ledger = Ledger(context)

    def execute(self, tup: Tuple) -> None:
        self._ledger.add("executed")


class Fans(Bolt):
    """Emits 100 tuples for each."""

    outputs = ["text"]

    def execute(self, tup: Tuple) -> None:
        for _ in range(100):
            self.emit(tup.values)


class Rounds(Bolt):
    """Takes `seconds` for each tuple and emits two of each value, to itself, until it is short."""

    outputs = ["text"]

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        self._ledger = Ledger(context)

    def execute(self, tup: Tuple) -> None:
        time.sleep(self._seconds)
        value = tup[0]
        self._ledger.add("executed")
        if len(value) > 13:
            for _ in range(2):
                self.emit([value[1:]])


class Never(Bolt):
    """Never comes back from its first tuple."""

    def execute(self, tup: Tuple) -> None:
        while True:
            time.sleep(0)


OPTIONS = {
    "containers": int(os.environ.get("FLOOD_CONTAINERS", "1")),
    "delivery": os.environ.get("FLOOD_DELIVERY", "at_least_once"),
    "backpressure": os.environ.get("FLOOD_POLICY", "hop"),
    "message_timeout_s": float(os.environ.get("FLOOD_TIMEOUT_S", "30")),
}


class OneSlow(Topology):
    options = OPTIONS
    source = Floods.spec(args={"size": BYTES})
    slow = Slow.spec(inputs=[source], args={"seconds": SLOW_S})


class FanOut(Topology):
    options = OPTIONS
    source = Floods.spec(args={"size": BYTES})
    fans = Fans.spec(inputs=[source])
    slow = Slow.spec(inputs=[fans], args={"seconds": SLOW_S})


class TwoPaths(Topology):
    """A slow path, and one that nothing slows down."""

    options = OPTIONS
    left = Floods.spec(args={"size": BYTES})
    right = Floods.spec(args={"size": BYTES, "per_s": RIGHT_PER_S})
    slow = Slow.spec(inputs=[left], args={"seconds": SLOW_S})
    fast = Fast.spec(inputs=[right])


class Alone(Topology):
    """The path of TwoPaths that nothing slows down, without the other."""

    options = OPTIONS
    right = Floods.spec(args={"size": BYTES, "per_s": RIGHT_PER_S})
    fast = Fast.spec(inputs=[right])


class NeverReads(Topology):
    """A bolt that never returns, and a path that goes on."""

    options = {**OPTIONS, "message_timeouts": False}
    left = Floods.spec(args={"size": BYTES})
    right = Floods.spec(args={"size": BYTES})
    never = Never.spec(inputs=[left])
    fast = Fast.spec(inputs=[right])


Loop = (
    TopologyBuilder("Loop")
    .options(**OPTIONS)
    .spout("source", Floods.spec(args={"size": 16}))
    .bolt("rounds", Rounds.spec(inputs=["source", "rounds"], args={"seconds": SLOW_S}))
)
"""Each tuple of the spout is executed 15 times by one slow bolt, in rounds."""
