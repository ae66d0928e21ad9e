"""All instances and stream managers of a topology in one thread, with a clock of their own.

The classes are the engine's: `InstanceRuntime` runs the tasks and `Forwarder` routes frames. Only
sockets, processes and time are replaced: a frame is delivered within the turn that sends it, and
time passes when the author's code is called (`call_cost_ns`) or when nothing happens.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from heronshim.core.codec.link import (
    decode_credit,
    decode_credit_request,
    encode_credit,
    encode_credit_request,
)
from heronshim.core.codec.metrics import metrics_from_bytes
from heronshim.core.codec.plan import physical_plan_to_bytes
from heronshim.core.plan.physical import PhysicalPlan, TopologyState
from heronshim.core.plan.physical_plan import RegisteredStmgr, build_physical_plan
from heronshim.core.spi.registry import PACKINGS, load
from heronshim.core.stream.forwarding import Forwarder
from heronshim.core.stream.frame import Kind
from heronshim.instance.clock import Clock
from heronshim.instance.identity import Identity
from heronshim.instance.runtime import InstanceRuntime, UserCodeFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heronshim.core.plan.physical import ProcessPlan
    from heronshim.core.plan.topology import Topology
    from heronshim.core.spi.metrics_sink import MetricsRecord

NS_PER_S = 1_000_000_000
START_NS = NS_PER_S
"""The clock's first value; not 0, which means "never" to parts of the engine."""
PEER_LINKS = 1_000_000
"""Link PEER_LINKS + c of a container carries what container c sends to it, link -c the reverse."""
PAUSE_NS_MIN = 100_000
"""Time that passes at least when nothing happens."""


class _Mail(NamedTuple):
    """A frame on its way to a process or container."""

    target: _Process | _Container
    link: int
    kind: int
    destination: int
    source: int
    payload: Any


@dataclass(slots=True, eq=False)
class _Process:
    """One instance process."""

    plan: ProcessPlan
    container: int
    link: int
    runtime: InstanceRuntime
    incarnation: int = 1


@dataclass(slots=True, eq=False)
class _Container:
    """One stream manager and its local links."""

    id: int
    forwarder: Forwarder
    locals: dict[int, _Process] = field(default_factory=dict)


