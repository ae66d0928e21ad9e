"""The launcher's Unix socket: who may speak, lines with a limit, replies without blocking."""

from __future__ import annotations

import os
import selectors
import socket
import struct
import time
from typing import TYPE_CHECKING

from heronshim.core.io.launcher_protocol import (
    LINE_BYTES_MAX,
    Reply,
    Request,
    reply_to_line,
    request_from_line,
)
from heronshim.core.io.logs import log_event
from heronshim.errors import RemoteProtocolError, SchedulerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONNECTIONS_MAX = 64
"""One more ends the oldest that waits for no answer: a command needs one for a moment."""
RECEIVED_BYTES_MAX = 2 * LINE_BYTES_MAX
"""What clients have sent of requests that are not whole yet, all together."""
COMPLAIN_NS = 1_000_000_000
_READ_BYTES = 1 << 16
_CREDENTIALS = struct.Struct("3i")
"""struct ucred of unix(7): pid, uid, gid."""


class Connection:
    """One client of the same user."""

    def __init__(self, peer: socket.socket) -> None:
        """Take an accepted socket."""
        self.peer = peer
        self.received = bytearray()
        self.waiting = b""
        """Replies that the client has not read yet."""
        self.asked = 0
        """Requests that have not been answered."""


class LauncherServer:
    """Accepts clients, yields their requests, sends replies. Never blocks."""

    def __init__(self, path: Path, selector: selectors.BaseSelector) -> None:
        """Listen on `path`, replacing what a dead launcher left there; the caller holds the lock.

        Raises:
            OSError: the socket cannot be made.
        """
        self._path = path
        self._selector = selector
        self._connections: dict[Connection, None] = {}
        """From old to new."""
        self._complain_at_ns = 0
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        self._listener.bind(os.fsencode(path))
        self._listener.listen(CONNECTIONS_MAX)
        selector.register(self._listener, selectors.EVENT_READ, self)

    def accept(self) -> None:
        """Take a client that the listener has, unless it is another user's or one too many."""
        try:
            peer, _ = self._listener.accept()
        except OSError as error:
            # It went again, or there is no descriptor left: no reason to end.
            self._complain("client_not_accepted", error=error)
            return
        peer.setblocking(False)
        _, uid, _ = _CREDENTIALS.unpack(
            peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        # The folder's mode keeps others out already; this holds if somebody changes it.
        if uid != os.getuid() or not self._has_room():
            self._complain("client_refused", uid=uid, connections=len(self._connections))
            peer.close()
            return
        connection = Connection(peer)
        self._connections[connection] = None
        self._selector.register(peer, selectors.EVENT_READ, connection)

    def _has_room(self) -> bool:
        """Return whether one more client may stay; ends one that only sits there."""
        if len(self._connections) >= CONNECTIONS_MAX:
            idle = next((one for one in self._connections if not one.asked), None)
            if idle is None:
                return False
            self._complain("idle_client_closed", connections=len(self._connections))
            self.close_connection(idle)
        return True

    def _complain(self, event: str, **fields: object) -> None:
        """Log what clients do wrong, once in a while: they may do it often."""
        now_ns = time.monotonic_ns()
        if now_ns >= self._complain_at_ns:
            self._complain_at_ns = now_ns + COMPLAIN_NS
            log_event("WARNING", event, **fields)

    def serve(self, connection: Connection) -> Iterator[Request]:
        """Read and write what is possible on a connection; yield each whole request.

        A line that is no request is answered with an error; one that is too long ends the
        connection too.
        """
        self._flush(connection)
        if connection not in self._connections:
            return
        try:
            data = connection.peer.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close_connection(connection)
            return
        connection.received += data
        if b"\n" not in data:
            self._limit(connection)
            return
        while (end := connection.received.find(b"\n")) >= 0:
            line = bytes(connection.received[:end])
            del connection.received[: end + 1]
            connection.asked += 1
            try:
                request = request_from_line(line)
            except RemoteProtocolError as error:
                self.send(connection, Reply("", SchedulerError(str(error))))
            else:
                yield request
            if connection not in self._connections:
                return

    def _limit(self, connection: Connection) -> None:
        """End a client whose request has no end, or with which all hold too much."""
        received = sum(len(one.received) for one in self._connections)
        if len(connection.received) > LINE_BYTES_MAX or received > RECEIVED_BYTES_MAX:
            msg = f"request is over {LINE_BYTES_MAX} bytes, or too many are under way"
            self.send(connection, Reply("", SchedulerError(msg)))
            self.close_connection(connection)

    def send(self, connection: Connection, reply: Reply) -> None:
        """Send a reply, as soon as the client reads."""
        connection.asked -= 1
        if connection in self._connections:
            connection.waiting += reply_to_line(reply)
            self._flush(connection)

    def _flush(self, connection: Connection) -> None:
        try:
            while connection.waiting:
                sent = connection.peer.send(connection.waiting)
                connection.waiting = connection.waiting[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self.close_connection(connection)
            return
        if len(connection.waiting) > 2 * LINE_BYTES_MAX:
            self.close_connection(connection)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.waiting else 0)
        self._selector.modify(connection.peer, events, connection)

    def close_connection(self, connection: Connection) -> None:
        """End a connection."""
        if connection in self._connections:
            del self._connections[connection]
            self._selector.unregister(connection.peer)
            connection.peer.close()

    def close(self) -> None:
        """End all connections and remove the socket's file."""
        self.stop_listening()
        for connection in list(self._connections):
            self.close_connection(connection)

    def stop_listening(self) -> None:
        """Take no new client, and remove the socket's file. Safe to repeat."""
        if self._listener.fileno() >= 0:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._path.unlink(missing_ok=True)
