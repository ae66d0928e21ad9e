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

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path
    from types import TracebackType

    from rich.console import RenderableType

TOP_WORDS = 10
BAR_WIDTH = 40
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


class DemoBoard:
    """Shows moments on standard error until it is left."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._moving = not quiet and self._console.is_terminal
        self._last_line = 0.0

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
    return Group(flow, Text(_progress(moment), style="bold"), whole, Text(), table)


def _bar(total: int, completed: int) -> ProgressBar:
    return ProgressBar(total=total, completed=completed, width=BAR_WIDTH, complete_style="cyan")


def save_picture(moment: Moment, path: Path) -> None:
    """Write the picture of one moment as SVG.

    Raises:
        OSError: it cannot be written.
    """
    console = Console(record=True, width=72, file=StringIO(), force_terminal=True)
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
