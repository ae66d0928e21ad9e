"""Log files of bounded size: `<name>`, then `<name>.1` (newest old one) to `<name>.<n-1>`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LOG_BYTES_MAX = 100 << 20
"""Size at which a log is rotated (Heron: 100 MB)."""
LOG_FILES_MAX = 5
"""Files kept of one log, the current one included (Heron: 5)."""


class RotatingLog:
    """Appends bytes to a file and rotates it. One thread, one writer per path.

    A full disk loses log lines, never the process: what could not be written is counted in
    `dropped_bytes`, and each write tries anew.
    """

    def __init__(self, path: Path, bytes_max: int, files_max: int) -> None:
        """Append to `path`, whose folder exists; opened at the first write."""
        assert bytes_max > 0
        assert files_max > 0
        self.dropped_bytes = 0
        self._path = path
        self._bytes_max = bytes_max
        self._files_max = files_max
        self._descriptor = -1
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append; never raises. A chunk larger than the limit is spread over several files."""
        view = memoryview(data)
        try:
            while view:
                self._make_room()
                written = os.write(self._descriptor, view[: self._bytes_max - self._size])
                self._size += written
                view = view[written:]
        except OSError:
            self.dropped_bytes += len(view)

    def close(self) -> None:
        """Close the file; a later write opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _make_room(self) -> None:
        """Have an open file with room for at least one byte."""
        if self._descriptor >= 0 and self._size < self._bytes_max:
            return
        if self._descriptor < 0:
            self._open()
        if self._size >= self._bytes_max:
            self.close()
            rotate(self._path, self._files_max)
            self._open()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._path, flags, 0o600)
        self._size = os.fstat(self._descriptor).st_size


def rotate(path: Path, files_max: int) -> None:
    """Rename `path` to `path.1`, `path.1` to `path.2` and so on; the oldest goes.

    Raises:
        OSError: a file cannot be renamed.
    """
    for number in range(files_max - 1, 0, -1):
        source = path if number == 1 else path.with_name(f"{path.name}.{number - 1}")
        if source.exists():
            source.replace(path.with_name(f"{path.name}.{number}"))
    if files_max == 1:
        path.unlink(missing_ok=True)


def rotate_own_output(path: Path, bytes_max: int, files_max: int) -> bool:
    """Rotate the file that is this process's own standard output and error, if it is too large.

    Returns whether it did. For daemons that write to their log without a pipe between.

    Raises:
        OSError: a file cannot be renamed or opened.
    """
    try:
        if path.stat().st_size < bytes_max:
            return False
    except FileNotFoundError:
        return False
    rotate(path, files_max)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    return True
