"""A link: hello, sequences from 1, and a new socket with the next attempt after each end."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import pytest
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
)
from heronshim.core.io.dealer_link import DealerLink, LinkEvent, LinkEventKind, LinkState
from heronshim.core.stream.frame import HEADER, Kind
from heronshim.core.stream.link import Bye, Hello, Role
from heronshim.errors import ErrorCode

DEADLINE_S = 60.0
HELLO = Hello("words-1", Role.STMGR, "stmgr-1", incarnation=7, attempt=0, token="t", container=1)


class Driver:
    """Runs a link's loop and keeps what it says."""

    def __init__(self, context: zmq.Context, **options: int) -> None:
        self.poller = zmq.Poller()
        self.link = DealerLink(context, HELLO, self.poller, **options)
        self.events: list[LinkEvent] = []
        self.frames = []

    def turn(self) -> None:
        wait_ns = min(5_000_000, self.link.next_deadline_ns() - time.monotonic_ns())
        self.poller.poll(max(0, wait_ns // 1_000_000))
        now_ns = time.monotonic_ns()
        self.link.tick(now_ns)
        while (frame := self.link.receive(now_ns)) is not None:
            self.frames.append(frame)
        self.events += self.link.take_events()

    def until(self, done: Callable[[], object], what: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while not done():
            if time.monotonic() > end:
                pytest.fail(f"waited for {what}; link is {self.link.state} ({self.link.failure})")
            self.turn()

    def kinds(self) -> list[LinkEventKind]:
        return [event.kind for event in self.events]


@pytest.fixture
def driver(zmq_context):
    driver = Driver(zmq_context)
    yield driver
    driver.link.close("test is over", time.monotonic_ns())


def join(driver: Driver, peer) -> bytes:
    """Bring the link up and return the router's name of it."""
    driver.link.connect(peer.endpoint, time.monotonic_ns())
    driver.until(lambda: (peer.read(), driver.link.up)[1], "hello-ack")
    return peer.of_kind(Kind.HELLO)[-1].peer


def test_frames_flow_both_ways_after_hello_ack(driver, make_router):
    peer = make_router()
    assert not driver.link.send(Kind.METRICS, b"too early")
    name = join(driver, peer)
    assert driver.link.send(Kind.METRICS, b"one", destination=-2, source=4)
    peer.send(name, Kind.PLAN, b"plan", destination=9)
    driver.until(lambda: driver.frames and peer.of_kind(Kind.METRICS), "both frames")

    hello = decode_hello(peer.of_kind(Kind.HELLO)[0].payload)
    assert (hello.process, hello.attempt, hello.incarnation) == ("stmgr-1", 1, 7)
    assert peer.of_kind(Kind.HELLO)[0].sequence == 0
    got = peer.of_kind(Kind.METRICS)[0]
    assert (got.payload, got.destination, got.source, got.sequence) == (b"one", -2, 4, 1)
    frame = driver.frames[0]
    assert (frame.kind, frame.destination, frame.payload.bytes) == (Kind.PLAN, 9, b"plan")
    assert driver.kinds() == [LinkEventKind.JOINED]


def test_heartbeats_carry_the_last_sequence(driver, make_router):
    peer = make_router()
    join(driver, peer)
    driver.link.send(Kind.METRICS, b"one")
    driver.until(lambda: len(peer.of_kind(Kind.HEARTBEAT)) >= 2, "two heartbeats")
    first, second = peer.of_kind(Kind.HEARTBEAT)[:2]
    assert (decode_heartbeat(first.payload), first.sequence) == (1, 2)
    assert (decode_heartbeat(second.payload), second.sequence) == (2, 3)


def test_missing_router_is_tried_again_until_it_comes(driver, make_router, tmp_path):
    endpoint = f"ipc://{tmp_path}/late"
    driver.link.connect(endpoint, time.monotonic_ns())
    driver.until(lambda: driver.link.attempt == 3, "three attempts")
    peer = make_router(endpoint)
    join(driver, peer)
    assert decode_hello(peer.of_kind(Kind.HELLO)[-1].payload).attempt == driver.link.attempt >= 3
    assert driver.kinds() == [LinkEventKind.JOINED]


def test_connect_to_the_same_endpoint_ends_the_back_off_and_no_link(driver, make_router, tmp_path):
    endpoint = f"ipc://{tmp_path}/late"
    driver.link.connect(endpoint, time.monotonic_ns())
    driver.until(lambda: driver.link.state is LinkState.WAITING, "the back-off")
    now_ns = time.monotonic_ns()
    driver.link.connect(endpoint, now_ns)
    assert driver.link.attempt == 2
    assert driver.link.state is LinkState.GREETING
    peer = make_router(endpoint)
    join(driver, peer)
    attempt = driver.link.attempt
    driver.link.connect(endpoint, time.monotonic_ns())
    assert driver.link.up
    assert driver.link.attempt == attempt


def test_silent_router_gets_a_new_socket_for_each_attempt(driver, make_router):
    peer = make_router()
    peer.answer_hello = False
    driver.link.connect(peer.endpoint, time.monotonic_ns())
    driver.until(lambda: len(peer.of_kind(Kind.HELLO)) >= 3, "three hellos")
    hellos = peer.of_kind(Kind.HELLO)[:3]
    assert [decode_hello(hello.payload).attempt for hello in hellos] == [1, 2, 3]
    assert len({hello.peer for hello in hellos}) == 3
    assert "no answer" in driver.link.failure or driver.link.state is LinkState.GREETING


def test_answer_that_came_while_the_owner_was_busy_is_still_read(driver, make_router):
    peer = make_router()
    start_ns = time.monotonic_ns()
    driver.link.connect(peer.endpoint, start_ns)
    end = time.monotonic() + DEADLINE_S
    while not driver.link.socket.poll(5):
        peer.read()
        assert time.monotonic() < end
    late_ns = start_ns + 60_000_000_000
    driver.link.tick(late_ns)
    driver.link.receive(late_ns)
    assert driver.link.up
    assert driver.link.attempt == 1


def test_closed_router_ends_the_link_and_what_was_read_is_in_order(driver, make_router):
    peer = make_router()
    name = join(driver, peer)
    for number in range(100):
        peer.send(name, Kind.PLAN, b"%d" % number)
    driver.until(lambda: driver.frames, "the first frame")
    peer.close(linger_ms=20_000)
    driver.until(lambda: LinkEventKind.ENDED in driver.kinds(), "the end")
    # A heartbeat of ours that meets the closed socket may cost frames that were not read yet.
    numbers = [int(frame.payload.bytes) for frame in driver.frames]
    assert numbers == list(range(len(numbers)))
    again = make_router(peer.endpoint)
    join(driver, again)
    assert driver.link.last_sequence < 100


@pytest.mark.parametrize(
    ("skip", "last", "lost", "text"),
    [
        (3, 4, 3, "3 frames before frame 6 never came"),
        (0, 9, 7, "7 frames up to frame 9 never came"),
        (-1, 1, 0, "frame 2 came again"),
    ],
    ids=["gap", "heartbeat ahead", "again"],
)
def test_frame_that_does_not_follow_ends_the_link_which_comes_again(
    driver, make_router, skip, last, lost, text
):
    peer = make_router()
    name = join(driver, peer)
    peer.send(name, Kind.PLAN, b"a")
    peer.send(name, Kind.HEARTBEAT, encode_heartbeat(last), skip=skip)
    driver.until(lambda: LinkEventKind.ENDED in driver.kinds(), "the end")
    assert text in driver.events[-1].cause
    assert not driver.events[-1].clean
    assert driver.link.lost_frame_count == lost
    join(driver, peer)
    peer.send(peer.of_kind(Kind.HELLO)[-1].peer, Kind.PLAN, b"b")
    driver.until(lambda: len(driver.frames) == 2, "the frame of the new link")


def test_error_is_read_whatever_its_number(driver, make_router):
    """One who knows this link no more numbers its answer from 1."""
    peer = make_router()
    name = join(driver, peer)
    header = HEADER.pack(1, Kind.ERROR, 0, 0, 0, 0, 1)
    peer.send_raw(name, header, encode_error(ErrorCode.NO_HELLO, "who are you"))
    driver.until(lambda: LinkEventKind.ENDED in driver.kinds(), "the end")
    assert driver.kinds() == [LinkEventKind.JOINED, LinkEventKind.REFUSED, LinkEventKind.ENDED]


def test_error_answer_to_hello_is_reported_and_tried_again(driver, make_router):
    peer = make_router()
    peer.answer_hello = False
    driver.link.connect(peer.endpoint, time.monotonic_ns())

    def refused() -> bool:
        # On a loaded machine a link may have given up when the answer comes.
        for hello in peer.of_kind(Kind.HELLO)[len(answered) :]:
            answered.append(hello)
            with suppress(zmq.ZMQError):
                peer.send(hello.peer, Kind.ERROR, encode_error(ErrorCode.TOKEN, "wrong token"))
        return bool(driver.events)

    answered = []
    driver.until(refused, "the refusal")
    peer.answer_hello = True
    driver.until(lambda: (peer.read(), driver.link.up)[1], "the second attempt")
    assert driver.events[0].code is ErrorCode.TOKEN
    assert driver.events[0].cause == "wrong token"
    assert driver.kinds() == [LinkEventKind.REFUSED, LinkEventKind.JOINED]


@pytest.mark.parametrize(
    ("bye", "clean"),
    [
        (Bye(1, 1, "update"), True),
        (Bye(1, 2), True),
        (Bye(1, 0), False),
        (Bye(3, 1), False),
    ],
    ids=["all taken", "and a heartbeat", "data not taken", "frames lost"],
)
def test_bye_of_the_peer_is_clean_when_both_sides_have_all_tuples(driver, make_router, bye, clean):
    peer = make_router()
    name = join(driver, peer)
    assert driver.link.send(Kind.DATA, b"tuples")
    assert driver.link.send(Kind.CREDIT, b"")
    peer.send(name, Kind.BYE, encode_bye(bye))
    driver.until(lambda: LinkEventKind.ENDED in driver.kinds(), "the end")
    assert driver.events[-1].clean == clean
    if bye.last_sequence == 1:
        driver.until(lambda: peer.of_kind(Kind.BYE_ACK), "bye-ack")
        assert decode_bye_ack(peer.of_kind(Kind.BYE_ACK)[0].payload) == 2
    driver.until(lambda: (peer.read(), driver.link.up)[1], "the next link")


@pytest.mark.parametrize(("acked", "clean"), [(1, True), (3, True), (0, False)])
def test_own_bye_is_clean_when_the_peer_had_all_tuples(driver, make_router, acked, clean):
    peer = make_router()
    name = join(driver, peer)
    assert driver.link.send(Kind.DATA, b"tuples")
    driver.link.say_bye("update", time.monotonic_ns())
    assert driver.link.state is LinkState.CLOSING
    assert not driver.link.send(Kind.DATA, b"too late")
    driver.until(lambda: peer.of_kind(Kind.BYE), "bye")
    bye = decode_bye(peer.of_kind(Kind.BYE)[0].payload)
    assert (bye.last_received, bye.reason) == (1, "update")
    assert bye.last_sequence == peer.of_kind(Kind.BYE)[0].sequence - 1
    peer.send(name, Kind.DATA, b"sent before the bye came")
    peer.send(name, Kind.BYE_ACK, encode_bye_ack(acked))
    driver.until(lambda: LinkEventKind.ENDED in driver.kinds(), "the end")
    assert driver.events[-1].clean == clean
    assert [frame.payload.bytes for frame in driver.frames] == [b"sent before the bye came"]
    assert driver.link.state is LinkState.IDLE


def test_bye_that_nobody_acknowledges_ends_the_link_uncleanly(driver, make_router):
    peer = make_router()
    join(driver, peer)
    driver.link.say_bye("update", time.monotonic_ns())
    driver.until(lambda: LinkEventKind.ENDED in driver.kinds(), "the end")
    assert not driver.events[-1].clean
    assert driver.link.state is LinkState.IDLE
    driver.link.say_bye("again", time.monotonic_ns())
    join(driver, peer)


@pytest.mark.parametrize(
    "parts",
    [
        (b"short", b""),
        (HEADER.pack(1, Kind.PLAN, 0, 0, 0, 0, 2),),
        (HEADER.pack(1, Kind.PLAN, 0, 0, 0, 0, 2), b"", b""),
        (HEADER.pack(9, Kind.PLAN, 0, 0, 0, 0, 2), b""),
    ],
    ids=["short header", "no payload", "three parts", "version"],
)
def test_unreadable_frame_ends_the_link_which_comes_again(driver, make_router, parts):
    peer = make_router()
    name = join(driver, peer)
    peer.send_raw(name, *parts)
    driver.until(lambda: LinkEventKind.ENDED in driver.kinds(), "the end")
    assert not driver.events[-1].clean
    driver.until(lambda: (peer.read(), driver.link.up)[1], "the next link")
    assert driver.link.attempt >= 2


def test_who_answers_no_hello_gets_more_time_with_each_attempt(driver, make_router):
    """Where an answer takes longer than the first attempt allows, none would ever come in time."""
    peer = make_router()
    peer.answer_hello = False
    start_ns = time.monotonic_ns()
    driver.link.connect(peer.endpoint, start_ns)
    now_ns, waits_ms = start_ns, []
    for _ in range(6):
        begun_ns, now_ns = now_ns, driver.link.next_deadline_ns()
        waits_ms.append((now_ns - begun_ns) // 1_000_000)
        driver.link.tick(now_ns)
        now_ns = driver.link.next_deadline_ns()
        driver.link.tick(now_ns)
    assert waits_ms == [250, 500, 1000, 2000, 4000, 4000]
    peer.answer_hello = True
    join(driver, make_router())
    driver.link.connect(peer.endpoint, now_ns)
    assert driver.link.next_deadline_ns() == now_ns + 250_000_000


def test_link_to_a_peer_that_is_silent_beyond_the_limit_ends(zmq_context, make_router):
    driver = Driver(zmq_context, silence_limit_ns=300_000_000)
    peer = make_router()
    join(driver, peer)
    driver.until(lambda: LinkEventKind.ENDED in driver.kinds(), "the end")
    assert driver.events[-1].cause.startswith("silent for ")
    assert not driver.events[-1].clean
    join(driver, peer)
    driver.link.close("test is over", time.monotonic_ns())


def test_who_was_stopped_itself_gives_its_peer_the_whole_limit(zmq_context, make_router):
    driver = Driver(zmq_context, silence_limit_ns=30_000_000_000)
    join(driver, make_router())
    woken_ns = time.monotonic_ns() + 600_000_000_000
    driver.link.tick(woken_ns)
    assert driver.link.up
    for tenth in range(1, 301):
        driver.link.tick(woken_ns + tenth * 100_000_000)
        assert driver.link.up
    driver.link.tick(woken_ns + 30_300_000_000)
    assert driver.link.failure == "silent for 30.3 s"
    driver.link.close("test is over", time.monotonic_ns())


def test_new_endpoint_replaces_the_link_at_once(driver, make_router):
    old, new = make_router(), make_router()
    join(driver, old)
    join(driver, new)
    assert driver.kinds() == [LinkEventKind.JOINED, LinkEventKind.ENDED, LinkEventKind.JOINED]
    assert driver.link.attempt >= 2


def test_close_says_bye_and_rests(driver, make_router):
    peer = make_router()
    join(driver, peer)
    driver.link.close("stop", time.monotonic_ns())
    driver.until(lambda: peer.of_kind(Kind.BYE), "bye")
    assert driver.link.state is LinkState.IDLE
    assert driver.poller.sockets == []
