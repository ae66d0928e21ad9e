"""The topology master's process: leadership, sockets, state and scheduler around a TMaster.

It takes the leader's node before it binds its socket, so a second one never takes the first's
peers; it waits until the node is free. Its loop never blocks for a peer or the scheduler: only
for the state manager, a few milliseconds.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import zmq

from heronshim.config import TopologyOptions, parse_options
from heronshim.core.codec.link import encode_heartbeat
from heronshim.core.codec.master import (
    command_from_bytes,
    heartbeat_from_bytes,
    register_from_bytes,
    reply_to_bytes,
)
from heronshim.core.codec.metrics import metrics_from_bytes, metrics_to_bytes
from heronshim.core.codec.plan import physical_plan_to_bytes
from heronshim.core.daemons.scheduler_thread import SchedulerThread
from heronshim.core.daemons.tmaster_admission import admit, allowed_kind
from heronshim.core.daemons.tmaster_leadership import wait_for_leadership
from heronshim.core.io.child import ChildStart
from heronshim.core.io.heartbeats import HeartbeatWriter
from heronshim.core.io.link_liveness import LinkLiveness
from heronshim.core.io.logs import StopRequest, log_event, setup_daemon
from heronshim.core.io.router_links import HEARTBEAT_MS, InboundFrame, InboundLink, RouterLinks
from heronshim.core.io.sockets import router
from heronshim.core.io.state_layout import TopologyNodes
from heronshim.core.io.surroundings import Surroundings
from heronshim.core.io.tokens import read_secret
from heronshim.core.io.usage import Increments, cpu_time_us, rss_bytes
from heronshim.core.master.events import (
    AddContainers,
    AnswerHeartbeat,
    CommandReceived,
    Effect,
    Event,
    LinkEnded,
    LinksSuspected,
    PlanNotStored,
    PlanStored,
    PushPlan,
    RefuseLink,
    RestartContainers,
    SendReply,
    Started,
    StepDown,
    StmgrHeartbeatReceived,
    StmgrRegistered,
    StorePlan,
    TimePassed,
)
from heronshim.core.master.messages import Command, CommandKind, CommandReply
from heronshim.core.master.metrics_store import MetricsStore
from heronshim.core.master.tmaster import TMaster
from heronshim.core.plan.topology import METRICSMGR_TASK
from heronshim.core.spi.events import EventKind
from heronshim.core.spi.metrics_sink import MetricsRecord
from heronshim.core.spi.registry import SCHEDULERS, STATE_MANAGERS, load
from heronshim.core.spi.state_manager import SessionState
from heronshim.core.stream.event_buffer import EventBuffer
from heronshim.core.stream.frame import Kind
from heronshim.core.stream.link import Role
from heronshim.core.stream.liveness import LOOK_NS
from heronshim.errors import (
    FencedError,
    HeronshimError,
    LocalProtocolError,
    RemoteProtocolError,
    StateError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heronshim.core.plan.physical import PhysicalPlan
    from heronshim.core.spi.state_manager import Leadership, StateManager

FRAMES_PER_TURN = 256
"""Frames read before timers get their turn."""
LINK_HEARTBEAT_NS = HEARTBEAT_MS * 1_000_000
STATE_POLL_NS = 200_000_000
METRICS_INTERVAL_NS = 1_000_000_000
WAIT_MS_MAX = 200
NS_PER_S = 1_000_000_000


class TMasterDaemon:
    """The shell of one leader's life. One thread."""

    def __init__(
        self,
        start: ChildStart,
        manager: StateManager,
        leadership: Leadership,
        secret: bytes,
        scheduler: SchedulerThread,
        around: Surroundings,
    ) -> None:
        """Read the plans and bind the socket.

        Raises:
            HeronshimError: a plan or option cannot be read, or the socket cannot be bound.
        """
        self._start = start
        launch = start.launch
        self._manager = manager
        self._leadership = leadership
        self._state = TopologyNodes(manager, launch.topology)
        self._metrics = MetricsStore()
        self._increments = Increments()
        self._machine = self._make_machine()
        self._context, self._poller = around.context, around.poller
        self._now_ns, self._wall_ms = around.now_ns, around.wall_ms
        me = start.process, start.container, start.incarnation
        self._happened = EventBuffer(*me, around.wall_ms)
        numbers = {"leader_epoch": leadership.epoch, "pid": os.getpid()}
        self._note(EventKind.LEADER_TAKEN, numbers=numbers)
        self._router = router(self._context)
        self._links = RouterLinks(self._router, secret, launch.topology_id, admit)
        self._links.bind(start.endpoint)
        self._liveness = LinkLiveness(self._links, int(launch.liveness_limit_s * NS_PER_S))
        self._heartbeat = HeartbeatWriter(start.heartbeat)
        self._open_links: dict[int, InboundLink] = {}
        self._scheduler = scheduler
        self._events: deque[Event] = deque([Started()])
        self._link_heartbeat_ns = self._state_poll_ns = self._report_ns = self._look_ns = 0
        self.failure = ""
        """Why this process ends; empty while it leads."""
        self._last_absent: tuple[int, ...] | None = None

    def run(self, stop: StopRequest) -> int:
        """Run until asked to stop or fenced; return the exit code."""
        monitor = self._links.connections.monitor
        for wakes in (self._router, monitor, self._scheduler.fileno(), stop.fileno()):
            self._poller.register(wakes, zmq.POLLIN)
        while not stop.requested and not self.failure:
            self.turn()
            self._poller.poll(self.wait_ms())
        if self.failure:
            log_event("ERROR", "stepped_down", cause=self.failure)
        return 1 if self.failure else 0

    def turn(self) -> None:
        """Read what has come and do what is due; blocks for the state manager only."""
        now_ns = self._now_ns()
        self._links.connections.look(now_ns)
        self._read_frames(now_ns)
        self._events.extend(self._scheduler.take_answers())
        self._tick(now_ns)
        self._handle_events(now_ns)
        self._log_absent()

    def wait_ms(self) -> int:
        """Return how long a poll may wait before the next turn."""
        if self._events or self.failure:
            return 0
        due_ns = min(
            self._link_heartbeat_ns,
            self._state_poll_ns,
            self._report_ns,
            self._look_ns,
            self._machine.next_deadline_ns(),
        )
        return max(0, min(WAIT_MS_MAX, (due_ns - self._now_ns()) // 1_000_000 + 1))

    def close(self) -> None:
        """Release sockets and the scheduler's thread."""
        self._scheduler.stop()
        self._links.close()
        self._context.destroy(linger=0)

    def _make_machine(self) -> TMaster:
        """Read what submit wrote and what an earlier leader left."""
        submitted = self._state.submitted()
        options = parse_options(TopologyOptions, submitted.topology.options)
        return TMaster(
            submitted.topology,
            submitted.packing_plan,
            self._leadership.epoch,
            self._stored_plan(),
            submitted.record.initial_state,
            int(options.liveness_limit_s * NS_PER_S),
        )

    def _stored_plan(self) -> PhysicalPlan | None:
        """Return an earlier leader's plan; a damaged one is made anew by the stream managers."""
        try:
            return self._state.physical_plan()
        except StateError as error:
            log_event("ERROR", "stored_plan_unreadable", error=error)
            return None

    # Frames

    def _read_frames(self, now_ns: int) -> None:
        for _ in range(FRAMES_PER_TURN):
            frame = self._links.receive(now_ns)
            self._take_link_changes()
            if frame is None:
                return
            try:
                self._on_frame(frame, now_ns)
            except RemoteProtocolError as error:
                log_event("WARNING", "bad_frame", process=frame.link.hello.process, error=error)
                self._links.refuse(frame.link, error.code, str(error))

    def _on_frame(self, frame: InboundFrame, now_ns: int) -> None:
        hello = frame.link.hello
        payload = frame.payload.bytes
        number = frame.link.number
        match allowed_kind(hello, frame.kind):
            case Kind.STMGR_HEARTBEAT:
                self._events.append(StmgrHeartbeatReceived(number, heartbeat_from_bytes(payload)))
            case Kind.STMGR_REGISTER:
                register = register_from_bytes(payload)
                if register.incarnation != hello.incarnation:
                    msg = (
                        f"StmgrRegister.incarnation is {register.incarnation}; "
                        f"the hello's is {hello.incarnation}"
                    )
                    raise RemoteProtocolError(msg)
                self._events.append(StmgrRegistered(number, hello.process, register))
                log_event("INFO", "stmgr_registered", container=register.container, pid=hello.pid)
                numbers = {"pid": hello.pid, "incarnation": hello.incarnation}
                self._note(
                    EventKind.STMGR_REGISTERED, container=register.container, numbers=numbers
                )
            case Kind.METRICS:
                record = metrics_from_bytes(payload, self._start.launch.topology)
                self._metrics.add(record, now_ns)
            case _:
                self._on_command(number, command_from_bytes(payload), now_ns)

    def _on_command(self, number: int, command: Command, now_ns: int) -> None:
        """Answer questions about metrics here; the machine takes the rest."""
        if command.kind is CommandKind.METRICS:
            suspected = self._machine.suspected_processes()
            snapshot = self._metrics.snapshot(now_ns, self._wall_ms(), command.component, suspected)
            self._send_reply(number, CommandReply(command.request_id, ok=True, metrics=snapshot))
        elif command.kind is CommandKind.ERRORS:
            errors = self._metrics.errors.records(command.component)
            self._send_reply(number, CommandReply(command.request_id, ok=True, errors=errors))
        elif command.kind is CommandKind.EVENTS:
            events = self._metrics.events.since(command.since_ms, command.component)
            self._send_reply(number, CommandReply(command.request_id, ok=True, events=events))
        else:
            if command.kind is not CommandKind.STATUS:
                log_event("INFO", "command", kind=command.kind, request=command.request_id)
                self._note(EventKind.COMMAND_TAKEN, cause=command.text)
            self._events.append(CommandReceived(number, command))

    def _take_link_changes(self) -> None:
        for link, cause, _ in self._links.ended:
            self._open_links.pop(link.number, None)
            self._events.append(LinkEnded(link.number))
            if link.hello.role is not Role.CLIENT:
                log_event("INFO", "link_ended", process=link.hello.process, cause=cause)
        self._links.ended.clear()
        for link in self._links.joined:
            self._open_links[link.number] = link
            if link.hello.role is not Role.CLIENT:
                log_event("INFO", "link_joined", process=link.hello.process, pid=link.hello.pid)
        self._links.joined.clear()

    # Events and effects

    def _handle_events(self, now_ns: int) -> None:
        while self._events and not self.failure:
            for effect in self._machine.handle(self._events.popleft(), now_ns):
                self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case AddContainers() | RestartContainers():
                self._scheduler.order(effect)
            case StorePlan(plan):
                self._store(plan)
            case PushPlan(link, plan):
                self._send(link, Kind.PLAN, physical_plan_to_bytes(plan))
            case AnswerHeartbeat(link):
                sent = self._open_links[link].sent if link in self._open_links else 0
                self._send(link, Kind.HEARTBEAT, encode_heartbeat(sent))
            case SendReply(link, reply):
                self._send_reply(link, reply)
            case RefuseLink(link, code, message):
                if link in self._open_links:
                    log_event("WARNING", "link_refused", cause=message)
                    self._links.refuse(self._open_links[link], code, message)
            case StepDown(cause):
                self.failure = cause

    def _store(self, plan: PhysicalPlan) -> None:
        try:
            self._state.write_physical_plan(plan, self._leadership)
        except FencedError as error:
            self.failure = str(error)
        except StateError as error:
            log_event("ERROR", "plan_not_stored", epoch=plan.plan_epoch, error=error)
            self._note(EventKind.PLAN_NOT_STORED, cause=str(error))
            self._events.append(PlanNotStored(plan.plan_epoch, str(error)))
        else:
            epochs = {"epoch": plan.plan_epoch, "leader_epoch": plan.leader_epoch}
            log_event(
                "INFO", "plan_stored", **epochs, state=plan.state, containers=len(plan.containers)
            )
            self._note(
                EventKind.PLAN_STORED,
                cause=plan.state,
                numbers={
                    "plan_epoch": plan.plan_epoch,
                    "leader_epoch": plan.leader_epoch,
                    "containers": len(plan.containers),
                    "tasks": sum(1 for _ in plan.placements()),
                },
            )
            self._events.append(PlanStored(plan.plan_epoch))

    def _send(self, number: int, kind: Kind, payload: bytes) -> None:
        """Send a frame to a link that may have ended; what is lost then is asked for again."""
        link = self._open_links.get(number)
        if link is not None and not self._links.send(link, kind, payload):
            log_event("WARNING", "frame_not_sent", process=link.hello.process, kind=kind.name)

    def _note(
        self,
        kind: EventKind,
        *,
        container: int | None = None,
        cause: str = "",
        numbers: Mapping[str, float] | None = None,
    ) -> None:
        """Take an event of the TMaster's own, or about a container's stream manager.

        It is in the history at once, and goes with the next report to the metrics manager of
        container 0, which tells it to the next leader.
        """
        process = "" if container is None else f"stmgr-{container}"
        event = self._happened.add(
            kind, process=process, container=container, cause=cause, numbers=numbers
        )
        if event is not None:
            self._metrics.events.add((event,))

    def _send_reply(self, number: int, reply: CommandReply) -> None:
        try:
            payload = reply_to_bytes(reply)
        except LocalProtocolError as error:
            # A peer's number that grew too large for its field ends nothing.
            log_event("ERROR", "reply_not_written", error=error)
            failed = CommandReply(reply.request_id, ok=False, message=str(error), code=error.code)
            payload = reply_to_bytes(failed)
        self._send(number, Kind.COMMAND_REPLY, payload)

    # Time

    def _tick(self, now_ns: int) -> None:
        if now_ns >= self._link_heartbeat_ns:
            self._link_heartbeat_ns = now_ns + LINK_HEARTBEAT_NS
            self._links.heartbeat(now_ns)
            self._take_link_changes()
        if now_ns >= self._state_poll_ns:
            self._state_poll_ns = now_ns + STATE_POLL_NS
            self._poll_state()
        if now_ns >= self._report_ns:
            self._report_ns = now_ns + METRICS_INTERVAL_NS
            self._report(now_ns)
        if now_ns >= self._look_ns:
            self._look_ns = now_ns + LOOK_NS
            self._heartbeat.write(self._liveness.look(now_ns))
            self._events.append(LinksSuspected(self._liveness.suspected))
        if now_ns >= self._machine.next_deadline_ns():
            self._events.append(TimePassed())

    def _poll_state(self) -> None:
        """Renew the session; without one this is no leader any more."""
        try:
            self._manager.poll()
        except StateError as error:
            log_event("ERROR", "state_failed", error=error)
        if self._manager.session() is SessionState.LOST:
            self.failure = "the state manager's session is lost: another may be the leader"

    def _report(self, now_ns: int) -> None:
        """Give this process's own metrics to the store or to container 0's metrics manager."""
        manager = next(
            (link for link in self._open_links.values() if METRICSMGR_TASK in link.hello.tasks),
            None,
        )
        plan = self._machine.plan
        record = MetricsRecord(
            topology=self._start.launch.topology,
            process=self._start.process,
            container=self._start.container,
            time_ms=self._wall_ms(),
            interval_ms=METRICS_INTERVAL_NS // 1_000_000,
            incarnation=self._start.incarnation,
            pid=os.getpid(),
            sums=self._increments.take(
                {
                    "cpu_time_us": cpu_time_us(),
                    **self._links.counts(),
                    "metrics_dropped_count": self._metrics.dropped_count,
                }
            ),
            gauges={
                "rss_bytes": float(rss_bytes()),
                "leader_epoch": float(self._leadership.epoch),
                "plan_epoch": 0.0 if plan is None else float(plan.plan_epoch),
                "absent_container_count": float(len(self._machine.absent_containers())),
                **self._liveness.gauges(),
            },
            events=() if manager is None else self._happened.take(),
        )
        if manager is None:
            self._metrics.add(record, now_ns)
        else:
            payload = metrics_to_bytes(record)
            self._links.send(manager, Kind.METRICS, payload, destination=METRICSMGR_TASK)

    def _log_absent(self) -> None:
        absent = self._machine.absent_containers()
        if absent != self._last_absent:
            if self._last_absent is not None:
                for id_ in sorted({*absent} - {*self._last_absent}):
                    self._note(EventKind.STMGR_ABSENT, container=id_)
            self._last_absent = absent
            listed = ",".join(str(id_) for id_ in absent)
            log_event("INFO", "absent_containers", phase=self._machine.phase, containers=listed)


def run(start: ChildStart, stop: StopRequest) -> int:
    """Become the leader, then run; return the exit code.

    Raises:
        HeronshimError: what is needed cannot be read; says what to do.
    """
    launch = start.launch
    secret = read_secret(launch.secret_path)
    manager: StateManager = load(STATE_MANAGERS, launch.state_manager)(launch.state_options)
    try:
        leadership = wait_for_leadership(
            TopologyNodes(manager, launch.topology), manager, start, stop
        )
        if leadership is None:
            return 0
        scheduler = SchedulerThread(load(SCHEDULERS, launch.scheduler)(launch), launch)
        daemon = TMasterDaemon(start, manager, leadership, secret, scheduler, Surroundings())
        try:
            return daemon.run(stop)
        finally:
            daemon.close()
    finally:
        manager.close()


def main(argv: Sequence[str] = ()) -> int:
    """Run from the start line in the file named first, or on standard input; return exit code."""
    stop = setup_daemon()
    try:
        if argv:
            start = ChildStart.from_json(Path(argv[0]).read_bytes())
        else:
            start = ChildStart.read(sys.stdin.buffer)
        log_event("INFO", "tmaster_started", topology=start.launch.topology, pid=os.getpid())
        code = run(start, stop)
    except HeronshimError as error:
        log_event("ERROR", "tmaster_failed", error=error)
        return error.exit_code
    except OSError as error:
        log_event("ERROR", "tmaster_failed", error=error)
        return 1
    log_event("INFO", "tmaster_stopped", code=code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
