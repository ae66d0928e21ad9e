"""A tuple as a bolt sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class Source:
    """Where the tuples of one batch come from; shared by all of them."""

    __slots__ = ("component", "fields", "stream", "task")

    def __init__(self, component: str, task: int, stream: str, fields: tuple[str, ...]) -> None:
        self.component = component
        self.task = task
        self.stream = stream
        self.fields = fields


class Tuple:
    """Values of one tuple, by position or by field name: `tup[0]`, `tup["word"]`, `tup.values`."""

    __slots__ = ("_entry", "_source", "values")

    def __init__(self, values: list[Any], source: Source, entry: Any = None) -> None:  # noqa: ANN401
        self.values: list[Any] = values
        self._source = source
        self._entry = entry

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
        return self._source.stream == "__tick" and self._source.component == "__system"

    def __getitem__(self, key: int | str) -> Any:  # noqa: ANN401
        if isinstance(key, int):
            return self.values[key]
        try:
            return self.values[self._source.fields.index(key)]
        except ValueError:
            names = ", ".join(self._source.fields)
            msg = f'stream "{self.stream}" of "{self.component}" has no field "{key}"; it has: {names}'
            raise KeyError(msg) from None

    def __len__(self) -> int:
        return len(self.values)

    def select(self, fields: Sequence[str]) -> list[Any]:
        """Return the values of several fields, in the order asked."""
        return [self[name] for name in fields]

    def __repr__(self) -> str:
        return f"Tuple({self.values!r}, {self.component}:{self.stream} task {self.task})"
