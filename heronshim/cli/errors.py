"""Verb errors."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from heronshim.cli.engine import Engine
from heronshim.cli.history import history, history_of_files
from heronshim.cli.master import ask
from heronshim.cli.names import ComponentOption, NameArgument
from heronshim.cli.output import (
    JsonOption,
    Output,
    OutputOption,
    note,
    print_json,
    print_line,
    printable,
    printable_lines,
    wants_json,
)
from heronshim.cli.words import age
from heronshim.core.master.error_groups import ErrorGroup, group_errors
from heronshim.core.master.messages import CommandKind
from heronshim.errors import HeronshimError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heronshim.cli.engine import Running
    from heronshim.core.spi.metrics_sink import ErrorRecord

LAST_LINES = 3
"""Lines shown of what a process wrote last, when no place in code is known."""
app = typer.Typer(rich_markup_mode=None)


@app.command("errors")
def errors(
    topology: NameArgument,
    component: ComponentOption = "",
    full: Annotated[
        bool, typer.Option("--full", help="With whole traces, and what a process wrote last.")
    ] = False,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Show errors of user code and deaths of processes by cause, newest first."""
    with Engine.open() as engine:
        running = engine.find_even_damaged(topology)
        if running is None:
            events = history_of_files(engine.work_dir(topology), component=component)
            groups = group_errors((), events)
        else:
            if component:
                running.check_component(component)
            events = history(running, component=component)
            groups = group_errors(_reported(running, component), events)
    if wants_json(output, json):
        print_json({"topology": topology, "errors": [group_value(group) for group in groups]})
        return
    if not groups:
        print_line("no errors")
        return
    console = Console(highlight=False, soft_wrap=True)
    for group in groups:
        for line in error_lines(group, full=full):
            console.print(line)


def _reported(running: Running, component: str) -> Sequence[ErrorRecord]:
    """Return errors of user code; none, said so, when the TMaster does not answer."""
    try:
        return ask(running, CommandKind.ERRORS, component=component).errors
    except HeronshimError:
        note("errors of user code are not shown: only the TMaster knows them")
        return ()


def group_value(group: ErrorGroup) -> dict[str, Any]:
    """Return a group as JSON shows it."""
    place = group.place
    return {
        "fingerprint": group.fingerprint,
        "component": group.component or None,
        "message": group.message,
        "count": group.count,
        "first_ms": group.first_ms,
        "time_ms": group.last_ms,
        "task": group.task or None,
        "tasks": list(group.tasks),
        "processes": list(group.processes),
        "hosts": list(group.hosts),
        "death": group.is_death,
        "in_hand": group.in_hand or None,
        "place": None
        if place is None
        else {"file": place.file, "line": place.line, "function": place.function},
        "detail": group.detail,
    }


def error_lines(group: ErrorGroup, *, full: bool) -> list[Text]:
    """Return what is printed of a group: its head, and what is known of it, indented."""
    head = Text(printable(group.component or ", ".join(group.processes)), style="bold cyan")
    message = printable(group.message if full else group.message.partition("\n")[0])
    head.append(f"  {message}", style="bold red")
    facts = [("seen", _seen(group))]
    facts.append(("in", _where(group)))
    if group.in_hand:
        facts.append(("tuple", group.in_hand))
    if group.place is not None:
        facts.append(("at", str(group.place)))
    lines = [head]
    for name, value in facts:
        line = Text(f"  {name:<6}", style="dim")
        line.append(printable(value), style="not dim")
        lines.append(line)
    detail = printable_lines(group.detail).splitlines()
    if not full:
        detail = [] if group.place is not None else detail[-LAST_LINES:]
    lines += [Text(f"    {line}", style="dim") for line in detail]
    return [*lines, Text()]


def _seen(group: ErrorGroup) -> str:
    last = f"{_clock(group.last_ms)} ({age(group.last_ms // 1000)} ago)"
    if group.count == 1:
        return f"once, {last}"
    first = f"{_clock(group.first_ms)} ({age(group.first_ms // 1000)} ago)"
    return f"{group.count:,} times, first {first}, last {last}"


def _where(group: ErrorGroup) -> str:
    tasks = ", ".join(str(task) for task in group.tasks)
    parts = [f"task{'s' if len(group.tasks) > 1 else ''} {tasks}"] if tasks else []
    parts.append(", ".join(group.processes))
    parts.append(f"on {', '.join(group.hosts)}" if group.hosts else "")
    return "; ".join(part for part in parts if part) + f"   [{group.fingerprint}]"


def _clock(time_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_ms / 1000))
