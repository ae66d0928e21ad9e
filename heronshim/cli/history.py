"""A topology's history: from its TMaster, or from its files when that does not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heronshim.cli.master import ask
from heronshim.cli.output import note
from heronshim.core.io.event_file import EVENTS_FILE, HISTORY_FILE, read_last_events
from heronshim.core.master.event_store import EventStore
from heronshim.core.master.messages import CommandKind
from heronshim.errors import HeronshimError

if TYPE_CHECKING:
    from pathlib import Path

    from heronshim.cli.engine import Running
    from heronshim.core.spi.events import EventRecord


def history(running: Running, *, since_ms: int = 0, component: str = "") -> list[EventRecord]:
    """Return what happened since then, oldest first; of one component, if it is named."""
    try:
        reply = ask(running, CommandKind.EVENTS, component=component, since_ms=since_ms)
    except HeronshimError as error:
        note(f"the TMaster does not answer, this is what the files of this host hold: {error}")
        work_dir = running.engine.work_dir(running.name)
        return history_of_files(work_dir, since_ms=since_ms, component=component)
    return list(reply.events)


def history_of_files(
    work_dir: Path, *, since_ms: int = 0, component: str = ""
) -> list[EventRecord]:
    """Return what a topology's folder on this host holds of its history, oldest first."""
    store = EventStore()
    for name in (EVENTS_FILE, HISTORY_FILE):
        for path in work_dir.glob(f"container-*/{name}"):
            store.add(read_last_events(path))
    return list(store.since(since_ms, component))
