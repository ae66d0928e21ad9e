"""What a topology's history says of each process: since when it runs, restarts and their causes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from heronshim.core.spi.events import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heronshim.core.spi.events import EventRecord

_STARTS = (EventKind.PROCESS_STARTED, EventKind.PROCESS_REPLACED)
_ENDS = (EventKind.PROCESS_DIED, EventKind.PROCESS_STOPPED)


@dataclass(slots=True)
class ProcessFacts:
    """One process over all its lives that the history holds."""

    pid: int = 0
    """0: it does not run, as far as is known."""
    started_ms: int = 0
    """When its present life began, or its last one."""
    restarts: int = 0
    ended_ms: int = 0
    """When a life of it ended last; 0: none has."""
    cause: str = ""
    """Why it ended then."""
    container: int = 0


def process_facts(events: Iterable[EventRecord]) -> dict[str, ProcessFacts]:
    """Return what a history says, oldest event first, of each process that it names."""
    facts: dict[str, ProcessFacts] = {}
    for event in events:
        if event.kind in _STARTS:
            process = facts.setdefault(event.process, ProcessFacts(container=event.container))
            process.restarts += bool(process.started_ms or process.ended_ms)
            process.pid, process.started_ms = int(event.numbers.get("pid", 0)), event.time_ms
        elif event.kind in _ENDS:
            _end(
                facts.setdefault(event.process, ProcessFacts(container=event.container)),
                event,
                event.cause,
            )
        elif event.kind == EventKind.CONTAINER_DIED:
            for process in facts.values():
                if process.container == event.container and process.pid:
                    _end(process, event, f"its container died: {event.cause}")
    return facts


def _end(process: ProcessFacts, event: EventRecord, cause: str) -> None:
    process.pid, process.ended_ms, process.cause = 0, event.time_ms, cause
