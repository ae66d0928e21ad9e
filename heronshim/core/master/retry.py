"""When to try an order again that failed."""

from __future__ import annotations

RETRY_MIN_NS = 500_000_000
"""First pause after a state manager or scheduler that failed; doubles to RETRY_MAX_NS."""
RETRY_MAX_NS = 10_000_000_000
NEVER_NS = 1 << 62
"""A deadline that never comes."""


class Retry:
    """Pauses that double until the order is done."""

    __slots__ = ("_pause_ns", "due_ns")

    def __init__(self) -> None:
        self._pause_ns = RETRY_MIN_NS
        self.due_ns = NEVER_NS
        """When to try again; NEVER_NS when nothing failed or a try is under way."""

    @property
    def pausing(self) -> bool:
        """Whether the next try is still to come."""
        return self.due_ns != NEVER_NS

    def failed(self, now_ns: int) -> None:
        """The order failed: pause."""
        self.due_ns = now_ns + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, RETRY_MAX_NS)

    def begin(self, now_ns: int) -> bool:
        """Return whether the pause is over; it then ends."""
        if now_ns < self.due_ns:
            return False
        self.due_ns = NEVER_NS
        return True

    def done(self) -> None:
        """The order was carried out: the next failure pauses shortly again."""
        self._pause_ns = RETRY_MIN_NS
        self.due_ns = NEVER_NS
