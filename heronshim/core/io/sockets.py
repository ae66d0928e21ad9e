"""The one place that makes ZeroMQ sockets, so that each has the same limits."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

import zmq

from heronshim.errors import StateError

FRAME_BYTES_MAX = 64 << 20
"""Largest payload of one frame: room for one 32 MB batch and its columns."""
SEND_QUEUE_FRAMES = 65_536
"""High-water mark: above the sum of credit windows on a link / 1 KiB (32 MB pool = 32,768) plus as many control frames."""
RECEIVE_QUEUE_FRAMES = 1024
"""Frames that the IO thread reads ahead; measured: unlimited read-ahead exceeded marks tenfold."""
SOCKET_PATH_MAX = 107
"""sun_path of Linux less its final zero byte."""


def router(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """Return a ROUTER whose sends fail at once when the peer is gone or full."""
    socket = context.socket(zmq.ROUTER)
    _limit(socket)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    return socket


def dealer(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """Return a DEALER that connects once: one connection is one link."""
    socket = context.socket(zmq.DEALER)
    _limit(socket)
    socket.setsockopt(zmq.RECONNECT_IVL, -1)
    return socket


def _limit(socket: zmq.Socket[bytes]) -> None:
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, SEND_QUEUE_FRAMES)
    socket.setsockopt(zmq.RCVHWM, RECEIVE_QUEUE_FRAMES)
    socket.setsockopt(zmq.MAXMSGSIZE, FRAME_BYTES_MAX)
    socket.setsockopt(zmq.HANDSHAKE_IVL, 5000)


def socket_folder() -> Path:
    """Return the short 0700 folder of this user's sockets, made if missing.

    Raises:
        StateError: it exists but belongs to someone else or others may enter it.
    """
    base = os.environ.get("HERONSHIM_SOCKET_DIR") or f"/tmp/heronshim-{os.getuid()}"  # noqa: S108
    folder = Path(base)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        msg = f"socket folder {folder} must be a directory of yours with mode 700; remove it"
        raise StateError(msg)
    return folder


def socket_path(folder: Path) -> Path:
    """Return a free path named by 8 hex digits.

    Raises:
        StateError: the path would be longer than a Unix socket's may be.
    """
    path = folder / secrets.token_hex(4)
    if len(os.fsencode(path)) > SOCKET_PATH_MAX:
        msg = f"socket path {path} is over {SOCKET_PATH_MAX} bytes; set HERONSHIM_SOCKET_DIR to a shorter folder"
        raise StateError(msg)
    return path
