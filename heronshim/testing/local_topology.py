"""Runs a whole topology in one process and one thread, with a virtual clock."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heronshim.api.components import Bolt, Spout
from heronshim.api.hooks import TaskHook
from heronshim.api.topology import Topology, TopologyBuilder
from heronshim.config import TopologyOptions, parse_options
from heronshim.core.plan.physical import TopologyState
from heronshim.core.plan.topology import DEFAULT_STREAM
from heronshim.core.plan.validation import validate
from heronshim.errors import DeadlineError, NotFoundError, TopologyError, nearest
from heronshim.instance.component_loader import load_component
from heronshim.testing.local_engine import NS_PER_S, START_NS, LocalEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from heronshim.api.context import Context
    from heronshim.api.tuple import Tuple
    from heronshim.core.plan.topology import Topology as Definition
    from heronshim.core.spi.metrics_sink import ErrorRecord

POLL_S_MAX = 0.1
"""A spout that emits nothing is asked at least this often, in virtual seconds."""
QUIET_TURNS = 3
"""Turns without any event after which a topology is idle."""


@dataclass(slots=True)
class _Log:
    """What the components did, in order."""

    emitted: dict[tuple[str, str], list[list[Any]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    executed: dict[str, list[list[Any]]] = field(default_factory=lambda: defaultdict(list))
    acked: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    failed: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))


class _Recorder(TaskHook):
    """Writes what one task does into the log."""

    def __init__(self, log: _Log, component: str) -> None:
        self._log = log
        self._component = component
        self._opening = False

    def emit(self, values: Sequence[Any], stream: str, tasks: Sequence[int]) -> None:
        """Note an emit."""
        if not self._opening:
            self._log.emitted[self._component, stream].append(list(values))

    def while_opening(self, send: Callable[..., Sequence[int]]) -> Callable[..., Sequence[int]]:
        """Return an emit for open and prepare: then the engine calls hooks for some emits only."""

        def emit(values: Sequence[Any], **keywords: Any) -> Sequence[int]:
            self._opening = True
            try:
                tasks = send(values, **keywords)
            finally:
                self._opening = False
            self.emit(values, keywords.get("stream", DEFAULT_STREAM), tasks)
            return tasks

        return emit

    def spout_ack(self, message_id: Any, latency_ms: float) -> None:
        """Note a message id."""
        self._log.acked[self._component].append(message_id)

    def spout_fail(self, message_id: Any, latency_ms: float) -> None:
        """Note a message id."""
        self._log.failed[self._component].append(message_id)

    def bolt_execute(self, tup: Tuple, latency_ms: float) -> None:
        """Note a tuple's values."""
        self._log.executed[self._component].append(list(tup.values))

    def bolt_ack(self, tup: Tuple) -> None:
        """Note a tuple's values."""
        self._log.acked[self._component].append(list(tup.values))

    def bolt_fail(self, tup: Tuple) -> None:
        """Note a tuple's values."""
        self._log.failed[self._component].append(list(tup.values))


