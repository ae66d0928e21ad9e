"""Instances of one topology in one thread: what runs between them is a loop played by a test.

The runtimes are the engine's. The loop stands for sockets and stream managers: it carries frames
to their destination, first in first out for each (source, destination), grants credit as it is
told, keeps all frames for a test to look at, and its clock moves only when a test says so.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np

from heronshim.api import Bolt, Spout, Tuple
from heronshim.core.codec.data import decode_batch, decode_outcomes
from heronshim.core.codec.link import decode_credit_request, encode_credit
from heronshim.core.codec.metrics import metrics_from_bytes
from heronshim.core.codec.plan import physical_plan_to_bytes
from heronshim.core.plan.physical import (
    PhysicalContainer,
    PhysicalPlan,
    ProcessPlan,
    Resources,
    TopologyState,
)
from heronshim.core.plan.topology import (
    Component,
    ComponentKind,
    Grouping,
    GroupingKind,
    InputStream,
    OutputStream,
    Topology,
)
from heronshim.core.spi.metrics_sink import ErrorRecord, MetricsRecord
from heronshim.core.stream.frame import Kind
from heronshim.instance.clock import Clock
from heronshim.instance.identity import Identity
from heronshim.instance.runtime import InstanceRuntime

GRANT_BYTES = 32 << 20
SHUFFLE = Grouping(GroupingKind.SHUFFLE)
ALL = Grouping(GroupingKind.ALL)


def fields(*names: str) -> Grouping:
    return Grouping(GroupingKind.FIELDS, names)


class Feed(Spout):
    """Emits what a test puts into `rows`: (values, message id), one for each call."""

    def open(self, config: Mapping[str, Any], context: Any) -> None:
        self.context = context
        self.rows: deque[tuple[Any, Any]] = deque()
        self.acked: list[Any] = []
        self.failed: list[Any] = []
        self.tasks: list[tuple[int, ...]] = []

    def next_tuple(self) -> None:
        if self.rows:
            values, id_ = self.rows.popleft()
            self.tasks.append(tuple(self.emit(values, id=id_)))

    def ack(self, id: Any) -> None:
        self.acked.append(id)

    def fail(self, id: Any) -> None:
        self.failed.append(id)


class Take(Bolt):
    """Keeps the tuples that it executes."""

    def prepare(self, config: Mapping[str, Any], context: Any) -> None:
        self.context = context
        self.got: list[Tuple] = []

    def execute(self, tup: Tuple) -> None:
        self.got.append(tup)

    @property
    def rows(self) -> list[list[Any]]:
        return [tup.values for tup in self.got]


class Hold(Take):
    """Keeps tuples; a test acks, fails and emits."""

    auto_ack = False
    auto_anchor = False


def output(*names: str, stream: str = "default", direct: bool = False) -> OutputStream:
    return OutputStream(stream, names or ("word",), direct)


def spout(id_: str, *outputs: OutputStream, **other: Any) -> Component:
    return Component(id_, ComponentKind.SPOUT, id_, outputs=outputs or (output(),), **other)


def bolt(
    id_: str,
    inputs: Mapping[str, Grouping],
    *outputs: OutputStream,
    **other: Any,
) -> Component:
    """Return a bolt; `inputs` maps "component" or "component/stream" to groupings."""
    streams = tuple(
        InputStream(*(source.split("/") if "/" in source else (source, "default")), grouping)
        for source, grouping in inputs.items()
    )
    return Component(id_, ComponentKind.BOLT, id_, inputs=streams, outputs=outputs, **other)


@dataclass(frozen=True)
class Sent:
    """A frame that an instance sent."""

    kind: Kind
    destination: int
    source: int
    payload: bytes

    @property
    def rows(self) -> list[list[Any]]:
        return decode_batch(self.payload)[1]

    @property
    def pairs(self) -> list[tuple[tuple[int, int], ...]]:
        """Per row its (root, edge) pairs."""
        batch, rows = decode_batch(self.payload)
        flat = list(zip(column(batch.roots), column(batch.edges), strict=True))
        counts = list(batch.root_counts) or [1 if flat else 0] * len(rows)
        starts = [sum(counts[:row]) for row in range(len(rows))]
        return [tuple(flat[start : start + n]) for start, n in zip(starts, counts, strict=True)]


def column(data: bytes) -> list[int]:
    """Return the numbers of a column of the wire."""
    return np.frombuffer(data, np.uint64).tolist()


class Loop:
    """Runs the components of one topology; tasks are numbered as components sort."""

    def __init__(
        self,
        components: Iterable[Component],
        objects: Mapping[str, Callable[[], object]],
        *,
        seed: int = 0,
        state: TopologyState = TopologyState.ACTIVE,
        grants: bool = True,
        io_lock: Any = None,
        **options: object,
    ) -> None:
        self.now_ns = 1_000_000_000
        self.grants = grants
        self.held: Callable[[Sent], bool] = lambda _: False
        """Frames that the loop keeps back."""
        self.sent: list[Sent] = []
        self.records: list[MetricsRecord] = []
        self.made: dict[str, list[Any]] = defaultdict(list)
        """The authors' objects, in task order, as soon as the instances are open."""
        self._random = Random(seed)
        self._queues: dict[tuple[int, int], deque[Sent]] = defaultdict(deque)
        self._objects = objects
        topology = Topology(
            "t", tuple(sorted(components, key=lambda item: item.id)), "t-1", options=options
        )
        self.tasks: dict[str, tuple[int, ...]] = {}
        self.runtimes: dict[str, InstanceRuntime] = {}
        self.home: dict[int, InstanceRuntime] = {}
        processes = []
        for component in topology.components:
            first = 1 + sum(len(tasks) for tasks in self.tasks.values())
            tasks = tuple(range(first, first + component.task_count))
            self.tasks[component.id] = tasks
            executors = tuple((task,) for task in tasks)
            processes.append(
                ProcessPlan(f"{component.id}-{first}", component.id, executors, Resources())
            )
        container = PhysicalContainer(1, "host", "ipc://x", 1, 1, tuple(processes))
        self.plan = PhysicalPlan(1, 1, topology, (container,), state)
        for process in processes:
            runtime = self.runtimes[process.component] = InstanceRuntime(
                Identity(process.id, 1, process.executors),
                self._load,
                Random(self._random.getrandbits(64)),
                Clock(lambda: self.now_ns, lambda: self.now_ns // 1_000_000),
                io_lock,
            )
            self.home |= dict.fromkeys(process.tasks, runtime)
        self.push(self.plan)

    def _load(self, name: str, arguments: Mapping[str, object]) -> object:
        made = self._objects[name](**arguments)
        self.made[name].append(made)
        return made

    def push(self, plan: PhysicalPlan) -> None:
        self.plan = plan
        for runtime in self.runtimes.values():
            runtime.on_frame(Kind.PLAN, 0, 0, physical_plan_to_bytes(plan), self.now_ns)

    def set_state(self, state: TopologyState) -> None:
        self.push(replace(self.plan, plan_epoch=self.plan.plan_epoch + 1, state=state))

    def one(self, component: str) -> Any:
        """Return the only object of a component."""
        (found,) = self.made[component]
        return found

    def turn(self) -> bool:
        """Let each process step and send, then carry some frames; whether anything happened."""
        order = list(self.runtimes)
        self._random.shuffle(order)
        happened = False
        for name in order:
            happened |= self.runtimes[name].step(self.now_ns)
            self.collect(name)
        return self.carry() or happened

    def collect(self, name: str, *, idle: bool = True) -> None:
        """Take what a process has to send."""
        runtime = self.runtimes[name]
        runtime.flush(self.now_ns, idle=idle)
        for kind, destination, source, payload in runtime.take_frames():
            self._take(runtime, Sent(kind, destination, source, payload))

    def _take(self, runtime: InstanceRuntime, frame: Sent) -> None:
        self.sent.append(frame)
        if frame.kind is Kind.METRICS:
            self.records.append(metrics_from_bytes(frame.payload, "t"))
        elif frame.kind is Kind.CREDIT_REQUEST:
            if self.grants:
                needs = dict(decode_credit_request(frame.payload))
                grant = dict.fromkeys(needs, GRANT_BYTES)
                runtime.on_frame(Kind.CREDIT, 0, 0, encode_credit(grant), self.now_ns)
        elif frame.kind in (Kind.DATA, Kind.OUTCOMES):
            self._queues[frame.source, frame.destination].append(frame)

    def carry(self) -> bool:
        """Deliver the first frame of each queue, in random order; whether there was one."""
        keys = [key for key, queue in self._queues.items() if queue and not self.held(queue[0])]
        self._random.shuffle(keys)
        for key in keys:
            frame = self._queues[key].popleft()
            self.home[frame.destination].on_frame(
                frame.kind, frame.destination, frame.source, frame.payload, self.now_ns
            )
        return bool(keys)

    def run(self, turns: int = 2000) -> None:
        """Turn until nothing happens any more."""
        for _ in range(turns):
            if not self.turn() and not self.turn():
                return
        raise AssertionError("the loop does not come to rest")

    def open(self) -> None:
        """Turn once, so that all objects are there."""
        self.turn()

    def feed(self, rows: Iterable[tuple[Any, Any]], component: str = "s", task: int = 0) -> None:
        self.made[component][task].rows.extend(rows)

    def of_kind(self, kind: Kind) -> list[Sent]:
        return [frame for frame in self.sent if frame.kind is kind]

    def outcomes(self) -> list[tuple[int, int, int]]:
        """Return (kind, root, xor) of all outcomes sent, in order."""
        found = []
        for frame in self.of_kind(Kind.OUTCOMES):
            outcomes = decode_outcomes(frame.payload)
            roots = column(outcomes.roots)
            kinds = outcomes.kinds or bytes(len(roots))
            found += zip(kinds, roots, column(outcomes.xors), strict=True)
        return found

    def report(self) -> None:
        """Make every process report."""
        for name, runtime in self.runtimes.items():
            runtime.report(self.now_ns)
            self.collect(name)

    def errors(self) -> list[ErrorRecord]:
        self.report()
        return [error for record in self.records for error in record.errors]

    def counts(self, component: str) -> Counter[str]:
        """Return the sums that a component's tasks have reported since the start."""
        self.report()
        total: Counter[str] = Counter()
        for record in self.records:
            for task in record.tasks:
                if task.component == component:
                    total.update(task.sums)
        return total

    def pending(self) -> int:
        return sum(runtime.spout_pending() for runtime in self.runtimes.values())
