"""How long to wait before a process that died is started again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_NS = 100_000_000
"""First wait: a single death is hardly noticed."""
MAX_NS = 5_000_000_000
"""Longest wait: a process that cannot start costs little (Heron: fixed 10 s)."""
RESET_NS = 10_000_000_000
"""A process that lived this long starts over with the first wait."""


@dataclass(slots=True)
class RestartBackoff:
    """Doubles the wait at each early death."""

    waited_ns: int = 0

    def next_ns(self, lived_ns: int) -> int:
        """Return the wait, in nanoseconds, after a life of `lived_ns`."""
        early = lived_ns < RESET_NS and self.waited_ns
        self.waited_ns = min(self.waited_ns * 2, MAX_NS) if early else FIRST_NS
        return self.waited_ns
