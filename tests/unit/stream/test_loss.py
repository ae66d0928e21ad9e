"""Who hears of a loss, and that each hears of it once whatever the links do (design 3.6)."""

from __future__ import annotations

from collections import deque
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heronshim.core.codec.link import (
    decode_loss_notice,
    decode_loss_notice_ack,
    encode_loss_notice,
    encode_loss_notice_ack,
)
from heronshim.core.plan.graph import downstream_of
from heronshim.core.plan.physical import PhysicalPlan
from heronshim.core.stream.loss import (
    CAUSE_CHARACTERS_MAX,
    IDS_MAX,
    NOTICES_MAX,
    REPEAT_NS,
    LossDesk,
    LossNotice,
    LossReach,
    NoticeQueue,
    SeenNotices,
)
from heronshim.errors import RemoteProtocolError
from heronshim.wire.v1 import link_pb2
from tests.unit.stream.plans import placed

# lines -> split -> count; clicks -> join, split -> join; alone -> end.
EDGES = {
    "lines": [],
    "clicks": [],
    "alone": [],
    "split": ["lines"],
    "count": ["split"],
    "join": ["clicks", "split"],
    "end": ["alone"],
}
PLAN = placed(
    EDGES,
    [
        {"lines": [1], "split": [2], "alone": [3]},
        {"lines": [4], "split": [5], "count": [6], "clicks": [7]},
        {"join": [8], "end": [9], "count": [10]},
    ],
)


def notice(*, sources: tuple[int, ...] = (), destinations: tuple[int, ...] = ()) -> LossNotice:
    return LossNotice("x/1/1", sources, destinations, "gone")


@pytest.fixture
def reach() -> LossReach:
    return LossReach(PLAN)


def test_users_of_a_link_are_senders_with_a_consumer_behind_it(reach):
    assert reach.users([1, 2, 3], [8, 9, 10]) == ((2, 3), (8, 9, 10))
    assert reach.users([1], [8, 9, 10]) == ((), ())


def test_outcomes_go_to_the_spouts_above_a_sender(reach):
    """Their senders are no sources: trees of other spouts lose nothing by it."""
    assert reach.users([8], [1, 7, 3]) == ((), (1, 7))
    assert reach.users([6], [1, 7, 3]) == ((), (1,))


def test_link_of_an_instance_is_used_by_its_sources_its_consumers_and_its_spouts(reach):
    assert reach.users_of([2]) == ((1, 2, 4), (1, 2, 4, 6, 8, 10))
    assert reach.users_of([1]) == ((1,), (1, 2, 5))


def test_spouts_are_told_as_destination_source_or_upstream(reach):
    assert reach.spout_tasks(notice(destinations=(4, 8))) == {4}
    assert reach.spout_tasks(notice(sources=(1,), destinations=(2,))) == {1}
    assert reach.spout_tasks(notice(sources=(5,), destinations=(6,))) == {1, 4}
    assert reach.spout_tasks(notice(sources=(8,))) == {1, 4, 7}


def test_tasks_that_the_plan_lacks_are_left_out(reach):
    assert reach.users([99], [98]) == ((), ())
    assert reach.spout_tasks(notice(sources=(99,), destinations=(98,))) == frozenset()


@st.composite
def plans(draw: st.DrawFn) -> PhysicalPlan:
    """Return a random topology, cycles included, over three containers."""
    spouts = [f"s{number}" for number in range(draw(st.integers(1, 3)))]
    bolts = [f"b{number}" for number in range(draw(st.integers(1, 4)))]
    edges = {spout: [] for spout in spouts}
    for bolt in bolts:
        edges[bolt] = draw(
            st.lists(st.sampled_from([*spouts, *bolts]), min_size=1, max_size=3, unique=True)
        )
    containers: list[dict[str, list[int]]] = [{}, {}, {}]
    task = 0
    for id_ in sorted(edges):
        for _ in range(draw(st.integers(1, 2))):
            task += 1
            draw(st.sampled_from(containers)).setdefault(id_, []).append(task)
    return placed(edges, containers)


@given(plans(), st.data())
@settings(deadline=None)
def test_exactly_the_spouts_whose_trees_may_use_a_link_are_told(plan, data):
    """Against all pairs: a tuple from s to d belongs to trees of spouts that reach s."""
    component = {task: id_ for task, _, id_, _ in plan.placements()}
    senders = data.draw(st.sets(st.sampled_from(sorted(component))))
    receivers = data.draw(st.sets(st.sampled_from(sorted(component))))
    spouts = {item.id for item in plan.topology.components if item.kind.value == "spout"}
    below = {item.id: downstream_of(plan.topology, item.id) for item in plan.topology.components}
    told: set[int] = set()
    for sender in senders:
        for receiver in receivers:
            if component[sender] in dict(_inputs(plan))[component[receiver]]:
                if component[sender] in spouts:
                    told.add(sender)
                told |= {
                    task
                    for task, id_ in component.items()
                    if id_ in spouts and component[sender] in below[id_]
                }
            if component[receiver] in spouts and component[sender] in below[component[receiver]]:
                told.add(receiver)
    reach = LossReach(plan)
    sources, destinations = reach.users(senders, receivers)
    assert reach.spout_tasks(notice(sources=sources, destinations=destinations)) == told


