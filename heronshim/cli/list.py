"""Verb list. It imports little, so that it answers at once."""

from __future__ import annotations

from typing import Any

import typer

from heronshim.cli.engine import Engine
from heronshim.cli.output import (
    JsonOption,
    Output,
    OutputOption,
    note,
    print_json,
    print_table,
    wants_json,
)
from heronshim.cli.words import age
from heronshim.errors import HeronshimError

app = typer.Typer(rich_markup_mode=None)


@app.command("list")
def list_topologies(output: OutputOption = Output.TABLE, json: JsonOption = False) -> None:
    """List topologies with their state; asks no process, so that it answers at once."""
    with Engine.open() as engine:
        rows = [_row(engine, name) for name in engine.names()]
    if wants_json(output, json):
        print_json({"topologies": rows})
        return
    if not rows:
        note("no topologies; start one: heronshim submit FILE[:CLASS]")
        return
    print_table(
        ["name", "state", "age", "containers", "tasks", "user"],
        [
            [
                row["name"],
                row["state"],
                age(row["submit_time_s"]),
                row["containers"],
                row["tasks"],
                row["user"],
            ]
            for row in rows
        ],
    )


def _row(engine: Engine, name: str) -> dict[str, Any]:
    """Return what the state manager says of a topology; a damaged one is listed as such."""
    try:
        running = engine.find(name)
        physical = running.state.physical_plan()
        if running.state.tmaster() is None:
            state = "starting" if physical is None else "without TMaster"
        else:
            state = "starting" if physical is None else str(physical.state)
    except HeronshimError as error:
        note(f"warning: {error}")
        return {
            "name": name,
            "id": None,
            "state": "damaged",
            "submit_time_s": None,
            "containers": None,
            "tasks": None,
            "user": None,
        }
    return {
        "name": name,
        "id": running.record.id,
        "state": state,
        "submit_time_s": running.record.submit_time_s,
        "containers": len(running.packing_plan.containers),
        "tasks": sum(component.task_count for component in running.topology.components),
        "user": running.record.user,
    }
