"""Runs one bolt or spout on its own: no engine, no thread, nothing to wait for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heronshim.api.components import Bolt, FailTuple, Spout
from heronshim.api.context import Context
from heronshim.api.declaration import declared_here
from heronshim.api.problems import Problems
from heronshim.api.streams import Reader
from heronshim.core.plan.topology import (
    DEFAULT_STREAM,
    Component,
    ComponentKind,
    OutputStream,
    Topology,
)
from heronshim.errors import TopologyError, nearest
from heronshim.testing.tuples import SOURCE_COMPONENT, SOURCE_TASK, as_tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from heronshim.api.tuple import Tuple
    from heronshim.testing.tuples import TupleLike

TESTED_COMPONENT = "tested"
TESTED_TASK = 2
CONSUMER_TASK = 3
"""The task that every emit returns."""


@dataclass(frozen=True, slots=True)
class Emit:
    """One call of `emit` or `emit_direct`."""

    values: list[Any]
    stream: str = DEFAULT_STREAM
    anchors: tuple[Tuple, ...] = ()
    """Bolts: the tuples that it is anchored to."""
    id: Any = None
    """Spouts: its message id."""
    task: int | None = None
    """The task that `emit_direct` named."""


@dataclass(slots=True)
class _Run:
    """What a component did."""

    context: Context
    emits: list[Emit] = field(default_factory=list)
    """All emits, in order."""
    errors: list[BaseException | str] = field(default_factory=list)
    """What it raised or reported."""

    @property
    def emitted(self) -> list[list[Any]]:
        """Values emitted on the default stream, in order."""
        return self.on(DEFAULT_STREAM)

    def on(self, stream: str) -> list[list[Any]]:
        """Return the values emitted on a stream, in order."""
        return [emit.values for emit in self.emits if emit.stream == stream]


@dataclass(slots=True)
class BoltRun(_Run):
    """What a bolt did."""

    acked: list[list[Any]] = field(default_factory=list)
    """Values of the tuples acked, in order."""
    failed: list[list[Any]] = field(default_factory=list)
    """Values of the tuples failed, in order."""


@dataclass(slots=True)
class SpoutRun(_Run):
    """What a spout did."""

    @property
    def ids(self) -> list[Any]:
        """Message ids emitted, in order."""
        return [emit.id for emit in self.emits if emit.id is not None]

    @property
    def source_exhausted(self) -> bool:
        """Whether the gauge of that name says that there is nothing more."""
        return bool(self.context.gauge("source_exhausted").value)


def run_bolt(
    bolt: Bolt,
    tuples: Iterable[TupleLike],
    config: Mapping[str, Any] | None = None,
    *,
    fields: Sequence[str] = (),
) -> BoltRun:
    """Prepare a bolt, execute tuples one after another, clean it up; return what it did.

    A tuple may be plain values (`["a", 1]`, with the names in `fields`), a mapping of field names
    to values, or made by `make_tuple` and `tick_tuple`. What `execute` raises fails its tuple and
    is in `errors`, as in a running topology.

    Raises:
        TopologyError: the class declares its outputs wrongly.
    """
    run = BoltRun(_context(bolt, ComponentKind.BOLT, config))
    bench = _BoltBench(bolt, run)
    bolt.prepare(run.context.config, run.context)
    for tup in [as_tuple(item, fields) for item in tuples]:
        bench.execute(tup)
    bolt.cleanup()
    return run


class _BoltBench:
    """Stands in for the engine around one bolt."""

    def __init__(self, bolt: Bolt, run: BoltRun) -> None:
        self._bolt = bolt
        self._run = run
        self._streams = _Streams(run)
        self._current: tuple[Tuple, ...] = ()
        self._settled: dict[int, Tuple] = {}
        _bind(
            bolt,
            emit=self._emit,
            emit_direct=self._emit_direct,
            ack=lambda tup: self._settle(tup, run.acked),
            fail=lambda tup: self._settle(tup, run.failed),
            reset_timeout=lambda _: None,
            report_error=run.errors.append,
        )

    def execute(self, tup: Tuple) -> None:
        """Execute one tuple and settle it as the engine would."""
        self._current = (tup,)
        try:
            self._bolt.execute(tup)
        except FailTuple:
            self._settle(tup, self._run.failed)
        except Exception as error:  # noqa: BLE001 - a bolt may raise anything
            self._run.errors.append(error)
            self._settle(tup, self._run.failed)
        else:
            if type(self._bolt).auto_ack:
                self._settle(tup, self._run.acked)
        self._current = ()

    def _emit(
        self,
        values: Sequence[Any],
        *,
        stream: str = DEFAULT_STREAM,
        anchors: Sequence[Tuple] | None = None,
    ) -> Sequence[int]:
        return self._streams.add(values, stream, direct=False, anchors=self._anchored(anchors))

    def _emit_direct(
        self,
        task: int,
        values: Sequence[Any],
        *,
        stream: str = DEFAULT_STREAM,
        anchors: Sequence[Tuple] | None = None,
    ) -> Sequence[int]:
        anchored = self._anchored(anchors)
        return self._streams.add(values, stream, direct=True, anchors=anchored, task=task)

    def _anchored(self, anchors: Sequence[Tuple] | None) -> tuple[Tuple, ...]:
        if anchors is not None:
            return tuple(anchors)
        return self._current if type(self._bolt).auto_anchor else ()

    def _settle(self, tup: Tuple, values: list[list[Any]]) -> None:
        """Note what became of a tuple; only the first outcome counts."""
        if id(tup) not in self._settled:
            self._settled[id(tup)] = tup
            values.append(tup.values)


def run_spout(
    spout: Spout,
    calls: int = 1,
    config: Mapping[str, Any] | None = None,
    *,
    settle: Callable[[Any], bool | None] = lambda _: None,
) -> SpoutRun:
    """Open a spout, call `next_tuple` so many times, close it; return what it did.

    `settle` says after each call what becomes of each tuple with a message id: True acks it,
    False fails it, None leaves it open.

    Raises:
        TopologyError: the class declares its outputs wrongly.
    """
    run = SpoutRun(_context(spout, ComponentKind.SPOUT, config))
    streams = _Streams(run)

    def emit(
        values: Sequence[Any],
        *,
        id: Any = None,  # noqa: A002
        stream: str = DEFAULT_STREAM,
    ) -> Sequence[int]:
        return streams.add(values, stream, direct=False, id=id)

    def emit_direct(
        task: int,
        values: Sequence[Any],
        *,
        id: Any = None,  # noqa: A002
        stream: str = DEFAULT_STREAM,
    ) -> Sequence[int]:
        return streams.add(values, stream, direct=True, id=id, task=task)

    _bind(spout, emit=emit, emit_direct=emit_direct, report_error=run.errors.append)
    spout.open(run.context.config, run.context)
    spout.activate()
    for _ in range(calls):
        before = len(run.emits)
        try:
            spout.next_tuple()
        except Exception as error:  # noqa: BLE001 - a spout may raise anything
            run.errors.append(error)
        for made in run.emits[before:]:
            done = settle(made.id) if made.id is not None else None
            if done is not None:
                (spout.ack if done else spout.fail)(made.id)
    spout.deactivate()
    spout.close()
    return run


class _Streams:
    """Checks emits against the declared outputs, as the engine and Storm's local mode do."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._component = run.context.topology.component(TESTED_COMPONENT)

    def add(
        self, values: Sequence[Any], stream: str, *, direct: bool, **details: Any
    ) -> Sequence[int]:
        output = self._component.output(stream)
        known = [item.id for item in self._component.outputs]
        if output is None:
            declared = ", ".join(known) or "none"
            msg = f"Unknown stream ID: {stream}; declared: {declared}.{nearest(stream, known)}"
            raise ValueError(msg)
        if output.direct != direct:
            used = "emit_direct" if output.direct else "emit"
            msg = f'the stream "{stream}" is emitted with {used}'
            raise ValueError(msg)
        if not isinstance(values, (list, tuple)) or len(values) != len(output.fields):
            fields = ", ".join(output.fields)
            msg = f'stream "{stream}" has the fields {fields}; emit a list with one value for each'
            raise ValueError(f"{msg}, not {values!r}")  # noqa: EM102 - two parts of one message
        self._run.emits.append(Emit(list(values), stream, **details))
        return (CONSUMER_TASK,)


