"""Scheduler on this host; entry point "local".

A client of the topology's launcher (core.daemons.launcher), which it starts when it is not
there. The command line and the TMaster each make one of their own from the topology's Launch.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from heronshim.core.io.launch_file import LAUNCH_FILE, write_launch
from heronshim.core.io.launcher_protocol import (
    EXIT_ANOTHER_LIVES,
    EXIT_NOTHING_THERE,
    LINE_BYTES_MAX,
    Order,
    Reply,
    Request,
    reply_from_line,
    request_to_line,
)
from heronshim.core.io.process_identity import identify, wait_ended
from heronshim.core.io.processes import CONTAINER_MARK
from heronshim.core.io.socket_files import launcher_socket_path
from heronshim.core.plugins.local_options import LocalOptions
from heronshim.errors import DeadlineError, RefusedError, SchedulerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heronshim.core.io.process_identity import ProcessIdentity
    from heronshim.core.plan.physical import ContainerPlan
    from heronshim.core.spi.scheduler import ContainerStatus, Launch

ORDER_TIMEOUT_S = 15.0
"""A launcher starts in 0.2 s and takes an order in milliseconds; a host may be busy."""
KILL_TIMEOUT_S = 30.0
"""Above the launcher's own limit for a kill, so that its answer says what does not die."""
_PAUSE_S = 0.02
_CREDENTIALS = struct.Struct("3i")
_NOT_LISTENING = (FileNotFoundError, ConnectionRefusedError)
_BROKEN_OFF = (ConnectionResetError, BrokenPipeError)


