"""What `heronshim demo` shows while it counts."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from heronshim.cli.output import note, printable
from heronshim.demo.chaos import Role

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from rich.console import RenderableType

    from heronshim.demo.chaos import Kill

TOP_WORDS = 10
BAR_WIDTH = 40
WIDTH, CHAOS_WIDTH = 72, 82
"""Characters in a line of a picture."""
_FONT_FACE = re.compile(r"\s*@font-face \{[^}]*\}")
LINE_EVERY_S = 2.0
"""Without a terminal, one line as often."""


@dataclass(frozen=True, slots=True)
class Moment:
    """How far the run is."""

    lines: int
    """To be counted in all."""
    acked: int
    failed: int
    """Lines that failed, and were emitted again."""
    words_per_s: float
    """Over the last seconds."""
    counts: Counter[str]
    start_s: float
    """Seconds from the command to the first tuple."""
    kills: tuple[Kill, ...] = ()
    """With --chaos, in the order of their deaths."""


class DemoBoard:
    """Shows moments on standard error until it is left."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._moving = not quiet and self._console.is_terminal
        self._last_line = 0.0
        self._fates: dict[str, str] = {}
        """What was printed of each victim last."""

    def __enter__(self) -> DemoBoard:
        if self._moving:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._moving:
            self._live.stop()

    def show(self, moment: Moment) -> None:
        """Show the newest moment."""
        if self._moving:
            self._live.update(view(moment), refresh=True)
        elif not self._quiet and time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            top = ", ".join(f"{word} {count}" for word, count in moment.counts.most_common(3))
            note(f"{_progress(moment)}; {top or 'no word yet'}")
        if not (self._moving or self._quiet):
            self._tell_fates(moment)

    def _tell_fates(self, moment: Moment) -> None:
        """Print a line for each victim whose fate has changed."""
        for kill in moment.kills:
            state = _fate(kill)[0]
            if kill.killed_ms and self._fates.get(kill.process) != state:
                self._fates[kill.process] = state
                fate = f"recovered in {state}" if kill.recovered_ms else state
                note(f"{_name(kill)} (pid {kill.pid_after or kill.pid_before}): {fate}")


def view(moment: Moment) -> RenderableType:
    """Return the picture of one moment."""
    table = Table(box=None, padding=(0, 1))
    table.add_column("word")
    table.add_column("count", justify="right")
    table.add_column("")
    top = moment.counts.most_common(TOP_WORDS)
    most = top[0][1] if top else 1
    for word, count in top:
        bar = _bar(most, count)
        table.add_row(escape(printable(word)), f"{count:,}", bar)
    whole = ProgressBar(
        total=moment.lines, completed=moment.acked, width=BAR_WIDTH, complete_style="cyan"
    )
    flow = Text("lines ─▶ split x2 ─▶ count x2   on 2 containers, at least once", style="dim")
    parts: list[RenderableType] = [flow, Text(_progress(moment), style="bold"), whole, Text()]
    if moment.kills:
        parts += [Text(), _chaos(moment), Text()]
    return Group(*parts, table)


def _chaos(moment: Moment) -> Table:
    """Return the fates of the victims, live."""
    table = Table(box=None, padding=(0, 1))
    table.add_column("at", justify="right")
    table.add_column("victim")
    table.add_column("pid", no_wrap=True)
    table.add_column("recovered in", no_wrap=True)
    table.add_column("trees failed", justify="right")
    for kill in moment.kills:
        fate, style = _fate(kill)
        name = _name(kill)
        pids = f"{kill.pid_before or '?'} ─▶ {kill.pid_after or '?'}" if kill.killed_ms else ""
        failed = f"{kill.trees_failed:,}" if kill.killed_ms else ""
        table.add_row(f"{kill.at:.0%}", escape(name), pids, Text(fate, style=style), failed)
    return table


def _name(kill: Kill) -> str:
    """Return what a victim is, and its name where there are several."""
    return str(kill.role) if kill.role is Role.TMASTER else f"{kill.role} {printable(kill.process)}"


def _fate(kill: Kill) -> tuple[str, str]:
    """Return what became of a victim so far, and its colour."""
    if not kill.killed_ms:
        return "", ""
    if not kill.was_running:
        return "was not running", "bold red"
    if kill.recovery_s is not None:
        return f"{kill.recovery_s:.1f} s", "bold green"
    if not kill.pid_after:
        return "killed", "bold red"
    return ("joined" if kill.joined_ms else "starting"), "yellow"


def kills_table(kills: Sequence[Kill]) -> tuple[list[str], list[list[object]]]:
    """Return head and rows of what became of the victims."""
    head = ["victim", "process", "at", "pid before", "pid after", "pending", "trees failed",
            "recovered in s"]  # fmt: skip
    return head, [
        [
            str(kill.role),
            kill.process,
            f"{kill.at:.0%}",
            str(kill.pid_before or "-"),
            str(kill.pid_after or "-"),
            kill.pending,
            kill.trees_failed,
            kill.recovery_s,
        ]
        for kill in kills
    ]


def _bar(total: int, completed: int) -> ProgressBar:
    return ProgressBar(total=total, completed=completed, width=BAR_WIDTH, complete_style="cyan")


def save_picture(moment: Moment, path: Path) -> None:
    """Write the picture of one moment as SVG.

    Raises:
        OSError: it cannot be written.
    """
    width = CHAOS_WIDTH if moment.kills else WIDTH
    console = Console(record=True, width=width, file=StringIO(), force_terminal=True)
    console.print(view(moment))
    picture = console.export_svg(title="heronshim demo", unique_id="demo")
    # Fonts of the reader's own: a picture must not call another host.
    path.write_text(_FONT_FACE.sub("", picture), encoding="utf-8")


def _progress(moment: Moment) -> str:
    failed = f", {moment.failed:,} failed and replayed" if moment.failed else ""
    return (
        f"{moment.acked:,} of {moment.lines:,} lines acked{failed}, "
        f"{moment.words_per_s:,.0f} words/s"
    )
