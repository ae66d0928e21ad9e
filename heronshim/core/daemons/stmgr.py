"""The stream manager: one per container, routes batches between its instances and its peers.

Its loop reads at most a few frames of each socket, hands them to the pure Forwarder, and never
blocks: a send that cannot go at once waits in a queue that credit bounds. Its work is per batch.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import zmq

from heronshim.core.codec.link import (
    decode_credit,
    decode_credit_request,
    encode_credit,
    encode_credit_request,
)
from heronshim.core.codec.metrics import metrics_to_bytes
from heronshim.core.codec.plan import physical_plan_from_bytes, physical_plan_to_bytes
from heronshim.core.daemons.stmgr_admission import admit, sources_of
from heronshim.core.daemons.stmgr_losses import StmgrLosses
from heronshim.core.daemons.stmgr_pressure import StmgrPressure
from heronshim.core.daemons.stmgr_reports import heartbeat_payload, register_payload
from heronshim.core.io.child import ChildStart
from heronshim.core.io.dealer_link import DealerLink, LinkEvent, LinkEventKind
from heronshim.core.io.heartbeats import HeartbeatWriter
from heronshim.core.io.link_liveness import LinkLiveness
from heronshim.core.io.logs import StopRequest, log_event, setup_daemon
from heronshim.core.io.router_links import HEARTBEAT_MS, InboundFrame, InboundLink, RouterLinks
from heronshim.core.io.sockets import BYE_TIMEOUT_NS, router
from heronshim.core.io.state_layout import TopologyNodes
from heronshim.core.io.surroundings import Surroundings
from heronshim.core.io.tokens import process_token, read_secret
from heronshim.core.io.usage import Increments, cpu_time_us, rss_bytes
from heronshim.core.spi.events import EventKind
from heronshim.core.spi.metrics_sink import MetricsRecord
from heronshim.core.spi.registry import STATE_MANAGERS, load
from heronshim.core.stream.backpressure import LOOK_NS as PRESSURE_LOOK_NS
from heronshim.core.stream.event_buffer import EventBuffer
from heronshim.core.stream.forwarding import Forwarder
from heronshim.core.stream.frame import Kind
from heronshim.core.stream.link import Hello, Role
from heronshim.core.stream.liveness import LOOK_NS
from heronshim.core.stream.loss import LossDesk
from heronshim.errors import ErrorCode, HeronshimError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Collection

    from heronshim.core.plan.physical import PhysicalPlan
    from heronshim.core.plan.records import TMasterLocation
    from heronshim.core.spi.state_manager import StateManager

FRAMES_PER_TURN = 256
"""Frames read of one socket before the others get their turn."""
REGISTER_HEARTBEAT_NS = 1_000_000_000
STATE_POLL_NS = 200_000_000
METRICS_NS = 1_000_000_000
PAUSE_BYTES = 16 << 10
PAUSE_S = 0.001
"""After a turn that forwarded as much, as only busy tasks send: frames share the next wake-up."""
TICK_NS = 1_000_000
"""Between two looks at what is due while nothing but frames comes."""


class StreamManager:
    """The shell: sockets, clock and process around a Forwarder."""

    def __init__(
        self, start: ChildStart, secret: bytes, manager: StateManager, around: Surroundings
    ) -> None:
        """Bind the socket; `secret` is the topology's."""
        self._start = start
        launch = start.launch
        self._secret = secret
        self._context, self._poller = around.context, around.poller
        self._now_ns, self._wall_ms = around.now_ns, around.wall_ms
        self._router = router(self._context)
        self._peer_tasks: dict[int, tuple[int, ...]] = {}
        self._links = RouterLinks(
            self._router, self._secret, launch.topology_id, self._admit,
            lambda hello: sources_of(hello, self._peer_tasks),
        )  # fmt: skip
        self._links.bind(start.endpoint)
        self._poller.register(self._router, zmq.POLLIN)
        self._poller.register(self._links.connections.monitor, zmq.POLLIN)
        self._liveness = LinkLiveness(self._links, int(launch.liveness_limit_s * 1e9))
        self._heartbeat = HeartbeatWriter(start.heartbeat)
        self._local: dict[str, tuple[int, ...]] = {
            process.id: process.tasks for process in (start.plan.processes if start.plan else ())
        }
        self._inbound: dict[int, InboundLink] = {}
        self._peers: dict[int, DealerLink] = {}
        self._forwarder = Forwarder(self._send, len)
        self._plan: PhysicalPlan | None = None
        self._plan_bytes = b""
        self._master = self._dealer()
        self._manager = manager
        self._state = TopologyNodes(self._manager, launch.topology)
        self._state.watch_tmaster(self._on_tmaster)
        self._state_failure = ""
        self._increments = Increments()
        me = start.process, start.container, start.incarnation
        self._events = EventBuffer(*me, around.wall_ms)
        desk = LossDesk(start.container, start.process, start.incarnation)
        self._losses = StmgrLosses(start.container, desk, self._links, self._peers, self._events)
        self._pressure = StmgrPressure(
            self._forwarder.receiver, self._events, self._inbound.values, self._peers.values,
            lambda link, payload: self._links.send(link, Kind.BACK_PRESSURE, payload),
        )  # fmt: skip
        self._next_tick_ns, self._frames_alone = 0, {self._router}
        self.replaced = False
        """Whether a peer or the TMaster knows a newer process in this one's place."""
        self._due = dict.fromkeys(
            ("heartbeat", "register", "state", "metrics", "look", "pressure"), 0
        )

    def run(self, stop: StopRequest) -> int:
        """Run until SIGTERM, or until somebody knows a successor; return the exit code."""
        log_event("INFO", "stmgr_started", container=self._start.container)
        self._poller.register(stop.fileno(), zmq.POLLIN)
        ready: set[Any] = set()
        while not (stop.requested or self.replaced):
            before_bytes = self._forwarder.forwarded_bytes
            self.turn(ready)
            if self._forwarder.forwarded_bytes - before_bytes >= PAUSE_BYTES:
                time.sleep(PAUSE_S)
            ready = {found for found, _ in self._poller.poll(self.wait_ms())}
        if self.replaced:
            log_event("WARNING", "stmgr_replaced", container=self._start.container)
        self._close()
        return int(self.replaced)

    def turn(self, ready: Collection[object]) -> None:
        """Do what is due and read what a poll found ready; never blocks."""
        now_ns = self._now_ns()
        if now_ns >= self._next_tick_ns or ready != self._frames_alone:
            self._next_tick_ns = now_ns + TICK_NS
            self._tick(now_ns)
        if self._links.connections.monitor in ready:
            self._links.connections.look(now_ns)
        if self._router in ready:
            self._read_router(now_ns)
        for container, peer in list(self._peers.items()):
            if peer.may_have_news(ready):
                self._read_peer(container, peer, now_ns)
        if self._master.may_have_news(ready):
            self._read_master(now_ns)
        if self._is_due("look", LOOK_NS, now_ns):
            # After the frames that came while this process itself was busy or stopped.
            self._heartbeat.write(self._liveness.look(now_ns))
        self._forwarder.retry(now_ns)
        self._give_and_ask()
        self._losses.send_due(now_ns)

    def wait_ms(self) -> int:
        """Return how long a poll may wait before the next turn."""
        due_ns = min(
            *self._due.values(),
            self._master.next_deadline_ns(),
            *(peer.next_deadline_ns() for peer in self._peers.values()),
        )
        due_ns = max(due_ns, self._next_tick_ns)
        return max(0, min(200, (due_ns - self._now_ns()) // 1_000_000 + 1))

    # ---- frames in ----

    def _read_router(self, now_ns: int) -> None:
        receive, forwarder = self._links.receive, self._forwarder
        for _ in range(FRAMES_PER_TURN):
            frame = receive(now_ns)
            if frame is None:
                break
            try:
                if frame.kind in (Kind.DATA, Kind.BARRIER):
                    forwarder.on_data(
                        frame.link.number, frame.kind, frame.destination, frame.source,
                        frame.payload, now_ns,
                    )  # fmt: skip
                elif frame.kind == Kind.OUTCOMES:
                    forwarder.on_outcomes(frame.destination, frame.source, frame.payload)
                else:
                    self._on_control(frame, now_ns)
            except RemoteProtocolError as error:
                self._links.refuse(frame.link, error.code, str(error))
        if self._links.joined or self._links.ended:
            self._on_links_changed()

    def _on_control(self, frame: InboundFrame, now_ns: int) -> None:
        link, payload = frame.link, frame.payload.buffer
        if frame.kind == Kind.CREDIT:
            self._forwarder.on_credit(link.number, decode_credit(payload), now_ns)
        elif frame.kind == Kind.CREDIT_REQUEST:
            self._forwarder.on_credit_request(link.number, decode_credit_request(payload), now_ns)
        elif frame.kind == Kind.METRICS:
            self._forwarder.on_metrics(frame.source, frame.payload)
        elif frame.kind == Kind.BACK_PRESSURE and link.hello.role is Role.STMGR:
            self._pressure.hear(link.number, payload, now_ns)
        elif frame.kind == Kind.LOSS_NOTICE:
            self._losses.on_notice(link, payload)
        elif frame.kind == Kind.LOSS_NOTICE_ACK:
            self._losses.on_ack(link.hello.process, payload)
        else:
            msg = f"a stream manager does not take frames of kind {frame.kind}"
            raise RemoteProtocolError(msg, ErrorCode.KIND)

    def _read_peer(self, container: int, peer: DealerLink, now_ns: int) -> None:
        """A peer answers what it was sent; its own data and notices come on its own link."""
        for _ in range(FRAMES_PER_TURN):
            frame = peer.receive(now_ns)
            # What happened to the link comes before its frames.
            for event in peer.take_events():
                self._on_peer_event(container, event)
            if frame is None:
                break
            payload = frame.payload.buffer
            try:
                if frame.kind == Kind.CREDIT:
                    self._forwarder.on_credit(-container, decode_credit(payload), now_ns)
                elif frame.kind == Kind.LOSS_NOTICE_ACK:
                    self._losses.on_ack(container, payload)
            except RemoteProtocolError as error:
                self._links.bad_frame_count += 1
                peer.give_up(str(error), now_ns)

    def _on_peer_event(self, container: int, event: LinkEvent) -> None:
        self.replaced |= event.code is ErrorCode.STALE_INCARNATION
        if event.kind is LinkEventKind.JOINED:
            log_event("INFO", "peer_joined", container=container)
            for task in self._peer_tasks[container]:
                self._forwarder.bind(task, -container, self._now_ns())
            self._losses.on_joined(container)
        elif event.kind is LinkEventKind.ENDED:
            log_event("WARNING", "peer_ended", container=container, cause=event.cause)
            self._forwarder.unbind(-container)
            if not event.clean:
                self._losses.on_peer_ended(container, event.cause)

    def _read_master(self, now_ns: int) -> None:
        for _ in range(FRAMES_PER_TURN):
            frame = self._master.receive(now_ns)
            if frame is None:
                break
            if frame.kind == Kind.PLAN:
                try:
                    self._on_plan(bytes(frame.payload.buffer), now_ns)
                except RemoteProtocolError as error:
                    self._links.bad_frame_count += 1
                    self._master.give_up(str(error), now_ns)
        for event in self._master.take_events():
            log_event("INFO", f"tmaster_link_{event.kind.value}", cause=event.cause)
            self.replaced |= event.code is ErrorCode.STALE_INCARNATION
            if event.kind is LinkEventKind.JOINED:
                self._register()

    # ---- what changes ----

    def _admit(self, hello: Hello) -> tuple[ErrorCode, str] | None:
        return admit(hello, self._start.container, self._local)

    def _on_links_changed(self) -> None:
        """Take ends before joins: a replaced link ends as its successor joins."""
        ended, self._links.ended = self._links.ended, []
        for end in ended:
            self._inbound.pop(end.link.number, None)
            self._forwarder.unbind(end.link.number)
            self._pressure.on_link_ended(end.link.number)
            log_event("INFO", "link_ended", process=end.link.hello.process, cause=end.cause)
            self._losses.on_link_ended(end)
        joined, self._links.joined = self._links.joined, []
        for link in joined:
            if self._links.of_process(link.hello.process) is not link:
                continue
            self._inbound[link.number] = link
            log_event(
                "INFO", "link_joined", process=link.hello.process,
                incarnation=link.hello.incarnation, pid=link.hello.pid,
            )  # fmt: skip
            if link.hello.role is Role.INSTANCE:
                self._events.add(
                    EventKind.PROCESS_JOINED,
                    process=link.hello.process,
                    numbers={"pid": link.hello.pid, "incarnation": link.hello.incarnation},
                )
                if self._plan_bytes:
                    self._links.send(link, Kind.PLAN, self._plan_bytes)
                self._losses.on_joined(link.hello.process)
            for task in link.hello.tasks:
                self._forwarder.bind(task, link.number, self._now_ns())

    def _on_tmaster(self, location: TMasterLocation | None) -> None:
        if location is not None:
            log_event(
                "INFO", "tmaster_found", endpoint=location.endpoint, epoch=location.leader_epoch
            )
            self._master.connect(location.endpoint, self._now_ns())

    def _on_plan(self, plan_bytes: bytes, now_ns: int) -> None:
        """Take a newer plan; one of an older leader or epoch is refused."""
        plan = physical_plan_from_bytes(plan_bytes)
        if self._plan is not None and (plan.leader_epoch, plan.plan_epoch) <= (
            self._plan.leader_epoch,
            self._plan.plan_epoch,
        ):
            if plan_bytes != self._plan_bytes:
                log_event("WARNING", "stale_plan", epoch=plan.plan_epoch, leader=plan.leader_epoch)
            return
        self._plan, self._plan_bytes = plan, plan_bytes
        log_event(
            "INFO", "plan_taken", epoch=plan.plan_epoch, leader=plan.leader_epoch,
            state=plan.state.value,
        )  # fmt: skip
        self._losses.set_plan(plan)
        tasks = (task for task, _, _, _ in plan.placements())
        self._forwarder.set_tasks(tasks, now_ns, plan.task_cycles())
        self._pressure.set_plan(plan)
        for container in plan.containers:
            if container.id == self._start.container:
                self._local = {process.id: process.tasks for process in container.processes}
                self._peer_tasks[container.id] = ()
                continue
            self._peer_tasks[container.id] = tuple(
                task for process in container.processes for task in process.tasks
            )
            peer = self._peers.get(container.id)
            if peer is None:
                peer = self._peers[container.id] = self._dealer()
            peer.connect(container.peer_endpoint, now_ns)
        self._links.renew_sources()
        for link in self._inbound.values():
            if link.hello.role is Role.INSTANCE:
                self._links.send(link, Kind.PLAN, plan_bytes)

    def _take_stored_plan(self, now_ns: int) -> None:
        """Work by the last plan until the TMaster speaks: a dead one holds nobody up."""
        stored = self._state.physical_plan()
        if stored is not None:
            self._on_plan(physical_plan_to_bytes(stored), now_ns)

    # ---- frames out ----

    def _send(self, link: int, kind: int, destination: int, source: int, payload: Any) -> bool:
        if link < 0:
            return self._peers[-link].send(kind, payload, destination, source)
        inbound = self._inbound.get(link)
        return inbound is not None and self._links.send(inbound, kind, payload, destination, source)

    def _give_and_ask(self) -> None:
        """Send the credit that this turn freed, and requests for what waits."""
        for link, grants in self._forwarder.take_grants().items():
            self._send(link, Kind.CREDIT, 0, 0, encode_credit(grants))
        if self._forwarder.wanted:
            wanted, self._forwarder.wanted = self._forwarder.wanted, {}
            for link, tasks in wanted.items():
                self._send(link, Kind.CREDIT_REQUEST, 0, 0, encode_credit_request(tasks))

    def _dealer(self) -> DealerLink:
        start, launch = self._start, self._start.launch
        hello = Hello(
            topology_id=launch.topology_id,
            role=Role.STMGR,
            process=start.process,
            incarnation=start.incarnation,
            attempt=0,
            token=process_token(self._secret, launch.topology_id, start.process, start.incarnation),
            pid=os.getpid(),
            container=start.container,
        )
        return DealerLink(self._context, hello, self._poller, int(launch.liveness_limit_s * 1e9))

    def _register(self) -> None:
        self._master.send(Kind.STMGR_REGISTER, register_payload(self._start, self._plan))

    def _heartbeat_master(self) -> None:
        payload = heartbeat_payload(
            self._start.container, self._plan, self._inbound.values(), self._peers,
            self._liveness.suspected,
        )  # fmt: skip
        self._master.send(Kind.STMGR_HEARTBEAT, payload)

    # ---- time ----

    def _tick(self, now_ns: int) -> None:
        for link in (self._master, *self._peers.values()):
            link.tick(now_ns)
        if self._is_due("heartbeat", HEARTBEAT_MS * 1_000_000, now_ns):
            self._links.heartbeat(now_ns)
            if self._links.ended:
                self._on_links_changed()
        if self._is_due("register", REGISTER_HEARTBEAT_NS, now_ns):
            self._heartbeat_master()
        if self._is_due("state", STATE_POLL_NS, now_ns):
            try:
                self._manager.poll()
                if self._plan is None:
                    self._take_stored_plan(now_ns)
            except HeronshimError as error:
                if str(error) != self._state_failure:
                    self._state_failure = str(error)
                    log_event("ERROR", "state_failed", error=error)
            else:
                self._state_failure = ""
        if self._is_due("pressure", PRESSURE_LOOK_NS, now_ns):
            self._pressure.look(now_ns)
        if self._is_due("metrics", METRICS_NS, now_ns):
            self._forwarder.on_metrics(0, self._metrics())

    def _is_due(self, name: str, every_ns: int, now_ns: int) -> bool:
        if now_ns < self._due[name]:
            return False
        self._due[name] = now_ns + every_ns
        return True

    def _metrics(self) -> bytes:
        links, now_ns = self._links, self._now_ns()
        totals = {
            "cpu_time_us": cpu_time_us(),
            **self._forwarder.counts(),
            **links.counts(),
            "lost_frame_count": links.lost_frame_count
            + sum(peer.lost_frame_count for peer in self._peers.values()),
            "loss_notice_count": self._losses.notice_count,
            "event_dropped_count": self._events.dropped_count,
        }
        totals |= self._pressure.sums(now_ns)
        record = MetricsRecord(
            topology=self._start.launch.topology,
            process=self._start.process,
            container=self._start.container,
            time_ms=self._wall_ms(),
            interval_ms=METRICS_NS // 1_000_000,
            incarnation=self._start.incarnation,
            pid=os.getpid(),
            sums=self._increments.take(totals),
            gauges={
                "queue_bytes": float(self._forwarder.queued_bytes()),
                "rss_bytes": float(rss_bytes()),
                **self._liveness.gauges(),
                **self._pressure.gauges(now_ns),
            },
            events=self._events.take(),
        )
        return metrics_to_bytes(record)

    def _close(self) -> None:
        now_ns = self._now_ns()
        for link in (self._master, *self._peers.values()):
            link.close("stopped", now_ns)
        self._manager.close()
        if not self._forwarder.queues():
            # What waits here dies with this process: then no bye says that all is well.
            self._part(now_ns + BYE_TIMEOUT_NS)
        self._links.close()
        self._context.term()
        log_event("INFO", "stmgr_stopped", container=self._start.container)

    def _part(self, end_ns: int) -> None:
        """Say bye to those who have a link here, and hear until then what they have to say."""
        self._links.say_bye("stopped")
        while self._links.links() and (now_ns := self._now_ns()) < end_ns:
            self._router.poll((end_ns - now_ns) // 1_000_000 + 1)
            # What comes now came after the bye: its sender knows by the bye that it is lost.
            while self._links.receive(now_ns) is not None:
                pass


def main() -> int:
    """Read the start from standard input and run."""
    stop = setup_daemon()
    try:
        start = ChildStart.read(sys.stdin.buffer)
        launch = start.launch
        secret = read_secret(launch.secret_path)
        manager = load(STATE_MANAGERS, launch.state_manager)(launch.state_options)
        return StreamManager(start, secret, manager, Surroundings()).run(stop)
    except HeronshimError as error:
        log_event("ERROR", "stmgr_failed", error=str(error))
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
