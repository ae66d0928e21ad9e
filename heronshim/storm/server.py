"""Carries framed Thrift messages between Storm's clients and Nimbus.

A frame is its length in 4 bytes, most significant first, and a message. One event loop reads and
writes; calls run in threads, one at a time for each connection. Bounded are frames, connections,
bytes of frames on their way in, and every wait. What is wrong is counted, logged and answered
where a client can understand an answer; it never costs another connection anything.
"""

from __future__ import annotations

import asyncio
import resource
import struct
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thrift.Thrift import TApplicationException

from heronshim.core.io.logs import log_event
from heronshim.errors import HeronshimError, RemoteProtocolError
from heronshim.storm.errors import AuthorizationError, NimbusError
from heronshim.storm.interface import nimbus_interface
from heronshim.storm.peer_user import peer_user
from heronshim.storm.thrift_codec import (
    Call,
    failure_to_bytes,
    read_arguments,
    read_call,
    result_to_bytes,
)

if TYPE_CHECKING:
    from heronshim.storm.interface import Method
    from heronshim.storm.nimbus import Nimbus

FRAME_BYTES_MAX = 1 << 20
"""Default limit of one message (Storm's nimbus.thrift.max_buffer_size)."""
DISCARDED_BYTES_MAX = 64 << 20
"""A longer frame is not even read away, so that its sender could be told."""
BUFFERED_BYTES_MAX = 64 << 20
"""Of all frames that are here, in part or until their call ends. Of those in part the one that
began first yields."""
CHUNK_BYTES = 1 << 16
CONNECTIONS_MAX = 4096
RESERVED_DESCRIPTORS = 128
"""Of this process: what is open beside connections."""
FRAME_WAIT_S = 30.0
"""From the first byte of a frame to its last, and for an answer to be taken."""
IDLE_S = 900.0
"""A connection that says nothing for so long is closed (clients of Storm wait 600 s at most)."""
LINES_PER_SECOND = 5
"""Of one kind of refusal; the rest is only counted."""
QUICK_THREADS = 4
ASKING_THREADS = 4
ASKING_METHODS = frozenset(
    {
        "activate",
        "deactivate",
        "getTopology",
        "getTopologyConf",
        "getTopologyInfo",
        "getTopologyInfoByName",
        "getTopologyInfoByNameWithOpts",
        "getTopologyInfoWithOpts",
        "getUserTopology",
    }
)
"""They wait for a TMaster, which may be dead, or fetch a package: nothing else queues behind them.
"""
SUBMITTING_THREADS = 4
SUBMITTING_METHODS = frozenset({"submitTopology", "submitTopologyWithOpts"})
"""They pack and start processes: chunks and questions do not queue behind them."""
_LENGTH = struct.Struct(">i")
_HEAD_BYTES = 256
"""Enough of a message to know which method it calls."""


@dataclass(eq=False)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    peer: str
    task: asyncio.Task[None] | None = None
    buffered: int = 0
    """Bytes that are here of the frame in hand."""
    since_s: float = 0.0
    """When that frame began, or when it became idle."""
    busy: bool = False
    """A call runs."""


@dataclass(slots=True)
class ServerLimits:
    """What a server allows; tests lower it."""

    frame_bytes: int = FRAME_BYTES_MAX
    buffered_bytes: int = BUFFERED_BYTES_MAX
    connections: int = CONNECTIONS_MAX
    frame_wait_s: float = FRAME_WAIT_S
    idle_s: float = IDLE_S
    users: frozenset[int] | None = None
    """Ids of users of this host who are served; None: everybody, also from elsewhere."""


