"""Processes of this host: starting, ends, memory, killing what a container left.

Linux only. Reads /proc; no psutil, whose import alone costs a supervisor 20 ms.
"""

from __future__ import annotations

import ctypes
import os
import resource  # noqa: F401 - os.wait4 imports it at its first call, and may be out of descriptors
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heronshim.core.io.process_identity import ProcessIdentity, identify, send_signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

CONTAINER_MARK = "HERONSHIM_CONTAINER"
"""Environment variable "<container id>@<work folder>" of a supervisor and all that it starts.

What is still there after its supervisor's death is found by it: a process that left its group
and session (a daemon that user code made) keeps its environment.
"""
_PR_SET_PDEATHSIG = 1
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """How a child ended and what it used."""

    exit_code: int | None
    """None when a signal ended it."""
    signal: int
    """0 when it exited by itself."""
    cpu_time_us: int
    peak_rss_bytes: int

    @property
    def signal_name(self) -> str:
        """Such as "SIGKILL"; empty when it exited by itself."""
        return signal_name(self.signal) if self.signal else ""

    def __str__(self) -> str:
        return f"killed by {self.signal_name}" if self.signal else f"exit {self.exit_code}"


def kill_group(leader_pid: int, number: signal.Signals) -> None:
    """Signal the process group of a child that was not waited for yet, so its id is still ours."""
    try:
        os.killpg(leader_pid, number)
    except (ProcessLookupError, PermissionError):
        return


def reap(pid: int) -> ProcessEnd:
    """Take the end of a child of ours that has ended."""
    _, status, usage = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return ProcessEnd(
        exit_code=code if code >= 0 else None,
        signal=max(0, -code),
        cpu_time_us=int((usage.ru_utime + usage.ru_stime) * 1_000_000),
        peak_rss_bytes=usage.ru_maxrss * 1024,
    )


def signal_name(number: int) -> str:
    """Return "SIGKILL" for 9; "signal 40" for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@dataclass(frozen=True, slots=True)
class Spawn:
    """How to start a process."""

    argv: Sequence[str]
    start_line: bytes
    """What it reads on standard input before its end."""
    output: int
    """Descriptor of its standard output and error."""
    cwd: str
    environment: Mapping[str, str]
    dies_with_parent: bool
    """True: own process group, SIGKILL at the parent's death. False: own session, outlives it."""
    cgroup: int | None = None
    """Open descriptor of the cgroup.procs that it joins before its program starts."""
    inherited: tuple[int, ...] = ()
    """Further descriptors that it keeps, with the same numbers."""


def spawn(order: Spawn) -> int:
    """Start a process and return its id; the caller reaps it. Single-threaded callers only.

    Raises:
        OSError: the program or the folder is missing or may not be used.
    """
    # A file in memory, not a pipe: a child that does not read can never hold up its parent.
    stdin = os.memfd_create("start", os.MFD_CLOEXEC)
    try:
        with os.fdopen(stdin, "wb", closefd=False) as file:
            file.write(order.start_line)
        os.lseek(stdin, 0, os.SEEK_SET)
        process = subprocess.Popen(  # noqa: S603 - a list, never a shell
            order.argv,
            stdin=stdin,
            stdout=order.output,
            stderr=order.output,
            cwd=order.cwd,
            env=order.environment,
            pass_fds=order.inherited,
            start_new_session=not order.dies_with_parent,
            process_group=0 if order.dies_with_parent else None,
            preexec_fn=_prepare(order),  # noqa: PLW1509 - the callers have one thread
        )
    finally:
        os.close(stdin)
    # `reap` waits for it, with what it used; Popen shall not wait or warn.
    process.returncode = 0
    return process.pid


def _prepare(order: Spawn) -> Callable[[], None]:
    """Return what a new process does before its program starts."""
    parent = os.getpid()

    def prepare() -> None:
        if order.cgroup is not None:
            os.write(order.cgroup, b"0")
        if order.dies_with_parent:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
            # The parent may have died before the line above: nobody would tell us then.
            if os.getppid() != parent:
                os._exit(1)

    return prepare


def with_descendants(pid: int) -> list[int]:
    """Return a process and its descendants that live now."""
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        found.append(current)
        try:
            children = Path(f"/proc/{current}/task/{current}/children").read_bytes()
        except OSError:
            continue
        waiting += [int(child) for child in children.split()]
    return found


def resident_bytes(pids: Sequence[int]) -> int:
    """Return the resident memory of processes, pages that they share counted once for each.

    Costs about 20 us per process.
    """
    pages = 0
    for pid in pids:
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
        except (OSError, IndexError, ValueError):
            continue
    return pages * _PAGE_BYTES


def proportional_bytes(pids: Sequence[int]) -> int:
    """Return the resident memory of processes, each shared page divided among its users.

    Exact where `resident_bytes` counts twice, but walks all their pages.
    """
    kilobytes = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines()
        except OSError:
            continue
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith(b"Pss:"))
    return kilobytes * 1024


def marked_processes(mark: str) -> list[ProcessIdentity]:
    """Return live processes of this user whose CONTAINER_MARK begins with, or is, `mark`.

    A mark that ends with "@..." names one container; one that begins with "@" all containers of
    a work folder. The caller itself is left out.
    """
    return list(_marked(mark))


def _marked(mark: str) -> Iterator[ProcessIdentity]:
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        identity = identify(int(entry.name))
        if identity is not None and has_mark(identity.pid, mark):
            yield identity


def has_mark(pid: int, mark: str) -> bool:
    """Return whether a process was started with that mark; see `marked_processes`."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    prefix = CONTAINER_MARK.encode() + b"="
    for variable in environment.split(b"\0"):
        if variable.startswith(prefix):
            value = variable[len(prefix) :]
            wanted = os.fsencode(mark)
            return value.partition(b"@")[2] == wanted[1:] if mark[:1] == "@" else value == wanted
    return False


def kill_marked(mark: str) -> list[ProcessIdentity]:
    """SIGKILL all processes that `marked_processes` finds; return them."""
    found = marked_processes(mark)
    for identity in found:
        send_signal(identity, signal.SIGKILL)
    return found
