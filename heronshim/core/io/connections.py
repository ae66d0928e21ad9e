"""The connections that a listening socket has accepted, and which of them may stay.

libzmq accepts whoever comes, keeps a peer that never says hello for ever, and aborts the process
when it is out of descriptors (measured with 4.3.5: a Unix socket's listener ends in SIGABRT at
EMFILE). So each accepted connection is watched here by its descriptor: one that has not said
hello in time, that is one too many, or that goes on sending what is refused, is shut down.
"""

from __future__ import annotations

import os
import resource
import socket as sockets
import struct
from dataclasses import dataclass
from itertools import count

import zmq

from heronshim.core.io.sockets import EVENTS, NOW, READABLE

HELLO_WAIT_NS = 5_000_000_000
"""A connection without a good hello is closed after this; the handshake has as long."""
SILENT_MAX = 256
"""Connections without a hello; above it the oldest is closed. A hello comes in milliseconds."""
LINGER_NS = 1_000_000_000
"""From the refusal of a peer to its end: time to read why."""
REFUSALS_MAX = 16
"""Frames of one connection that are answered with an error; what follows is only counted."""
DESCRIPTORS_WANTED = 65_536
"""Soft limit of descriptors of a process that listens, where the hard limit allows it."""
_NEVER_NS = 1 << 62
_SOON_NS = _NEVER_NS - 1
_EVENT = struct.Struct("=HI")
_WATCHED = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_ACCEPT_FAILED
_number = count(1)


@dataclass(slots=True)
class Connection:
    """One accepted connection."""

    descriptor: int
    inode: int
    """Of the kernel's socket: the descriptor's number may be another one's by now."""
    close_at_ns: int
    """Shut down then; never, once a good hello came."""
    owner: bytes = b""
    """The ROUTER's name of the connection that said a good hello; empty before that."""
    refusals: int = 0
    dismissed: bool = False


def allow_many_connections() -> None:
    """Raise this process's limit of descriptors as far as it may be raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(DESCRIPTORS_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Connections:
    """All connections of one listening socket. One thread; no call blocks."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        """Watch what the socket accepts from now on: call it before `bind`."""
        address = f"inproc://connections-{next(_number)}"
        socket.monitor(address, _WATCHED)
        self._socket = socket
        self.monitor: zmq.Socket[bytes] = socket.context.socket(zmq.PAIR)
        """Readable when connections came or went; `look` reads it."""
        self.monitor.setsockopt(zmq.LINGER, 0)
        # The IO thread must never wait for us to read.
        self.monitor.setsockopt(zmq.RCVHWM, 0)
        self.monitor.connect(address)
        self._by_descriptor: dict[int, Connection] = {}
        self.closed_count = 0
        """Connections that were shut down from here."""
        self.not_accepted_count = 0
        """Connections of other users, or for which nothing was left."""

    def __len__(self) -> int:
        return len(self._by_descriptor)

    def look(self, now_ns: int) -> None:
        """Take what came and went, and shut down what is due."""
        self._read_events(now_ns)
        for connection in self._by_descriptor.values():
            # From here, not from the refusal: the owner's turn may have been a long one.
            if connection.close_at_ns == _SOON_NS:
                connection.close_at_ns = now_ns + LINGER_NS
        waiting = [one for one in self._by_descriptor.values() if one.close_at_ns != _NEVER_NS]
        surplus = len(waiting) - SILENT_MAX
        for index, connection in enumerate(waiting):
            if index < surplus or connection.close_at_ns <= now_ns:
                self._shut_down(connection)

    def _read_events(self, now_ns: int) -> None:
        monitor = self.monitor
        while int(monitor.getsockopt(EVENTS)) & READABLE:
            event, _ = monitor.recv_multipart(NOW)
            number, value = _EVENT.unpack(event)
            self._take(number, value, now_ns)

    def of(self, frame: zmq.Frame, now_ns: int) -> Connection | None:
        """Return the connection that a frame came on; None when it is gone or not to be known.

        A frame that is read late may name a descriptor that another connection has by now: what
        is done to it asks for its owner.
        """
        try:
            descriptor = int(frame.get(zmq.SRCFD))
        except zmq.ZMQError:
            # Of a transport without descriptors.
            return None
        if descriptor not in self._by_descriptor:
            self._read_events(now_ns)
        return self._by_descriptor.get(descriptor)

    @staticmethod
    def keep(connection: Connection, identity: bytes) -> None:
        """A good hello came: let it stay. The last one is right: it came on the newest."""
        connection.owner = identity
        connection.dismissed = False
        connection.close_at_ns = _NEVER_NS

    @staticmethod
    def dismiss(connection: Connection, identity: bytes) -> None:
        """Shut a connection down LINGER_NS after the next look, unless another's hello came on it.

        One that is refused again and again is given no more time.
        """
        if connection.owner in {b"", identity} and not connection.dismissed:
            connection.dismissed = True
            connection.close_at_ns = _SOON_NS

    def refuse(self, frame: zmq.Frame, identity: bytes, now_ns: int) -> bool:
        """A frame was refused: dismiss its connection; return whether to answer why."""
        connection = self.of(frame, now_ns)
        if connection is None:
            return True
        self.dismiss(connection, identity)
        connection.refusals += 1
        return connection.refusals <= REFUSALS_MAX

    def close(self) -> None:
        """Stop watching; call it before the socket is closed."""
        self._socket.disable_monitor()
        self.monitor.close()

    def _take(self, event: int, value: int, now_ns: int) -> None:
        if event == zmq.EVENT_ACCEPT_FAILED:
            self.not_accepted_count += 1
            return
        if event == zmq.EVENT_DISCONNECTED:
            self._by_descriptor.pop(value, None)
            return
        try:
            inode = os.fstat(value).st_ino
        except OSError:
            # It is gone already; its end is the next event.
            inode = 0
        self._by_descriptor[value] = Connection(value, inode, now_ns + HELLO_WAIT_NS)

    def _shut_down(self, connection: Connection) -> None:
        """Let the IO thread read an end. Only that very socket, whatever has its number now."""
        # Never again: the event of its end removes it.
        connection.close_at_ns = _NEVER_NS
        try:
            copy = os.dup(connection.descriptor)
        except OSError:
            return
        if os.fstat(copy).st_ino != connection.inode:
            os.close(copy)
            return
        self.closed_count += 1
        with sockets.socket(fileno=copy) as peer:
            try:
                peer.shutdown(sockets.SHUT_RDWR)
            except OSError:
                # It ended in between.
                return
