"""The kernel's table says who opened a connection, whatever family of socket it used."""

from __future__ import annotations

import os
import socket

import pytest

from heronshim.storm.peer_user import peer_user

SOMEBODY = 65534 if os.getuid() == 0 else os.getuid()
"""A user other than root, whose number many columns of the table hold."""


def give_away(client: socket.socket) -> None:
    """Make a socket SOMEBODY's."""
    os.fchown(client.fileno(), SOMEBODY, -1)


@pytest.mark.parametrize(
    ("listening", "connecting", "host"),
    [
        (socket.AF_INET, socket.AF_INET, "127.0.0.1"),
        (socket.AF_INET, socket.AF_INET6, "::ffff:127.0.0.1"),
        (socket.AF_INET6, socket.AF_INET6, "::1"),
    ],
)
def test_the_user_of_a_connection(listening: int, connecting: int, host: str) -> None:
    with socket.socket(listening) as server, socket.socket(connecting) as client:
        server.bind(("::1" if listening == socket.AF_INET6 else "127.0.0.1", 0))
        server.listen()
        give_away(client)
        client.connect((host, server.getsockname()[1]))
        accepted, _ = server.accept()
        with accepted:
            own, peer = accepted.getsockname()[:2], accepted.getpeername()[:2]
            assert peer_user(listening, own, peer) == SOMEBODY
            assert peer_user(listening, own, (peer[0], 1)) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_whoever_closed_before_being_looked_up_is_nobody(host: str) -> None:
    """The kernel shows no owner then, or root; the bytes that were sent can still be read."""
    family = socket.AF_INET6 if host == "::1" else socket.AF_INET
    with socket.socket(family) as server:
        server.bind((host, 0))
        server.listen()
        with socket.socket(family) as client:
            give_away(client)
            client.connect(server.getsockname())
            client.sendall(b"x")
        accepted, peer = server.accept()
        with accepted:
            own = accepted.getsockname()[:2]
            # FIN_WAIT, then TIME_WAIT once this end is closed too.
            assert peer_user(family, own, peer[:2]) is None
            assert accepted.recv(2) == b"x"
        assert peer_user(family, own, peer[:2]) is None
