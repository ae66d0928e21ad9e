"""Connections that say nothing, or only what is refused, go; those that said hello stay."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from heronshim.core.codec.link import decode_error, encode_bye, encode_hello
from heronshim.core.io.connections import (
    HELLO_WAIT_NS,
    LINGER_NS,
    REFUSALS_MAX,
    SILENT_MAX,
    Connections,
    allow_many_connections,
)
from heronshim.core.io.router_links import RouterLinks
from heronshim.core.io.sockets import dealer, router
from heronshim.core.io.tokens import process_token
from heronshim.core.stream.frame import CONTROL_BYTES_MAX, HEADER, PROTOCOL_VERSION, Kind
from heronshim.core.stream.link import Bye, Hello, Role
from heronshim.errors import ErrorCode

SECRET = bytes(32)
DEADLINE_S = 30.0


class Listener:
    """Links on a real Unix socket, with a clock that the test sets."""

    def __init__(self, context: zmq.Context, path: Path) -> None:
        self.context, self.path = context, path
        self.now_ns = 0
        socket_ = router(context)
        self.links = RouterLinks(socket_, SECRET, "t", lambda _: None)
        socket_.bind(f"ipc://{path}")
        self.raw: list[socket.socket] = []
        self.peers: list[zmq.Socket] = []

    @property
    def connections(self) -> Connections:
        return self.links.connections

    def until(self, done: Callable[[], Any], what: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while not done():
            if time.monotonic() > end:
                pytest.fail(f"waited for {what}: {len(self.connections)} connections")
            while self.links.receive(self.now_ns) is not None:
                pass
            self.connections.look(self.now_ns)
            time.sleep(0.002)

    def connect(self, count: int) -> list[socket.socket]:
        """Open raw connections that say nothing."""
        made = []
        for _ in range(count):
            peer = socket.socket(socket.AF_UNIX)
            # Without a time limit: Linux refuses at once, with one, when the backlog is full.
            peer.connect(str(self.path))
            made.append(peer)
        self.raw += made
        return made

    def peer(self) -> zmq.Socket:
        peer = dealer(self.context)
        peer.connect(f"ipc://{self.path}")
        self.peers.append(peer)
        return peer

    def close(self) -> None:
        for each in self.raw:
            each.close()
        for peer in self.peers:
            peer.close(0)
        self.links.close()


@pytest.fixture
def listener(
    zmq_context: zmq.Context, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Listener]:
    made = Listener(zmq_context, tmp_path_factory.mktemp("c") / "s")
    yield made
    made.close()


def say(peer: zmq.Socket, kind: int, payload: bytes, sequence: int = 0) -> None:
    peer.send_multipart(
        [HEADER.pack(PROTOCOL_VERSION, kind, 0, 0, 0, 0, sequence), payload], zmq.DONTWAIT
    )


def hello(process: str = "p", incarnation: int = 1, attempt: int = 1) -> bytes:
    token = process_token(SECRET, "t", process, incarnation)
    return encode_hello(Hello("t", Role.INSTANCE, process, incarnation, attempt, token))


def descriptors() -> int:
    """Return how many this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def is_closed(peer: socket.socket) -> bool:
    """Read what is there; return whether the other side has ended the connection."""
    peer.setblocking(False)
    try:
        while peer.recv(1000):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


def test_silent_connections_end_and_a_link_stays(listener: Listener) -> None:
    raw = listener.connect(2)
    idle, good = listener.peer(), listener.peer()
    say(good, Kind.HELLO, hello())
    listener.until(listener.links.links, "the link")
    listener.until(lambda: len(listener.connections) == 4, "all connections")
    listener.now_ns = HELLO_WAIT_NS
    listener.until(lambda: len(listener.connections) == 1, "the end of the silent ones")
    assert all(is_closed(peer) for peer in raw)
    assert idle.poll(0) == 0
    assert listener.connections.closed_count == 3
    assert [link.hello.process for link in listener.links.links()] == ["p"]