@dataclass(eq=False)
class NimbusServer:
    """Listens for Storm's clients."""

    nimbus: Nimbus
    limits: ServerLimits = field(default_factory=ServerLimits)
    counts: Counter[str] = field(default_factory=Counter)
    """By name what was refused."""

    def __post_init__(self) -> None:
        """Make the threads; nothing listens yet."""
        self._connections: set[_Connection] = set()
        self._closing = False
        self._buffered = 0
        self._logged: dict[str, tuple[int, int]] = {}
        self._quick = ThreadPoolExecutor(QUICK_THREADS, "nimbus-quick")
        self._asking = ThreadPoolExecutor(ASKING_THREADS, "nimbus-asking")
        self._submitting = ThreadPoolExecutor(SUBMITTING_THREADS, "nimbus-submitting")
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._connections_max = max(8, min(self.limits.connections, soft - RESERVED_DESCRIPTORS))

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; return the address in use (port 0 takes a free one).

        Raises:
            OSError: the address cannot be used.
        """
        self._server = await asyncio.start_server(
            self._accept, host, port, limit=CHUNK_BYTES, backlog=512
        )
        found = self._server.sockets[0].getsockname()
        return str(found[0]), int(found[1])

    async def close(self) -> None:
        """Listen no more, end all connections and wait for the calls that run."""
        self._closing = True
        self._server.close()
        for connection in list(self._connections):
            if connection.task is not None and not connection.busy:
                connection.task.cancel()
        tasks = [item.task for item in self._connections if item.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        for threads in (self._quick, self._asking, self._submitting):
            threads.shutdown()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        shown = f"{peer[0]}:{peer[1]}" if peer else "gone"
        connection = _Connection(reader, writer, shown, asyncio.current_task(), since_s=_now_s())
        if not self._is_welcome(connection) or not self._make_room(connection):
            writer.transport.abort()
            return
        self._connections.add(connection)
        try:
            while not self._closing and await self._serve_one(connection):
                pass
            writer.close()
            async with asyncio.timeout(self.limits.frame_wait_s):
                await writer.wait_closed()
        except RemoteProtocolError as error:
            self._refused("malformed", connection, error)
        except TimeoutError:
            self._refused("slow", connection, "a frame or an answer took too long")
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # It broke, must make room, or all of them end.
            pass
        finally:
            self._connections.discard(connection)
            writer.transport.abort()

    def _is_welcome(self, connection: _Connection) -> bool:
        if self.limits.users is None:
            return True
        own = connection.writer.get_extra_info("socket")
        peer = connection.writer.get_extra_info("peername")
        if peer is None:
            return False
        user = peer_user(own.family, own.getsockname()[:2], peer[:2])
        if user in self.limits.users:
            return True
        if user is None:
            cause = "nobody of this host holds its other end"
        else:
            cause = f"user {user} is not who started the gateway"
        self._refused("stranger", connection, cause)
        return False

    def _make_room(self, connection: _Connection) -> bool:
        """Return whether there is room for one more.

        When there are too many, the one that has been idle longest ends; if all are busy, the
        new one.
        """
        if len(self._connections) < self._connections_max:
            return True
        waiting = [item for item in self._connections if not item.busy]
        oldest = min(waiting, key=lambda item: item.since_s, default=connection)
        self._refused("crowded_out", oldest, f"over {self._connections_max} connections")
        if oldest is connection:
            return False
        self._end(oldest)
        return True

    def _end(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        if connection.task is not None:
            connection.task.cancel()

    def _refused(self, kind: str, connection: _Connection, cause: object) -> None:
        """Count, and log a few of a kind each second."""
        self.counts[kind] += 1
        second = int(_now_s())
        since, lines = self._logged.get(kind, (second, 0))
        lines = lines + 1 if since == second else 1
        self._logged[kind] = second, lines
        if lines <= LINES_PER_SECOND:
            count = self.counts[kind]
            log_event(
                "WARNING",
                "client_refused",
                kind=kind,
                count=count,
                peer=connection.peer,
                cause=cause,
            )

    async def _serve_one(self, connection: _Connection) -> bool:
        """Read one call and answer it; return False at the end of the connection."""
        connection.since_s = _now_s()
        try:
            async with asyncio.timeout(self.limits.idle_s):
                first = await connection.reader.read(1)
        except TimeoutError:
            first = b""
        if not first:
            return False
        connection.since_s = _now_s()
        try:
            answer = await self._exchange(connection, first)
        finally:
            self._buffered -= connection.buffered
            connection.buffered = 0
            connection.busy = False
        if answer:
            connection.writer.write(_LENGTH.pack(len(answer)) + answer)
            async with asyncio.timeout(self.limits.frame_wait_s):
                await connection.writer.drain()
        return True

    async def _exchange(self, connection: _Connection, first: bytes) -> bytes:
        """Read the frame that begins with this byte; return the answer to it."""
        async with asyncio.timeout(self.limits.frame_wait_s):
            rest = await connection.reader.readexactly(_LENGTH.size - 1)
            (length,) = _LENGTH.unpack(first + rest)
            if length <= 0 or length > DISCARDED_BYTES_MAX:
                msg = f"a frame of {length} bytes; expected 1 to {self.limits.frame_bytes}: "
                raise RemoteProtocolError(msg + "is this a client of Nimbus, without TLS and SASL?")
            if length > self.limits.frame_bytes:
                return await self._too_large(connection, length)
            frame = await self._frame(connection, length)
        connection.busy = True
        return await self._answer(connection, frame)

    async def _frame(self, connection: _Connection, length: int) -> bytes:
        """Read a frame piece by piece, so that what has not arrived takes no memory."""
        frame = bytearray()
        while len(frame) < length:
            piece = await connection.reader.read(min(CHUNK_BYTES, length - len(frame)))
            if not piece:
                msg = f"the connection ended after {len(frame)} of {length} bytes of a frame"
                raise RemoteProtocolError(msg)
            frame += piece
            connection.buffered += len(piece)
            self._buffered += len(piece)
            if self._buffered > self.limits.buffered_bytes:
                self._free_buffers()
        return bytes(frame)

    def _free_buffers(self) -> None:
        """End the connection whose frame began first, of those that are not whole."""
        partial = [item for item in self._connections if item.buffered and not item.busy]
        if partial:
            oldest = min(partial, key=lambda item: item.since_s)
            self._refused("crowded_out", oldest, "too many bytes of frames on their way in")
            self._end(oldest)

    async def _too_large(self, connection: _Connection, length: int) -> bytes:
        """Read a frame away and return an answer that says why it was not taken."""
        head = await connection.reader.readexactly(min(_HEAD_BYTES, length))
        call = read_call(head)
        left = length - len(head)
        while left:
            piece = await connection.reader.read(min(CHUNK_BYTES, left))
            if not piece:
                raise ConnectionResetError
            left -= len(piece)
        limit = self.limits.frame_bytes
        msg = f"{call.method}: a message of {length} bytes; at most {limit} are taken, see "
        msg += "heronshim nimbus --frame-bytes"
        self._refused("too_large", connection, msg)
        return failure_to_bytes(
            call.method, call.sequence, TApplicationException.PROTOCOL_ERROR, msg
        )

    async def _answer(self, connection: _Connection, frame: bytes) -> bytes:
        """Return the answer to a frame; none to one that wants none."""
        call = read_call(frame)
        method = nimbus_interface().methods.get(call.method)
        if method is None:
            msg = f"Nimbus has no method {call.method[:100]!a}"
            self._refused("unknown_method", connection, msg)
            kind = TApplicationException.UNKNOWN_METHOD
            answer = failure_to_bytes(call.method, call.sequence, kind, msg)
        else:
            threads = self._threads(call.method)
            loop = asyncio.get_running_loop()
            answer, refused = await loop.run_in_executor(threads, self._done, call, method)
            if refused:
                self._refused("refused", connection, refused)
        return b"" if call.one_way else answer

    def _threads(self, method: str) -> ThreadPoolExecutor:
        if method in SUBMITTING_METHODS:
            return self._submitting
        return self._asking if method in ASKING_METHODS else self._quick

    def _done(self, call: Call, method: Method) -> tuple[bytes, str]:
        """Carry out a call; return the answer, and what was wrong."""
        failure = TApplicationException.INTERNAL_ERROR
        try:
            if not method.is_served:
                msg = f"heronshim does not serve {method.name}"
                raise AuthorizationError(msg)
            value = self.nimbus.call(method.name, read_arguments(call, method))
            return result_to_bytes(call, method, {} if value is None else {"success": value}), ""
        except NimbusError as error:
            message = str(error)
            declared = method.exception(error.name)
            if declared is not None:
                result = {declared.name: {"msg": message}}
                return result_to_bytes(call, method, result), f"{method.name}: {message}"
        except RemoteProtocolError as error:
            message, failure = str(error), TApplicationException.PROTOCOL_ERROR
        except HeronshimError as error:
            message = str(error)
        except Exception as error:  # noqa: BLE001 - a bug must not cost the client its answer
            message = f"unexpected error, please report it: {type(error).__name__}: {error}"
            log_event("ERROR", "unexpected", method=method.name, trace=traceback.format_exc())
        answer = failure_to_bytes(call.method, call.sequence, failure, message)
        return answer, f"{method.name}: {message}"


def _now_s() -> float:
    return time.monotonic()
