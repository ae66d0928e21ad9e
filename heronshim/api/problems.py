"""Collects what is wrong with a topology, so that its author sees everything at once."""

from __future__ import annotations

from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heronshim.core.plan.topology import SourceLine


class Problems:
    """Lines of the form `file:line: what; what to do`, each once, in the order found."""

    def __init__(self, shown: Callable[[str], str] = str) -> None:
        self._shown = shown
        self._lines: dict[str, None] = {}
        self.incomplete = False
        """Whether a component or input could not be read, so that what else is wrong is unclear."""

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, source: SourceLine, text: str) -> None:
        """Add a problem at a line of the author's; its file is shown as the author gave it."""
        self._lines[f"{self.place(source)}: {text}"] = None

    def place(self, source: SourceLine) -> str:
        """Return a line of the author's for a message."""
        return f"{self._shown(source.file)}:{source.line}"


def kind_of(value: object) -> str:
    """Return what a value is, for a message: "the class Count", "a list", "None"."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, (FunctionType, BuiltinFunctionType)):
        return f"the function {value.__qualname__}"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def name_of(component_class: type) -> str:
    """Return a class's name as its author wrote it."""
    return component_class.__qualname__.rpartition("<locals>.")[2]
