"""A topology whose components write down all they do, and what must be true of it.

    source (replays what fails) -> fan (two children a tuple) -> join (waits for both children, then
    emits one tuple anchored to them, or to those of two numbers at once) -> sink

The ledger knows each tuple tree as the authors' code made it, without XORs: which copies were
emitted, which were acked. So it can tell at once when a tree is acked that is not complete.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from heronshim.api import Bolt, Context, FailTuple, Spout, Tuple
from heronshim.core.plan.topology import (
    Component,
    ComponentKind,
    Grouping,
    GroupingKind,
    InputStream,
    OutputStream,
    Topology,
)
from heronshim.core.stream.frame import FRAME_COST_MIN_BYTES

Attempt = tuple[int, int]
"""(number, which try): a message id."""
FIELDS = ("number", "attempt", "serial", "incarnation", "padding")
TICK_S = 0.3


class Violation(AssertionError):
    """Something that must never be, was."""


class Poison(Exception):
    """What authors' code raises on purpose."""


@dataclass
class Shape:
    """How large a topology is and what its authors' code does."""

    sources: int = 1
    fans: int = 2
    joins: int = 2
    numbers: int = 12
    """Numbers that each source emits."""
    pending: int = 6
    padding: int = 0
    """Bytes added to each tuple."""
    fail_chance: float = 0.0
    raise_chance: float = 0.0
    timeout_s: float = 1.0
    pace_ns: int = 0
    """Time between two numbers of a source."""
    batch_rows: int = 4
    pool_bytes: int = 64 << 10
    """Credit that a process grants at most, beside a frame for each task."""
    containers: int = 2
    process: str = "executor"

    def frame_bytes_max(self) -> int:
        """Return what no batch of this topology exceeds."""
        rows = min(self.batch_rows, 4 * self.sources * self.numbers)
        return max(FRAME_COST_MIN_BYTES, 200 + (self.padding + 200) * rows)


@dataclass
class Ledger:
    """What all components of all processes did, from the start of the simulation."""

    rng: Random
    shape: Shape
    note: Callable[[str], None]
    now_ns: Callable[[], int]
    serials: int = 0
    attempts: dict[int, int] = field(default_factory=dict)
    """Tries of each number so far."""
    acked: set[int] = field(default_factory=set)
    """Numbers that are done."""
    settled: dict[Attempt, str] = field(default_factory=dict)
    open_copies: dict[Attempt, set[tuple[int, int]]] = field(
        default_factory=lambda: defaultdict(set)
    )
    """Copies (serial, task) of each tree that no author acked."""
    refused: set[Attempt] = field(default_factory=set)
    """Attempts of which an author failed a tuple: they never complete."""
    sunk: set[Attempt] = field(default_factory=set)
    order: dict[tuple[int, int, int, str], tuple[int, int]] = field(default_factory=dict)
    """Newest (incarnation, serial) seen by a task's process from a task on a stream."""
    executed: int = 0
    violations: list[str] = field(default_factory=list)
    """What must never be; noted, because the engine catches what authors' code raises."""
    failing: bool = True
    """Whether authors' code fails now and then."""

    def all_numbers(self) -> set[int]:
        return set(range(self.shape.sources * self.shape.numbers))

    def done(self) -> bool:
        return len(self.acked) == self.shape.sources * self.shape.numbers

    def next_serial(self) -> int:
        self.serials += 1
        return self.serials

    def emitted(self, attempts: tuple[Attempt, ...], serial: int, tasks: Any) -> None:
        for attempt in attempts:
            self.open_copies[attempt].update((serial, task) for task in tasks)

    def received(self, tup: Tuple, task: int, life: int) -> None:
        """A task executes a tuple: frames of one pair of tasks come in order, each once."""
        self.executed += 1
        key = (tup.task, task, life, tup.stream)
        newest = (tup["incarnation"], tup["serial"])
        before = self.order.get(key, (0, 0))
        if newest <= before:
            msg = (
                f"order: task {task} got serial {newest[1]} of incarnation {newest[0]} from task "
                f"{tup.task} on {tup.stream} after {before[1]} of {before[0]}"
            )
            self.violations.append(msg)
        self.order[key] = newest

    def acked_copy(self, attempts: tuple[Attempt, ...], serial: int, task: int) -> None:
        for attempt in attempts:
            self.open_copies[attempt].discard((serial, task))

    def refuse(self, attempts: tuple[Attempt, ...]) -> None:
        self.refused.update(attempts)

    def tree_acked(self, attempt: Attempt) -> None:
        """A source hears of an ack: the tree must be complete, and not settled before."""
        self.note(f"ack {attempt}")
        left = self.open_copies.get(attempt)
        if left or attempt not in self.sunk:
            msg = f"ack of {attempt} before its tree is complete: {sorted(left or ())} are open"
            self.violations.append(msg)
        if attempt in self.refused:
            msg = f"ack of {attempt}, of which a tuple was failed"
            self.violations.append(msg)
        self._settle(attempt, "acked")
        self.acked.add(attempt[0])

    def tree_failed(self, attempt: Attempt) -> None:
        self.note(f"fail {attempt}")
        self._settle(attempt, "failed")

    def _settle(self, attempt: Attempt, how: str) -> None:
        before = self.settled.setdefault(attempt, how)
        if before != how or (attempt, how) in self._heard:
            msg = f"{attempt} is {how} after it was {before}"
            self.violations.append(msg)
        self._heard.add((attempt, how))

    def __post_init__(self) -> None:
        self._heard: set[tuple[Attempt, str]] = set()


