"""ZeroMQ as the engine's link ends use it, in virtual time, with faults.

`SimContext` stands for a process's `zmq.Context`: its sockets know what `DealerLink` and
`RouterLinks` call, and no more. A connection carries frames in order, each after a delay. What real
ones lose is lost here too: a connection that ends drops a random rest of what was on its way, in
both directions. `Wire` adds what a connection never does by itself (a frame lost, sent twice, or
overtaken), to see that the engine notices.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import zmq

if TYPE_CHECKING:
    from tests.sim.processes import Process

DELAY_NS = (20_000, 200_000)
"""Shortest and longest way of a frame where nothing is wrong."""
_EVENT = struct.Struct("=HI")
_MORE = int(zmq.SNDMORE)
_READABLE = int(zmq.POLLIN)
_DISCONNECTED = _EVENT.pack(zmq.EVENT_DISCONNECTED, 0)
_REFUSED = _EVENT.pack(zmq.EVENT_CLOSED, 0)


class NothingThereError(zmq.Again):
    """Raised at each look at an empty socket: pyzmq's own takes 2 us to make."""

    errno = zmq.EAGAIN

    def __init__(self) -> None:
        """Ask no library for a text."""


class Frame:
    """A received part."""

    __slots__ = ("bytes", "more")

    def __init__(self, data: bytes, more: bool) -> None:
        self.bytes = data
        self.more = more

    @property
    def buffer(self) -> bytes:
        return self.bytes

    def get(self, _property: int) -> int:
        """Of what connection it came is not to be known, as with transports without descriptors."""
        raise zmq.ZMQError(zmq.EINVAL)

    def __len__(self) -> int:
        return len(self.bytes)


@dataclass
class Wire:
    """Chances, per frame, of what a connection never does."""

    lost: float = 0.0
    doubled: float = 0.0
    overtaken: float = 0.0

    def quiet(self) -> bool:
        return not (self.lost or self.doubled or self.overtaken)


class Net:
    """All connections, and how long frames take."""

    def __init__(self, rng: Random, schedule: Callable[[int, Callable[[], None]], None]) -> None:
        """`schedule(at_ns, call)` runs a call at its time."""
        self.now_ns = 0
        self.rng = rng
        self.schedule = schedule
        self.delay_ns = DELAY_NS
        """Shortest and longest way of a frame."""
        self.wire = Wire()
        self.blocked: set[tuple[int, int]] = set()
        """(from host, to host) pairs that nothing passes."""
        self.listeners: dict[str, RouterSocket] = {}
        self.connections: set[Connection] = set()
        self.sent_frames = 0
        self.trace: Callable[[str, str, tuple[bytes, bytes]], None] | None = None
        """Is told of each frame that is sent: from, to, (header, payload)."""
        self._identities = 0

    def delay(self) -> int:
        low, high = self.delay_ns
        return low + int(self.rng.random() * (high - low))

    def new_identity(self) -> bytes:
        self._identities += 1
        return b"\0" + self._identities.to_bytes(4, "big")

    def block(self, one: int, other: int, *, both: bool) -> None:
        """Let nothing pass from host `one` to host `other`, or either way."""
        self.blocked.add((one, other))
        if both:
            self.blocked.add((other, one))

    def heal(self, *, cut: bool = False) -> None:
        """End all partitions: what was held goes on, or with `cut` its connections end."""
        self.blocked.clear()
        for connection in sorted(self.connections, key=lambda item: item.identity):
            if cut and (connection.to_server.held or connection.to_client.held):
                connection.cut()
            connection.to_server.release()
            connection.to_client.release()