class LocalEngine:
    """Runs a physical plan turn by turn. Deterministic: same plan, code and seed, same run."""

    def __init__(
        self,
        topology: Topology,
        load_object: Callable[[str, Mapping[str, object]], object],
        seed: int,
    ) -> None:
        """Place the topology as a cluster would.

        Raises:
            ConfigError: its containers cannot hold it.
        """
        self.now_ns = START_NS
        self.clock = Clock(lambda: self.now_ns, lambda: self.now_ns // 1_000_000)
        self.metrics: list[MetricsRecord] = []
        """Every report of every process, in order."""
        self.restarts: list[tuple[str, BaseException]] = []
        """Processes that ended by their author's code, with what it raised."""
        self._load_object = load_object
        self._rng = Random(seed)  # noqa: S311 - a seeded order, no secrecy
        self._mail: deque[_Mail] = deque()
        self._links = 0
        self.plan = _placed(topology)
        self._plan_bytes = physical_plan_to_bytes(self.plan)
        self._containers = {item.id: self._container(item.id) for item in self.plan.containers}
        self._processes = [
            self._process(process, item.id)
            for item in self.plan.containers
            for process in item.processes
        ]
        for container in self._containers.values():
            for task, home, _, _ in self.plan.placements():
                if home != container.id:
                    container.forwarder.bind(task, -home, self.now_ns)

    def set_state(self, state: TopologyState) -> None:
        """Activate or deactivate the topology."""
        self.plan = replace(self.plan, plan_epoch=self.plan.plan_epoch + 1, state=state)
        self._plan_bytes = physical_plan_to_bytes(self.plan)
        for process in self._processes:
            self._push_plan(process)

    def turn(self) -> bool:
        """Let each process do one step and deliver all frames; return whether anything happened.

        Raises:
            Exception: what the author's code raised in open or prepare.
        """
        happened = False
        self._rng.shuffle(self._processes)
        for process in self._processes:
            stepped = self._step(process)
            process.runtime.flush(self.now_ns, idle=not stepped)
            happened |= stepped | self._carry(process)
            happened |= self._deliver()
        return happened

    def pause(self, end_ns: int, poll_ns: int) -> None:
        """Nothing happened: let time pass until something is due, at most until `end_ns`.

        Spouts are asked again after `poll_ns`.
        """
        runtimes = [process.runtime for process in self._processes]
        due_ns = min(runtime.next_deadline_ns() for runtime in runtimes)
        if any(runtime.wants_calls() for runtime in runtimes):
            due_ns = min(due_ns, self.now_ns + poll_ns)
        self.now_ns = min(end_ns, max(due_ns, self.now_ns + PAUSE_NS_MIN))

    def quiet(self) -> bool:
        """Return whether no row or frame waits anywhere."""
        return all(process.runtime.quiet() for process in self._processes) and not any(
            container.forwarder.queues() for container in self._containers.values()
        )

    def pending(self) -> int:
        """Return how many tuple trees are open."""
        return sum(process.runtime.spout_pending() for process in self._processes)

    def report(self) -> None:
        """Make every process report its metrics and errors now."""
        for process in self._processes:
            process.runtime.report(self.now_ns)
            self._carry(process)
        self._deliver()

    def close(self) -> None:
        """Call the authors' close and cleanup, and deliver what they emit."""
        for process in sorted(self._processes, key=lambda item: item.plan.id):
            try:
                process.runtime.close()
            except UserCodeFailed as error:
                self.restarts.append((process.plan.id, error.__cause__ or error))
            process.runtime.flush(self.now_ns, idle=True)
            self._carry(process)
        self._deliver()

    # ---- private ----

    def _container(self, number: int) -> _Container:
        def send(link: int, kind: int, destination: int, source: int, payload: Any) -> bool:
            return self._send(container, link, kind, destination, source, payload)

        container = _Container(number, Forwarder(send))
        tasks = [task for task, _, _, _ in self.plan.placements()]
        container.forwarder.set_tasks(tasks, self.now_ns, self.plan.task_cycles())
        return container

    def _process(self, plan: ProcessPlan, container: int, incarnation: int = 1) -> _Process:
        """Start a process and let it join its stream manager."""
        self._links += 1
        runtime = InstanceRuntime(
            Identity(plan.id, container, plan.executors, incarnation),
            self._load_object,
            Random(self._rng.getrandbits(64)),  # noqa: S311 - a seeded order, no secrecy
            self.clock,
        )
        process = _Process(plan, container, self._links, runtime, incarnation)
        home = self._containers[container]
        home.locals[process.link] = process
        for task in plan.tasks:
            home.forwarder.bind(task, process.link, self.now_ns)
        self._push_plan(process)
        return process

    def _push_plan(self, process: _Process) -> None:
        process.runtime.on_frame(Kind.PLAN, 0, 0, self._plan_bytes, self.now_ns)

    def _step(self, process: _Process) -> bool:
        """Run the author's code once; a process that ends by it is started again."""
        was_open = process.runtime.opened
        try:
            return process.runtime.step(self.now_ns)
        except UserCodeFailed as error:
            cause = error.__cause__ or error
            if not was_open:
                raise cause from None
            self.restarts.append((process.plan.id, cause))
            self._restart(process)
            return True

    def _restart(self, process: _Process) -> None:
        process.runtime.report(self.now_ns, last=True)
        self._carry(process)
        home = self._containers[process.container]
        home.forwarder.unbind(process.link)
        del home.locals[process.link]
        fresh = self._process(process.plan, process.container, process.incarnation + 1)
        process.runtime, process.link = fresh.runtime, fresh.link
        process.incarnation = fresh.incarnation
        home.locals[process.link] = process

    def _carry(self, process: _Process) -> bool:
        """Take a process's frames to its stream manager; return whether any is not metrics."""
        home = self._containers[process.container]
        carried = False
        for kind, destination, source, payload in process.runtime.take_frames():
            if kind is Kind.METRICS:
                record = metrics_from_bytes(payload, self.plan.topology.name)
                self.metrics.append(record)
                continue
            self._mail.append(_Mail(home, process.link, kind, destination, source, payload))
            carried = True
        return carried

    def _send(
        self, home: _Container, link: int, kind: int, destination: int, source: int, payload: Any
    ) -> bool:
        """Send a frame from a stream manager; False when the link has ended."""
        target: _Process | _Container | None
        if link < 0:
            target = self._containers[-link]
            arrives_on = PEER_LINKS + home.id
        elif link >= PEER_LINKS:
            target = self._containers[link - PEER_LINKS]
            arrives_on = -home.id
        else:
            target = home.locals.get(link)
            arrives_on = 0
        if target is None:
            return False
        self._mail.append(_Mail(target, arrives_on, kind, destination, source, payload))
        return True

    def _deliver(self) -> bool:
        """Deliver frames until none is on its way; return whether there was one."""
        delivered = False
        while True:
            # Also without frames: a task that joined anew has rows that wait for its credit.
            for container in self._containers.values():
                self._give_and_ask(container)
            if not self._mail:
                return delivered
            delivered = True
            while self._mail:
                mail = self._mail.popleft()
                if isinstance(mail.target, _Process):
                    mail.target.runtime.on_frame(
                        mail.kind, mail.destination, mail.source, mail.payload, self.now_ns
                    )
                else:
                    self._route(mail.target.forwarder, mail)

    def _route(self, forwarder: Forwarder, mail: _Mail) -> None:
        if mail.kind == Kind.DATA:
            forwarder.on_data(
                mail.link, mail.kind, mail.destination, mail.source, mail.payload, self.now_ns
            )
        elif mail.kind == Kind.OUTCOMES:
            forwarder.on_outcomes(mail.destination, mail.source, mail.payload)
        elif mail.kind == Kind.CREDIT:
            forwarder.on_credit(mail.link, decode_credit(mail.payload), self.now_ns)
        else:
            assert mail.kind == Kind.CREDIT_REQUEST, mail.kind
            forwarder.on_credit_request(mail.link, decode_credit_request(mail.payload), self.now_ns)

    def _give_and_ask(self, container: _Container) -> None:
        """Send the credit that was freed, and requests for what waits."""
        forwarder = container.forwarder
        for link, grants in forwarder.take_grants().items():
            self._send(container, link, Kind.CREDIT, 0, 0, encode_credit(grants))
        wanted, forwarder.wanted = forwarder.wanted, {}
        for link, tasks in wanted.items():
            self._send(container, link, Kind.CREDIT_REQUEST, 0, 0, encode_credit_request(tasks))


def _placed(topology: Topology) -> PhysicalPlan:
    """Return the plan that a cluster would make."""
    algorithm = str(topology.options.get("packing", "round_robin"))
    packing = load(PACKINGS, algorithm)().pack(topology)
    registered = {
        item.id: RegisteredStmgr("local", f"local:{item.id}", 0, 1) for item in packing.containers
    }
    return build_physical_plan(topology, packing, registered, plan_epoch=1, leader_epoch=1)
