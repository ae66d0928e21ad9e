"""One simulated cluster: a seeded scheduler, a virtual clock, processes, faults and checks."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from random import Random
from typing import Any

from heronshim.core.io.state_layout import TopologyNodes
from heronshim.core.plan.physical import PhysicalPlan
from heronshim.core.plan.records import ExecutionState
from heronshim.core.plan.round_robin import RoundRobinPacking
from heronshim.core.plugins.memory_state import MemoryStateManager
from heronshim.core.spi.scheduler import Launch
from heronshim.core.stream.credit import CreditReceiver, CreditSender
from tests.sim.ledger import CLASSES, Ledger, Shape, Violation, make_topology
from tests.sim.network import DELAY_NS, Net, Wire
from tests.sim.processes import (
    MS,
    Client,
    Instance,
    Master,
    Order,
    Process,
    SimStateManager,
    Stmgr,
)

S = 1_000 * MS
START_NS = S
"""The clock's first value; not 0, which means "never" to parts of the engine."""
WALL_START_MS = 1_800_000_000_000
LAUNCH = Launch(
    topology="ledger", topology_id="ledger-1", work_dir="/sim", socket_dir="/sim",
    secret_path="/sim/secret", python="python", state_manager="memory",
)  # fmt: skip
_numbers = itertools.count()
"""Names a cluster's store: of an object that is gone another may have the address."""


