"""Whatever the order of events: pushed plans were stored, epochs grow, commands are done once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.master.events import (
    CommandReceived,
    ContainersNotAdded,
    LinkEnded,
    PlanNotStored,
    PlanStored,
    PushPlan,
    RefuseLink,
    RestartAnswered,
    RestartContainers,
    SendReply,
    Started,
    StmgrHeartbeatReceived,
    StmgrRegistered,
    StorePlan,
    TimePassed,
)
from heronshim.core.master.messages import Command, CommandKind, StmgrHeartbeat, StmgrRegister
from heronshim.core.master.tmaster import TMaster
from heronshim.core.plan.physical import PhysicalPlan, TopologyState

containers = st.integers(1, 2)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("join"), containers, st.integers(1, 3)),
        st.tuples(st.just("leave"), containers),
        st.tuples(st.just("beat"), containers),
        st.tuples(st.just("command"), st.sampled_from(CommandKind), st.integers(1, 6)),
        st.tuples(st.just("store"), st.booleans()),
        st.tuples(st.just("wait"), st.integers(1, 40)),
        st.tuples(st.just("scheduler fails")),
        st.tuples(st.just("new leader")),
    ),
    max_size=60,
)


class World:
    """The shell's part, played by a model that knows only what is durable."""

    def __init__(self, plans) -> None:
        self.plans = plans
        self.now_ns = 0
        self.leader_epoch = 0
        self.link = 0
        self.links: dict[int, int] = {}
        self.refused: set[int] = set()
        self.durable: PhysicalPlan | None = None
        self.pushed_epochs: list[tuple[int, int]] = []
        self.new_leader()

    def new_leader(self) -> None:
        self.leader_epoch += 1
        self.links.clear()
        self.storing: PhysicalPlan | None = None
        self.restarted: list[str] = []
        self.asked: set[str] = set()
        self.answered: dict[str, bool] = {}
        self.master = TMaster(
            self.plans.topology,
            self.plans.packing,
            self.leader_epoch,
            self.durable,
            TopologyState.ACTIVE,
            30_000_000_000,
        )
        self.handle(Started())

    def handle(self, event) -> None:
        effects = self.master.handle(event, self.now_ns)
        self.master.check_invariants()
        for effect in effects:
            match effect:
                case StorePlan(plan):
                    assert self.storing is None
                    assert self.durable is None or plan.plan_epoch > self.durable.plan_epoch
                    self.storing = plan
                case PushPlan(link, plan):
                    assert plan == self.durable
                    assert link in self.links.values()
                    self.pushed_epochs.append((plan.leader_epoch, plan.plan_epoch))
                case RefuseLink(link):
                    self.refused.add(link)
                case RestartContainers(request_id):
                    assert request_id not in self.restarted
                    self.restarted.append(request_id)
                case SendReply(_, reply):
                    assert reply.request_id in self.asked
                    if reply.request_id in self.answered:
                        assert reply.ok == self.answered[reply.request_id]
                    if reply.ok and reply.status is None:
                        self.answered[reply.request_id] = True
                case _:
                    pass

    def step(self, name, *values) -> None:
        match name:
            case "join":
                container, incarnation = values
                before = dict(self.links)
                self.link += 1
                self.links[container] = self.link
                register = StmgrRegister(
                    container, "h", f"ipc://{container}-{incarnation}", 1, incarnation
                )
                self.handle(StmgrRegistered(self.link, f"stmgr-{container}", register))
                if self.link in self.refused:
                    self.links = before
            case "leave":
                if values[0] in self.links:
                    self.handle(LinkEnded(self.links.pop(values[0])))
            case "beat":
                beat = StmgrHeartbeat(values[0], 0)
                self.handle(StmgrHeartbeatReceived(self.links.get(values[0], 0), beat))
            case "command":
                kind, number = values
                request_id = f"{kind}-{number}"
                self.asked.add(request_id)
                self.handle(CommandReceived(99, Command(request_id, kind)))
                if request_id in self.restarted and request_id not in self.answered:
                    self.handle(RestartAnswered(request_id))
            case "store" if self.storing is not None:
                plan, self.storing = self.storing, None
                if values[0]:
                    self.durable = plan
                    self.handle(PlanStored(plan.plan_epoch))
                else:
                    self.handle(PlanNotStored(plan.plan_epoch, "disk full"))
            case "wait":
                self.now_ns += values[0] * 1_000_000_000
                if self.now_ns >= self.master.next_deadline_ns():
                    self.handle(TimePassed())
            case "scheduler fails":
                self.handle(ContainersNotAdded("no launcher"))
            case "new leader":
                self.new_leader()


@given(steps)
def test_any_order_keeps_the_rules(plans, taken):
    world = World(plans)
    for step in taken:
        world.step(*step)
    assert world.pushed_epochs == sorted(world.pushed_epochs)


@given(steps)
def test_all_settles_when_everyone_is_there_and_nothing_fails(plans, taken):
    world = World(plans)
    for step in taken:
        world.step(*step)
    for container in (1, 2):
        world.step("join", container, 9)
    for _ in range(8):
        world.step("wait", 1)
        world.step("beat", 1)
        world.step("beat", 2)
        world.step("store", True)
    world.step("command", CommandKind.DEACTIVATE, 100)
    for _ in range(3):
        world.step("store", True)
    assert world.master.absent_containers() == ()
    assert world.master.plan == world.durable
    assert world.master.plan.state is TopologyState.INACTIVE
    assert world.master.plan.leader_epoch == world.leader_epoch
    assert [item.stmgr_incarnation for item in world.master.plan.containers] == [9, 9]
    assert world.answered["deactivate-100"]
