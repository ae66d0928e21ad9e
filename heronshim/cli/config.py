"""Verb config: options of this host's heronshim, and the options of a topology in force."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heronshim.cli.engine import Engine
from heronshim.cli.home import home_folder, home_path
from heronshim.cli.names import is_definition
from heronshim.cli.output import (
    JsonOption,
    Output,
    OutputOption,
    print_json,
    print_line,
    print_table,
    wants_json,
)
from heronshim.cli.settings import (
    CONFIG_FILE,
    DESCRIPTIONS,
    effective_values,
    find_value,
    read_file,
    set_value,
)
from heronshim.config import ComponentOptions, TopologyOptions
from heronshim.instance.loader import load_in_child

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from heronshim.core.plan.topology import Topology

KeyArgument = Annotated[
    str, typer.Argument(metavar="KEY", help='Such as "scheduler" or "state_options.root".')
]
app = typer.Typer(name="config", help="List, show and set options.", rich_markup_mode=None)


@app.command("list")
def list_options(output: OutputOption = Output.TABLE, json: JsonOption = False) -> None:
    """List the options of heronshim on this host, and where each value comes from."""
    home = home_path()
    given = read_file(home)
    rows = [
        {"key": key, "value": value, "source": _source(given, key), "meaning": DESCRIPTIONS[top]}
        for top, values in effective_values(home).items()
        for key, value in _leaves(top, values)
    ]
    if wants_json(output, json):
        print_json({"file": str(home / CONFIG_FILE), "options": rows})
        return
    print_table(
        ["key", "value", "source", "meaning"],
        [[row["key"], _shown(row["value"]), row["source"], row["meaning"]] for row in rows],
    )
    print_line(f"file: {home / CONFIG_FILE}")


@app.command("show")
def show_option(
    key: KeyArgument, output: OutputOption = Output.TABLE, json: JsonOption = False
) -> None:
    """Show the value of one option."""
    home = home_path()
    value = find_value(effective_values(home), key)
    if wants_json(output, json):
        print_json({"key": key, "value": value, "source": _source(read_file(home), key)})
    else:
        print_line(_shown(value))


@app.command("set")
def set_option(
    key: KeyArgument,
    value: Annotated[str, typer.Argument(help="Its new value; a list is written a,b.")],
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Set one option for topologies that are submitted from now on."""
    home = home_folder()
    set_value(home, key, value)
    if wants_json(output, json):
        print_json({"key": key, "value": find_value(effective_values(home), key), "source": "file"})
    else:
        print_line(f"{key} = {_shown(find_value(effective_values(home), key))}")


@app.command("effective")
def effective(
    topology: Annotated[
        str, typer.Argument(metavar="TOPOLOGY", help="A running topology's name, or FILE[:CLASS].")
    ],
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Show every option of a topology and its components, and who set it."""
    if is_definition(topology):
        plan = load_in_child(topology).definition
    else:
        with Engine.open() as engine:
            plan = engine.find(topology).topology
    rows = list(option_rows(plan))
    if wants_json(output, json):
        print_json({"topology": plan.name, "dialect": str(plan.dialect), "options": rows})
        return
    print_table(
        ["component", "option", "value", "set by"],
        [[row["component"] or "-", row["option"], row["value"], row["set_by"]] for row in rows],
    )


def option_rows(plan: Topology) -> Iterator[dict[str, Any]]:
    """Yield each option with its value and who set it: default, topology or component."""
    for option in fields(TopologyOptions):
        value, set_by = _value(plan.options, option.name, option.default, "topology")
        yield {"component": None, "option": option.name, "value": value, "set_by": set_by}
    for component in plan.components:
        for option in fields(ComponentOptions):
            value, set_by = _value(component.options, option.name, option.default, "component")
            if value is None and option.name in {item.name for item in fields(TopologyOptions)}:
                value, set_by = _inherited(plan, option.name)
            yield {
                "component": component.id,
                "option": option.name,
                "value": value,
                "set_by": set_by,
            }


def _inherited(plan: Topology, name: str) -> tuple[object, str]:
    default = next(item.default for item in fields(TopologyOptions) if item.name == name)
    return _value(plan.options, name, default, "topology")


def _value(options: Mapping[str, object], name: str, default: object, who: str) -> tuple[Any, str]:
    assert default is not MISSING
    return (options[name], who) if name in options else (default, "default")


def _leaves(key: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield each option below a key with its whole name; an empty group is shown as one."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _leaves(f"{key}.{name}", item)
    else:
        yield key, value


def _source(given: Mapping[str, Any], key: str) -> str:
    found: Any = given
    for part in key.split("."):
        if not isinstance(found, dict) or part not in found:
            return "default"
        found = found[part]
    return "file"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "-" if value == {} else str(value)
