"""The engine's own processes, run turn by turn: their shells, on simulated sockets and clocks."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import zmq

from heronshim.core.codec.master import command_to_bytes, reply_from_bytes
from heronshim.core.daemons.stmgr import StreamManager
from heronshim.core.daemons.tmaster import TMasterDaemon
from heronshim.core.io.child import ChildStart
from heronshim.core.io.dealer_link import DealerLink
from heronshim.core.io.state_layout import TopologyNodes
from heronshim.core.io.surroundings import Surroundings
from heronshim.core.io.tokens import process_token
from heronshim.core.master.events import (
    AddContainers,
    ContainersAdded,
    ContainersNotAdded,
    RestartAnswered,
    RestartContainers,
)
from heronshim.core.master.messages import Command, CommandKind
from heronshim.core.plan.records import TMasterLocation
from heronshim.core.stream.frame import Kind
from heronshim.core.stream.link import Hello, Role
from heronshim.errors import HeronshimError, StateError
from heronshim.instance.main import InstanceShell
from heronshim.instance.runtime import UserCodeFailed
from tests.sim.network import SimContext, SimPoller

if TYPE_CHECKING:
    from heronshim.core.plan.physical import ContainerPlan, ProcessPlan
    from tests.sim.cluster import Cluster

MS = 1_000_000
SECRET = bytes(range(32))
LEADER_RETRY_NS = 200 * MS


class Process:
    """Something that runs turns. Paused, it only receives; killed, it is no more."""

    def __init__(self, cluster: Cluster, name: str, host: int, incarnation: int) -> None:
        self.cluster = cluster
        self.name = name
        self.host = host
        self.incarnation = incarnation
        self.sockets: list[Any] = []
        self.context = SimContext(self, cluster.net)
        self.alive = True
        self.paused = False
        self.slow_ns = 0
        """How long a turn may take at most, beyond the usual."""
        self.wall_shift_ms = 0
        self._due_ns: int | None = None

    def surroundings(self) -> Surroundings:
        cluster = self.cluster
        return Surroundings(
            self.context,  # type: ignore[arg-type]
            SimPoller(self),  # type: ignore[arg-type]
            lambda: cluster.now_ns,
            lambda: cluster.wall_ms() + self.wall_shift_ms,
        )

    def wake_soon(self) -> None:
        """Something came: run a turn as soon as the machine gets to it."""
        self.wake_at(self.cluster.now_ns + self.cluster.turn_delay(self))

    def wake_at(self, at_ns: int) -> None:
        if self.alive and not self.paused and (self._due_ns is None or at_ns < self._due_ns):
            self._due_ns = at_ns
            self.cluster.schedule(at_ns, self._run)

    def pause(self) -> None:
        self.paused = True
        self._due_ns = None

    def resume(self) -> None:
        self.paused = False
        self.wake_soon()

    def kill(self) -> None:
        """End at once: of what was sent some arrives, what was not read is lost."""
        self.alive = False
        for socket in self.sockets[:]:
            socket.setsockopt(zmq.LINGER, 0)
            socket.close()

    def _run(self) -> None:
        if self._due_ns != self.cluster.now_ns or not self.alive or self.paused:
            return
        self._due_ns = None
        self.cluster.running = f"{self.name}/{self.incarnation}"
        wait_ns = self.turn()
        if self.alive:
            self.cluster.after_turn(self)
            self.wake_at(self.cluster.now_ns + max(50_000, wait_ns))

    def turn(self) -> int:
        """Do one turn and return for how long nothing is due."""
        raise NotImplementedError

    def ends_replaced(self) -> int:
        """It was told that a newer process is in its place."""
        self.cluster.note(f"{self.name}: ends, replaced, incarnation {self.incarnation}")
        self.cluster.died(self)
        return 0

    def check(self) -> None:
        """Raise if an invariant of this process does not hold."""

    def start(self, container: ContainerPlan | None, component: str = "") -> ChildStart:
        return ChildStart(
            launch=self.cluster.launch,
            container=self.host,
            process=self.name,
            incarnation=self.incarnation,
            token=process_token(SECRET, "ledger-1", self.name, self.incarnation),
            endpoint=f"sim://{self.host}",
            plan=container,
            component=component,
        )


class Instance(Process):
    """An instance's shell, without its watcher thread: no call of the author's blocks here."""

    def __init__(
        self, cluster: Cluster, plan: ProcessPlan, container: ContainerPlan, incarnation: int
    ) -> None:
        super().__init__(cluster, plan.id, container.id, incarnation)
        self.plan = plan
        self.container = container
        self.life = cluster.next_life()
        self.shell = InstanceShell(
            self.start(container, plan.component),
            self._load,
            Random(cluster.rng.getrandbits(64)),
            self.surroundings(),
        )
        self.runtime = self.shell._runtime
        self.runtime._receiver._pool_bytes = cluster.pool_bytes
        self.shell.connect()
        self.wake_soon()

    def _load(self, name: str, _arguments: Any) -> object:
        return self.cluster.component(name, self)

    def turn(self) -> int:
        try:
            happened = self.shell.turn()
        except UserCodeFailed as error:
            self.cluster.note(f"{self.name}: ends, {error}")
            self.cluster.died(self)
            return 0
        if self.shell._stopping:
            return self.ends_replaced()
        return 0 if happened else int(self.shell.wait_ms() * MS)

    def check(self) -> None:
        self.cluster.check_credit(self.name, self.runtime._outbox.credit, self.runtime._receiver)
        for meter in self.runtime._meters.values():
            for error in meter.take_errors(self.cluster.now_ns) if meter._errors else ():
                if error.message != "Poison: ":
                    self.cluster.violated(f"{self.name}: {error.message}: {error.detail}")


class Stmgr(Process):
    """A stream manager."""

    def __init__(self, cluster: Cluster, container: ContainerPlan, incarnation: int) -> None:
        super().__init__(cluster, f"stmgr-{container.id}", container.id, incarnation)
        self.container = container
        self.manager = cluster.state_manager(self)
        self.daemon = StreamManager(
            self.start(container), SECRET, self.manager, self.surroundings()
        )
        self.forwarder = self.daemon._forwarder
        self.forwarder.receiver._pool_bytes = cluster.pool_bytes
        self._epochs = (0, 0)
        self.wake_soon()

    def turn(self) -> int:
        self.daemon.turn({socket for socket in self.sockets if socket.inbox})
        if self.daemon.replaced:
            return self.ends_replaced()
        more = any(socket.inbox for socket in self.sockets)
        return 0 if more else self.daemon.wait_ms() * MS

    def check(self) -> None:
        self.cluster.check_credit(self.name, self.forwarder.sender, self.forwarder.receiver)
        plan = self.daemon._plan
        if plan is not None:
            self._epochs = self.cluster.check_epochs(self.name, plan, self._epochs)

    def kill(self) -> None:
        super().kill()
        self.manager.close()


class Master(Process):
    """A TMaster that leads, or waits until it may."""

    def __init__(self, cluster: Cluster, incarnation: int) -> None:
        super().__init__(cluster, "tmaster", 0, incarnation)
        self.manager = cluster.state_manager(self)
        self.nodes = TopologyNodes(self.manager, "ledger")
        self.daemon: TMasterDaemon | None = None
        self.scheduler = SimScheduler(self)
        self.leader_epoch = 0
        self.wake_soon()

    def turn(self) -> int:
        try:
            if self.daemon is None and not self._lead():
                return LEADER_RETRY_NS
            assert self.daemon is not None
            self.daemon.turn()
        except HeronshimError as error:
            self.cluster.note(f"tmaster: ends, {error}")
            self.cluster.died(self)
            return 0
        if self.daemon.failure:
            self.cluster.note(f"tmaster: steps down, {self.daemon.failure}")
            self.cluster.died(self)
            return 0
        return self.daemon.wait_ms() * MS

    def _lead(self) -> bool:
        self.manager.poll()
        location = TMasterLocation("sim", "sim://0", 1)
        leadership = self.nodes.become_tmaster(location)
        if leadership is None:
            return False
        self.leader_epoch = leadership.epoch
        self.cluster.leads(self)
        self.daemon = TMasterDaemon(
            self.start(None), self.manager, leadership, SECRET,
            self.scheduler, self.surroundings(),  # type: ignore[arg-type]
        )  # fmt: skip
        return True

    def check(self) -> None:
        if self.daemon is not None:
            self.daemon._machine.check_invariants()

    def kill(self) -> None:
        super().kill()
        self.cluster.session_ends(self.manager)


class SimScheduler:
    """Takes a TMaster's orders; answers after a while."""

    def __init__(self, master: Master) -> None:
        self._master = master
        self._answers: list[Any] = []
        self._restarts: set[str] = set()

    def order(self, order: AddContainers | RestartContainers) -> None:
        cluster = self._master.cluster
        answer: Any
        failed = cluster.scheduler_fails()
        if isinstance(order, AddContainers):
            answer = ContainersNotAdded("busy") if failed else ContainersAdded()
            act = None if failed else cluster.start_containers
        else:
            if order.request_id in self._restarts:
                cluster.violated(f"request {order.request_id} was carried out twice")
            self._restarts.add(order.request_id)
            answer = RestartAnswered(order.request_id, "busy" if failed else "")
            what = order.ids, order.request_id
            act = None if failed else lambda: cluster.restart_containers(*what)

        def done() -> None:
            if act is not None:
                act()
            self._answers.append(answer)
            self._master.wake_soon()

        cluster.schedule(cluster.now_ns + cluster.rng.randint(1, 50) * MS, done)

    def take_answers(self) -> list[Any]:
        taken, self._answers = self._answers, []
        return taken

    def stop(self) -> None:
        """There is no thread."""


