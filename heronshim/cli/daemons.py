"""Verbs stmgr and tmaster: an engine process by hand, for tests against scripted peers."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from heronshim.cli.output import JsonOption, Output, OutputOption, print_json, wants_json
from heronshim.core.io.child import ChildStart

StartOption = Annotated[
    Path | None,
    typer.Option(
        "--start",
        exists=True,
        dir_okay=False,
        help="File with the JSON start line; by default standard input is read.",
    ),
]
CheckOption = Annotated[bool, typer.Option("--check", help="Check the start line and end.")]
app = typer.Typer(rich_markup_mode=None)


@app.command("stmgr")
def stmgr(
    start: StartOption = None,
    check: CheckOption = False,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Run a stream manager alone until SIGTERM; its log goes to standard error."""
    _run("stmgr", start, check, wants_json(output, json))


@app.command("tmaster")
def tmaster(
    start: StartOption = None,
    check: CheckOption = False,
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Run a topology master alone until SIGTERM; its log goes to standard error."""
    _run("tmaster", start, check, wants_json(output, json))


def _run(daemon: str, start: Path | None, check: bool, as_json: bool) -> None:
    """Give a daemon's main its start line on standard input, as a supervisor does."""
    if start is not None:
        sys.stdin = start.open(encoding="utf-8")
    if check:
        found = ChildStart.read(sys.stdin.buffer)
        if as_json:
            print_json({"process": found.process, "valid": True})
        else:
            typer.echo(f"start line of {found.process} is good")
        return
    code = importlib.import_module(f"heronshim.core.daemons.{daemon}").main()
    if as_json:
        print_json({"process": daemon, "exit_code": code})
    raise typer.Exit(code)
