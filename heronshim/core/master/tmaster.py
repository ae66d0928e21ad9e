"""The topology master: who is there, and the physical plan that follows from it.

Rules: a plan is stored before it is pushed. Each stored plan has the next plan_epoch and this
leader's epoch. A plan's placement is the packing plan's, always. An absent stream manager changes
nothing in the plan: data goes on, and what it does when it comes back decides.

| state   | holds                                    | leaves when                                |
| ------- | ---------------------------------------- | ------------------------------------------ |
| WAITING | no plan; commands but STATUS are refused | every container is present: first plan     |
| RUNNING | the newest stored plan                   | never (a new leader begins from this plan) |

A new leader that finds a stored plan with the packing plan's placement is RUNNING at once: it
stores that plan again under its own leader epoch and the next plan epoch, and nothing restarts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from heronshim.core.master.events import (
    AddContainers,
    AnswerHeartbeat,
    CommandReceived,
    ContainersAdded,
    ContainersNotAdded,
    Effect,
    Event,
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
    ALL_CONTAINERS,
    Command,
    CommandKind,
    CommandReply,
    Phase,
    StmgrRegister,
    TopologyStatus,
)
from heronshim.core.master.requests import Requests
from heronshim.core.master.retry import Retry
from heronshim.core.plan.physical import PhysicalPlan, TopologyState
from heronshim.core.plan.physical_plan import RegisteredStmgr, build_physical_plan
from heronshim.errors import ErrorCode, LocalProtocolError

if TYPE_CHECKING:
    from heronshim.core.plan.physical import PackingPlan
    from heronshim.core.plan.topology import Topology

PUSH_AGAIN_NS = 2_000_000_000
"""A stream manager that still reports an older plan this long after a push gets it again."""


@dataclass(slots=True)
class _Stmgr:
    """A container's stream manager: its newest registration and whether it is there."""

    link: int
    register: StmgrRegister
    heard_ns: int
    pushed_ns: int
    """When it was sent a plan, or registered while one that names it was being stored."""
    joined_tasks: tuple[int, ...] = ()
    suspected: tuple[str, ...] = ()
    present: bool = True


