"""What an engine process does with connections that speak no ZMTP, half of it, or nothing."""

from __future__ import annotations

import random
import socket
import struct
import time
from typing import Any

import pytest

from heronshim.core.codec.link import encode_hello
from heronshim.core.io.sockets import FRAME_BYTES_MAX
from heronshim.core.stream.frame import Kind
from tests.input.peers import DEADLINE_S, Daemon, head, hello_of
from tests.input.zmtp import COMMAND, GREETING, HANDSHAKE, LARGE, MORE, SIGNATURE, command, frame

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("undisturbed")]
DAEMON = "daemon"
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(200)
GARBAGE = {
    "nothing": b"",
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": TLS_HELLO,
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "zeros": bytes(1000),
    "ones": b"\xff" * 1000,
    "text": b"hello\n" * 100,
    "random": random.Random(1).randbytes(10_000),
    "ZMTP 1": b"\x01\x00",
    "ZMTP 2": SIGNATURE + b"\x01\x05\x00\x00",
    "ZMTP 9": SIGNATURE + b"\x09\x00" + GREETING[12:],
    "CURVE": GREETING.replace(b"NULL\0", b"CURVE"),
    "PLAIN": GREETING.replace(b"NULL\0", b"PLAIN"),
    "no mechanism": GREETING.replace(b"NULL", bytes(4)),
    "as server": GREETING[:32] + b"\1" + GREETING[33:],
    "READY cut": HANDSHAKE[:-5] + b"\xff",
    "READY of a REQ": GREETING + command(b"READY", b"\x0bSocket-Type\0\0\0\3REQ"),
    "READY of a property of 4 GB": GREETING + command(b"READY", b"\1x\xff\xff\xff\xff"),
    "READY of a name of 255": GREETING + command(b"READY", b"\xffx"),
    "no command": GREETING + frame(b"message before READY"),
    "ERROR": GREETING + command(b"ERROR", b"\xffno"),
    "unknown command": HANDSHAKE + command(b"DANCE", b"x" * 100),
    "command without a name": HANDSHAKE + frame(b"", COMMAND),
    "PING too short": HANDSHAKE + command(b"PING"),
    "PING too long": HANDSHAKE + command(b"PING", b"\0\1" + b"x" * 1000),
    "reserved flags": HANDSHAKE + b"\xf8\x01x",
    "frame of 2^63": HANDSHAKE + bytes([LARGE]) + b"\x80" + bytes(7),
    "frame of 2^64 - 1": HANDSHAKE + bytes([LARGE]) + b"\xff" * 8,
    "frame over the limit": HANDSHAKE
    + bytes([LARGE]) + struct.pack(">Q", FRAME_BYTES_MAX + 1) + b"x" * 1000,
    "frame never sent": HANDSHAKE + bytes([LARGE]) + struct.pack(">Q", FRAME_BYTES_MAX) + b"x",
    "parts never ended": HANDSHAKE + frame(b"x" * 200, MORE) * 1000,
    "frames of one byte": HANDSHAKE + frame(b"x") * 1000,
}  # fmt: skip


def say(connection: socket.socket, data: bytes) -> None:
    """Send as much as the other side takes before it ends the connection.

    A greeting is sent alone: libzmq 4.3.5 goes on only when what follows comes after its own.
    """
    try:
        if data.startswith(GREETING) and len(data) > len(GREETING):
            connection.sendall(GREETING)
            received = b""
            while len(received) < len(GREETING):
                received += connection.recv(len(GREETING) - len(received)) or bytes(64)
            data = data[len(GREETING) :]
        connection.sendall(data)
    except ConnectionError:
        return


def wait_until_closed(connection: socket.socket) -> None:
    """Read until the other side has ended the connection; fail at the deadline."""
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionError:
        return


