"""Imports an author's code; whatever it does wrong becomes one line for people.

The line has the form `file:line: what; what to do`, with the file as the author gave it.
"""

from __future__ import annotations

import ast
import importlib
import linecache
import sys
import sysconfig
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from heronshim.errors import TopologyError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType, TracebackType

MESSAGE_CHARACTERS_MAX = 300
"""More of an author's exception text is cut: it may hold whole documents."""
_ENGINE_MODULES = {"google", "heronshim", "msgspec", "numpy", "zmq"}
"""What instances import themselves: an author's file of that name would stand in their way."""
_INSTALLED = ("site-packages", "dist-packages")


class TookTooLong(BaseException):
    """Raised inside an author's code by the loader's timer."""


@dataclass(frozen=True, slots=True)
class AuthorCode:
    """A module of an author's and the folder that its imports start from."""

    module: str
    root: Path
    """Absolute."""
    shown_root: str
    """The folder as the author gave it: "" for the working folder."""

    def shown(self, file: str) -> str:
        """Return a file's path as the author knows it."""
        if self.owns(file):
            return str(Path(self.shown_root) / Path(file).relative_to(self.root))
        return file

    def shown_text(self, text: str) -> str:
        """Return a message with paths below the folder as the author knows them."""
        prefix = f"{self.shown_root}/" if self.shown_root else ""
        return text.replace(f"{self.root}/", prefix)

    def owns(self, file: str) -> bool:
        """Return whether a file is the author's: below the folder and not an installed library."""
        path = Path(file)
        if not path.is_relative_to(self.root) or not path.is_absolute():
            return False
        parts = path.relative_to(self.root).parts
        if parts[0] == "heronshim" and path.is_relative_to(Path(__file__).parents[1]):
            return False
        library = sysconfig.get_path("stdlib")
        return not any(part in parts for part in _INSTALLED) and not path.is_relative_to(library)

    def import_module(self) -> ModuleType:
        """Import the module.

        Raises:
            TopologyError: it cannot be imported; names the line of the author's that is at fault.
        """
        with _importing_from(str(self.root)):
            try:
                return importlib.import_module(self.module)
            except KeyboardInterrupt:
                raise
            except TopologyError as error:
                raise TopologyError(self.shown_text(line) for line in error.problems) from None
            except BaseException as error:  # noqa: BLE001 - an author's code may raise anything
                raise TopologyError([self.fault(error)]) from None

    def fault(self, error: BaseException) -> str:
        """Return the line for what an author's code raised."""
        if isinstance(error, SyntaxError):
            return self._syntax_fault(error)
        found = _deepest(error.__traceback__, self.owns)
        main = self.root.joinpath(*self.module.split("."))
        file, line = found or (str(main.with_suffix(".py")), 1)
        text = f"{_exception_text(error)}{_code(file, line)}"
        hint = _hint(error, self.root)
        return f"{self.shown(file)}:{line}: {text}{'.' if hint else ''}{hint}"

    def _syntax_fault(self, error: SyntaxError) -> str:
        file = self.shown(error.filename or f"{self.module}.py")
        column = f":{error.offset}" if error.offset else ""
        text = (error.text or "").strip()
        code = f"; the line is: {text}" if text else ""
        if "null bytes" in error.msg or "codec can't decode" in error.msg:
            return f"{file}: is not a Python source file ({_cut(error.msg)}); expected UTF-8 text"
        return f"{file}:{error.lineno or 1}{column}: syntax error: {_cut(error.msg)}{code}"


@contextmanager
def _importing_from(root: str) -> Iterator[None]:
    """Look for modules below `root` first; write no bytecode into the author's folder."""
    path, write = sys.path[:], sys.dont_write_bytecode
    sys.path.insert(0, root)
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:], sys.dont_write_bytecode = path, write


def name_is_taken(module: str, file: Path) -> str:
    """Return why a file cannot be imported under its name, or an empty string."""
    top = module.partition(".")[0]
    loaded = sys.modules.get(top)
    other = str(getattr(loaded, "__file__", "") or "another module")
    if top in sys.stdlib_module_names or top in _ENGINE_MODULES:
        other = f'the module "{top}" of {"the engine" if top in _ENGINE_MODULES else "Python"}'
    elif loaded is None or Path(other) == file:
        return ""
    return f"its name would hide {other}; rename the file"


def _deepest(
    traceback: TracebackType | None, owns: Callable[[str], bool]
) -> tuple[str, int] | None:
    """Return file and line of the innermost frame that is the author's."""
    found = None
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if owns(file):
            found = file, traceback.tb_lineno
        traceback = traceback.tb_next
    return found


