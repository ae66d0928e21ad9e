"""A container's supervisor: starts the container's processes and keeps them running.

Container 0 holds the TMaster and metricsmgr-0; container n holds stmgr-n, metricsmgr-n and the
instances of its plan. The stream manager (or TMaster) is started first and owns the container's
endpoint, a socket path chosen once per supervisor life; the others follow at once and repeat
their hello until it answers. Instances wait for the package, if there is one.

What dies is started again after a back-off, with a higher incarnation, and why it died goes to
`events.jsonl` (which the container's metrics manager reads), to its own log and to the
supervisor's. What is silent beyond the liveness limit is killed, see `container_liveness`; the
supervisor itself gives signs of life to the launcher. SIGTERM stops all: instances together, then
the metrics manager, then the stream manager. Were the supervisor killed, the kernel kills its
children (PR_SET_PDEATHSIG is why it has one thread: the signal is tied to the thread).
"""

from __future__ import annotations

import os
import selectors
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heronshim.core.daemons.container_liveness import ContainerLiveness
from heronshim.core.daemons.supervised import Death, ProcessSpec, ProcessState, SupervisedProcess
from heronshim.core.io.child import EXIT_ALREADY_SUPERVISED, ChildStart, ContainerStart
from heronshim.core.io.event_file import EVENTS_FILE, EventFile
from heronshim.core.io.file_lock import file_lock
from heronshim.core.io.heartbeats import HEARTBEAT_FILE, Beat, NamedHeartbeatWriter
from heronshim.core.io.incarnation import IncarnationCounter
from heronshim.core.io.logs import StopRequest, event_line, log_event, setup_daemon, wall_ms
from heronshim.core.io.memory_limit import WATCH_NS, MemoryCgroup
from heronshim.core.io.process_identity import process_start_ticks
from heronshim.core.io.rotating_log import RotatingLog, rotate_own_output
from heronshim.core.io.socket_files import checked_folder, socket_path
from heronshim.core.io.tokens import process_token, read_secret
from heronshim.core.io.work_folder import (
    SupervisorRecord,
    container_folder,
    process_log,
    write_supervisor_record,
)
from heronshim.core.plugins.local_options import LocalOptions
from heronshim.core.spi.events import EventKind
from heronshim.core.stream.event_buffer import EventBuffer
from heronshim.core.stream.liveness import LOOK_NS, Turn
from heronshim.errors import ConfigError, DeadlineError, HeronshimError, SchedulerError, StateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heronshim.core.plan.physical import ProcessPlan
    from heronshim.core.stream.liveness import Change

STOP_INSTANCES_NS = 3_000_000_000
"""Time that all instances together have between SIGTERM and SIGKILL to clean up."""
STOP_ENGINE_NS = 2_000_000_000
"""The same for the metrics manager, and then for the stream manager or TMaster."""
OWN_LOG_BYTES_MAX = 10 << 20
OWN_LOG_FILES_MAX = 2
"""Limits of supervisor.log."""
_LOCK_WAIT_S = 1.0


@dataclass(slots=True)
class _StopPhase:
    """Processes that are asked to stop together."""

    processes: Sequence[SupervisedProcess]
    allowed_ns: int
    deadline_ns: int = 0
    """0 = not begun."""


