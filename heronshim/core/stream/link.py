"""What both ends of a link know: who connected, and which frame comes next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


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


class SequenceWatch:
    """Counts frames of one link and direction; a gap means that frames were lost."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0
        """Sequence number of the newest frame seen; 0 before the first."""

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
