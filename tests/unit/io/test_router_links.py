"""The listening side: a connection speaks for nobody until its hello is verified."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import zmq

from heronshim.core.codec.link import decode_error, encode_hello
from heronshim.core.io.dealer_link import DealerLink
from heronshim.core.io.router_links import RouterLinks
from heronshim.core.io.sockets import dealer, router
from heronshim.core.io.tokens import process_token
from heronshim.core.stream.frame import HEADER, PROTOCOL_VERSION, Kind
from heronshim.core.stream.link import Hello, Role
from heronshim.errors import ErrorCode

SECRET = bytes(range(32))
TOPOLOGY = "words-1"


def hello_of(process: str = "count-3", incarnation: int = 1, **other) -> Hello:
    token = process_token(SECRET, TOPOLOGY, process, incarnation)
    values = {"topology_id": TOPOLOGY, "token": token, "attempt": 1, "tasks": (3,), **other}
    return Hello(role=Role.INSTANCE, process=process, incarnation=incarnation, **values)


class Listener:
    """RouterLinks on a socket, and raw peers that send what a test says."""

    def __init__(self, context: zmq.Context, endpoint: str) -> None:
        self._context = context
        self._socket = router(context)
        self._socket.bind(endpoint)
        self.endpoint = endpoint
        self.links = RouterLinks(self._socket, SECRET, TOPOLOGY, self._admit)
        self.refusal: tuple[ErrorCode, str] | None = None
        self.frames = []
        self._peers: list[zmq.Socket[bytes]] = []

    def _admit(self, _: Hello) -> tuple[ErrorCode, str] | None:
        return self.refusal

    def read(self) -> None:
        while (frame := self.links.receive(time.monotonic_ns())) is not None:
            self.frames.append(frame)

    def until(self, done: Callable[[], object], what: str) -> None:
        end = time.monotonic() + 20
        while not done():
            if time.monotonic() > end:
                pytest.fail(f"waited for {what}")
            self.read()
            time.sleep(0.002)

    def peer(self) -> zmq.Socket[bytes]:
        socket = dealer(self._context)
        self._peers.append(socket)
        socket.connect(self.endpoint)
        return socket

    def answer(self, peer: zmq.Socket[bytes]) -> tuple[int, bytes]:
        """Return kind and payload of the next frame that a raw peer gets."""
        self.until(lambda: peer.getsockopt(zmq.EVENTS) & zmq.POLLIN, "an answer")
        header, payload = peer.recv_multipart()
        return HEADER.unpack(header)[1], payload

    def close(self) -> None:
        for socket in (self._socket, *self._peers):
            socket.close(linger=0)


@pytest.fixture
def listener(zmq_context, tmp_path_factory):
    listener = Listener(zmq_context, f"ipc://{tmp_path_factory.mktemp('r')}/s")
    yield listener
    listener.close()


def say(peer: zmq.Socket[bytes], kind: int, payload: bytes, sequence: int = 0) -> None:
    header = HEADER.pack(PROTOCOL_VERSION, kind, 0, 0, 0, 0, sequence)
    peer.send_multipart([header, payload])


def test_bye_of_a_peer_that_is_gone_already_ends_its_link(listener, zmq_context):
    link = DealerLink(zmq_context, hello_of())
    link.connect(listener.endpoint, time.monotonic_ns())
    listener.until(
        lambda: (link.receive(time.monotonic_ns()), link.tick(time.monotonic_ns()), link.up)[2],
        "hello-ack",
    )
    link.close("stopped", time.monotonic_ns())
    time.sleep(0.3)  # longer than the closed socket lingers: its connection is gone for sure
    listener.until(lambda: listener.links.ended, "the end")
    assert [cause for _, cause in listener.links.ended] == ["bye"]
    assert listener.links.links() == []


def test_newer_incarnation_unbinds_the_older_whose_frames_are_stale(listener):
    old, new = listener.peer(), listener.peer()
    say(old, Kind.HELLO, encode_hello(hello_of(incarnation=1)))
    assert listener.answer(old)[0] == Kind.HELLO_ACK
    say(new, Kind.HELLO, encode_hello(hello_of(incarnation=2)))
    assert listener.answer(new)[0] == Kind.HELLO_ACK
    say(old, Kind.DATA, b"late", 1)
    kind, payload = listener.answer(old)
    assert (kind, decode_error(payload)[0]) == (Kind.ERROR, ErrorCode.NO_HELLO)
    assert listener.links.stale_frame_count == 1
    assert listener.frames == []
    assert [link.hello.incarnation for link in listener.links.links()] == [2]
    say(old, Kind.HELLO, encode_hello(hello_of(incarnation=1, attempt=9)))
    assert decode_error(listener.answer(old)[1])[0] == ErrorCode.STALE_INCARNATION


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        (hello_of(protocol_version=9), ErrorCode.VERSION),
        (hello_of(topology_id="other-2"), ErrorCode.TOPOLOGY),
        (hello_of(token="0" * 64), ErrorCode.TOKEN),
        (hello_of(attempt=0, incarnation=0), None),
        (hello_of(token="ü"), ErrorCode.TOKEN),
    ],
    ids=["version", "topology", "token", "first pair", "odd token"],
)
def test_hello_is_judged(listener, hello, code):
    peer = listener.peer()
    say(peer, Kind.HELLO, encode_hello(hello))
    kind, payload = listener.answer(peer)
    if code is None:
        assert kind == Kind.HELLO_ACK
    else:
        assert (kind, decode_error(payload)[0]) == (Kind.ERROR, code)
        assert listener.links.refused_hello_count == 1
        assert listener.links.links() == []


def test_owner_may_refuse_a_hello(listener):
    listener.refusal = ErrorCode.TASK, "task 3 is not here"
    peer = listener.peer()
    say(peer, Kind.HELLO, encode_hello(hello_of()))
    assert decode_error(listener.answer(peer)[1])[:2] == listener.refusal


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([b"short", b""], ErrorCode.MALFORMED),
        ([HEADER.pack(1, Kind.DATA, 0, 0, 0, 0, 1)], ErrorCode.MALFORMED),
        ([HEADER.pack(1, Kind.DATA, 0, 0, 0, 0, 1), b"", b""], ErrorCode.MALFORMED),
        ([HEADER.pack(9, Kind.DATA, 0, 0, 0, 0, 1), b""], ErrorCode.VERSION),
        ([HEADER.pack(1, Kind.HEARTBEAT, 0, 0, 0, 0, 1), b"\xff"], ErrorCode.MALFORMED),
    ],
    ids=["short header", "no payload", "three parts", "version", "heartbeat"],
)
def test_unreadable_frame_is_answered_and_ends_the_link(listener, parts, code):
    peer = listener.peer()
    say(peer, Kind.HELLO, encode_hello(hello_of()))
    assert listener.answer(peer)[0] == Kind.HELLO_ACK
    peer.send_multipart(parts)
    kind, payload = listener.answer(peer)
    assert (kind, decode_error(payload)[0]) == (Kind.ERROR, code)
    assert listener.links.links() == []
    assert listener.links.bad_frame_count == 1


def test_gap_in_the_sequence_is_counted(listener):
    peer = listener.peer()
    say(peer, Kind.HELLO, encode_hello(hello_of()))
    assert listener.answer(peer)[0] == Kind.HELLO_ACK
    say(peer, Kind.DATA, b"first", 1)
    say(peer, Kind.DATA, b"fourth", 4)
    listener.until(lambda: len(listener.frames) == 2, "both frames")
    assert listener.links.links()[0].lost_frames == 2
