"""A command is sent until it is answered; what the answer means is an error of its own kind."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle

import pytest
import zmq

from heronshim.core.codec.link import decode_hello, encode_error
from heronshim.core.codec.master import command_from_bytes, reply_to_bytes
from heronshim.core.io.control_client import ControlClient
from heronshim.core.io.tokens import token_matches
from heronshim.core.master.messages import Command, CommandKind, CommandReply
from heronshim.core.stream.frame import Kind
from heronshim.core.stream.link import Role
from heronshim.errors import (
    DeadlineError,
    ErrorCode,
    HeronshimError,
    NotFoundError,
    RefusedError,
    RemoteProtocolError,
)

SECRET = bytes(32)
DEADLINE_S = 60.0
COMMAND = Command("r1", CommandKind.STATUS)


def wait_until(done: Callable[[], object], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not done():
        if time.monotonic() > end:
            pytest.fail(f"waited {DEADLINE_S} s for {what}")
        time.sleep(0.002)


class ScriptedTMaster:
    """Answers each command with the next thing of its script, in a thread."""

    def __init__(self, router, script) -> None:
        self.router = router
        self.script = list(script)
        self.commands: list[Command] = []
        self.hellos = []
        self.refusal = b""
        """Answers each hello, if set."""
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        seen = 0
        while not self.stopping.wait(0.002):
            self.router.read()
            for frame in self.router.heard[seen:]:
                seen += 1
                if frame.kind == Kind.HELLO:
                    self.hellos.append(decode_hello(frame.payload))
                    if self.refusal:
                        with suppress(zmq.ZMQError):
                            self.router.send(frame.peer, Kind.ERROR, self.refusal)
                if frame.kind == Kind.COMMAND:
                    self.commands.append(command_from_bytes(frame.payload))
                    self.answer(frame.peer)

    def answer(self, peer: bytes) -> None:
        for kind, payload in self.script.pop(0):
            self.router.send(peer, kind, payload)

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join()


def reply(request_id: str = "r1", **changes) -> tuple[Kind, bytes]:
    return Kind.COMMAND_REPLY, reply_to_bytes(CommandReply(request_id, **({"ok": True} | changes)))


@pytest.fixture
def play(make_router):
    """Starts a scripted TMaster."""
    started = []

    def start(*script, endpoint=""):
        started.append(ScriptedTMaster(make_router(endpoint), script))
        return started[-1]

    yield start
    for master in started:
        master.stop()


def call(endpoint, command=COMMAND, timeout_s=DEADLINE_S) -> CommandReply:
    with ControlClient(endpoint, "words-1", SECRET, "words") as client:
        return client.call(command, timeout_s)


def test_command_is_answered_and_the_hello_proves_the_secret(play):
    master = play([reply(message="fine")])
    assert call(master.router.endpoint).message == "fine"
    hello = master.hellos[-1]
    assert hello.role is Role.CLIENT
    assert token_matches(SECRET, "words-1", hello.process, hello.incarnation, hello.token)
    assert master.commands == [COMMAND]


def test_one_client_asks_several_times_with_fresh_request_ids(play):
    master = play([reply()], [], [])
    with ControlClient(master.router.endpoint, "words-1", SECRET) as client:
        client.call(COMMAND, DEADLINE_S)
        for kind in (CommandKind.ACTIVATE, CommandKind.ERRORS):
            with pytest.raises(DeadlineError, match="took the command but has not answered"):
                client.ask(kind, 0.5, container=2, component="line")
    wait_until(lambda: len(master.commands) == 3, "the commands")
    _, first, second = master.commands
    assert first.request_id != second.request_id
    assert (first.kind, first.container, first.component) == (CommandKind.ACTIVATE, 2, "line")


def test_answer_to_another_request_is_passed_over(play):
    master = play([reply("other", message="wrong"), reply(message="right")])
    assert call(master.router.endpoint).message == "right"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (ErrorCode.NOT_FOUND, NotFoundError),
        (ErrorCode.REFUSED, RefusedError),
        (ErrorCode.INTERNAL, HeronshimError),
    ],
)
def test_refusal_is_an_error_of_its_kind(play, code, error):
    master = play([reply(ok=False, message="because", code=code)])
    with pytest.raises(error, match="because"):
        call(master.router.endpoint)


def test_damaged_answer_is_the_peers_fault(play):
    master = play([(Kind.COMMAND_REPLY, b"\xff")])
    with pytest.raises(RemoteProtocolError, match="CommandReply"):
        call(master.router.endpoint)


def test_command_is_sent_again_on_a_new_link_with_the_same_request_id(play):
    master = play([(Kind.ERROR, encode_error(ErrorCode.INTERNAL, "oops"))], [reply()])
    assert call(master.router.endpoint).ok
    assert [command.request_id for command in master.commands] == ["r1", "r1"]
    # On a loaded machine an answer to a hello may come too late.
    attempts = [hello.attempt for hello in master.hellos]
    assert len(attempts) >= 2
    assert attempts == sorted(set(attempts))


def test_client_follows_the_tmaster_to_where_it_went(play, tmp_path):
    places = [None, f"ipc://{tmp_path}/nobody"]
    master = play([reply()])

    def locate() -> str | None:
        return places.pop(0) if places else master.router.endpoint

    assert call(locate).ok


def test_token_that_is_refused_is_not_tried_again(play):
    master = play()
    master.router.answer_hello = False
    master.refusal = encode_error(ErrorCode.TOKEN, "wrong token")
    with pytest.raises(RefusedError, match="refuses this client: wrong token"):
        call(master.router.endpoint)


def test_time_out_says_how_far_it_came(tmp_path):
    with pytest.raises(DeadlineError, match="nobody does not answer"):
        call(f"ipc://{tmp_path}/nobody", timeout_s=0.1)
    with pytest.raises(DeadlineError, match="there is none now"):
        call(lambda: None, timeout_s=0.01)


def test_an_interrupt_waits_while_a_link_is_opened_or_closed(monkeypatch):
    unregister = zmq.Poller.unregister

    def interrupted(poller, socket):
        monkeypatch.undo()
        unregister(poller, socket)
        # Half closed: who went on from here would unregister it again.
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(zmq.Poller, "unregister", interrupted)
    endpoints = cycle(("ipc:///tmp/hs-nobody-1", "ipc:///tmp/hs-nobody-2"))
    with pytest.raises(KeyboardInterrupt):
        call(lambda: next(endpoints))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