@dataclass
class Order:
    """A command that a client repeats until it is answered."""

    kind: CommandKind
    request_id: str
    container: int = -1
    answered: bool = False


class Client(Process):
    """The command line: sends commands one after another, each until it is answered."""

    def __init__(self, cluster: Cluster, number: int, orders: list[Order]) -> None:
        super().__init__(cluster, f"client-{number:08x}", 0, 1)
        self.orders = orders
        hello = Hello(
            "ledger-1", Role.CLIENT, self.name, 1, 0,
            process_token(SECRET, "ledger-1", self.name, 1),
        )  # fmt: skip
        self._link = DealerLink(self.context, hello)  # type: ignore[arg-type]
        self._link.connect("sim://0", cluster.now_ns)
        self._sent_ns = 0
        self.wake_soon()

    def turn(self) -> int:
        now_ns = self.cluster.now_ns
        link = self._link
        link.tick(now_ns)
        while (frame := link.receive(now_ns)) is not None:
            if frame.kind == Kind.COMMAND_REPLY:
                reply = reply_from_bytes(frame.payload.bytes, "ledger")
                self.cluster.note(f"{self.name}: {reply.request_id} ok={reply.ok} {reply.message}")
                for order in self.orders:
                    if order.request_id == reply.request_id:
                        if reply.ok or order.kind is CommandKind.RESTART:
                            order.answered = True
                        else:
                            order.request_id += "+"
        if link.take_events():
            self._sent_ns = 0
        waiting = [order for order in self.orders if not order.answered]
        if not waiting:
            link.close("done", now_ns)
            self.alive = False
            return 0
        if link.up and now_ns - self._sent_ns >= 400 * MS:
            self._sent_ns = now_ns
            order = waiting[0]
            command = Command(order.request_id, order.kind, order.container)
            link.send(Kind.COMMAND, command_to_bytes(command))
        return min(400 * MS, link.next_deadline_ns() - now_ns)


class SimStateManager:
    """A memory state manager that cannot always be reached."""

    def __init__(self, cluster: Cluster, manager: Any) -> None:
        self._cluster = cluster
        self.manager = manager

    def __getattr__(self, name: str) -> Any:
        if self._cluster.state_down and name in ("get", "put", "become_leader", "poll"):
            msg = "the store cannot be reached"
            raise StateError(msg)
        return getattr(self.manager, name)
