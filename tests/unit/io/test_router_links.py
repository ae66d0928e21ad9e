"""The listening side: a connection speaks for nobody until its hello is verified."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import zmq

from heronshim.core.codec.link import (
    decode_bye,
    decode_bye_ack,
    decode_error,
    encode_bye,
    encode_bye_ack,
    encode_heartbeat,
    encode_hello,
)
from heronshim.core.io.dealer_link import DealerLink
from heronshim.core.io.router_links import RouterLinks
from heronshim.core.io.sockets import dealer, router
from heronshim.core.io.tokens import process_token
from heronshim.core.stream.frame import HEADER, PROTOCOL_VERSION, Kind
from heronshim.core.stream.link import Bye, Hello, Role
from heronshim.errors import ErrorCode

SECRET = bytes(range(32))
TOPOLOGY = "words-1"


def hello_of(process: str = "count-3", incarnation: int = 1, **other) -> Hello:
    token = process_token(SECRET, TOPOLOGY, process, incarnation)
    values = {"topology_id": TOPOLOGY, "token": token, "attempt": 1, "tasks": (3,)}
    values |= {"role": Role.INSTANCE, **other}
    return Hello(process=process, incarnation=incarnation, **values)


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
    header = HEADER.pack(PROTOCOL_VERSION, kind, 0, 0, 0, 3, sequence)
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
    assert [(end.cause, end.clean) for end in listener.links.ended] == [("bye", True)]
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


def joined(listener: Listener, hello: Hello | None = None) -> zmq.Socket[bytes]:
    peer = listener.peer()
    say(peer, Kind.HELLO, encode_hello(hello or hello_of()))
    assert listener.answer(peer)[0] == Kind.HELLO_ACK
    return peer


@pytest.mark.parametrize(
    ("sequence", "payload", "lost", "text"),
    [
        (4, encode_heartbeat(3), 2, "2 frames before frame 4 never came"),
        (3, encode_heartbeat(2), 1, "1 frame before frame 3 never came"),
        (2, encode_heartbeat(7), 6, "6 frames up to frame 7 never came"),
        (1, encode_heartbeat(0), 0, "frame 1 came again"),
    ],
    ids=["gap", "one", "heartbeat ahead", "again"],
)
def test_frame_that_does_not_follow_ends_the_link(listener, sequence, payload, lost, text):
    """A lost last frame shows by the next heartbeat; credit of such a link is not to be trusted."""
    peer = joined(listener)
    say(peer, Kind.DATA, b"first", 1)
    say(peer, Kind.HEARTBEAT, payload, sequence)
    kind, answer = listener.answer(peer)
    assert (kind, decode_error(answer)[0]) == (Kind.ERROR, ErrorCode.MALFORMED)
    assert text in decode_error(answer)[1]
    (end,) = listener.links.ended
    assert (text in end.cause, end.clean) == (True, False)
    assert listener.links.lost_frame_count == lost
    assert [frame.payload.bytes for frame in listener.frames] == [b"first"]


@pytest.mark.parametrize(
    ("bye", "clean"),
    [
        (Bye(1, 2), True),
        (Bye(1, 3), True),
        (Bye(1, 1), False),
        (Bye(2, 2), False),
    ],
    ids=["all taken", "and a heartbeat", "data not taken", "frame lost"],
)
def test_bye_is_clean_when_both_sides_have_all_tuples(listener, bye, clean):
    peer = joined(listener)
    (link,) = listener.links.links()
    assert listener.links.send(link, Kind.DATA, b"tuples")
    assert listener.links.send(link, Kind.CREDIT, b"")
    say(peer, Kind.DATA, b"first", 1)
    say(peer, Kind.BYE, encode_bye(bye), 2)
    listener.until(lambda: listener.links.ended, "the end")
    assert [end.clean for end in listener.links.ended] == [clean]
    if bye.last_sequence == 1:
        answers = [listener.answer(peer) for _ in range(3)]
        assert [kind for kind, _ in answers] == [Kind.DATA, Kind.CREDIT, Kind.BYE_ACK]
        assert decode_bye_ack(answers[-1][1]) == 2


def test_second_hello_on_a_link_is_refused(listener):
    peer = joined(listener)
    say(peer, Kind.HELLO, encode_hello(hello_of(incarnation=2)))
    assert decode_error(listener.answer(peer)[1])[0] == ErrorCode.KIND


@pytest.mark.parametrize("kind", [Kind.DATA, Kind.OUTCOMES, Kind.METRICS, Kind.BARRIER])
def test_instance_speaks_for_its_own_tasks_only(listener, kind):
    peer = joined(listener, hello_of(tasks=(3, 4)))
    peer.send_multipart([HEADER.pack(PROTOCOL_VERSION, kind, 0, 0, 9, 4, 1), b"own"])
    listener.until(lambda: listener.frames, "the frame of an own task")
    peer.send_multipart([HEADER.pack(PROTOCOL_VERSION, kind, 0, 0, 9, 5, 2), b"forged"])
    code, message, _ = decode_error(listener.answer(peer)[1])
    assert code is ErrorCode.TASK
    assert message == '"count-3" sent a frame of task 5; its tasks are 3, 4'
    assert (len(listener.frames), listener.links.foreign_source_count) == (1, 1)
    assert not listener.links.ended[0].clean


def test_stream_manager_passes_on_what_other_tasks_sent(listener):
    peer = joined(listener, hello_of("stmgr-2", role=Role.STMGR, tasks=()))
    peer.send_multipart([HEADER.pack(PROTOCOL_VERSION, Kind.DATA, 0, 0, 9, 5, 1), b"passed on"])
    listener.until(lambda: listener.frames, "the frame")


@pytest.mark.parametrize(("acked", "clean"), [(2, True), (9, True), (1, False)])
def test_listener_that_stops_says_bye_and_hears_what_came(listener, acked, clean):
    peer = joined(listener)
    (link,) = listener.links.links()
    assert listener.links.send(link, Kind.DATA, b"tuples")
    say(peer, Kind.DATA, b"first", 1)
    listener.until(lambda: listener.frames, "the frame")
    listener.links.say_bye("stopped")
    assert listener.answer(peer)[0] == Kind.DATA
    kind, payload = listener.answer(peer)
    assert (kind, decode_bye(payload)) == (Kind.BYE, Bye(2, 1, "stopped"))
    say(peer, Kind.BYE_ACK, encode_bye_ack(acked), 2)
    listener.until(lambda: listener.links.ended, "the end")
    assert [end.clean for end in listener.links.ended] == [clean]
