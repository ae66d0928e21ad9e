"""An exclusive lock among processes, and whole-or-not-at-all file writes under it."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from heronshim.errors import DeadlineError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAUSE_MIN_S = 0.0005
_PAUSE_MAX_S = 0.02


@contextmanager
def file_lock(path: Path, wait_s: float) -> Iterator[None]:
    """Hold the lock file `path`, made if missing, with its folder; blocks up to `wait_s` seconds.

    The kernel frees the lock when its holder dies. Managers of one process exclude each other
    too, since each call opens the file anew.

    Raises:
        DeadlineError: another process held it all the time (it may be stopped).
        OSError: the file cannot be made or locked.
    """
    deadline = time.monotonic() + wait_s
    pause_s = _PAUSE_MIN_S
    while True:
        descriptor = os.open(_in_folder(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if _try_lock(descriptor, path):
                yield
                return
        finally:
            os.close(descriptor)
        if time.monotonic() >= deadline:
            msg = (
                f"lock file {path} was held by another process for {wait_s:g} s; "
                f"look for a stopped process with: fuser {path}"
            )
            raise DeadlineError(msg)
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, _PAUSE_MAX_S)


def write_whole(path: Path, value: bytes, temporary: Path) -> None:
    """Replace `path` so that readers and a crash see the old or the new bytes, never a part.

    `temporary` lies in the same folder; the caller keeps others from using it meanwhile.
    The bytes are on disk when this returns. Mode 0600.

    Raises:
        OSError: nothing changed and `temporary` is gone.
    """
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(temporary, flags, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put a folder's entries on disk, so that a rename in it outlives a power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _in_folder(path: Path) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _try_lock(descriptor: int, path: Path) -> bool:
    """Return whether the lock is ours and `path` still names the file that was locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