class Source(Spout):
    """Emits its numbers until each is acked; a new process begins with all that are not."""

    outputs = list(FIELDS)

    def __init__(self, ledger: Ledger, incarnation: int) -> None:
        self._ledger = ledger
        self._incarnation = incarnation

    def open(self, config: Mapping[str, Any], context: Context) -> None:
        ledger, shape = self._ledger, self._ledger.shape
        index = context.component_tasks[context.component_id].index(context.task_id)
        mine = range(index * shape.numbers, (index + 1) * shape.numbers)
        self._queue = [number for number in mine if number not in ledger.acked]
        self._next_ns = 0

    def next_tuple(self) -> None:
        ledger = self._ledger
        if not self._queue or ledger.now_ns() < self._next_ns:
            return
        self._next_ns = ledger.now_ns() + ledger.shape.pace_ns
        number = self._queue.pop(0)
        attempt = ledger.attempts.get(number, 0) + 1
        ledger.attempts[number] = attempt
        serial = ledger.next_serial()
        values = [number, attempt, serial, self._incarnation, b"x" * ledger.shape.padding]
        tasks = self.emit(values, id=(number, attempt))
        ledger.emitted(((number, attempt),), serial, tasks)
        ledger.note(f"emit {(number, attempt)} serial {serial} to {tuple(tasks)}")

    def ack(self, id: Attempt) -> None:
        self._ledger.tree_acked(id)

    def fail(self, id: Attempt) -> None:
        self._ledger.tree_failed(id)
        if id[0] not in self._ledger.acked:
            self._queue.append(id[0])


class _LedgerBolt(Bolt):
    def __init__(self, ledger: Ledger, incarnation: int, life: int) -> None:
        self._ledger = ledger
        self._incarnation = incarnation
        self._life = life

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        self._task = context.task_id

    def send(self, attempts: tuple[Attempt, ...], **keywords: Any) -> None:
        """Emit one tuple that stands for some attempts."""
        ledger = self._ledger
        serial = ledger.next_serial()
        number, attempt = attempts[0]
        values = [number, attempt, serial, self._incarnation, b"x" * ledger.shape.padding]
        tasks = self.emit([*values, [list(each) for each in attempts]], **keywords)
        ledger.emitted(attempts, serial, tasks)


