"""A topology's history: the newest events, in the order of their times. Bounded."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import replace
from typing import TYPE_CHECKING

from heronshim.core.spi.events import CAUSE_CHARACTERS_MAX, DETAIL_CHARACTERS_MAX, EventRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

EVENTS_MAX = 10_000
"""Events that are kept; the oldest goes."""
EVENTS_LENGTH_MAX = 8 << 20
"""Characters of all of them, so that an answer with all fits in one frame (64 MB)."""


class EventStore:
    """Takes events in any order, each one as often as it likes to come. One thread."""

    def __init__(self) -> None:
        self._events: list[EventRecord] = []
        """Ascending by `_key`."""
        self._ids: set[str] = set()
        self._length = 0

    def add(self, events: Iterable[EventRecord]) -> None:
        """Take events; those that are here already are left alone."""
        for event in events:
            if event.id not in self._ids:
                self._insert(_bounded(event))

    def since(self, time_ms: int = 0, component: str = "") -> tuple[EventRecord, ...]:
        """Return the events from that time on, oldest first.

        With a component only those that are about it.
        """
        first = bisect_left(self._events, (time_ms, ""), key=_key)
        found = self._events[first:]
        return tuple(event for event in found if component in ("", event.component))

    def _insert(self, event: EventRecord) -> None:
        insort(self._events, event, key=_key)
        self._ids.add(event.id)
        self._length += event.length
        while len(self._events) > EVENTS_MAX or self._length > EVENTS_LENGTH_MAX:
            oldest = self._events.pop(0)
            self._ids.discard(oldest.id)
            self._length -= oldest.length

    def check_invariants(self) -> None:
        """Assert what always holds."""
        assert self._ids == {event.id for event in self._events}
        assert len(self._ids) == len(self._events) <= EVENTS_MAX
        assert self._length == sum(event.length for event in self._events) <= EVENTS_LENGTH_MAX
        assert self._events == sorted(self._events, key=_key)


def _key(event: EventRecord) -> tuple[int, str]:
    return event.time_ms, event.id


def _bounded(event: EventRecord) -> EventRecord:
    """Return an event whose texts are not longer than they may be, whoever wrote it."""
    return replace(
        event,
        cause=event.cause[:CAUSE_CHARACTERS_MAX],
        detail=event.detail[-DETAIL_CHARACTERS_MAX:],
    )
