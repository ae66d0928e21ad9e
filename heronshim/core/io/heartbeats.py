"""Signs of life from a process to its supervisor, and from a supervisor to its launcher.

One JSON object a line, every LOOK_NS, through a pipe that the child inherits; a supervisor, which
outlives its launcher, writes to the named pipe `heartbeat` in its container's folder. Neither side
ever waits: what does not fit is left out, and a line that is none is no sign of life.

    {"heard": [["count-1", 17]], "suspected": []}

`heard` names who its writer heard since the last line, with incarnations: the stream manager and
the TMaster, whose links all other processes of a container have, are the supervisor's witnesses.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heronshim.core.codec.json_fields import JsonFields, parse_json
from heronshim.errors import RemoteProtocolError

if TYPE_CHECKING:
    from pathlib import Path

HEARTBEAT_FILE = "heartbeat"
"""Name of the named pipe in a container's folder."""
_LINE_BYTES_MAX = 4 << 20
"""100,000 processes with names of 20 characters."""
_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Beat:
    """What one sign of life says."""

    heard: tuple[tuple[str, int], ...] | None = None
    """Process ids and incarnations; None: its writer is no witness now."""
    suspected: tuple[str, ...] = ()
    """Process ids that its writer suspects."""

    def to_line(self) -> bytes:
        """Return it as one line."""
        value = {"heard": self.heard, "suspected": self.suspected}
        return json.dumps(value, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Beat:
        """Return what `to_line` wrote.

        Raises:
            RemoteProtocolError: a field is missing, unknown or wrong; names it.
        """
        fields = JsonFields(parse_json(line, "beat"), "beat", ("heard", "suspected"))
        heard = None
        if fields.has("heard"):
            heard = tuple(_process(item) for item in fields.items("heard"))
        return cls(heard, fields.texts("suspected"))


def _process(item: object) -> tuple[str, int]:
    match item:
        case [str(process), int(incarnation)]:
            return process, incarnation
        case _:
            pass
    msg = f"beat.heard: expected a process and its incarnation, not {str(item)[:80]}"
    raise RemoteProtocolError(msg)


class HeartbeatWriter:
    """Writes signs of life into an inherited pipe, or into none. Never blocks."""

    def __init__(self, descriptor: int) -> None:
        """Take the write end; -1: nobody watches this process."""
        self._descriptor = descriptor
        self._waiting = b""
        if descriptor >= 0:
            os.set_blocking(descriptor, False)
            os.set_inheritable(descriptor, False)

    def write(self, beat: Beat) -> None:
        """Write one, unless the reader is so far behind that the last is not out yet."""
        if self._descriptor < 0:
            return
        if not self._waiting:
            self._waiting = beat.to_line()
        try:
            written = os.write(self._descriptor, self._waiting)
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.close()
            return
        self._waiting = self._waiting[written:]

    def close(self) -> None:
        """Write no more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor, self._waiting = -1, b""


class NamedHeartbeatWriter(HeartbeatWriter):
    """Writes signs of life into a named pipe whenever somebody has it open for reading."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        super().__init__(-1)
        self._path = path

    def write(self, beat: Beat) -> None:
        """See `HeartbeatWriter.write`; without a reader nothing is written."""
        if self._descriptor < 0:
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
            with suppress(OSError):
                self._descriptor = os.open(self._path, flags)
        super().write(beat)


class HeartbeatReader:
    """Reads signs of life from a pipe. Never blocks."""

    def __init__(self, descriptor: int) -> None:
        """Take the read end."""
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._received = b""

    def fileno(self) -> int:
        """Return its descriptor; -1 once its writer has ended."""
        return self._descriptor

    def read(self) -> list[Beat]:
        """Return what has come, oldest first; closes itself at the writer's end."""
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return []
        if not data:
            self.close()
            return []
        *lines, self._received = (self._received + data).split(b"\n")
        if len(self._received) > _LINE_BYTES_MAX:
            self._received = b""
        beats = []
        for line in lines:
            with suppress(RemoteProtocolError):
                beats.append(Beat.from_line(line))
        return beats

    def close(self) -> None:
        """Read no more. Safe to repeat."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_named_reader(path: Path) -> HeartbeatReader:
    """Open a named pipe, made if missing, for reading; its writers come and go.

    Raises:
        OSError: it cannot be made or opened, or is no pipe.
    """
    with suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    # For writing too: without any writer a pipe would be at its end, and readable, all the time.
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        msg = f"{path} is no named pipe; remove it"
        raise OSError(msg)
    return HeartbeatReader(descriptor)
