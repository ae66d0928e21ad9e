"""The listening side of links: who is behind each connection of one ROUTER socket.

A connection speaks for nobody until its hello is verified. A hello binds the connection to the
process; a newer incarnation or attempt of the process unbinds the older connection, whose frames
are dropped and counted from then on. (Fixed ZeroMQ identities were measured to fail here: a
replacement is ignored while the stopped old process lives.)

A token is good for one process and incarnation, and each of their attempts for one hello: what
was seen is not taken again, an older incarnation not at all, and a bye is an incarnation's last
word. A connection that is refused, or replaced, is closed.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import zmq

from heronshim.core.codec.link import (
    decode_bye,
    decode_bye_ack,
    decode_heartbeat,
    decode_hello,
    encode_bye,
    encode_bye_ack,
    encode_error,
    encode_heartbeat,
    encode_hello_ack,
)
from heronshim.core.io.connections import Connection, Connections, allow_many_connections
from heronshim.core.io.sockets import EVENTS, FRAME_BYTES_MAX, NOW, NOW_AND_MORE, READABLE
from heronshim.core.io.tokens import token_matches
from heronshim.core.stream.frame import HEADER, PROTOCOL_VERSION, TUPLE_KINDS, Kind
from heronshim.core.stream.link import Bye, Hello, Role, SequenceWatch
from heronshim.errors import ErrorCode, RemoteProtocolError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable

HEARTBEAT_MS = 200
_OF_A_TASK = TUPLE_KINDS | {Kind.METRICS}
_LINK_KINDS = frozenset((Kind.HEARTBEAT, Kind.BYE, Kind.BYE_ACK))
ATTEMPT_MAX = (1 << 32) - 1
PROCESSES_KEPT = 100_000
"""Processes whose newest attempt is remembered; each command of a person is one."""


def own_tasks(hello: Hello) -> frozenset[int] | None:
    """Return the tasks that an instance speaks for; None for others, which pass frames on."""
    return frozenset(hello.tasks) if hello.role is Role.INSTANCE else None


@dataclass(slots=True)
class InboundLink:
    """One verified connection."""

    number: int
    """Names the link within this process; never reused."""
    identity: bytes
    """The ROUTER's own name of the connection."""
    hello: Hello
    connection: Connection | None
    """None when the transport does not tell."""
    sources: frozenset[int] | None
    """Tasks whose frames may come here; None: any."""
    watch: SequenceWatch = field(default_factory=SequenceWatch)
    sent: int = 0
    """Sequence number of the last frame sent."""
    tuples_sent: int = 0
    """Sequence number of the last frame sent that carries tuples or outcomes."""
    heard_ns: int = 0


class InboundFrame(NamedTuple):
    """A frame of a verified link; the payload is not copied."""

    link: InboundLink
    kind: int
    flags: int
    plan_epoch: int
    destination: int
    source: int
    payload: zmq.Frame


class EndedLink(NamedTuple):
    """A link that is unbound."""

    link: InboundLink
    cause: str
    clean: bool
    """Whether the peer said bye and both sides have everything; else frames may be lost."""


