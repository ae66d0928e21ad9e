"""A container's metrics manager: receives its processes' reports and feeds them to the sinks.

It keeps the container's history as well. Events in reports go to a file; those that the
supervisor writes are read from its file and join the reports. After its own start it tells the
end of both files again: whoever knows an event already drops it.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import zmq

from heronshim.core.codec.metrics import metrics_from_bytes
from heronshim.core.daemons.sink_thread import SinkThread
from heronshim.core.io.child import ChildStart
from heronshim.core.io.dealer_link import DealerLink, LinkEventKind
from heronshim.core.io.disk_watch import DiskWatch
from heronshim.core.io.event_file import (
    EVENTS_FILE,
    HISTORY_FILE,
    EventFile,
    EventTail,
    read_last_events,
)
from heronshim.core.io.logs import StopRequest, log_event, setup_daemon, wall_ms
from heronshim.core.io.usage import Increments, cpu_time_us, rss_bytes
from heronshim.core.io.work_folder import container_folder
from heronshim.core.plan.topology import METRICSMGR_TASK
from heronshim.core.plugins.tmaster_sink import TMasterSink, engine_options
from heronshim.core.spi.events import EventKind
from heronshim.core.spi.metrics_sink import MetricsRecord
from heronshim.core.spi.registry import METRICS_SINKS, load
from heronshim.core.stream.event_buffer import EventBuffer
from heronshim.core.stream.frame import Kind
from heronshim.core.stream.link import Hello, Role
from heronshim.errors import ConfigError, ErrorCode, HeronshimError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heronshim.core.spi.events import EventRecord
    from heronshim.core.spi.metrics_sink import ErrorRecord

FRAMES_PER_TURN = 256
"""Frames read before timers get their turn."""
METRICS_INTERVAL_NS = 1_000_000_000
WAIT_MS_MAX = 200
STOP_WAIT_S = 1.0
"""How long sinks may take to hand over what waits and close."""


class MetricsManager:
    """The shell: one link to the container's ROUTER, and a thread for each sink."""

    def __init__(self, start: ChildStart) -> None:
        """Start the sinks; one that is not installed is logged and left out."""
        self._start = start
        launch = start.launch
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._poller = zmq.Poller()
        hello = Hello(
            topology_id=launch.topology_id,
            role=Role.METRICSMGR,
            process=start.process,
            incarnation=start.incarnation,
            attempt=0,
            token=start.token,
            tasks=(METRICSMGR_TASK,),
            pid=os.getpid(),
            container=start.container,
        )
        silence_limit_ns = int(launch.liveness_limit_s * 1e9)
        self._link = DealerLink(self._context, hello, self._poller, silence_limit_ns)
        self._replaced = False
        self._bad_frame_count = 0
        self._increments = Increments()
        self._report_ns = time.monotonic_ns() + METRICS_INTERVAL_NS
        folder = container_folder(launch.work_dir, start.container)
        self._host = os.uname().nodename
        self._supervisor_events = EventTail(folder / EVENTS_FILE)
        self._history = EventFile(folder / HISTORY_FILE)
        self._disks = DiskWatch((folder, folder / "logs"))
        self._happened = EventBuffer(start.process, start.container, start.incarnation, wall_ms)
        self._known_history = read_last_events(folder / HISTORY_FILE)
        """What an earlier metrics manager kept, until it is told."""
        self._sinks: list[SinkThread] = []
        for name in launch.sinks:
            try:
                sink = load(METRICS_SINKS, name)()
            except ConfigError as error:
                log_event("ERROR", "sink_unusable", sink=name, error=error)
                continue
            options = dict(launch.sink_options.get(name, {}))
            if isinstance(sink, TMasterSink):
                options |= engine_options(start)
            self._sinks.append(SinkThread(name, sink, launch.topology, start.container, options))

    def run(self, stop: StopRequest) -> None:
        """Run until asked to stop, or until somebody knows a successor."""
        self._poller.register(stop.fileno(), zmq.POLLIN)
        self._link.connect(self._start.endpoint, time.monotonic_ns())
        while not (stop.requested or self._replaced):
            now_ns = time.monotonic_ns()
            self._link.tick(now_ns)
            self._read_frames(now_ns)
            if now_ns >= self._report_ns:
                self._report_ns = now_ns + METRICS_INTERVAL_NS
                self._feed(self._own_record())
            due_ns = min(self._report_ns, self._link.next_deadline_ns())
            wait_ms = (due_ns - time.monotonic_ns()) // 1_000_000 + 1
            self._poller.poll(max(0, min(WAIT_MS_MAX, wait_ms)))

    def close(self) -> None:
        """Let the sinks finish, then end the link; blocks for STOP_WAIT_S at most."""
        for sink in self._sinks:
            sink.ask_to_stop()
        end = time.monotonic() + STOP_WAIT_S
        for sink in self._sinks:
            if not sink.join(max(0.0, end - time.monotonic())):
                log_event("WARNING", "sink_left_behind", sink=sink.name)
        self._history.close()
        self._supervisor_events.close()
        self._link.close("stopped", time.monotonic_ns())
        self._context.destroy(linger=0)

    def _read_frames(self, now_ns: int) -> None:
        for _ in range(FRAMES_PER_TURN):
            frame = self._link.receive(now_ns)
            if frame is None:
                break
            try:
                if frame.kind != Kind.METRICS:
                    msg = f"a metrics manager takes no frames of kind {frame.kind}"
                    raise RemoteProtocolError(msg)
                record = metrics_from_bytes(frame.payload.bytes, self._start.launch.topology)
            except RemoteProtocolError as error:
                self._bad_frame_count += 1
                log_event("WARNING", "bad_frame", source=frame.source, error=error)
                continue
            if record.events or record.errors:
                record = replace(
                    record, events=self._placed_events(record), errors=self._placed_errors(record)
                )
                self._history.write(record.events)
            self._feed(record)
        for event in self._link.take_events():
            level = "INFO" if event.kind is LinkEventKind.JOINED else "WARNING"
            log_event(level, f"link_{event.kind}", cause=event.cause)
            self._replaced |= event.code is ErrorCode.STALE_INCARNATION

    def _feed(self, record: MetricsRecord) -> None:
        for sink in self._sinks:
            sink.put(record)

    def _own_record(self) -> MetricsRecord:
        """Return what this process itself measured since the last call."""
        events = self._read_events()
        totals = {
            "cpu_time_us": cpu_time_us(),
            "bad_frame_count": self._bad_frame_count,
            "damaged_event_count": self._supervisor_events.damaged_count,
        }
        for sink in self._sinks:
            totals[f"sink_dropped_count/{sink.name}"] = sink.dropped_count
            totals[f"sink_error_count/{sink.name}"] = sink.error_count
        return MetricsRecord(
            topology=self._start.launch.topology,
            process=self._start.process,
            container=self._start.container,
            time_ms=wall_ms(),
            interval_ms=METRICS_INTERVAL_NS // 1_000_000,
            incarnation=self._start.incarnation,
            pid=os.getpid(),
            sums=self._increments.take(totals),
            gauges={"rss_bytes": float(rss_bytes())},
            events=tuple(events),
        )

    def _read_events(self) -> list[EventRecord]:
        """Return what the files of events hold that was not told yet."""
        known, self._known_history = self._known_history, []
        self._look_at_disks()
        events = [*self._supervisor_events.read(), *self._happened.take()]
        return known + [replace(event, host=event.host or self._host) for event in events]

    def _look_at_disks(self) -> None:
        """Tell of a full disk over the network: what is written to files about it is lost."""
        for folder, error in self._disks.look():
            kind = EventKind.DISK_FULL if error else EventKind.DISK_FREED
            log_event("ERROR" if error else "INFO", kind, folder=folder, cause=error)
            self._happened.add(kind, cause=f"{folder}: {error or 'it can be written again'}")

    def _placed_errors(self, record: MetricsRecord) -> tuple[ErrorRecord, ...]:
        """Return a report's errors; who reported them is named where nobody else is."""
        return tuple(
            replace(error, process=error.process or record.process, host=error.host or self._host)
            for error in record.errors
        )

    def _placed_events(self, record: MetricsRecord) -> tuple[EventRecord, ...]:
        """Return a report's events; who reported them is named where nobody else is."""
        placed = []
        for event in record.events:
            container = event.container if event.process else record.container
            process = event.process or record.process
            host = event.host or (self._host if container == self._start.container else "")
            placed.append(replace(event, process=process, container=container, host=host))
        return tuple(placed)


def main(argv: Sequence[str] = ()) -> int:
    """Run from the start line in the file named first, or on standard input; return exit code."""
    stop = setup_daemon()
    try:
        if argv:
            start = ChildStart.from_json(Path(argv[0]).read_bytes())
        else:
            start = ChildStart.read(sys.stdin.buffer)
        log_event("INFO", "metricsmgr_started", container=start.container, pid=os.getpid())
        manager = MetricsManager(start)
        try:
            manager.run(stop)
        finally:
            manager.close()
    except (HeronshimError, OSError) as error:
        log_event("ERROR", "metricsmgr_failed", error=error)
        return error.exit_code if isinstance(error, HeronshimError) else 1
    log_event("INFO", "metricsmgr_stopped", container=start.container)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
