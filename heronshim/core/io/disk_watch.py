"""Whether folders can still be written to."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FREE_BYTES_MIN = 64 << 10
"""With less than this, lines of logs are lost now or in a moment."""
FREED_BYTES_MIN = 1 << 20
"""A full disk is told of as freed from here on, so that one at the brink is told of once."""


class DiskWatch:
    """Looks at the disks under some folders and says what changed. Never raises."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._full = dict.fromkeys(folders, False)

    def look(self) -> list[tuple[Path, str]]:
        """Return folders whose disk is full since the last look, with an error, or freed, with "".

        A folder that is not there is passed over.
        """
        changed = []
        for folder, was_full in self._full.items():
            try:
                found = os.statvfs(folder)
            except OSError:
                continue
            free_bytes = found.f_bavail * found.f_frsize
            # Some file systems have no number of inodes: they give 0 of 0.
            without_inodes = found.f_files > 0 and found.f_favail == 0
            enough = FREED_BYTES_MIN if was_full else FREE_BYTES_MIN
            is_full = free_bytes < enough or without_inodes
            if is_full != was_full:
                self._full[folder] = is_full
                changed.append((folder, os.strerror(errno.ENOSPC) if is_full else ""))
        return changed