class RouterLinks:
    """All links of one ROUTER. One thread; no call blocks."""

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        secret: bytes,
        topology_id: str,
        admit: Callable[[Hello], tuple[ErrorCode, str] | None],
        sources: Callable[[Hello], frozenset[int] | None] = own_tasks,
    ) -> None:
        """Take a socket that is not bound yet.

        `admit` judges a hello whose token is right: None, or why it is refused. `sources` says
        whose frames may come from whoever said it; None: anyone's.
        """
        self._socket = socket
        self.connections = Connections(socket)
        self._secret = secret
        self._topology_id = topology_id
        self._admit = admit
        self._sources = sources
        self._by_identity: dict[bytes, InboundLink] = {}
        self._newest: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """(incarnation, attempt) of each process's last good hello."""
        self._by_process: dict[str, InboundLink] = {}
        self._numbers = 0
        self._leaving = False
        self.refused_hello_count = 0
        self.stale_frame_count = 0
        """Frames of connections that no hello binds (any more)."""
        self.bad_frame_count = 0
        self.foreign_source_count = 0
        """Frames of tasks that do not live behind their link."""
        self.lost_frame_count = 0
        """Frames of peers that never came."""
        self.joined: list[InboundLink] = []
        """Links made since the owner last cleared this list."""
        self.ended: list[EndedLink] = []
        """Links unbound since the owner last cleared this list."""

    def bind(self, endpoint: str) -> None:
        """Listen, with room for many connections.

        Raises:
            StateError: the address cannot be bound.
        """
        allow_many_connections()
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            msg = f"socket {endpoint} cannot be bound: {error}"
            raise StateError(msg) from error

    def links(self) -> list[InboundLink]:
        """Return all verified links."""
        return list(self._by_identity.values())

    def counts(self) -> dict[str, int]:
        """Return what was refused or dropped since the start, by the names of metrics."""
        return {
            "refused_hello_count": self.refused_hello_count,
            "stale_frame_count": self.stale_frame_count,
            "bad_frame_count": self.bad_frame_count,
            "foreign_source_count": self.foreign_source_count,
            "closed_connection_count": self.connections.closed_count,
        }

    def renew_sources(self) -> None:
        """Ask anew whose frames may come on each link: the plan is another one."""
        for link in self._by_identity.values():
            link.sources = self._sources(link.hello)

    def of_process(self, process: str) -> InboundLink | None:
        """Return the link of a process, if it has one."""
        return self._by_process.get(process)

    def receive(self, now_ns: int) -> InboundFrame | None:
        """Return the next frame for the owner, or None when there is none now."""
        socket = self._socket
        # A look costs a third of a read that finds nothing.
        while int(socket.getsockopt(EVENTS)) & READABLE:
            try:
                # A ROUTER puts the identity before whatever came, at least one part.
                identity = socket.recv(NOW)
                header = socket.recv(NOW, copy=False)
                payload = socket.recv(NOW, copy=False) if header.more else None
            except zmq.Again:
                return None
            if payload is None or payload.more or len(header) != HEADER.size:
                part = payload
                while part is not None and part.more:
                    part = socket.recv(NOW, copy=False)
                message = "a frame is a 24-byte header and a payload"
                self._bad(identity, header, now_ns, ErrorCode.MALFORMED, message)
                continue
            frame = self._read(identity, header, payload, now_ns)
            if frame is not None:
                return frame
        return None

    def send(
        self,
        link: InboundLink,
        kind: int,
        payload: bytes | zmq.Frame,
        destination: int = 0,
        source: int = 0,
        plan_epoch: int = 0,
    ) -> bool:
        """Send a frame at once; return False when the peer is gone (the link ends) or full."""
        header = HEADER.pack(
            PROTOCOL_VERSION, kind, 0, plan_epoch, destination, source, link.sent + 1
        )
        socket = self._socket
        try:
            socket.send(link.identity, NOW_AND_MORE)
            socket.send(header, NOW_AND_MORE)
            socket.send(payload, NOW, copy=False)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self.end(link, "connection closed by the peer")
            return False
        link.sent += 1
        if kind in TUPLE_KINDS:
            link.tuples_sent = link.sent
        return True

    def refuse(self, link: InboundLink, code: ErrorCode, message: str) -> None:
        """The owner cannot read a frame of a link: say so and end the link."""
        self.bad_frame_count += 1
        self._answer(link.identity, code, message)
        self.end(link, message)

    def heartbeat(self, now_ns: int) -> None:
        """Send a link heartbeat on every link; links whose peers are gone end.

        Closes connections that have said no hello for too long.
        """
        self.connections.look(now_ns)
        for link in self.links():
            self.send(link, Kind.HEARTBEAT, encode_heartbeat(link.sent))

    def say_bye(self, reason: str) -> None:
        """End all links in good order: each is gone when its peer has answered.

        Go on to `receive` until then: a peer whose connection ends at once may lose the bye.
        """
        self._leaving = True
        for link in self.links():
            self.send(link, Kind.BYE, encode_bye(Bye(link.sent, link.watch.last, reason)))

    def close(self) -> None:
        """Close the socket."""
        self.connections.close()
        self._socket.close()

    def end(self, link: InboundLink, cause: str, *, clean: bool = False) -> None:
        """Unbind a link and close its connection soon: its further frames are stale."""
        if self._by_identity.pop(link.identity, None) is None:
            return
        if link.connection is not None:
            self.connections.dismiss(link.connection, link.identity)
        if self._by_process.get(link.hello.process) is link:
            del self._by_process[link.hello.process]
        self.lost_frame_count += link.watch.lost
        self.ended.append(EndedLink(link, cause, clean))

    def _read(
        self, identity: bytes, header: zmq.Frame, payload: zmq.Frame, now_ns: int
    ) -> InboundFrame | None:
        version, kind, flags, plan_epoch, destination, source, sequence = HEADER.unpack(
            header.buffer
        )
        if version != PROTOCOL_VERSION:
            self._bad(identity, header, now_ns, ErrorCode.VERSION, _unsupported(version))
            return None
        link = self._by_identity.get(identity)
        if link is None:
            if kind == Kind.HELLO:
                self._greet(identity, payload, now_ns)
            else:
                self.stale_frame_count += 1
                message = "the first frame must be a hello"
                self._reject(identity, header, now_ns, ErrorCode.NO_HELLO, message)
            return None
        link.heard_ns = now_ns
        try:
            self._take(link, kind, sequence, payload)
            if link.sources is not None and source not in link.sources and kind in _OF_A_TASK:
                self._raise_foreign(link, source)
        except RemoteProtocolError as error:
            self.refuse(link, error.code, str(error))
            return None
        if kind in _LINK_KINDS:
            return None
        return InboundFrame(link, kind, flags, plan_epoch, destination, source, payload)

    def _take(self, link: InboundLink, kind: int, sequence: int, payload: zmq.Frame) -> None:
        """Check that a frame follows the last, and handle it if it is the link's own."""
        if kind == Kind.HELLO:
            msg = "this link has had its hello"
            raise RemoteProtocolError(msg, ErrorCode.KIND)
        link.watch.take(sequence)
        if kind == Kind.HEARTBEAT:
            link.watch.check(decode_heartbeat(payload.buffer))
        elif kind == Kind.BYE:
            self._on_bye(link, decode_bye(payload.buffer))
        elif kind == Kind.BYE_ACK and self._leaving:
            self.end(link, "bye", clean=decode_bye_ack(payload.buffer) >= link.tuples_sent)

    def _raise_foreign(self, link: InboundLink, source: int) -> NoReturn:
        """A process speaks for a task that is not its own: nothing it says counts any more."""
        self.foreign_source_count += 1
        own = ", ".join(map(str, sorted(link.sources or ()))) or "none"
        msg = f'"{link.hello.process}" sent a frame of task {source}; its tasks are {own}'
        raise RemoteProtocolError(msg, ErrorCode.TASK)

    def _on_bye(self, link: InboundLink, bye: Bye) -> None:
        """The peer ends the link: tell it what came, see whether it got everything."""
        link.watch.check(bye.last_sequence)
        self._reply(link.identity, Kind.BYE_ACK, encode_bye_ack(link.watch.last))
        process = link.hello.process
        if self._by_process.get(process) is link:
            self._newest[process] = (link.hello.incarnation, ATTEMPT_MAX)
        if bye.last_received >= link.tuples_sent:
            self.end(link, "bye", clean=True)
        else:
            self.end(link, f"bye, with frames after {bye.last_received} not taken")

    def _greet(self, identity: bytes, payload: zmq.Frame, now_ns: int) -> None:
        try:
            hello = decode_hello(payload.buffer)
            refusal = self._judge(hello)
        except RemoteProtocolError as error:
            refusal = error.code, str(error)
            hello = None
        if refusal is not None or hello is None:
            code, message = refusal or (ErrorCode.INTERNAL, "refused")
            self.refused_hello_count += 1
            self._reject(identity, payload, now_ns, code, message)
            return
        older = self._by_process.get(hello.process)
        if older is not None:
            self.end(older, "a newer link of the process took over")
        self._numbers += 1
        connection = self.connections.of(payload, now_ns)
        if connection is not None:
            self.connections.keep(connection, identity)
        sources = self._sources(hello)
        link = InboundLink(self._numbers, identity, hello, connection, sources, heard_ns=now_ns)
        self._remember(hello)
        self._by_identity[identity] = self._by_process[hello.process] = link
        if self.send(link, Kind.HELLO_ACK, encode_hello_ack(FRAME_BYTES_MAX, HEARTBEAT_MS)):
            self.joined.append(link)

    def _judge(self, hello: Hello) -> tuple[ErrorCode, str] | None:
        """Return why a hello is refused, or None."""
        if hello.protocol_version != PROTOCOL_VERSION:
            return ErrorCode.VERSION, _unsupported(hello.protocol_version)
        if hello.topology_id != self._topology_id:
            return ErrorCode.TOPOLOGY, (
                f'hello is for topology "{hello.topology_id}"; this is "{self._topology_id}"'
            )
        if not token_matches(
            self._secret, self._topology_id, hello.process, hello.incarnation, hello.token
        ):
            return ErrorCode.TOKEN, f'the token is not that of "{hello.process}"'
        if (hello.incarnation, hello.attempt) <= self._newest.get(hello.process, (-1, 0)):
            return ErrorCode.STALE_INCARNATION, (
                f'"{hello.process}" incarnation {hello.incarnation}, attempt {hello.attempt} is '
                "not newer than one seen"
            )
        return self._admit(hello)

    def _remember(self, hello: Hello) -> None:
        """Note a good hello, so that it is not taken twice; forget the oldest that is no link's."""
        self._newest[hello.process] = (hello.incarnation, hello.attempt)
        self._newest.move_to_end(hello.process)
        if len(self._newest) > PROCESSES_KEPT:
            process, newest = self._newest.popitem(last=False)
            if process in self._by_process:
                self._newest[process] = newest

    def _bad(
        self, identity: bytes, frame: zmq.Frame, now_ns: int, code: ErrorCode, message: str
    ) -> None:
        """A frame that cannot be read: say so and unbind its link."""
        link = self._by_identity.get(identity)
        if link is not None:
            self.refuse(link, code, message)
        else:
            self.bad_frame_count += 1
            self._reject(identity, frame, now_ns, code, message)

    def _reject(
        self, identity: bytes, frame: zmq.Frame, now_ns: int, code: ErrorCode, message: str
    ) -> None:
        """Refuse a frame of a connection that no hello binds, and close the connection soon."""
        if self.connections.refuse(frame, identity, now_ns):
            self._answer(identity, code, message)

    def _answer(self, identity: bytes, code: ErrorCode, message: str) -> None:
        """Send an Error to a connection."""
        self._reply(identity, Kind.ERROR, encode_error(code, message))

    def _reply(self, identity: bytes, kind: Kind, payload: bytes) -> None:
        """Send a frame of the link's own to a connection; one that is gone needs none."""
        link = self._by_identity.get(identity)
        sequence = link.sent + 1 if link is not None else 1
        header = HEADER.pack(PROTOCOL_VERSION, kind, 0, 0, 0, 0, sequence)
        try:
            self._socket.send(identity, NOW_AND_MORE)
            self._socket.send(header, NOW_AND_MORE)
            self._socket.send(payload, NOW)
        except zmq.Again:
            return
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise


def _unsupported(version: int) -> str:
    return f"protocol version {version} is not supported; this side speaks {PROTOCOL_VERSION}"
