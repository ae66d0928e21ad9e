"""One process that a container's supervisor keeps running: start, output, end, next start."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from heronshim.core.io import processes
from heronshim.core.io.backoff import RestartBackoff
from heronshim.core.io.heartbeats import HeartbeatReader
from heronshim.core.io.logs import event_line
from heronshim.core.io.memory_limit import MemoryCgroup, MemoryWatch, Strike
from heronshim.core.io.rotating_log import RotatingLog
from heronshim.core.spi.events import DETAIL_CHARACTERS_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heronshim.core.io.child import ChildStart
    from heronshim.core.io.processes import ProcessEnd

READ_BYTES = 65_536
"""Output read from one process per turn, so that one that floods its log holds up no other."""
DRAIN_BYTES_MAX = 1 << 20
"""Output read after a process's end: what is left in its pipe, unless a stray one writes on."""
TAIL_BYTES = DETAIL_CHARACTERS_MAX
"""End of the output that is kept for the record of a death."""
LAST_WORDS_NS = 100_000_000
"""Time that a process over its memory limit has to write where it is."""


class ProcessState(StrEnum):
    """What a supervised process is doing."""

    BLOCKED = "blocked"
    """Not started until `allow`: its package is not there yet."""
    WAITING = "waiting"
    """To be started at `start_at_ns`."""
    RUNNING = "running"
    """Has a pid and a pidfd; its pipe may be closed already."""
    DONE = "done"
    """Will not be started again."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What to start."""

    id: str
    argv: Sequence[str]
    component: str = ""
    task: int = 0
    """Its only task; 0 when it has none or several."""
    memory_limit_bytes: int = 0
    """0 = none."""
    once: bool = False
    """Whether exit code 0 means that it has done its work."""
    heartbeats: bool = False
    """Whether it gets a pipe for signs of life."""


@dataclass(frozen=True, slots=True)
class Death:
    """How one life of a process ended."""

    process: str
    pid: int
    incarnation: int
    end: ProcessEnd
    lived_ns: int
    strike: Strike | None
    asked: bool
    """Whether the supervisor had asked it to stop."""
    output_tail: str
    silent_ns: int = 0
    """How long it was silent when the supervisor killed it for that; 0: not for that."""

    @property
    def cause(self) -> str:
        """For people."""
        if self.strike is not None:
            return (
                f"killed at its memory limit of {self.strike.limit_bytes} bytes, "
                f"it held {self.strike.peak_bytes}"
            )
        if self.silent_ns:
            return f"killed after {self.silent_ns / 1e9:.1f} s of silence"
        if self.end.signal_name == "SIGKILL" and not self.asked:
            return "killed by SIGKILL (by hand, or by the kernel when memory ran out)"
        return f"stopped, {self.end}" if self.asked else str(self.end)


