"""Verb nimbus."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from heronshim.cli.engine import Engine
from heronshim.cli.home import home_folder
from heronshim.cli.nimbus_cluster import EngineCluster
from heronshim.cli.output import (
    JsonOption,
    Output,
    OutputOption,
    note,
    print_json,
    print_line,
    wants_json,
)
from heronshim.core.io.file_lock import file_lock
from heronshim.errors import ConfigError, DeadlineError, RefusedError, StateError
from heronshim.storm.nimbus import Nimbus
from heronshim.storm.server import FRAME_BYTES_MAX, FRAME_WAIT_S, NimbusServer, ServerLimits
from heronshim.storm.uploads import Uploads

if TYPE_CHECKING:
    from pathlib import Path

HOST = "127.0.0.1"
PORT = 6627
"""Storm's nimbus.thrift.port."""
FOLDER = "nimbus"
"""Below HERONSHIM_HOME: jars on their way in."""
app = typer.Typer(rich_markup_mode=None)


@app.command("nimbus")
def nimbus(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = HOST,
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, help="Port; 0 takes a free one.")
    ] = PORT,
    advertise: Annotated[
        str, typer.Option("--advertise", help="Host name that clients are told; by default --host.")
    ] = "",
    frame_bytes: Annotated[
        int, typer.Option("--frame-bytes", min=1024, max=1 << 26, help="Largest message taken.")
    ] = FRAME_BYTES_MAX,
    frame_wait: Annotated[
        float, typer.Option("--frame-wait", min=0.1, help="Seconds that one message may take.")
    ] = FRAME_WAIT_S,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", help="Listen on an address that other hosts reach, without login."
        ),
    ] = False,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Serve Storm's clients as Nimbus does, until SIGTERM or Ctrl-C; the log goes to stderr."""
    if not insecure and not _is_loopback(host):
        msg = f"--host {host}: whoever reaches it may run code as you, as nobody logs in; listen "
        raise ConfigError(msg + f"on {HOST}, or add --insecure in a network that you trust")
    folder = home_folder() / FOLDER
    # Wrong settings show now, not at the first submit.
    with Engine.open() as engine:
        engine.uploader()
    as_json = wants_json(output, json)
    try:
        with file_lock(folder / "lock", 0.0):
            limits = ServerLimits(frame_bytes=frame_bytes, frame_wait_s=frame_wait)
            asyncio.run(_serve(folder, host, port, advertise or host, limits, as_json))
    except DeadlineError as error:
        msg = f"another gateway runs with this HERONSHIM_HOME ({folder.parent})"
        raise RefusedError(msg) from error


async def _serve(
    folder: Path, host: str, port: int, advertise: str, limits: ServerLimits, as_json: bool
) -> None:
    try:
        uploads = Uploads(folder)
    except OSError as error:
        msg = f"{folder} cannot be used: {error.strerror}; check rights and space"
        raise StateError(msg) from error
    served = Nimbus(EngineCluster(), uploads, advertise, port)
    server = NimbusServer(served, limits)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        address, served.port = await server.start(host, port)
    except OSError as error:
        msg = f"{host}:{port} cannot be used: {error.strerror or error}; choose another --port"
        raise StateError(msg) from error
    if as_json:
        print_json({"host": address, "port": served.port})
    else:
        print_line(f"Nimbus gateway listens on {address}:{served.port}")
    if not _is_loopback(address):
        note("warning: --insecure: whoever reaches this address may run code as this user")
    await stop.wait()
    await server.close()
    await asyncio.to_thread(served.close)
    uploads.close()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
