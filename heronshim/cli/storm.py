"""Verb storm: what Storm's own program does, for those who have no Storm."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from heronshim.cli.engine import Engine
from heronshim.cli.gateway import FOLDER, HOST, gateway, own_users, usable
from heronshim.cli.home import home_folder
from heronshim.cli.lifecycle import activate, deactivate
from heronshim.cli.names import NameArgument
from heronshim.cli.nimbus_cluster import EngineCluster
from heronshim.cli.output import (
    JsonOption,
    Output,
    OutputOption,
    note,
    print_json,
    print_line,
    print_table,
    wants_json,
)
from heronshim.cli.progress import Steps, interrupt_on_signals
from heronshim.cli.removal import remove_topology
from heronshim.core.plugins.java_command import java_program
from heronshim.errors import ConfigError, HeronshimError
from heronshim.storm.answers import topology_summary
from heronshim.storm.client_jars import client_jars, fetch_client_jars
from heronshim.storm.server import ServerLimits

if TYPE_CHECKING:
    from collections.abc import Sequence

JVM_OPTIONS = (
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
)
"""What Storm's client needs of Java 17."""
END_WAIT_S = 10.0
"""From a signal that main was given to its end."""
COLUMNS = ("Topology_name", "Status", "Num_tasks", "Num_workers", "Uptime_secs", "Owner")
JarArgument = Annotated[
    Path, typer.Argument(metavar="JAR", exists=True, dir_okay=False, help="The author's jar.")
]
MainArgument = Annotated[str, typer.Argument(metavar="CLASS", help="The class whose main submits.")]
ArgumentsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[ARGUMENT]...", help="Given to main.")
]
ConfigOption = Annotated[
    list[str] | None, typer.Option("-c", metavar="KEY=VALUE", help="Storm configuration.")
]
app = typer.Typer(rich_markup_mode=None, help="Do what Storm's own program does.")
app.command("activate")(activate)
app.command("deactivate")(deactivate)


@app.command("list")
def list_topologies(output: OutputOption = Output.TABLE, json: JsonOption = False) -> None:
    """List topologies with Storm's columns."""
    cluster, now_s = EngineCluster(), int(time.time())
    found = []
    for name in cluster.names():
        try:
            found.append(topology_summary(cluster.facts(name), now_s, dying=False))
        except HeronshimError as error:
            note(f"warning: {error}")
    if wants_json(output, json):
        print_json({"topologies": found})
    elif not found:
        print_line("No topologies running.")
    else:
        keys = ("name", "status", "num_tasks", "num_workers", "uptime_secs", "owner")
        print_table(COLUMNS, [[item[key] for key in keys] for item in found])


@app.command("kill")
def kill(
    topology: NameArgument,
    wait: Annotated[
        float | None,
        typer.Option("-w", min=0, help="Seconds to wait at most; by default the message timeout."),
    ] = None,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Stop the spouts of a topology, wait for open tuple trees, and remove it; asks nothing."""
    as_json = wants_json(output, json)
    with Engine.open() as engine:
        drained = remove_topology(engine, topology, Steps(quiet=as_json), wait)
    if as_json:
        print_json({"topology": topology, "killed": True, "drained": drained})
    else:
        print_line(f"Killed topology: {topology}")


@app.command(
    "jar",
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
)
def jar(
    jar: JarArgument,
    main: MainArgument,
    arguments: ArgumentsArgument = None,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Run the main of an unmodified jar, whose StormSubmitter then submits to heronshim."""
    as_json = wants_json(output, json)
    java = java_program()
    options = [storm_option(item) for item in config or ()]
    interrupt_on_signals()
    with Steps(quiet=as_json).step("storm-client") as say:
        say("all jars are there" if not fetch_client_jars(say) else "fetched")
    with tempfile.TemporaryDirectory(prefix="jar-", dir=private_folder()) as name:
        command = [java, *JVM_OPTIONS, f"-Dstorm.jar={jar.resolve()}"]
        command += [f"-Dstorm.options={','.join(options)}"] if options else []
        paths = [*client_jars(), jar.resolve(), Path(name)]
        command += ["-cp", ":".join(map(str, paths)), main, *(arguments or ())]
        code, submitted = asyncio.run(_run(command, Path(name), as_json))
    if as_json:
        print_json({"exit_code": code, "submitted": submitted})
    raise typer.Exit(code)


async def _run(command: Sequence[str], folder: Path, as_json: bool) -> tuple[int, list[str]]:
    """Run main beside a gateway; return its exit code and the names that were submitted."""
    limits = ServerLimits(users=own_users())
    submitted: list[str] = []
    async with gateway(folder / "uploads", HOST, 0, HOST, limits, submitted.append) as served:
        settings = f'nimbus.seeds: ["{served.host}"]\nnimbus.thrift.port: {served.port}\n'
        (folder / "storm.yaml").write_text(settings)
        # JSON stays alone on standard output.
        process = await asyncio.create_subprocess_exec(*command, stdout=2 if as_json else None)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, _pass_on, process, number)
        code = await process.wait()
    # A shell's number for an end by a signal.
    return (code if code >= 0 else 128 - code), submitted


def _pass_on(process: asyncio.subprocess.Process, number: int) -> None:
    """Let main end as it would without us; a main that does not is killed."""
    with suppress(ProcessLookupError):
        process.send_signal(number)
    asyncio.get_running_loop().call_later(END_WAIT_S, _kill, process)


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()


def storm_option(text: str) -> str:
    """Return KEY=VALUE as Storm's client reads it from the property storm.options."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        msg = f"-c {text}: expected KEY=VALUE, such as topology.workers=2"
        raise ConfigError(msg)
    return f"{quote(key, safe='')}={quote(value, safe='')}"


def private_folder() -> Path:
    """Return the folder of what runs for one command only."""
    folder = home_folder() / FOLDER
    with usable(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder
