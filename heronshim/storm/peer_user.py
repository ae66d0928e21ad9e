"""Who is at the other end of a TCP connection within this host."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

_TABLE = Path("/proc/self/net/tcp")
_TABLE_6 = Path("/proc/self/net/tcp6")
_LOCAL, _REMOTE, _USER, _INODE = 1, 2, 7, 9
"""Columns of those tables (proc(5))."""
_MAPPED = bytes(10) + b"\xff\xff"
"""An IPv4 address begins so in a socket of both families, as Java's are."""

Address = tuple[str, int]


def peer_user(family: int, own: Address, peer: Address) -> int | None:
    """Return the user id of the process that opened a connection; None when it is not found.

    Unlike Unix sockets, TCP ones do not say who is there; the kernel's table of them does, until
    that process closes its socket.
    """
    ends = [(socket.inet_pton(family, address), port) for address, port in (peer, own)]
    if family == socket.AF_INET6:
        return _user(_TABLE_6, ends)
    user = _user(_TABLE, ends)
    if user is not None:
        return user
    return _user(_TABLE_6, [(_MAPPED + address, port) for address, port in ends])


def _user(table: Path, ends: list[tuple[bytes, int]]) -> int | None:
    wanted = [_shown(address, port) for address, port in ends]
    try:
        lines = table.read_text("ascii").splitlines()[1:]
    except OSError:
        return None
    for line in lines:
        columns = line.split()
        if [columns[_LOCAL], columns[_REMOTE]] == wanted:
            # A socket that nobody holds any more has no inode, and root's number.
            return int(columns[_USER]) if columns[_INODE] != "0" else None
    return None


def _shown(address: bytes, port: int) -> str:
    """Return an address as the table has it: words of 32 bits in the byte order of this host."""
    words = [address[at : at + 4] for at in range(0, len(address), 4)]
    numbers = [int.from_bytes(word, sys.byteorder) for word in words]
    return "".join(f"{number:08X}" for number in numbers) + f":{port:04X}"