class Way:
    """One direction of a connection."""

    __slots__ = ("connection", "end_known", "ended", "flight", "held", "last_ns", "late", "net")

    def __init__(self, connection: Connection, net: Net) -> None:
        self.connection = connection
        self.net = net
        self.flight: deque[tuple[bytes, bytes]] = deque()
        self.held: deque[tuple[bytes, bytes]] = deque()
        """Frames that a partition keeps back."""
        self.last_ns = 0
        self.late: tuple[bytes, bytes] | None = None
        """A frame that the next one overtakes."""
        self.ended = False
        self.end_known = False

    def put(self, frame: tuple[bytes, bytes]) -> None:
        """Send a frame on its way, or do what the wire does to it."""
        net = self.net
        net.sent_frames += 1
        if net.trace is not None:
            client, server = self.connection.names
            toward = self is self.connection.to_server
            net.trace(*((client, server) if toward else (server, client)), frame)
        if self.ended:
            return
        wire = net.wire
        if not wire.quiet():
            luck = net.rng.random()
            if luck < wire.lost:
                return
            if luck < wire.lost + wire.doubled:
                self._carry(frame)
            elif luck < wire.lost + wire.doubled + wire.overtaken and self.late is None:
                self.late = frame
                return
        self._carry(frame)
        if self.late is not None:
            late, self.late = self.late, None
            self._carry(late)

    def _carry(self, frame: tuple[bytes, bytes]) -> None:
        net = self.net
        connection = self.connection
        if self.held or (
            net.blocked and connection.hosts(to_server=self is connection.to_server) in net.blocked
        ):
            self.held.append(frame)
            return
        self.flight.append(frame)
        self.last_ns = max(self.last_ns, net.now_ns + net.delay())
        net.schedule(self.last_ns, self._arrive)

    def release(self) -> None:
        """Carry on what a partition kept back."""
        held, self.held = self.held, deque()
        for frame in held:
            self._carry(frame)
        if self.ended and not self.end_known:
            self._tell_end()

    def cut(self, *, all_arrive: bool = False) -> None:
        """Nothing more is sent; of what is on its way a random first part arrives."""
        if self.ended:
            return
        self.ended = True
        if not all_arrive:
            self.held.clear()
            keep = self.net.rng.randint(0, len(self.flight))
            while len(self.flight) > keep:
                self.flight.pop()
        if not self.held:
            self._tell_end()

    def drop(self) -> None:
        """The receiving end is closed."""
        self.ended = self.end_known = True
        self.flight.clear()
        self.held.clear()

    def _tell_end(self) -> None:
        self.end_known = True
        self.last_ns = max(self.last_ns, self.net.now_ns + self.net.delay())
        self.net.schedule(self.last_ns, self._end)

    def _arrive(self) -> None:
        if self.flight:
            self.connection.arrived(self.flight.popleft(), self)

    def _end(self) -> None:
        self.connection.end_seen(self)


class Connection:
    """A DEALER's one connection to a ROUTER."""

    def __init__(self, client: DealerSocket, server: RouterSocket, net: Net) -> None:
        self.identity = net.new_identity()
        self.client = client
        self.server = server
        self.to_server = Way(self, net)
        self.to_client = Way(self, net)
        self.names = (client.process.name, server.process.name)
        self._hosts = (client.process.host, server.process.host)
        self._hosts_back = (server.process.host, client.process.host)
        self._net = net
        net.connections.add(self)

    def hosts(self, *, to_server: bool) -> tuple[int, int]:
        return self._hosts if to_server else self._hosts_back

    def arrived(self, frame: tuple[bytes, bytes], way: Way) -> None:
        if way is self.to_server:
            self.server.take(self.identity, frame)
        else:
            self.client.take(frame)

    def end_seen(self, way: Way) -> None:
        """One end learns that the connection is over."""
        if way is self.to_server:
            self.server.forget(self.identity)
        else:
            self.client.gone()
        if self.to_server.ended and self.to_client.ended:
            self._net.connections.discard(self)

    def cut(self) -> None:
        """The connection breaks; both ends learn of it."""
        self.to_server.cut()
        self.to_client.cut()

    def closed_by_client(self, *, linger: bool) -> None:
        self.to_client.drop()
        self.to_server.cut(all_arrive=linger)

    def closed_by_server(self) -> None:
        self.to_server.drop()
        self.to_client.cut()


class DealerSocket:
    """The connecting end."""

    def __init__(self, process: Process, net: Net) -> None:
        self.process = process
        self._net = net
        self._connection: Connection | None = None
        self._early: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._linger = False
        self._closed = False
        self._gone = False
        self.inbox: deque[Frame] = deque()
        self.events: deque[bytes] = deque()
        """What a monitor reads."""
        process.sockets.append(self)

    def setsockopt(self, option: int, value: int) -> None:
        if option == zmq.LINGER:
            self._linger = value != 0

    def getsockopt(self, option: int) -> int:
        assert option == zmq.EVENTS
        return _READABLE if self.inbox else 0

    def monitor(self, address: str, _events: int) -> None:
        self.process.context.monitored[address] = self

    def disable_monitor(self) -> None:
        """The monitor is closed by its owner."""

    def connect(self, endpoint: str) -> None:
        net = self._net
        net.schedule(net.now_ns + net.delay(), lambda: self._establish(endpoint))

    def _establish(self, endpoint: str) -> None:
        net = self._net
        if self._closed:
            return
        server = net.listeners.get(endpoint)
        if server is None:
            if net.rng.random() < 0.5:
                # Else the failure is silent, as it was measured to be at times.
                self.events.append(_REFUSED)
                self._gone = True
                self.process.wake_soon()
            return
        hosts = (self.process.host, server.process.host)
        if net.blocked and (hosts in net.blocked or hosts[::-1] in net.blocked):
            return
        self._connection = connection = Connection(self, server, net)
        server.greet(connection)
        early, self._early = self._early, []
        for frame in early:
            connection.to_server.put(frame)

    def send(self, part: Any, flags: int = 0, *, copy: bool = True) -> None:
        del copy
        if self._gone:
            raise NothingThereError
        self._parts.append(part if type(part) is bytes else bytes(part.bytes))
        if flags & _MORE:
            return
        header, payload = self._parts
        self._parts.clear()
        if self._connection is None:
            self._early.append((header, payload))
        else:
            self._connection.to_server.put((header, payload))

    def recv(self, _flags: int = 0, *, copy: bool = True) -> Frame:
        assert not copy
        if not self.inbox:
            raise NothingThereError
        return self.inbox.popleft()

    def take(self, frame: tuple[bytes, bytes]) -> None:
        if not self._closed:
            self.inbox.append(Frame(frame[0], True))
            self.inbox.append(Frame(frame[1], False))
            self.process.wake_soon()

    def gone(self) -> None:
        """The connection is over, and ZeroMQ makes no other."""
        if not self._closed:
            self._gone = True
            self.events.append(_DISCONNECTED)
            self.process.wake_soon()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.process.sockets.remove(self)
        if self._connection is not None:
            self._connection.closed_by_client(linger=self._linger)