class Cluster:
    """Everything of one run. `seed` decides all that happens."""

    def __init__(self, seed: int, shape: Shape, story: list[str] | None = None) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.now_ns = START_NS
        self._story = story
        self.running = ""
        """Whose turn it is."""
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._lives = 0
        self._store = f"sim-{next(_numbers)}"
        self._keeper = MemoryStateManager({"store": self._store})
        self._managers = [self._keeper]
        self.shape = shape
        self.pool_bytes = shape.pool_bytes
        self.restart_ns = (30 * MS, 300 * MS)
        self.turn_ns = (1_000, 60_000)
        self.state_down = False
        self.scheduler_failing = False
        self.restarts: set[str] = set()
        """Requests for restarts that were carried out."""
        self.session_ns = (0, 400 * MS)
        self.net = Net(self.rng, self.schedule)
        self.net.now_ns = self.now_ns
        self.ledger = Ledger(
            Random(self.rng.getrandbits(64)), shape, self.note, lambda: self.now_ns
        )
        self.launch = LAUNCH
        self.topology = make_topology(shape)
        self.packing = RoundRobinPacking().pack(self.topology)
        self.processes: dict[str, Process] = {}
        self.zombies: list[Process] = []
        self.started = False
        self.leaders: dict[int, Master] = {}
        self._extras: dict[tuple[CreditReceiver, int], tuple[int | None, set[int]]] = {}
        """Of each hop and task: who may send a frame beyond the window, and who was passed over."""
        nodes = TopologyNodes(self._keeper, "ledger")
        nodes.create(
            self.topology, self.packing, ExecutionState("ledger", "ledger-1", 0, "sim", "sim")
        )
        self.start_master(1)

    # ---- time ----

    def schedule(self, at_ns: int, call: Callable[[], None]) -> None:
        """Run a call at its time; calls of one time run in the order they were scheduled."""
        self._order += 1
        heapq.heappush(self._heap, (at_ns, self._order, call))

    def run(self, until_ns: int, done: Callable[[], bool] | None = None) -> bool:
        """Let time pass until a time comes, or `done`; return whether it was done."""
        heap = self._heap
        while heap and heap[0][0] <= until_ns:
            at_ns, _, call = heapq.heappop(heap)
            self.now_ns = self.net.now_ns = at_ns
            call()
            if done is not None and done():
                return True
        self.now_ns = self.net.now_ns = until_ns
        return False

    def turn_delay(self, process: Process) -> int:
        low, high = self.turn_ns
        return (
            low
            + int(self.rng.random() * (high - low))
            + (int(self.rng.random() * process.slow_ns) if process.slow_ns else 0)
        )

    def wall_ms(self) -> int:
        return WALL_START_MS + self.now_ns // MS

    # ---- processes ----

    def next_life(self) -> int:
        self._lives += 1
        return self._lives

    def state_manager(self, _process: Process) -> Any:
        manager = MemoryStateManager({"store": self._store})
        self._managers.append(manager)
        return SimStateManager(self, manager)

    def session_ends(self, manager: Any) -> None:
        """The store notices after a while that a process is gone."""
        delay_ns = self.rng.randint(*self.session_ns)
        self.schedule(self.now_ns + delay_ns, manager.manager.close)

    def component(self, name: str, instance: Instance) -> object:
        kind = name.removeprefix("sim:")
        if kind == "Source":
            return CLASSES[kind](self.ledger, instance.incarnation)
        return CLASSES[kind](self.ledger, instance.incarnation, instance.life)

    def start_master(self, incarnation: int) -> None:
        self.processes["tmaster"] = Master(self, incarnation)

    def start_containers(self) -> None:
        if self.started:
            return
        self.started = True
        for container in self.packing.containers:
            self._start(lambda container=container: Stmgr(self, container, 1))
            for plan in container.processes:
                self._start(
                    lambda plan=plan, container=container: Instance(self, plan, container, 1)
                )

    def restart_containers(self, ids: tuple[int, ...], request_id: str) -> None:
        """As a scheduler does: once for each request, whichever leader orders it."""
        if request_id in self.restarts:
            return
        self.restarts.add(request_id)
        for process in list(self.processes.values()):
            if process.host in ids and not isinstance(process, Client):
                self.kill(process)

    def _start(self, make: Callable[[], Process]) -> None:
        def start() -> None:
            process = make()
            self.note(f"{process.name}: starts, incarnation {process.incarnation}")
            self.processes[process.name] = process

        self.schedule(self.now_ns + self.rng.randint(0, 20 * MS), start)

    def kill(self, process: Process) -> None:
        """kill -9; its supervisor starts it again."""
        if process.alive:
            self.note(f"{process.name}: killed, incarnation {process.incarnation}")
            self.died(process)

    def died(self, process: Process) -> None:
        process.kill()
        if self.processes.get(process.name) is process:
            delay_ns = self.rng.randint(*self.restart_ns)
            self.schedule(self.now_ns + delay_ns, lambda: self.replace(process))

    def replace(self, process: Process) -> None:
        """Start the next incarnation of a process, dead or not."""
        if self.processes.get(process.name) is not process:
            return
        incarnation = process.incarnation + 1
        if process.alive:
            self.zombies.append(process)
        self.note(f"{process.name}: starts, incarnation {incarnation}")
        fresh: Process
        if isinstance(process, Instance):
            fresh = Instance(self, process.plan, process.container, incarnation)
        elif isinstance(process, Stmgr):
            # A new stream manager knows no incarnations; supervisors have killed by then.
            for zombie in self.zombies:
                if isinstance(zombie, Instance) and zombie.host == process.host:
                    self.kill(zombie)
            fresh = Stmgr(self, process.container, incarnation)
        else:
            fresh = Master(self, incarnation)
        self.processes[process.name] = fresh

    def pending(self) -> int:
        """Return how many trees are open at living sources."""
        return sum(
            process.runtime.spout_pending()
            for process in self.processes.values()
            if isinstance(process, Instance) and process.alive
        )

    def command(self, orders: list[Order]) -> Client:
        client = Client(self, self.next_life(), orders)
        self.processes[client.name] = client
        return client

    def calm(self) -> None:
        """End what makes the surroundings unreliable."""
        self.net.heal()
        self.net.wire = Wire()
        self.net.delay_ns = DELAY_NS
        self.state_down = self.scheduler_failing = False
        self.ledger.failing = False

    def close(self) -> None:
        """Give back what is not of this run alone."""
        for manager in self._managers:
            manager.close()

    def scheduler_fails(self) -> bool:
        return self.scheduler_failing and self.rng.random() < 0.5

    # ---- what must hold ----

    def note(self, text: str) -> None:
        if self._story is not None:
            self._story.append(f"{(self.now_ns - START_NS) / 1e9:9.6f} {text}")

    @property
    def telling(self) -> bool:
        """Whether anybody reads the story."""
        return self._story is not None

    def violated(self, what: str) -> None:
        raise Violation(what)

    def leads(self, master: Master) -> None:
        self.note(f"tmaster: incarnation {master.incarnation} leads, epoch {master.leader_epoch}")
        if master.leader_epoch in self.leaders:
            self.violated(f"two leaders of epoch {master.leader_epoch}")
        self.leaders[master.leader_epoch] = master

    def after_turn(self, process: Process) -> None:
        process.check()
        if self.ledger.violations:
            self.violated(self.ledger.violations[0])

    def check_credit(self, name: str, sender: CreditSender, receiver: CreditReceiver) -> None:
        """Credit is never negative; no hop holds more than its pool and a frame for each task.

        One more may come of each sender that was passed over: it was stopped with credit for one.
        """
        if min(sender.credit.values(), default=0) < 0:
            self.violated(f"{name}: credit {sender.credit} is negative")
        receiver.check_invariants()
        frames = 0
        for task, destination in receiver._destinations.items():
            last, over = self._extras.get((receiver, task), (None, set()))
            over = {
                link
                for link, state in destination.senders.items()
                if (link == last or link in over)
                and link != destination.extra
                and state.outstanding > 0
            }
            self._extras[receiver, task] = destination.extra, over
            frames += 1 + len(over)
        most_bytes = self.pool_bytes + frames * self.shape.frame_bytes_max()
        if receiver.held_bytes() > most_bytes:
            self.violated(f"{name}: holds {receiver.held_bytes()} bytes of at most {most_bytes}")

    def check_epochs(
        self, name: str, plan: PhysicalPlan, before: tuple[int, int]
    ) -> tuple[int, int]:
        found = (plan.leader_epoch, plan.plan_epoch)
        if found != before and not (found[0] >= before[0] and found[1] > before[1]):
            self.violated(f"{name}: plan {found} after {before} (leader epoch, plan epoch)")
        return found