class TMaster:
    """State machine of one leader's life; see the table above. Same events, same effects."""

    def __init__(
        self,
        topology: Topology,
        packing: PackingPlan,
        leader_epoch: int,
        stored: PhysicalPlan | None,
        initial_state: TopologyState,
        liveness_limit_ns: int,
    ) -> None:
        self._topology = topology
        self._packing_plan = packing
        self._packing = {container.id: container for container in packing.containers}
        self._leader_epoch = leader_epoch
        self._liveness_limit_ns = liveness_limit_ns
        self._stmgrs: dict[int, _Stmgr] = {}
        """By container id; one that never registered is not in it."""
        self._containers_by_link: dict[int, int] = {}
        self._plan: PhysicalPlan | None = None
        self._state = initial_state
        self._epoch = 0
        """Highest plan epoch known to anyone."""
        self._storing: PhysicalPlan | None = None
        self._store_wanted = False
        """Whether something changed since the plan that is stored or being stored."""
        self._store_retry = Retry()
        self._add_retry = Retry()
        self._links_suspected: tuple[str, ...] = ()
        self._requests = Requests()
        self._stepped_down = False
        if stored is not None:
            self._recover(stored)

    @property
    def plan(self) -> PhysicalPlan | None:
        """The newest plan that is stored; a recovered one until it is stored again."""
        return self._plan

    @property
    def phase(self) -> Phase:
        """WAITING or RUNNING."""
        return Phase.WAITING if self._plan is None else Phase.RUNNING

    def absent_containers(self) -> tuple[int, ...]:
        """Return containers whose stream manager is not registered or silent, ascending."""
        return tuple(sorted(set(self._packing) - set(self._present())))

    def next_deadline_ns(self) -> int:
        """Return when TimePassed is due; NEVER_NS when nothing is."""
        silences = [
            stmgr.heard_ns + self._liveness_limit_ns
            for stmgr in self._stmgrs.values()
            if stmgr.present
        ]
        return min([self._store_retry.due_ns, self._add_retry.due_ns, *silences])

    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        """Take an event and return what to do, in order.

        Raises:
            LocalProtocolError: PlanStored or PlanNotStored for a plan that is not being stored.
        """
        if self._stepped_down:
            return []
        effects: list[Effect] = []
        match event:
            case Started():
                effects = [self._add_containers(), *self._store_if_wanted()]
            case TimePassed():
                effects = self._time_passed(now_ns)
            case StmgrRegistered():
                effects = self._registered(event, now_ns)
            case StmgrHeartbeatReceived():
                effects = self._heartbeat(event, now_ns)
            case LinkEnded(link):
                effects = self._link_ended(link)
            case LinksSuspected(processes):
                self._links_suspected = processes
            case CommandReceived(link, command):
                effects = self._command(link, command)
            case PlanStored() | PlanNotStored():
                effects = self._store_ended(event, now_ns)
            case ContainersAdded() | ContainersNotAdded() | RestartAnswered():
                effects = self._scheduler_answered(event, now_ns)
        return effects

    def check_invariants(self) -> None:
        """Assert what always holds."""
        placed = sorted(
            task
            for container in self._packing.values()
            for process in container.processes
            for task in process.tasks
        )
        for plan in (self._plan, self._storing):
            if plan is not None:
                assert sorted(task for task, *_ in plan.placements()) == placed
                assert [container.id for container in plan.containers] == sorted(self._packing)
                assert plan.leader_epoch <= self._leader_epoch
                assert plan.plan_epoch <= self._epoch
        if self._plan is not None and self._storing is not None:
            assert self._storing.plan_epoch > self._plan.plan_epoch
        assert set(self._stmgrs) <= set(self._packing)
        for link, container in self._containers_by_link.items():
            assert self._stmgrs[container].link == link
        assert len(self._containers_by_link) <= len(self._stmgrs)
        self._requests.check_invariants()

    def _recover(self, stored: PhysicalPlan) -> None:
        """Begin where an earlier leader ended, if its placement is still the packing plan's."""
        self._epoch = stored.plan_epoch
        self._state = stored.state
        placement = {container.id: container.processes for container in stored.containers}
        packed = {container.id: container.processes for container in self._packing.values()}
        if placement == packed and stored.topology == self._topology:
            self._plan = stored
            self._store_wanted = True

    def _present(self) -> dict[int, _Stmgr]:
        return {id_: stmgr for id_, stmgr in self._stmgrs.items() if stmgr.present}

    def _add_containers(self) -> Effect:
        return AddContainers(tuple(plan for _, plan in sorted(self._packing.items())))

    def _time_passed(self, now_ns: int) -> list[Effect]:
        for stmgr in self._stmgrs.values():
            if stmgr.present and now_ns >= stmgr.heard_ns + self._liveness_limit_ns:
                stmgr.present = False
        effects: list[Effect] = []
        if self._add_retry.begin(now_ns):
            effects.append(self._add_containers())
        if self._store_retry.begin(now_ns):
            effects += self._store_if_wanted()
        return effects

    def _registered(self, event: StmgrRegistered, now_ns: int) -> list[Effect]:
        """A stream manager is there, for the first time, again, or as a new process."""
        register = event.register
        problem = self._registration_problem(event)
        if problem is not None:
            return [problem]
        if register.leader_epoch > self._leader_epoch:
            self._stepped_down = True
            return [
                StepDown(
                    f"{event.process} has a plan of leader epoch {register.leader_epoch}; "
                    f"this leader's is {self._leader_epoch}"
                )
            ]
        known = self._stmgrs.get(register.container)
        if known is not None:
            self._containers_by_link.pop(known.link, None)
        self._stmgrs[register.container] = _Stmgr(event.link, register, now_ns, now_ns)
        self._containers_by_link[event.link] = register.container
        if register.plan_epoch > self._epoch:
            # The state manager lost plans that were pushed: go on above what is in use.
            self._epoch = register.plan_epoch
            self._store_wanted = True
        if self._plan is None:
            self._store_wanted = not self.absent_containers()
        elif _in_plan(self._storing or self._plan, register.container) != _known(register):
            self._store_wanted = True
        effects = self._store_if_wanted()
        if (
            self._plan is not None
            and self._plan.leader_epoch == self._leader_epoch
            and _in_plan(self._plan, register.container) == _known(register)
        ):
            effects.append(PushPlan(event.link, self._plan))
        return effects

    def _registration_problem(self, event: StmgrRegistered) -> RefuseLink | None:
        register = event.register
        container = register.container
        if event.process != f"stmgr-{container}":
            message = f"{event.process} may not register container {container}"
            return RefuseLink(event.link, ErrorCode.TASK, message)
        if container not in self._packing:
            known = ", ".join(str(id_) for id_ in sorted(self._packing))
            message = f"container {container} is not in the packing plan, which has {known}"
            return RefuseLink(event.link, ErrorCode.NOT_FOUND, message)
        current = self._present().get(container)
        if current is not None and register.incarnation < current.register.incarnation:
            message = (
                f"stmgr-{container} incarnation {register.incarnation} is older than "
                f"{current.register.incarnation}, which is registered"
            )
            return RefuseLink(event.link, ErrorCode.STALE_INCARNATION, message)
        return None

    def _heartbeat(self, event: StmgrHeartbeatReceived, now_ns: int) -> list[Effect]:
        heartbeat = event.heartbeat
        container = self._containers_by_link.get(event.link)
        if container is None or container != heartbeat.container:
            message = f"heartbeat of container {heartbeat.container} without its registration"
            return [RefuseLink(event.link, ErrorCode.REFUSED, message)]
        stmgr = self._stmgrs[container]
        stmgr.heard_ns = now_ns
        stmgr.joined_tasks = heartbeat.joined_tasks
        stmgr.suspected = heartbeat.suspected_processes
        effects: list[Effect] = [AnswerHeartbeat(event.link)]
        if not stmgr.present:
            stmgr.present = True
            if self._plan is None and not self.absent_containers():
                self._store_wanted = True
                effects += self._store_if_wanted()
        if (
            self._plan is not None
            and self._plan.leader_epoch == self._leader_epoch
            and heartbeat.plan_epoch < self._plan.plan_epoch
            and now_ns - stmgr.pushed_ns >= PUSH_AGAIN_NS
        ):
            stmgr.pushed_ns = now_ns
            effects.append(PushPlan(event.link, self._plan))
        return effects

    def _link_ended(self, link: int) -> list[Effect]:
        container = self._containers_by_link.pop(link, None)
        if container is not None:
            self._stmgrs[container].present = False
        return []

    def _store_if_wanted(self) -> list[Effect]:
        """Build and store the next plan unless one is being stored or a retry is due later."""
        if not self._store_wanted or self._storing is not None or self._store_retry.pausing:
            return []
        if self._plan is None and self.absent_containers():
            return []
        self._epoch += 1
        self._store_wanted = False
        self._storing = self._build()
        self._requests.plan_built(self._epoch)
        return [StorePlan(self._storing)]

    def _build(self) -> PhysicalPlan:
        """Return the plan of what is registered, and for the rest of what was known before."""
        registered = {id_: _known(stmgr.register) for id_, stmgr in self._stmgrs.items()}
        return build_physical_plan(
            self._topology,
            self._packing_plan,
            registered,
            plan_epoch=self._epoch,
            leader_epoch=self._leader_epoch,
            state=self._state,
            previous=self._plan,
        )

    def _store_ended(self, event: PlanStored | PlanNotStored, now_ns: int) -> list[Effect]:
        """Push a stored plan, answer who waited for it, and store the next if there is one."""
        plan = self._storing
        if plan is None or plan.plan_epoch != event.plan_epoch:
            msg = f"plan epoch {event.plan_epoch} was answered for but is not being stored"
            raise LocalProtocolError(msg)
        self._storing = None
        if isinstance(event, PlanNotStored):
            self._store_wanted = True
            self._store_retry.failed(now_ns)
            return []
        self._plan = plan
        self._store_retry.done()
        effects: list[Effect] = []
        for link, container in sorted(self._containers_by_link.items()):
            self._stmgrs[container].pushed_ns = now_ns
            effects.append(PushPlan(link, plan))
        for request_id in self._requests.answered_by(plan.plan_epoch):
            effects += self._requests.answer(CommandReply(request_id, ok=True))
        return effects + self._store_if_wanted()

    def _scheduler_answered(
        self, event: ContainersAdded | ContainersNotAdded | RestartAnswered, now_ns: int
    ) -> list[Effect]:
        match event:
            case ContainersAdded():
                self._add_retry.done()
            case ContainersNotAdded():
                self._add_retry.failed(now_ns)
            case RestartAnswered(request_id, cause):
                code = ErrorCode.INTERNAL if cause else ErrorCode.UNSPECIFIED
                return [*self._requests.answer(CommandReply(request_id, not cause, cause, code))]
        return []

    def _command(self, link: int, command: Command) -> list[Effect]:
        """Do a command once, however often it is sent."""
        again = self._requests.repeated(command.request_id, link)
        if again is not None:
            return [*again]
        if command.kind is CommandKind.STATUS:
            return [SendReply(link, CommandReply(command.request_id, True, status=self.status()))]
        if self._requests.full:
            return _refuse(link, command, ErrorCode.REFUSED, "too many commands wait; try later")
        effects: list[Effect] = []
        match command.kind:
            case CommandKind.ACTIVATE:
                effects = self._change_state(link, command, TopologyState.ACTIVE)
            case CommandKind.DEACTIVATE:
                effects = self._change_state(link, command, TopologyState.INACTIVE)
            case CommandKind.RESTART:
                effects = self._restart(link, command)
            case CommandKind.METRICS | CommandKind.ERRORS | CommandKind.EVENTS:
                message = "the metrics store answers this, not the state machine"
                effects = _refuse(link, command, ErrorCode.INTERNAL, message)
        return effects

    def status(self) -> TopologyStatus:
        """Return the state of everything."""
        joined = {task for stmgr in self._present().values() for task in stmgr.joined_tasks}
        return TopologyStatus(
            suspected_processes=self.suspected_processes(),
            plan=self._plan,
            phase=self.phase,
            absent_containers=self.absent_containers(),
            joined_tasks=tuple(sorted(joined)),
            task_count=sum(
                len(process.tasks)
                for container in self._packing.values()
                for process in container.processes
            ),
        )

    def suspected_processes(self) -> tuple[str, ...]:
        """Return who is silent, by our own links and those of stream managers; ascending."""
        reported = {process for stmgr in self._present().values() for process in stmgr.suspected}
        return tuple(sorted(reported.union(self._links_suspected)))

    def _change_state(self, link: int, command: Command, state: TopologyState) -> list[Effect]:
        if self._plan is None:
            absent = ", ".join(str(id_) for id_ in self.absent_containers())
            message = f"the topology is not running yet: waiting for containers {absent}"
            return _refuse(link, command, ErrorCode.REFUSED, message)
        if self._state is state and self._plan.state is state and self._storing is None:
            self._requests.begin(command.request_id, link)
            return [*self._requests.answer(CommandReply(command.request_id, ok=True))]
        self._state = state
        self._store_wanted = True
        self._requests.begin(command.request_id, link, waits_for_plan=True)
        return self._store_if_wanted()

    def _restart(self, link: int, command: Command) -> list[Effect]:
        ids = tuple(sorted(self._packing))
        if command.container != ALL_CONTAINERS:
            if command.container not in self._packing:
                known = ", ".join(str(id_) for id_ in ids)
                message = f"there is no container {command.container}; there are {known}"
                return _refuse(link, command, ErrorCode.NOT_FOUND, message)
            ids = (command.container,)
        self._requests.begin(command.request_id, link)
        return [RestartContainers(command.request_id, ids)]


def _known(register: StmgrRegister) -> RegisteredStmgr:
    """Return what of a registration is in a plan."""
    return RegisteredStmgr(
        register.host, register.peer_endpoint, register.pid, register.incarnation
    )


def _in_plan(plan: PhysicalPlan, container: int) -> RegisteredStmgr | None:
    """Return what a plan says of a container's stream manager."""
    for item in plan.containers:
        if item.id == container:
            return RegisteredStmgr(
                item.host, item.peer_endpoint, item.stmgr_pid, item.stmgr_incarnation
            )
    return None


def _refuse(link: int, command: Command, code: ErrorCode, message: str) -> list[Effect]:
    """Answer that a command is not done; it may be sent again."""
    reply = CommandReply(command.request_id, ok=False, message=message, code=code)
    return [SendReply(link, reply)]