def is_closed(connection: socket.socket) -> bool:
    """Send one part more; return whether the other side has ended the connection."""
    try:
        connection.sendall(frame(b"x", MORE))
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_disturbs_nobody_and_leaves_no_descriptor(daemon: Daemon, name: str) -> None:
    before = daemon.descriptors()
    connections = [daemon.raw() for _ in range(20)]
    for connection in connections:
        say(connection, GARBAGE[name])
    for connection in connections[10:]:
        connection.shutdown(socket.SHUT_WR)
        wait_until_closed(connection)
    for connection in connections:
        connection.close()
    daemon.peers.wait(lambda: daemon.descriptors() <= before, "the descriptors")


def test_handshake_cut_at_every_byte(daemon: Daemon) -> None:
    whole = (
        HANDSHAKE + frame(head(Kind.HELLO, 0), MORE) + frame(encode_hello(hello_of(daemon.rogue)))
    )
    before = daemon.descriptors()
    for length in range(len(whole) - 1):
        with daemon.raw() as connection:
            say(connection, whole[:length])
    daemon.peers.wait(lambda: daemon.descriptors() <= before, "the descriptors")


def test_handshake_flipped_at_every_byte(daemon: Daemon) -> None:
    whole = HANDSHAKE + frame(b"x")
    for at in range(len(whole)):
        with daemon.raw() as connection:
            say(connection, whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])


def test_a_handmade_peer_that_speaks_well_is_served(daemon: Daemon) -> None:
    """Shows that the attacks here are refused for what is wrong with them, and for nothing else."""
    daemon.attempts += 1
    hello = hello_of(daemon.rogue, attempt=daemon.attempts)
    end = time.monotonic() + DEADLINE_S
    with daemon.raw() as connection:
        say(connection, HANDSHAKE + frame(head(Kind.HELLO, 0), MORE) + frame(encode_hello(hello)))
        received = b""
        while head(Kind.HELLO_ACK) not in received:
            received += connection.recv(1 << 16)
            assert time.monotonic() < end


def test_a_thousand_idle_connections_are_closed_and_their_descriptors_come_back(
    daemon: Daemon,
) -> None:
    before, exchanged = daemon.descriptors(), daemon.peers.done
    mute = [daemon.raw() for _ in range(500)]
    greeted = [daemon.raw() for _ in range(450)]
    for connection in greeted:
        say(connection, HANDSHAKE)
    zmq_peers = [daemon.peer() for _ in range(50)]
    # Slow ones: a byte now and then, of the greeting or of a frame.
    slow = [daemon.raw() for _ in range(4)]
    for connection in slow[:2]:
        say(connection, HANDSHAKE)
    attempts = 0
    end = time.monotonic() + DEADLINE_S
    while daemon.descriptors() > before:
        assert time.monotonic() < end, f"{daemon.descriptors() - before} descriptors are left"
        for connection in slow:
            say(connection, GREETING[attempts % 64 : attempts % 64 + 1])
        attempts += 1
        # Meanwhile a peer that says hello is served at once.
        assert daemon.attack(daemon.rogue) is None
        time.sleep(0.2)
    assert daemon.peers.done > exchanged
    for connection in (*mute, *greeted, *slow):
        wait_until_closed(connection)
        connection.close()
    for peer in zmq_peers:
        peer.close(0)
    closed: Any = daemon.peers.sums.get
    daemon.peers.wait(lambda: closed("closed_connection_count", 0) >= 450, "the count of closed")


def test_parts_without_end_are_bounded_by_the_time_for_a_hello(daemon: Daemon) -> None:
    """libzmq keeps the parts of a message until its last: the connection is closed meanwhile."""
    connection = daemon.raw()
    say(connection, HANDSHAKE)
    part = frame(bytes(1 << 20), MORE)
    for _ in range(100):
        say(connection, part)
    end = time.monotonic() + DEADLINE_S
    while not is_closed(connection):
        assert time.monotonic() < end
        # Slower than memory matters, and for ever if nobody ended it.
        time.sleep(0.5)
    connection.close()
