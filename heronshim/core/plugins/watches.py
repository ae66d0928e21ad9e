"""Watches and session callbacks of a state manager, run from its `poll`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from heronshim.core.spi.state_manager import Node, SessionState

if TYPE_CHECKING:
    from collections.abc import Callable

    WatchCallback = Callable[[Node | None], None]
    SessionCallback = Callable[[SessionState], None]

_NEVER = object()


@dataclass(eq=False, slots=True)
class Watch:
    """One watch. `stamp` is what its node looked like when it was last reported."""

    path: str
    callback: WatchCallback
    stamp: object = _NEVER
    active: bool = True

    def cancel(self) -> None:
        """Call the callback no more."""
        self.active = False


class Watches:
    """All watches of one manager. One thread."""

    def __init__(self) -> None:
        self._watches: list[Watch] = []

    def add(self, path: str, callback: WatchCallback) -> Callable[[], None]:
        """Return the canceller; the callback is first due at the next `due`."""
        watch = Watch(path, callback)
        self._watches.append(watch)
        return watch.cancel

    def due(self) -> list[Watch]:
        """Return all watches not cancelled, in the order of `add`."""
        self._watches = [watch for watch in self._watches if watch.active]
        return list(self._watches)


class SessionWatch:
    """The state of a session, and who is told of its changes. One thread."""

    def __init__(self) -> None:
        self.state = SessionState.CONNECTED
        self._callbacks: list[SessionCallback] = []

    def add(self, callback: SessionCallback) -> None:
        """Call `callback` at each later change."""
        self._callbacks.append(callback)

    def change(self, state: SessionState) -> None:
        """Take a new state and tell it, if it is another; called inside `poll` only."""
        if state == self.state:
            return
        self.state = state
        for callback in list(self._callbacks):
            callback(state)
