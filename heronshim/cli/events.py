"""Verb events."""

from __future__ import annotations

import json as json_module
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from heronshim.cli.engine import Engine
from heronshim.cli.event_words import details, what, who
from heronshim.cli.history import history, history_of_files
from heronshim.cli.master import ASK_TIMEOUT_S, connect
from heronshim.cli.names import ComponentOption, NameArgument
from heronshim.cli.output import (
    JsonOption,
    Output,
    OutputOption,
    note,
    print_json,
    printable,
    printable_lines,
    wants_json,
)
from heronshim.cli.words import age, since_moment
from heronshim.core.master.messages import CommandKind
from heronshim.core.spi.events import EventKind
from heronshim.errors import DeadlineError, NotFoundError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heronshim.cli.engine import Running
    from heronshim.core.spi.events import EventRecord

LINES = 100
FOLLOW_POLL_S = 0.5
LATE_MS = 60_000
"""A report may come late: so far back `--follow` looks for events that it has not shown yet."""
WHO_WIDTH = 16
WHAT_WIDTH = 20
"""Of the longest words in `event_words`."""
app = typer.Typer(rich_markup_mode=None)


@app.command("events")
def events(  # noqa: PLR0917 - an argument for each option
    topology: NameArgument,
    component: ComponentOption = "",
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", "-k", help="Only this kind, such as process_died; may be repeated."),
    ] = None,
    since: Annotated[
        str, typer.Option("--since", help="Only what is at most this old, such as 90s, 5m or 2h.")
    ] = "",
    lines: Annotated[
        int, typer.Option("--lines", "-l", min=1, max=100_000, help="Last events to show.")
    ] = LINES,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new events until Ctrl-C.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="With what a process wrote before it died.")
    ] = False,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Show what happened to a topology: starts, deaths with their cause, plans, back pressure."""
    since_ms = int(since_moment(since).timestamp() * 1000) if since else 0
    as_json = wants_json(output, json)
    with Engine.open() as engine:
        running = engine.find(topology) if follow else engine.find_even_damaged(topology)
        if running is None:
            work_dir = engine.work_dir(topology)
            found = history_of_files(work_dir, since_ms=since_ms, component=component)
        else:
            if component:
                running.check_component(component)
            found = history(running, since_ms=since_ms, component=component)
        kinds = _checked_kinds(kind or [], found)
        shown = [event for event in found if not kinds or event.kind in kinds][-lines:]
        if as_json and not follow:
            print_json({"topology": topology, "events": [event_value(each) for each in shown]})
            return
        show = _print_json_line if as_json else EventPrinter(shown, full=full, ages=not follow)
        for event in shown:
            show(event)
        if not follow or running is None:
            if not shown:
                note("no events")
            return

        def show_wanted(event: EventRecord) -> None:
            if not kinds or event.kind in kinds:
                show(event)

        # Ctrl-C is how a person ends it.
        with suppress(KeyboardInterrupt):
            _follow(running, component, since_ms, {event.id for event in found}, show_wanted)


def event_value(event: EventRecord) -> dict[str, Any]:
    """Return an event as JSON shows it: what does not apply is null."""
    value = asdict(event)
    for name in ("process", "component", "host", "task"):
        value[name] = value[name] or None
    return value


class EventPrinter:
    """Prints events as lines under a head, in colour on a terminal."""

    def __init__(self, events: Sequence[EventRecord], *, full: bool, ages: bool) -> None:
        """Make the columns wide enough for these events; `ages`: say how long ago each was."""
        self._console = Console(highlight=False, soft_wrap=True)
        self._full, self._ages = full, ages
        self._who_width = max([WHO_WIDTH, *(len(printable(who(event))) for event in events)])
        today = time.strftime("%Y-%m-%d")
        self._dated = any(_day(event) != today for event in events)
        head = f"{'TIME':{self._time_width()}}" + (f"{'AGE':<9}" if ages else "")
        head += f"{'IN':<4}{'PROCESS':<{self._who_width + 2}}{'EVENT':<{WHAT_WIDTH + 2}}DETAILS"
        self._console.print(Text(head, style="bold"))

    def __call__(self, event: EventRecord) -> None:
        """Print one event."""
        line = Text(f"{self._time(event):{self._time_width()}}", style="dim")
        if self._ages:
            line.append(f"{age(event.time_ms // 1000):<9}")
        line.append(f"{event.container:<4}", style="not dim")
        line.append(f"{printable(who(event)):<{self._who_width + 2}}", style="not dim cyan")
        words, style = what(event)
        line.append(f"{printable(words):<{WHAT_WIDTH + 2}}", style=f"not dim {style}")
        line.append(printable(details(event)), style="not dim")
        line.rstrip()
        self._console.print(line)
        if self._full:
            for each in printable_lines(event.detail).splitlines():
                self._console.print(Text(f"    {each}", style="dim"))

    def _time_width(self) -> int:
        return 21 if self._dated else 14

    def _time(self, event: EventRecord) -> str:
        clock = time.localtime(event.time_ms / 1000)
        if self._dated:
            return time.strftime("%Y-%m-%d %H:%M:%S", clock)
        return f"{time.strftime('%H:%M:%S', clock)}.{event.time_ms % 1000:03d}"


def _day(event: EventRecord) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(event.time_ms / 1000))


def _checked_kinds(kinds: list[str], events: Sequence[EventRecord]) -> set[str]:
    """Return the kinds to show; raises NotFoundError for one that is unknown and did not occur."""
    known = sorted({*EventKind, *(event.kind for event in events)})
    for kind in kinds:
        if kind not in known:
            msg = f'there is no kind of event "{kind}"; there are: {", ".join(known)}.'
            raise NotFoundError(msg + nearest(kind, known))
    return set(kinds)


def _follow(
    running: Running,
    component: str,
    since_ms: int,
    seen: set[str],
    show: Callable[[EventRecord], None],
) -> None:
    """Show what is not among the ids `seen`, for ever."""
    newest_ms = time.time_ns() // 1_000_000
    with connect(running) as client:
        while True:
            sys.stdout.flush()
            time.sleep(FOLLOW_POLL_S)
            running.engine.manager.poll()
            from_ms = max(since_ms, newest_ms - LATE_MS)
            try:
                found = client.ask(
                    CommandKind.EVENTS, ASK_TIMEOUT_S, component=component, since_ms=from_ms
                ).events
            except DeadlineError as error:
                # A new TMaster may take over; a topology that is gone ends this.
                running.engine.find(running.name)
                note(str(error))
                continue
            for event in found:
                newest_ms = max(newest_ms, event.time_ms)
                if event.id not in seen:
                    seen.add(event.id)
                    show(event)


def _print_json_line(event: EventRecord) -> None:
    sys.stdout.write(json_module.dumps(event_value(event), ensure_ascii=False) + "\n")
