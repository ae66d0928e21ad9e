"""Which process is meant: identity safe against reused ids, signals and exit notices by it.

Linux only.
"""

from __future__ import annotations

import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process for all time of this boot: its id may be given to another one, the pair not."""

    pid: int
    start_ticks: int
    """Clock ticks from boot to its start, as in /proc/<pid>/stat."""


def process_start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when it is gone.

    A process that ended but was not waited for by its parent counts as gone.
    """
    fields = _stat_fields(pid)
    return None if fields is None or fields[0] in {b"Z", b"X"} else int(fields[19])


def _stat_fields(pid: int) -> list[bytes] | None:
    """Return the fields of /proc/<pid>/stat from the state on, or None."""
    try:
        line = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in brackets may hold spaces and brackets itself: fields count after the last one.
    return line.rpartition(b")")[2].split()


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of a live process, or None."""
    ticks = process_start_ticks(pid) if pid > 0 else None
    return None if ticks is None else ProcessIdentity(pid, ticks)


def is_alive(identity: ProcessIdentity) -> bool:
    """Return whether that very process lives."""
    return identify(identity.pid) == identity


def open_pidfd(identity: ProcessIdentity) -> int | None:
    """Return a descriptor that is readable once that very process has ended; None: it has.

    Works for processes that are not children of the caller. The caller closes it.
    """
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    # Looked at after the open: from then on the descriptor stands for whoever has the id now.
    if is_alive(identity):
        return descriptor
    os.close(descriptor)
    return None


def send_signal(identity: ProcessIdentity, number: signal.Signals) -> bool:
    """Send a signal to that very process, never to another with its id; return whether it lives."""
    descriptor = open_pidfd(identity)
    if descriptor is None:
        return False
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def wait_ended(identity: ProcessIdentity, timeout_s: float) -> bool:
    """Block until that very process has ended; return False after `timeout_s`."""
    descriptor = open_pidfd(identity)
    if descriptor is None:
        return True
    try:
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        return bool(poller.poll(timeout_s * 1000))
    finally:
        os.close(descriptor)
