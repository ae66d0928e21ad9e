"""Scripted peers on real sockets, shared by the tests of links and daemons."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
import zmq

from heronshim.core.codec.link import encode_hello_ack
from heronshim.core.io.sockets import router
from heronshim.core.plan.physical import ContainerPlan, PackingPlan, ProcessPlan, Resources
from heronshim.core.plan.topology import (
    Component,
    ComponentKind,
    Grouping,
    GroupingKind,
    InputStream,
    OutputStream,
    Topology,
)
from heronshim.core.stream.frame import HEADER, PROTOCOL_VERSION, Kind

DEADLINE_S = 60.0


def wait_until(done: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Call `done` until it returns something true."""
    end = time.monotonic() + deadline_s
    while not done():
        if time.monotonic() > end:
            pytest.fail(f"waited {deadline_s} s for {what}")
        time.sleep(0.005)


@dataclass
class Heard:
    """One frame that a scripted router received."""

    peer: bytes
    kind: int
    destination: int
    source: int
    sequence: int
    payload: bytes


class ScriptedRouter:
    """The accepting side of links, played by a test."""

    def __init__(self, context: zmq.Context, endpoint: str) -> None:
        self.endpoint = endpoint
        self.heard: list[Heard] = []
        self.answer_hello = True
        self._sequences: dict[bytes, int] = {}
        self._socket = router(context)
        self._socket.bind(endpoint)

    def read(self) -> None:
        """Take what has come; answer hellos."""
        while True:
            try:
                peer, header, payload = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            _, kind, _, _, destination, source, sequence = HEADER.unpack(header)
            self.heard.append(Heard(peer, kind, destination, source, sequence, payload))
            if kind == Kind.HELLO and self.answer_hello:
                # On a loaded machine the link may have given this socket up by now.
                with suppress(zmq.ZMQError):
                    self.send(peer, Kind.HELLO_ACK, encode_hello_ack(1 << 20, 200))

    def of_kind(self, kind: Kind) -> list[Heard]:
        """Read, then return all frames of that kind so far."""
        self.read()
        return [frame for frame in self.heard if frame.kind == kind]

    def send(
        self, peer: bytes, kind: int, payload: bytes, destination: int = 0, skip: int = 0
    ) -> None:
        """Send a frame; `skip` leaves numbers of the sequence out."""
        sequence = self._sequences.get(peer, 0) + 1 + skip
        self._sequences[peer] = sequence
        header = HEADER.pack(PROTOCOL_VERSION, kind, 0, 0, destination, 0, sequence)
        self._socket.send_multipart([peer, header, payload])

    def send_raw(self, peer: bytes, *parts: bytes) -> None:
        """Send parts as they are."""
        self._socket.send_multipart([peer, *parts])

    def close(self, linger_ms: int = 0) -> None:
        """Close the socket: all connections end, after what was sent if it may linger."""
        self._socket.close(linger=linger_ms)


@dataclass(frozen=True)
class Plans:
    """A topology of a spout and a bolt, packed into two containers of two tasks each."""

    topology: Topology
    packing: PackingPlan


@pytest.fixture(scope="session")
def plans() -> Plans:
    shuffled = InputStream("line", "default", Grouping(GroupingKind.SHUFFLE))
    lines = OutputStream("default", ("line",))
    spout = Component("line", ComponentKind.SPOUT, "app:Lines", parallelism=2, outputs=(lines,))
    bolt = Component("split", ComponentKind.BOLT, "app:Split", parallelism=2, inputs=(shuffled,))
    need = Resources(1.0, 1 << 30, 1 << 30)
    containers = tuple(
        ContainerPlan(
            number,
            (
                ProcessPlan(f"line-{number}", "line", ((number,),), need),
                ProcessPlan(f"split-{number + 2}", "split", ((number + 2,),), need),
            ),
            need + need,
        )
        for number in (1, 2)
    )
    topology = Topology("words", (spout, bolt), id="words-1")
    return Plans(topology, PackingPlan(1, containers, "round_robin"))


@pytest.fixture
def zmq_context() -> Iterator[zmq.Context]:
    context = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def make_router(
    zmq_context: zmq.Context, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., ScriptedRouter]]:
    folder = tmp_path_factory.mktemp("r")
    made: list[ScriptedRouter] = []

    def make(endpoint: str = "") -> ScriptedRouter:
        made.append(ScriptedRouter(zmq_context, endpoint or f"ipc://{folder}/{len(made)}"))
        return made[-1]

    yield make
    for each in made:
        each.close()
