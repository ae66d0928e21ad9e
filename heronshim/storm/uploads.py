"""Jars on their way in: chunks appended to files of a private folder, all of it bounded.

A location is only ever looked up in a table, never used as a path. Thread-safe.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from heronshim.errors import NotFoundError, RefusedError, UploadError

if TYPE_CHECKING:
    from collections.abc import Callable

UPLOADS_MAX = 64
"""Jars that are here at one time, whole or in part."""
JAR_BYTES_MAX = 1 << 29
"""One jar; a package may hold twice as much."""
TOTAL_BYTES_MAX = 1 << 31
"""All jars that are here at one time."""
IDLE_S = 600.0
"""An upload of which nothing was heard for so long is removed (Storm: 600 for a transfer)."""


SUBMIT_PREFIX = "submit-"
"""Folders beside the jars begin so: what a submit unpacks."""


@dataclass(slots=True, eq=False)
class _Upload:
    path: Path
    file: BinaryIO | None
    """None once it is whole."""
    size: int = 0
    used_s: float = 0.0
    """When it was used last, on the monotonic clock."""
    in_use: int = 0
    """Submits that read it now."""


class Uploads:
    """All jars that clients have begun to send."""

    def __init__(self, folder: Path, now_s: Callable[[], float] = time.monotonic) -> None:
        """Make `folder` and empty it of what an earlier gateway left.

        Raises:
            OSError: it cannot be made.
        """
        self._folder = folder
        self._now_s = now_s
        self._lock = threading.Lock()
        self._uploads: dict[str, _Upload] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in folder.glob("stormjar-*.jar"):
            left.unlink()
        for left in folder.glob(f"{SUBMIT_PREFIX}*"):
            shutil.rmtree(left)

    def begin(self) -> str:
        """Start an upload and return its location.

        Raises:
            RefusedError: too many are here.
            UploadError: the disk refuses.
        """
        with self._lock:
            self._remove_idle()
            if len(self._uploads) >= UPLOADS_MAX:
                msg = f"{UPLOADS_MAX} jars are being uploaded; try again later"
                raise RefusedError(msg)
            path = self._folder / f"stormjar-{secrets.token_hex(16)}.jar"
            try:
                file = path.open("xb")
            except OSError as error:
                raise _disk_error(path, error) from error
            self._uploads[str(path)] = _Upload(path, file, used_s=self._now_s())
            return str(path)

    def append(self, location: str, chunk: bytes) -> None:
        """Add bytes to an upload.

        Raises:
            NotFoundError: there is no such upload, or it is whole already.
            RefusedError: it is too large; it is removed.
            UploadError: the disk refuses; it is removed.
        """
        with self._lock:
            upload = self._find(location)
            upload.used_s = self._now_s()
            self._remove_idle()
            if upload.file is None:
                msg = f"upload {location!a} is finished; begin another"
                raise NotFoundError(msg)
            total = sum(item.size for item in self._uploads.values()) + len(chunk)
            if upload.size + len(chunk) > JAR_BYTES_MAX:
                self._remove(location)
                msg = f"the jar has more than {JAR_BYTES_MAX} bytes; make it smaller"
                raise RefusedError(msg)
            if total > TOTAL_BYTES_MAX:
                self._remove(location)
                msg = f"jars being uploaded have {TOTAL_BYTES_MAX} bytes together; try again later"
                raise RefusedError(msg)
            try:
                upload.file.write(chunk)
            except OSError as error:
                self._remove(location)
                raise _disk_error(upload.path, error) from error
            upload.size += len(chunk)

    def finish(self, location: str) -> None:
        """Close an upload; may be repeated.

        Raises:
            NotFoundError: there is no such upload.
            UploadError: the disk refuses; it is removed.
        """
        with self._lock:
            upload = self._find(location)
            upload.used_s = self._now_s()
            if upload.file is None:
                return
            try:
                upload.file.close()
            except OSError as error:
                self._remove(location)
                raise _disk_error(upload.path, error) from error
            upload.file = None

    def take(self, location: str) -> Path:
        """Return the file of a whole upload, which stays until `release`.

        Raises:
            NotFoundError: there is no such upload, or it is not finished.
        """
        with self._lock:
            upload = self._find(location)
            if upload.file is not None:
                msg = f"upload {location!a} is not finished"
                raise NotFoundError(msg)
            upload.in_use += 1
            return upload.path

    def release(self, location: str, *, remove: bool) -> None:
        """Give back what `take` gave; a jar that was submitted is needed no more."""
        with self._lock:
            upload = self._uploads[location]
            upload.in_use -= 1
            upload.used_s = self._now_s()
            if remove and not upload.in_use:
                self._remove(location)

    def close(self) -> None:
        """Remove all."""
        with self._lock:
            for location in list(self._uploads):
                self._remove(location)

    def _find(self, location: str) -> _Upload:
        found = self._uploads.get(location)
        if found is None:
            shown = location if len(location) <= 200 else f"{location[:200]}..."
            msg = f"there is no upload {shown!a}; it ended {IDLE_S:g} s after its last chunk"
            raise NotFoundError(msg)
        return found

    def _remove_idle(self) -> None:
        limit_s = self._now_s() - IDLE_S
        for location, upload in list(self._uploads.items()):
            if upload.used_s < limit_s and not upload.in_use:
                self._remove(location)

    def _remove(self, location: str) -> None:
        upload = self._uploads.pop(location)
        if upload.file is not None:
            # A full disk refuses what is still buffered, too.
            with suppress(OSError):
                upload.file.close()
        upload.path.unlink(missing_ok=True)


def _disk_error(path: Path, error: OSError) -> UploadError:
    return UploadError(f"{path} cannot be written: {error.strerror or error}; check the disk")
