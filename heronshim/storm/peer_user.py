"""Who is at the other end of a TCP connection within this host."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

_TABLES = {
    socket.AF_INET: Path("/proc/self/net/tcp"),
    socket.AF_INET6: Path("/proc/self/net/tcp6"),
}
_LOCAL, _REMOTE, _USER = 1, 2, 7
"""Columns of those tables (proc(5))."""


def peer_user(family: int, own: tuple[str, int], peer: tuple[str, int]) -> int | None:
    """Return the user id of the process that opened a connection; None when it is not found.

    Unlike Unix sockets, TCP ones do not say who is there; the kernel's table of them does.
    """
    table = _TABLES.get(socket.AddressFamily(family))
    if table is None:
        return None
    wanted = _shown(family, peer), _shown(family, own)
    try:
        lines = table.read_text("ascii").splitlines()[1:]
    except OSError:
        return None
    for line in lines:
        columns = line.split()
        if (columns[_LOCAL], columns[_REMOTE]) == wanted:
            return int(columns[_USER])
    return None


def _shown(family: int, address: tuple[str, int]) -> str:
    """Return an address as the table has it: words of 32 bits in the byte order of this host."""
    packed = socket.inet_pton(family, address[0])
    words = [packed[at : at + 4] for at in range(0, len(packed), 4)]
    numbers = [int.from_bytes(word, sys.byteorder) for word in words]
    return "".join(f"{number:08X}" for number in numbers) + f":{address[1]:04X}"
