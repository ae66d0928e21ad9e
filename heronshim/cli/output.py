"""How every verb prints: a table for people or JSON for programs, on any terminal."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence


class Output(StrEnum):
    """Forms of a result."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Form of the result.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Short for --output json.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def wants_json(output: Output, json_flag: bool) -> bool:
    """Return whether a verb's two options ask for JSON."""
    return json_flag or output is Output.JSON


def args_want_json(args: Sequence[str]) -> bool:
    """Return whether words of a command line ask for JSON; for errors, before they are parsed."""
    pairs = pairwise(args)
    return (
        "--json" in args
        or "--output=json" in args
        or any(pair in (("--output", "json"), ("-o", "json")) for pair in pairs)
    )


def print_json(value: object) -> None:
    """Print one value as indented JSON on standard output."""
    sys.stdout.write(json_text(value, indent=2) + "\n")


def json_text(value: object, *, indent: int | None = None) -> str:
    """Return JSON that cannot act on a terminal: what is not printable is written as \\uXXXX."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    if text.isprintable():
        return text
    # Outside texts there is nothing unprintable but the line ends of the indent.
    return "".join(
        character if character.isprintable() or character == "\n" else json.dumps(character)[1:-1]
        for character in text
    )


def print_line(text: str = "") -> None:
    """Print one line on standard output, control characters escaped."""
    sys.stdout.write(printable(text) + "\n")


def note(text: str) -> None:
    """Print one line on standard error: what happens, never the result."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def printable(text: str) -> str:
    """Return text that cannot act on a terminal: control characters but tab are escaped."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\t" else _escape(character)
        for character in text
    )


def printable_lines(text: str) -> str:
    """Do as `printable`, but keep line ends."""
    return "\n".join(printable(line) for line in text.splitlines())


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a head; numbers to the right, short of any colour or frame.

    Plain text, so that it needs no library and reads well in a pipe.
    """
    texts = [[_cell(value) for value in row] for row in rows]
    widths = [
        max([len(head), *(len(row[index]) for row in texts)]) for index, head in enumerate(columns)
    ]
    right = [
        bool(rows) and all(isinstance(row[index], int | float | None) for row in rows)
        for index in range(len(columns))
    ]
    for row in [[head.upper() for head in columns], *texts]:
        cells = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return printable(str(value))


def print_error(message: str, *, exit_code: int, as_json: bool) -> None:
    """Print what went wrong on standard error: one line for each thing, or one JSON object."""
    if as_json:
        value: dict[str, Any] = {"error": {"exit_code": exit_code, "message": message}}
        text = json_text(value)
    else:
        lines = printable_lines(message).splitlines() or ["unknown error"]
        text = "\n".join([f"heronshim: {lines[0]}", *(f"           {line}" for line in lines[1:])])
    sys.stderr.write(text + "\n")


def is_terminal() -> bool:
    """Return whether standard output shows to a person who can watch it change."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") != "dumb"


def confirm(question: str, yes: bool) -> None:
    """Ask before something that cannot be undone.

    Raises:
        typer.BadParameter: nobody can be asked and `yes` was not given.
        typer.Exit: the answer was no (code 4, refused).
    """
    if yes:
        return
    if not sys.stdin.isatty():
        msg = f"{question} Nobody can be asked here; add --yes."
        raise typer.BadParameter(msg, param_hint="--yes")
    if not typer.confirm(printable(question), err=True):
        note("nothing was done")
        raise typer.Exit(4)


def prepare_streams() -> None:
    """Let a character that the terminal's encoding lacks be shown as an escape, not fail."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
