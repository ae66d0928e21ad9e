"""What a stream manager tells of losses, as a process between instances and peers of the test."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from heronshim.core.codec.link import (
    decode_loss_notice,
    decode_loss_notice_ack,
    encode_credit,
    encode_loss_notice,
    encode_loss_notice_ack,
)
from heronshim.core.codec.metrics import metrics_from_bytes
from heronshim.core.plan.topology import METRICSMGR_TASK
from heronshim.core.spi.metrics_sink import MetricsRecord
from heronshim.core.stream.frame import Kind
from heronshim.core.stream.link import Role
from heronshim.core.stream.loss import LossNotice
from heronshim.errors import ErrorCode
from tests.unit.daemons.test_stmgr_process import DEADLINE_S, Instance, Stmgr, joined

pytestmark = pytest.mark.system
HEARD = LossNotice("stmgr-2/9/1", (2,), (1, 2, 4), "link of split-4 ended")


class Cluster(Stmgr):
    """Container 1's stream manager, its spout and bolt, and the peer of container 2."""

    def __init__(self, folder: Any, context: zmq.Context, plans: Any, make_router: Any) -> None:
        self.peer = make_router(f"ipc://{folder}/s2")
        super().__init__(folder, context, plans, make_router())
        self.spout = self.join("line-1", 1)
        self.bolt = self.join("split-3", 3)
        self.push_plan()
        self.wait(lambda: self.spout.of_kind(Kind.PLAN) and self.bolt.of_kind(Kind.PLAN), "plans")
        self.wait(lambda: self.peer.of_kind(Kind.HEARTBEAT), "the link to the peer")

    def told_peer(self) -> list[LossNotice]:
        return [decode_loss_notice(each.payload) for each in self.peer.of_kind(Kind.LOSS_NOTICE)]

    def total(self, name: str) -> float:
        """Return what a count adds up to when the stream manager reports next."""
        now_ms = time.time_ns() // 1_000_000
        manager = self.join("metricsmgr-1", METRICSMGR_TASK, role=Role.METRICSMGR)

        def records() -> list[MetricsRecord]:
            frames = manager.of_kind(Kind.METRICS)
            return [metrics_from_bytes(frame[2], "words") for frame in frames if frame[1] == 0]

        self.wait(lambda: any(record.time_ms > now_ms for record in records()), "a report")
        return sum(record.sums.get(name, 0.0) for record in records())


@pytest.fixture
def cluster(
    tmp_path_factory: pytest.TempPathFactory, zmq_context: zmq.Context, plans: Any, make_router: Any
) -> Iterator[Cluster]:
    running = Cluster(tmp_path_factory.mktemp("st"), zmq_context, plans, make_router)
    yield running
    for instance in running.made:
        instance.close()
    running.manager.close()
    running.process.terminate()
    assert running.process.wait(DEADLINE_S) == 0
    running.log.close()


def told(instance: Instance) -> list[LossNotice]:
    return [decode_loss_notice(payload) for _, _, payload in instance.of_kind(Kind.LOSS_NOTICE)]


def vanish(instance: Instance) -> None:
    """End a link without a bye."""
    instance.link.connect("", time.monotonic_ns())


def test_dead_instance_is_told_to_the_peer_and_the_local_spout_until_each_has_it(cluster) -> None:
    vanish(cluster.bolt)
    cluster.wait(lambda: len(told(cluster.spout)) >= 2, "the notice and its repetition")
    cluster.wait(lambda: len(cluster.told_peer()) >= 2, "the same at the peer")
    notice = told(cluster.spout)[0]
    assert (notice.sources, notice.destinations) == ((1, 2), (1, 2, 3))
    assert "split-3" in notice.cause
    assert {item.id for item in told(cluster.spout) + cluster.told_peer()} == {notice.id}
    ack = encode_loss_notice_ack(notice.id)
    cluster.spout.link.send(Kind.LOSS_NOTICE_ACK, ack, 0, 1)
    peer = cluster.peer.of_kind(Kind.HELLO)[-1].peer
    cluster.peer.send(peer, Kind.LOSS_NOTICE_ACK, ack)
    assert cluster.total("loss_notice_count") == 1
    heard = len(told(cluster.spout)), len(cluster.told_peer())
    later = time.monotonic() + 1
    cluster.wait(lambda: time.monotonic() > later, "a second")
    # One more may have been on its way.
    assert len(told(cluster.spout)) <= heard[0] + 1
    assert len(cluster.told_peer()) <= heard[1] + 1


