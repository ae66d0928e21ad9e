"""State manager within one process; entry point "memory". For tests and local topologies.

Managers with the same option `store` share a tree, each with its own session; they may run in
different threads. The tree goes with the last manager of it. Without the option a manager has a
tree of its own. Rules of nodes are those of `file_state`.
"""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heronshim.core.plugins import node_path
from heronshim.core.plugins.node_rules import (
    EPOCH_SUFFIX,
    check_fence,
    check_owner,
    check_version,
    read_epoch,
)
from heronshim.core.plugins.plugin_options import refuse_unknown
from heronshim.core.plugins.watches import SessionWatch, Watches
from heronshim.core.spi.state_manager import Leadership, Node, SessionState
from heronshim.errors import DeadlineError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A node; `creation` stays the same over all its versions, `owner` is 0 when persistent."""

    value: bytes
    version: int
    creation: int
    owner: int = 0

    def node(self) -> Node:
        return Node(self.value, self.version)


@dataclass(eq=False, slots=True)
class _Store:
    """A shared tree: nodes, holders of locks and live sessions. Touched under `changed` only."""

    entries: dict[Parts, _Entry] = field(default_factory=dict)
    locks: dict[Parts, tuple[int, int]] = field(default_factory=dict)
    """By path: the session that holds it and a number that no other hold has."""
    sessions: set[int] = field(default_factory=set)
    users: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def end_session(self, session: int) -> None:
        """Remove a session with its ephemeral nodes and locks."""
        self.sessions.discard(session)
        self.entries = {at: entry for at, entry in self.entries.items() if entry.owner != session}
        self.locks = {at: hold for at, hold in self.locks.items() if hold[0] != session}
        self.changed.notify_all()

    def below(self, parts: Parts) -> list[Parts]:
        """Return where nodes lie below `parts`, at any depth."""
        return [at for at in self.entries if len(at) > len(parts) and at[: len(parts)] == parts]


_stores: dict[str, _Store] = {}
_stores_lock = threading.Lock()


class MemoryStateManager:
    """The StateManager of one process. Option: `store`, the name of a shared tree."""

    def __init__(self, options: Mapping[str, str]) -> None:
        """Join the store, which is made if missing.

        Raises:
            ConfigError: an option is unknown.
        """
        refuse_unknown('state manager "memory"', options, ("store",))
        self._name = options.get("store", "")
        with _stores_lock:
            self._store = _stores.setdefault(self._name, _Store()) if self._name else _Store()
            self._store.users += 1
        self._session_watch = SessionWatch()
        self._watches = Watches()
        self._suspended = self._closed = False
        self._won: dict[str, int] = {}
        self._begin_session()

    def get(self, path: str) -> Node | None:
        """See `StateManager.get`."""
        parts = node_path.node_parts(path)
        with self._open_store() as store:
            entry = store.entries.get(parts)
            return None if entry is None else entry.node()

    def put(
        self,
        path: str,
        value: bytes,
        *,
        version: int | None = None,
        ephemeral: bool = False,
        fence: Leadership | None = None,
    ) -> int:
        """See `StateManager.put`."""
        parts = node_path.node_parts(path)
        node_path.check_value(path, value)
        with self._open_store() as store:
            if fence is not None:
                self._check_fence(path, fence)
            current = store.entries.get(parts)
            found = 0 if current is None else current.version
            check_version(path, version, found)
            owner = self._need_session() if ephemeral else 0
            if current is None:
                self._check_place(path, parts, ephemeral=ephemeral)
                new = _Entry(value, 1, secrets.randbits(64), owner)
            else:
                if ephemeral:
                    check_owner(path, current.owner, owner)
                new = _Entry(value, found + 1, current.creation, current.owner)
            store.entries[parts] = new
            store.changed.notify_all()
            return new.version

    def delete(self, path: str, *, recursive: bool = False) -> bool:
        """See `StateManager.delete`."""
        parts = node_path.node_parts(path)
        with self._open_store() as store:
            below = store.below(parts)
            if below and not recursive:
                msg = f"state node {path} has nodes below it; delete it recursively"
                raise StateError(msg)
            for at in below:
                del store.entries[at]
            existed = store.entries.pop(parts, None) is not None
            return existed or bool(below)

    def children(self, path: str) -> list[str]:
        """See `StateManager.children`."""
        parts = node_path.split(path)
        with self._open_store() as store:
            return sorted({at[len(parts)] for at in store.below(parts)})

    def watch(self, path: str, callback: Callable[[Node | None], None]) -> Callable[[], None]:
        """See `StateManager.watch`."""
        node_path.node_parts(path)
        with self._open_store():
            return self._watches.add(path, callback)

    def poll(self) -> None:
        """See `StateManager.poll`."""
        with self._open_store() as store:
            lost = self._session not in store.sessions
        if lost and self._session_watch.state == SessionState.LOST:
            self._begin_session()
            lost = False
        usual = SessionState.SUSPENDED if self._suspended else SessionState.CONNECTED
        self._session_watch.change(SessionState.LOST if lost else usual)
        if self._suspended:
            return
        for watch in self._watches.due():
            with self._open_store() as store:
                entry = store.entries.get(node_path.node_parts(watch.path))
            stamp = None if entry is None else (entry.creation, entry.version)
            if watch.active and stamp != watch.stamp:
                watch.stamp = stamp
                watch.callback(None if entry is None else entry.node())

    def session(self) -> SessionState:
        """See `StateManager.session`."""
        return self._session_watch.state

    def on_session(self, callback: Callable[[SessionState], None]) -> None:
        """See `StateManager.on_session`. LOST is followed by CONNECTED: a new session."""
        self._session_watch.add(callback)

    def become_leader(self, path: str, value: bytes) -> Leadership | None:
        """See `StateManager.become_leader`."""
        parts = node_path.node_parts(path)
        epoch_parts = node_path.node_parts(path + EPOCH_SUFFIX)
        node_path.check_value(path, value)
        with self._open_store() as store:
            session = self._need_session()
            if parts in store.entries:
                return None
            self._check_place(path, parts, ephemeral=True)
            last = store.entries.get(epoch_parts, _Entry(b"0", 0, secrets.randbits(64)))
            epoch = read_epoch(path, last.value) + 1
            store.entries[epoch_parts] = _Entry(b"%d" % epoch, last.version + 1, last.creation)
            store.entries[parts] = _Entry(value, 1, secrets.randbits(64), session)
            self._won[path] = last.creation
            return Leadership(path, epoch)

    def lock(self, path: str, timeout_s: float) -> Callable[[], None]:
        """See `StateManager.lock`."""
        parts = node_path.node_parts(path)
        deadline = time.monotonic() + timeout_s
        with self._open_store() as store:
            session = self._need_session()
            while parts in store.locks:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    msg = f"lock {path} was held by another session for {timeout_s:g} s; try again"
                    raise DeadlineError(msg)
                store.changed.wait(left_s)
            hold = store.locks[parts] = (session, secrets.randbits(64))
        return lambda: self._unlock(parts, hold)

    def close(self) -> None:
        """See `StateManager.close`."""
        if self._closed:
            return
        self._closed = True
        with self._store.changed:
            self._store.end_session(self._session)
        with _stores_lock:
            self._store.users -= 1
            if not self._store.users:
                _stores.pop(self._name, None)

    def expire_session(self) -> None:
        """End the session as a store does whose lease ran out: for tests of what follows."""
        with self._open_store() as store:
            store.end_session(self._session)

    def suspend_session(self) -> None:
        """Behave as if the store cannot be reached, until `resume_session`: for tests."""
        self._suspended = True

    def resume_session(self) -> None:
        """End what `suspend_session` began."""
        self._suspended = False

    def _begin_session(self) -> None:
        self._session = secrets.randbits(63) + 1
        with self._store.changed:
            self._store.sessions.add(self._session)

    @contextmanager
    def _open_store(self) -> Iterator[_Store]:
        if self._closed:
            msg = "the state manager is closed"
            raise StateError(msg)
        with self._store.changed:
            yield self._store

    def _need_session(self) -> int:
        if self._session not in self._store.sessions:
            msg = "the session was lost; poll the state manager to begin a new one"
            raise StateError(msg)
        return self._session

    def _check_fence(self, path: str, fence: Leadership) -> None:
        last = self._store.entries.get(node_path.node_parts(fence.path + EPOCH_SUFFIX))
        counter = None if last is None else (last.value, last.creation)
        check_fence(path, fence, counter, self._won.get(fence.path))

    def _check_place(self, path: str, parts: Parts, *, ephemeral: bool) -> None:
        if ephemeral and self._store.below(parts):
            msg = f"state node {path} has nodes below it and cannot be ephemeral"
            raise StateError(msg)
        for length in range(1, len(parts)):
            above = self._store.entries.get(parts[:length])
            if above is not None and above.owner:
                msg = f"state node {path} cannot lie below an ephemeral node"
                raise StateError(msg)

    def _unlock(self, parts: Parts, hold: tuple[int, int]) -> None:
        with self._store.changed:
            if self._store.locks.get(parts) == hold:
                del self._store.locks[parts]
                self._store.changed.notify_all()