def _code(file: str, line: int) -> str:
    """Return the line's own text for the end of a message."""
    text = linecache.getline(file, line).strip()
    return f"; the line is: {_cut(text)}" if text else ""


def _exception_text(error: BaseException) -> str:
    """Return what happened, in one line."""
    if isinstance(error, TookTooLong):
        return f"{error}; at import a file only declares, work belongs into open and prepare"
    if isinstance(error, SystemExit):
        return (
            f"sys.exit({error.code!r}) ends the program while the file is imported"
            '; put it below if __name__ == "__main__":'
        )
    if isinstance(error, ModuleNotFoundError) and error.name:
        text = f'there is no module "{error.name}" for {sys.executable}'
        return f"{text}; install it there or put it beside the file"
    return f"{type(error).__name__} while the file is imported: {_message(error)}"


def _message(error: BaseException) -> str:
    try:
        text = str(error)
        if isinstance(error, ImportError):
            # Python names the file of the module too, which says nothing to the author.
            text = text.partition(" (/")[0]
        return _cut(text) or "(no message)"
    except Exception:  # noqa: BLE001 - __str__ is the author's code too
        return "(its text cannot be read)"


def _hint(error: BaseException, root: Path) -> str:
    """Return the nearest name for a misspelt one, or other advice, after a space."""
    if isinstance(error, EOFError):
        return " Nobody answers at import; pass what the file asks for as an argument of spec"
    if isinstance(error, ImportError) and "no known parent package" in str(error):
        return " Give the topology as package.module:Class, from the folder of the package"
    word, known = _misspelt(error, root)
    return nearest(word, known) if word else ""


def _misspelt(error: BaseException, root: Path) -> tuple[str, Iterable[str]]:
    """Return a name that was not found and those that exist there."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        beside = {path.stem for path in root.glob("*.py")}
        return error.name, beside | set(sys.stdlib_module_names)
    if isinstance(error, ImportError):
        quoted = str(error).split("'")
        there = _names(sys.modules.get(error.name or ""))
        return (quoted[1], there) if len(quoted) > 2 else ("", ())
    if isinstance(error, AttributeError):
        return error.name or "", _names(error.obj)
    if isinstance(error, NameError):
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        if traceback is not None:
            frame = traceback.tb_frame
            return error.name or "", {*frame.f_locals, *frame.f_globals, *frame.f_builtins}
    return "", ()


def _names(value: object) -> Iterable[str]:
    try:
        return [name for name in dir(value) if not name.startswith("_")]
    except Exception:  # noqa: BLE001 - __dir__ is the author's code too
        return []


def _cut(text: str) -> str:
    """Return a text on one line, without control characters, cut where it is too long."""
    line = " ".join(text.split())
    line = "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in line
    )
    return line if len(line) <= MESSAGE_CHARACTERS_MAX else f"{line[:MESSAGE_CHARACTERS_MAX]}..."


def files_to_ship(code: AuthorCode) -> dict[str, Path]:
    """Return the author's files by their path below the folder, with "/", ascending.

    They are the modules below the folder that were imported, and those that their source
    imports later (inside functions), as far as import statements tell. An installed package needs
    none: the interpreter of the instances has it too.
    """
    if any(part in code.root.parts for part in _INSTALLED):
        return {}
    waiting = [Path(file) for module in list(sys.modules.values()) if (file := _file_of(module))]
    found: dict[str, Path] = {}
    while waiting:
        path = waiting.pop()
        if not code.owns(str(path)):
            continue
        relative = path.relative_to(code.root).as_posix()
        if relative in found or not path.is_file():
            continue
        found[relative] = path
        if path.suffix == ".py":
            waiting += _imported_by(path, code.root)
    return dict(sorted(found.items()))


def _file_of(module: ModuleType) -> str:
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) else ""


def _imported_by(path: Path, root: Path) -> list[Path]:
    """Return the files below `root` that import statements of a source file may mean."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError):
        return []
    names: set[str] = set()
    package = path.relative_to(root).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join((*base, *([node.module] if node.module else [])))
            names.add(start)
            names.update(f"{start}.{alias.name}" for alias in node.names)
    found: list[Path] = []
    for name in names:
        parts = [part for part in name.split(".") if part]
        for end in range(1, len(parts) + 1):
            stem = root.joinpath(*parts[:end])
            found += [stem.with_name(f"{stem.name}.py"), stem / "__init__.py"]
    return [file for file in found if file.is_file()]


def nearest_file(path: Path) -> str:
    """Return a hint at the file whose name is nearest to a missing one's."""
    folder = path.parent
    if not folder.is_dir():
        return f" The folder {folder} does not exist."
    names = [item.name for item in folder.iterdir()]
    matches = get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f' Did you mean "{folder / matches[0]}"?' if matches else ""
