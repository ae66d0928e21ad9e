"""Rules of versions and leadership that the file and the memory state manager share. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heronshim.errors import FencedError, StateError, StateVersionError

if TYPE_CHECKING:
    from heronshim.core.spi.state_manager import Leadership

EPOCH_SUFFIX = ".epoch"
"""Beside a leader's node lies the persistent node that counts its leaders."""


def check_version(path: str, expected: int | None, found: int) -> None:
    """Check the version that a writer expects; None is any, 0 no node.

    Raises:
        StateVersionError: another one was found.
    """
    if expected is None or expected == found:
        return
    wanted = f"version {expected}" if expected else "no node"
    present = f"version {found}" if found else "no node"
    msg = f"state node {path}: expected {wanted}, found {present}; read it again and retry"
    raise StateVersionError(msg)


def check_owner(path: str, owner: int, session: int) -> None:
    """Check that an ephemeral write hits no node but the session's own.

    Raises:
        StateError: the node is persistent or another session's.
    """
    if owner != session:
        whose = "another session" if owner else "no session"
        msg = f"state node {path} exists and belongs to {whose}; delete it first"
        raise StateError(msg)


def check_fence(
    path: str, fence: Leadership, counter: tuple[bytes, int] | None, won: int | None
) -> None:
    """Check that a write of `path` carries the present leadership.

    `counter` holds value and creation of the epoch's node; `won` is its creation when this
    manager took the leadership. A counter removed and made anew starts at 1 again: its creation
    tells them apart.

    Raises:
        FencedError: another leader took over, or the leadership was removed.
        StateError: the counter holds no number.
    """
    if counter is None or won not in {None, counter[1]}:
        msg = (
            f"write of {path} refused: leadership of {fence.path} with epoch {fence.epoch} "
            "is over, its nodes were removed"
        )
        raise FencedError(msg)
    epoch = read_epoch(fence.path, counter[0])
    if epoch != fence.epoch:
        msg = (
            f"write of {path} refused: it carries leader epoch {fence.epoch} of {fence.path}, "
            f"the present one is {epoch}"
        )
        raise FencedError(msg)


def read_epoch(path: str, value: bytes) -> int:
    """Return the number in the epoch's node of the leader's node `path`.

    Raises:
        StateError: it is no number. It is never guessed: a lower one could be fenced for ever.
    """
    if value.isdigit():
        return int(value)
    msg = f"state node {path}{EPOCH_SUFFIX} holds no number; delete it, then restart its leader"
    raise StateError(msg)
