"""StateManager SPI: a versioned tree with watches, ephemeral nodes and fenced leadership."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class SessionState(StrEnum):
    """What the manager knows of its session."""

    CONNECTED = "connected"
    SUSPENDED = "suspended"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its value and its version, which starts at 1 and grows by one at each write."""

    value: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Leadership:
    """What `become_leader` won. `epoch` grows at each success on a path and is never reused."""

    path: str
    epoch: int


class StateManager(Protocol):
    """A versioned tree. Paths look like "/topologies/words/plan"; each part matches [^/\\0]+.

    Calls block for IO, at most a few milliseconds on a healthy store, and may come from one
    thread only. Callbacks run inside `poll`, never elsewhere, so a caller's state is not
    touched behind its back.

    Errors: StateError for a store that cannot be read or written or a damaged node (the message
    names the path and what to do), StateVersionError for a lost race, FencedError for a write
    that carries a lower leader epoch than the highest seen, NotFoundError for a missing node.
    """

    def get(self, path: str) -> Node | None:
        """Return a node, or None when there is none."""

    def put(
        self,
        path: str,
        value: bytes,
        *,
        version: int | None = None,
        ephemeral: bool = False,
        fence: Leadership | None = None,
    ) -> int:
        """Write a node, making its parents, and return its new version.

        `version`: None writes whatever is there; 0 only creates; n only replaces version n.
        `ephemeral`: the node goes when this session ends. `fence`: refused with FencedError
        when another leader of `fence.path` has a higher epoch.
        """

    def delete(self, path: str, *, recursive: bool = False) -> bool:
        """Remove a node (with all below it if `recursive`); return whether there was one."""

    def children(self, path: str) -> list[str]:
        """Return the names directly below a node, ascending; empty when there is none."""

    def watch(self, path: str, callback: Callable[[Node | None], None]) -> Callable[[], None]:
        """Call `callback` in `poll` with the node now and after each change; return a canceller.

        Several changes between two polls may come as one call with the newest node.
        """

    def poll(self) -> None:
        """Run watch and session callbacks that are due, renew the session's lease. Call often."""

    def session(self) -> SessionState:
        """Return the state of this session."""

    def on_session(self, callback: Callable[[SessionState], None]) -> None:
        """Call `callback` in `poll` after each change of the session's state."""

    def become_leader(self, path: str, value: bytes) -> Leadership | None:
        """Take the ephemeral node at `path` if free; return the leadership, or None when held.

        The value is stored at `path`. The epoch counter lives beside it on a persistent node.
        """

    def lock(self, path: str, timeout_s: float) -> Callable[[], None]:
        """Take an exclusive lock that dies with the session; return its release.

        Raises:
            DeadlineError: someone else held it for `timeout_s`.
        """

    def close(self) -> None:
        """End the session: its ephemeral nodes and locks go."""