class LocalTopology:
    """A running topology. Time is virtual: nothing sleeps, and the same seed gives the same run.

    The author's code sees the engine's time only through ticks and timeouts; `time.time()` is
    real. Use it in a `with` statement, or call `close`.
    """

    def __init__(
        self,
        topology: Definition | type[Topology] | TopologyBuilder,
        *,
        seed: int = 0,
        call_cost_us: float = 10.0,
    ) -> None:
        """Start a topology; its components open in the first run.

        Args:
            topology: a definition, or what makes one.
            seed: decides shuffles and the order in which tasks take turns.
            call_cost_us: virtual time that each next_tuple and execute takes, above 0.

        Raises:
            TopologyError: the topology is wrong; one line for each problem.
            ConfigError: its containers cannot hold it.
        """
        self.definition = as_definition(topology)
        self._call_cost_ns = max(1, round(call_cost_us * 1000))
        self._log = _Log()
        self._objects: dict[int, Spout | Bolt] = {}
        self._engine = LocalEngine(self.definition, self._load, seed)
        options = parse_options(TopologyOptions, self.definition.options)
        self._poll_ns_min = round(options.spout_wait_ms * 1e6)
        self._closed = False

    # ---- time ----

    @property
    def now_s(self) -> float:
        """Virtual seconds since the start."""
        return (self._engine.now_ns - START_NS) / NS_PER_S

    def run_for(self, seconds: float) -> None:
        """Run for a while of virtual time, with all ticks and timeouts that fall into it.

        Raises:
            Exception: what a component raised in open or prepare.
        """
        engine = self._engine
        end_ns = engine.now_ns + round(seconds * NS_PER_S)
        poll_ns = self._poll_ns_min
        while engine.now_ns < end_ns:
            if engine.turn():
                poll_ns = self._poll_ns_min
            else:
                engine.pause(end_ns, poll_ns)
                poll_ns = min(2 * poll_ns, round(POLL_S_MAX * NS_PER_S))

    def run_until_idle(self, limit_s: float = 60.0) -> None:
        """Run until spouts emit nothing more and no tuple waits to be executed.

        Ticks and timeouts that are not due yet do not keep it. Trees may still be open: a bolt
        may hold tuples back, see `pending` and `advance`.

        Raises:
            DeadlineError: after `limit_s` of virtual time it is still busy.
            Exception: what a component raised in open or prepare.
        """
        engine = self._engine
        end_ns = engine.now_ns + round(limit_s * NS_PER_S)
        quiet = 0
        while quiet < QUIET_TURNS:
            quiet = 0 if engine.turn() or not engine.quiet() else quiet + 1
            if quiet:
                engine.now_ns += self._poll_ns_min
            elif engine.now_ns >= end_ns:
                msg = f"still busy after {limit_s:g} s of virtual time"
                msg += "; use run_for(seconds) where a spout never ends"
                raise DeadlineError(msg)

    def advance(self, seconds: float) -> None:
        """Let time jump, as if the machine had slept, then run until idle.

        A tick that fell due several times comes once; trees that were open for longer than the
        timeout fail.

        Raises:
            DeadlineError: it does not become idle.
        """
        self._engine.now_ns += round(seconds * NS_PER_S)
        self.run_until_idle()

    def activate(self) -> None:
        """Let spouts be called again, from the next run on."""
        self._engine.set_state(TopologyState.ACTIVE)

    def deactivate(self) -> None:
        """Let spouts not be called any more, from the next run on; bolts go on."""
        self._engine.set_state(TopologyState.INACTIVE)

    # ---- what happened ----

    def emitted(self, component: str, stream: str = DEFAULT_STREAM) -> list[list[Any]]:
        """Return the values that a component's tasks emitted on a stream, in order.

        Raises:
            NotFoundError: there is no such component or stream.
        """
        self._check(component, stream)
        return list(self._log.emitted[component, stream])

    def executed(self, component: str) -> list[list[Any]]:
        """Return the values of the tuples that a bolt executed, in order, without ticks."""
        self._check(component)
        return list(self._log.executed[component])

    def acked(self, component: str) -> list[Any]:
        """Return what a component acked, in order: a spout's message ids, a bolt's values."""
        self._check(component)
        return list(self._log.acked[component])

    def failed(self, component: str) -> list[Any]:
        """Return what failed, in order: a spout's message ids, a bolt's values."""
        self._check(component)
        return list(self._log.failed[component])

    def errors(self, component: str | None = None) -> list[ErrorRecord]:
        """Return what a component (or any) raised or reported, as the engine reports it.

        A task reports a few errors in an interval (`error_report_max`); more are counted.
        """
        if component is not None:
            self._check(component)
        self._engine.report()
        return [
            error
            for record in self._engine.metrics
            for error in record.errors
            if component in (None, error.component)
        ]

    def counts(self, component: str) -> dict[str, float]:
        """Return the sums of a component's metrics, such as "execute_count/lines/default"."""
        self._check(component)
        self._engine.report()
        sums: dict[str, float] = defaultdict(float)
        for record in self._engine.metrics:
            for task in record.tasks:
                if task.component == component:
                    for name, value in task.sums.items():
                        sums[name] += value
        return dict(sums)

    @property
    def pending(self) -> int:
        """Open tuple trees of all spouts."""
        return self._engine.pending()

    @property
    def restarts(self) -> list[tuple[str, BaseException]]:
        """Processes that ended by what their code raised (on_user_exception: restart)."""
        return list(self._engine.restarts)

    def objects(self, component: str) -> list[Any]:
        """Return the author's objects of a component by ascending task id, to look into them."""
        self._check(component)
        tasks = self._engine.plan.component_tasks()[component]
        return [self._objects[task] for task in tasks if task in self._objects]

    def close(self) -> None:
        """End the topology: the authors' close and cleanup are called. Safe to repeat."""
        if not self._closed:
            self._closed = True
            self._engine.close()

    def __enter__(self) -> LocalTopology:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # ---- private ----

    def _check(self, component: str, stream: str | None = None) -> None:
        known = {item.id: item for item in self.definition.components}
        if component not in known:
            names = ", ".join(known)
            msg = f'there is no component "{component}"; known: {names}.{nearest(component, known)}'
            raise NotFoundError(msg)
        streams = [output.id for output in known[component].outputs]
        if stream is not None and stream not in streams:
            names = ", ".join(streams) or "none"
            hint = nearest(stream, streams)
            msg = f'"{component}" has no stream "{stream}"; it has: {names}.{hint}'
            raise NotFoundError(msg)

    def _load(self, name: str, arguments: Mapping[str, object]) -> object:
        """Make an author's object that records what it does and takes virtual time."""
        made = load_component(name, arguments, "")
        changed: Any = made
        if isinstance(made, Spout):
            changed.next_tuple = self._charged(made.next_tuple)
            changed.open = self._opened(made, made.open)
        elif isinstance(made, Bolt):
            changed.execute = self._charged(made.execute)
            changed.prepare = self._opened(made, made.prepare)
        return made

    def _charged(self, call: Callable[..., None]) -> Callable[..., None]:
        cost_ns = self._call_cost_ns

        def charged(*arguments: Any) -> None:
            self._engine.now_ns += cost_ns
            call(*arguments)

        return charged

    def _opened(
        self, made: Spout | Bolt, call: Callable[[Mapping[str, Any], Context], None]
    ) -> Callable[[Mapping[str, Any], Context], None]:
        def opened(config: Mapping[str, Any], context: Context) -> None:
            recorder = _Recorder(self._log, context.component_id)
            context.add_hook(recorder)
            self._objects[context.task_id] = made
            changed: Any = made
            changed.emit = recorder.while_opening(made.emit)
            call(config, context)

        return opened


def as_definition(topology: Definition | type[Topology] | TopologyBuilder) -> Definition:
    """Return the checked definition of what a test gave.

    Raises:
        TopologyError: it is wrong; one line for each problem.
    """
    if isinstance(topology, TopologyBuilder):
        return topology.build()
    if isinstance(topology, type):
        return topology.definition()
    problems, _ = validate(topology)
    if problems:
        raise TopologyError(problems)
    return topology
