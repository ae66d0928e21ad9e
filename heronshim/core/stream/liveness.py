"""Who has been silent, and for how long: the judgement of all that watch processes.

Silence is no death. It makes a process suspected, which is shown and changes nothing; only
silence over a limit makes its watcher replace it. Time in which the watcher itself did not look
(it was stopped, starved, or waited for its own witness) is nobody's silence: after such a pause
all get the whole limit anew. A debugger's pause has its place here: who is forgotten is not
judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

Key = TypeVar("Key")

SUSPECT_NS = 2_000_000_000
"""Silence that makes suspected: ten link heartbeats, four signs of life of an engine process."""
LOOK_NS = 500_000_000
"""Time between two signs of life, and between two looks of a watcher."""
START_NS = 120_000_000_000
"""A process that was never heard has this long at least (Storm: worker start time-out 120 s)."""


class Turn(StrEnum):
    """What changed in a judgement."""

    SUSPECTED = "suspected"
    """Silent for SUSPECT_NS, or for the limit if that is shorter."""
    ANSWERS = "answers"
    """Heard again after it was suspected."""
    OVERDUE = "overdue"
    """Silent beyond the limit, or never heard since its start: to be replaced. Told once."""


@dataclass(frozen=True, slots=True)
class Change(Generic[Key]):
    """One change; `silent_ns` is how long it was silent until now, or until it answered."""

    key: Key
    turn: Turn
    silent_ns: int


@dataclass(slots=True)
class _Watched:
    heard_ns: int
    """When it was heard last, or from when on it was expected."""
    spoke: bool
    suspected_from_ns: int | None = None
    """While it is suspected: `heard_ns` of then."""
    overdue: bool = False


class Liveness(Generic[Key]):
    """Judges by monotonic time. `look` has to be called every LOOK_NS or so."""

    def __init__(self, limit_ns: int) -> None:
        """Take the silence after which somebody is replaced."""
        self._limit_ns = limit_ns
        self._start_ns = max(START_NS, limit_ns)
        self._suspect_ns = min(SUSPECT_NS, limit_ns)
        self._watched: dict[Key, _Watched] = {}
        self._looked_ns = -1
        self._since_ns = 0
        """No silence counts before this: the end of the watcher's own last pause."""

    @property
    def suspected(self) -> list[Key]:
        """All that are suspected now."""
        return [key for key, item in self._watched.items() if item.suspected_from_ns is not None]

    def expect(self, key: Key, now_ns: int) -> None:
        """Begin to watch somebody anew who starts now, and may take START_NS to be heard."""
        self._watched[key] = _Watched(now_ns, spoke=False)

    def heard(self, key: Key, now_ns: int) -> None:
        """Take a sign of life; of somebody new it is the first."""
        item = self._watched.get(key)
        if item is None:
            self._watched[key] = _Watched(now_ns, spoke=True)
        else:
            item.heard_ns, item.spoke = max(item.heard_ns, now_ns), True

    def forget(self, key: Key) -> None:
        """Judge somebody no more: it ended, or is to be left alone."""
        self._watched.pop(key, None)

    def keys(self) -> list[Key]:
        """Return all that are watched."""
        return list(self._watched)

    def look(self, now_ns: int) -> list[Change[Key]]:
        """Return what changed since the last look."""
        if now_ns - self._looked_ns > self._suspect_ns:
            self._since_ns = now_ns
        self._looked_ns = now_ns
        changes = []
        for key, item in self._watched.items():
            begun_ns = item.suspected_from_ns
            if begun_ns is not None and item.heard_ns > begun_ns:
                item.suspected_from_ns = None
                changes.append(Change(key, Turn.ANSWERS, item.heard_ns - begun_ns))
            silent_ns = now_ns - max(item.heard_ns, self._since_ns)
            if item.spoke and item.suspected_from_ns is None and silent_ns >= self._suspect_ns:
                item.suspected_from_ns = item.heard_ns
                changes.append(Change(key, Turn.SUSPECTED, now_ns - item.heard_ns))
            limit_ns = self._limit_ns if item.spoke else self._start_ns
            if silent_ns >= limit_ns and not item.overdue:
                item.overdue = True
                changes.append(Change(key, Turn.OVERDUE, now_ns - item.heard_ns))
        return changes
