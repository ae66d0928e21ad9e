"""Verbs submit and run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from heronshim.cli.board import Board
from heronshim.cli.engine import Engine
from heronshim.cli.master import connect
from heronshim.cli.names import DefinitionArgument, checked_name
from heronshim.cli.output import (
    JsonOption,
    Output,
    OutputOption,
    note,
    print_json,
    print_line,
    wants_json,
)
from heronshim.cli.progress import Steps, interrupt_on_signals
from heronshim.cli.removal import pending_trees, remove_topology
from heronshim.cli.submission import submit as submit_topology
from heronshim.cli.submission import wait_until_running
from heronshim.core.master.component_rows import component_rows
from heronshim.core.master.messages import CommandKind
from heronshim.core.plan.physical import TopologyState
from heronshim.core.plan.topology import ComponentKind
from heronshim.errors import DeadlineError
from heronshim.instance.loader import LoadedTopology, load_in_child

if TYPE_CHECKING:
    from heronshim.cli.engine import Running
    from heronshim.core.master.messages import MetricsSnapshot

START_TIMEOUT_S = 60.0
REFRESH_S = 0.5
ASK_TIMEOUT_S = 5.0
NameOption = Annotated[
    str | None, typer.Option("--name", "-n", help="Name to run it under, instead of its own.")
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", min=0, help="Seconds to wait until every task has joined.")
]
app = typer.Typer(rich_markup_mode=None)


@app.command("submit")
def submit(
    topology: DefinitionArgument,
    name: NameOption = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until every task has joined.")
    ] = True,
    timeout: TimeoutOption = START_TIMEOUT_S,
    inactive: Annotated[
        bool, typer.Option("--inactive", help="Start with spouts stopped; see activate.")
    ] = False,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Start a topology and leave it running."""
    as_json = wants_json(output, json)
    steps = Steps(quiet=as_json)
    loaded = load(topology, name, steps)
    with Engine.open() as engine:
        activity = TopologyState.INACTIVE if inactive else TopologyState.ACTIVE
        running = submit_topology(engine, loaded, steps, activity)
        if wait:
            wait_until_running(running, steps, timeout)
    if as_json:
        print_json(submitted(running, loaded))
    else:
        print_line(f'topology "{running.name}" submitted; watch it: heronshim top {running.name}')


@app.command("run")
def run(
    topology: DefinitionArgument,
    name: NameOption = None,
    timeout: TimeoutOption = START_TIMEOUT_S,
    duration: Annotated[
        float | None, typer.Option("--duration", min=0, help="End after so many seconds.")
    ] = None,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Run a topology in the foreground; kill it at Ctrl-C, or when its sources are exhausted.

    A spout says that it is with context.gauge("source_exhausted").set(1).
    """
    as_json = wants_json(output, json)
    steps = Steps(quiet=as_json)
    loaded = load(topology, name, steps)
    snapshot = None
    interrupted = False
    interrupt_on_signals()
    with Engine.open() as engine:
        running = submit_topology(engine, loaded, steps)
        try:
            wait_until_running(running, steps, timeout)
            snapshot = _watch(running, duration, quiet=as_json)
        except KeyboardInterrupt:
            interrupted = True
            note("interrupted")
        finally:
            remove_topology(engine, running.name, steps, 0 if snapshot is None else None)
    rows = component_rows(snapshot) if snapshot else []
    if as_json:
        counts = [
            {
                "component": row.component,
                "emitted": int(row.emit_count),
                "executed": int(row.execute_count),
                "acked": int(row.ack_count),
                "failed": int(row.fail_count),
            }
            for row in rows
        ]
        print_json({**submitted(running, loaded), "components": counts})
    else:
        print_line(f'topology "{running.name}" ended')
    if interrupted:
        raise typer.Exit(130)


def load(topology: str, name: str | None, steps: Steps) -> LoadedTopology:
    """Read and check an author's topology, and show warnings.

    Raises:
        ConfigError: `name` is no name.
        TopologyError: the topology is wrong.
    """
    if name is not None:
        checked_name(name)
    with steps.step("validate") as say:
        loaded = load_in_child(topology, name=name)
        components = loaded.definition.components
        tasks = sum(component.task_count for component in components)
        say(f"{len(components)} components, {tasks} tasks")
    for warning in loaded.warnings:
        note(f"warning: {warning}")
    return loaded


def submitted(running: Running, loaded: LoadedTopology) -> dict[str, object]:
    """Return what JSON says of a submit."""
    processes = [
        process for container in running.packing_plan.containers for process in container.processes
    ]
    return {
        "topology": running.name,
        "id": running.record.id,
        "containers": len(running.packing_plan.containers),
        "tasks": sum(len(process.tasks) for process in processes),
        "warnings": list(loaded.warnings),
    }


def is_exhausted(running: Running, snapshot: MetricsSnapshot) -> bool:
    """Return whether every spout task says that it has no more, and nothing is pending."""
    spouts = {
        component.id: component.task_count
        for component in running.topology.components
        if component.kind is ComponentKind.SPOUT
    }
    done = [
        task
        for task in snapshot.tasks
        if task.component in spouts and task.gauges.get("source_exhausted", 0) >= 1
    ]
    return len(done) == sum(spouts.values()) and not pending_trees(snapshot)


def _watch(running: Running, duration_s: float | None, *, quiet: bool) -> MetricsSnapshot | None:
    """Show the topology until it ends; return the last figures."""
    end = None if duration_s is None else time.monotonic() + duration_s
    snapshot = None
    with connect(running) as client, Board(running.name, quiet=quiet) as board:
        while end is None or time.monotonic() < end:
            running.engine.manager.poll()
            try:
                snapshot = client.ask(CommandKind.METRICS, ASK_TIMEOUT_S).metrics
            except DeadlineError as error:
                board.say(str(error))
                continue
            if snapshot is not None:
                board.show(snapshot)
                if is_exhausted(running, snapshot):
                    break
            time.sleep(REFRESH_S)
    return snapshot
