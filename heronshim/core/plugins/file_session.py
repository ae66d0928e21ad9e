"""Sessions of the file state manager: who owns ephemeral nodes, and whether they still live.

A session is a file `<folder>/<16 hex digits>`. It lives while its process does (same pid and
start time, same boot) and its lease is renewed. Stamps are CLOCK_MONOTONIC nanoseconds, the same
for all processes of a host and untouched by changes of the date; the time a laptop sleeps is not
counted, so that waking up ends no session.

Little-endian:

    4s magic "HSSN" | u16 format | u16 zero | u32 pid | u64 start time in clock ticks since boot |
    16s boot id | u64 lease ns | u64 renewed ns | u32 CRC-32 of all before
"""

from __future__ import annotations

import os
import secrets
import struct
import time
import zlib
from functools import cache
from pathlib import Path

from heronshim.core.io.process_identity import process_start_ticks
from heronshim.core.io.regular_file import NotRegularError, open_regular

_FIELDS = struct.Struct("<4sHHIQ16sQQ")
_CRC = struct.Struct("<I")
_READ_BYTES_MAX = 4096
_MAGIC = b"HSSN"
_FORMAT = 1
LEASE_S_MAX = 3600.0
"""Longest lease of a session."""
_READS = 3
"""A renewal that happens during a read can tear it; the next read is whole."""


@cache
def _boot_id() -> bytes:
    text = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
    return bytes.fromhex(text.strip().replace("-", ""))


class FileSession:
    """This process's own session. One thread."""

    def __init__(self, folder: Path, lease_ns: int, now_ns: int) -> None:
        """Begin a session; raises OSError."""
        folder.mkdir(mode=0o700, exist_ok=True)
        self.id = secrets.randbits(63) + 1
        self.lease_ns = lease_ns
        self.renewed_ns = now_ns
        self._path = _session_path(folder, self.id)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        try:
            self._write(now_ns)
        except OSError:
            self.end()
            raise

    def renew(self, now_ns: int) -> None:
        """Extend the lease; raises OSError."""
        self._write(now_ns)
        self.renewed_ns = now_ns

    def is_over(self, now_ns: int) -> bool:
        """Return whether the lease ran out or another process ended this session."""
        return now_ns - self.renewed_ns > self.lease_ns or not os.fstat(self._descriptor).st_nlink

    def abandon(self) -> None:
        """Renew no more; the file stays as a sign for others to remove what the session left."""
        os.close(self._descriptor)

    def end(self) -> None:
        """End the session now; what it owned must be gone. Removes its file if it can."""
        self.abandon()
        discard(self._path)

    def _write(self, now_ns: int) -> None:
        pid = os.getpid()
        ticks = process_start_ticks(pid)
        assert ticks is not None
        fields = _FIELDS.pack(_MAGIC, _FORMAT, 0, pid, ticks, _boot_id(), self.lease_ns, now_ns)
        os.pwrite(self._descriptor, fields + _CRC.pack(zlib.crc32(fields)), 0)


def is_alive(folder: Path, session: int, now_ns: int) -> bool:
    """Return whether a session lives. One with a damaged file does not: its owner sees it end.

    Raises:
        OSError: its file cannot be read.
    """
    for _ in range(_READS):
        try:
            with open_regular(_session_path(folder, session), follow_links=False) as file:
                content = file.read(_READ_BYTES_MAX)
                changed_s = os.fstat(file.fileno()).st_mtime
        except (FileNotFoundError, NotRegularError):
            return False
        fields, crc = content[: -_CRC.size], content[-_CRC.size :]
        if crc != _CRC.pack(zlib.crc32(fields)) or fields[:4] != _MAGIC:
            continue
        if int.from_bytes(fields[4:6], "little") > _FORMAT:
            # A newer heronshim's, whose nodes are not ours to remove while it renews them.
            return time.time() - changed_s < LEASE_S_MAX
        return len(fields) == _FIELDS.size and _record_lives(fields, now_ns)
    return False


def _record_lives(fields: bytes, now_ns: int) -> bool:
    _, _, _, pid, ticks, boot_id, lease_ns, renewed_ns = _FIELDS.unpack(fields)
    return bool(
        boot_id == _boot_id()
        and now_ns - renewed_ns <= lease_ns
        and process_start_ticks(pid) == ticks
    )


def dead_sessions(folder: Path, now_ns: int) -> list[Path]:
    """Return the files of sessions that do not live; raises OSError."""
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except FileNotFoundError:
        return []
    return [folder / name for name in names if not _named_lives(folder, name, now_ns)]


def _named_lives(folder: Path, name: str, now_ns: int) -> bool:
    try:
        session = int(name, 16)
    except ValueError:
        return False
    return is_alive(folder, session, now_ns)


def discard(path: Path) -> None:
    """Remove a session's file if it can be removed; its end does not depend on it."""
    try:
        path.unlink(missing_ok=True)
        path.parent.rmdir()
    except OSError:
        return


def _session_path(folder: Path, session: int) -> Path:
    return folder / f"{session:016x}"
