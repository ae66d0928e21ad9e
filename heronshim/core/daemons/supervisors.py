"""The supervisors of a launcher's containers: start, adopt, stop, start again.

`reconcile` compares what is wanted with what runs, so an order only changes what is wanted, and
a launcher that was killed in the middle of one goes on where its predecessor ended.

A supervisor that is silent beyond the liveness limit is killed; its processes die with it.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from heronshim.core.daemons.launcher_state import STATE_FILE, Container, write_state
from heronshim.core.io import process_identity, processes
from heronshim.core.io.child import EXIT_ALREADY_SUPERVISED, ContainerStart
from heronshim.core.io.event_file import EVENTS_FILE, EventFile
from heronshim.core.io.heartbeats import HEARTBEAT_FILE, open_named_reader
from heronshim.core.io.logs import log_event, wall_ms
from heronshim.core.io.process_identity import ProcessIdentity
from heronshim.core.io.processes import CONTAINER_MARK
from heronshim.core.io.work_folder import (
    container_folder,
    container_mark,
    read_supervisor_record,
)
from heronshim.core.spi.events import EventKind, EventRecord, event_id
from heronshim.core.spi.scheduler import LIVENESS_LIMIT_S
from heronshim.core.stream.liveness import LOOK_NS, Liveness, Turn
from heronshim.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.core.daemons.launcher_state import LauncherState
    from heronshim.core.spi.scheduler import Launch

STOP_NS = 10_000_000_000
"""Time that a supervisor has to stop: its own stop phases take 7 s at most, and a second each
for the disk and a busy host."""
KILL_AGAIN_NS = 2_000_000_000
"""Time between two SIGKILLs to a supervisor that is in an uninterruptible call."""


class Supervisors:
    """Makes what runs equal to what is wanted. Single thread; does not block."""

    def __init__(
        self,
        work_dir: str,
        state: LauncherState,
        selector: selectors.BaseSelector,
        launch: Launch | None,
    ) -> None:
        """Take what is wanted; `adopt` and `reconcile` do the rest."""
        self.launch = launch
        """None when launch.json is damaged: nothing can be started then, only stopped."""
        self._work_dir = work_dir
        self._state = state
        self._selector = selector
        self._changed = False
        limit_s = LIVENESS_LIMIT_S if launch is None else launch.liveness_limit_s
        self._liveness: Liveness[int] = Liveness(int(limit_s * 1e9))
        self._look_ns = 0

    def adopt(self) -> None:
        """Find the supervisors that an earlier launcher started and that still live.

        A process counts only with the recorded start time and with this container's mark: a
        process id may belong to somebody else by now.
        """
        for entry in Path(self._work_dir).glob("container-*"):
            number = entry.name.removeprefix("container-")
            if number.isdecimal() and int(number) not in self._state.containers:
                self._adopt_unknown(int(number))
        for container in self._state.containers.values():
            if not self._adopt(container, container.identity):
                container.identity = None
                if container.started_generation:
                    self._clear_away(container.id)
                    container.restarts += 1
                    container.cause = "it was gone when the launcher came back"
                    self._tell_history(container)
        self.save()

    def _adopt_unknown(self, number: int) -> None:
        """Take up a supervisor that launcher.json, damaged or older, does not know."""
        record = read_supervisor_record(container_folder(self._work_dir, number))
        if record is None:
            return
        # An older plan is not known: the TMaster's next order gives it.
        container = Container(number, None, generation=record.generation)
        if self._adopt(container, None):
            self._state.containers[number] = container

    def _adopt(self, container: Container, known: ProcessIdentity | None) -> bool:
        """Take up a live supervisor, the one in supervisor.json or `known`."""
        mark = container_mark(self._work_dir, container.id)
        record = read_supervisor_record(container_folder(self._work_dir, container.id))
        found = [] if record is None else [(record.identity, record.generation)]
        if known is not None:
            found.append((known, container.started_generation))
        for identity, generation in found:
            pidfd = process_identity.open_pidfd(identity)
            if pidfd is None:
                continue
            if not processes.has_mark(identity.pid, mark):
                os.close(pidfd)
                continue
            self._runs(container, identity, pidfd, generation, is_child=False)
            log_event("INFO", "container_adopted", container=container.id, pid=identity.pid)
            return True
        return False

    def _runs(
        self,
        container: Container,
        identity: ProcessIdentity,
        pidfd: int,
        generation: int,
        *,
        is_child: bool,
    ) -> None:
        container.identity, container.pidfd = identity, pidfd
        container.started_generation, container.is_child = generation, is_child
        container.stop_deadline_ns = container.silent_ns = 0
        self._selector.register(pidfd, selectors.EVENT_READ, container)
        self._changed = True
        self._listen(container)

    def _listen(self, container: Container) -> None:
        """Begin to watch a supervisor; one whose signs of life cannot be read is not watched."""
        path = container_folder(self._work_dir, container.id) / HEARTBEAT_FILE
        try:
            container.heartbeats = open_named_reader(path)
        except OSError as error:
            log_event("ERROR", "container_not_watched", container=container.id, error=error)
            return
        self._selector.register(container.heartbeats, selectors.EVENT_READ, container)
        now_ns = time.monotonic_ns()
        if container.is_child:
            self._liveness.expect(container.id, now_ns)
        else:
            # It was there before us: it has no start to be slow in.
            self._liveness.heard(container.id, now_ns)

    def heard(self, container: Container, now_ns: int) -> None:
        """Take signs of life of a supervisor that the selector told of."""
        if container.heartbeats is None:
            # Its end was told of in the same turn.
            return
        for beat in container.heartbeats.read():
            container.suspected = beat.suspected
            self._liveness.heard(container.id, now_ns)

    def _judge(self, now_ns: int) -> None:
        """Log which supervisors are silent; kill those that are beyond the limit."""
        self._look_ns = now_ns + LOOK_NS
        for change in self._liveness.look(now_ns):
            container = self._state.containers[change.key]
            level = "INFO" if change.turn is Turn.ANSWERS else "WARNING"
            silent_s = round(change.silent_ns / 1e9, 3)
            log_event(level, f"container_{change.turn}", container=change.key, silent_s=silent_s)
            if change.turn is Turn.OVERDUE and not container.stop_deadline_ns:
                assert container.identity is not None
                container.silent_ns = change.silent_ns
                process_identity.send_signal(container.identity, signal.SIGKILL)

    def suspected(self, container: Container) -> tuple[str, ...]:
        """Return which of a container's processes are silent; its supervisor is one of them."""
        if container.id in self._liveness.suspected:
            return (*container.suspected, f"supervisor-{container.id}")
        return container.suspected

    def store(self) -> None:
        """Write launcher.json; raises StateError."""
        self._changed = False
        write_state(Path(self._work_dir) / STATE_FILE, self._state)

    def save(self) -> None:
        """Write launcher.json; a full disk is logged, and what runs goes on."""
        try:
            self.store()
        except StateError as error:
            log_event("ERROR", "launcher_state_not_written", error=error)

    def reconcile(self, now_ns: int) -> None:
        """Kill what is silent, stop what is not wanted, start what is.

        Then launcher.json is written if that changed it.
        """
        if now_ns >= self._look_ns:
            self._judge(now_ns)
        for container in list(self._state.containers.values()):
            wanted = container.is_wanted and not self._state.is_killed
            if container.identity is not None:
                if not wanted or container.started_generation != container.generation:
                    self._stop(container, now_ns)
            elif not self._is_cleared(container, now_ns):
                continue
            elif not wanted:
                del self._state.containers[container.id]
                self._changed = True
            elif self._can_start(container) and container.start_at_ns <= now_ns:
                self._start(container, now_ns)
        if self._changed:
            self.save()

    def next_deadline_ns(self) -> int | None:
        """Return when `reconcile` has something to do next; None: only after an event."""
        due = [
            container.start_at_ns if container.identity is None else container.stop_deadline_ns
            for container in self._state.containers.values()
            if (container.identity is None and not container.is_cleared)
            or (container.identity is None and self._can_start(container))
            or container.stop_deadline_ns
        ]
        if self._liveness.keys():
            due.append(self._look_ns)
        return min(due) if due else None

    def _can_start(self, container: Container) -> bool:
        return self.launch is not None and (container.id == 0 or container.plan is not None)

    def _start(self, container: Container, now_ns: int) -> None:
        assert self.launch is not None
        folder = container_folder(self._work_dir, container.id)
        start = ContainerStart(self.launch, container.id, container.plan, container.generation)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            output = os.open(folder / "supervisor.log", flags, 0o600)
            try:
                order = processes.Spawn(
                    argv=(self.launch.python, "-P", "-m", "heronshim.core.daemons.container"),
                    start_line=start.to_json().encode(),
                    output=output,
                    cwd=str(folder),
                    environment=os.environ
                    | {CONTAINER_MARK: container_mark(self._work_dir, container.id)},
                    dies_with_parent=False,
                )
                pid, pidfd = _spawn(order)
            finally:
                os.close(output)
        except OSError as error:
            container.cause = f"it cannot be started: {error}"
            container.start_at_ns = now_ns + container.backoff.next_ns(0)
            log_event("ERROR", "container_not_started", container=container.id, error=error)
            return
        identity = ProcessIdentity(pid, process_identity.process_start_ticks(pid) or 0)
        self._runs(container, identity, pidfd, container.generation, is_child=True)
        container.started_ns = now_ns
        log_event("INFO", "container_started", container=container.id, pid=pid)

    def _stop(self, container: Container, now_ns: int) -> None:
        """Ask a supervisor to stop; kill it, with its processes, when its time is over."""
        assert container.identity is not None
        if not container.stop_deadline_ns:
            container.stop_deadline_ns = now_ns + STOP_NS
            process_identity.send_signal(container.identity, signal.SIGTERM)
            log_event("INFO", "container_stopping", container=container.id)
        elif now_ns >= container.stop_deadline_ns:
            container.stop_deadline_ns = now_ns + KILL_AGAIN_NS
            process_identity.send_signal(container.identity, signal.SIGKILL)
            log_event("WARNING", "container_killed", container=container.id)

    def ended(self, container: Container, now_ns: int) -> None:
        """Take the end of a supervisor that its pidfd told of."""
        assert container.identity is not None
        self._selector.unregister(container.pidfd)
        os.close(container.pidfd)
        if container.heartbeats is not None:
            self._selector.unregister(container.heartbeats)
            container.heartbeats.close()
        container.heartbeats, container.suspected = None, ()
        self._liveness.forget(container.id)
        pid, asked = container.identity.pid, container.stop_deadline_ns > 0
        end = processes.reap(pid) if container.is_child else None
        container.identity, container.pidfd, container.stop_deadline_ns = None, -1, 0
        self._changed = True
        is_second = end is not None and end.exit_code == EXIT_ALREADY_SUPERVISED
        if is_second and self._adopt(container, None):
            return
        container.is_cleared = False
        how = str(end) if end is not None else "exit status unknown, an earlier launcher's child"
        if container.silent_ns:
            how = f"killed after {container.silent_ns / 1e9:.1f} s of silence"
        container.cause = f"stopped, {how}" if asked else how
        container.restarts += 1
        if asked:
            container.start_at_ns = now_ns
        else:
            lived_ns = now_ns - container.started_ns
            container.start_at_ns = now_ns + container.backoff.next_ns(lived_ns)
        if not asked:
            self._tell_history(container, {"pid": pid})
        log_event(
            "INFO" if asked else "ERROR",
            "container_ended",
            container=container.id,
            pid=pid,
            cause=container.cause,
            restarts=container.restarts,
        )

    def _tell_history(
        self, container: Container, numbers: Mapping[str, float] | None = None
    ) -> None:
        """Write the death of a supervisor where it wrote its own events, as nobody does now."""
        time_ms = wall_ms()
        event = EventRecord(
            id=event_id(f"launcher-{container.id}", time_ms, container.restarts),
            time_ms=time_ms,
            kind=EventKind.CONTAINER_DIED,
            process=f"supervisor-{container.id}",
            container=container.id,
            cause=container.cause,
            numbers={"restarts": container.restarts, **(numbers or {})},
        )
        file = EventFile(container_folder(self._work_dir, container.id) / EVENTS_FILE)
        file.write([event])
        file.close()

    def _is_cleared(self, container: Container, now_ns: int) -> bool:
        """Clear away what the last supervisor left; return False when that must be tried again."""
        if container.is_cleared:
            return True
        if container.start_at_ns > now_ns:
            return False
        try:
            self._clear_away(container.id)
        except OSError as error:
            # Out of descriptors: /proc cannot be read now.
            container.start_at_ns = now_ns + container.backoff.next_ns(0)
            log_event("ERROR", "container_not_cleared", container=container.id, error=error)
            return False
        container.is_cleared = True
        return True

    def _clear_away(self, number: int) -> None:
        """Kill what a dead supervisor's processes left, and remove its socket."""
        for stray in processes.kill_marked(container_mark(self._work_dir, number)):
            log_event("WARNING", "stray_killed", container=number, pid=stray.pid)
        record = read_supervisor_record(container_folder(self._work_dir, number))
        if record is not None and self.launch is not None:
            remove_socket(record.socket, self.launch.socket_dir)

    def remove_sockets(self) -> None:
        """Remove the sockets of all containers that there ever were."""
        for folder in Path(self._work_dir).glob("container-*"):
            record = read_supervisor_record(folder)
            if record is not None and self.launch is not None:
                remove_socket(record.socket, self.launch.socket_dir)


def _spawn(order: processes.Spawn) -> tuple[int, int]:
    """Start a supervisor; return its id and pidfd. Raises OSError, and then none runs."""
    pid = processes.spawn(order)
    try:
        # Our child, not waited for yet: its id cannot be another's.
        return pid, os.pidfd_open(pid)
    except OSError:
        # Out of descriptors. One whose end nobody would hear of must not run.
        os.kill(pid, signal.SIGKILL)
        processes.reap(pid)
        raise


def remove_socket(path: str, socket_dir: str) -> None:
    """Remove a socket if it lies in the socket folder; a damaged record removes nothing else."""
    file = Path(path)
    if file.parent == Path(socket_dir) and file.is_socket():
        with suppress(OSError):
            file.unlink()
