"""Verb setup: fetches what this host lacks for components in other languages."""

from __future__ import annotations

import typer

from heronshim.cli.output import (
    JsonOption,
    Output,
    OutputOption,
    print_json,
    print_line,
    wants_json,
)
from heronshim.cli.progress import Steps
from heronshim.storm.client_jars import client_jars, fetch_client_jars, jars_folder

app = typer.Typer(rich_markup_mode=None, help="Fetch what components in other languages need.")


@app.callback()
def _setup() -> None:
    pass


@app.command("java")
def java(output: OutputOption = Output.TABLE, json: JsonOption = False) -> None:
    """Fetch Storm's client library, which Java components run on, and check each jar."""
    as_json = wants_json(output, json)
    with Steps(quiet=as_json).step("storm-client") as say:
        fetched = fetch_client_jars(say)
        if not fetched:
            say("all jars are there")
    jars = client_jars()
    if as_json:
        print_json({"folder": str(jars_folder()), "jars": len(jars), "fetched": fetched})
    else:
        print_line(f"{len(jars)} jars are in {jars_folder()}")
