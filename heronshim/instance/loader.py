"""Loads a topology from its author's file.

`load_in_child` is for the command line, so that an author's code never runs in its process;
`load_definition` runs it here. `load_component`, for instances, lives in a module that imports
less.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from heronshim.api.build import Built, build
from heronshim.api.topology import Topology, TopologyBuilder, builder_draft, class_draft
from heronshim.core.codec.topology import topology_from_bytes, topology_to_bytes
from heronshim.core.plan.topology import Topology as Definition
from heronshim.core.plan.validation import validate
from heronshim.errors import RemoteProtocolError, TopologyError, nearest
from heronshim.instance.author_code import (
    AuthorCode,
    TookTooLong,
    files_to_ship,
    name_is_taken,
    nearest_file,
)
from heronshim.instance.component_loader import load_component

if TYPE_CHECKING:
    from types import FrameType, ModuleType

__all__ = ["LoadedTopology", "load_component", "load_definition", "load_in_child"]

SOURCE_BYTES_MAX = 16 << 20
"""A larger file is no topology but a mistake."""
CHILD_GRACE_S = 2.0
"""A child that its own timer could not stop is killed this much later."""
OUTPUT_VERSION = 1


@dataclass(frozen=True, slots=True)
class LoadedTopology:
    """A valid topology and what belongs to it."""

    definition: Definition
    files: dict[str, Path]
    """The author's files to ship: path below the package folder -> file here."""
    warnings: tuple[str, ...]
    """One line each, with file and line."""


# ---- in this process ----


def load_definition(spec: str, name: str | None = None) -> LoadedTopology:
    """Import an author's file or module and return its topology.

    `spec` is "file.py", "file.py:Class", "package.module" or "package.module:Class"; without a
    class the only topology in the file. `name` replaces the topology's own.

    Raises:
        TopologyError: anything is wrong; one line for each problem, with file and line.
    """
    code, wanted = _located(spec)
    module = code.import_module()
    found = _chosen(module, wanted, code, spec)
    try:
        built = _built(found, name, code)
    except Exception as error:  # noqa: BLE001 - reading what authors wrote calls their __eq__, __repr__
        raise TopologyError([code.fault(error)]) from None
    problems = [*built.problems, *_unreachable(built.definition, code)]
    if problems:
        raise TopologyError(problems)
    return LoadedTopology(built.definition, files_to_ship(code), built.warnings)


def _located(spec: str) -> tuple[AuthorCode, str]:
    """Return where the code is and the name after the colon."""
    if not spec or not spec.isprintable():
        msg = f"{spec!r} names no topology; expected file.py:Class or package.module:Class"
        raise TopologyError([msg])
    place, colon, wanted = spec.rpartition(":")
    if not colon or "/" in wanted or wanted.endswith(".py"):
        place, wanted = spec, ""
    if colon and not wanted and place != spec:
        msg = f'"{spec}" ends with a colon; write {place}:Class, or {place} alone'
        raise TopologyError([msg])
    if place.endswith(".py") or "/" in place or Path(place).exists():
        return _located_file(place), wanted
    if not re.fullmatch(r"\w+(\.\w+)*", place):
        msg = f'"{spec}" names no topology; expected file.py:Class or package.module:Class'
        raise TopologyError([msg])
    return _located_module(place), wanted


def _located_file(place: str) -> AuthorCode:
    """Check what can be checked about a file before it is imported."""
    path = Path(place)
    try:
        problem = _file_problem(path)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}; check the path and its permissions"
    if not problem:
        problem = name_is_taken(path.stem, path.absolute())
    if problem:
        raise TopologyError([f"{place}: {problem}"])
    return AuthorCode(path.stem, path.absolute().parent, os.path.dirname(place))  # noqa: PTH120 - "" must stay ""


