"""The command `heronshim`: finds the verb, runs it, and turns every end into an exit code.

0 ok, 1 fault, 2 usage, 3 not found, 4 refused, 5 time-out; 130 interrupted, 141 closed pipe.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
import traceback
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]
from typer.core import TyperGroup
from typer.exceptions import TyperException

from heronshim.cli.home import crash_folder, home_folder
from heronshim.cli.output import Output, args_want_json, prepare_streams, print_error
from heronshim.cli.verbs import VERBS
from heronshim.errors import HeronshimError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_INTERRUPTED = 130
"""As a shell reports SIGINT."""
EXIT_CLOSED_PIPE = 141
"""As a shell reports SIGPIPE."""
COMPLETE_VARIABLE = "_HERONSHIM_COMPLETE"
"""Set by the script of the verb completion; typer answers it."""
CRASH_FILES_MAX = 20
"""Older tracebacks go."""


class VerbGroup(TyperGroup):
    """Imports the module of a verb only when that verb runs."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return all verbs, in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the verb's module and return its command; None for an unknown verb."""
        if cmd_name not in VERBS:
            return None
        group = typer.main.get_group(command_module(cmd_name).app)
        return group.commands.get(cmd_name, group)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the verb, or say which one is nearest."""
        word = args[0]
        if word not in VERBS and not word.startswith("-"):
            ctx.fail(f'no verb "{word}".{nearest(word, VERBS)}')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the table of verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])


def command_module(verb: str) -> Any:
    """Import the module that holds a verb."""
    return importlib.import_module(f"heronshim.cli.{VERBS[verb].module}")


app = typer.Typer(
    cls=VerbGroup,
    name="heronshim",
    help="Run Storm topologies on a Python core: submit them, watch them, end them.",
    epilog="Exit codes: 0 ok, 1 fault, 2 usage, 3 not found, 4 refused, 5 time-out.",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and end.", is_eager=True)
    ] = False,
) -> None:
    if version:
        command_module("version").show(Output.TABLE)
        raise typer.Exit(0)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line (that of the process by default) and exit with its code."""
    words = list(sys.argv[1:] if args is None else args)
    prepare_streams()
    os.umask(0o077)
    if COMPLETE_VARIABLE in os.environ:
        completion_init()
    code = EXIT_CLOSED_PIPE
    try:
        code = _run(words or ["--help"])
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would try to flush again at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _run(words: list[str]) -> int:
    """Run one command line and return its exit code, whatever happens."""
    as_json = args_want_json(words)
    try:
        result = app(words, prog_name="heronshim", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except HeronshimError as error:
        message, code = str(error), error.exit_code
    except TyperException as error:
        message, code = _usage_message(error), error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        message, code = "interrupted", EXIT_INTERRUPTED
    except BrokenPipeError:
        raise
    except SystemExit as end:
        # typer's answer to a closed pipe.
        if end.code == 1:
            raise BrokenPipeError from None
        raise
    except Exception as error:  # noqa: BLE001 - the last place that can say what happened
        message, code = _unexpected(error), 1
    print_error(message, exit_code=code, as_json=as_json)
    return code


def _usage_message(error: TyperException) -> str:
    """Return what is wrong with the words, and where help is."""
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    return f"{message}\nsee: {context.command_path} --help"


def _unexpected(error: Exception) -> str:
    """Keep the traceback of a bug in a file; return one line for the user."""
    what = " ".join(f"{type(error).__name__}: {error}".split())
    try:
        folder = crash_folder(home_folder())
        folder.mkdir(mode=0o700, exist_ok=True)
        for old in sorted(folder.glob("*.txt"))[: -CRASH_FILES_MAX + 1]:
            old.unlink()
        file = folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt"
        file.write_text("".join(traceback.format_exception(error)), errors="backslashreplace")
    except (OSError, HeronshimError):
        return f"unexpected error, please report it: {what}"
    return f"unexpected error: {what}; please report it with the file {file}"


if __name__ == "__main__":
    main()
