"""A tuple as a bolt sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from heronshim import native
from heronshim.core.plan.topology import SYSTEM_COMPONENT, TICK_STREAM

if TYPE_CHECKING:
    from collections.abc import Sequence


class Source:
    """Where the tuples of one batch come from, and their roots; shared by all of them."""

    __slots__ = ("children", "component", "edges", "fields", "roots", "stream", "task")

    def __init__(self, component: str, task: int, stream: str, fields: tuple[str, ...]) -> None:
        self.component = component
        self.task = task
        self.stream = stream
        self.fields = fields
        self.roots: Any = None
        """Per row one root, or a tuple of roots, or 0 for none; None when no row is tracked."""
        self.edges: Any = None
        """Beside `roots`."""
        self.children: list[int] | None = None
        """Per row the XOR of edges emitted with the row as an anchor; made at first use."""


class Tuple(msgspec.Struct, gc=False, eq=False):
    """Values of one tuple, by position or by field name: `tup[0]`, `tup["word"]`, `tup.values`.

    A struct of msgspec because one is made in half the time of a slotted class (47 ns against 99).
    """

    values: list[Any]
    _source: Source
    _row: int = 0

    @property
    def component(self) -> str:
        """Component that emitted it ("__system" for ticks)."""
        return self._source.component

    @property
    def task(self) -> int:
        """Task that emitted it (-1 for ticks)."""
        return self._source.task

    @property
    def stream(self) -> str:
        """Stream it came on ("__tick" for ticks)."""
        return self._source.stream

    @property
    def fields(self) -> tuple[str, ...]:
        """Field names of its stream, in order."""
        return self._source.fields

    @property
    def is_tick(self) -> bool:
        """Whether the engine made it as a tick."""
        return self._source.stream == TICK_STREAM and self._source.component == SYSTEM_COMPONENT

    def __getitem__(self, key: int | str) -> Any:
        if isinstance(key, int):
            return self.values[key]
        try:
            return self.values[self._source.fields.index(key)]
        except ValueError:
            names = ", ".join(self._source.fields)
            stream = f'stream "{self.stream}" of "{self.component}"'
            msg = f'{stream} has no field "{key}"; it has: {names}'
            raise KeyError(msg) from None

    def __len__(self) -> int:
        return len(self.values)

    def select(self, fields: Sequence[str]) -> list[Any]:
        """Return the values of several fields, in the order asked."""
        return [self[name] for name in fields]

    def __repr__(self) -> str:
        return f"Tuple({self.values!r}, {self.component}:{self.stream} task {self.task})"


PurePythonTuple = Tuple
"""The class above, whichever is in use."""

if native.MODULE is not None:
    for _name in (
        "component",
        "task",
        "stream",
        "fields",
        "is_tick",
        "select",
        "__getitem__",
        "__len__",
        "__repr__",
        "__doc__",
    ):
        setattr(native.MODULE.Tuple, _name, vars(Tuple)[_name])
    if not TYPE_CHECKING:
        Tuple = native.MODULE.Tuple
