"""What happened in one process since its last metrics report."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from heronshim.core.spi.events import (
    CAUSE_CHARACTERS_MAX,
    DETAIL_CHARACTERS_MAX,
    SUPPRESSED,
    EventRecord,
    event_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WAITING_MAX = 500
"""Events that wait for a report; the oldest is dropped and counted beyond."""
PER_INTERVAL_MAX = 10
"""Events of one kind about one process and task in INTERVAL_MS; the next one counts the rest."""
INTERVAL_MS = 10_000
_SUBJECTS_MAX = 10_000
"""Kinds of events about processes and tasks whose pace is remembered."""


class EventBuffer:
    """Collects events until `take`, which the owner calls when it reports. One thread at a time."""

    def __init__(
        self, process: str, container: int, incarnation: int, wall_ms: Callable[[], int]
    ) -> None:
        """`wall_ms` gives Unix milliseconds; process and incarnation make the events' ids."""
        self._process = process
        self._container = container
        self._incarnation = incarnation
        self._wall_ms = wall_ms
        self._waiting: deque[EventRecord] = deque()
        self._pace: dict[tuple[str, str, int], _Pace] = {}
        self._number = 0
        self.dropped_count = 0
        """Events that nobody will see: too many of one kind, or too many before a report."""

    def add(
        self,
        kind: str,
        *,
        process: str = "",
        container: int | None = None,
        component: str = "",
        task: int = 0,
        cause: str = "",
        detail: str = "",
        numbers: Mapping[str, float] | None = None,
    ) -> EventRecord | None:
        """Take an event that happens now; return it, or None when there are too many like it.

        It is about this process unless another is named.
        """
        now_ms = self._wall_ms()
        pace = self._pace_of((kind, process, task), now_ms)
        if pace.count >= PER_INTERVAL_MAX:
            pace.suppressed += 1
            self.dropped_count += 1
            return None
        pace.count += 1
        told = {name: float(value) for name, value in (numbers or {}).items()}
        if pace.suppressed:
            told[SUPPRESSED] = float(pace.suppressed)
            pace.suppressed = 0
        self._number += 1
        event = EventRecord(
            id=event_id(self._process, self._incarnation, self._number),
            time_ms=now_ms,
            kind=kind,
            process=process or self._process,
            container=self._container if container is None else container,
            component=component,
            task=task,
            cause=cause[:CAUSE_CHARACTERS_MAX],
            detail=detail[-DETAIL_CHARACTERS_MAX:],
            numbers=told,
        )
        self._waiting.append(event)
        if len(self._waiting) > WAITING_MAX:
            self._waiting.popleft()
            self.dropped_count += 1
        return event

    def take(self) -> tuple[EventRecord, ...]:
        """Return what happened, oldest first, and forget it."""
        events = tuple(self._waiting)
        self._waiting.clear()
        return events

    def _pace_of(self, subject: tuple[str, str, int], now_ms: int) -> _Pace:
        pace = self._pace.get(subject)
        if pace is None:
            if len(self._pace) >= _SUBJECTS_MAX:
                self._pace.clear()
            pace = self._pace[subject] = _Pace(now_ms)
        # A clock that was set back ends the interval too.
        elif not 0 <= now_ms - pace.since_ms < INTERVAL_MS:
            pace.since_ms, pace.count = now_ms, 0
        return pace


class _Pace:
    """How many events of one kind about one subject there were in an interval."""

    __slots__ = ("count", "since_ms", "suppressed")

    def __init__(self, since_ms: int) -> None:
        self.since_ms = since_ms
        self.count = 0
        self.suppressed = 0