def test_instance_that_said_bye_is_no_loss(cluster) -> None:
    cluster.bolt.link.say_bye("stopped", time.monotonic_ns())
    cluster.wait(lambda: cluster.bolt.events[-1].kind == "ended", "the end")
    assert cluster.bolt.events[-1].clean
    assert cluster.total("loss_notice_count") == 0
    assert told(cluster.spout) == cluster.told_peer() == []


def test_lost_last_frame_of_an_instance_shows_by_the_heartbeat(cluster) -> None:
    """The frame leaves a hole in the numbers; nothing is sent after it but the heartbeat."""
    cluster.bolt.link._sequence += 1
    cluster.wait(lambda: told(cluster.spout), "the notice")
    assert "1 frame before frame" in told(cluster.spout)[0].cause
    cluster.wait(joined(cluster.bolt), "the next link")
    assert cluster.total("lost_frame_count") == 1


def test_notice_of_a_peer_goes_to_local_spouts_only_and_its_copies_are_dropped(cluster) -> None:
    peer = cluster.join("stmgr-2", role=Role.STMGR, container=2)
    cluster.wait(joined(peer), "the peer's link")
    for _ in range(3):
        peer.link.send(Kind.LOSS_NOTICE, encode_loss_notice(HEARD))
    acks = cluster.wait(
        lambda: len(peer.of_kind(Kind.LOSS_NOTICE_ACK)) == 3 and peer.of_kind(Kind.LOSS_NOTICE_ACK),
        "three acknowledgements",
    )
    assert {decode_loss_notice_ack(payload) for _, _, payload in acks} == {HEARD.id}
    cluster.wait(lambda: told(cluster.spout), "the notice")
    assert told(cluster.spout)[0] == HEARD
    cluster.spout.link.send(Kind.LOSS_NOTICE_ACK, encode_loss_notice_ack(HEARD.id), 0, 1)
    assert told(cluster.bolt) == cluster.told_peer() == []
    assert cluster.total("loss_notice_count") == 0


def test_credit_of_a_peer_that_no_frame_needs_ends_that_link(cluster) -> None:
    hellos = len(cluster.peer.of_kind(Kind.HELLO))
    peer = cluster.peer.of_kind(Kind.HELLO)[-1].peer
    for grant in (1 << 40, (1 << 63) - 1):
        cluster.peer.send(peer, Kind.CREDIT, encode_credit({2: grant, 4: grant}))
    cluster.wait(lambda: len(cluster.peer.of_kind(Kind.HELLO)) > hellos, "another hello")
    cluster.wait(lambda: told(cluster.spout), "the notice")
    assert "at most" in told(cluster.spout)[0].cause
    assert cluster.total("bad_frame_count") == 1


def test_plan_that_cannot_be_read_ends_the_link_to_its_tmaster(cluster) -> None:
    hellos = len(cluster.master.of_kind(Kind.HELLO))
    master = cluster.master.of_kind(Kind.HELLO)[-1].peer
    cluster.master.send(master, Kind.PLAN, b"\xff")
    cluster.wait(lambda: len(cluster.master.of_kind(Kind.HELLO)) > hellos, "another hello")
    assert cluster.total("bad_frame_count") == 1


def test_notice_of_an_instance_is_passed_on_but_not_back(cluster) -> None:
    own = LossNotice("split-3/1/1", (1, 2), (3,), "link of split-3 ended")
    cluster.bolt.link.send(Kind.LOSS_NOTICE, encode_loss_notice(own), 0, 3)
    cluster.wait(lambda: cluster.bolt.of_kind(Kind.LOSS_NOTICE_ACK), "the acknowledgement")
    cluster.wait(lambda: told(cluster.spout) and cluster.told_peer(), "the notice")
    assert told(cluster.spout)[0] == cluster.told_peer()[0] == own
    other = LossNotice("line-1/1/1", (1,), (3, 4), "link of line-1 ended")
    cluster.spout.link.send(Kind.LOSS_NOTICE, encode_loss_notice(other), 0, 1)
    cluster.wait(lambda: cluster.spout.of_kind(Kind.LOSS_NOTICE_ACK), "the acknowledgement")
    later = time.monotonic() + 0.5
    cluster.wait(lambda: time.monotonic() > later, "half a second")
    assert other not in told(cluster.spout)


