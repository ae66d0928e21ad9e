"""What an instance does about a loss: tells its stream manager, and fails trees after a grace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from heronshim.core.codec.link import (
    decode_loss_notice,
    decode_loss_notice_ack,
    encode_loss_notice,
    encode_loss_notice_ack,
)
from heronshim.core.plan.topology import Dialect
from heronshim.core.stream.event_buffer import EventBuffer
from heronshim.core.stream.frame import Kind
from heronshim.core.stream.loss import REPEAT_NS, LossNotice
from heronshim.errors import RemoteProtocolError
from heronshim.instance.losses import InstanceLosses
from tests.unit.instance.loop import SHUFFLE, Feed, Hold, Loop, bolt, output, spout

S_NS = 1_000_000_000
GONE = LossNotice("stmgr-1/1/1", (2,), (1,), "link of b-1 ended")


def make_loop(**options: Any) -> Loop:
    """Spout "s" (task 2) to bolt "b" (task 1), which holds its tuples."""
    bolt_options = options.pop("bolt_options", {})
    loop = Loop(
        [spout("s"), bolt("b", {"s": SHUFFLE}, output(), options=bolt_options)],
        {"s": Feed, "b": Hold},
        **options,
    )
    loop.open()
    return loop


def emit(loop: Loop, *ids: Any) -> None:
    loop.feed([([str(id_)], id_) for id_ in ids])
    loop.run()


def hear(loop: Loop, notice: LossNotice = GONE, component: str = "s") -> None:
    payload = encode_loss_notice(notice)
    loop.runtimes[component].on_frame(Kind.LOSS_NOTICE, 0, 0, payload, loop.now_ns)
    # What is opened within the same microsecond counts as opened before.
    loop.now_ns += 1000


def after(loop: Loop, seconds: float) -> list[Any]:
    """Let time pass and return the ids that failed so far."""
    loop.now_ns += int(seconds * S_NS)
    loop.run()
    return loop.one("s").failed


def notices(loop: Loop, component: str = "s") -> list[LossNotice]:
    """Return the notices that a process sends now."""
    loop.sent.clear()
    loop.collect(component)
    return [decode_loss_notice(frame.payload) for frame in loop.of_kind(Kind.LOSS_NOTICE)]


def test_trees_open_at_a_notice_fail_after_a_second():
    loop = make_loop()
    emit(loop, 1, 2)
    hear(loop)
    emit(loop, 3)
    assert after(loop, 0.999) == []
    assert sorted(after(loop, 0.001)) == [1, 2]
    assert loop.pending() == 1
    counts = loop.counts("s")
    assert counts["loss_notice_count"] == 1
    assert counts["trees_failed_on_loss"] == 2
    assert counts["fail_count"] == 2
    assert counts["timeout_count"] == 0
    assert ("trees_failed_on_loss", {"task": 2, "trees": 2, "cause": GONE.cause}) in (
        loop.runtimes["s"].losses.log
    )


def test_deadline_of_the_process_is_the_end_of_the_grace():
    loop = make_loop(metrics_interval_s=60.0)
    emit(loop, 1)
    hear(loop)
    assert loop.runtimes["s"].next_deadline_ns() == loop.now_ns - 1000 + S_NS


def test_trees_that_complete_in_their_grace_are_counted_apart():
    loop = make_loop()
    emit(loop, 1, 2)
    hear(loop)
    emit(loop, 3)
    held = loop.one("b")
    for tup in held.got:
        held.ack(tup)
    assert after(loop, 0.5) == []
    assert loop.one("s").acked == [1, 2, 3]
    assert after(loop, 9) == []
    counts = loop.counts("s")
    assert counts["trees_completed_after_loss"] == 2
    assert counts["trees_failed_on_loss"] == 0


def test_grace_is_four_times_the_latency_that_the_spout_saw():
    loop = make_loop()
    held = loop.one("b")
    emit(loop, *range(10))
    loop.now_ns += S_NS
    for tup in held.got:
        held.ack(tup)
    loop.run()
    emit(loop, "open")
    # The latency is known after it was reported too, and after intervals without trees.
    loop.now_ns += S_NS // 10
    loop.report()
    loop.report()
    hear(loop)
    assert after(loop, 3) == []
    assert after(loop, 2) == ["open"]


@pytest.mark.parametrize(
    "options",
    [
        {"fail_fast": False},
        {"message_timeout_s": 3.9},
        {"bolt_options": {"holds_tuples": True}},
        {"delivery": "at_most_once"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_where_fail_fast_is_off_a_notice_is_only_counted(options):
    loop = make_loop(**options)
    emit(loop, 1)
    hear(loop)
    assert after(loop, 2) == []
    assert loop.counts("s")["loss_notice_count"] == 1
    assert loop.counts("s")["trees_failed_on_loss"] == 0


@pytest.mark.parametrize(
    ("dialect", "options", "failed"),
    [
        (Dialect.HERONSHIM, {}, [1]),
        (Dialect.STORM, {}, []),
        (Dialect.HERON, {}, []),
        (Dialect.STORM, {"fail_fast": True}, [1]),
    ],
)
def test_topologies_of_storm_and_heron_wait_for_the_timeout(dialect, options, failed):
    loop = Loop([spout("s"), bolt("b", {"s": SHUFFLE})], {"s": Feed, "b": Hold}, **options)
    loop.push(replace(loop.plan, topology=replace(loop.plan.topology, dialect=dialect)))
    loop.open()
    emit(loop, 1)
    hear(loop)
    assert after(loop, 2) == failed


def test_timeouts_and_resets_go_on_beside_a_grace():
    loop = make_loop(message_timeout_s=8.0)
    emit(loop, "hit")
    hear(loop)
    emit(loop, "reset", "late")
    assert after(loop, 1.5) == ["hit"]
    loop.now_ns += 6 * S_NS
    loop.run()
    held = loop.one("b")
    held.reset_timeout(held.got[1])
    loop.run()
    assert after(loop, 3) == ["hit", "late"]
    assert after(loop, 7) == ["hit", "late", "reset"]


def test_tree_reset_after_a_notice_has_its_whole_timeout():
    loop = make_loop()
    emit(loop, 1, 2)
    hear(loop)
    held = loop.one("b")
    loop.now_ns += S_NS // 2
    held.reset_timeout(held.got[0])
    loop.run()
    assert after(loop, 1) == [2]
    assert after(loop, 25) == [2]
    assert sorted(after(loop, 20)) == [1, 2]


def test_each_copy_of_a_notice_is_acknowledged_and_the_first_applied():
    loop = make_loop()
    emit(loop, 1)
    loop.sent.clear()
    hear(loop)
    hear(loop)
    loop.collect("s")
    acks = [decode_loss_notice_ack(frame.payload) for frame in loop.of_kind(Kind.LOSS_NOTICE_ACK)]
    assert acks == [GONE.id, GONE.id]
    assert loop.counts("s")["loss_notice_count"] == 1


def test_notice_that_is_not_about_a_task_of_the_process_is_acknowledged_only():
    loop = make_loop()
    hear(loop, LossNotice("x/1/1", (77,), (78,), "elsewhere"))
    hear(loop, component="b")
    assert loop.counts("s")["loss_notice_count"] == 0


def test_lost_link_is_told_to_the_stream_manager_until_it_has_the_notice():
    loop = make_loop()
    runtime = loop.runtimes["b"]
    runtime.losses.on_link_lost("connection closed by the peer", loop.now_ns)
    runtime.on_new_link()
    (told,) = notices(loop, "b")
    assert told == LossNotice("b-1/1/1", (2,), (1, 2), "connection closed by the peer")
    assert notices(loop, "b") == []
    loop.now_ns += REPEAT_NS
    assert notices(loop, "b") == [told]
    runtime.on_new_link()
    assert notices(loop, "b") == [told]
    runtime.on_frame(Kind.LOSS_NOTICE_ACK, 0, 0, encode_loss_notice_ack(told.id), loop.now_ns)
    loop.now_ns += REPEAT_NS
    runtime.on_new_link()
    assert notices(loop, "b") == []


def test_spout_applies_the_loss_of_its_own_link_at_once_and_once():
    loop = make_loop()
    emit(loop, 1)
    loop.runtimes["s"].losses.on_link_lost("connection closed by the peer", loop.now_ns)
    (told,) = notices(loop)
    hear(loop, told)
    assert after(loop, 1) == [1]
    assert loop.counts("s")["loss_notice_count"] == 1


def test_what_has_no_plan_yet_has_lost_nothing():
    fresh = InstanceLosses("s-2", 1, [2], EventBuffer("s-2", 1, 1, lambda: 0))
    fresh.on_link_lost("connection closed by the peer", 0)
    fresh.on_notice(encode_loss_notice(GONE), 0)
    assert [kind for kind, *_ in fresh.take_frames(0)] == [Kind.LOSS_NOTICE_ACK]


@pytest.mark.parametrize("kind", [Kind.LOSS_NOTICE, Kind.LOSS_NOTICE_ACK])
def test_damaged_notices_are_refused(kind):
    loop = make_loop()
    with pytest.raises(RemoteProtocolError):
        loop.runtimes["s"].on_frame(kind, 0, 0, b"\xff", loop.now_ns)
