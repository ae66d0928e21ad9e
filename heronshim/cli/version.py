"""Verb version."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import typer

from heronshim.cli.output import (
    JsonOption,
    Output,
    OutputOption,
    print_json,
    print_line,
    wants_json,
)
from heronshim.core.stream.frame import PROTOCOL_VERSION

LIBRARIES = ("msgspec", "numpy", "protobuf", "pyzmq", "rich", "typer")
app = typer.Typer(rich_markup_mode=None)


@app.command("version")
def show(output: OutputOption = Output.TABLE, json: JsonOption = False) -> None:
    """Show versions of heronshim, Python and the libraries."""
    libraries = {name: _version(name) for name in LIBRARIES}
    if wants_json(output, json):
        print_json(
            {
                "heronshim": heronshim_version(),
                "protocol": PROTOCOL_VERSION,
                "python": platform.python_version(),
                "libraries": libraries,
            }
        )
        return
    print_line(f"heronshim {heronshim_version()} (instance protocol {PROTOCOL_VERSION})")
    print_line(f"Python {platform.python_version()}, {platform.platform()}")
    print_line(", ".join(f"{name} {found}" for name, found in libraries.items()))


def heronshim_version() -> str:
    """Return the installed version of heronshim."""
    return _version("heronshim")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