class RouterSocket:
    """The listening end."""

    def __init__(self, process: Process, net: Net) -> None:
        self.process = process
        self._net = net
        self._endpoint = ""
        self._peers: dict[bytes, Connection] = {}
        self._parts: list[Any] = []
        self.inbox: deque[bytes | Frame] = deque()
        self.events: deque[bytes] = deque()
        """Nothing: who is accepted is not told here."""
        self.context = process.context
        process.sockets.append(self)

    def setsockopt(self, option: int, value: int) -> None:
        """All limits are out of reach here."""

    def monitor(self, address: str, _events: int) -> None:
        self.context.monitored[address] = self

    def disable_monitor(self) -> None:
        """The monitor is closed by its owner."""

    def bind(self, endpoint: str) -> None:
        """Listen; as with a socket file, the newest listener is the one that is found."""
        self._endpoint = endpoint
        self._net.listeners[endpoint] = self

    def greet(self, connection: Connection) -> None:
        self._peers[connection.identity] = connection

    def forget(self, identity: bytes) -> None:
        self._peers.pop(identity, None)

    def take(self, identity: bytes, frame: tuple[bytes, bytes]) -> None:
        self.inbox.append(identity)
        self.inbox.append(Frame(frame[0], True))
        self.inbox.append(Frame(frame[1], False))
        self.process.wake_soon()

    def send(self, part: Any, flags: int = 0, *, copy: bool = True) -> None:
        del copy
        parts = self._parts
        if not parts and part not in self._peers:
            raise zmq.ZMQError(zmq.EHOSTUNREACH)
        parts.append(part if type(part) is bytes else bytes(part.bytes))
        if not flags & _MORE:
            identity, header, payload = parts
            parts.clear()
            self._peers[identity].to_client.put((header, payload))

    def getsockopt(self, option: int) -> int:
        assert option == zmq.EVENTS
        return _READABLE if self.inbox else 0

    def recv(self, _flags: int = 0, *, copy: bool = True) -> Any:
        del copy
        if not self.inbox:
            raise NothingThereError
        return self.inbox.popleft()

    def close(self) -> None:
        self.process.sockets.remove(self)
        if self._net.listeners.get(self._endpoint) is self:
            del self._net.listeners[self._endpoint]
        for connection in self._peers.values():
            connection.closed_by_server()
        self._peers.clear()


class MonitorSocket:
    """Reads what happened to a DEALER's connection."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.inbox: deque[bytes] = deque()
        process.sockets.append(self)

    def setsockopt(self, option: int, value: int) -> None:
        """Nothing to set."""

    def connect(self, address: str) -> None:
        self.inbox = self._process.context.monitored.pop(address).events

    def getsockopt(self, option: int) -> int:
        assert option == zmq.EVENTS
        return _READABLE if self.inbox else 0

    def recv_multipart(self, _flags: int = 0) -> list[bytes]:
        return [self.inbox.popleft(), b""]

    def close(self) -> None:
        self._process.sockets.remove(self)


class SimContext:
    """Makes the sockets of one process."""

    def __init__(self, process: Process, net: Net) -> None:
        self._process = process
        self._net = net
        self.monitored: dict[str, DealerSocket | RouterSocket] = {}

    def socket(self, kind: int) -> Any:
        if kind == zmq.DEALER:
            return DealerSocket(self._process, self._net)
        if kind == zmq.ROUTER:
            return RouterSocket(self._process, self._net)
        return MonitorSocket(self._process)

    def destroy(self, linger: int = 0) -> None:
        """Sockets are closed one by one."""

    def term(self) -> None:
        """Sockets are closed one by one."""


class SimPoller:
    """A process is woken by what arrives; only one that ends polls by itself."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def register(self, _what: object, _events: int = 0) -> None:
        """All sockets of a process wake it."""

    def unregister(self, _what: object) -> None:
        """A closed socket receives nothing."""

    def poll(self, wait_ms: int) -> None:
        """Let time pass for all others."""
        cluster = self._process.cluster
        cluster.run(cluster.now_ns + wait_ms * 1_000_000)
