"""Author's code that blocks in every way that Python knows, each once."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Mapping
from typing import Any

from heronshim.api import Bolt, Context, Spout, Topology, Tuple

BLOCK_S = 12
PER_S = 100.0
GIL_HOLDER = ctypes.PyDLL(None)
"""libc, called without giving up the interpreter's lock."""


class Steady(Spout):
    """Emits numbers at an even pace; what fails is not sent again."""

    outputs = ("number",)

    def __init__(self, blocks_s: float = 0.0) -> None:
        self.blocks_s = blocks_s

    def open(self, config: Mapping[str, Any], context: Context) -> None:
        self.begun_s, self.emitted = time.monotonic(), 0

    def next_tuple(self) -> None:
        if self.emitted == 50 and self.blocks_s:
            time.sleep(self.blocks_s)
            self.blocks_s = 0
        if self.emitted < (time.monotonic() - self.begun_s) * PER_S:
            self.emit([self.emitted], id=self.emitted)
            self.emitted += 1


class Plain(Bolt):
    """Takes what comes."""

    def execute(self, tup: Tuple) -> None:
        self.seen = getattr(self, "seen", 0) + 1
        if self.seen == 50:
            self.block()

    def block(self) -> None:
        """Nothing."""


class Sleeps(Plain):
    def block(self) -> None:
        time.sleep(BLOCK_S)


class HoldsLock(Plain):
    """As a C function does that never gives up the interpreter's lock."""

    def block(self) -> None:
        GIL_HOLDER.sleep(5)


class Collects(Plain):
    """A collection of garbage that takes 10 s."""

    def block(self) -> None:
        gc.callbacks.append(self.collecting)
        gc.collect()

    def collecting(self, phase: str, _: object) -> None:
        if phase == "start":
            gc.callbacks.remove(self.collecting)
            GIL_HOLDER.sleep(10)


class Blocking(Topology):
    options = {"containers": 2, "message_timeout_s": 300, "liveness_limit_s": 120}
    steady = Steady.spec()
    blocked = Steady.spec(args={"blocks_s": BLOCK_S})
    plain = Plain.spec(inputs=[steady, blocked])
    sleeps = Sleeps.spec(inputs=[steady])
    holds_lock = HoldsLock.spec(inputs=[steady])
    collects = Collects.spec(inputs=[steady])


class ShortLimit(Topology):
    options = {"containers": 2, "message_timeout_s": 10, "liveness_limit_s": 5}
    steady = Steady.spec()
    plain = Plain.spec(inputs=[steady], parallelism=3)
