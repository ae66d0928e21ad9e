"""Uploader on a folder of this host; entry point "local".

<root>/.lock                       held for each change
<root>/<sha256>/package            the bytes, mode 0600
<root>/<sha256>/users/<topology>   an empty file for each topology that uses them
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from heronshim.core.io.file_lock import file_lock, sync_folder
from heronshim.core.io.regular_file import open_regular
from heronshim.core.plugins.node_path import PART_BYTES_MAX, escape
from heronshim.core.plugins.plugin_options import refuse_unknown, required
from heronshim.errors import DeadlineError, NotFoundError, UploadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOCK_WAIT_S = 60.0
"""An upload holds the lock while it copies: 60 s are 6 GB on a slow disk."""

_PLUGIN = 'uploader "local"'
_URI = re.compile(r"local:([0-9a-f]{64})")
_CHUNK_BYTES = 1 << 20


class LocalUploader:
    """The Uploader of one host. Option: `root`, a folder, made if missing."""

    def __init__(self, options: Mapping[str, str]) -> None:
        """Touch nothing on disk yet.

        Raises:
            ConfigError: an option is unknown or missing.
        """
        refuse_unknown(_PLUGIN, options, ("root",))
        self._root = Path(required(_PLUGIN, options, "root", "a folder")).expanduser().absolute()

    def upload(self, package: Path, topology: str) -> str:
        """See `Uploader.upload`. A package whose stored bytes were damaged is mended."""
        marker = _marker(topology)
        with self._changing(), open_regular(package) as source:
            temporary = self._root / ".new"
            try:
                digest = _copy(source, temporary)
                folder = self._root / digest
                (folder / "users").mkdir(mode=0o700, parents=True, exist_ok=True)
                # The user is there before the package: a crash leaves nothing that has no user.
                (folder / "users" / marker).touch(mode=0o600)
                temporary.replace(folder / "package")
            finally:
                temporary.unlink(missing_ok=True)
            for changed in (folder / "users", folder, self._root):
                sync_folder(changed)
            return f"local:{digest}"

    def fetch(self, uri: str, target: Path) -> None:
        """See `Uploader.fetch`. `target` is replaced if it exists; its folder must."""
        digest = _digest(uri)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
        with _explained():
            source = self._open_stored(uri, digest)
            try:
                with source:
                    found = _copy(source, temporary)
                if found != digest:
                    msg = (
                        f"package {uri} in {self._root} is damaged: its sha256 is {found}; "
                        "submit the topology again"
                    )
                    raise UploadError(msg)
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)

    def undo(self, uri: str, topology: str) -> None:
        """See `Uploader.undo`."""
        folder = self._root / _digest(uri)
        marker = _marker(topology)
        with self._changing():
            if not folder.is_dir():
                return
            users = folder / "users"
            (users / marker).unlink(missing_ok=True)
            if users.is_dir() and any(users.iterdir()):
                return
            (folder / "package").unlink(missing_ok=True)
            if users.is_dir():
                users.rmdir()
            folder.rmdir()

    def _open_stored(self, uri: str, digest: str) -> BinaryIO:
        try:
            return open_regular(self._root / digest / "package")
        except FileNotFoundError as error:
            msg = f"no package {uri} in {self._root}; submit the topology again"
            raise NotFoundError(msg) from error

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with _explained():
            try:
                with file_lock(self._root / ".lock", LOCK_WAIT_S):
                    yield
            except DeadlineError as error:
                raise UploadError(str(error)) from error


def _digest(uri: str) -> str:
    match = _URI.fullmatch(uri)
    if match is None:
        msg = f"package URI {uri[:100]!a} is not local:<64 hex digits>; submit the topology again"
        raise UploadError(msg)
    return match[1]


def _marker(topology: str) -> str:
    """Return the file name for a user: one to one, never hidden, "." or ".."."""
    try:
        fits = 0 < len(topology.encode()) <= PART_BYTES_MAX and not set("/\0") & set(topology)
    except UnicodeEncodeError:
        fits = False
    if not fits:
        msg = (
            f"topology name {topology[:100]!a} must be Unicode of 1 to {PART_BYTES_MAX} bytes "
            "without / and zero bytes"
        )
        raise UploadError(msg)
    return escape(topology)


def _copy(source: BinaryIO, target: Path) -> str:
    """Write all of `source` to `target`, mode 0600, on disk; return its sha256."""
    digest = hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(target, flags, 0o600), "wb") as file:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


@contextmanager
def _explained() -> Iterator[None]:
    """Turn an OSError into an UploadError that names the file."""
    try:
        yield
    except OSError as error:
        msg = (
            f"package file {error.filename}: {error.strerror or error}; check it, rights and space"
        )
        raise UploadError(msg) from error
