"""The memory limit of one process: a cgroup where one was delegated to us, else a watch.

A cgroup has one writer (cgroups(7), systemd's delegation rule), so ours are made only below a
folder that the scheduler option `cgroup_parent` names. Without it the resident memory of the
process and its descendants is looked at every WATCH_NS: between two looks it may exceed the
limit for that long.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from heronshim.core.io.processes import proportional_bytes, resident_bytes, with_descendants
from heronshim.errors import SchedulerError

WATCH_NS = 500_000_000
"""Time between two looks: 20 us each, so 0.004 % of a core per process."""


@dataclass(frozen=True, slots=True)
class Strike:
    """That a process exceeded its memory limit."""

    limit_bytes: int
    peak_bytes: int


class MemoryWatch:
    """Looks at the resident memory of a process and its descendants."""

    def __init__(self, limit_bytes: int) -> None:
        """Watch against a limit; 0 = none."""
        self._limit_bytes = limit_bytes
        self._peak_bytes = 0

    def look(self, pid: int) -> Strike | None:
        """Return a strike when the processes hold more than the limit now."""
        if not self._limit_bytes:
            return None
        pids = with_descendants(pid)
        held = resident_bytes(pids)
        if held > self._limit_bytes and len(pids) > 1:
            held = proportional_bytes(pids)
        self._peak_bytes = max(self._peak_bytes, held)
        if held <= self._limit_bytes:
            return None
        return Strike(self._limit_bytes, self._peak_bytes)


class MemoryCgroup:
    """One cgroup, version 1 or 2, that limits the memory of a process and its descendants."""

    def __init__(self, parent: Path, name: str, limit_bytes: int) -> None:
        """Make `parent/name` with a limit; what an earlier supervisor left there is used again.

        Raises:
            SchedulerError: it cannot be made, or the memory controller is not enabled there.
        """
        self._limit_bytes = limit_bytes
        self._folder = parent / name
        try:
            self._folder.mkdir(exist_ok=True)
            self._is_v2 = (self._folder / "memory.max").exists()
            self._write("memory.max" if self._is_v2 else "memory.limit_in_bytes", limit_bytes)
        except OSError as error:
            msg = (
                f"cgroup {self._folder} cannot limit memory: {error}; option cgroup_parent must "
                "name a folder delegated to you with the memory controller enabled"
            )
            raise SchedulerError(msg) from error
        self._limit_swap()
        self._kills_seen = self._kills()

    def open_procs(self) -> int:
        """Return an open descriptor of cgroup.procs for `Spawn.cgroup`; raises OSError."""
        return os.open(self._folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)

    def strike(self) -> Strike | None:
        """Return a strike when the kernel killed here, at the limit, since the last call."""
        kills = self._kills()
        if kills <= self._kills_seen:
            return None
        self._kills_seen = kills
        peak = "memory.peak" if self._is_v2 else "memory.max_usage_in_bytes"
        return Strike(self._limit_bytes, self._value(peak) or self._limit_bytes)

    def remove(self) -> None:
        """Remove the cgroup if no process is in it."""
        try:
            self._folder.rmdir()
        except OSError:
            return

    def _limit_swap(self) -> None:
        """Keep the process from swapping instead; kernels without swap accounting lack the file."""
        try:
            if self._is_v2:
                self._write("memory.swap.max", 0)
            else:
                self._write("memory.memsw.limit_in_bytes", self._limit_bytes)
        except OSError:
            return

    def _write(self, name: str, value: int) -> None:
        # Without O_CREAT: a folder that is no cgroup must not look like one.
        descriptor = os.open(self._folder / name, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"%d" % value)
        finally:
            os.close(descriptor)

    def _value(self, name: str) -> int:
        try:
            return int((self._folder / name).read_text("ascii"))
        except (OSError, ValueError):
            return 0

    def _kills(self) -> int:
        path = self._folder / ("memory.events" if self._is_v2 else "memory.oom_control")
        try:
            counters = dict(line.split() for line in path.read_text("ascii").splitlines())
            return int(counters.get("oom_kill", 0))
        except (OSError, ValueError):
            return 0
