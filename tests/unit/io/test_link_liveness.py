"""Who is silent on the links of a real ROUTER, under a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from heronshim.core.io.dealer_link import DealerLink
from heronshim.core.io.heartbeats import Beat
from heronshim.core.io.link_liveness import LinkLiveness
from heronshim.core.io.router_links import RouterLinks
from heronshim.core.io.sockets import router
from heronshim.core.io.tokens import process_token
from heronshim.core.plan.topology import METRICSMGR_TASK
from heronshim.core.stream.link import Hello, Role
from heronshim.core.stream.liveness import LOOK_NS

SECRET = bytes(range(32))
S = 1_000_000_000
LIMIT_NS = 30 * S
PATIENCE_MS = 20_000


class World:
    """A ROUTER and processes that connect to it; one turn is LOOK_NS of the test's clock."""

    def __init__(self, context: zmq.Context, endpoint: str) -> None:
        self.context, self.endpoint = context, endpoint
        self.socket = router(context)
        self.socket.bind(endpoint)
        self.links = RouterLinks(self.socket, SECRET, "words-1", lambda _: None)
        self.liveness = LinkLiveness(self.links, LIMIT_NS)
        self.peers: dict[str, DealerLink] = {}
        self.now_ns = 1000 * S

    def join(self, process: str, role: Role = Role.INSTANCE, tasks: tuple[int, ...] = (1,)):
        token = process_token(SECRET, "words-1", process, 7)
        link = DealerLink(
            self.context, Hello("words-1", role, process, 7, 0, token, tasks), zmq.Poller()
        )
        link.connect(self.endpoint, self.now_ns)
        while not link.up:
            assert self.socket.poll(PATIENCE_MS)
            self.read()
            assert link.socket is not None
            assert link.socket.poll(PATIENCE_MS)
            link.receive(self.now_ns)
        self.peers[process] = link

    def read(self) -> None:
        while self.links.receive(self.now_ns) is not None:
            pass

    def turn(self, *silent: str) -> Beat:
        """Let all but `silent` ones heartbeat, then look."""
        self.now_ns += LOOK_NS
        speaking = set(self.peers) - set(silent)
        for process in speaking:
            self.peers[process].tick(self.now_ns)
        end = {link.hello.process: link for link in self.links.links()}
        while any(end[process].heard_ns < self.now_ns for process in speaking):
            assert self.socket.poll(PATIENCE_MS)
            self.read()
        return self.liveness.look(self.now_ns)


@pytest.fixture
def world(zmq_context: zmq.Context, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("l")
    made = World(zmq_context, f"ipc://{folder}/s")
    yield made
    for link in made.peers.values():
        link.close("end of test", made.now_ns)
    made.socket.close(linger=0)


def test_a_silent_process_is_suspected_and_not_told_of_until_it_speaks(world: World) -> None:
    world.join("count-1")
    world.join("count-2")
    assert set(world.turn().heard) == {("count-1", 7), ("count-2", 7)}
    beats = [world.turn("count-2") for _ in range(5)]
    assert beats[0].heard == (("count-1", 7),)
    assert beats[0].suspected == ()
    assert beats[-1] == Beat((("count-1", 7),), ("count-2",))
    gauges = {"suspected_process_count": 1.0, "suspected/count-2": 1.0}
    assert world.liveness.gauges() == gauges
    assert world.links.ended == []
    assert set(world.turn().heard) == {("count-1", 7), ("count-2", 7)}
    assert world.liveness.suspected == ()
    assert world.liveness.gauges() == dict.fromkeys(gauges, 0.0)


def test_a_link_that_ended_is_no_silence(world: World) -> None:
    world.join("count-1")
    world.turn()
    for _ in range(5):
        world.turn("count-1")
    assert world.liveness.suspected == ("count-1",)
    world.links.end(world.links.links()[0], "gone")
    world.peers["count-1"].close("gone", world.now_ns)
    del world.peers["count-1"]
    assert world.turn() == Beat((), ())


def test_only_links_that_stand_for_their_process_are_judged(world: World) -> None:
    world.join("metricsmgr-1", Role.METRICSMGR, (METRICSMGR_TASK,))
    world.join("stmgr-2", Role.STMGR, ())
    world.join("client-00000001", Role.CLIENT, ())
    world.join("tmaster-sink-1", Role.METRICSMGR, ())
    assert set(world.turn().heard) == {("metricsmgr-1", 7), ("stmgr-2", 7)}
    for _ in range(5):
        world.turn(*world.peers)
    assert world.liveness.suspected == ("metricsmgr-1", "stmgr-2")


def test_a_process_that_was_stopped_itself_suspects_nobody_at_once(world: World) -> None:
    world.join("count-1")
    world.turn()
    world.now_ns += 3600 * S
    assert world.liveness.look(world.now_ns) == Beat((), ())
    assert world.turn() == Beat((("count-1", 7),), ())
