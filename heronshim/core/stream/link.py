"""What both ends of a link know: who connected, and which frame comes next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NoReturn

from heronshim.errors import RemoteProtocolError


class Role(IntEnum):
    """What connects; equal to Role in proto/heronshim/wire/v1/link.proto."""

    INSTANCE = 1
    STMGR = 2
    METRICSMGR = 3
    TMASTER = 4
    CLIENT = 5


@dataclass(frozen=True, slots=True)
class Hello:
    """First frame of a link, from the side that connected."""

    topology_id: str
    role: Role
    process: str
    incarnation: int
    attempt: int
    token: str
    tasks: tuple[int, ...] = ()
    pid: int = 0
    container: int = 0
    protocol_version: int = 1


@dataclass(frozen=True, slots=True)
class Bye:
    """Last frame of a link that ends in good order."""

    last_sequence: int
    """Of the last frame sent before it."""
    last_received: int
    """Of the last frame received."""
    reason: str = ""


class SequenceWatch:
    """Counts frames of one link and direction; a gap means that frames were lost."""

    __slots__ = ("last", "lost")

    def __init__(self) -> None:
        self.last = 0
        """Sequence number of the newest frame seen; 0 before the first."""
        self.lost = 0
        """Frames that never came."""

    def take(self, sequence: int) -> None:
        """Take the next frame's number.

        Raises:
            RemoteProtocolError: it does not follow the last: frames are lost, or came twice.
                What such a link still brings cannot be trusted, credit least of all.
        """
        missing = self.missing(sequence)
        if missing > 0:
            self._raise_lost(missing, f"before frame {sequence}")
        if missing < 0:
            msg = f"frame {sequence} came again, or late, after frame {self.last}"
            raise RemoteProtocolError(msg)

    def check(self, last_sent: int) -> None:
        """The frame taken last says which number the peer had sent before it.

        Raises:
            RemoteProtocolError: frames up to it never came.
        """
        behind = self.behind(last_sent + 1)
        if behind:
            self.last = last_sent
            self._raise_lost(behind, f"up to frame {last_sent}")

    def _raise_lost(self, count: int, place: str) -> NoReturn:
        self.lost += count
        noun = "frame" if count == 1 else "frames"
        msg = f"{count} {noun} {place} never came"
        raise RemoteProtocolError(msg)

    def missing(self, sequence: int) -> int:
        """Take the next frame's number and return how many before it never came.

        A number that was seen already (a duplicate) returns -1.
        """
        gap = sequence - self.last - 1
        if gap < 0:
            return -1
        self.last = sequence
        return gap

    def behind(self, last_sent: int) -> int:
        """Return how many frames up to the peer's `last_sent` never came."""
        return max(0, last_sent - self.last)
