"""Verb nimbus."""

from __future__ import annotations

import asyncio
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from heronshim.cli.engine import Engine
from heronshim.cli.gateway import (
    FOLDER,
    HOST,
    advertised,
    gateway,
    is_loopback,
    own_users,
    usable,
)
from heronshim.cli.home import home_folder
from heronshim.cli.output import (
    JsonOption,
    Output,
    OutputOption,
    note,
    print_json,
    print_line,
    wants_json,
)
from heronshim.core.io.connections import allow_many_connections
from heronshim.core.io.file_lock import file_lock
from heronshim.errors import ConfigError, DeadlineError, RefusedError
from heronshim.storm.server import FRAME_BYTES_MAX, FRAME_WAIT_S, ServerLimits

if TYPE_CHECKING:
    from pathlib import Path

PORT = 6627
"""Storm's nimbus.thrift.port."""
ADVERTISE_HELP = (
    "Host that clients are told; by default --host, this machine's name if that is all addresses."
)
app = typer.Typer(rich_markup_mode=None)


@app.command("nimbus")
def nimbus(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = HOST,
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, help="Port; 0 takes a free one.")
    ] = PORT,
    advertise: Annotated[str, typer.Option("--advertise", help=ADVERTISE_HELP)] = "",
    frame_bytes: Annotated[
        int, typer.Option("--frame-bytes", min=1024, max=1 << 26, help="Largest message taken.")
    ] = FRAME_BYTES_MAX,
    frame_wait: Annotated[
        float, typer.Option("--frame-wait", min=0.1, help="Seconds that one message may take.")
    ] = FRAME_WAIT_S,
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="Serve everybody who reaches the address: nobody logs in."),
    ] = False,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Serve Storm's clients as Nimbus does, until SIGTERM or Ctrl-C; the log goes to stderr."""
    if not insecure and not is_loopback(host):
        msg = f"--host {host}: whoever reaches it may run code as you, as nobody logs in; listen "
        raise ConfigError(msg + f"on {HOST}, or add --insecure in a network that you trust")
    folder = home_folder() / FOLDER
    # Wrong settings show now, not at the first submit.
    with Engine.open() as engine:
        engine.uploader()
    as_json = wants_json(output, json)
    limits = ServerLimits(
        frame_bytes=frame_bytes,
        frame_wait_s=frame_wait,
        users=None if insecure else own_users(),
    )
    with ExitStack() as lock:
        try:
            with usable(folder):
                lock.enter_context(file_lock(folder / "lock", 0.0))
        except DeadlineError as error:
            msg = f"another gateway runs with this HERONSHIM_HOME ({folder.parent})"
            raise RefusedError(msg) from error
        allow_many_connections()
        told = advertise or advertised(host)
        asyncio.run(_serve(folder, host, port, told, limits, as_json))


async def _serve(
    folder: Path, host: str, port: int, advertise: str, limits: ServerLimits, as_json: bool
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with gateway(folder, host, port, advertise, limits) as served:
        if as_json:
            print_json({"host": served.host, "port": served.port})
        else:
            print_line(f"Nimbus gateway listens on {served.host}:{served.port}")
        if limits.users is None:
            note("warning: --insecure: whoever reaches this address may run code as this user")
        await stop.wait()
