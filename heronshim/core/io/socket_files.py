"""Where Unix sockets lie. Apart from `sockets` so that supervisors start without ZeroMQ."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from heronshim.errors import StateError

SOCKET_PATH_MAX = 107
"""sun_path of Linux less its final zero byte."""


def socket_folder() -> Path:
    """Return the short 0700 folder of this user's sockets, made if missing.

    Raises:
        StateError: it exists but belongs to someone else or others may enter it.
    """
    base = os.environ.get("HERONSHIM_SOCKET_DIR") or f"/tmp/heronshim-{os.getuid()}"  # noqa: S108
    return checked_folder(Path(base))


def checked_folder(folder: Path) -> Path:
    """Return a folder for sockets, made with mode 700 if missing.

    Raises:
        StateError: it cannot be made, or belongs to someone else, or others may enter it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        msg = f"socket folder {folder} cannot be made: {error}; set HERONSHIM_SOCKET_DIR to another"
        raise StateError(msg) from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        msg = f"socket folder {folder} must be a directory of yours with mode 700; remove it"
        raise StateError(msg)
    return folder


def socket_path(folder: Path) -> Path:
    """Return a free path named by 8 hex digits.

    Raises:
        StateError: the path would be longer than a Unix socket's may be.
    """
    return _short(folder / os.urandom(4).hex())


def launcher_socket_path(folder: Path, work_dir: str) -> Path:
    """Return the path of the local launcher's socket of the topology in `work_dir`.

    The same for all who ask, and no other's: 16 hex digits of the work folder's digest.

    Raises:
        StateError: the path would be longer than a Unix socket's may be.
    """
    return _short(folder / hashlib.sha256(os.fsencode(work_dir)).hexdigest()[:16])


def _short(path: Path) -> Path:
    if len(os.fsencode(path)) > SOCKET_PATH_MAX:
        msg = (
            f"socket path {path} is over {SOCKET_PATH_MAX} bytes; "
            "set HERONSHIM_SOCKET_DIR to a shorter folder"
        )
        raise StateError(msg)
    return path
