"""Opens files that others may have replaced by something else."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path


class NotRegularError(OSError):
    """A path names a folder, pipe, device, socket or, if links are not followed, a link."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "is no regular file", str(path))


class TooLargeError(OSError):
    """A file is larger than any that was written in its place."""

    def __init__(self, path: Path, bytes_max: int) -> None:
        super().__init__(errno.EFBIG, f"has over {bytes_max} bytes", str(path))


def read_regular(path: Path, bytes_max: int, *, follow_links: bool = True) -> bytes:
    """Return the content of a file; never waits.

    Raises:
        NotRegularError: it is no regular file.
        TooLargeError: it has more than `bytes_max` bytes.
        OSError: it cannot be read.
    """
    with open_regular(path, follow_links=follow_links) as file:
        content = file.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise TooLargeError(path, bytes_max)
    return content


def open_regular(path: Path, *, follow_links: bool = True) -> BinaryIO:
    """Open a file for reading; never waits, as the opening of a pipe does for its writer.

    Raises:
        NotRegularError: it is no regular file.
        OSError: it cannot be opened.
    """
    return os.fdopen(regular_descriptor(path, follow_links=follow_links), "rb")


def regular_descriptor(path: Path, *, follow_links: bool = True) -> int:
    """Do as `open_regular`, without a buffer."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow_links else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        # A link that is not followed, or a socket.
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise NotRegularError(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegularError(path)
    return descriptor
