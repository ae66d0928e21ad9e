"""The launcher's socket: whatever clients do, the next order is taken and memory is bounded."""

from __future__ import annotations

import json
import selectors
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.daemons.launcher_server import (
    CONNECTIONS_MAX,
    RECEIVED_BYTES_MAX,
    Connection,
    LauncherServer,
)
from heronshim.core.io.launcher_protocol import (
    LINE_BYTES_MAX,
    Order,
    Reply,
    Request,
    request_from_line,
    request_to_line,
)
from heronshim.errors import RemoteProtocolError

STATUS = Request("a", Order.STATUS)


class Launcher:
    """A server whose owner answers STATUS and lets KILL wait."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.selector = selectors.DefaultSelector()
        self.server = LauncherServer(path, self.selector)
        self.clients: list[socket.socket] = []
        self.requests: list[Request] = []

    def turn(self) -> None:
        """Handle what is ready until nothing is."""
        while ready := self.selector.select(0):
            for key, _ in ready:
                if isinstance(key.data, Connection):
                    for request in self.server.serve(key.data):
                        self.requests.append(request)
                        if request.order is Order.STATUS:
                            self.server.send(key.data, Reply(request.id))
                else:
                    self.server.accept()

    def client(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(self.path))
        client.setblocking(False)
        self.clients.append(client)
        self.turn()
        return client

    def say(self, client: socket.socket, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[client.send(view) :]
            except BlockingIOError:
                self.turn()
        self.turn()

    def replies(self, client: socket.socket) -> list[dict[str, Any]]:
        data = b""
        while True:
            self.turn()
            try:
                part = client.recv(1 << 16)
            except (BlockingIOError, ConnectionError):
                break
            if not part:
                break
            data += part
        return [json.loads(line) for line in data.splitlines()]

    def is_closed(self, client: socket.socket) -> bool:
        try:
            return client.recv(1 << 16) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    def works(self) -> bool:
        """Return whether a well-behaved client is answered."""
        good = self.client()
        self.say(good, request_to_line(STATUS))
        answers = self.replies(good)
        good.close()
        self.turn()
        return [answer["ok"] for answer in answers] == [True]


@pytest.fixture
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    made = Launcher(tmp_path_factory.mktemp("l") / "s")
    yield made
    for client in made.clients:
        client.close()
    made.server.close()
    made.selector.close()


def test_many_idle_clients_keep_no_order_out(launcher: Launcher) -> None:
    idle = [launcher.client() for _ in range(3 * CONNECTIONS_MAX)]
    assert launcher.works()
    closed = [launcher.is_closed(client) for client in idle]
    # The oldest went; as many as allowed are still there, less the one that made room.
    assert closed == [True] * (2 * CONNECTIONS_MAX + 1) + [False] * (CONNECTIONS_MAX - 1)


def test_who_waits_for_an_answer_is_not_ended_for_others(launcher: Launcher) -> None:
    killer = launcher.client()
    launcher.say(killer, request_to_line(Request("k", Order.KILL)))
    for _ in range(2 * CONNECTIONS_MAX):
        launcher.client()
    assert not launcher.is_closed(killer)
    assert launcher.works()


def test_half_requests_of_many_clients_hold_bounded_memory(launcher: Launcher) -> None:
    part = b"x" * (RECEIVED_BYTES_MAX // 8)
    clients = [launcher.client() for _ in range(12)]
    for client in clients:
        try:
            launcher.say(client, part)
        except ConnectionError:
            continue
    held = sum(len(one.received) for one in launcher.server._connections)
    assert held <= RECEIVED_BYTES_MAX
    assert launcher.works()


def test_request_without_end_is_cut_off_with_an_error(launcher: Launcher) -> None:
    client = launcher.client()
    with pytest.raises(ConnectionError):
        launcher.say(client, b"x" * (LINE_BYTES_MAX + (1 << 20)))
    assert launcher.works()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "request is no JSON"),
        (b"\xff\xfe\x00", "request is no JSON"),
        (b"GET / HTTP/1.1\r", "request is no JSON"),
        (b"[" * 100_000, "request is no JSON: maximum recursion depth"),
        (b"{}", 'field "order" is missing'),
        (b'{"' + b"k" * 1_000_000 + b'":1}', "unknown field"),
        (b'{"id":"a","order":"status","plans":%s}' % (b"[" * 800 + b"]" * 800), "launch"),
        (b'{"id":"a","order":"start_master","launch":{"work_dir":"x"}}', "request."),
        (b'{"id":"a","order":"' + b"s" * 1_000_000 + b'"}', "there is no order"),
        (b'{"id":1e999,"order":"status","launch":null,"plans":[],"ids":[]}', "request.id"),
        (b'{"id":"","order":"status","launch":null,"plans":[],"ids":[]}', "request.id"),
        (b'{"id":"a","order":"remove_containers","launch":null,"plans":[],"ids":[-1]}', "ids"),
        (b'{"id":"a","order":"status","launch":null,"plans":[],"ids":%s}'
         % (b"[" * 800 + b"]" * 800), "ids"),
    ],
    ids=range(13),
)  # fmt: skip
def test_bad_line_is_answered_shortly(launcher: Launcher, line: bytes, message: str) -> None:
    client = launcher.client()
    launcher.say(client, line + b"\n")
    (answer,) = launcher.replies(client)
    assert answer["ok"] is False
    assert message in answer["message"]
    assert len(answer["message"]) < 1000
    assert launcher.works()


def test_every_cut_of_a_good_line_is_refused_and_the_next_line_is_read(launcher: Launcher) -> None:
    good = request_to_line(STATUS)
    client = launcher.client()
    for length in range(len(good) - 1):
        launcher.say(client, good[:length] + b"\n")
        (answer,) = launcher.replies(client)
        assert answer["ok"] is False
    launcher.say(client, good)
    assert [answer["ok"] for answer in launcher.replies(client)] == [True]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_any_json_is_a_request_or_refused(value: Any) -> None:
    names = ("id", "order", "launch", "plans", "ids")
    for shaped in (value, dict.fromkeys(names, value), {"id": "a", "order": "status",
                                                        "launch": value, "plans": [value],
                                                        "ids": [value]}):  # fmt: skip
        refusal = ""
        try:
            request_from_line(json.dumps(shaped).encode())
        except RemoteProtocolError as error:
            refusal = str(error)
        assert len(refusal) < 1000
