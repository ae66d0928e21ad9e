"""Verbs plan and validate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from heronshim.cli.engine import Engine
from heronshim.cli.names import DefinitionArgument, is_definition
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
from heronshim.cli.submission import pack_topology
from heronshim.cli.words import grouping_text
from heronshim.errors import TopologyError
from heronshim.instance.loader import load_in_child

if TYPE_CHECKING:
    from heronshim.core.plan.physical import PackingPlan
    from heronshim.core.plan.topology import Topology

MIB = 1 << 20
app = typer.Typer(rich_markup_mode=None)


@app.command("validate")
def validate(
    topology: DefinitionArgument, output: OutputOption = Output.TABLE, json: JsonOption = False
) -> None:
    """Check a topology without starting it; show all problems at once, with file and line."""
    as_json = wants_json(output, json)
    try:
        loaded = load_in_child(topology)
    except TopologyError as error:
        if not as_json:
            raise
        print_json(
            {"topology": None, "valid": False, "problems": list(error.problems), "warnings": []}
        )
        raise typer.Exit(error.exit_code) from error
    plan = loaded.definition
    if as_json:
        print_json(
            {
                "topology": plan.name,
                "valid": True,
                "problems": [],
                "warnings": list(loaded.warnings),
            }
        )
        return
    for warning in loaded.warnings:
        note(f"warning: {warning}")
    tasks = sum(component.task_count for component in plan.components)
    print_line(f'topology "{plan.name}" is valid: {len(plan.components)} components, {tasks} tasks')


@app.command("plan")
def plan(
    topology: Annotated[
        str, typer.Argument(metavar="TOPOLOGY", help="A running topology's name, or FILE[:CLASS].")
    ],
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Show which container runs what, of a file or a running topology."""
    if is_definition(topology):
        loaded = load_in_child(topology)
        for warning in loaded.warnings:
            note(f"warning: {warning}")
        logical, packing = loaded.definition, pack_topology(loaded.definition)
    else:
        with Engine.open() as engine:
            running = engine.find(topology)
            logical, packing = running.topology, running.packing_plan
    if wants_json(output, json):
        print_json(_value(logical, packing))
    else:
        _print(logical, packing)


def _value(logical: Topology, packing: PackingPlan) -> dict[str, Any]:
    return {
        "topology": logical.name,
        "algorithm": packing.algorithm,
        "version": packing.version,
        "streams": [
            {
                "source": item.component,
                "stream": item.stream,
                "target": component.id,
                "grouping": grouping_text(item.grouping),
            }
            for component in logical.components
            for item in component.inputs
        ],
        "containers": [
            {
                "id": container.id,
                "cpu": container.required.cpu,
                "ram_bytes": container.required.ram_bytes,
                "disk_bytes": container.required.disk_bytes,
                "processes": [
                    {
                        "id": process.id,
                        "component": process.component,
                        "executors": [list(executor) for executor in process.executors],
                        "cpu": process.required.cpu,
                        "ram_bytes": process.required.ram_bytes,
                        "disk_bytes": process.required.disk_bytes,
                    }
                    for process in container.processes
                ],
            }
            for container in packing.containers
        ],
    }


def _print(logical: Topology, packing: PackingPlan) -> None:
    print_line(f"{logical.name}: packed by {packing.algorithm}")
    print_line()
    print_table(
        ["container", "process", "component", "tasks", "cpu", "ram MiB"],
        [
            [
                container.id,
                process.id,
                process.component,
                ",".join(map(str, process.tasks)),
                process.required.cpu,
                process.required.ram_bytes / MIB,
            ]
            for container in packing.containers
            for process in container.processes
        ],
    )
    print_line()
    print_table(
        ["from", "stream", "to", "grouping"],
        [
            [item.component, item.stream, component.id, grouping_text(item.grouping)]
            for component in logical.components
            for item in component.inputs
        ],
    )
