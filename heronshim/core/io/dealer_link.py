"""The connecting side of a link: socket, hello, sequences, heartbeats, back-off.

One connection is one link: whatever ends it, the socket is closed, and a new one with the next
attempt number follows after the back-off. The owner's loop drives it:

    link = DealerLink(context, hello, poller)
    link.connect(endpoint, now_ns)
    loop:
        poll until link.next_deadline_ns(); link.tick(now_ns)
        while (frame := link.receive(now_ns)) is not None: ...
        for event in link.take_events(): ...

States: IDLE (no endpoint), WAITING (back-off), GREETING (hello sent), UP (acknowledged), CLOSING
(bye sent). No call blocks. One thread.

A link that was up ends with one ENDED event. It is clean when both sides said by bye and its
acknowledgement that everything came; any other end may have cost frames.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import zmq

from heronshim.core.codec.link import (
    decode_bye,
    decode_bye_ack,
    decode_error,
    decode_heartbeat,
    encode_bye,
    encode_bye_ack,
    encode_heartbeat,
    encode_hello,
)
from heronshim.core.io.sockets import (
    BYE_LINGER_MS,
    BYE_TIMEOUT_NS,
    EVENTS,
    NOW,
    NOW_AND_MORE,
    READABLE,
    dealer,
)
from heronshim.core.stream.frame import HEADER, PROTOCOL_VERSION, TUPLE_KINDS, Kind
from heronshim.core.stream.link import Bye, Hello, SequenceWatch
from heronshim.errors import ErrorCode, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import TypeAlias

    Payload: TypeAlias = bytes | bytearray | memoryview | zmq.Frame

HELLO_TIMEOUT_NS = 250_000_000
"""A socket without an acknowledgement by then is closed: a failed connect is silent."""
HELLO_TIMEOUT_NS_MAX = 4_000_000_000
"""The time doubles up to this with each attempt that nobody answers: on a starved host an answer
takes longer than the first, and would come too late every time."""
HEARTBEAT_INTERVAL_NS = 200_000_000
BACKOFF_MIN_NS = 50_000_000
BACKOFF_MAX_NS = 1_000_000_000
BACKOFF_RESET_NS = 1_000_000_000
"""A link that was up for this long starts again with the shortest back-off."""
OWN_PAUSE_NS = 1_000_000_000
"""Who is as late as this for its own heartbeat was stopped itself: that was no peer's silence."""
MONITOR_LOOK_NS = 2_000_000
"""Between two looks at the socket's monitor: a busy owner ticks far more often."""
_NEVER_NS = 1 << 62
_MONITOR_EVENT = struct.Struct("=HI")
_MONITORED = (
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_LINK_KINDS = frozenset((Kind.HEARTBEAT, Kind.BYE, Kind.BYE_ACK))
_monitor_number = count(1)


class LinkState(StrEnum):
    """How far a link has come."""

    IDLE = "idle"
    WAITING = "waiting"
    GREETING = "greeting"
    UP = "up"
    CLOSING = "closing"


class LinkEventKind(StrEnum):
    """What happened to a link."""

    JOINED = "joined"
    """The peer acknowledged the hello: frames may be sent."""
    REFUSED = "refused"
    """The peer answered with an Error; `code` says which."""
    ENDED = "ended"
    """A link that was up is no more; `clean` when nothing on it was lost."""


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """Something the owner may act on."""

    kind: LinkEventKind
    cause: str = ""
    code: ErrorCode = ErrorCode.UNSPECIFIED
    clean: bool = False


class ReceivedFrame(NamedTuple):
    """A frame of the peer; the payload is not copied."""

    kind: int
    flags: int
    plan_epoch: int
    destination: int
    source: int
    payload: zmq.Frame


class DealerLink:
    """A link to one ROUTER, made anew whenever it ends."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        hello: Hello,
        poller: zmq.Poller | None = None,
        silence_limit_ns: int = _NEVER_NS,
    ) -> None:
        """A peer that is silent for longer is taken for replaced: its link ends.

        As a rule it is killed by then, which ends the link; not where nobody can reach it.
        """
        self._context = context
        self._hello = hello
        self._poller = poller
        self._silence_limit_ns = silence_limit_ns
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None
        self._events: list[LinkEvent] = []
        self._sequence = 0
        self._tuples_sequence = 0
        self._watch = SequenceWatch()
        self._deadline_ns = _NEVER_NS
        self._backoff_ns = BACKOFF_MIN_NS
        self._hello_timeout_ns = HELLO_TIMEOUT_NS
        self._up_since_ns = 0
        self._peer_gone = False
        self._next_look_ns = 0
        self.state = LinkState.IDLE
        self.endpoint = ""
        """Where the peer listens; empty for none."""
        self.attempt = 0
        """Number of sockets made so far; Hello carries it."""
        self.heard_ns = 0
        """When the peer's newest frame was read."""
        self.failure = ""
        """Why the last attempt ended, for people."""
        self.lost_frame_count = 0
        """Frames of the peer that never came, over all attempts."""

    @property
    def up(self) -> bool:
        """Whether frames may be sent."""
        return self.state is LinkState.UP

    @property
    def socket(self) -> zmq.Socket[bytes] | None:
        """The socket of this attempt, for a poll; another one after each attempt."""
        return self._socket

    @property
    def last_sequence(self) -> int:
        """Sequence number of the newest frame sent."""
        return self._sequence

    def may_have_news(self, ready: Collection[object]) -> bool:
        """Return whether `receive` may return or change anything, given what a poll found."""
        return (
            self._socket in ready
            or self._monitor in ready
            or self._peer_gone
            or self.state is not LinkState.UP
            or bool(self._events)
        )

    def connect(self, endpoint: str, now_ns: int) -> None:
        """Go to an endpoint, where the caller knows somebody to listen now.

        A link that goes there already is left alone; one that waits for its next attempt makes
        it at once. Another endpoint replaces the link; an empty one ends it.
        """
        if endpoint == self.endpoint and self.state is not LinkState.CLOSING:
            if self.state is LinkState.WAITING:
                self._backoff_ns = BACKOFF_MIN_NS
                self._open(now_ns)
            return
        self._end("endpoint changed", now_ns)
        self.endpoint = endpoint
        self._backoff_ns = BACKOFF_MIN_NS
        self._hello_timeout_ns = HELLO_TIMEOUT_NS
        if endpoint:
            self._open(now_ns)
        else:
            self._rest()

    def say_bye(self, reason: str, now_ns: int) -> None:
        """End the link in good order: it is CLOSING until the peer has everything, then IDLE."""
        if not self.up:
            self.connect("", now_ns)
            return
        self.send(Kind.BYE, encode_bye(Bye(self._sequence, self._watch.last, reason)))
        self.state = LinkState.CLOSING
        self._deadline_ns = now_ns + BYE_TIMEOUT_NS

    def close(self, reason: str, now_ns: int) -> None:
        """Say bye, do not wait for its acknowledgement, and do not connect again."""
        if self.up:
            self.say_bye(reason, now_ns)
        if self._socket is not None:
            self._socket.setsockopt(zmq.LINGER, BYE_LINGER_MS)
        self.connect("", now_ns)
        self._events.clear()

    def give_up(self, cause: str, now_ns: int) -> None:
        """The owner cannot read a frame: end this link; another one comes after the back-off."""
        self._fail(cause, now_ns)

    def next_deadline_ns(self) -> int:
        """Return when `tick` has something to do."""
        return self._deadline_ns

    def tick(self, now_ns: int) -> None:
        """Do what is due: connect, give up a silent hello, send a heartbeat."""
        if now_ns >= self._next_look_ns and self._monitor is not None and not self._peer_gone:
            self._next_look_ns = now_ns + MONITOR_LOOK_NS
            self._read_monitor()
        if self._peer_gone and self.state is LinkState.GREETING and not self._readable():
            self._fail("connection refused", now_ns)
        if now_ns < self._deadline_ns:
            return
        if self.state is LinkState.UP:
            if now_ns - self._deadline_ns >= OWN_PAUSE_NS:
                self.heard_ns = now_ns
            if now_ns - self.heard_ns > self._silence_limit_ns:
                self._fail(f"silent for {(now_ns - self.heard_ns) / 1e9:.1f} s", now_ns)
                return
            self.send(Kind.HEARTBEAT, encode_heartbeat(self._sequence))
            self._deadline_ns = now_ns + HEARTBEAT_INTERVAL_NS
        elif self.state is LinkState.GREETING:
            # An answer that came while the owner was busy is still to be read.
            if not self._readable():
                self._fail(f"no answer within {self._hello_timeout_ns // 1_000_000} ms", now_ns)
                self._hello_timeout_ns = min(HELLO_TIMEOUT_NS_MAX, 2 * self._hello_timeout_ns)
        elif self.state is LinkState.CLOSING:
            self._fail("bye was not acknowledged", now_ns)
        elif self.state is LinkState.WAITING:
            self._open(now_ns)

    def send(
        self,
        kind: int,
        payload: Payload,
        destination: int = 0,
        source: int = 0,
        plan_epoch: int = 0,
        flags: int = 0,
    ) -> bool:
        """Send a frame at once; return False when the link is not up or its queue is full."""
        socket = self._socket
        if socket is None or self.state is not LinkState.UP:
            return False
        sequence = self._sequence + 1
        header = HEADER.pack(
            PROTOCOL_VERSION, kind, flags, plan_epoch, destination, source, sequence
        )
        try:
            socket.send(header, NOW_AND_MORE)
        except zmq.Again:
            return False
        socket.send(payload, NOW, copy=False)
        self._sequence = sequence
        if kind in TUPLE_KINDS:
            self._tuples_sequence = sequence
        return True

    def receive(self, now_ns: int) -> ReceivedFrame | None:
        """Return the next frame for the owner, or None when there is none now.

        Frames of the link itself (hello-ack, heartbeat, error, bye) are handled here. What came
        before the peer went is still returned; then the link ends.
        """
        while self._socket is not None:
            try:
                # A look costs a third of a read that finds nothing.
                header = self._socket.recv(NOW, copy=False) if self._readable() else None
            except zmq.Again:
                header = None
            if header is None:
                if self._peer_gone:
                    self._fail("connection closed by the peer", now_ns)
                return None
            try:
                frame = self._read(header, now_ns)
            except RemoteProtocolError as error:
                self._fail(str(error), now_ns)
                return None
            if frame is not None:
                return frame
        return None

    def take_events(self) -> list[LinkEvent]:
        """Return what happened since the last call, in order."""
        if not self._events:
            return []
        taken, self._events = self._events, []
        return taken

    def _read(self, header: zmq.Frame, now_ns: int) -> ReceivedFrame | None:
        """Return a frame of the owner's; None for one of the link's own."""
        try:
            payload = self._socket.recv(NOW, copy=False) if header.more else None  # type: ignore[union-attr]
        except zmq.Again as error:
            # libzmq drops what is unread of a connection that ended, also the rest of a frame.
            msg = "connection closed by the peer within a frame"
            raise RemoteProtocolError(msg) from error
        if payload is None or payload.more or len(header) != HEADER.size:
            msg = f"frame is not a header of {HEADER.size} bytes and a payload"
            raise RemoteProtocolError(msg)
        version, kind, flags, plan_epoch, destination, source, sequence = HEADER.unpack(
            header.buffer
        )
        if version != PROTOCOL_VERSION:
            msg = f"frame has protocol version {version}; expected {PROTOCOL_VERSION}"
            raise RemoteProtocolError(msg, ErrorCode.VERSION)
        self.heard_ns = now_ns
        if self.state is LinkState.GREETING:
            self._greeted(kind, sequence, payload, now_ns)
            return None
        if kind == Kind.ERROR:
            # Whatever its number: one who does not know this link (any more) may send it.
            self._refused(payload, now_ns)
            return None
        self._watch.take(sequence)
        if kind in _LINK_KINDS:
            self._on_own_kind(kind, payload, now_ns)
            return None
        return ReceivedFrame(kind, flags, plan_epoch, destination, source, payload)

    def _on_own_kind(self, kind: int, payload: zmq.Frame, now_ns: int) -> None:
        """Take a frame of the link itself."""
        if kind == Kind.HEARTBEAT:
            self._watch.check(decode_heartbeat(payload.buffer))
        elif kind == Kind.BYE:
            bye = decode_bye(payload.buffer)
            self._watch.check(bye.last_sequence)
            self.send(Kind.BYE_ACK, encode_bye_ack(self._watch.last))
            clean = bye.last_received >= self._tuples_sequence
            self._fail("the peer said bye", now_ns, clean=clean)
        elif self.state is LinkState.CLOSING:
            clean = decode_bye_ack(payload.buffer) >= self._tuples_sequence
            self._fail("bye", now_ns, clean=clean)

    def _greeted(self, kind: int, sequence: int, payload: zmq.Frame, now_ns: int) -> None:
        """Take the first frame, which must answer the hello."""
        if kind == Kind.ERROR:
            self._refused(payload, now_ns)
        elif kind == Kind.HELLO_ACK:
            self._watch.last = sequence
            self.state = LinkState.UP
            self.failure = ""
            self._hello_timeout_ns = HELLO_TIMEOUT_NS
            self._up_since_ns = now_ns
            self._deadline_ns = now_ns + HEARTBEAT_INTERVAL_NS
            self._events.append(LinkEvent(LinkEventKind.JOINED))
        else:
            msg = f"hello was answered with a frame of kind {kind}"
            raise RemoteProtocolError(msg, ErrorCode.KIND)

    def _refused(self, payload: zmq.Frame, now_ns: int) -> None:
        """The peer sent an Error: this link is over."""
        code, message, _ = decode_error(payload.buffer)
        self._events.append(LinkEvent(LinkEventKind.REFUSED, message, code))
        self._fail(f"{code.name}: {message}", now_ns)

    def _open(self, now_ns: int) -> None:
        """Make a socket, connect it and send the hello."""
        self.attempt += 1
        try:
            socket, monitor = self._sockets()
        except zmq.ZMQError as error:
            # Out of descriptors: those of what ends meanwhile are free at the next attempt.
            self._fail(f"no socket can be made: {error}", now_ns)
            return
        self._socket, self._monitor = socket, monitor
        self._peer_gone = False
        self._sequence = self._tuples_sequence = 0
        self._watch = SequenceWatch()
        self.state = LinkState.GREETING
        self._deadline_ns = now_ns + self._hello_timeout_ns
        if self._poller is not None:
            self._poller.register(socket, zmq.POLLIN)
            self._poller.register(monitor, zmq.POLLIN)
        try:
            socket.connect(self.endpoint)
        except zmq.ZMQError as error:
            self._fail(f"{self.endpoint} cannot be connected: {error}", now_ns)
            return
        hello = encode_hello(replace(self._hello, attempt=self.attempt))
        socket.send(HEADER.pack(PROTOCOL_VERSION, Kind.HELLO, 0, 0, 0, 0, 0), zmq.SNDMORE)
        socket.send(hello)

    def _sockets(self) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
        """Return a new socket and its monitor; raises ZMQError."""
        socket = dealer(self._context)
        try:
            address = f"inproc://dealer-link-{next(_monitor_number)}"
            socket.monitor(address, _MONITORED)
            monitor = self._context.socket(zmq.PAIR)
        except zmq.ZMQError:
            socket.close()
            raise
        monitor.setsockopt(zmq.LINGER, 0)
        monitor.connect(address)
        return socket, monitor

    def _readable(self) -> bool:
        """Return whether a frame waits in the socket."""
        return self._socket is not None and bool(int(self._socket.getsockopt(EVENTS)) & READABLE)

    def _read_monitor(self) -> None:
        """Look whether the connection ended."""
        monitor = self._monitor
        while monitor is not None and int(monitor.getsockopt(EVENTS)) & READABLE:
            event, _ = monitor.recv_multipart(NOW)
            number, _ = _MONITOR_EVENT.unpack(event)
            if number & _MONITORED:
                self._peer_gone = True

    def _fail(self, cause: str, now_ns: int, *, clean: bool = False) -> None:
        """End this attempt and wait for the next; after a bye of this side there is none."""
        if self.up and now_ns - self._up_since_ns >= BACKOFF_RESET_NS:
            self._backoff_ns = BACKOFF_MIN_NS
        closing = self.state is LinkState.CLOSING
        self._end(cause, now_ns, clean=clean)
        if closing:
            self.endpoint = ""
            self._rest()
            return
        self.state = LinkState.WAITING
        self._deadline_ns = now_ns + self._backoff_ns
        self._backoff_ns = min(2 * self._backoff_ns, BACKOFF_MAX_NS)

    def _rest(self) -> None:
        self.state = LinkState.IDLE
        self._deadline_ns = _NEVER_NS

    def _end(self, cause: str, now_ns: int, *, clean: bool = False) -> None:
        """Close the socket of this attempt, if any."""
        if self._socket is None or self._monitor is None:
            return
        self.lost_frame_count += self._watch.lost
        self._watch.lost = 0
        if self.state in (LinkState.UP, LinkState.CLOSING):
            self._events.append(LinkEvent(LinkEventKind.ENDED, cause, clean=clean))
        self.failure = cause
        self.state = LinkState.WAITING
        self._deadline_ns = now_ns
        if self._poller is not None:
            self._poller.unregister(self._socket)
            self._poller.unregister(self._monitor)
        self._socket.disable_monitor()
        self._monitor.close()
        self._socket.close()
        self._socket = self._monitor = None