class Supervisor:
    """Runs one container until SIGTERM."""

    def __init__(self, start: ContainerStart, stop: StopRequest, folder: Path) -> None:
        """Prepare all processes; none is started.

        Raises:
            StateError: the secret, the counter or the socket folder cannot be used.
            ConfigError: an option of the scheduler is wrong.
        """
        self._start = start
        self._launch = start.launch
        self._stop = stop
        self._folder = folder
        self._options = LocalOptions.parse(self._launch.scheduler_options)
        self._secret = read_secret(self._launch.secret_path)
        self._incarnations = IncarnationCounter(folder / "incarnation")
        self.socket = socket_path(checked_folder(Path(self._launch.socket_dir)))
        self._environment = os.environ | {
            # What user code prints shows at once, and is not lost when it is killed.
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
        }
        self._events = EventFile(folder / EVENTS_FILE)
        self._buffer = EventBuffer(
            f"supervisor-{start.container}", start.container, wall_ms(), wall_ms
        )
        self._selector = selectors.DefaultSelector()
        self._selector.register(stop, selectors.EVENT_READ)
        self._watch_at_ns = 0
        self._package = self._package_process()
        self._engine = self._engine_processes()
        self._instances = self._instance_processes()
        limit_ns = int(self._launch.liveness_limit_s * 1e9)
        self._liveness = ContainerLiveness(self._engine[0].spec.id, limit_ns)
        self._heartbeat = NamedHeartbeatWriter(folder / HEARTBEAT_FILE)
        self._beat_at_ns = 0
        self._phases: list[_StopPhase] = []

    def _engine_processes(self) -> list[SupervisedProcess]:
        number = self._start.container
        first = ("tmaster", "tmaster") if number == 0 else (f"stmgr-{number}", "stmgr")
        kinds = (first, (f"metricsmgr-{number}", "metricsmgr"))
        python = self._launch.python
        return [
            self._supervised(
                ProcessSpec(
                    process, self._options.argv(kind, python), heartbeats=kind != "metricsmgr"
                )
            )
            for process, kind in kinds
        ]

    def _package_process(self) -> SupervisedProcess | None:
        if not self._launch.package_uri or self._start.container == 0:
            return None
        argv = self._options.argv("package", self._launch.python)
        return self._supervised(ProcessSpec("package", argv, once=True))

    def _instance_processes(self) -> list[SupervisedProcess]:
        plans = self._start.plan.processes if self._start.plan is not None else ()
        found = []
        for plan in plans:
            language = self._launch.languages.get(plan.component, "python")
            limit = plan.required.ram_bytes if self._options.memory_limit else 0
            try:
                argv = self._options.argv(language, self._launch.python, limit)
            except ConfigError as error:
                self._record("ERROR", EventKind.PROCESS_REFUSED, _spec(plan, ()), str(error))
                continue
            process = self._supervised(_spec(plan, argv, limit))
            if self._package is not None:
                process.state = ProcessState.BLOCKED
            found.append(process)
        return found

    def _supervised(self, spec: ProcessSpec) -> SupervisedProcess:
        path = process_log(self._launch.work_dir, self._start.container, spec.id)
        log = RotatingLog(path, self._options.log_file_bytes, self._options.log_files)
        return SupervisedProcess(spec, log, self._cgroup(spec))

    def _cgroup(self, spec: ProcessSpec) -> MemoryCgroup | None:
        if not self._options.cgroup_parent or not spec.memory_limit_bytes:
            return None
        name = f"heronshim-{self._launch.topology_id}-{self._start.container}-{spec.id}"
        try:
            return MemoryCgroup(Path(self._options.cgroup_parent), name, spec.memory_limit_bytes)
        except SchedulerError as error:
            # The watch still holds the limit, only less sharply.
            self._record("WARNING", EventKind.CGROUP_UNUSABLE, spec, str(error))
            return None

    @property
    def _processes(self) -> list[SupervisedProcess]:
        """All processes in the order of their start."""
        package = [] if self._package is None else [self._package]
        return [*self._engine, *package, *self._instances]

    def run(self) -> None:
        """Supervise until a SIGTERM has been carried out."""
        self._record(
            "INFO",
            EventKind.CONTAINER_STARTED,
            numbers={"pid": os.getpid(), "generation": self._start.generation},
        )
        while True:
            now_ns = time.monotonic_ns()
            if self._stop.requested and not self._phases:
                self._begin_stop()
            if self._phases and self._advance_stop(now_ns):
                return
            self._start_due(now_ns)
            self._look_at_memory(now_ns)
            self._judge(self._liveness.look(now_ns))
            self._give_sign_of_life(now_ns)
            self._poll(self._timeout_s(time.monotonic_ns()))

    def close(self) -> None:
        """Remove the container's socket and close what is open; no child runs."""
        for process in self._processes:
            process.close()
        self._events.close()
        self._heartbeat.close()
        self._selector.close()
        self.socket.unlink(missing_ok=True)

    def _poll(self, timeout_s: float) -> None:
        """Wait for output, ends and signals, and handle what came."""
        for key, _ in self._selector.select(timeout_s):
            process: SupervisedProcess | None = key.data
            if process is None:
                self._stop.drain()
            elif key.fd == process.output:
                process.read_output()
                if process.output < 0:
                    self._selector.unregister(key.fd)
            elif process.heartbeats is not None and key.fd == process.heartbeats.fileno():
                for beat in process.heartbeats.read():
                    self._judge(self._liveness.beat(beat, time.monotonic_ns()))
                if process.heartbeats.fileno() < 0:
                    self._selector.unregister(key.fd)
            elif key.fd == process.pidfd:
                self._finish(process)

    def _judge(self, changes: Sequence[Change[str]]) -> None:
        """Tell who is silent and who answers again; kill who is silent beyond the limit."""
        for change in changes:
            process = next(item for item in self._processes if item.spec.id == change.key)
            if change.turn is Turn.OVERDUE:
                if not self._phases:
                    process.kill_silent(change.silent_ns)
                continue
            numbers = {
                "pid": process.pid,
                "incarnation": process.incarnation,
                "silent_s": round(change.silent_ns / 1e9, 3),
            }
            if change.turn is Turn.SUSPECTED:
                self._record("WARNING", EventKind.SUSPECTED, process.spec, numbers=numbers)
            else:
                self._record("INFO", EventKind.SUSPICION_ENDED, process.spec, numbers=numbers)

    def _give_sign_of_life(self, now_ns: int) -> None:
        if now_ns >= self._beat_at_ns:
            self._beat_at_ns = now_ns + LOOK_NS
            self._heartbeat.write(Beat(suspected=self._liveness.suspected))

    def _timeout_s(self, now_ns: int) -> float:
        """Return how long nothing is due."""
        due = [self._liveness.next_look_ns(), self._beat_at_ns]
        due += [item.start_at_ns for item in self._processes if item.state is ProcessState.WAITING]
        if any(process.is_watched for process in self._processes):
            due.append(self._watch_at_ns)
        due += [process.kill_at_ns for process in self._processes if process.kill_at_ns]
        due += [phase.deadline_ns for phase in self._phases[:1]]
        return max(0.0, (min(due) - now_ns) / 1e9)

    def _start_due(self, now_ns: int) -> None:
        for process in self._processes:
            if process.state is ProcessState.WAITING and process.start_at_ns <= now_ns:
                self._start_process(process, now_ns)

    def _start_process(self, process: SupervisedProcess, now_ns: int) -> None:
        try:
            start = self._child_start(process.spec)
            process.start(start, self._folder, self._environment, now_ns)
        except (OSError, StateError) as error:
            process.retry_later(now_ns)
            self._record("ERROR", EventKind.PROCESS_NOT_STARTED, process.spec, str(error))
            return
        self._selector.register(process.output, selectors.EVENT_READ, process)
        self._selector.register(process.pidfd, selectors.EVENT_READ, process)
        if process.heartbeats is not None:
            self._selector.register(process.heartbeats, selectors.EVENT_READ, process)
        if not process.spec.once:
            self._liveness.started(process.spec.id, start.incarnation, now_ns)
        numbers: dict[str, float] = {"pid": process.pid, "incarnation": start.incarnation}
        if process.starts == 1:
            self._record("INFO", EventKind.PROCESS_STARTED, process.spec, numbers=numbers)
        else:
            numbers["restarts"] = process.starts - 1
            self._record("INFO", EventKind.PROCESS_REPLACED, process.spec, numbers=numbers)

    def _child_start(self, spec: ProcessSpec) -> ChildStart:
        incarnation = self._incarnations.next()
        launch = self._launch
        return ChildStart(
            launch=launch,
            container=self._start.container,
            process=spec.id,
            incarnation=incarnation,
            token=process_token(self._secret, launch.topology_id, spec.id, incarnation),
            endpoint=f"ipc://{self.socket}",
            plan=self._start.plan,
            component=spec.component,
            package_dir=str(self._folder / "package") if self._package is not None else "",
        )

    def _finish(self, process: SupervisedProcess) -> None:
        """Take the end of a process and say why it ended."""
        self._selector.unregister(process.pidfd)
        if process.output >= 0:
            self._selector.unregister(process.output)
        if process.heartbeats is not None and process.heartbeats.fileno() >= 0:
            self._selector.unregister(process.heartbeats)
        self._liveness.ended(process.spec.id)
        now_ns = time.monotonic_ns()
        death = process.finish(now_ns)
        numbers = _death_numbers(death)
        if process.state is ProcessState.WAITING:
            numbers["restart_in_s"] = round((process.start_at_ns - now_ns) / 1e9, 3)
        kind, level = _end_kind(death, process)
        cause = death.cause
        process.write_log(event_line(level, kind, process=death.process, cause=cause, **numbers))
        self._record(level, kind, process.spec, cause, death.output_tail, numbers)
        if process is self._package and process.state is ProcessState.DONE:
            for instance in self._instances:
                instance.allow()
        # A disk that is full, or a folder that is gone, must not end the supervisor.
        with suppress(OSError):
            rotate_own_output(self._folder / "supervisor.log", OWN_LOG_BYTES_MAX, OWN_LOG_FILES_MAX)

    def _look_at_memory(self, now_ns: int) -> None:
        for process in self._processes:
            process.kill_if_due(now_ns)
        if now_ns < self._watch_at_ns:
            return
        self._watch_at_ns = now_ns + WATCH_NS
        for process in self._processes:
            if process.is_watched:
                process.look_at_memory(now_ns)

    def _begin_stop(self) -> None:
        log_event("INFO", "container_stopping", container=self._start.container)
        *first, last = reversed(self._engine)
        user_code = [*self._instances, *([] if self._package is None else [self._package])]
        self._phases = [
            _StopPhase(user_code, STOP_INSTANCES_NS),
            _StopPhase(first, STOP_ENGINE_NS),
            _StopPhase([last], STOP_ENGINE_NS),
        ]
        # Nothing that waits is started any more, in whatever phase it is stopped.
        for process in self._processes:
            if process.state is not ProcessState.RUNNING:
                process.ask_to_stop()

    def _advance_stop(self, now_ns: int) -> bool:
        """Go on with stopping; return whether all is stopped."""
        while self._phases:
            phase = self._phases[0]
            running = [item for item in phase.processes if item.state is ProcessState.RUNNING]
            if running and not phase.deadline_ns:
                phase.deadline_ns = now_ns + phase.allowed_ns
                for process in running:
                    process.ask_to_stop()
            elif running and now_ns >= phase.deadline_ns:
                # Once more in a while: what is in an uninterruptible call dies when it returns.
                phase.deadline_ns = now_ns + STOP_ENGINE_NS
                for process in running:
                    process.kill()
            if running:
                return False
            self._phases.pop(0)
        self._record("INFO", EventKind.CONTAINER_STOPPED)
        return True

    def _record(
        self,
        level: str,
        kind: EventKind,
        spec: ProcessSpec | None = None,
        cause: str = "",
        detail: str = "",
        numbers: Mapping[str, float] | None = None,
    ) -> None:
        """Write an event to the supervisor's log and to the file that is read by others."""
        shown = {"process": spec.id} if spec else {}
        shown |= {"cause": cause} if cause else {}
        log_event(level, kind, container=self._start.container, **shown, **(numbers or {}))
        self._buffer.add(
            kind,
            process=spec.id if spec else "",
            component=spec.component if spec else "",
            task=spec.task if spec else 0,
            cause=cause,
            detail=detail,
            numbers=numbers,
        )
        self._events.write(self._buffer.take())


