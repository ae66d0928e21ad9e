"""Whatever comes to the Nimbus gateway's port, it answers or hangs up, and serves the others."""

from __future__ import annotations

import os
import random
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from thrift.Thrift import TApplicationException

from heronshim.storm.thrift_codec import call_to_bytes
from tests.input.nimbus_client import METHODS, Gateway, NimbusClient
from tests.unit.storm.structures import common, storm_topology

pytestmark = pytest.mark.system
GROWTH_BYTES_MAX = 256 << 20
FRAME_BYTES = 1 << 20
CALL = call_to_bytes(
    METHODS["submitTopology"],
    {
        "name": "words",
        "uploadedJarLocation": "nowhere",
        "jsonConf": '{"topology.workers":2}',
        "topology": storm_topology(
            {"spout": common(hint=2, conf="{}")},
            {"count": common(("spout", "default", {"fields": ["word"]}))},
        ),
    },
    7,
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    # A shell's usual limit, or less: the gateway raises its own.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        made = Gateway(tmp_path_factory.mktemp("nimbus") / "home")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    yield made
    assert made.close() == 0, made.log.read_text()


@pytest.fixture(autouse=True)
def undisturbed(gateway: Gateway) -> Iterator[None]:
    """Beside each attack a client stays connected and is served, and the gateway does not grow."""
    before = gateway.resident_bytes()
    with gateway.client() as bystander:
        assert bystander.call("isTopologyNameAllowed", name="a")["success"] is True
        yield
        assert bystander.call("isTopologyNameAllowed", name="a/b")["success"] is False
    assert gateway.works()
    assert gateway.resident_bytes() - before < GROWTH_BYTES_MAX


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">i", 0),
        struct.pack(">i", -1),
        struct.pack(">i", 0x7FFFFFFF),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"\x00\x00\x00\x06" + b"\x82\x21\x01\x03ab",
        b"\x00\x00\x00\x08" + bytes(8),
        b"\x01\x00\x00\x00\x05PLAIN",
        b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f",
    ],
    ids=["zero", "negative", "huge", "http", "tls", "compact", "nulls", "sasl", "zmtp"],
)
def test_what_is_no_frame_ends_its_connection(gateway: Gateway, data: bytes) -> None:
    with gateway.client() as client:
        client.socket.sendall(data)
        assert client.is_closed()


def test_a_frame_over_the_limit_is_answered_and_the_connection_goes_on(gateway: Gateway) -> None:
    arguments = {"location": "x", "chunk": bytes(FRAME_BYTES)}
    with gateway.client() as client:
        with pytest.raises(TApplicationException, match="at most 1048576 are taken, see heronshim"):
            client.call("uploadChunk", **arguments)
        assert client.call("getLeader")["success"]["port"] == gateway.port


@pytest.mark.parametrize("part", range(20))
def test_messages_cut_anywhere(gateway: Gateway, part: int) -> None:
    """Each length once: whole frames that hold a part of a message."""
    with gateway.client() as client:
        for length in range(1 + part, len(CALL), 20):
            try:
                client.send(CALL[:length])
                with pytest.raises(TApplicationException, match="ends inside it"):
                    client.reply()
            except (EOFError, ConnectionError):
                # Without a head nobody knows what to answer to.
                assert length < 30
                client.connect_again()


def test_connections_cut_anywhere(gateway: Gateway) -> None:
    frame = struct.pack(">i", len(CALL)) + CALL
    for length in range(len(frame)):
        with gateway.client() as client:
            client.socket.sendall(frame[:length])


def test_changed_bytes(gateway: Gateway) -> None:
    chance = random.Random(5)
    with gateway.client() as client:
        for _ in range(300):
            changed = bytearray(CALL)
            for _ in range(chance.randint(1, 3)):
                changed[chance.randrange(len(CALL))] = chance.randrange(256)
            try:
                client.send(bytes(changed))
                client.reply()
            except TApplicationException:
                pass
            except (EOFError, ConnectionError):
                client.connect_again()


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("getLeader", b"\x0c\x00\x09" * 300_000, "more than 64 structures"),
        ("getLeader", b"\x0f\x00\x09\x0a\x7f\xff\xff\xff\x00", "Length exceeded|ends inside it"),
        ("getLeader", b"\x0f\x00\x09\x0c" + struct.pack(">i", 900_000) + bytes(900_000), "ends in"),
        ("getTopologyInfo", b"\x0b\x00\x01\x00\x00\x00\x01\xff\x00", "is not UTF-8"),
        ("getTopologyInfo", b"\x00", "getTopologyInfo.id is missing"),
        ("getTopologyInfo", b"\x08\x00\x01\x00\x00\x00\x01\x00", "expected string"),
        ("nosuch", b"\x00", "Nimbus has no method 'nosuch'"),
        ("x" * 90_000, b"\x00", "Nimbus has no method"),
    ],
    ids=["depth", "count", "structs", "utf8", "missing", "type", "method", "name"],
)
def test_wrong_bodies_are_answered(gateway: Gateway, name: str, body: bytes, message: str) -> None:
    head = b"\x80\x01\x00\x01" + struct.pack(">i", len(name)) + name.encode() + bytes(4)
    with gateway.client() as client:
        client.send(head + body)
        with pytest.raises(TApplicationException, match=message):
            client.reply()
        assert client.call("getLeader")["success"]["host"] == "127.0.0.1"


