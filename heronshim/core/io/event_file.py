"""Files of events, one a line: who writes them, and who reads on where it was."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from heronshim.core.codec.event_json import event_from_line, event_to_line
from heronshim.core.io.regular_file import regular_descriptor
from heronshim.core.io.rotating_log import RotatingLog
from heronshim.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from heronshim.core.spi.events import EventRecord

EVENTS_FILE = "events.jsonl"
"""In a container's folder: what its supervisor saw, and of the supervisor's own death its parent.
One of them at a time writes; of container 0 also a TMaster that cannot begin (`append_event`)."""
HISTORY_FILE = "history.jsonl"
"""In a container's folder: what its other processes reported, kept by its metrics manager."""
FILE_BYTES_MAX = 10 << 20
FILES_MAX = 2
"""Limits of each: some 30,000 deaths."""
FIRST_BYTES = 1 << 20
"""A reader begins so far before the end of a file, or at its beginning."""
TURN_BYTES = 256 << 10
"""Bytes that a reader takes in one turn."""
_LINE_BYTES_MAX = 64 << 10


class EventFile:
    """Appends events to a file. A full disk loses events, never the process."""

    def __init__(self, path: Path) -> None:
        """Append to `path`, whose folder exists; opened at the first write."""
        self._log = RotatingLog(path, FILE_BYTES_MAX, FILES_MAX)

    def write(self, events: Iterable[EventRecord]) -> None:
        """Append events; never raises."""
        lines = b"".join(event_to_line(event) for event in events)
        if lines:
            self._log.write(lines)

    def close(self) -> None:
        """Close the file; a later write opens it again."""
        self._log.close()


def append_event(path: Path, event: EventRecord) -> None:
    """Add a line to a file that another process writes, and may rotate; never raises."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError:
        return
    with os.fdopen(descriptor, "wb", buffering=0) as file, suppress(OSError):
        file.write(event_to_line(event))


def read_last_events(path: Path) -> list[EventRecord]:
    """Return the events in the last FIRST_BYTES of a file, oldest first; never raises."""
    tail = EventTail(path)
    events: list[EventRecord] = []
    while found := tail.read():
        events += found
    tail.close()
    return events


class EventTail:
    """Reads a file of events as it grows, over its rotations. One thread; never raises."""

    def __init__(self, path: Path) -> None:
        """Begin near the end of `path`, which need not be there yet."""
        self._path = path
        self._descriptor = -1
        self._begun = False
        self._rest = b""
        self._skipping = False
        """Whether the line being read began before this reader, or is too long."""
        self.damaged_count = 0
        """Lines that were no events: a full disk leaves halves."""

    def read(self) -> list[EventRecord]:
        """Return the events of the next TURN_BYTES at most, oldest first."""
        try:
            data = self._next_bytes()
        except OSError:
            self.close()
            return []
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LINE_BYTES_MAX:
            self._rest, self._skipping = b"", True
        events = []
        for line in lines:
            if self._skipping:
                self._skipping = False
                continue
            try:
                events.append(event_from_line(line))
            except RemoteProtocolError:
                self.damaged_count += 1
        return events

    def close(self) -> None:
        """Close the file; a later read begins anew."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _next_bytes(self) -> bytes:
        if self._descriptor < 0:
            self._open()
        data = os.read(self._descriptor, TURN_BYTES)
        if not data and self._is_rotated():
            # What was written before the rotation and after the read.
            data = os.read(self._descriptor, TURN_BYTES)
            if not data:
                self.close()
                self._open()
                data = os.read(self._descriptor, TURN_BYTES)
        return data

    def _open(self) -> None:
        self._descriptor = regular_descriptor(self._path, follow_links=False)
        # A line may begin at the end of one file and go on in the next.
        if not self._begun:
            self._begun = True
            size = os.fstat(self._descriptor).st_size
            if size > FIRST_BYTES:
                os.lseek(self._descriptor, size - FIRST_BYTES, os.SEEK_SET)
                self._skipping = True

    def _is_rotated(self) -> bool:
        """Whether another file has this one's name by now."""
        here, named = os.fstat(self._descriptor), self._path.stat()
        return (here.st_dev, here.st_ino) != (named.st_dev, named.st_ino)
