"""The live table of `top` and `run`: one row for each component."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from heronshim.cli.output import note, printable
from heronshim.core.master.component_rows import component_rows, suspected_processes
from heronshim.core.master.initiators import initiator_text, initiators

if TYPE_CHECKING:
    from types import TracebackType

    from heronshim.core.master.component_rows import ComponentRow
    from heronshim.core.master.messages import MetricsSnapshot

COLUMNS = (
    "component",
    "tasks",
    "emitted/s",
    "executed/s",
    "acked/s",
    "failed/s",
    "p50 ms",
    "p99 ms",
    "capacity",
    "held back",
    "pending",
    "restarts",
)
CAPACITY_WARN = 0.8
"""A component this busy is the next bottleneck (Storm's users look for values near 1)."""
LINE_EVERY_S = 5.0
"""Without a terminal, one line as often."""


class Board:
    """Shows snapshots until it is left. Without a terminal it prints a line now and then."""

    def __init__(self, topology: str, *, quiet: bool = False, stderr: bool = True) -> None:
        """`stderr`: whether it is shown there, as what happens, or as the result."""
        self._topology = topology
        self._quiet = quiet
        self._console = Console(stderr=stderr)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._moving = not quiet and self._console.is_terminal
        self._last_line = 0.0

    def __enter__(self) -> Board:
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

    def show(self, snapshot: MetricsSnapshot) -> None:
        """Show the newest figures."""
        rows = component_rows(snapshot)
        if self._moving:
            table = board_table(self._topology, rows)
            table.caption = escape(printable(suspicion(snapshot))) or None
            lines = [escape(printable(initiator_text(one))) for one in initiators(snapshot)]
            self._live.update(Group(table, *lines), refresh=True)
        elif not self._quiet and time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            parts = [
                f"{row.component}: {row.emit_rate:.0f} emitted/s, {row.execute_rate:.0f} executed/s"
                for row in rows
            ]
            parts += [initiator_text(one) for one in initiators(snapshot)]
            note("; ".join(parts) or "no figures yet")

    def say(self, text: str) -> None:
        """Show a line instead of figures."""
        if self._moving:
            self._live.update(escape(printable(text)), refresh=True)
        elif not self._quiet:
            note(text)


def board_table(topology: str, rows: list[ComponentRow]) -> Table:
    """Return the table of one moment."""
    clock = time.strftime("%H:%M:%S")
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        title=f"topology {escape(topology)} at {clock}",
        title_justify="left",
        caption_justify="left",
        caption_style="red",
    )
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "component" else "right")
    for row in rows:
        table.add_row(escape(printable(row.component)), *cells(row))
    return table


def suspicion(snapshot: MetricsSnapshot) -> str:
    """Return a line about processes that are silent; empty when none is."""
    processes = suspected_processes(snapshot)
    return f"suspected, because they are silent: {', '.join(processes)}" if processes else ""


def cells(row: ComponentRow) -> list[str]:
    """Return a row's figures as text, without its component."""
    capacity = f"{row.capacity:.2f}"
    held = f"{row.back_pressure:.0%}"
    return [
        str(row.task_count),
        f"{row.emit_rate:,.0f}",
        f"{row.execute_rate:,.0f}",
        f"{row.ack_rate:,.0f}",
        _marked(f"{row.fail_rate:,.0f}", row.fail_rate > 0),
        _ms(row.latency_p50_us),
        _ms(row.latency_p99_us),
        _marked(capacity, row.capacity >= CAPACITY_WARN),
        _marked(held, row.back_pressure > 0.01),
        f"{row.pending:,.0f}",
        _marked(f"{row.restart_count:,.0f}", row.restart_count > 0),
    ]


def _marked(text: str, bad: bool) -> str:
    # A word beside the colour, for those who do not see it.
    return f"[red]{text} ![/red]" if bad else text


def _ms(value_us: float | None) -> str:
    return "-" if value_us is None else f"{value_us / 1000:,.1f}"
