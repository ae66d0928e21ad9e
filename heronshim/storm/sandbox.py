"""Runs an author's code in a throw-away process: bounded in time, memory and output, then killed.

It has the user's rights: what it does to files or over the network is not undone.
"""

from __future__ import annotations

import asyncio
import os
import resource
import secrets
import shutil
import signal
import subprocess
import time
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from heronshim.core.io.memory_limit import MemoryWatch
from heronshim.core.io.processes import CONTAINER_MARK, kill_group, kill_marked, reap, signal_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOOK_S = 0.05
OUTPUT_BYTES_KEPT = 1 << 16
"""The last of what it wrote."""
OUTPUT_BYTES_PER_LOOK = 1 << 20
CPU_PER_SECOND = 4
"""CPU seconds allowed for each second of the time limit, should nobody be there to end it."""
FILE_BYTES_MAX = 1 << 30
_READ_BYTES = 1 << 16


class Cause(StrEnum):
    """Why a process is over."""

    EXIT = "exit"
    TIME = "time"
    MEMORY = "memory"
    ENOUGH = "enough"
    """Who asked for it has what was wanted."""


@dataclass(frozen=True, slots=True)
class SandboxEnd:
    """How it ended."""

    cause: Cause
    exit_code: int | None
    """None when a signal ended it."""
    how: str
    """Such as "exit code 1" or "SIGSEGV"."""
    output: str
    """The last of its standard output and error."""

    def last_lines(self, count: int) -> list[str]:
        """Return the last lines that are not blank."""
        lines = [line.rstrip() for line in self.output.splitlines()]
        return [line for line in lines if line.strip()][-count:]


async def run_sandboxed(
    command: Sequence[str],
    timeout_s: float,
    ram_bytes: int,
    is_enough: Callable[[], bool] = lambda: False,
) -> SandboxEnd:
    """Run a program (an absolute path) with its words until it ends, or is ended.

    It has no standard input. Afterwards its process group is gone, and what left that and kept
    its environment.

    Raises:
        OSError: it cannot be started.
    """
    mark = f"sandbox-{secrets.token_hex(8)}@"
    # A process with threads cannot set this between fork and exec.
    setpriv = shutil.which("setpriv")
    wrapper = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
    process = subprocess.Popen(  # noqa: S603 - a list, never a shell
        [*wrapper, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, CONTAINER_MARK: mark},
        start_new_session=True,
    )
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    output: deque[bytes] = deque()
    watch, ends_s = MemoryWatch(ram_bytes), time.monotonic() + timeout_s
    cause = Cause.TIME
    try:
        _limit(process.pid, max(1, round(timeout_s * CPU_PER_SECOND)))
        while time.monotonic() < ends_s:
            _read(process.stdout.fileno(), output)
            # Not reaped: until its group is killed the number must stay its own.
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                cause = Cause.EXIT
                break
            if watch.look(process.pid) is not None:
                cause = Cause.MEMORY
                break
            if is_enough():
                cause = Cause.ENOUGH
                break
            await asyncio.sleep(LOOK_S)
    finally:
        kill_group(process.pid, signal.SIGKILL)
        end = reap(process.pid)
        # Popen shall not wait or warn.
        process.returncode = 0
        kill_marked(mark)
        _read(process.stdout.fileno(), output)
        process.stdout.close()
    how = signal_name(end.signal) if end.signal else f"exit code {end.exit_code}"
    text = b"".join(output)[-OUTPUT_BYTES_KEPT:].decode("utf-8", "replace")
    return SandboxEnd(cause, end.exit_code, how, text)


def _limit(pid: int, cpu_s: int) -> None:
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_FSIZE: FILE_BYTES_MAX,
    }
    for kind, limit in limits.items():
        resource.prlimit(pid, kind, (limit, limit))


def _read(descriptor: int, output: deque[bytes]) -> None:
    """Take what it wrote; who writes faster waits at the pipe."""
    left = OUTPUT_BYTES_PER_LOOK
    while left > 0:
        try:
            part = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        if not part:
            return
        left -= len(part)
        output.append(part)
        while sum(map(len, output)) - len(output[0]) > OUTPUT_BYTES_KEPT:
            output.popleft()