class LocalScheduler:
    """Starts and stops the containers of one topology on this host. One thread."""

    def __init__(self, launch: Launch) -> None:
        """Touch nothing yet. Options in `launch.scheduler_options`: see `LocalOptions`.

        Raises:
            ConfigError: an option is unknown or wrong.
            StateError: the socket folder's path is too long.
        """
        self._launch = launch
        self._work_dir = launch.work_dir
        self._options = LocalOptions.parse(launch.scheduler_options)
        self._socket_path = launcher_socket_path(Path(launch.socket_dir), launch.work_dir)

    def start_master(self, launch: Launch) -> None:
        """See `Scheduler.start_master`. Makes the work folder and launch.json if missing."""
        self._check(launch)
        try:
            Path(self._work_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            msg = f"work folder {self._work_dir} cannot be made: {error}"
            raise SchedulerError(msg) from error
        if not self._exists():
            write_launch(launch)
        self._order(Order.START_MASTER, launch=launch)

    def add_containers(self, plans: Sequence[ContainerPlan], launch: Launch) -> None:
        """See `Scheduler.add_containers`.

        A container that runs with another plan is restarted with the new one.
        """
        self._check(launch)
        for plan in plans:
            for process in plan.processes:
                # Refused here, where somebody reads it, not in a supervisor's log.
                language = launch.languages.get(process.component, "python")
                self._options.argv(language, launch.python)
        self._order(Order.ADD, launch=launch, plans=tuple(plans))

    def remove_containers(self, ids: Sequence[int]) -> None:
        """See `Scheduler.remove_containers`. Unknown ids are gone already."""
        self._order(Order.REMOVE, ids=tuple(ids))

    def restart(self, ids: Sequence[int]) -> None:
        """See `Scheduler.restart`; raises NotFoundError for an unknown id."""
        self._order(Order.RESTART, ids=tuple(ids))

    def kill(self) -> None:
        """See `Scheduler.kill`. Removes the work folder, logs included."""
        if not self._exists():
            return
        try:
            self._call(Request(_request_id(), Order.KILL), KILL_TIMEOUT_S)
        except _NothingThereError:
            return

    def status(self) -> list[ContainerStatus]:
        """See `Scheduler.status`. Starts a launcher that died, so that it keeps the topology up."""
        if not self._exists():
            return []
        try:
            reply = self._call(Request(_request_id(), Order.STATUS), ORDER_TIMEOUT_S)
        except _NothingThereError:
            return []
        return list(reply.containers)

    def _exists(self) -> bool:
        return (Path(self._work_dir) / LAUNCH_FILE).exists()

    def _check(self, launch: Launch) -> None:
        mine = (self._launch.work_dir, self._launch.socket_dir)
        if (launch.work_dir, launch.socket_dir) != mine:
            msg = f"this scheduler serves {mine}, not {launch.work_dir} and {launch.socket_dir}"
            raise RefusedError(msg)

    def _order(
        self,
        order: Order,
        *,
        launch: Launch | None = None,
        plans: tuple[ContainerPlan, ...] = (),
        ids: tuple[int, ...] = (),
    ) -> None:
        request = Request(_request_id(), order, launch, plans, ids)
        try:
            self._call(request, ORDER_TIMEOUT_S)
        except _NothingThereError as error:
            msg = f"no topology runs in {self._work_dir}"
            raise SchedulerError(msg) from error

    def _call(self, request: Request, timeout_s: float) -> Reply:
        """Send a request until it is answered, starting the launcher when there is none.

        A launcher that dies in between may have carried it out: the next one knows its id.

        Raises:
            DeadlineError: there was no answer in time.
            _NothingThereError: there is no topology in the work folder.
            HeronshimError: what the launcher answered.
        """
        deadline = time.monotonic() + timeout_s
        problem = "it does not answer"
        while (left_s := deadline - time.monotonic()) > 0:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
                try:
                    peer.settimeout(left_s)
                    peer.connect(os.fsencode(self._socket_path))
                    return self._exchange(peer, request, deadline)
                except _NOT_LISTENING:
                    problem = self._start_launcher(left_s)
                except BlockingIOError:
                    # Linux says so, without waiting, when the listener's backlog is full.
                    problem = "too many clients at once"
                    time.sleep(_PAUSE_S)
                except _BROKEN_OFF as error:
                    problem = str(error)
                except TimeoutError:
                    break
                except OSError as error:
                    msg = f"launcher of {self._work_dir} cannot be reached: {error}"
                    raise SchedulerError(msg) from error
        msg = (
            f"launcher of {self._work_dir}: no answer to {request.order} "
            f"within {timeout_s:g} s ({problem}); see {self._work_dir}/launcher.log"
        )
        raise DeadlineError(msg)

    def _exchange(self, peer: socket.socket, request: Request, deadline: float) -> Reply:
        """Send a request and return its answer; raises what the launcher answered."""
        launcher = _peer_identity(peer)
        peer.sendall(request_to_line(request))
        received = bytearray()
        while not received.endswith(b"\n"):
            data = peer.recv(1 << 16)
            if not data:
                msg = "the launcher ended before it answered"
                raise ConnectionResetError(msg)
            received += data
            if len(received) > LINE_BYTES_MAX:
                msg = f"launcher of {self._work_dir}: its answer is over {LINE_BYTES_MAX} bytes"
                raise SchedulerError(msg)
            peer.settimeout(max(0.001, deadline - time.monotonic()))
        reply = reply_from_line(bytes(received))
        if reply.error is not None:
            raise reply.error
        if request.order is Order.KILL and launcher is not None:
            # It ends right after its answer; only then nothing is left.
            wait_ended(launcher, max(0.0, deadline - time.monotonic()))
        return reply

    def _start_launcher(self, timeout_s: float) -> str:
        """Start a launcher; return why it may not listen although none was refused.

        Raises:
            _NothingThereError: there is no topology in the work folder.
            SchedulerError: it cannot be started.
        """
        argv = (self._launch.python, "-P", "-m", "heronshim.core.daemons.launcher")
        environment = {key: value for key, value in os.environ.items() if key != CONTAINER_MARK}
        try:
            started = subprocess.run(  # noqa: S603 - a list, never a shell
                (*argv, self._work_dir, self._launch.socket_dir),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "it does not start"
        except OSError as error:
            msg = f"launcher of {self._work_dir} cannot be started: {error}"
            raise SchedulerError(msg) from error
        if started.returncode == EXIT_NOTHING_THERE:
            raise _NothingThereError(self._work_dir)
        if started.returncode == EXIT_ANOTHER_LIVES:
            # One that has just been started, or one that is just ending.
            time.sleep(_PAUSE_S)
            return "another launcher holds its lock"
        if started.returncode:
            said = started.stderr.decode("utf-8", "replace").strip()
            msg = f"launcher of {self._work_dir} cannot be started: {said[-2000:]}"
            raise SchedulerError(msg)
        return "it does not listen"


class _NothingThereError(Exception):
    """There is no topology in the work folder."""


def _request_id() -> str:
    return os.urandom(8).hex()


def _peer_identity(peer: socket.socket) -> ProcessIdentity | None:
    """Return the process that listens on the other end."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, _, _ = _CREDENTIALS.unpack(credentials)
    return identify(pid)
