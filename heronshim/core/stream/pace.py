"""How many rows one frame to a task may hold: about an eighth of a second of its work. Pure.

Credit counts bytes, and a smallest frame of small rows holds dozens of them: minutes of work for a
task that takes a second for each. What a task took lately, as far as its credit let it, says how
many it takes in a given time. A task of which nothing is known gets one row. Frames grow by a
quarter each, not faster: several are on their way before the task has executed the first.
"""

from __future__ import annotations

PERIOD_US = 500_000
"""What went in this time, or in the same time before, is what the task takes."""
FRAMES_PER_PERIOD = 4


class Pace:
    """Rows that went to one task lately."""

    __slots__ = ("_period", "_rows", "_rows_before")

    def __init__(self) -> None:
        self._period = 0
        self._rows = 0
        self._rows_before = 0

    def took(self, rows: int, now_us: int) -> None:
        """A frame of as many rows went."""
        self._turn_to(now_us // PERIOD_US)
        self._rows += rows

    def rows_max(self, now_us: int) -> int:
        """Return how many rows the next frame may hold, at least 1."""
        self._turn_to(now_us // PERIOD_US)
        return max(1, max(self._rows, self._rows_before) // FRAMES_PER_PERIOD)

    def _turn_to(self, period: int) -> None:
        if period <= self._period:
            return
        self._rows_before = self._rows if period == self._period + 1 else 0
        self._rows = 0
        self._period = period
