"""State manager on a directory tree of one host; entry point "file".

The nodes lie in a `node_tree`; beside them

    <root>/.sessions/<16 hex digits>    a session, see `file_session`; there while sessions live
    <root>/.locks/<sha256 of a path>/   a lock that is held, as an ephemeral node no path reaches

A node whose session is dead counts as absent for everyone at once; whoever notices removes it.
A node made only as a parent of others has no value: `get` returns None for it, and it goes with
the last node below it. Ephemeral nodes have no nodes below them (as in ZooKeeper), and a node is
ephemeral or not for as long as it exists.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from heronshim.core.io.logs import log_event
from heronshim.core.plugins import file_session, node_path
from heronshim.core.plugins.file_session import FileSession
from heronshim.core.plugins.node_file import DamagedNodeError, FutureNodeError, StoredNode
from heronshim.core.plugins.node_rules import (
    EPOCH_SUFFIX,
    check_fence,
    check_owner,
    check_version,
    read_epoch,
)
from heronshim.core.plugins.node_tree import NodeTree, explained, explanation
from heronshim.core.plugins.plugin_options import refuse_unknown, required, seconds
from heronshim.core.plugins.watches import SessionWatch, Watches
from heronshim.core.spi.state_manager import Leadership, Node, SessionState
from heronshim.errors import DeadlineError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from heronshim.core.plugins.watches import Watch

LEASE_S = 30.0
"""Lease of a session. A dead process ends its session at once, so this counts for stopped ones
only: they lose what they own no sooner than their supervisor replaces them."""
RENEW_NS = 1_000_000_000
"""Longest time between two renewals; a short lease is renewed three times within it."""
WATCH_INTERVAL_S = 0.05
"""Watched nodes are looked at no more often: 20 looks a second cost below 1 % of a core."""

_PLUGIN = 'state manager "file"'
_LOCK_PAUSE_S = 0.01


class FileStateManager:
    """The StateManager of one host. Options: `root` (a folder, made if missing), `lease_s` (30),
    `watch_interval_s` (0.05). `now_ns` is a clock shared by all processes of the host.
    """

    def __init__(
        self, options: Mapping[str, str], *, now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """Touch nothing on disk yet.

        Raises:
            ConfigError: an option is unknown, missing or wrong.
            StateError: `root` exists and is no folder, or others may write to it.
        """
        refuse_unknown(_PLUGIN, options, ("root", "lease_s", "watch_interval_s"))
        self._root = Path(required(_PLUGIN, options, "root", "a folder")).expanduser().absolute()
        self._sessions = self._root / ".sessions"
        self._lease_ns = int(
            seconds(_PLUGIN, options, "lease_s", LEASE_S, (0.1, file_session.LEASE_S_MAX)) * 1e9
        )
        self._renew_ns = min(self._lease_ns // 3, RENEW_NS)
        interval_s = seconds(_PLUGIN, options, "watch_interval_s", WATCH_INTERVAL_S, (0, 60))
        self._watch_interval_ns = int(interval_s * 1e9)
        self._now_ns = now_ns
        self._tree = NodeTree(self._root, self._is_dead)
        self._locks = NodeTree(self._root / ".locks", self._is_dead)
        self._session: FileSession | None = None
        self._lost = self._renewal_fails = self._store_fails = self._closed = False
        self._session_watch = SessionWatch()
        self._watches = Watches()
        self._next_watch_ns = self._next_reap_ns = now_ns()
        self._won: dict[str, int] = {}
        self._warned: dict[str, str] = {}

    def get(self, path: str) -> Node | None:
        """See `StateManager.get`."""
        self._check_open()
        stored = self._tree.read(node_path.node_parts(path))
        return None if stored is None else Node(stored.value, stored.version)

    def put(
        self,
        path: str,
        value: bytes,
        *,
        version: int | None = None,
        ephemeral: bool = False,
        fence: Leadership | None = None,
    ) -> int:
        """See `StateManager.put`. A damaged node is replaced when `version` is None."""
        parts = node_path.node_parts(path)
        node_path.check_value(path, value)
        with self._changing():
            if fence is not None:
                self._check_fence(path, fence)
            current = self._tree.take(parts, heal=version is None)
            check_version(path, version, 0 if current is None else current.version)
            session = self._need_session().id if ephemeral else 0
            if current is None:
                self._tree.check_place(parts, ephemeral=ephemeral)
                new = StoredNode(value, 1, secrets.randbits(64), session)
            else:
                if ephemeral:
                    check_owner(path, current.owner, session)
                new = StoredNode(value, current.version + 1, current.creation, current.owner)
            self._tree.write(parts, new)
            return new.version

    def delete(self, path: str, *, recursive: bool = False) -> bool:
        """See `StateManager.delete`. Removes damaged nodes too."""
        parts = node_path.node_parts(path)
        with self._changing():
            return self._tree.remove(parts, recursive=recursive)

    def children(self, path: str) -> list[str]:
        """See `StateManager.children`."""
        self._check_open()
        parts = node_path.split(path)
        self._reap()
        return self._tree.children(parts)

    def watch(self, path: str, callback: Callable[[Node | None], None]) -> Callable[[], None]:
        """See `StateManager.watch`. While a node is damaged its watchers keep the last one."""
        self._check_open()
        node_path.node_parts(path)
        return self._watches.add(path, callback)

    def poll(self) -> None:
        """See `StateManager.poll`. A store that cannot be read makes the session SUSPENDED."""
        self._check_open()
        now_ns = self._now_ns()
        self._renew(now_ns)
        due = self._look(now_ns)
        # Told once: by the next poll the old session is over and another may begin.
        lost, self._lost = self._lost, False
        if lost:
            state = SessionState.LOST
        elif self._renewal_fails or self._store_fails:
            state = SessionState.SUSPENDED
        else:
            state = SessionState.CONNECTED
        self._session_watch.change(state)
        for watch, node in due:
            if watch.active:
                watch.callback(node)

    def session(self) -> SessionState:
        """See `StateManager.session`."""
        return self._session_watch.state

    def on_session(self, callback: Callable[[SessionState], None]) -> None:
        """See `StateManager.on_session`. LOST is followed by CONNECTED: a new session."""
        self._session_watch.add(callback)

    def become_leader(self, path: str, value: bytes) -> Leadership | None:
        """See `StateManager.become_leader`. Takes a damaged node; never guesses a damaged epoch."""
        parts = node_path.node_parts(path)
        epoch_parts = node_path.node_parts(path + EPOCH_SUFFIX)
        node_path.check_value(path, value)
        with self._changing():
            session = self._need_session()
            if self._tree.take(parts, heal=True) is not None:
                return None
            self._tree.check_place(parts, ephemeral=True)
            last = self._tree.read(epoch_parts)
            epoch = 1 if last is None else read_epoch(path, last.value) + 1
            creation = secrets.randbits(64) if last is None else last.creation
            version = 1 if last is None else last.version + 1
            # The number is on disk before anyone leads by it, so that a crash cannot repeat it.
            self._tree.write(epoch_parts, StoredNode(b"%d" % epoch, version, creation))
            self._tree.write(parts, StoredNode(value, 1, secrets.randbits(64), session.id))
            self._won[path] = creation
            return Leadership(path, epoch)

    def lock(self, path: str, timeout_s: float) -> Callable[[], None]:
        """See `StateManager.lock`. Renews the session's lease while it waits."""
        text = node_path.join(node_path.node_parts(path)).encode()
        parts = (hashlib.sha256(text).hexdigest(),)
        deadline = time.monotonic() + timeout_s
        while (creation := self._try_lock(parts, text)) is None:
            if time.monotonic() >= deadline:
                msg = f"lock {path} was held by another session for {timeout_s:g} s; try again"
                raise DeadlineError(msg)
            self._renew(self._now_ns())
            time.sleep(_LOCK_PAUSE_S)
        won = creation
        return lambda: self._unlock(parts, won)

    def close(self) -> None:
        """See `StateManager.close`. A store that fails meanwhile is logged; the session ends."""
        if self._closed:
            return
        try:
            if self._session is not None:
                with self._changing():
                    own = self._session.id
                    self._tree.remove_owned(lambda owner: owner == own)
                    self._session.end()
        except StateError as error:
            # The lease is not renewed any more, so whoever notices removes the rest.
            self._warn("close", "state_close_failed", error)
            assert self._session is not None
            self._session.abandon()
        self._session = None
        self._closed = True

    def _changing(self) -> AbstractContextManager[None]:
        self._check_open()
        return self._tree.changing()

    def _check_open(self) -> None:
        if self._closed:
            msg = f"the state manager of {self._root} is closed"
            raise StateError(msg)

    def _check_fence(self, path: str, fence: Leadership) -> None:
        last = self._tree.read(node_path.node_parts(fence.path + EPOCH_SUFFIX))
        counter = None if last is None else (last.value, last.creation)
        check_fence(path, fence, counter, self._won.get(fence.path))

    def _look(self, now_ns: int) -> list[tuple[Watch, Node | None]]:
        """Return the watches whose nodes changed, if it is time to look."""
        if now_ns < self._next_watch_ns:
            return []
        self._next_watch_ns = now_ns + self._watch_interval_ns
        due: list[tuple[Watch, Node | None]] = []
        try:
            if now_ns >= self._next_reap_ns:
                self._next_reap_ns = now_ns + 2 * self._renew_ns
                self._reap()
            for watch in self._watches.due():
                due.extend(self._changes(watch))
        except StateError as error:
            self._store_fails = True
            self._warn("store", "state_store_unreadable", error)
        else:
            self._store_fails = False
            self._warned.pop("store", None)
        return due

    def _changes(self, watch: Watch) -> Iterator[tuple[Watch, Node | None]]:
        """Yield a watch and its node if that changed since it was last reported."""
        parts = node_path.node_parts(watch.path)
        try:
            stamp = self._tree.stamp(parts)
            if stamp == watch.stamp:
                return
            stored = self._tree.read(parts)
        except (DamagedNodeError, FutureNodeError) as error:
            self._warn(watch.path, "state_node_damaged", error)
            return
        self._warned.pop(watch.path, None)
        watch.stamp = stamp
        yield watch, None if stored is None else Node(stored.value, stored.version)

    def _warn(self, what: str, event: str, error: StateError) -> None:
        """Log an error once until its text changes or it is over."""
        if self._warned.get(what) != str(error):
            self._warned[what] = str(error)
            log_event("WARNING", event, cause=error)

    def _is_dead(self, owner: int) -> bool:
        return not file_session.is_alive(self._sessions, owner, self._now_ns())

    def _need_session(self) -> FileSession:
        """Return the session, begun if there is none. Inside `changing`."""
        if self._session is not None and self._session.is_over(self._now_ns()):
            self._lose_session()
        if self._lost or self._session_watch.state == SessionState.LOST:
            msg = (
                f"the session of this process was not renewed for {self._lease_ns / 1e9:g} s or "
                "was ended by another process; poll the state manager to begin a new one"
            )
            raise StateError(msg)
        if self._session is None:
            self._session = FileSession(self._sessions, self._lease_ns, self._now_ns())
        return self._session

    def _renew(self, now_ns: int) -> None:
        """Renew the lease when it is time."""
        session = self._session
        if session is None:
            return
        if session.is_over(now_ns):
            self._lose_session()
        elif self._renewal_fails or now_ns - session.renewed_ns >= self._renew_ns:
            try:
                session.renew(now_ns)
            except OSError as error:
                self._renewal_fails = True
                self._warn("session", "state_lease_not_renewed", explanation(error, self._root))
            else:
                self._renewal_fails = False
                self._warned.pop("session", None)

    def _lose_session(self) -> None:
        assert self._session is not None
        self._session.abandon()
        self._session = None
        self._lost = True
        self._renewal_fails = False

    def _reap(self) -> None:
        """Remove what dead sessions left; not now if that would mean to wait or fails."""
        with explained(self._sessions):
            if not file_session.dead_sessions(self._sessions, self._now_ns()):
                return
        try:
            with self._tree.changing(wait=False):
                self._tree.remove_owned(self._is_dead)
                for file in file_session.dead_sessions(self._sessions, self._now_ns()):
                    file_session.discard(file)
        except StateError as error:
            log_event("DEBUG", "state_reap_postponed", cause=error)

    def _try_lock(self, parts: tuple[str, ...], text: bytes) -> int | None:
        """Return the number of the lock's node if it is free and now ours, else None."""
        with self._changing():
            session = self._need_session()
            if self._locks.take(parts, heal=True) is not None:
                return None
            creation = secrets.randbits(64)
            self._locks.write(parts, StoredNode(text, 1, creation, session.id))
            return creation

    def _unlock(self, parts: tuple[str, ...], creation: int) -> None:
        if self._closed:
            return
        with self._changing():
            holder = self._locks.take(parts, heal=True)
            if holder is not None and holder.creation == creation:
                self._locks.remove(parts, recursive=False)