class SupervisedProcess:
    """One process over all its lives. Single thread; the supervisor polls its descriptors."""

    def __init__(self, spec: ProcessSpec, log: RotatingLog, cgroup: MemoryCgroup | None) -> None:
        """Take a process that is not started yet."""
        self.spec = spec
        self.state = ProcessState.WAITING
        self.start_at_ns = 0
        """When a WAITING process is due."""
        self.starts = 0
        self.pid = 0
        self.pidfd = -1
        """Readable once the process has ended; -1 unless RUNNING."""
        self.output = -1
        """Read end of its output; -1 when closed."""
        self.heartbeats: HeartbeatReader | None = None
        """Its signs of life; None unless RUNNING, and when it gives none."""
        self._log = log
        self._cgroup = cgroup
        # The kernel watches what is in a cgroup.
        self._watch = MemoryWatch(0 if cgroup else spec.memory_limit_bytes)
        self._backoff = RestartBackoff()
        self._started_ns = 0
        self.incarnation = 0
        """Of its newest life."""
        self._silent_ns = 0
        self._strike: Strike | None = None
        self.kill_at_ns = 0
        """When a process over its memory limit is killed; 0 = it is not."""
        self._asked = False
        self._tail = b""
        self._dropped_told = 0

    @property
    def is_watched(self) -> bool:
        """Whether `look_at_memory` has to be called now."""
        watched = self.spec.memory_limit_bytes and self._cgroup is None
        return bool(watched) and self.state is ProcessState.RUNNING

    def start(
        self, start: ChildStart, cwd: Path, environment: Mapping[str, str], now_ns: int
    ) -> None:
        """Start it; it is RUNNING then.

        Raises:
            OSError: its program is missing or may not be run, or the system has no room for a
                process or a descriptor; call `retry_later`.
        """
        assert self.state is ProcessState.WAITING
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        beats_read, beats_write = -1, -1
        if self.spec.heartbeats:
            try:
                beats_read, beats_write = os.pipe2(os.O_CLOEXEC)
            except OSError:
                _close(read_end, write_end)
                raise
        order = processes.Spawn(
            argv=self.spec.argv,
            start_line=replace(start, heartbeat=beats_write).to_json().encode(),
            output=write_end,
            cwd=str(cwd),
            environment=environment,
            dies_with_parent=True,
            inherited=(beats_write,) if self.spec.heartbeats else (),
        )
        try:
            pid = self._spawn(order)
        except OSError:
            _close(read_end, beats_read)
            raise
        finally:
            _close(write_end, beats_write)
        try:
            # Our child, not waited for yet: its id cannot be another's.
            pidfd = os.pidfd_open(pid)
        except OSError:
            # Out of descriptors. One whose end nobody would hear of must not run.
            processes.kill_group(pid, signal.SIGKILL)
            processes.reap(pid)
            _close(read_end, beats_read)
            raise
        os.set_blocking(read_end, False)
        self.pid, self.pidfd, self.output = pid, pidfd, read_end
        self.heartbeats = HeartbeatReader(beats_read) if self.spec.heartbeats else None
        self.state = ProcessState.RUNNING
        self.starts += 1
        self._started_ns, self.incarnation = now_ns, start.incarnation
        self._strike, self._asked, self._tail, self._silent_ns = None, False, b"", 0
        self.kill_at_ns = 0

    def _spawn(self, order: processes.Spawn) -> int:
        if self._cgroup is None:
            return processes.spawn(order)
        cgroup = self._cgroup.open_procs()
        try:
            return processes.spawn(replace(order, cgroup=cgroup))
        finally:
            os.close(cgroup)

    def read_output(self) -> None:
        """Move what it printed, READ_BYTES at most, to its log."""
        self._move_output(READ_BYTES)

    def _move_output(self, bytes_max: int) -> int:
        """Return how many bytes came."""
        try:
            data = os.read(self.output, bytes_max)
        except BlockingIOError:
            return 0
        if not data:
            self._close_output()
            return 0
        self._to_log(data)
        self._tail = (self._tail + data[-TAIL_BYTES:])[-TAIL_BYTES:]
        return len(data)

    def look_at_memory(self, now_ns: int) -> None:
        """Sentence it if it exceeds its limit: SIGQUIT now, and SIGKILL at `kill_at_ns`.

        At SIGQUIT an instance writes its threads' traces, as a JVM does.
        """
        strike = self._watch.look(self.pid)
        if strike is not None and self._strike is None:
            self._strike = strike
            self.kill_at_ns = now_ns + LAST_WORDS_NS
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGQUIT)

    def kill_if_due(self, now_ns: int) -> None:
        """Kill it when its time is over; its end comes by the pidfd."""
        if self.kill_at_ns and now_ns >= self.kill_at_ns:
            self.kill_at_ns = 0
            self.kill()

    def ask_to_stop(self) -> None:
        """Send SIGTERM; what waits is never started."""
        if self.state is ProcessState.RUNNING:
            self._asked = True
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)
        else:
            self.state = ProcessState.DONE

    def allow(self) -> None:
        """Let a BLOCKED process be started."""
        if self.state is ProcessState.BLOCKED:
            self.state = ProcessState.WAITING

    def kill_silent(self, silent_ns: int) -> None:
        """Kill it for its silence; its end comes by the pidfd."""
        self._silent_ns = silent_ns
        self.kill()

    def kill(self) -> None:
        """Send SIGKILL to it and its process group."""
        processes.kill_group(self.pid, signal.SIGKILL)

    def finish(self, now_ns: int) -> Death:
        """Take the end that the pidfd told of: it is WAITING for its next start, or DONE."""
        assert self.state is ProcessState.RUNNING
        # Before it is reaped: until then its group's id cannot be another's.
        self.kill()
        drained = 0
        while self.output >= 0 and drained < DRAIN_BYTES_MAX:
            moved = self._move_output(READ_BYTES)
            if not moved:
                break
            drained += moved
        end = processes.reap(self.pid)
        death = Death(
            process=self.spec.id,
            pid=self.pid,
            incarnation=self.incarnation,
            end=end,
            lived_ns=now_ns - self._started_ns,
            strike=self._strike or (self._cgroup.strike() if self._cgroup else None),
            asked=self._asked,
            output_tail=self._tail.decode("utf-8", "replace"),
            silent_ns=self._silent_ns,
        )
        self._close_output()
        if self.heartbeats is not None:
            self.heartbeats.close()
            self.heartbeats = None
        os.close(self.pidfd)
        self.pid, self.pidfd, self.kill_at_ns = 0, -1, 0
        if self._asked or (self.spec.once and end.exit_code == 0):
            self.state = ProcessState.DONE
        else:
            self.retry_later(now_ns, death.lived_ns)
        return death

    def retry_later(self, now_ns: int, lived_ns: int = 0) -> None:
        """Wait for the next start, longer after each early end."""
        self.state = ProcessState.WAITING
        self.start_at_ns = now_ns + self._backoff.next_ns(lived_ns)

    def write_log(self, line: str) -> None:
        """Add a line of the supervisor's to the process's own log."""
        if self._tail and not self._tail.endswith(b"\n"):
            line = "\n" + line
        self._to_log(line.encode("utf-8", "replace"))

    def _to_log(self, data: bytes) -> None:
        """Write, and once a full disk takes something again say how much is missing."""
        dropped = self._log.dropped_bytes
        self._log.write(data)
        if dropped > self._dropped_told and self._log.dropped_bytes == dropped:
            lost = dropped - self._dropped_told
            self._log.write(event_line("WARNING", "log_dropped", bytes=lost).encode())
            self._dropped_told = dropped

    def close(self) -> None:
        """Close its log and remove its cgroup; the process has ended."""
        self._log.close()
        if self._cgroup is not None:
            self._cgroup.remove()

    def _close_output(self) -> None:
        if self.output >= 0:
            os.close(self.output)
            self.output = -1


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        if descriptor >= 0:
            os.close(descriptor)
