"""Plans are stored before they are pushed, epochs only grow, and placement never changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heronshim.core.master.events import (
    AddContainers,
    AnswerHeartbeat,
    CommandReceived,
    ContainersAdded,
    ContainersNotAdded,
    LinkEnded,
    LinksSuspected,
    PlanNotStored,
    PlanStored,
    PushPlan,
    RefuseLink,
    RestartAnswered,
    RestartContainers,
    SendReply,
    Started,
    StepDown,
    StmgrHeartbeatReceived,
    StmgrRegistered,
    StorePlan,
    TimePassed,
)
from heronshim.core.master.messages import (
    Command,
    CommandKind,
    Phase,
    StmgrHeartbeat,
    StmgrRegister,
)
from heronshim.core.master.retry import NEVER_NS, RETRY_MAX_NS, RETRY_MIN_NS
from heronshim.core.master.tmaster import PUSH_AGAIN_NS, TMaster
from heronshim.core.plan.physical import TopologyState
from heronshim.errors import ErrorCode, LocalProtocolError

LIMIT_NS = 30_000_000_000


def register(container: int, incarnation: int = 1, **changes: object) -> StmgrRegister:
    known = StmgrRegister(
        container, "host", f"ipc://c{container}-{incarnation}", 100 + container, incarnation
    )
    return replace(known, **changes)


class Driver:
    """Feeds a TMaster, carries out stores at once unless told not to, checks invariants."""

    def __init__(self, plans, stored=None, leader_epoch=1, state=TopologyState.ACTIVE) -> None:
        self.master = TMaster(plans.topology, plans.packing, leader_epoch, stored, state, LIMIT_NS)
        self.now_ns = 1_000
        self.stores = True
        self.last_link = 0

    def handle(self, event):
        """Return effects; a StorePlan is answered and what follows is appended."""
        effects = self.master.handle(event, self.now_ns)
        self.master.check_invariants()
        for effect in list(effects):
            if isinstance(effect, StorePlan) and self.stores:
                effects += self.handle(PlanStored(effect.plan.plan_epoch))
        return effects

    def join(self, container, incarnation=1, **changes):
        """Register a container over a new link."""
        self.last_link += 1
        event = StmgrRegistered(
            self.last_link, f"stmgr-{container}", register(container, incarnation, **changes)
        )
        return self.handle(event)

    def start(self):
        effects = self.handle(Started())
        effects += self.handle(ContainersAdded())
        return effects + self.join(1) + self.join(2)

    def command(self, kind, request_id="r1", link=90, container=-1):
        return self.handle(CommandReceived(link, Command(request_id, kind, container)))


def pushes(effects) -> list[tuple[int, int]]:
    return [(item.link, item.plan.plan_epoch) for item in effects if isinstance(item, PushPlan)]


def of_type(effects, kind) -> list:
    return [item for item in effects if isinstance(item, kind)]


@pytest.fixture
def driver(plans):
    return Driver(plans)


def test_start_asks_for_all_containers_and_waits(driver, plans):
    assert driver.handle(Started()) == [AddContainers(plans.packing.containers)]
    assert driver.master.phase is Phase.WAITING
    assert driver.master.absent_containers() == (1, 2)
    assert driver.join(1) == []
    assert driver.master.absent_containers() == (2,)


def test_last_registration_makes_the_first_plan_which_is_stored_then_pushed(driver, plans):
    effects = driver.start()
    kinds = [type(effect) for effect in effects]
    assert kinds == [AddContainers, StorePlan, PushPlan, PushPlan]
    assert pushes(effects) == [(1, 1), (2, 1)]
    plan = driver.master.plan
    assert (plan.plan_epoch, plan.leader_epoch, plan.state) == (1, 1, TopologyState.ACTIVE)
    assert [container.peer_endpoint for container in plan.containers] == [
        "ipc://c1-1",
        "ipc://c2-1",
    ]
    assert [item.processes for item in plan.containers] == [
        item.processes for item in plans.packing.containers
    ]
    assert driver.master.phase is Phase.RUNNING


def test_plan_is_not_pushed_before_it_is_stored(driver):
    driver.stores = False
    effects = driver.start()
    assert pushes(effects) == []
    assert driver.master.phase is Phase.WAITING
    assert pushes(driver.handle(PlanStored(1))) == [(1, 1), (2, 1)]


def test_initial_state_inactive_is_in_the_first_plan(plans):
    driver = Driver(plans, state=TopologyState.INACTIVE)
    driver.start()
    assert driver.master.plan.state is TopologyState.INACTIVE


def test_same_stmgr_on_a_new_link_gets_the_plan_and_no_new_epoch(driver):
    driver.start()
    driver.handle(LinkEnded(2))
    assert driver.master.absent_containers() == (2,)
    assert pushes(driver.join(2)) == [(3, 1)]
    assert driver.master.absent_containers() == ()


def test_restarted_stmgr_makes_a_new_plan_for_all_and_gets_no_older_one(driver):
    driver.start()
    driver.handle(LinkEnded(2))
    assert pushes(driver.join(2, incarnation=5)) == [(1, 2), (3, 2)]
    assert driver.master.plan.containers[1].stmgr_incarnation == 5


def test_restarted_stmgr_gets_the_older_plan_when_none_can_be_stored(driver):
    driver.start()
    driver.stores = False
    assert pushes(driver.join(2, incarnation=5)) == []
    driver.handle(PlanNotStored(2, "disk full"))
    beat = StmgrHeartbeatReceived(3, StmgrHeartbeat(2, 0))
    assert pushes(driver.handle(beat)) == []
    driver.now_ns += PUSH_AGAIN_NS
    assert pushes(driver.handle(beat)) == [(3, 1)]


def test_changes_while_a_plan_is_being_stored_make_one_next_plan(driver):
    driver.start()
    driver.stores = False
    first = driver.join(1, incarnation=2)
    assert of_type(first, StorePlan)[0].plan.plan_epoch == 2
    assert of_type(driver.join(2, incarnation=2), StorePlan) == []
    assert of_type(driver.join(1, incarnation=3), StorePlan) == []
    (last,) = of_type(driver.handle(PlanStored(2)), StorePlan)
    assert last.plan.plan_epoch == 3
    assert [item.stmgr_incarnation for item in last.plan.containers] == [3, 2]
    assert of_type(driver.handle(PlanStored(3)), StorePlan) == []


def test_silent_stmgr_is_absent_and_the_plan_stays(driver):
    driver.start()
    driver.now_ns += LIMIT_NS // 2
    driver.handle(StmgrHeartbeatReceived(1, StmgrHeartbeat(1, 1)))
    assert driver.master.next_deadline_ns() == 1_000 + LIMIT_NS
    driver.now_ns = driver.master.next_deadline_ns()
    assert driver.handle(TimePassed()) == []
    assert driver.master.absent_containers() == (2,)
    assert driver.master.plan.plan_epoch == 1
    driver.handle(StmgrHeartbeatReceived(2, StmgrHeartbeat(2, 1)))
    assert driver.master.absent_containers() == ()


def test_heartbeat_is_answered_and_its_tasks_are_in_the_status(driver):
    driver.start()
    effects = driver.handle(StmgrHeartbeatReceived(1, StmgrHeartbeat(1, 1, (1, 3))))
    assert effects == [AnswerHeartbeat(1)]
    (reply,) = driver.command(CommandKind.STATUS)
    status = reply.reply.status
    assert (status.joined_tasks, status.task_count) == ((1, 3), 4)
    assert (status.phase, status.absent_containers) == (Phase.RUNNING, ())
    driver.handle(LinkEnded(1))
    assert driver.master.status().joined_tasks == ()


def test_stmgr_that_keeps_an_older_plan_gets_it_again_after_a_while(driver):
    driver.start()
    beat = StmgrHeartbeatReceived(1, StmgrHeartbeat(1, 0))
    driver.now_ns += PUSH_AGAIN_NS - 1
    assert pushes(driver.handle(beat)) == []
    driver.now_ns += 1
    assert pushes(driver.handle(beat)) == [(1, 1)]
    assert pushes(driver.handle(beat)) == []


@pytest.mark.parametrize(
    ("process", "container", "code"),
    [
        ("stmgr-2", 1, ErrorCode.TASK),
        ("metricsmgr-1", 1, ErrorCode.TASK),
        ("stmgr-7", 7, ErrorCode.NOT_FOUND),
    ],
)
def test_registration_of_another_container_is_refused(driver, process, container, code):
    driver.start()
    (refusal,) = driver.handle(StmgrRegistered(9, process, register(container)))
    assert (refusal.link, refusal.code) == (9, code)
    assert driver.master.absent_containers() == ()


def test_older_incarnation_is_refused_while_the_newer_is_there(driver):
    driver.handle(Started())
    driver.join(1, incarnation=4)
    (refusal,) = driver.join(1, incarnation=3)
    assert refusal.code is ErrorCode.STALE_INCARNATION
    driver.handle(LinkEnded(1))
    assert driver.join(1, incarnation=3) == []
    assert driver.master.absent_containers() == (2,)


def test_heartbeat_without_registration_is_refused(driver):
    driver.start()
    (refusal,) = driver.handle(StmgrHeartbeatReceived(77, StmgrHeartbeat(1, 1)))
    assert isinstance(refusal, RefuseLink)
    (refusal,) = driver.handle(StmgrHeartbeatReceived(1, StmgrHeartbeat(2, 1)))
    assert isinstance(refusal, RefuseLink)


def test_end_of_a_replaced_link_changes_nothing(driver):
    driver.start()
    driver.join(1)
    driver.handle(LinkEnded(1))
    assert driver.master.absent_containers() == ()


# Commands


def test_deactivate_answers_when_the_new_plan_is_stored(driver):
    driver.start()
    driver.stores = False
    effects = driver.command(CommandKind.DEACTIVATE)
    assert [type(effect) for effect in effects] == [StorePlan]
    assert effects[0].plan.state is TopologyState.INACTIVE
    before = driver.master.plan
    effects = driver.handle(PlanStored(2))
    assert pushes(effects) == [(1, 2), (2, 2)]
    (reply,) = of_type(effects, SendReply)
    assert reply.reply.ok
    assert driver.master.plan.containers == before.containers


def test_state_that_is_already_so_is_answered_without_a_plan(driver):
    driver.start()
    (reply,) = driver.command(CommandKind.ACTIVATE)
    assert reply.reply.ok
    assert driver.master.plan.plan_epoch == 1


def test_repeated_request_is_answered_again_and_not_done_again(driver):
    driver.start()
    driver.command(CommandKind.DEACTIVATE, "r1")
    driver.command(CommandKind.ACTIVATE, "r2")
    (reply,) = driver.command(CommandKind.DEACTIVATE, "r1", link=91)
    assert (reply.link, reply.reply.ok) == (91, True)
    assert driver.master.plan.state is TopologyState.ACTIVE


def test_request_repeated_while_in_hand_is_answered_once_on_its_newest_link(driver):
    driver.start()
    driver.stores = False
    driver.command(CommandKind.DEACTIVATE, "r1", link=90)
    assert driver.command(CommandKind.DEACTIVATE, "r1", link=91) == []
    replies = of_type(driver.handle(PlanStored(2)), SendReply)
    assert [reply.link for reply in replies] == [91]


def test_activate_before_all_containers_are_there_is_refused_and_can_be_repeated(driver):
    driver.handle(Started())
    driver.join(1)
    (reply,) = driver.command(CommandKind.DEACTIVATE)
    assert reply.reply.code is ErrorCode.REFUSED
    assert "containers 2" in reply.reply.message
    driver.join(2)
    effects = driver.command(CommandKind.DEACTIVATE)
    assert of_type(effects, SendReply)[0].reply.ok


def test_state_change_during_a_store_waits_for_its_own_plan(driver):
    driver.start()
    driver.stores = False
    driver.join(1, incarnation=2)
    assert driver.command(CommandKind.DEACTIVATE) == []
    effects = driver.handle(PlanStored(2))
    assert of_type(effects, SendReply) == []
    assert driver.master.plan.state is TopologyState.ACTIVE
    (reply,) = of_type(driver.handle(PlanStored(3)), SendReply)
    assert reply.reply.ok
    assert driver.master.plan.state is TopologyState.INACTIVE


@pytest.mark.parametrize(("container", "ids"), [(-1, (1, 2)), (2, (2,))])
def test_restart_goes_to_the_scheduler_and_is_answered_by_it(driver, container, ids):
    driver.start()
    effects = driver.command(CommandKind.RESTART, container=container)
    assert effects == [RestartContainers("r1", ids)]
    (reply,) = driver.handle(RestartAnswered("r1"))
    assert reply.reply.ok
    assert driver.command(CommandKind.RESTART, container=container) == [reply]


def test_restart_that_fails_says_why(driver):
    driver.start()
    driver.command(CommandKind.RESTART)
    (reply,) = driver.handle(RestartAnswered("r1", "no launcher"))
    assert (reply.reply.ok, reply.reply.message) == (False, "no launcher")


def test_restart_of_an_unknown_container_names_the_known_ones(driver):
    (reply,) = driver.command(CommandKind.RESTART, container=8)
    assert reply.reply.code is ErrorCode.NOT_FOUND
    assert "there are 1, 2" in reply.reply.message


# Failures of others


def test_failed_store_is_tried_again_with_longer_pauses(driver):
    driver.stores = False
    driver.start()
    pause_ns = RETRY_MIN_NS
    for epoch in range(1, 10):
        driver.handle(PlanNotStored(epoch, "disk full"))
        assert driver.master.next_deadline_ns() == driver.now_ns + pause_ns
        assert of_type(driver.handle(TimePassed()), StorePlan) == []
        # Stream managers go on living meanwhile.
        driver.now_ns += pause_ns
        for link in (1, 2):
            driver.handle(StmgrHeartbeatReceived(link, StmgrHeartbeat(link, 0)))
        (store,) = of_type(driver.handle(TimePassed()), StorePlan)
        assert store.plan.plan_epoch == epoch + 1
        pause_ns = min(2 * pause_ns, RETRY_MAX_NS)
    driver.handle(PlanStored(10))
    assert driver.master.plan.plan_epoch == 10


def test_command_outlives_a_failed_store(driver):
    driver.start()
    driver.stores = False
    driver.command(CommandKind.DEACTIVATE)
    assert driver.handle(PlanNotStored(2, "disk full")) == []
    driver.now_ns = driver.master.next_deadline_ns()
    driver.handle(TimePassed())
    (reply,) = of_type(driver.handle(PlanStored(3)), SendReply)
    assert reply.reply.ok


def test_scheduler_that_fails_is_asked_again(driver, plans):
    driver.handle(Started())
    assert driver.handle(ContainersNotAdded("no launcher")) == []
    driver.now_ns = driver.master.next_deadline_ns()
    assert driver.handle(TimePassed()) == [AddContainers(plans.packing.containers)]
    driver.handle(ContainersAdded())
    assert driver.master.next_deadline_ns() == NEVER_NS


def test_status_names_who_is_silent(driver):
    driver.start()
    beat = StmgrHeartbeat(2, 1, suspected_processes=("line-1",))
    driver.handle(StmgrHeartbeatReceived(2, beat))
    driver.handle(LinksSuspected(("stmgr-1",)))
    assert driver.master.status().suspected_processes == ("line-1", "stmgr-1")
    driver.handle(LinkEnded(2))
    driver.handle(LinksSuspected(()))
    assert driver.master.status().suspected_processes == ()


def test_answer_for_a_plan_that_is_not_being_stored_is_our_own_bug(driver):
    with pytest.raises(LocalProtocolError, match="plan epoch 4"):
        driver.handle(PlanStored(4))


# A new leader


@pytest.fixture
def stored(driver):
    driver.start()
    driver.command(CommandKind.DEACTIVATE)
    return driver.master.plan


def test_new_leader_keeps_placement_state_and_epoch_order(plans, stored):
    new = Driver(plans, stored, leader_epoch=2)
    assert new.master.phase is Phase.RUNNING
    effects = new.handle(Started())
    assert [type(effect) for effect in effects] == [AddContainers, StorePlan]
    plan = new.master.plan
    assert (plan.plan_epoch, plan.leader_epoch) == (stored.plan_epoch + 1, 2)
    assert (plan.containers, plan.state) == (stored.containers, stored.state)
    known = {"plan_epoch": stored.plan_epoch, "leader_epoch": stored.leader_epoch}
    for link, container in enumerate((1, 2), 1):
        assert pushes(new.join(container, **known)) == [(link, plan.plan_epoch)]
    assert new.master.plan == plan


def test_new_leader_pushes_nothing_before_its_own_plan_is_stored(plans, stored):
    new = Driver(plans, stored, leader_epoch=2)
    new.stores = False
    new.handle(Started())
    assert pushes(new.join(1)) == []
    assert pushes(new.handle(PlanStored(stored.plan_epoch + 1))) == [(1, stored.plan_epoch + 1)]


def test_new_leader_goes_on_above_the_epoch_in_use(plans, stored):
    new = Driver(plans, stored, leader_epoch=2)
    new.handle(Started())
    new.join(1, plan_epoch=40, leader_epoch=1)
    assert new.master.plan.plan_epoch == 41


def test_new_leader_without_a_stored_plan_waits_and_goes_on_above_the_epoch_in_use(plans, stored):
    new = Driver(plans, None, leader_epoch=2)
    new.handle(Started())
    new.join(1, plan_epoch=7, leader_epoch=1)
    assert new.master.phase is Phase.WAITING
    new.join(2, plan_epoch=6, leader_epoch=1)
    assert new.master.plan.plan_epoch == 8


def test_stored_plan_of_another_placement_gives_only_its_epoch(plans, stored):
    moved = replace(
        stored,
        containers=(
            replace(stored.containers[0], processes=stored.containers[0].processes[:1]),
            stored.containers[1],
        ),
    )
    new = Driver(plans, moved, leader_epoch=2)
    assert new.master.phase is Phase.WAITING
    new.start()
    assert new.master.plan.plan_epoch == stored.plan_epoch + 1


def test_leader_that_meets_a_higher_leader_epoch_steps_down_for_good(driver):
    driver.start()
    (step,) = driver.join(1, incarnation=2, plan_epoch=9, leader_epoch=5)
    assert isinstance(step, StepDown)
    assert "leader epoch 5" in step.cause
    assert driver.command(CommandKind.DEACTIVATE) == []
