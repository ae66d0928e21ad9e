"""What a process reaches the outside by: sockets and clocks, the machine's or a simulation's."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import zmq

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Surroundings:
    """One for each process; the defaults are the machine's."""

    context: zmq.Context[zmq.Socket[bytes]] = field(default_factory=zmq.Context)
    poller: zmq.Poller = field(default_factory=zmq.Poller)
    now_ns: Callable[[], int] = time.monotonic_ns
    """Every decision uses this one."""
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    """Unix time, for records only: it may jump."""