def test_unserved_methods_answer_with_what_they_declare(gateway: Gateway) -> None:
    with gateway.client() as client:
        for name, method in METHODS.items():
            if method.is_served:
                continue
            if method.exception("AuthorizationException"):
                assert client.call(name)["denied"]["msg"] == f"heronshim does not serve {name}"
            else:
                with pytest.raises(TApplicationException, match=f"does not serve {name}"):
                    client.call(name)


def test_uploads_of_others_and_paths_are_not_taken(gateway: Gateway) -> None:
    with gateway.client() as client:
        location = client.call("beginFileUpload")["success"]
        for wrong in ("", "/etc/passwd", location + "/../x", location.upper()):
            with pytest.raises(TApplicationException, match="there is no upload"):
                client.call("uploadChunk", location=wrong, chunk=b"x")
        assert client.call("uploadChunk", location=location, chunk=b"x") == {}
        submit = {"name": "a", "jsonConf": "{}", "topology": storm_topology()}
        with pytest.raises(TApplicationException, match="is not finished"):
            client.call("submitTopology", uploadedJarLocation=location, **submit)
        assert client.call("finishFileUpload", location=location) == {}
    assert Path(location).parent == gateway.home / "nimbus"


def test_slow_senders_are_ended_and_cost_nobody_else(tmp_path: Path) -> None:
    """One byte at a time, and frames that never end: 200 of them, more than there are threads."""
    gateway = Gateway(tmp_path / "home", "--frame-wait", "1")
    try:
        slow = [gateway.client() for _ in range(200)]
        for client in slow:
            client.socket.sendall(struct.pack(">i", FRAME_BYTES) + b"\x80")
        assert gateway.works()
        trickling = gateway.client()
        frame = struct.pack(">i", len(CALL)) + CALL
        with suppress(ConnectionError):
            for position in range(len(frame)):
                trickling.socket.sendall(frame[position : position + 1])
                time.sleep(0.05)
        assert trickling.is_closed()
        assert all(client.is_closed() for client in slow)
        for client in [*slow, trickling]:
            client.socket.close()
        assert gateway.works()
    finally:
        assert gateway.close() == 0
    assert "kind=slow" in gateway.log.read_text()


def test_a_thousand_idle_connections(gateway: Gateway) -> None:
    """None of them has to make room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2000:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    idle = [NimbusClient(gateway.port) for _ in range(1000)]
    assert gateway.works()
    assert idle[0].call("getLeader")["success"]["isLeader"]
    assert idle[-1].call("getLeader")["success"]["isLeader"]
    for client in idle:
        client.socket.close()


def test_frames_that_never_end_are_bounded_together(gateway: Gateway) -> None:
    """80 senders of almost 1 MiB each: those that began first are ended."""
    part = struct.pack(">i", FRAME_BYTES) + bytes(FRAME_BYTES - 1)
    clients = []
    for _ in range(80):
        client = gateway.client()
        clients.append(client)
        try:
            client.socket.sendall(part)
        except ConnectionError:
            continue
    assert gateway.works()
    assert clients[0].is_closed()
    assert "kind=crowded_out" in gateway.log.read_text()
    for client in clients:
        client.socket.close()


def ask_on(client: NimbusClient, question: bytes) -> None:
    while True:
        client.send(question)


def test_a_reader_that_takes_no_answers_is_ended(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "home", "--frame-wait", "1")
    # The answer repeats the name.
    name = b"x" * 90_000
    question = b"\x80\x01\x00\x01" + struct.pack(">i", len(name)) + name + bytes(5)
    try:
        with gateway.client() as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with pytest.raises(ConnectionError):
                ask_on(client, question)
        assert gateway.works()
    finally:
        assert gateway.close() == 0
    assert "kind=slow" in gateway.log.read_text()


def started(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a gateway that may not start."""
    command = [sys.executable, "-m", "heronshim.cli.main", "nimbus", *options]
    environment = os.environ | {"HERONSHIM_HOME": str(home)}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--host", "0.0.0.0"), 2, "add --insecure in a network that you trust"),
        (("--host", "example.org"), 2, "add --insecure in a network that you trust"),
        (("--host", "127.0.0.1"), 4, "another gateway runs with this HERONSHIM_HOME"),
    ],
)
def test_a_gateway_that_may_not_start_says_why(
    gateway: Gateway, options: tuple[str, ...], code: int, message: str
) -> None:
    done = started(gateway.home, "--port", "0", *options)
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr


def test_a_port_that_is_taken_is_named(gateway: Gateway, tmp_path: Path) -> None:
    done = started(tmp_path / "home", "--port", str(gateway.port))
    assert done.returncode == 1
    assert f"127.0.0.1:{gateway.port} cannot be used" in done.stderr
    assert "choose another --port" in done.stderr


def test_a_file_in_the_place_of_its_folder_is_named(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "nimbus").touch()
    done = started(home, "--port", "0")
    assert done.returncode == 1
    assert f"{home}/nimbus cannot be used: File exists" in done.stderr
    assert "Traceback" not in done.stderr


def test_other_users_of_this_host_are_not_served(gateway: Gateway) -> None:
    """Needs root, to become somebody else."""
    question = call_to_bytes(METHODS["getLeader"], {}, 1)
    script = f"""
import os, socket
os.setresuid(65534, 65534, 65534)
connection = socket.create_connection(("127.0.0.1", {gateway.port}), 60)
try:
    connection.sendall({struct.pack(">i", len(question)) + question!r})
    answer = connection.recv(1)
except ConnectionError:
    answer = b""
assert answer == b"", answer
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    assert "kind=stranger" in gateway.log.read_text()
    assert "user 65534 is not who started the gateway" in gateway.log.read_text()
