"""Words on the command line: topology names, and arguments that say where a topology is."""

from __future__ import annotations

from typing import Annotated

import typer

from heronshim.cli.home import home_path, topologies_folder
from heronshim.core.plan.validation import topology_name_problems
from heronshim.errors import ConfigError, HeronshimError


def checked_name(name: str) -> str:
    """Return a topology's name if it can be one.

    Raises:
        ConfigError: it cannot; says which character and what to write instead.
    """
    problems = topology_name_problems(name)
    if problems:
        raise ConfigError("\n".join(problems))
    return name


def is_definition(argument: str) -> bool:
    """Return whether an argument says where a topology is written: "file.py:Class", "module:Class".

    A name holds none of these characters, so that no file can pass for a name.
    """
    return any(mark in argument for mark in "/.:\\")


def complete_name(incomplete: str) -> list[str]:
    """Return names of this host's topologies, for a shell's completion; never fails."""
    try:
        folder = topologies_folder(home_path())
        names = [entry.name for entry in folder.iterdir() if entry.is_dir()]
    except (OSError, HeronshimError):
        return []
    return sorted(name for name in names if name.startswith(incomplete))


NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="TOPOLOGY", help="Name of a topology, see list.", autocompletion=complete_name
    ),
]
DefinitionArgument = Annotated[
    str, typer.Argument(metavar="FILE[:CLASS]", help="file.py, file.py:Class or module:Class.")
]
ComponentOption = Annotated[
    str, typer.Option("--component", "-c", help="Only this component.", show_default=False)
]