def test_the_oldest_of_too_many_silent_connections_goes(listener: Listener) -> None:
    good = listener.peer()
    say(good, Kind.HELLO, hello())
    listener.until(listener.links.links, "the link")
    raw = []
    for _ in range(3):
        raw += listener.connect(SILENT_MAX // 2)
        listener.until(lambda: len(listener.connections) <= SILENT_MAX + 1, "room")
    listener.until(lambda: is_closed(raw[0]), "the end of the oldest")
    assert not is_closed(raw[-1])
    assert listener.links.links()


def test_descriptors_come_back(listener: Listener) -> None:
    listener.until(lambda: True, "a look")
    before = descriptors()
    raw = listener.connect(50)
    listener.until(lambda: len(listener.connections) == 50, "the connections")
    listener.now_ns = HELLO_WAIT_NS
    listener.until(lambda: len(listener.connections) == 0, "their end")
    for each in raw:
        each.close()
    listener.until(lambda: descriptors() == before, "the descriptors")


def test_who_goes_on_with_refused_frames_is_answered_so_often_and_then_closed(
    listener: Listener,
) -> None:
    rogue = listener.peer()
    for _ in range(10 * REFUSALS_MAX):
        say(rogue, Kind.DATA, b"x")
    listener.until(lambda: listener.links.stale_frame_count == 10 * REFUSALS_MAX, "the frames")
    answers = 0
    while rogue.poll(100):
        rogue.recv_multipart()
        answers += 1
    assert answers == REFUSALS_MAX
    listener.now_ns = LINGER_NS
    listener.until(lambda: len(listener.connections) == 0, "its end")


def test_a_frame_read_late_ends_no_connection_of_another(listener: Listener) -> None:
    """Its descriptor may be the next one's by now: the one whose hello came on it is safe."""
    good = listener.peer()
    say(good, Kind.HELLO, hello())
    listener.until(listener.links.links, "the link")
    (link,) = listener.links.links()
    assert link.connection is not None
    assert link.connection.owner == link.identity
    listener.connections.dismiss(link.connection, b"an older one")
    listener.now_ns = LINGER_NS
    listener.until(lambda: True, "a look")
    assert listener.connections.closed_count == 0
    listener.connections.dismiss(link.connection, link.identity)
    listener.connections.look(listener.now_ns)
    listener.now_ns += LINGER_NS
    listener.until(lambda: listener.connections.closed_count == 1, "its end")


def test_a_spent_token_is_refused_after_bye_also_with_a_new_attempt(listener: Listener) -> None:
    first = listener.peer()
    say(first, Kind.HELLO, hello(attempt=1))
    listener.until(listener.links.links, "the link")
    say(first, Kind.BYE, encode_bye(Bye(0, 1, "done")), 1)
    listener.until(lambda: listener.links.ended, "the end")
    again = listener.peer()
    say(again, Kind.HELLO, hello(attempt=2))
    listener.until(lambda: listener.links.refused_hello_count == 1, "the refusal")
    assert listener.links.links() == []
    newer = listener.peer()
    say(newer, Kind.HELLO, hello(incarnation=2, attempt=1))
    listener.until(listener.links.links, "the newer incarnation")


def test_a_replayed_hello_is_refused(listener: Listener) -> None:
    first, thief = listener.peer(), listener.peer()
    recorded = hello(attempt=3)
    say(first, Kind.HELLO, recorded)
    listener.until(listener.links.links, "the link")
    say(thief, Kind.HELLO, recorded)
    listener.until(lambda: listener.links.refused_hello_count == 1, "the refusal")
    assert len(listener.links.links()) == 1
    assert listener.links.ended == []


def test_a_hello_over_the_limit_is_refused_unread(listener: Listener) -> None:
    peer = listener.peer()
    say(peer, Kind.HELLO, hello() + bytes(CONTROL_BYTES_MAX))
    listener.until(lambda: peer.poll(0), "the refusal")
    assert decode_error(peer.recv_multipart()[1])[0] is ErrorCode.TOO_LARGE
    assert listener.links.links() == []


def test_the_limit_of_descriptors_is_raised_but_not_over_the_hard_one() -> None:
    script = (
        "import resource\n"
        "from heronshim.core.io.connections import allow_many_connections\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 200))\n"
        "allow_many_connections()\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"(200, 200)\n"
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    allow_many_connections()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= before[0]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
