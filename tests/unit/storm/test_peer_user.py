"""The kernel's table says who opened a connection, whatever family of socket it used."""

from __future__ import annotations

import os
import socket

import pytest

from heronshim.storm.peer_user import peer_user


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
        client.connect((host, server.getsockname()[1]))
        accepted, _ = server.accept()
        with accepted:
            own, peer = accepted.getsockname()[:2], accepted.getpeername()[:2]
            assert peer_user(listening, own, peer) == os.getuid()
            assert peer_user(listening, own, (peer[0], 1)) is None
