"""Verb logs."""

from __future__ import annotations

import re
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heronshim.cli.engine import Engine
from heronshim.cli.log_files import Follower, LogFile, LogLine, log_files, read_lines
from heronshim.cli.names import NameArgument
from heronshim.cli.output import (
    JsonOption,
    Output,
    OutputOption,
    json_text,
    note,
    print_json,
    print_line,
    wants_json,
)
from heronshim.cli.words import since_moment
from heronshim.errors import ConfigError, NotFoundError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FOLLOW_POLL_S = 0.2
LINES = 200
app = typer.Typer(rich_markup_mode=None)


@app.command("logs")
def logs(  # noqa: PLR0917 - an argument for each option
    topology: NameArgument,
    component: Annotated[
        str, typer.Option("--component", "-c", help="Only this component's processes.")
    ] = "",
    process: Annotated[
        str, typer.Option("--process", "-p", help='Only this process, such as "count-3".')
    ] = "",
    container: Annotated[
        int | None, typer.Option("--container", min=0, help="Only this container.")
    ] = None,
    lines: Annotated[
        int, typer.Option("--lines", "-l", min=1, max=1_000_000, help="Last lines to show.")
    ] = LINES,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")
    ] = False,
    since: Annotated[
        str, typer.Option("--since", help="Only lines at most this old, such as 90s, 5m or 2h.")
    ] = "",
    grep: Annotated[str, typer.Option("--grep", "-g", help="Only lines with this pattern.")] = "",
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Show what the processes of a topology wrote, merged by time."""
    as_json = wants_json(output, json)
    pattern, oldest = _pattern(grep), _oldest(since)
    with Engine.open() as engine:
        work_dir = engine.work_dir(topology)
        if not engine.state(topology).exists() and not work_dir.exists():
            engine.find(topology)
        processes = _processes(engine, topology, work_dir, component, process)
    find = _finder(work_dir, container, processes)

    def wanted(line: LogLine) -> bool:
        if oldest and line.time and line.time < oldest:
            return False
        return pattern is None or pattern.search(line.text) is not None

    follower = Follower(find) if follow else None
    found = read_lines(find(), wanted, lines, whole=bool(since or grep))
    if as_json and follower is None:
        print_json({"topology": topology, "lines": [_value(line) for line in found]})
        return
    show = _print_json_line if as_json else _print_line
    for line in found:
        show(line)
    if follower is None:
        if not found:
            note("no lines")
        return
    # Ctrl-C is how a person ends it.
    with suppress(KeyboardInterrupt):
        _follow(follower, wanted, show)


def _follow(
    follower: Follower, wanted: Callable[[LogLine], bool], show: Callable[[LogLine], None]
) -> None:
    """Show new lines for ever."""
    while True:
        for line in filter(wanted, follower.lines()):
            show(line)
        sys.stdout.flush()
        time.sleep(FOLLOW_POLL_S)


def _pattern(grep: str) -> re.Pattern[str] | None:
    try:
        return re.compile(grep) if grep else None
    except re.error as error:
        msg = f"--grep {grep}: {error}; expected a regular expression of Python"
        raise ConfigError(msg) from error


def _oldest(since: str) -> str:
    """Return the time of the oldest line wanted as logs write it; empty for any."""
    if not since:
        return ""
    moment = since_moment(since)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _processes(
    engine: Engine, topology: str, work_dir: Path, component: str, process: str
) -> set[str] | None:
    """Return the processes to show; None for all.

    Raises:
        NotFoundError: there is no such component or process; names the nearest.
    """
    if component:
        running = engine.find(topology)
        plans = [plan for item in running.packing_plan.containers for plan in item.processes]
        found = {plan.id for plan in plans if plan.component == component}
        running.check_component(component)
    else:
        found = set()
    if process:
        there = sorted({file.process for file in log_files(work_dir)})
        if process not in there:
            msg = f'topology "{topology}" has no log of a process "{process}"; it has: '
            msg += f"{', '.join(there)}.{nearest(process, there)}"
            raise NotFoundError(msg)
        found = {process}
    return found or None


def _finder(
    work_dir: Path, container: int | None, processes: set[str] | None
) -> Callable[[], list[LogFile]]:
    def find() -> list[LogFile]:
        return [
            file
            for file in log_files(work_dir)
            if container in (None, file.container)
            and (processes is None or file.process in processes)
        ]

    return find


def _print_line(line: LogLine) -> None:
    place = "-" if line.container is None else str(line.container)
    print_line(f"{place} {line.process}: {line.text}")


def _print_json_line(line: LogLine) -> None:
    sys.stdout.write(json_text(_value(line)) + "\n")


def _value(line: LogLine) -> dict[str, Any]:
    return {
        "time": line.time or None,
        "container": line.container,
        "process": line.process,
        "text": line.text,
    }
