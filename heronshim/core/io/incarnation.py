"""The counter of process starts in one container, kept over supervisor restarts."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from heronshim.core.io.logs import log_event
from heronshim.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path


class IncarnationCounter:
    """Gives each process start of a container a higher number than all before it."""

    def __init__(self, path: Path) -> None:
        """Go on from what `path` holds; from 1 when there is no file.

        A damaged file is replaced by the milliseconds since 1970, which no counter of starts
        reaches: a number used twice would let a stopped old process take the new one's place.

        Raises:
            StateError: the file cannot be read.
        """
        self._path = path
        self._last = 0
        try:
            text = path.read_bytes()[:32].strip()
        except FileNotFoundError:
            return
        except OSError as error:
            msg = f"incarnation file {path} cannot be read: {error}"
            raise StateError(msg) from error
        if text.isdigit() and len(text) < 17:
            self._last = int(text)
        else:
            self._last = time.time_ns() // 1_000_000
            log_event("WARNING", "incarnation_file_damaged", path=path, next=self._last + 1)

    def next(self) -> int:
        """Return the next number; it is stored before it is given.

        Raises:
            StateError: it cannot be stored.
        """
        temporary = self._path.with_suffix(".new")
        try:
            # Without fsync: what a power loss could forget died with its peers by then.
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.write(descriptor, b"%d\n" % (self._last + 1))
            finally:
                os.close(descriptor)
            temporary.replace(self._path)
        except OSError as error:
            msg = f"incarnation file {self._path} cannot be written: {error}; free its disk"
            raise StateError(msg) from error
        self._last += 1
        return self._last
