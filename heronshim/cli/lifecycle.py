"""Verbs activate, deactivate, restart and kill."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from heronshim.cli.engine import Engine
from heronshim.cli.master import ask
from heronshim.cli.names import NameArgument
from heronshim.cli.output import (
    JsonOption,
    Output,
    OutputOption,
    YesOption,
    confirm,
    print_json,
    print_line,
    wants_json,
)
from heronshim.cli.progress import Steps
from heronshim.cli.removal import remove_topology
from heronshim.cli.submission import wait_until_running
from heronshim.core.master.messages import ALL_CONTAINERS, CommandKind
from heronshim.errors import DeadlineError, NotFoundError

if TYPE_CHECKING:
    from heronshim.cli.engine import Running

START_TIMEOUT_S = 60.0
POLL_S = 0.05
app = typer.Typer(rich_markup_mode=None)


@app.command("activate")
def activate(
    topology: NameArgument, output: OutputOption = Output.TABLE, json: JsonOption = False
) -> None:
    """Let the spouts of a topology emit again."""
    _switch(topology, CommandKind.ACTIVATE, "active", wants_json(output, json))


@app.command("deactivate")
def deactivate(
    topology: NameArgument, output: OutputOption = Output.TABLE, json: JsonOption = False
) -> None:
    """Stop the spouts of a topology; bolts go on."""
    _switch(topology, CommandKind.DEACTIVATE, "inactive", wants_json(output, json))


@app.command("restart")
def restart(
    topology: NameArgument,
    container: Annotated[
        int | None,
        typer.Option("--container", "-c", min=0, help="Only this one; 0 is the TMaster's."),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, help="Seconds to wait until all runs again.")
    ] = START_TIMEOUT_S,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Restart the containers of a topology, or one of them; what is in flight is replayed."""
    as_json = wants_json(output, json)
    with Engine.open() as engine:
        running = engine.find(topology)
        numbers = [item.id for item in running.packing_plan.containers]
        known = [0, *numbers]
        if container is not None and container not in known:
            there = ", ".join(map(str, known))
            msg = f'topology "{topology}" has no container {container}; it has: {there}'
            raise NotFoundError(msg)
        which = "all containers" if container is None else f"container {container}"
        confirm(f'Restart {which} of topology "{topology}"?', yes)
        steps = Steps(quiet=as_json)
        with steps.step("restart") as say:
            _restart(running, container, timeout)
            say(which)
        wait_until_running(running, steps, timeout)
    if as_json:
        print_json(
            {"topology": topology, "restarted": known[1:] if container is None else [container]}
        )
    else:
        print_line(f'{which} of topology "{topology}" restarted')


@app.command("kill")
def kill(
    topology: NameArgument,
    wait: Annotated[
        float | None,
        typer.Option(
            "--wait",
            "-w",
            min=0,
            help="Seconds to wait for open tuple trees; by default at most the message timeout.",
        ),
    ] = None,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """End a topology and leave nothing of it: no process, file, socket or state."""
    as_json = wants_json(output, json)
    with Engine.open() as engine:
        state = engine.state(topology)
        if not state.exists() and not engine.work_dir(topology).exists():
            state.require()
        confirm(f'Kill topology "{topology}"?', yes)
        drained = remove_topology(engine, topology, Steps(quiet=as_json), wait)
    if as_json:
        print_json({"topology": topology, "killed": True, "drained": drained})
    else:
        print_line(f'topology "{topology}" killed')


def _restart(running: Running, container: int | None, timeout_s: float) -> None:
    """Give the order and wait until the new processes are there, whether or not they work yet."""
    before = _generations(running)
    if container == 0:
        # The TMaster cannot be asked to end itself and answer.
        running.engine.scheduler(running.name).restart([0])
    else:
        wanted = ALL_CONTAINERS if container is None else container
        ask(running, CommandKind.RESTART, container=wanted)
    awaited = {container} if container is not None else set(before) - {0}
    deadline = time.monotonic() + timeout_s
    while awaited:
        if time.monotonic() >= deadline:
            numbers = ", ".join(map(str, sorted(awaited)))
            msg = f"containers {numbers} are not back in time; see: heronshim logs {running.name}"
            raise DeadlineError(msg)
        time.sleep(POLL_S)
        now = _generations(running)
        awaited = {number for number in awaited if now.get(number) == before.get(number)}


def _generations(running: Running) -> dict[int, tuple[int, int]]:
    """Return what changes when a container's main process is another: ids of it."""
    running.engine.manager.poll()
    plan, location = running.state.physical_plan(), running.state.tmaster()
    containers = plan.containers if plan else ()
    found = {item.id: (item.stmgr_pid, item.stmgr_incarnation) for item in containers}
    if location is not None:
        found[0] = (location.pid, location.leader_epoch)
    return found


def _switch(topology: str, kind: CommandKind, state: str, as_json: bool) -> None:
    with Engine.open() as engine:
        ask(engine.find(topology), kind)
    if as_json:
        print_json({"topology": topology, "state": state})
    else:
        print_line(f'topology "{topology}" is {state}')