def _inputs(plan: PhysicalPlan) -> list[tuple[str, set[str]]]:
    return [(item.id, {i.component for i in item.inputs}) for item in plan.topology.components]


# ---- queue ----


def numbered(number: int) -> LossNotice:
    return LossNotice(f"x/1/{number}", (number,), (number + 1000,), f"cause {number}")


def test_notice_is_repeated_until_it_is_acknowledged():
    queue: NoticeQueue[int] = NoticeQueue()
    queue.add(2, numbered(1))
    assert queue.take_due(0) == [(2, numbered(1))]
    assert queue.take_due(REPEAT_NS - 1) == []
    assert queue.take_due(REPEAT_NS) == [(2, numbered(1))]
    queue.acknowledged(3, "x/1/1")
    queue.acknowledged(2, "x/1/9")
    assert queue
    queue.acknowledged(2, "x/1/1")
    queue.acknowledged(2, "x/1/1")
    assert not queue
    assert queue.take_due(9 * REPEAT_NS) == []


def test_target_reached_anew_gets_what_waits_at_once():
    queue: NoticeQueue[int] = NoticeQueue()
    queue.add(2, numbered(1))
    queue.add(3, numbered(1))
    queue.take_due(0)
    queue.reached(3)
    assert queue.take_due(1) == [(3, numbered(1))]


def test_targets_that_are_no_more_are_given_up():
    queue: NoticeQueue[int] = NoticeQueue()
    queue.add(2, numbered(1))
    queue.add(3, numbered(1))
    queue.keep([3])
    assert queue.take_due(0) == [(3, numbered(1))]


def test_notices_for_a_target_that_does_not_answer_join_so_that_they_stay_few():
    queue: NoticeQueue[int] = NoticeQueue()
    for number in range(1000):
        queue.add(2, numbered(number))
    waiting = queue.waiting(2)
    assert len(waiting) == NOTICES_MAX
    assert {task for item in waiting for task in item.sources} == set(range(1000))
    assert {task for item in waiting for task in item.destinations} == set(range(1000, 2000))
    assert waiting[-1].id == "x/1/999"
    assert max(len(item.cause) for item in waiting) <= CAUSE_CHARACTERS_MAX


def test_repeated_ids_are_known_and_memory_is_bounded():
    seen = SeenNotices()
    assert [seen.is_new("a"), seen.is_new("a")] == [True, False]
    for number in range(2 * IDS_MAX):
        assert seen.is_new(str(number))
        assert not seen.is_new("a")
    assert len(seen._ids) <= IDS_MAX


# ---- desk ----


def desk(container: int, plan: PhysicalPlan | None = PLAN, incarnation: int = 1) -> LossDesk:
    made = LossDesk(container, f"stmgr-{container}", incarnation)
    if plan is not None:
        made.set_plan(plan)
    return made


def targets(desk_: LossDesk) -> list[int | str]:
    return [target for target, _ in desk_.queue.take_due(1 << 60)]


def test_loss_goes_to_peers_with_spouts_and_to_local_spouts():
    there = desk(3)
    made = there.on_process_lost("join-8", [8], "join-8 ended")
    assert made == LossNotice("stmgr-3/1/1", (2, 5, 7), (1, 4, 7, 8), "join-8 ended")
    assert targets(there) == [1, 2]
    assert there.notice_count == 1
    here = desk(1)
    here.on_link_lost([2, 3], [8, 9], "link to stmgr-3 ended")
    assert targets(here) == [2, "alone-3", "lines-1"]


def test_process_whose_link_ended_is_not_told_itself():
    """It saw the end too and tells its own; or it is dead, and its successor has other trees."""
    here = desk(1)
    here.on_process_lost("lines-1", [1], "lines-1 ended")
    assert targets(here) == []
    heard = notice(sources=(1,), destinations=(2,))
    assert here.on_notice(heard, "lines-1")
    assert targets(here) == []
    assert here.notice_count == 2


def test_loss_that_no_tuple_can_be_part_of_makes_no_notice():
    quiet = desk(1)
    assert quiet.on_link_lost([1], [10], "gone") is None
    assert quiet.on_process_lost("x", [99], "gone") is None
    assert (targets(quiet), quiet.notice_count) == ([], 0)


def test_notice_of_a_peer_goes_to_local_spouts_only_and_once():
    there = desk(2)
    heard = notice(sources=(5,), destinations=(6,))
    assert there.on_notice(heard, None)
    assert not there.on_notice(heard, None)
    assert targets(there) == ["lines-4"]


