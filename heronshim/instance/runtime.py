"""An instance without its socket: frames in, the author's code, frames out.

The shell (`instance.main`, or `heronshim.testing` in one process) calls `on_frame`, `flush` and
`take_frames` under one IO lock, and `step` without it, from the author's thread.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NoReturn

from heronshim.api.components import Bolt, Spout
from heronshim.api.context import Context
from heronshim.config import ComponentOptions, TopologyOptions, parse_options
from heronshim.core.codec.data import decode_outcomes, open_batch
from heronshim.core.codec.link import (
    decode_back_pressure,
    decode_credit,
    decode_credit_request,
    encode_credit,
    encode_credit_request,
)
from heronshim.core.codec.metrics import metrics_to_bytes
from heronshim.core.codec.plan import physical_plan_from_bytes
from heronshim.core.plan.graph import cycle_feeders, downstream_of
from heronshim.core.plan.physical import TopologyState
from heronshim.core.plan.topology import METRICSMGR_TASK, ComponentKind
from heronshim.core.spi.metrics_sink import MetricsRecord
from heronshim.core.stream.backpressure import PressureLeases
from heronshim.core.stream.credit import CreditReceiver
from heronshim.core.stream.event_buffer import EventBuffer
from heronshim.core.stream.frame import Kind
from heronshim.errors import ErrorCode, HeronshimError, RemoteProtocolError, TopologyError
from heronshim.instance.bolt_task import BoltTask
from heronshim.instance.emit_log import EmitLog
from heronshim.instance.identity import plan_options
from heronshim.instance.losses import LOSS_KINDS, InstanceLosses, fails_fast
from heronshim.instance.meter import TaskMeter
from heronshim.instance.outbox import Outbox
from heronshim.instance.routes import make_routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from random import Random

    from heronshim.core.plan.physical import PhysicalPlan
    from heronshim.core.plan.topology import Component
    from heronshim.instance.clock import Clock
    from heronshim.instance.identity import Identity
    from heronshim.instance.outbox import Frame
    from heronshim.instance.spout_task import SpoutTask

NEVER_NS = 1 << 62
_PROCESS_SUMS = ("cpu_time_us", "bad_frame_count")


class UserCodeFailed(BaseException):
    """The author's code raised and the topology says that the process ends (Storm's rule)."""


class InstanceRuntime:
    """Runs the tasks of one process, one after another in one thread."""

    def __init__(
        self,
        identity: Identity,
        load: Callable[[str, Mapping[str, object]], object],
        rng: Random,
        clock: Clock,
        io_lock: AbstractContextManager[Any] | None = None,
        process_values: Callable[[], dict[str, float]] = dict,
    ) -> None:
        """`process_values` gives figures of the process: _PROCESS_SUMS as increments, others."""
        self._identity = identity
        self._load = load
        self._rng = rng
        self._clock = clock
        self._process_values = process_values
        self._io_lock = io_lock or nullcontext()
        self._tasks: dict[int, SpoutTask | BoltTask] = {}
        self._meters: dict[int, TaskMeter] = {}
        self._early: list[tuple[int, int, bytes, int, int]] = []
        self._link = 1
        self._receiver = CreditReceiver()
        self._outbox = Outbox(1, 1)
        self._flush_age_ns = 0
        self._rows_since_ns = 0
        self._last_step_ns = clock.now_ns()
        self._interval_ns = 0
        self._next_metrics_ns = NEVER_NS
        self._extra: list[Frame] = []
        self._events = EventBuffer(
            identity.process, identity.container, identity.incarnation, clock.wall_ms
        )
        self._known: frozenset[int] = frozenset()
        """Tasks of the plan."""
        self.losses = InstanceLosses(
            identity.process, identity.incarnation, sorted(identity.tasks), self._events
        )
        self._pauses = PressureLeases()
        """What spouts wait for."""
        self.plan: PhysicalPlan | None = None
        self.options = TopologyOptions()
        self.opened = False

    # ---- IO lock held ----

    def on_frame(self, kind: int, destination: int, source: int, payload: Any, now_ns: int) -> None:
        """Take a frame of the stream manager; the author's code is not called.

        Raises:
            RemoteProtocolError: it is damaged, of a kind that an instance does not take, for tasks
                of others, or without credit. With code MALFORMED of a kind that carries tuples
                its sender is at fault; else the stream manager.
        """
        if kind == Kind.DATA:
            self._on_data(destination, source, payload, now_ns)
        elif kind == Kind.OUTCOMES:
            self._on_outcomes(destination, payload, now_ns)
        elif kind == Kind.CREDIT:
            for task, grant_bytes in decode_credit(payload):
                if task in self._known:
                    self._outbox.on_credit(task, grant_bytes, now_ns // 1000)
        elif kind == Kind.CREDIT_REQUEST:
            for task, need_bytes in decode_credit_request(payload):
                self._identity.check_own(task, "credit was asked for")
                self._receiver.on_request(self._link, task, need_bytes, now_ns)
        elif kind == Kind.PLAN:
            self._on_plan(physical_plan_from_bytes(bytes(payload)))
        elif kind == Kind.BACK_PRESSURE:
            self._pauses.hear(self._link, decode_back_pressure(payload), now_ns)
        elif kind in LOSS_KINDS:
            self.losses.on_frame(kind, payload, now_ns)
        else:
            msg = f"an instance does not take frames of kind {kind}"
            raise RemoteProtocolError(msg, ErrorCode.KIND)

    def on_new_link(self) -> None:
        """The link to the stream manager is a new one: credit on both sides begins at nothing."""
        self._receiver.on_sender_gone(self._link)
        self._pauses.on_link_ended(self._link)
        self._link += 1
        self._outbox.on_new_link()
        self.losses.on_new_link()

    def flush(self, now_ns: int, *, idle: bool = False) -> None:
        """Close full batches, and all of them when the oldest row's age or idleness says so."""
        outbox = self._outbox
        now_us = now_ns // 1000
        if outbox.has_due():
            if not self._rows_since_ns:
                self._rows_since_ns = now_ns
            due = idle or now_ns - self._rows_since_ns >= self._flush_age_ns
            outbox.flush(now_us, only_full=not due)
            if due:
                self._rows_since_ns = 0
        else:
            self._rows_since_ns = 0
        for task in self._tasks.values():
            if isinstance(task, BoltTask):
                self._extra += task.take_outcomes()
                while task.consumed:
                    link, frame_bytes = task.consumed.popleft()
                    self._receiver.on_consumed(link, task.task, frame_bytes, now_ns)
        self.losses.on_time(now_ns)
        if now_ns >= self._next_metrics_ns:
            self._next_metrics_ns = now_ns + self._interval_ns
            self._extra.append(self._metrics(now_ns))

    def take_frames(self) -> list[Frame]:
        """Return and forget the frames to send, in order."""
        outbox = self._outbox
        frames, outbox.frames = outbox.frames, []
        if self._extra:
            frames += self._extra
            self._extra = []
        frames += self.losses.take_frames(self._clock.now_ns())
        grants = self._receiver.take_grants()
        if grants:
            frames.append((Kind.CREDIT, 0, 0, encode_credit(grants[self._link])))
        if outbox.wanted:
            wanted, outbox.wanted = outbox.wanted, {}
            frames.append((Kind.CREDIT_REQUEST, 0, 0, encode_credit_request(wanted)))
        return frames

    def next_deadline_ns(self) -> int:
        """When something is due though nothing happens (tick, timeout, age, report)."""
        deadlines = [self._next_metrics_ns]
        deadlines += [due for task in self._tasks.values() if (due := task.next_deadline_ns())]
        if self._rows_since_ns:
            deadlines.append(self._rows_since_ns + self._flush_age_ns)
        return min(deadlines)

    def note_unfinished(self, now_ns: int) -> None:
        """The process ends: what waits here, or is not acked yet, is lost; a spout's trees end."""
        if self.losses.spouts:
            return
        acks = [task.auto_ack for task in self._tasks.values() if isinstance(task, BoltTask)]
        if not (self.quiet() and all(acks)):
            self.losses.on_link_lost("stopped with tuples in hand", now_ns)

    def report(self, now_ns: int, *, last: bool = False) -> None:
        """Report what was counted since the last report; `last`: the process ends."""
        if self._meters:
            self._extra.append(self._metrics(now_ns, last=last))

    # ---- the author's thread, IO lock not held ----

    def step(self, now_ns: int) -> bool:
        """Call the author's code for about half a millisecond; return whether anything happened.

        Raises:
            UserCodeFailed: the author's code raised and the process shall end.
        """
        plan = self.plan
        if plan is None:
            return False
        active = plan.state is TopologyState.ACTIVE
        if not self.opened:
            if not active:
                return False
            self._open(plan)
        since_us = (now_ns - self._last_step_ns) // 1000
        self._last_step_ns = now_ns
        happened = False
        paused = self._pauses.any_active(now_ns)
        for task in self._tasks.values():
            free = not self._outbox.holds(task.task, now_ns // 1000)
            if paused and not isinstance(task, BoltTask):
                free = False
            if not free:
                task.meter.add("back_pressure_time_us", since_us)
            try:
                if isinstance(task, BoltTask):
                    happened |= task.step(now_ns, may_take_input=free)
                else:
                    if task.active != active:
                        self._call(task, lambda task=task: task.set_active(active=active))  # type: ignore[misc]
                        happened = True
                    happened |= task.step(now_ns, may_emit=free)
            except (Exception, UserCodeFailed):
                raise
            except BaseException as error:  # noqa: BLE001 - sys.exit would restart it unseen
                _raise_reported(task, error)
        return happened

    def wants_calls(self) -> bool:
        """Return whether an idle pause should be short: a spout may have something soon."""
        return (
            self.opened
            and self.plan is not None
            and self.plan.state is TopologyState.ACTIVE
            and any(not isinstance(task, BoltTask) for task in self._tasks.values())
        )

    def spout_pending(self) -> int:
        """Open trees and tracked rows of all spout tasks."""
        return sum(
            task.pending() for task in self._tasks.values() if not isinstance(task, BoltTask)
        )

    def quiet(self) -> bool:
        """Return whether nothing waits here: no input, no rows, no frames without credit."""
        return not (
            self._outbox.open_rows()
            or self._outbox.waiting_bytes()
            or self._early
            or any(task.queued() for task in self._tasks.values() if isinstance(task, BoltTask))
        )

    def close(self) -> None:
        """Call deactivate, close and cleanup of all tasks; what they raise is reported.

        Raises:
            UserCodeFailed: one of them raised.
        """
        failure: UserCodeFailed | None = None
        for task in self._tasks.values():
            calls = [task.close]
            if not isinstance(task, BoltTask) and task.active:
                calls.insert(0, lambda task=task: task.set_active(active=False))  # type: ignore[misc]
            for call in calls:
                try:
                    self._call(task, call)
                except UserCodeFailed as error:
                    failure = failure or error
        if failure is not None:
            raise failure

    # ---- private ----

    def _on_plan(self, plan: PhysicalPlan) -> None:
        if self.plan is not None and plan.plan_epoch < self.plan.plan_epoch:
            return
        self._identity.check_tasks(plan)
        self.options = plan_options(plan)
        self.plan = plan
        self._known = frozenset(task for task, _, _, _ in plan.placements())
        self.losses.set_plan(plan)

    def _on_data(self, destination: int, source: int, payload: Any, now_ns: int) -> None:
        frame_bytes = len(payload)
        self._identity.check_own(destination, "data came")
        self._receiver.on_frame(self._link, destination, frame_bytes, now_ns)
        if not self.opened:
            self._early.append((destination, source, bytes(payload), self._link, frame_bytes))
            return
        try:
            batch, rows = open_batch(payload)
            task = self._tasks.get(destination)
            if not isinstance(task, BoltTask):
                msg = f"data for task {destination}, which is no bolt of this process"
                raise RemoteProtocolError(msg, ErrorCode.TASK)
        except RemoteProtocolError:
            # What is dropped holds no credit.
            self._receiver.on_consumed(self._link, destination, frame_bytes, now_ns)
            raise
        task.on_batch(batch, rows, source, self._link, frame_bytes)

    def _on_outcomes(self, destination: int, payload: Any, now_ns: int) -> None:
        task = self._tasks.get(destination)
        if task is None or isinstance(task, BoltTask):
            return
        task.on_outcomes(decode_outcomes(payload), now_ns)

    def _open(self, plan: PhysicalPlan) -> None:
        """Make and open all tasks of this process."""
        options = self.options
        with self._io_lock:
            self._outbox = Outbox(options.batch_rows, options.batch_bytes, plan.task_cycles())
            self._flush_age_ns = int(options.flush_age_ms * 1e6)
            self._interval_ns = int(options.metrics_interval_s * 1e9)
        component_of = {task: component for task, _, component, _ in plan.placements()}
        resources: dict[str, Any] = {}
        tasks: dict[int, SpoutTask | BoltTask] = {}
        for executor in self._identity.executors:
            executor_data: dict[str, Any] = {}
            for task_id in executor:
                component = plan.topology.component(component_of[task_id])
                context = self._context(plan, component, task_id, executor_data, resources)
                tasks[task_id] = self._make_task(component, context)
        for task in tasks.values():
            self._call(task, lambda task=task: self._open_task(plan, task))  # type: ignore[misc]
        with self._io_lock:
            self._tasks = tasks
            self.losses.spouts = [t for t in tasks.values() if not isinstance(t, BoltTask)]
            self.opened = True
            self._next_metrics_ns = self._clock.now_ns()
            self._take_early()

    def _open_task(self, plan: PhysicalPlan, task: SpoutTask | BoltTask) -> None:
        task.open(make_routes(plan, task.context, self._rng, self._load))

    def _take_early(self) -> None:
        """Hand over what came before the tasks were open. IO lock held."""
        early, self._early = self._early, []
        now_ns = self._clock.now_ns()
        for destination, source, payload, link, frame_bytes in early:
            try:
                batch, rows = open_batch(payload)
            except RemoteProtocolError as error:
                self._receiver.on_consumed(link, destination, frame_bytes, now_ns)
                next(iter(self._tasks.values())).report(error)
                continue
            task = self._tasks.get(destination)
            if isinstance(task, BoltTask):
                task.on_batch(batch, rows, source, link, frame_bytes)

    def _make_task(self, component: Component, context: Context) -> SpoutTask | BoltTask:
        made = parse_options(ComponentOptions, component.options)
        options = self.options
        on_exception = made.on_user_exception or options.on_user_exception
        meter = TaskMeter(
            context.task_id,
            component.id,
            options.error_report_max,
            options.error_report_interval_s,
        )
        self._meters[context.task_id] = meter
        if made.debug:
            context.add_hook(EmitLog(component.id, context.task_id))
        tracked = options.delivery == "at_least_once"
        # What goes round holds nobody back: there the limit of open trees bounds it, in both modes.
        feeders = cycle_feeders(context.topology)
        bounded = component.id in feeders or any(
            component.id in downstream_of(context.topology, spout) for spout in feeders
        )
        fatal = _raise_failed if on_exception == "restart" else _go_on
        try:
            user_object = self._load(component.object, component.arguments)
        except HeronshimError as error:
            meter.error(str(error), self._clock.now_ns(), self._clock.wall_ms())
            raise UserCodeFailed(str(error)) from error
        if component.kind is ComponentKind.BOLT:
            if not isinstance(user_object, Bolt):
                raise TopologyError([f'"{component.id}": {component.object} is not a Bolt'])
            return BoltTask(
                user_object, context, meter, self._outbox, tracked=tracked or bounded,
                bounded=bounded and not tracked, tick_s=made.tick_interval_s, rng=self._rng,
                fatal=fatal, clock=self._clock, io_lock=self._io_lock,
            )  # fmt: skip
        if not isinstance(user_object, Spout):
            raise TopologyError([f'"{component.id}": {component.object} is not a Spout'])
        # numpy is imported with the tracker, by spouts only, after the link is up.
        from heronshim.instance.spout_task import SpoutTask  # noqa: PLC0415

        pending_max = made.max_spout_pending
        times_out = options.message_timeouts or not tracked
        return SpoutTask(
            user_object, context, meter, self._outbox, tracked=tracked, bounded=bounded,
            pending_max=options.max_spout_pending if pending_max is None else pending_max,
            timeout_s=options.message_timeout_s if times_out else None,
            fail_fast=fails_fast(context.topology, component.id, options),
            rng=self._rng, fatal=fatal, clock=self._clock, io_lock=self._io_lock,
        )  # fmt: skip

    def _context(
        self,
        plan: PhysicalPlan,
        component: Component,
        task: int,
        executor_data: dict[str, Any],
        resources: dict[str, Any],
    ) -> Context:
        container = next(
            item for item in plan.containers if any(task in p.tasks for p in item.processes)
        )
        local = sorted(t for process in container.processes for t in process.tasks)
        return Context(
            topology=plan.topology,
            task_id=task,
            component_id=component.id,
            component_tasks=plan.component_tasks(),
            container_tasks=tuple(local),
            config={**plan.topology.user_config, **component.user_config},
            container_id=container.id,
            executor_data=executor_data,
            resources=resources,
        )

    def _call(self, task: SpoutTask | BoltTask, call: Callable[[], None]) -> None:
        """Call the author's open, close or their like: a fault there ends the process."""
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - sys.exit too, which is no Exception
            _raise_reported(task, error)

    def _metrics(self, now_ns: int, *, last: bool = False) -> Frame:
        records = []
        errors = []
        for task_id, meter in self._meters.items():
            errors += meter.take_errors(now_ns, last=last)
            task = self._tasks.get(task_id)
            if task is None:
                continue
            if not isinstance(task, BoltTask):
                meter.gauges["pending"] = task.pending()
            meter.gauges["waiting_output_bytes"] = self._outbox.waiting_bytes()
            meter.gauges["queue_bytes"] = self._receiver.queued_bytes(task_id)
            for stream, count in task.collector.take_emit_counts().items():
                meter.add(f"emit_count/{stream}", count)
            records.append(meter.take(task.context))
        values = self._process_values()
        record = MetricsRecord(
            topology="",
            process=self._identity.process,
            container=self._identity.container,
            time_ms=self._clock.wall_ms(),
            interval_ms=self._interval_ns // 1_000_000,
            incarnation=self._identity.incarnation,
            pid=self._identity.pid,
            tasks=tuple(records),
            sums={name: values.pop(name, 0.0) for name in _PROCESS_SUMS},
            gauges=values,
            errors=tuple(errors),
            events=self._events.take(),
        )
        return (
            Kind.METRICS,
            METRICSMGR_TASK,
            self._identity.executors[0][0],
            metrics_to_bytes(record),
        )


def _raise_reported(task: SpoutTask | BoltTask, error: BaseException) -> NoReturn:
    """What a task's code raised ends the process; `heronshim errors` shows it."""
    task.report(error)
    msg = f"{type(error).__name__}: {error}"
    raise UserCodeFailed(msg) from error


def _raise_failed(error: BaseException) -> None:
    """on_user_exception: restart."""
    raise UserCodeFailed(str(error)) from error


def _go_on(_: BaseException) -> None:
    """on_user_exception: fail_tuple."""