class Fan(_LedgerBolt):
    """Two children of each tuple; some tuples fail, by FailTuple or by another exception."""

    outputs = [*FIELDS, "attempts"]

    def execute(self, tup: Tuple) -> None:
        ledger = self._ledger
        ledger.received(tup, self._task, self._life)
        attempt = (tup["number"], tup["attempt"])
        self.send((attempt,))
        luck = ledger.rng.random()
        if ledger.failing and luck < ledger.shape.fail_chance:
            ledger.refuse((attempt,))
            raise FailTuple
        if ledger.failing and luck < ledger.shape.fail_chance + ledger.shape.raise_chance:
            ledger.refuse((attempt,))
            raise Poison
        self.send((attempt,))
        ledger.acked_copy((attempt,), tup["serial"], self._task)


class Join(_LedgerBolt):
    """Holds a tuple until its twin comes, and then often until another number's twins come."""

    outputs = [*FIELDS, "attempts"]
    auto_ack = False
    auto_anchor = False

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        super().prepare(config, context)
        self._halves: dict[Attempt, Tuple] = {}
        self._whole: list[tuple[Attempt, Tuple, Tuple]] = []

    def execute(self, tup: Tuple) -> None:
        if tup.is_tick:
            self._send_whole()
            return
        ledger = self._ledger
        ledger.received(tup, self._task, self._life)
        attempt = (tup["number"], tup["attempt"])
        twin = self._halves.pop(attempt, None)
        if twin is None:
            self._halves[attempt] = tup
            return
        if ledger.failing and ledger.rng.random() < ledger.shape.fail_chance:
            ledger.refuse((attempt,))
            self.fail(tup)
            return
        self._whole.append((attempt, twin, tup))
        if len(self._whole) > 1 or ledger.rng.random() < 0.3:
            self._send_whole()

    def _send_whole(self) -> None:
        """Emit one tuple for all that is whole, anchored to every tuple of it."""
        if not self._whole:
            return
        ledger = self._ledger
        whole, self._whole = self._whole, []
        anchors = [tup for _, *pair in whole for tup in pair]
        self.send(tuple(attempt for attempt, *_ in whole), anchors=anchors)
        for attempt, *pair in whole:
            for tup in pair:
                self.ack(tup)
                ledger.acked_copy((attempt,), tup["serial"], self._task)


class Sink(_LedgerBolt):
    """Writes down what came through."""

    def execute(self, tup: Tuple) -> None:
        ledger = self._ledger
        ledger.received(tup, self._task, self._life)
        attempts = tuple((number, attempt) for number, attempt in tup["attempts"])
        ledger.sunk.update(attempts)
        ledger.acked_copy(attempts, tup["serial"], self._task)


CLASSES = {"Source": Source, "Fan": Fan, "Join": Join, "Sink": Sink}


def make_topology(shape: Shape) -> Topology:
    """Return the topology of a shape."""
    fields = OutputStream("default", FIELDS)
    more = OutputStream("default", (*FIELDS, "attempts"))
    by_number = Grouping(GroupingKind.FIELDS, ("number",))
    options = {"process": shape.process}

    def bolt(name: str, source: str, grouping: Grouping, count: int, **other: Any) -> Component:
        given = dict(other.pop("options", {}), **options)
        return Component(
            name.lower(), ComponentKind.BOLT, f"sim:{name}", parallelism=count,
            inputs=(InputStream(source, "default", grouping),), options=given, **other,
        )  # fmt: skip

    components = (
        bolt("Fan", "source", Grouping(GroupingKind.SHUFFLE), shape.fans, outputs=(more,)),
        bolt(
            "Join", "fan", by_number, shape.joins, outputs=(more,),
            options={"tick_interval_s": TICK_S},
        ),
        bolt("Sink", "join", Grouping(GroupingKind.GLOBAL), 1),
        Component(
            "source", ComponentKind.SPOUT, "sim:Source", parallelism=shape.sources,
            outputs=(fields,), options=options,
        ),
    )  # fmt: skip
    return Topology(
        "ledger", components, id="ledger-1",
        options={
            "containers": shape.containers,
            "max_spout_pending": shape.pending,
            "message_timeout_s": shape.timeout_s,
            "batch_rows": shape.batch_rows,
            "spout_wait_ms": 25.0,
            "metrics_interval_s": 60.0,
            "liveness_limit_s": 5.0,
        },
    )  # fmt: skip
