"""Shows the steps of a long order on standard error: moving on a terminal, else a line each."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from heronshim.cli.output import note, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    Say = Callable[[str], None]

NAME_WIDTH = 12


class Steps:
    """Steps one after another. `quiet` shows nothing."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False)

    @contextmanager
    def step(self, name: str) -> Iterator[Say]:
        """Show a step while the block runs; call what it gives to say how far it is.

        The last thing said stays on the line, with the seconds that the step took.
        """
        began = time.monotonic()
        detail = ""
        if self._quiet:
            yield lambda _: None
            return
        if not self._console.is_terminal:

            def keep(text: str) -> None:
                nonlocal detail
                detail = text

            yield keep
            note(f"{name.ljust(NAME_WIDTH)} {detail or 'done'} ({_seconds(began)})")
            return
        with self._console.status(_line(name, "")) as status:

            def say(text: str) -> None:
                nonlocal detail
                detail = text
                status.update(_line(name, text))

            try:
                yield say
            except BaseException:
                self._console.print(f"[red]✗[/red] {_line(name, detail)}")
                raise
        line = _line(name, detail or "done")
        self._console.print(f"[green]✓[/green] {line} [dim]{_seconds(began)}[/dim]")


def interrupt_on_signals() -> None:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does: what was started is removed."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def _line(name: str, detail: str) -> str:
    return f"{name.ljust(NAME_WIDTH)} {escape(printable(detail))}"


def _seconds(began: float) -> str:
    return f"{time.monotonic() - began:.1f} s"
