"""What all daemons share: one-line event logs, private files, and the request to stop."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

VALUE_CHARACTERS_MAX = 4000
"""A longer value of a log line is cut, so that hostile text cannot fill a disk by one line."""


def log_event(level: str, event: str, **fields: object) -> None:
    """Write one line `<UTC time> <level> event=<event> key=value ...` to standard error.

    `level` is DEBUG, INFO, WARNING or ERROR. Never raises for a full disk or a closed stream:
    a log that cannot be written must not end a daemon.
    """
    try:
        sys.stderr.write(event_line(level, event, **fields))
        sys.stderr.flush()
    except (OSError, ValueError):
        return


def event_line(level: str, event: str, **fields: object) -> str:
    """Return the line that `log_event` writes, ended by a line feed."""
    parts = [utc_now(), level, f"event={log_value(event)}"]
    parts += [f"{name}={log_value(value)}" for name, value in fields.items()]
    return " ".join(parts) + "\n"


def log_value(value: object) -> str:
    """Return a value as one printable word, in double quotes when it needs them.

    Control characters, line separators and direction marks are written as escapes, so that no
    value can forge a line (CVE-2021-42010 of Heron) or act on a terminal.
    """
    text = str(value)
    if len(text) > VALUE_CHARACTERS_MAX:
        text = f"{text[:VALUE_CHARACTERS_MAX]}...({len(text)} characters)"
    if text and text.isprintable() and not any(mark in text for mark in ' "\\='):
        return text
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    if named:
        return named
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def wall_ms() -> int:
    """Return the time in Unix milliseconds: for records, never for decisions."""
    return time.time_ns() // 1_000_000


def utc_now() -> str:
    """Return the time as 2026-11-23T23:59:59.000Z."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{nanoseconds // 1_000_000:03d}Z"


class StopRequest:
    """Whether SIGTERM or SIGINT arrived; its file descriptor wakes a poll."""

    def __init__(self) -> None:
        """Take over both signals; main thread only."""
        self.requested = False
        # set_wakeup_fd wants a descriptor that never blocks; a pipe spares importing socket.
        self._read_end, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._request)

    def fileno(self) -> int:
        """Return a descriptor that is readable after each signal until `drain`."""
        return self._read_end

    def drain(self) -> None:
        """Empty the descriptor; call it when a poll found it readable."""
        try:
            while os.read(self._read_end, 512):
                pass
        except BlockingIOError:
            return

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True


def setup_daemon() -> StopRequest:
    """Make files of this process private (umask 077), ignore SIGHUP, and watch for SIGTERM.

    Main thread only. SIGINT stops in good order too, for a daemon run by hand.
    """
    os.umask(0o077)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return StopRequest()
