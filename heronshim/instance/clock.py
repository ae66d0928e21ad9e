"""Where time comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Clock:
    """A monotonic clock in nanoseconds for every decision, unix milliseconds for records only."""

    now_ns: Callable[[], int]
    wall_ms: Callable[[], int]
