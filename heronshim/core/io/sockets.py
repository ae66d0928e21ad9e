"""The one place that makes ZeroMQ sockets, so that each has the same limits."""

from __future__ import annotations

import os

import zmq

from heronshim.core.io.socket_files import SOCKET_PATH_MAX, socket_folder, socket_path
from heronshim.core.stream.frame import FRAME_BYTES_MAX

__all__ = ["FRAME_BYTES_MAX", "SOCKET_PATH_MAX", "dealer", "router", "socket_folder", "socket_path"]

BYE_LINGER_MS = 100
"""How long a socket that was closed after a bye may take to get it out."""
BYE_TIMEOUT_NS = 250_000_000
"""A bye that is not acknowledged by then ends the link all the same, uncleanly."""
NOW = int(zmq.DONTWAIT)
"""Flag of a send or receive that never blocks."""
NOW_AND_MORE = int(zmq.DONTWAIT | zmq.SNDMORE)
"""The same with another part to follow. Plain numbers: joining pyzmq's flags costs 1 us a send."""
EVENTS = int(zmq.EVENTS)
READABLE = int(zmq.POLLIN)
SEND_QUEUE_FRAMES = 65_536
"""High-water mark: above the credit windows of a link / 1 KiB (32 MB pool = 32,768), twice that."""
RECEIVE_QUEUE_FRAMES = 1024
"""Frames that the IO thread reads ahead; measured: unlimited read-ahead exceeded marks tenfold."""


def router(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """Return a ROUTER whose sends fail at once when the peer is gone or full.

    On a Unix socket it takes connections of this user's processes only (SO_PEERCRED).
    """
    socket = context.socket(zmq.ROUTER)
    _limit(socket)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    # The folder's mode keeps others out already; this holds if somebody changes it.
    socket.setsockopt(zmq.IPC_FILTER_UID, os.getuid())
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
