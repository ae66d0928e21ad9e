"""A tree of nodes in folders, changed by one process at a time; knows no sessions or watches.

    <root>/                          mode 0700
        .lock                        held for each change
        .trash/                      what a crash left of a recursive delete
        topologies/words/.node       the node /topologies/words, see `node_file`

Reads take no lock: a file is replaced whole, so a reader sees the old node or the new one. Each
change holds `.lock`, so that reading a version and writing the next is one step. A node of a
dead owner counts as absent.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from heronshim.core.io.file_lock import file_lock, write_whole
from heronshim.core.io.logs import log_event
from heronshim.core.plugins import node_file, node_path
from heronshim.core.plugins.node_file import DamagedNodeError, FutureNodeError, StoredNode
from heronshim.errors import DeadlineError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOCK_WAIT_S = 5.0
"""A change takes milliseconds; a holder of `.lock` for this long is stopped, or its disk is."""

_NODE, _NEW = ".node", ".new"
_ADVICE = {
    errno.ENOSPC: "free some space on the disk",
    errno.EDQUOT: "free some space or raise the quota",
    errno.EACCES: "give your user the right to read and write it",
    errno.EPERM: "give your user the right to read and write it",
    errno.EROFS: "mount the file system for writing",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


class NodeTree:
    """The nodes under `root`. `is_dead` tells whether an owner (never 0) is dead.

    Methods raise StateError for a tree that cannot be read or written, and DamagedNodeError or
    FutureNodeError for a node that cannot be read. Those that say so are called inside `changing`.
    """

    def __init__(self, root: Path, is_dead: Callable[[int], bool]) -> None:
        """Touch nothing on disk.

        Raises:
            StateError: `root` exists and is no folder, or others may write to it.
        """
        self._root = root
        self._is_dead = is_dead
        with explained(root):
            _check_root(root)

    @contextmanager
    def changing(self, *, wait: bool = True) -> Iterator[None]:
        """Hold the tree's lock, at once if not `wait`; OSErrors inside become StateErrors."""
        with explained(self._root):
            try:
                with file_lock(self._root / ".lock", LOCK_WAIT_S if wait else 0):
                    yield
            except DeadlineError as error:
                raise StateError(str(error)) from error

    def read(self, parts: tuple[str, ...]) -> StoredNode | None:
        """Return a node, or None when there is none or its owner is dead."""
        file = self._file(parts)
        with explained(file):
            stored = node_file.read(file)
            dead = stored is not None and self._counts_as_absent(stored.owner)
        return None if dead else stored

    def stamp(self, parts: tuple[str, ...]) -> bytes | None:
        """Return bytes that differ after each write of a node, cheaply; None when there is none."""
        file = self._file(parts)
        with explained(file):
            header = node_file.read_header(file)
            if header is None or self._counts_as_absent(node_file.owner_of(header)):
                return None
        return header

    def children(self, parts: tuple[str, ...]) -> list[str]:
        """Return the names of nodes directly below, ascending; parents of others are nodes too."""
        folder = self._folder(parts)
        with explained(folder):
            return sorted(map(node_path.unescape, self._used_folders(folder)))

    def take(self, parts: tuple[str, ...], *, heal: bool = False) -> StoredNode | None:
        """Return a node; a damaged one counts as absent if `heal`. Inside `changing`."""
        try:
            return self.read(parts)
        except DamagedNodeError as error:
            if not heal:
                raise
            log_event("WARNING", "state_node_replaced", cause=error)
            return None

    def write(self, parts: tuple[str, ...], node: StoredNode) -> None:
        """Write a node and the folders above it, or nothing. Inside `changing`."""
        folder = self._folder(parts)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(folder / _NODE, node_file.to_bytes(node), folder / _NEW)
        except OSError:
            self._prune(folder)
            raise

    def remove(self, parts: tuple[str, ...], *, recursive: bool) -> bool:
        """Remove a node, damaged or not; return whether there was one. Inside `changing`.

        Raises:
            StateError: there are nodes below it and `recursive` is false.
        """
        folder = self._folder(parts)
        if not self._used_folders(folder):
            existed = self._exists(parts)
            (folder / _NODE).unlink(missing_ok=True)
        elif recursive:
            existed = True
            trash = self._root / ".trash"
            shutil.rmtree(trash, ignore_errors=True)
            # One rename, so that readers see the whole subtree or nothing of it.
            folder.rename(trash)
            shutil.rmtree(trash)
        else:
            msg = f"state node {node_path.join(parts)} has nodes below it; delete it recursively"
            raise StateError(msg)
        self._prune(folder)
        return existed

    def remove_owned(self, is_theirs: Callable[[int], bool]) -> None:
        """Remove all nodes with an owner that `is_theirs`. Inside `changing`."""
        for folder, _, names in os.walk(self._root, topdown=False):
            if _NODE not in names:
                continue
            file = Path(folder, _NODE)
            owner = _owner(file)
            if owner and is_theirs(owner):
                file.unlink(missing_ok=True)
                self._prune(file.parent)

    def check_place(self, parts: tuple[str, ...], *, ephemeral: bool) -> None:
        """Check that no ephemeral node would have nodes below it. Inside `changing`.

        Raises:
            StateError: one would.
        """
        path = node_path.join(parts)
        if ephemeral and self._used_folders(self._folder(parts)):
            msg = f"state node {path} has nodes below it and cannot be ephemeral"
            raise StateError(msg)
        for length in range(1, len(parts)):
            owner = _owner(self._file(parts[:length]))
            if owner and not self._is_dead(owner):
                msg = f"state node {path} cannot lie below an ephemeral node"
                raise StateError(msg)

    def _folder(self, parts: tuple[str, ...]) -> Path:
        return self._root.joinpath(*map(node_path.escape, parts))

    def _file(self, parts: tuple[str, ...]) -> Path:
        return self._folder(parts) / _NODE

    def _used_folders(self, folder: Path) -> list[str]:
        """Return the names of folders directly in `folder` that hold nodes at any depth."""
        try:
            entries = list(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [
            entry.name
            for entry in entries
            if not entry.name.startswith(".")
            and entry.is_dir(follow_symlinks=False)
            and (self._holds_node(Path(entry.path)) or self._used_folders(Path(entry.path)))
        ]

    def _holds_node(self, folder: Path) -> bool:
        try:
            header = node_file.read_header(folder / _NODE)
        except DamagedNodeError:
            return True
        return header is not None and not self._counts_as_absent(node_file.owner_of(header))

    def _counts_as_absent(self, owner: int) -> bool:
        return owner != 0 and self._is_dead(owner)

    def _exists(self, parts: tuple[str, ...]) -> bool:
        try:
            return self.read(parts) is not None
        except (DamagedNodeError, FutureNodeError):
            return True

    def _prune(self, folder: Path) -> None:
        """Remove a folder and its parents as far as they hold nothing."""
        while folder != self._root:
            try:
                (folder / _NEW).unlink(missing_ok=True)
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                return
            folder = folder.parent


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError into a StateError that names the file (else `path`) and what to do."""
    try:
        yield
    except OSError as error:
        raise explanation(error, path) from error


def explanation(error: OSError, path: Path) -> StateError:
    """Return a StateError that says what `error` means and what to do."""
    advice = _ADVICE.get(error.errno or 0, "look at the disk and its log")
    return StateError(f"state file {error.filename or path}: {error.strerror or error}; {advice}")


def _check_root(root: Path) -> None:
    try:
        status = root.stat()
    except FileNotFoundError:
        return
    if not root.is_dir():
        msg = f"state root {root} is no folder; choose another or remove it"
        raise StateError(msg)
    if status.st_mode & 0o022:
        msg = f"state root {root} can be written by others; run: chmod go-w {root}"
        raise StateError(msg)


def _owner(file: Path) -> int:
    """Return the owner of a node's file; 0 when it has none or cannot be told."""
    try:
        header = node_file.read_header(file)
    except DamagedNodeError:
        return 0
    return 0 if header is None else node_file.owner_of(header)
