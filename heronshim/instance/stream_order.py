"""Keeps the order of emits to one target between streams.

Rows wait in a batch for each (stream, target), and batches leave one after another. Where a
consumer takes several streams of one task, rows of another stream leave before a row is appended,
so that the target sees all of them in the order of their emits (Storm: they share its queues).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from heronshim.instance.outbox import OpenBatch, Outbox

NS_PER_US = 1000


class Emitter(Protocol):
    """The task whose emits are kept in order."""

    io_lock: AbstractContextManager[Any]
    clock_ns: Any
    """Returns nanoseconds."""


class StreamOrder:
    """Of one task. Hold `lock` from `turn_to` until the row is appended: bolts have threads."""

    def __init__(self, emitter: Emitter, outbox: Outbox) -> None:
        self.lock = threading.Lock()
        self._emitter = emitter
        self._outbox = outbox
        self._last: dict[int, OpenBatch] = {}
        """The only batch of each target that may hold rows."""

    def turn_to(self, batch: OpenBatch) -> None:
        """Let the rows of other streams to the target of `batch` leave."""
        last = self._last.get(batch.target)
        if last is batch:
            return
        if last is not None:
            with self._emitter.io_lock:
                self._outbox.close_batch(last, self._emitter.clock_ns() // NS_PER_US)
        self._last[batch.target] = batch