def test_dead_peer_is_a_loss_for_those_who_send_to_it(cluster) -> None:
    cluster.peer.close()
    cluster.wait(lambda: told(cluster.spout), "the notice")
    notice = told(cluster.spout)[0]
    assert (notice.sources, notice.destinations) == ((1,), (2, 4))
    assert "stmgr-2" in notice.cause


def test_peers_link_to_here_is_used_by_what_it_sends(cluster) -> None:
    peer = cluster.join("stmgr-2", role=Role.STMGR, container=2)
    cluster.wait(joined(peer), "the peer's link")
    vanish(peer)
    cluster.wait(cluster.told_peer, "the notice at the peer, whose spout it concerns")
    notice = cluster.told_peer()[0]
    assert (notice.sources, notice.destinations) == ((2,), (1, 3))


def test_peer_of_another_name_is_refused(cluster) -> None:
    stranger = cluster.join("stmgr-2", role=Role.STMGR, container=3)
    cluster.wait(lambda: ErrorCode.TASK in stranger.refusals(), "a refusal")


def test_instance_speaks_for_its_own_tasks_only(cluster) -> None:
    cluster.bolt.link.send(Kind.OUTCOMES, b"forged", 1, 4)
    cluster.wait(lambda: ErrorCode.TASK in cluster.bolt.refusals(), "a refusal")
    (refusal,) = [event for event in cluster.bolt.events if event.code is ErrorCode.TASK]
    assert refusal.cause == '"split-3" sent a frame of task 4; its tasks are 3'
    assert cluster.total("foreign_source_count") == 1
    assert cluster.spout.of_kind(Kind.OUTCOMES) == []


def test_damaged_notices_end_the_link_of_who_sent_them(cluster) -> None:
    for kind in (Kind.LOSS_NOTICE, Kind.LOSS_NOTICE_ACK):
        cluster.bolt.events.clear()
        cluster.bolt.link.send(kind, b"\xff", 0, 3)
        cluster.wait(lambda: ErrorCode.MALFORMED in cluster.bolt.refusals(), "a refusal")
        cluster.wait(joined(cluster.bolt), "the next link")


def test_stream_manager_that_stops_says_bye_to_who_lost_nothing(cluster) -> None:
    cluster.process.send_signal(signal.SIGTERM)
    for instance in (cluster.spout, cluster.bolt):
        cluster.wait(
            lambda each=instance: "ended" in [event.kind for event in each.events], "the end"
        )
        (end,) = [event for event in instance.events if event.kind == "ended"]
        assert end.clean
    cluster.wait(lambda: cluster.process.poll() is not None, "its end")


def test_frame_that_a_stopping_stream_manager_did_not_take_is_lost(cluster) -> None:
    cluster.process.send_signal(signal.SIGSTOP)
    cluster.bolt.link.send(Kind.OUTCOMES, b"never read", 1, 3)
    cluster.process.send_signal(signal.SIGTERM)
    cluster.process.send_signal(signal.SIGCONT)
    cluster.wait(lambda: "ended" in [event.kind for event in cluster.bolt.events], "the end")
    # It may read the frame in its last turn: then it has passed it on, and the bye says so.
    (end,) = [event for event in cluster.bolt.events if event.kind == "ended"]
    assert end.clean == bool(cluster.spout.of_kind(Kind.OUTCOMES))
    cluster.wait(lambda: cluster.process.poll() is not None, "its end")


def test_without_a_tmaster_it_works_by_the_plan_of_the_state(
    tmp_path_factory, zmq_context, plans, make_router
) -> None:
    """Killed while the TMaster is dead: its successor has the plan, and hears of the loss."""
    folder = tmp_path_factory.mktemp("st")
    master = make_router()
    running = Stmgr(folder, zmq_context, plans, master)
    try:
        master.answer_hello = False
        running.nodes.write_physical_plan(running.plan(), running.leadership)
        spout = running.join("line-1", 1)
        running.wait(lambda: spout.of_kind(Kind.PLAN), "the stored plan")
        bolt = running.join("split-3", 3)
        running.wait(lambda: bolt.of_kind(Kind.PLAN), "the stored plan")
        vanish(bolt)
        running.wait(lambda: told(spout), "the notice")
    finally:
        for instance in running.made:
            instance.close()
        running.manager.close()
        running.process.terminate()
        assert running.process.wait(DEADLINE_S) == 0
        running.log.close()
