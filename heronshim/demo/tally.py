"""What a spout has done so far, for another process that looks often: four numbers in a file."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

_NUMBERS = struct.Struct("<qqqq")
TALLY_FILE = "lines.tally"


@dataclass(frozen=True, slots=True)
class Tally:
    """How far a spout is. Each number is whole, all four need not be of one moment."""

    emitted: int
    """Lines, each counted once however often it is emitted."""
    acked: int
    failed: int
    """Trees that failed; their lines are emitted again."""
    open: int
    """Lines that were emitted and not acked yet."""


class TallyWriter:
    """Writes a tally by a copy to memory: cheap enough for each line."""

    def __init__(self, folder: str) -> None:
        """Make the file in `folder`; raises OSError."""
        path = Path(folder) / TALLY_FILE
        path.write_bytes(bytes(_NUMBERS.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _NUMBERS.size)

    def write(self, tally: Tally) -> None:
        """Replace what is there."""
        numbers = tally.emitted, tally.acked, tally.failed, tally.open
        _NUMBERS.pack_into(self._memory, 0, *numbers)


def read_tally(folder: str) -> Tally:
    """Return the newest tally; zeros while there is none."""
    try:
        found = (Path(folder) / TALLY_FILE).read_bytes()
    except FileNotFoundError:
        found = b""
    return Tally(*_NUMBERS.unpack(found if len(found) == _NUMBERS.size else bytes(_NUMBERS.size)))
