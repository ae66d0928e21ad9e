"""The gateway's server holds its limits: bytes, connections, idle time; calls do not block others.

What it calls is a double here, so that a call can last as long as a test wants.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from thrift.Thrift import TApplicationException

from heronshim.errors import NotFoundError
from heronshim.storm.errors import AlreadyAliveError, InvalidTopologyError
from heronshim.storm.server import NimbusServer, ServerLimits
from heronshim.storm.thrift_codec import call_to_bytes
from tests.input.nimbus_client import DEADLINE_S, METHODS, NimbusClient
from tests.unit.storm.structures import storm_topology

MIB = 1 << 20
CHUNK = bytes(MIB - 200)


class Slow:
    """Uploads and submits last until `end` is set."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        """The server's."""
        self.end = threading.Event()
        self.begun = threading.Semaphore(0)

    def call(self, method: str, arguments: dict[str, Any]) -> Any:
        if method in ("uploadChunk", "submitTopology", "getTopologyInfoByName"):
            self.begun.release()
            assert self.end.wait(DEADLINE_S)
            return None
        if method == "killTopology":
            raise AlreadyAliveError("declared elsewhere")
        if method == "activate":
            raise NotFoundError("not there")
        if method == "deactivate":
            raise ZeroDivisionError
        if method == "rebalance":
            raise InvalidTopologyError("no")
        return arguments["name"] == "a"


@contextmanager
def serving(limits: ServerLimits) -> Iterator[tuple[Slow, NimbusServer, int]]:
    """Run a server in a thread."""
    loop = asyncio.new_event_loop()
    nimbus = Slow(loop)
    server = NimbusServer(nimbus, limits)  # type: ignore[arg-type]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        _, port = asyncio.run_coroutine_threadsafe(server.start("127.0.0.1", 0), loop).result()
        yield nimbus, server, port
    finally:
        nimbus.end.set()
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(DEADLINE_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def call(method: str, **arguments: Any) -> bytes:
    return call_to_bytes(METHODS[method], arguments, 1)


def asked(client: NimbusClient) -> bool:
    found: bool = client.call("isTopologyNameAllowed", name="a")["success"]
    return found


def long_calls(nimbus: Slow, port: int, count: int) -> list[NimbusClient]:
    """Submits and questions from so many clients; 8 have begun, which is all that can at once."""
    clients = [NimbusClient(port) for _ in range(count)]
    submit = {"name": "a", "uploadedJarLocation": "x", "jsonConf": ""}
    for number, client in enumerate(clients):
        if number % 2:
            client.send(call("submitTopology", **submit, topology=storm_topology()))
        else:
            client.send(call("getTopologyInfoByName", name="a"))
    for _ in range(8):
        assert nimbus.begun.acquire(timeout=DEADLINE_S)
    return clients


def test_frames_of_calls_that_last_are_bounded_too() -> None:
    with serving(ServerLimits(buffered_bytes=3 * MIB)) as (nimbus, server, port):
        clients = [NimbusClient(port) for _ in range(4)]
        for client in clients[:3]:
            client.send(call("uploadChunk", location="x", chunk=CHUNK))
            assert nimbus.begun.acquire(timeout=DEADLINE_S)
        # Whole frames are not given up; the one that arrives is.
        with suppress(ConnectionError):
            clients[3].send(call("uploadChunk", location="x", chunk=CHUNK))
        assert clients[3].is_closed()
        assert server.counts["crowded_out"] == 1
        nimbus.end.set()
        assert [client.reply() for client in clients[:3]] == [{}] * 3
        clients[3].connect_again()
        assert clients[3].call("uploadChunk", location="x", chunk=CHUNK) == {}
        for client in clients:
            client.socket.close()


def test_calls_that_wait_for_others_hold_no_chunk_and_no_question() -> None:
    with serving(ServerLimits()) as (nimbus, _, port):
        waiting = long_calls(nimbus, port, 20)
        with NimbusClient(port) as client:
            assert asked(client)
        for client in waiting:
            client.socket.close()


def test_the_connection_that_was_idle_longest_makes_room() -> None:
    with serving(ServerLimits(connections=8)) as (_, server, port):
        clients = [NimbusClient(port) for _ in range(8)]
        for client in (*clients, clients[0]):
            assert asked(client)
        clients.append(NimbusClient(port))
        assert asked(clients[-1])
        assert clients[1].is_closed()
        assert asked(clients[0])
        assert server.counts["crowded_out"] == 1
        for client in clients:
            client.socket.close()


def test_there_is_no_room_while_all_are_busy() -> None:
    with serving(ServerLimits(connections=8)) as (nimbus, server, port):
        busy = long_calls(nimbus, port, 8)
        with NimbusClient(port) as one_more:
            assert one_more.is_closed()
        assert server.counts["crowded_out"] == 1
        nimbus.end.set()
        for client in busy:
            with suppress(TApplicationException):
                client.reply()
            client.socket.close()


def test_a_call_that_runs_at_the_end_is_answered_and_the_last_of_its_connection() -> None:
    with serving(ServerLimits()) as (nimbus, server, port), NimbusClient(port) as client:
        client.send(call("uploadChunk", location="x", chunk=b"x"))
        assert nimbus.begun.acquire(timeout=DEADLINE_S)
        loop = nimbus.loop
        end = asyncio.run_coroutine_threadsafe(server.close(), loop)
        # Once this is done, so is all of `close` that does not wait.
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(DEADLINE_S)
        nimbus.end.set()
        assert client.reply() == {}
        assert client.is_closed()
        end.result(DEADLINE_S)


def test_an_idle_connection_ends_without_a_word() -> None:
    with serving(ServerLimits(idle_s=0.2)) as (_, server, port), NimbusClient(port) as client:
        assert asked(client)
        assert client.is_closed()
        assert server.counts["slow"] == 0


def test_a_call_without_an_answer() -> None:
    """One-way calls get none; the next call's answer is the next."""
    with serving(ServerLimits()) as (_, _, port), NimbusClient(port) as client:
        message = bytearray(call("isTopologyNameAllowed", name="b"))
        message[3] = 4
        client.send(bytes(message))
        assert asked(client)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("killTopology", "declared elsewhere"),
        ("activate", "not there"),
        ("deactivate", "unexpected error, please report it: ZeroDivisionError"),
    ],
)
def test_what_no_declared_exception_fits_is_answered(method: str, message: str) -> None:
    with serving(ServerLimits()) as (_, _, port), NimbusClient(port) as client:
        with pytest.raises(TApplicationException, match=message):
            client.call(method, name="a")
        assert asked(client)


def test_declared_exceptions_are_answered_as_such() -> None:
    with serving(ServerLimits()) as (_, _, port), NimbusClient(port) as client:
        assert client.call("rebalance", name="a", options={}) == {"invalid": {"msg": "no"}}
