"""Lines up the barriers of all sources of one task, so that a checkpoint is a consistent cut.

A barrier comes in band, behind the data of one source. What a source sends behind its barrier is
held until the barriers of all others have come; then the task saves its state, sends the barrier
on, and what was held goes on in the order of its source. Pure; one for each task.

| barrier that comes                           | what happens                                      |
| -------------------------------------------- | ------------------------------------------------- |
| of the checkpoint that is being lined up     | its source is held; the last completes the cut    |
| newer, from a source that is not held        | the older checkpoint is given up, this one begins |
| from a source that is held                   | it waits in line behind what is held              |
| of one that is complete or was given up      | nothing: a checkpoint completes once or never     |

What is held gives its credit back when it is held. All senders to a task share its window and one
queue at each hop, so that a held source's data would keep the very barrier out that it waits for
(tests/sim/test_barrier.py shows the standstill). `held_bytes_max` bounds it instead: above it the
checkpoint is given up, nothing is lost.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

HELD_BYTES_MAX = 8 << 20
"""A checkpoint that makes a task hold more than this is given up: eight full windows."""

Item = TypeVar("Item")


class Barrier(NamedTuple):
    """Marks a checkpoint; a later one is greater."""

    recovery_epoch: int
    """Roll-back number that the checkpoint belongs to."""
    checkpoint: int
    """From 1; grows with each checkpoint."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """All sources' barriers came: the task saves its state now and sends the barrier on."""

    barrier: Barrier


class BarrierAligner(Generic[Item]):
    """Says what a task executes, in order, and where in it the cuts are.

    `on_data`, `on_barrier` and their like return what is to be done now: items to execute and
    `Aligned` marks.
    """

    def __init__(self, sources: Iterable[int], held_bytes_max: int = HELD_BYTES_MAX) -> None:
        """`sources` are the tasks that send to this one."""
        self._sources = frozenset(sources)
        self._held_bytes_max = held_bytes_max
        self._newest = Barrier(0, 0)
        """Newest barrier seen; `_came` says whether it is being lined up."""
        self._came: set[int] = set()
        """Sources whose barrier came; empty when no checkpoint is being lined up."""
        self._held: deque[tuple[int, Item | Barrier, int]] = deque()
        """(source, item, bytes) behind barriers, in the order they came."""
        self.held_bytes = 0
        """Of all items that are held."""
        self.abandoned_count = 0
        """Checkpoints that were begun here and given up."""

    @property
    def pending(self) -> Barrier | None:
        """The barrier that is being lined up."""
        return self._newest if self._came else None

    def on_data(self, source: int, item: Item, item_bytes: int) -> list[Item | Aligned]:
        """An item came: it is executed now, or held. Its credit goes back now in both cases."""
        if source not in self._came:
            return [item]
        self._hold(source, item, item_bytes)
        if self.held_bytes <= self._held_bytes_max:
            return []
        return self._abandon()

    def on_barrier(self, source: int, barrier: Barrier) -> list[Item | Aligned]:
        """A barrier came."""
        if source in self._came:
            self._hold(source, barrier, 0)
            return []
        done: list[Item | Aligned] = []
        while self._came and barrier > self._newest:
            # What it lets go on may begin another checkpoint, of those that wait in line.
            done += self._abandon()
        if barrier < self._newest or (barrier == self._newest and not self._came):
            return done
        self._newest = barrier
        self._came.add(source)
        return done + self._completed()

    def on_recovery(self, recovery_epoch: int) -> int:
        """The topology rolls back: what is held will be sent again. Return the items dropped."""
        if recovery_epoch <= self._newest.recovery_epoch:
            return 0
        dropped = sum(1 for _, item, _ in self._held if not isinstance(item, Barrier))
        self.abandoned_count += bool(self._came)
        self._newest = Barrier(recovery_epoch, 0)
        self._came.clear()
        self._held.clear()
        self.held_bytes = 0
        return dropped

    def set_sources(self, sources: Iterable[int]) -> list[Item | Aligned]:
        """The plan changed who sends to this task; nobody waits for one that is gone."""
        self._sources = frozenset(sources)
        return self._completed()

    def check_invariants(self) -> None:
        """Assert what always holds."""
        assert self.held_bytes == sum(item_bytes for *_, item_bytes in self._held)
        assert 0 <= self.held_bytes <= self._held_bytes_max
        assert not self._held or self._came
        assert {source for source, *_ in self._held} <= self._came
        assert not self._came or not self._came >= self._sources

    def _completed(self) -> list[Item | Aligned]:
        if not self._came or not self._came >= self._sources:
            return []
        self._came.clear()
        return [Aligned(self._newest), *self._release()]

    def _abandon(self) -> list[Item | Aligned]:
        """Give up what is being lined up, if anything is."""
        if not self._came:
            return []
        self._came.clear()
        self.abandoned_count += 1
        return self._release()

    def _hold(self, source: int, item: Item | Barrier, item_bytes: int) -> None:
        self._held.append((source, item, item_bytes))
        self.held_bytes += item_bytes

    def _release(self) -> list[Item | Aligned]:
        """Let what was held go on; a barrier in it begins the next checkpoint."""
        held, self._held = self._held, deque()
        self.held_bytes = 0
        done: list[Item | Aligned] = []
        for source, item, item_bytes in held:
            if isinstance(item, Barrier):
                done += self.on_barrier(source, item)
            else:
                done += self.on_data(source, item, item_bytes)
        return done
