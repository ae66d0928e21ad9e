"""Gives commands to a topology's master and waits for the answer. Blocks; one thread."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import zmq

from heronshim.core.codec.master import command_to_bytes, reply_from_bytes
from heronshim.core.io.dealer_link import DealerLink, LinkEventKind
from heronshim.core.io.tokens import process_token
from heronshim.core.master.messages import ALL_CONTAINERS, Command, CommandKind, CommandReply
from heronshim.core.stream.frame import Kind
from heronshim.core.stream.link import Hello, Role
from heronshim.errors import (
    DeadlineError,
    ErrorCode,
    HeronshimError,
    NotFoundError,
    RefusedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

INCARNATION_BITS = 62
POLL_MS_MAX = 100
_HOPELESS = (ErrorCode.VERSION, ErrorCode.TOKEN, ErrorCode.TASK, ErrorCode.TOPOLOGY)
"""Refusals of a hello that another attempt cannot change."""


class ControlClient:
    """A client's link to one topology's TMaster, kept over several calls.

    A command that is sent again because the link broke, or a new TMaster took over, is not done
    twice by the one that did it.
    """

    def __init__(
        self,
        endpoint: str | Callable[[], str | None],
        topology_id: str,
        secret: bytes,
        topology: str = "",
    ) -> None:
        """Connect nothing yet.

        `endpoint` is where the TMaster listens (TMasterLocation.endpoint), or a function that
        finds it and is asked again while there is no link. `topology` is the name that records
        in answers get.
        """
        self._locate = (lambda: endpoint) if isinstance(endpoint, str) else endpoint
        self._topology = topology
        process = f"client-{secrets.token_hex(4)}"
        incarnation = secrets.randbits(INCARNATION_BITS)
        hello = Hello(
            topology_id=topology_id,
            role=Role.CLIENT,
            process=process,
            incarnation=incarnation,
            attempt=0,
            token=process_token(secret, topology_id, process, incarnation),
            pid=os.getpid(),
        )
        self._poller = zmq.Poller()
        with _interrupts_later():
            self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
            self._link = DealerLink(self._context, hello, self._poller)

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def ask(
        self,
        kind: CommandKind,
        timeout_s: float,
        *,
        container: int = ALL_CONTAINERS,
        component: str = "",
        since_ms: int = 0,
    ) -> CommandReply:
        """Make a command with a fresh request id and call it; see `call`."""
        request_id = secrets.token_hex(16)
        return self.call(Command(request_id, kind, container, component, since_ms), timeout_s)

    def call(self, command: Command, timeout_s: float) -> CommandReply:
        """Send a command until it is answered; return the answer of a command that was done.

        Raises:
            NotFoundError: the command names something that does not exist.
            RefusedError: it is not possible now, or this client is refused.
            DeadlineError: no answer within `timeout_s`; says how far it came.
            RemoteProtocolError: the answer cannot be read.
            HeronshimError: it failed; the message says why.
        """
        deadline_ns = time.monotonic_ns() + int(timeout_s * 1e9)
        payload = command_to_bytes(command)
        sent = False
        while True:
            now_ns = time.monotonic_ns()
            if now_ns >= deadline_ns:
                raise _too_late(command, timeout_s, self._link)
            if self._link.up:
                endpoint = self._link.endpoint
            else:
                endpoint, sent = self._locate() or "", False
            with _interrupts_later():
                if endpoint != self._link.endpoint:
                    self._link.connect(endpoint, now_ns)
                elif self._link.up and not sent:
                    sent = self._link.send(Kind.COMMAND, payload)
            wait_ns = min(deadline_ns, self._link.next_deadline_ns()) - now_ns
            self._poller.poll(max(0, min(POLL_MS_MAX, wait_ns // 1_000_000 + 1)))
            with _interrupts_later():
                reply = self._turn(command.request_id)
            if reply is not None:
                return _done(reply)

    def close(self) -> None:
        """End the link."""
        with _interrupts_later():
            self._link.close("done", time.monotonic_ns())
            self._context.term()

    def _turn(self, request_id: str) -> CommandReply | None:
        """Read what has come; return the answer to that request."""
        now_ns = time.monotonic_ns()
        self._link.tick(now_ns)
        reply = None
        while (frame := self._link.receive(now_ns)) is not None:
            if frame.kind == Kind.COMMAND_REPLY:
                found = reply_from_bytes(frame.payload.bytes, self._topology)
                reply = found if found.request_id == request_id else reply
        for event in self._link.take_events():
            if event.kind is LinkEventKind.REFUSED and event.code in _HOPELESS:
                msg = f"the TMaster refuses this client: {event.cause}"
                raise RefusedError(msg)
        return reply


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Let Ctrl-C wait: a link that is half opened or half closed cannot be ended any more."""
    by_python = signal.getsignal(signal.SIGINT) is not None
    if not by_python or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if came:
        signal.raise_signal(signal.SIGINT)


def _done(reply: CommandReply) -> CommandReply:
    """Return a reply that says ok; raise what the others mean."""
    if reply.ok:
        return reply
    if reply.code is ErrorCode.NOT_FOUND:
        raise NotFoundError(reply.message)
    if reply.code is ErrorCode.REFUSED:
        raise RefusedError(reply.message)
    raise HeronshimError(reply.message)


def _too_late(command: Command, timeout_s: float, link: DealerLink) -> DeadlineError:
    """Return the error that says how far a command came."""
    if link.up:
        state = "it took the command but has not answered"
    elif link.endpoint:
        state = f"{link.endpoint} does not answer ({link.failure or 'connecting'})"
    else:
        state = "there is none now; see heronshim logs for its supervisor"
    msg = f"no answer of the TMaster to {command.kind} within {timeout_s:g} s: {state}"
    return DeadlineError(msg)
