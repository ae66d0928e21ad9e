"""The local scheduler's launcher: one small detached process per topology.

    python -m heronshim.core.daemons.launcher WORK_DIR SOCKET_DIR

It starts the supervisors of a topology's containers, starts them again when they die or are silent,
and takes orders on a Unix socket (core.io.launcher_protocol). Supervisors have sessions of their
own and outlive it: after its death the next command, or the TMaster, starts it again and it takes
them up by pid, start time and mark; one that does not answer is killed by them first. SIGTERM ends
the launcher alone, for the same reason; `kill` is the order that ends the topology, and the
launcher after it.

The command returns when the launcher listens: exit 0 it does, 75 another one lives, 66 there is
no topology in WORK_DIR, 1 an error, told on standard error.
"""

from __future__ import annotations

import os
import selectors
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from heronshim.core.daemons.launcher_server import Connection, LauncherServer
from heronshim.core.daemons.launcher_state import (
    STATE_FILE,
    Container,
    LauncherState,
    read_state,
)
from heronshim.core.daemons.supervisors import Supervisors
from heronshim.core.io.file_lock import file_lock
from heronshim.core.io.launch_file import LAUNCH_FILE, read_launch, write_launch
from heronshim.core.io.launcher_protocol import EXIT_ANOTHER_LIVES, EXIT_NOTHING_THERE, Order, Reply
from heronshim.core.io.logs import StopRequest, log_event, setup_daemon
from heronshim.core.io.processes import kill_marked
from heronshim.core.io.rotating_log import rotate_own_output
from heronshim.core.io.socket_files import checked_folder, launcher_socket_path
from heronshim.core.io.work_folder import remove_folder
from heronshim.core.spi.scheduler import ContainerStatus
from heronshim.errors import (
    DeadlineError,
    HeronshimError,
    NotFoundError,
    RefusedError,
    SchedulerError,
    StateError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heronshim.core.io.launcher_protocol import Request
    from heronshim.core.plan.physical import ContainerPlan
    from heronshim.core.spi.scheduler import Launch

KILL_NS = 20_000_000_000
"""Time after which a kill that is not done is answered with an error; it goes on all the same."""
LOOK_AGAIN_NS = 20_000_000
"""Time to the second look at what still dies during a kill; it doubles up to a second."""
OWN_LOG_BYTES_MAX = 10 << 20
OWN_LOG_FILES_MAX = 2
"""Limits of launcher.log."""


class Launcher:
    """Takes orders and keeps supervisors running, until the topology is killed or SIGTERM."""

    def __init__(self, work_dir: str, socket_dir: str, stop: StopRequest) -> None:
        """Read what an earlier launcher left and listen.

        Raises:
            StateError: the socket folder cannot be used.
            OSError: the socket cannot be made.
        """
        self._work_dir = work_dir
        self._socket_dir = socket_dir
        self._stop = stop
        self._state = _known_state(work_dir)
        self._selector = selectors.DefaultSelector()
        self._selector.register(stop, selectors.EVENT_READ)
        launch = _known_launch(work_dir)
        self._supervisors = Supervisors(work_dir, self._state, self._selector, launch)
        path = launcher_socket_path(checked_folder(Path(socket_dir)), work_dir)
        self._server = LauncherServer(path, self._selector)
        self._killers: list[tuple[Connection, str]] = []
        """Who waits for the end of a kill, with the request's id."""
        self._kill_deadline_ns = 0
        self._look_again_ns = LOOK_AGAIN_NS
        self._orders: dict[Order, Callable[[Request], None]] = {
            Order.START_MASTER: self._start_master,
            Order.ADD: self._add,
            Order.REMOVE: self._remove,
            Order.RESTART: self._restart,
        }

    def run(self) -> None:
        """Work until everything is killed or SIGTERM arrives."""
        self._supervisors.adopt()
        while not self._stop.requested:
            now_ns = time.monotonic_ns()
            self._supervisors.reconcile(now_ns)
            if self._state.is_killed and self._finish_kill(now_ns):
                break
            for key, _ in self._selector.select(self._timeout_s(now_ns)):
                self._handle(key.data, key.fd)
        self._server.close()
        self._selector.close()
        log_event("INFO", "launcher_stopped", killed=self._state.is_killed)

    def _timeout_s(self, now_ns: int) -> float | None:
        due_ns = self._supervisors.next_deadline_ns()
        if self._state.is_killed and not self._state.containers:
            due_ns = now_ns + self._look_again_ns
            self._look_again_ns = min(2 * self._look_again_ns, 1_000_000_000)
        return None if due_ns is None else max(0.0, (due_ns - now_ns) / 1e9)

    def _handle(self, source: object, descriptor: int) -> None:
        """Handle one event of the selector."""
        if source is None:
            self._stop.drain()
        elif isinstance(source, LauncherServer):
            source.accept()
        elif isinstance(source, Container) and descriptor != source.pidfd:
            self._supervisors.heard(source, time.monotonic_ns())
        elif isinstance(source, Container):
            self._supervisors.ended(source, time.monotonic_ns())
            with suppress(OSError):
                log = Path(self._work_dir) / "launcher.log"
                rotate_own_output(log, OWN_LOG_BYTES_MAX, OWN_LOG_FILES_MAX)
        elif isinstance(source, Connection):
            for request in self._server.serve(source):
                self._answer(source, request)

    def _answer(self, connection: Connection, request: Request) -> None:
        if request.order is Order.STATUS:
            self._server.send(connection, Reply(request.id, None, self._status()))
            return
        log_event("INFO", "order", order=request.order, id=request.id)
        if request.order is Order.KILL:
            self._begin_kill(connection, request.id)
            return
        try:
            if request.id not in self._state.done_requests:
                self._carry_out(request)
            reply = Reply(request.id)
        except HeronshimError as error:
            log_event("WARNING", "order_refused", order=request.order, error=error)
            reply = Reply(request.id, error)
        self._server.send(connection, reply)

    def _carry_out(self, request: Request) -> None:
        """Change what is wanted and put it on disk; the loop does the rest."""
        if self._state.is_killed:
            msg = f"the topology in {self._work_dir} is being killed"
            raise RefusedError(msg)
        self._orders[request.order](request)
        self._state.remember(request.id)
        self._supervisors.store()

    def _start_master(self, request: Request) -> None:
        self._take_launch(request.launch)
        self._want(0, None)

    def _add(self, request: Request) -> None:
        self._take_launch(request.launch)
        for plan in request.plans:
            self._want(plan.id, plan)

    def _take_launch(self, launch: Launch | None) -> None:
        """Use a launch for all later starts, if it is of this topology."""
        assert launch is not None
        if (launch.work_dir, launch.socket_dir) != (self._work_dir, self._socket_dir):
            msg = f"this launcher serves {self._work_dir}, not {launch.work_dir}"
            raise RefusedError(msg)
        current = self._supervisors.launch
        if current is not None and current.topology_id != launch.topology_id:
            msg = (
                f"topology {current.topology} runs already with id {current.topology_id}; "
                f"kill it before {launch.topology_id} is started"
            )
            raise RefusedError(msg)
        if current != launch:
            write_launch(launch)
            self._supervisors.launch = launch

    def _want(self, number: int, plan: ContainerPlan | None) -> None:
        """Want a container with a plan; the same one that is wanted already is left alone."""
        container = self._state.containers.get(number)
        if container is None:
            self._state.containers[number] = Container(number, plan)
        elif not container.is_wanted or container.plan != plan:
            container.plan, container.is_wanted = plan, True
            self._renew(container)

    def _remove(self, request: Request) -> None:
        if 0 in request.ids:
            msg = "container 0 holds the TMaster and goes with kill alone"
            raise RefusedError(msg)
        for number in request.ids:
            container = self._state.containers.get(number)
            if container is not None:
                container.is_wanted = False

    def _restart(self, request: Request) -> None:
        wanted = {item.id: item for item in self._state.containers.values() if item.is_wanted}
        ids: Sequence[int] = request.ids or [number for number in wanted if number]
        unknown = [number for number in ids if number not in wanted]
        if unknown:
            msg = f"no container {unknown} runs; there are {sorted(wanted)}"
            raise NotFoundError(msg)
        for number in ids:
            self._renew(wanted[number])

    def _renew(self, container: Container) -> None:
        """Want a new supervisor, at once, in place of the one there is."""
        container.generation += 1
        container.start_at_ns = 0

    def _status(self) -> tuple[ContainerStatus, ...]:
        containers = sorted(self._state.containers.values(), key=lambda item: item.id)
        return tuple(
            ContainerStatus(
                id=container.id,
                pid=0 if container.identity is None else container.identity.pid,
                running=container.identity is not None,
                restarts=container.restarts,
                cause=container.cause,
                suspected=self._supervisors.suspected(container),
            )
            for container in containers
        )

    def _begin_kill(self, connection: Connection, request_id: str) -> None:
        self._killers.append((connection, request_id))
        self._kill_deadline_ns = time.monotonic_ns() + KILL_NS
        if not self._state.is_killed:
            self._state.is_killed = True
            self._supervisors.save()

    def _finish_kill(self, now_ns: int) -> bool:
        """Clear away what is left once no supervisor runs; return whether all is gone."""
        strays = []
        if not self._state.containers:
            strays = kill_marked(f"@{self._work_dir}")
            if not strays:
                return self._remove_all()
        if self._killers and now_ns >= self._kill_deadline_ns:
            left = [item.pid for item in strays] or [item.pid for item in self._status()]
            msg = f"processes {left} of {self._work_dir} do not die; look at them with ps"
            self._answer_killers(DeadlineError(msg))
        return False

    def _remove_all(self) -> bool:
        """Remove sockets and the work folder; return whether that was possible."""
        self._supervisors.remove_sockets()
        try:
            remove_folder(Path(self._work_dir))
        except OSError as error:
            msg = f"work folder {self._work_dir} cannot be removed: {error}"
            self._answer_killers(SchedulerError(msg))
            return False
        self._server.stop_listening()
        self._answer_killers(None)
        return True

    def _answer_killers(self, error: HeronshimError | None) -> None:
        for connection, request_id in self._killers:
            self._server.send(connection, Reply(request_id, error))
        self._killers = []


def _known_state(work_dir: str) -> LauncherState:
    """Return what launcher.json says; of a damaged one nothing, what lives is found anyway.

    That file is kept beside the new one: a newer heronshim may have written it.
    """
    path = Path(work_dir) / STATE_FILE
    try:
        return read_state(path)
    except StateError as error:
        kept = path.with_suffix(".unreadable")
        log_event("ERROR", "launcher_state_damaged", error=error, kept=kept)
        with suppress(OSError):
            path.replace(kept)
        return LauncherState()


def _known_launch(work_dir: str) -> Launch | None:
    try:
        return read_launch(work_dir)
    except HeronshimError as error:
        log_event("ERROR", "launch_file_damaged", error=error)
        return None


def _serve(work_dir: str, socket_dir: str, ready: Callable[[int], None]) -> None:
    """Be the launcher of a topology; `ready` takes the exit code of the command."""
    os.setsid()
    os.chdir("/")
    stop = setup_daemon()
    folder = Path(work_dir)
    # Looked at before the lock as well: making the lock file would make the folder.
    if not (folder / LAUNCH_FILE).exists():
        ready(EXIT_NOTHING_THERE)
        return
    try:
        with file_lock(folder / "launcher.lock", 0):
            if not (folder / LAUNCH_FILE).exists():
                # A kill ended in between; it had removed all but what we have just made.
                remove_folder(folder)
                ready(EXIT_NOTHING_THERE)
                return
            launcher = Launcher(work_dir, socket_dir, stop)
            _log_to(folder / "launcher.log")
            ready(0)
            launcher.run()
    except DeadlineError:
        ready(EXIT_ANOTHER_LIVES)
    except (HeronshimError, OSError) as error:
        log_event("ERROR", "launcher_failed", error=error)
        ready(1)


def _log_to(path: Path) -> None:
    """Make a file standard output and error."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def main() -> int:
    """Start a launcher in the background and return once it listens."""
    if len(sys.argv) != 3 or not all(Path(path).is_absolute() for path in sys.argv[1:]):
        sys.stderr.write("usage: launcher WORK_DIR SOCKET_DIR (absolute paths)\n")
        return 2
    read_end, write_end = os.pipe()
    if os.fork():
        os.close(write_end)
        code = os.read(read_end, 1)
        return code[0] if code else 1
    os.close(read_end)
    said = False

    def ready(code: int) -> None:
        nonlocal said
        if not said:
            said = True
            os.write(write_end, bytes([code]))
            os.close(write_end)

    _serve(sys.argv[1], sys.argv[2], ready)
    return 0


if __name__ == "__main__":
    sys.exit(main())
