"""What a spout task does about a loss: trees opened before it get a grace, then they fail. Pure.

A notice marks the trees that are open; those that are open still after max(1 s, 4 times the 99th
percentile of the task's complete latency) were hit, most likely, and fail instead of waiting for
their timeout.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from heronshim.core.stream.loss import joined_cause

GRACE_US_MIN = 1_000_000
GRACE_LATENCIES = 4
TIMEOUT_SHARE = 4
"""Fail-fast is off where the grace exceeds the timeout divided by this: it would gain little."""
MARKS_PER_GRACE = 16
"""Notices within this part of a grace share one mark, so that marks are bounded."""


@dataclass(slots=True)
class LossMark:
    """Trees opened at `until_us` or before fail at `deadline_us`."""

    begun_us: int
    until_us: int
    deadline_us: int
    cause: str


class FailFast:
    """The marks of one spout task, in order of time and of deadline."""

    def __init__(self, *, enabled: bool, timeout_us: int | None) -> None:
        """`timeout_us` None: trees do not time out, and no grace is too long."""
        self._enabled = enabled
        self._timeout_us = timeout_us
        self._marks: deque[LossMark] = deque()

    def grace_us(self, latency_us: float | None) -> int | None:
        """Return the grace for a p99 complete latency (None: nothing completed); None = off."""
        grace = max(GRACE_US_MIN, int(GRACE_LATENCIES * (latency_us or 0.0)))
        if not self._enabled:
            return None
        if self._timeout_us is not None and grace * TIMEOUT_SHARE > self._timeout_us:
            return None
        return grace

    def on_notice(self, cause: str, now_us: int, latency_us: float | None) -> bool:
        """Mark what is open now; return False where fail-fast is off."""
        grace = self.grace_us(latency_us)
        if grace is None:
            return False
        newest = self._marks[-1] if self._marks else None
        deadline_us = max(now_us + grace, newest.deadline_us if newest else 0)
        if newest is not None and now_us - newest.begun_us < grace // MARKS_PER_GRACE:
            newest.until_us, newest.deadline_us = now_us, deadline_us
            newest.cause = joined_cause(newest.cause, cause)
        else:
            self._marks.append(LossMark(now_us, now_us, deadline_us, cause))
        return True

    def take_due(self, now_us: int) -> LossMark | None:
        """Return and forget the next mark whose grace is over."""
        if self._marks and now_us >= self._marks[0].deadline_us:
            return self._marks.popleft()
        return None

    def next_deadline_us(self) -> int | None:
        """Return when a grace ends; None while nothing is marked."""
        return self._marks[0].deadline_us if self._marks else None

    def marked_until_us(self) -> int | None:
        """Return the time until which open trees are marked; None while nothing is marked."""
        return self._marks[-1].until_us if self._marks else None