def _file_problem(path: Path) -> str:
    """Return why a file cannot be a topology, or an empty string."""
    if path.is_dir():
        names = sorted(item.name for item in path.glob("*.py"))
        there = f"it holds {', '.join(names[:5])}" if names else "it holds no Python file"
        return f"is a folder; expected a Python file ({there})"
    if not os.path.lexists(path):
        return f"there is no such file.{nearest_file(path)}"
    status = path.stat()
    if path.suffix != ".py":
        problem = "is not a Python file; expected a name that ends with .py"
    elif "." in path.stem:
        problem = "has a dot in its name, so that it cannot be imported; rename the file"
    elif not stat.S_ISREG(status.st_mode):
        problem = "is not a regular file; expected Python source"
    elif status.st_size > SOURCE_BYTES_MAX:
        size = f"has {status.st_size} bytes"
        problem = f"{size}; expected Python source of at most {SOURCE_BYTES_MAX}"
    elif b"\0" in path.read_bytes():
        problem = "is a binary file; expected Python source"
    else:
        problem = ""
    return problem


def _located_module(name: str) -> AuthorCode:
    """Return the folder that holds a module or its outermost package."""
    top = name.partition(".")[0]
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        importlib.invalidate_caches()
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        found = None
    finally:
        if added:
            sys.path.remove(here)
    places = list(found.submodule_search_locations or ()) if found else []
    origin = places[0] if places else found.origin if found else None
    if origin is None:
        msg = f'{name}: there is no module "{top}", here or installed; run from the folder that'
        msg += " holds it, or give the file: path/to/file.py:Class"
        raise TopologyError([msg])
    root = Path(origin).absolute().parent
    return AuthorCode(name, root, "" if str(root) == here else str(root))


def _chosen(module: ModuleType, wanted: str, code: AuthorCode, spec: str) -> object:
    """Return the topology of a module that the author named, or its only one."""
    file = code.shown(str(module.__file__))
    place = spec.removesuffix(f":{wanted}") if wanted else spec
    topologies = {name: value for name, value in vars(module).items() if _is_topology(value)}
    if wanted:
        found = vars(module).get(wanted)
        if _is_topology(found):
            return found
        known = ", ".join(topologies) or "none"
        if wanted in vars(module):
            text = f'"{wanted}" is no topology but {_what(found)}'
            raise TopologyError([f"{file}:1: {text}; topologies in this file: {known}"])
        text = f'there is no "{wanted}"; topologies in this file: {known}'
        raise TopologyError([f"{file}:1: {text}.{nearest(wanted, topologies)}"])
    own = {
        name: value
        for name, value in topologies.items()
        if not name.startswith("_")
        and (not isinstance(value, type) or value.__module__ == module.__name__)
    }
    candidates = own or topologies
    different = {id(value): name for name, value in candidates.items()}
    if len(different) == 1:
        return candidates[next(iter(different.values()))]
    if not different:
        expected = "a class that derives from heronshim.api.Topology, or a TopologyBuilder"
        text = f"there is no topology; expected {expected}"
        raise TopologyError([f"{file}:1: {text}"])
    names = sorted(different.values())
    text = f"there are several topologies: {', '.join(names)}"
    text += f"; choose one, such as {place}:{names[0]}"
    raise TopologyError([f"{file}:1: {text}"])


def _unreachable(definition: Definition, code: AuthorCode) -> list[str]:
    """Return a line for each component whose module only the author's own sys.path finds."""
    problems = []
    for component in definition.components:
        module = component.object.partition(":")[0]
        file = getattr(sys.modules.get(module), "__file__", None)
        if isinstance(file, str) and not code.owns(file) and not _on_path(Path(file)):
            text = f"{component.object} comes from {file}, where instances do not find it"
            text += f"; move it below {code.root} or install it"
            problems.append(f'{component.source}: component "{component.id}": {text}')
    return problems


def _on_path(file: Path) -> bool:
    """Return whether a file is below a folder that every process of this interpreter looks into."""
    return any(entry and file.is_relative_to(Path(entry).absolute()) for entry in sys.path)


def _is_topology(value: object) -> bool:
    if isinstance(value, type):
        return issubclass(value, Topology) and value is not Topology
    return isinstance(value, (TopologyBuilder, Definition))