def _spec(plan: ProcessPlan, argv: Sequence[str], memory_limit_bytes: int = 0) -> ProcessSpec:
    """Return what an instance's process is started with."""
    task = plan.tasks[0] if len(plan.tasks) == 1 else 0
    return ProcessSpec(plan.id, argv, plan.component, task, memory_limit_bytes)


def _end_kind(death: Death, process: SupervisedProcess) -> tuple[EventKind, str]:
    """Return what the end of a process is, and the level of its log line."""
    if process.state is not ProcessState.DONE:
        return EventKind.PROCESS_DIED, "ERROR"
    return (EventKind.PROCESS_STOPPED if death.asked else EventKind.PROCESS_FINISHED), "INFO"


def _death_numbers(death: Death) -> dict[str, float]:
    """Return what is told of a death in numbers."""
    end, strike = death.end, death.strike
    numbers = {
        "pid": death.pid,
        "incarnation": death.incarnation,
        "lived_s": round(death.lived_ns / 1e9, 3),
        "cpu_time_us": end.cpu_time_us,
        "memory_peak_bytes": strike.peak_bytes if strike else end.peak_rss_bytes,
    }
    if strike is not None:
        numbers["memory_limit_bytes"] = strike.limit_bytes
    if end.exit_code is None:
        numbers["signal"] = end.signal
    else:
        numbers["exit_code"] = end.exit_code
    return numbers


def main() -> int:
    """Supervise the container of the start line on standard input."""
    stop = setup_daemon()
    try:
        start = ContainerStart.read(sys.stdin.buffer)
        folder = container_folder(start.launch.work_dir, start.container)
        (folder / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
        with file_lock(folder / "supervisor.lock", _LOCK_WAIT_S):
            _supervise(start, stop, folder)
    except DeadlineError as error:
        log_event("ERROR", "container_already_supervised", error=error)
        return EXIT_ALREADY_SUPERVISED
    except (HeronshimError, OSError) as error:
        log_event("ERROR", "supervisor_failed", error=error)
        return 1
    return 0


def _supervise(start: ContainerStart, stop: StopRequest, folder: Path) -> None:
    supervisor = Supervisor(start, stop, folder)
    pid = os.getpid()
    ticks = process_start_ticks(pid)
    assert ticks is not None
    record = SupervisorRecord(pid, ticks, start.generation, str(supervisor.socket))
    try:
        write_supervisor_record(folder, record)
        supervisor.run()
    finally:
        supervisor.close()


if __name__ == "__main__":
    sys.exit(main())
