"""Asks a topology's launcher, and starts one when there is none or when it does not answer.

A launcher answers within milliseconds, whatever it is doing. While an answer is due it is asked
for its status every LOOK_NS; one that is silent beyond the liveness limit (stopped, or stuck) is
killed, by the process id and start time of who listens on the socket, and another one is started,
which takes up the supervisors. A client that was stopped itself gives it the whole limit anew.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

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
from heronshim.core.io.logs import log_event
from heronshim.core.io.process_identity import identify, send_signal, wait_ended
from heronshim.core.io.processes import CONTAINER_MARK
from heronshim.core.io.socket_files import launcher_socket_path
from heronshim.core.stream.liveness import LOOK_NS, Liveness, Turn
from heronshim.errors import DeadlineError, SchedulerError

if TYPE_CHECKING:
    from heronshim.core.io.process_identity import ProcessIdentity
    from heronshim.core.spi.scheduler import Launch

_PAUSE_S = 0.02
_DEATH_WAIT_S = 5.0
"""A killed launcher is gone at once, unless the kernel holds it in a call."""
_PING = "ping"
"""Request id of questions that only ask for an answer; ids of orders are hexadecimal."""
_CREDENTIALS = struct.Struct("3i")
_NOT_LISTENING = (FileNotFoundError, ConnectionRefusedError)
_BROKEN_OFF = (ConnectionResetError, BrokenPipeError)


class NothingThereError(Exception):
    """There is no topology in the work folder."""


class LauncherClient:
    """Speaks to the launcher of one topology. One thread."""

    def __init__(self, launch: Launch) -> None:
        """Touch nothing yet.

        Raises:
            StateError: the socket folder's path is too long.
        """
        self._launch = launch
        self._work_dir = launch.work_dir
        self._socket_path = launcher_socket_path(Path(launch.socket_dir), launch.work_dir)

    def call(self, request: Request, timeout_s: float) -> Reply:
        """Send a request until it is answered, starting the launcher when there is none.

        A launcher that dies in between may have carried it out: the next one knows its id.
        Blocks up to the liveness limit and `timeout_s`.

        Raises:
            DeadlineError: there was no answer in time.
            NothingThereError: there is no topology in the work folder.
            HeronshimError: what the launcher answered.
        """
        timeout_s += self._launch.liveness_limit_s
        deadline = time.monotonic() + timeout_s
        problem = "it does not answer"
        while (left_s := deadline - time.monotonic()) > 0:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
                peer.setblocking(False)
                try:
                    peer.connect(os.fsencode(self._socket_path))
                    return self._exchange(peer, request, deadline)
                except _NOT_LISTENING:
                    problem = self._start(left_s)
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
        """Send a request and return its answer; raises what the launcher answered.

        Raises:
            ConnectionResetError: it ended, or was silent and was killed.
            TimeoutError: the deadline passed.
        """
        launcher = _peer_identity(peer)
        liveness: Liveness[ProcessIdentity] = Liveness(int(self._launch.liveness_limit_s * 1e9))
        conversation = _Conversation(peer, request)
        if launcher is not None:
            liveness.heard(launcher, time.monotonic_ns())
        while conversation.reply is None:
            if conversation.turn() and launcher is not None:
                liveness.heard(launcher, time.monotonic_ns())
            for change in liveness.look(time.monotonic_ns()):
                level = "INFO" if change.turn is Turn.ANSWERS else "WARNING"
                log_event(level, f"launcher_{change.turn}", pid=change.key.pid)
                if change.turn is Turn.OVERDUE:
                    send_signal(change.key, signal.SIGKILL)
                    wait_ended(change.key, _DEATH_WAIT_S)
                    msg = f"it was killed after {change.silent_ns / 1e9:.1f} s of silence"
                    raise ConnectionResetError(msg)
            if time.monotonic() > deadline:
                raise TimeoutError
        if conversation.reply.error is not None:
            raise conversation.reply.error
        if request.order is Order.KILL and launcher is not None:
            # It ends right after its answer; only then nothing is left.
            wait_ended(launcher, max(0.0, deadline - time.monotonic()))
        return conversation.reply

    def _start(self, timeout_s: float) -> str:
        """Start a launcher; return why it may not listen although none was refused.

        Raises:
            NothingThereError: there is no topology in the work folder.
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
            raise NothingThereError(self._work_dir)
        if started.returncode == EXIT_ANOTHER_LIVES:
            # One that has just been started, or one that is just ending.
            time.sleep(_PAUSE_S)
            return "another launcher holds its lock"
        if started.returncode:
            said = started.stderr.decode("utf-8", "replace").strip()
            msg = f"launcher of {self._work_dir} cannot be started: {said[-2000:]}"
            raise SchedulerError(msg)
        return "it does not listen"


class _Conversation:
    """One request on one connection, and questions for a sign of life until it is answered."""

    def __init__(self, peer: socket.socket, request: Request) -> None:
        self.reply: Reply | None = None
        """The answer, once it has come."""
        self._peer = peer
        self._waiting = request_to_line(request)
        self._received = bytearray()

    def turn(self) -> bool:
        """Send and read what is possible, wait LOOK_NS at most; return whether anything came.

        Raises:
            SchedulerError: the answer is too long.
            ConnectionResetError: the launcher ended.
        """
        poller = select.poll()
        poller.register(self._peer, select.POLLIN | (select.POLLOUT if self._waiting else 0))
        events = poller.poll(LOOK_NS / 1e6)
        if not events and not self._waiting:
            self._waiting = request_to_line(Request(_PING, Order.STATUS))
        if self._waiting and events and events[0][1] & select.POLLOUT:
            self._waiting = self._waiting[self._peer.send(self._waiting) :]
        try:
            data = self._peer.recv(1 << 16)
        except BlockingIOError:
            return False
        if not data:
            msg = "the launcher ended before it answered"
            raise ConnectionResetError(msg)
        self._received += data
        *lines, self._received = self._received.split(b"\n")
        for line in lines:
            reply = reply_from_line(bytes(line))
            if reply.id != _PING:
                self.reply = reply
        if len(self._received) > LINE_BYTES_MAX:
            msg = f"an answer of the launcher is over {LINE_BYTES_MAX} bytes"
            raise SchedulerError(msg)
        return True


def _peer_identity(peer: socket.socket) -> ProcessIdentity | None:
    """Return the process that listens on the other end."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, _, _ = _CREDENTIALS.unpack(credentials)
    return identify(pid)