def _what(value: object) -> str:
    if isinstance(value, type):
        bases = ", ".join(base.__name__ for base in value.__bases__)
        return f"a class that derives from {bases}"
    return f"an object of type {type(value).__name__}"


def _built(found: object, name: str | None, code: AuthorCode) -> Built:
    """Return the definition of what was found, checked."""
    if isinstance(found, TopologyBuilder):
        return build(builder_draft(found, name), code.shown)
    if isinstance(found, type) and issubclass(found, Topology):
        return build(class_draft(found, name), code.shown)
    assert isinstance(found, Definition)
    definition = replace(found, name=name) if name else found
    problems, warnings = validate(definition)
    shown = code.shown_text
    return Built(
        definition, tuple(shown(line) for line in problems), tuple(shown(line) for line in warnings)
    )


# ---- in a child process ----


def load_in_child(
    spec: str,
    python: str = sys.executable,
    timeout_s: float = 30.0,
    name: str | None = None,
) -> LoadedTopology:
    """Do `load_definition` in a process of its own; what it prints goes to our stderr.

    Raises:
        TopologyError: anything is wrong, or the author's code did not end in `timeout_s`.
    """
    with tempfile.TemporaryDirectory(prefix="heronshim-load-") as folder:
        output = Path(folder) / "topology"
        command = [python, "-m", "heronshim.instance.loader"]
        command += [spec, str(output), str(timeout_s), name or ""]
        try:
            child = subprocess.Popen(  # noqa: S603 - the user's own interpreter and file
                command, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True
            )
        except OSError as error:
            text = f"{python}: cannot be run: {error.strerror}; expected a Python interpreter"
            raise TopologyError([text]) from None
        try:
            code = child.wait(timeout_s + CHILD_GRACE_S)
        except subprocess.TimeoutExpired:
            text = f"{spec}: its import did not end within {timeout_s:g} s"
            text += " and could not be interrupted; at import a file only declares"
            raise TopologyError([text]) from None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        return _read_output(output, spec, python, code)


def _read_output(output: Path, spec: str, python: str, code: int) -> LoadedTopology:
    """Read what a child wrote."""
    if code != 0 or not output.is_file():
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        text = f"{spec}: the process that imported it ended with {how} before it was done"
        text += "; look for os._exit, a crash in a library or too little memory"
        raise TopologyError([text])
    header, _, definition = output.read_bytes().partition(b"\n")
    values = json.loads(header)
    if values["version"] != OUTPUT_VERSION or len(definition) != values["definition_bytes"]:
        text = f"{spec}: the loader wrote {len(definition)} bytes, expected"
        text += f" {values['definition_bytes']}; does {python} have another heronshim version?"
        raise RemoteProtocolError(text)
    if values["problems"]:
        raise TopologyError(values["problems"])
    files = {relative: Path(file) for relative, file in values["files"].items()}
    return LoadedTopology(topology_from_bytes(definition), files, tuple(values["warnings"]))


def main(arguments: list[str]) -> None:
    """Run as the child: SPEC OUTPUT TIMEOUT_S NAME; exits 0 when the output is complete."""
    spec, output, timeout_s, name = arguments
    # `python -m` looks for modules in the working folder; an author's file does not.
    if not sys.flags.safe_path:
        del sys.path[0]

    def stop(_: int, __: FrameType | None) -> None:
        raise TookTooLong(f"still running after {float(timeout_s):g} s")  # noqa: EM102

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, float(timeout_s))
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    definition = b""
    files: dict[str, str] = {}
    try:
        loaded = load_definition(spec, name or None)
        definition = topology_to_bytes(loaded.definition)
        files = {relative: str(file) for relative, file in loaded.files.items()}
        warnings = loaded.warnings
    except TopologyError as error:
        problems = error.problems
    signal.setitimer(signal.ITIMER_REAL, 0)
    header = {
        "version": OUTPUT_VERSION,
        "definition_bytes": len(definition),
        "files": files,
        "warnings": warnings,
        "problems": problems,
    }
    Path(output).write_bytes(json.dumps(header).encode() + b"\n" + definition)
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that the author's code left behind must not keep this process.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
