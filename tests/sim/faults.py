"""What goes wrong in a run: each seed enables some kinds of faults, at random times.

(Swarm testing: with every kind in every run they would hide each other's effects.)
"""

from __future__ import annotations

from random import Random

from heronshim.core.master.messages import CommandKind
from tests.sim.cluster import START_NS, Cluster
from tests.sim.ledger import Shape
from tests.sim.processes import MS, Client, Instance, Master, Order, Process, Stmgr

FAULTS_NS = 1_500 * MS
"""Faults begin within this time of the start; all are over at its end."""
KINDS = (
    "kill", "kill_master", "pause", "zombie", "two_masters", "cut", "partition", "late_plan",
    "wire", "delay", "slow", "wall_clock", "state_down", "scheduler", "commands",
)  # fmt: skip


def random_shape(rng: Random) -> Shape:
    """Return a topology of random size, mostly small."""
    chosen = rng.choice
    return Shape(
        sources=chosen((1, 1, 1, 2)),
        fans=chosen((1, 2)),
        joins=chosen((1, 2)),
        numbers=chosen((4, 8, 12)),
        pending=chosen((1, 3, 8, 50)),
        padding=chosen((0, 0, 600, 3000)),
        fail_chance=chosen((0, 0, 0.1)),
        raise_chance=chosen((0, 0, 0.05)),
        timeout_s=chosen((0.6, 1.0, 2.0)),
        batch_rows=chosen((1, 3, 500)),
        pool_bytes=chosen((2 << 10, 8 << 10, 64 << 10)),
        pace_ns=chosen((0, 20 * MS, 80 * MS)),
        containers=chosen((1, 2, 2, 2, 3)),
        process=chosen(("executor", "executor", "container")),
    )


