"""Which process of the demonstration is killed when, and how well it came back. Pure."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from heronshim.core.spi.events import EventKind

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Sequence

    from heronshim.core.spi.events import EventRecord

TREES_BETWEEN = 1000
"""Trees that complete between one victim's recovery and the next kill, so that it shows."""
LEVEL_MS = 2000
"""The rate of acks before a kill is that of so long before it."""
WINDOW_MS = 500
"""The rate after it is looked at over so long."""
LEVEL_SHARE = 0.9
"""It is back when it reaches this part of the rate before."""
_STARTED = (EventKind.PROCESS_STARTED, EventKind.PROCESS_REPLACED)
_JOINED = (EventKind.PROCESS_JOINED, EventKind.STMGR_REGISTERED, EventKind.LEADER_TAKEN)


class Role(StrEnum):
    """What a victim is."""

    INSTANCE = "splitting instance"
    STMGR = "stream manager"
    TMASTER = "TMaster"


@dataclass(frozen=True, slots=True)
class Sample:
    """The spout's tally at a moment."""

    time_ms: int
    acked: int
    failed: int
    open: int


@dataclass(slots=True)
class Kill:
    """One victim, and what became of it."""

    role: Role
    process: str
    at: float
    """Share of the lines that are acked before it is killed."""
    pid_before: int = 0
    """0: it has not been killed yet, or was not running."""
    was_running: bool = True
    killed_ms: int = 0
    pending: int = 0
    """Lines emitted and not acked at the kill."""
    acked: int = 0
    failed: int = 0
    """Spout's counts at the kill."""
    pid_after: int = 0
    """0: not replaced yet."""
    joined_ms: int = 0
    """When the replacement said hello; 0: not yet."""
    recovered_ms: int = 0
    """When it had joined and acks came as fast as before; 0: not yet."""
    recovered_acked: int = 0
    """Spout's count then."""
    trees_failed: int = 0
    """Since the kill, until the next one."""

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to wait for."""
        return bool(self.recovered_ms) or not self.was_running

    @property
    def recovery_s(self) -> float | None:
        """Seconds from the kill until it had recovered."""
        return (self.recovered_ms - self.killed_ms) / 1000 if self.recovered_ms else None


class Chaos:
    """Decides when the next victim is due, and judges what became of it."""

    def __init__(self, kills: Sequence[Kill], lines: int) -> None:
        """Take the victims in the order of their deaths."""
        self.kills = list(kills)
        self._lines = lines
        self._current: Kill | None = None
        """The victim killed last."""

    def due(self, sample: Sample) -> Kill | None:
        """Return who is to be killed now, if anybody is."""
        following = next((kill for kill in self.kills if not kill.killed_ms), None)
        if following is None or sample.acked < following.at * self._lines:
            return None
        if self._current is not None and not self._current.is_done:
            return None
        settled = self._current.recovered_acked if self._current else 0
        return following if sample.acked >= settled + TREES_BETWEEN else None

    def killed(self, kill: Kill, pid: int, sample: Sample) -> None:
        """Note a kill; `pid` 0: the victim was not running."""
        kill.pid_before, kill.was_running = pid, pid > 0
        kill.killed_ms, kill.pending = sample.time_ms, sample.open
        kill.acked, kill.failed = sample.acked, sample.failed
        kill.recovered_acked = sample.acked
        self._current = kill

    def look(self, events: Iterable[EventRecord], samples: Sequence[Sample]) -> None:
        """Look for the replacement of the victim killed last, and for its recovery.

        `samples` ascend by time and reach back LEVEL_MS before the kill.
        """
        kill = self._current
        if kill is None or not kill.was_running or not samples:
            return
        kill.trees_failed = samples[-1].failed - kill.failed
        if kill.recovered_ms:
            return
        for event in events:
            if event.process == kill.process and event.time_ms >= kill.killed_ms:
                pid = int(event.numbers.get("pid", 0))
                if event.kind in _STARTED and pid != kill.pid_before:
                    kill.pid_after = pid
                elif event.kind in _JOINED and pid == kill.pid_after and pid:
                    kill.joined_ms = kill.joined_ms or event.time_ms
        if kill.joined_ms:
            back = _back_at(samples, kill)
            if back is not None:
                kill.recovered_ms, kill.recovered_acked = back.time_ms, back.acked

    def problems(self) -> list[str]:
        """Return what did not go as it must; empty when all did."""
        found = []
        for kill in self.kills:
            who = f"{kill.role} {kill.process}"
            if not kill.killed_ms:
                found.append(f"{who} was not killed: the text ended before")
            elif not kill.was_running:
                found.append(f"{who} was not running when it was to be killed")
            else:
                if not kill.pending:
                    found.append(f"nothing was pending when {who} was killed")
                if not kill.pid_after:
                    found.append(f"{who} was not replaced")
                elif not kill.joined_ms:
                    found.append(f"{who} was replaced by pid {kill.pid_after}, which did not join")
                elif not kill.recovered_ms:
                    found.append(f"after the death of {who} acks did not come as fast as before")
        return found


def running_pid(events: Iterable[EventRecord], process: str) -> int:
    """Return the id of a process's newest start in the history; 0 when there is none."""
    pids = [
        int(event.numbers.get("pid", 0))
        for event in events
        if event.process == process and event.kind in _STARTED
    ]
    return pids[-1] if pids else 0


def missing_words(counts: Counter[str], expected: Counter[str]) -> dict[str, tuple[int, int]]:
    """Return words that were counted less often than they occur: counted, and occurring."""
    return {
        word: (counts[word], wanted) for word, wanted in expected.items() if counts[word] < wanted
    }


def _back_at(samples: Sequence[Sample], kill: Kill) -> Sample | None:
    """Return the first sample after the join whose window has the rate of before the kill."""
    times = [sample.time_ms for sample in samples]

    def acked(time_ms: int) -> int:
        place = bisect_right(times, time_ms) - 1
        return samples[max(0, place)].acked

    level = (acked(kill.killed_ms) - acked(kill.killed_ms - LEVEL_MS)) / LEVEL_MS
    for sample in samples[bisect_right(times, kill.joined_ms - 1) :]:
        begin_ms = sample.time_ms - WINDOW_MS
        if begin_ms < kill.killed_ms:
            continue
        if (sample.acked - acked(begin_ms)) / WINDOW_MS >= LEVEL_SHARE * level:
            return sample
    return None
