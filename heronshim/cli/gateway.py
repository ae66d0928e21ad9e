"""A Nimbus gateway inside this process."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heronshim.cli.nimbus_cluster import EngineCluster
from heronshim.errors import StateError
from heronshim.storm.nimbus import Nimbus
from heronshim.storm.server import NimbusServer, ServerLimits
from heronshim.storm.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

HOST = "127.0.0.1"
FOLDER = "nimbus"
"""Below HERONSHIM_HOME: jars on their way in."""
ROOT_USER = 0


@dataclass(frozen=True, slots=True)
class Gateway:
    """One that listens."""

    host: str
    port: int


@asynccontextmanager
async def gateway(
    folder: Path,
    host: str,
    port: int,
    advertise: str,
    limits: ServerLimits,
    on_submit: Callable[[str], object] = lambda _: None,
) -> AsyncIterator[Gateway]:
    """Listen until the end of the block; then finish what has begun.

    `folder` is for jars on their way in, and nobody else's. `on_submit` is told each name, in a
    thread.

    Raises:
        StateError: the folder or the address cannot be used.
    """
    with usable(folder):
        uploads = Uploads(folder)
    nimbus = Nimbus(EngineCluster(), uploads, advertise, port, on_submit)
    server = NimbusServer(nimbus, limits)
    try:
        address, nimbus.port = await server.start(host, port)
    except OSError as error:
        msg = f"{host}:{port} cannot be used: {error.strerror or error}; choose another --port"
        raise StateError(msg) from error
    try:
        yield Gateway(address, nimbus.port)
    finally:
        await server.close()
        await asyncio.to_thread(nimbus.close)
        uploads.close()


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Turn an OSError into a StateError about a folder."""
    try:
        yield
    except OSError as error:
        msg = f"{folder} cannot be used: {error.strerror}; check rights and space"
        raise StateError(msg) from error


def own_users() -> frozenset[int]:
    """Return who may use a gateway that is not told otherwise: this user, and who can do all."""
    return frozenset({os.getuid(), ROOT_USER})


def advertised(host: str) -> str:
    """Return what clients connect to: the address, or this host's name where it means all."""
    try:
        return socket.gethostname() if ipaddress.ip_address(host).is_unspecified else host
    except ValueError:
        return host


def is_loopback(host: str) -> bool:
    """Return whether only this host can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