class Faults:
    """Plans and carries out the faults of one run."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.rng = Random(cluster.rng.getrandbits(64))
        self.end_ns = START_NS + FAULTS_NS
        self.kinds = [kind for kind in KINDS if self.rng.random() < 0.25]
        cluster.note(f"faults: {', '.join(self.kinds) or 'none'}; {cluster.shape}")
        for kind in self.kinds:
            for _ in range(self.rng.randint(1, 3)):
                self._at(self.rng.randint(0, FAULTS_NS), getattr(self, f"_{kind}"))

    def stop(self) -> None:
        """End all faults: from now on everything must settle."""
        cluster = self.cluster
        cluster.note("faults end")
        cluster.calm()
        for zombie in cluster.zombies:
            cluster.kill(zombie)
        for process in cluster.processes.values():
            process.slow_ns = 0
            if process.paused and process.alive:
                process.resume()

    def _at(self, after_ns: int, call: object) -> None:
        """Run a call after a while, unless faults are over by then."""

        def run() -> None:
            if self.cluster.now_ns < self.end_ns:
                call()  # type: ignore[operator]

        self.cluster.schedule(self.cluster.now_ns + after_ns, run)

    def _later(self, low_ms: int, high_ms: int, call: object) -> None:
        self._at(self.rng.randint(low_ms, high_ms) * MS, call)

    def _victim(self, *kinds: type[Process]) -> Process | None:
        living = [
            process
            for process in self.cluster.processes.values()
            if process.alive and not process.paused and isinstance(process, kinds)
        ]
        return self.rng.choice(living) if living else None

    def _kill(self) -> None:
        victim = self._victim(Instance, Stmgr)
        if victim is not None:
            self.cluster.kill(victim)

    def _kill_master(self) -> None:
        victim = self._victim(Master)
        if victim is not None:
            self.cluster.kill(victim)

    def _pause(self) -> None:
        victim = self._victim(Instance, Stmgr, Master)
        if victim is None:
            return
        self.cluster.note(f"{victim.name}: paused")
        victim.pause()
        self._later(50, 1200, lambda: self._wake(victim))

    def _wake(self, process: Process) -> None:
        if process.alive and process.paused:
            self.cluster.note(f"{process.name}: woken, incarnation {process.incarnation}")
            process.resume()

    def _zombie(self) -> None:
        """A process is given up while it is stopped; later it goes on, and in the end is killed."""
        victim = self._victim(Instance, Stmgr)
        if victim is None:
            return
        self.cluster.note(f"{victim.name}: paused and given up")
        victim.pause()
        self._later(0, 200, lambda: self.cluster.replace(victim))
        self._later(50, 900, lambda: self._wake(victim))

    def _two_masters(self) -> None:
        victim = self._victim(Master)
        if not isinstance(victim, Master):
            return
        stopped = self.rng.random() < 0.7
        self.cluster.note(f"tmaster: session lost, {'stopped' if stopped else 'running'}")
        if stopped:
            victim.pause()
        victim.manager.manager.expire_session()
        self.cluster.replace(victim)
        self._later(100, 800, lambda: self._wake(victim))

    def _cut(self) -> None:
        connections = sorted(self.cluster.net.connections, key=lambda item: item.identity)
        if connections:
            connection = self.rng.choice(connections)
            self.cluster.note(f"cut: {connection.client.process.name}")
            connection.cut()

    def _partition(self) -> None:
        hosts = range(len(self.cluster.packing.containers) + 1)
        one, other = self.rng.sample(hosts, 2)
        self._block(one, other, both=self.rng.random() < 0.5)

    def _late_plan(self) -> None:
        self._block(0, self.rng.randint(1, len(self.cluster.packing.containers)), both=False)

    def _block(self, one: int, other: int, *, both: bool) -> None:
        cluster = self.cluster
        cluster.note(f"partition: {one} {'<' if both else ''}-> {other}")
        cluster.net.block(one, other, both=both)

        def heal() -> None:
            cluster.note("partition: healed")
            cluster.net.heal(cut=self.rng.random() < 0.5)

        self._later(30, 1000, heal)

    def _wire(self) -> None:
        wire = self.cluster.net.wire
        setattr(
            wire,
            self.rng.choice(("lost", "doubled", "overtaken")),
            self.rng.choice((0.002, 0.01, 0.05)),
        )
        self.cluster.note(f"wire: {wire}")

    def _delay(self) -> None:
        longest = self.rng.choice((1, 10, 60)) * MS
        self.cluster.net.delay_ns = (longest // 10, longest)
        self.cluster.note(f"delay: to {longest / MS:g} ms")

    def _slow(self) -> None:
        victim = self._victim(Instance, Stmgr, Master)
        if victim is not None:
            victim.slow_ns = self.rng.choice((2, 20, 150)) * MS
            self.cluster.note(f"{victim.name}: turns take to {victim.slow_ns // MS} ms longer")

    def _wall_clock(self) -> None:
        victim = self._victim(Instance, Stmgr, Master)
        if victim is not None:
            victim.wall_shift_ms += self.rng.choice((-3_600_000, 86_400_000, -86_400_000))

    def _state_down(self) -> None:
        cluster = self.cluster
        cluster.note("state manager: down")
        cluster.state_down = True

        def up() -> None:
            cluster.note("state manager: up")
            cluster.state_down = False

        self._later(50, 900, up)

    def _scheduler(self) -> None:
        self.cluster.scheduler_failing = True

    def _commands(self) -> None:
        rng = self.rng
        number = self.cluster.next_life()
        orders = [
            Order(CommandKind.DEACTIVATE, f"{number}-off"),
            Order(CommandKind.ACTIVATE, f"{number}-on"),
        ]
        if rng.random() < 0.3:
            container = rng.randint(1, len(self.cluster.packing.containers))
            orders.insert(0, Order(CommandKind.RESTART, f"{number}-restart", container))
        if not any(isinstance(process, Client) for process in self.cluster.processes.values()):
            self.cluster.command(orders)
