"""The counter of process starts in one container, kept over supervisor restarts.

The file holds one line: the last number, 16 digits, and its CRC-32 in hex. A number that was
damaged and read as a lower one would be used twice: peers that know the higher one refuse it for
ever.
"""

from __future__ import annotations

import os
import time
import zlib
from typing import TYPE_CHECKING

from heronshim.core.io.logs import log_event
from heronshim.core.io.regular_file import NotRegularError, TooLargeError, read_regular
from heronshim.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path

_FILE_BYTES_MAX = 64
_NUMBER_MAX = 1 << 53


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
            number = _number_in(read_regular(path, _FILE_BYTES_MAX))
        except FileNotFoundError:
            return
        except TooLargeError:
            number = None
        except NotRegularError as error:
            msg = f"incarnation file {path} is no regular file; remove it"
            raise StateError(msg) from error
        except OSError as error:
            msg = f"incarnation file {path} cannot be read: {error}"
            raise StateError(msg) from error
        if number is not None:
            self._last = number
        else:
            self._last = time.time_ns() // 1_000_000
            log_event("WARNING", "incarnation_file_damaged", path=path, next=self._last + 1)

    def next(self) -> int:
        """Return the next number; it is stored before it is given.

        Raises:
            StateError: it cannot be stored.
        """
        line = _line(self._last + 1)
        try:
            # In place, always as long, so that a full disk takes it and who died is started again.
            # Without fsync: what a power loss could forget died with its peers by then.
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line)
                # A damaged file may be longer.
                os.ftruncate(descriptor, len(line))
            finally:
                os.close(descriptor)
        except OSError as error:
            msg = f"incarnation file {self._path} cannot be written: {error}; free its disk"
            raise StateError(msg) from error
        self._last += 1
        return self._last


def _line(number: int) -> bytes:
    digits = b"%016d" % number
    return b"%s %08x\n" % (digits, zlib.crc32(digits))


def _number_in(content: bytes) -> int | None:
    """Return the number that `_line` wrote; None for anything else."""
    digits = content.partition(b" ")[0]
    if not digits.isdigit() or content != _line(int(digits)) or int(digits) >= _NUMBER_MAX:
        return None
    return int(digits)