def _bind(component: Bolt | Spout, **methods: Callable[..., Any]) -> None:
    """Put methods into an object, as the engine does."""
    for name, method in methods.items():
        setattr(component, name, method)


def _context(
    component: Bolt | Spout, kind: ComponentKind, config: Mapping[str, Any] | None
) -> Context:
    """Return a context of a topology with the component and one source."""
    topology = Topology(
        "test",
        (
            Component(SOURCE_COMPONENT, ComponentKind.SPOUT, ""),
            Component(TESTED_COMPONENT, kind, "", outputs=_outputs(component)),
        ),
        id="test-0",
    )
    return Context(
        topology=topology,
        task_id=TESTED_TASK,
        component_id=TESTED_COMPONENT,
        component_tasks={SOURCE_COMPONENT: (SOURCE_TASK,), TESTED_COMPONENT: (TESTED_TASK,)},
        container_tasks=(SOURCE_TASK, TESTED_TASK),
        config=dict(config or {}),
    )


def _outputs(component: Bolt | Spout) -> tuple[OutputStream, ...]:
    problems = Problems()
    component_class = type(component)
    reader = Reader(component_class.spec(), component_class.__name__, {}, problems, str)
    outputs = reader.outputs(component_class.outputs, declared_here())
    if len(problems):
        raise TopologyError(problems)
    return outputs