def test_notice_of_an_instance_goes_to_all_but_itself_drops_it_when_it_comes_back():
    here = desk(1)
    heard = notice(sources=(2,), destinations=(6,))
    assert here.on_notice(heard, "split-2")
    assert targets(here) == [2, "lines-1"]
    assert not here.on_notice(heard, None)


def test_what_is_heard_before_the_plan_waits_for_it():
    """A stream manager that was killed while the TMaster is dead hears its instances first."""
    fresh = desk(1, None)
    assert fresh.on_link_lost([2], [8], "gone") is None
    assert fresh.on_process_lost("split-2", [2], "gone") is None
    for number in range(1000):
        heard = LossNotice(f"split-2/1/{number}", (2,), (number + 5,), "link ended")
        assert fresh.on_notice(heard, "split-2")
    assert len(fresh._early) == NOTICES_MAX
    fresh.set_plan(PLAN)
    assert set(targets(fresh)) == {2, "lines-1"}
    told = fresh.queue.waiting("lines-1")
    assert {task for item in told for task in item.destinations} == set(range(5, 1005))


def test_plan_that_drops_a_container_gives_up_its_notices():
    here = desk(3)
    here.on_process_lost("join-8", [8], "gone")
    smaller = placed(EDGES, [{"lines": [1], "split": [2], "alone": [3]}, {}, {"join": [8]}])
    here.set_plan(smaller)
    assert targets(here) == [1]


def test_tasks_of_a_container_are_those_of_the_plan():
    assert desk(1).tasks_of(3) == (8, 9, 10)
    assert desk(1, None).tasks_of(3) == ()


@given(plans(), st.integers(0, 1 << 32))
@settings(deadline=None)
def test_each_spout_hears_of_each_loss_once_over_links_that_drop_repeat_and_reorder(plan, seed):
    """Three stream managers; half of what they send is lost, half of the rest comes twice."""
    rng = Random(seed)
    desks = {number: desk(number, plan) for number in (1, 2, 3)}
    home = {process.id: container for _, container, _, process in plan.placements()}
    spouts = {item.id for item in plan.topology.components if item.kind.value == "spout"}
    mail: deque[tuple[int | str, int | str, LossNotice | str]] = deque()
    heard: dict[str, list[LossNotice]] = {name: [] for name in home}
    seen = {name: SeenNotices() for name in home}
    expected: list[tuple[str, LossNotice]] = []
    reach = LossReach(plan)
    now_ns = 0

    def turn(fault_share: float) -> None:
        nonlocal now_ns
        now_ns += REPEAT_NS
        for number, desk_ in desks.items():
            mail.extend((number, target, sent) for target, sent in desk_.queue.take_due(now_ns))
        rng.shuffle(mail)
        for _ in range(len(mail)):
            source, target, content = mail.popleft()
            if rng.random() < fault_share:
                continue
            for _ in range(1 + (rng.random() < fault_share)):
                deliver(source, target, content)

    def deliver(source: int | str, target: int | str, content: LossNotice | str) -> None:
        if isinstance(content, str):
            assert isinstance(target, int)
            desks[target].queue.acknowledged(source, content)
            return
        if isinstance(target, int):
            assert desks[target].on_notice(content, None) in (True, False)
        elif seen[target].is_new(content.id):
            heard[target].append(content)
        mail.append((target, source, content.id))

    for _ in range(rng.randrange(1, 12)):
        number = rng.choice((1, 2, 3))
        own = [task for task, container, _, _ in plan.placements() if container == number]
        if own and rng.random() < 0.8:
            made = desks[number].on_process_lost("", [rng.choice(own)], f"loss {len(expected)}")
            for task in reach.spout_tasks(made) if made else ():
                expected += [
                    (process.id, made) for t, _, _, process in plan.placements() if t == task
                ]
        turn(0.5)
    while mail or any(desk_.queue for desk_ in desks.values()):
        turn(0)
    for process, made in expected:
        assert [item for item in heard[process] if item.id == made.id] == [made]
    assert all(name.rsplit("-", 1)[0] in spouts for name, found in heard.items() if found)


# ---- on the wire ----


def test_notice_comes_back_as_it_was():
    sent = LossNotice("stmgr-1/17/3", (1, 2), (5,), "link of split-3 ended: ü")
    assert decode_loss_notice(encode_loss_notice(sent)) == sent
    assert decode_loss_notice_ack(encode_loss_notice_ack(sent.id)) == sent.id


@pytest.mark.parametrize("payload", [b"\xff", b"", link_pb2.LossNotice(id="x" * 201)])
def test_damaged_notice_is_the_peers_fault(payload):
    data = payload if isinstance(payload, bytes) else payload.SerializeToString()
    for decode in (decode_loss_notice, decode_loss_notice_ack):
        with pytest.raises(RemoteProtocolError):
            decode(data)
