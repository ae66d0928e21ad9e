"""Tuples made by hand, for tests of components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from heronshim.api.tuple import Source, Tuple
from heronshim.core.plan.topology import (
    DEFAULT_STREAM,
    SYSTEM_COMPONENT,
    SYSTEM_TASK,
    TICK_STREAM,
)

SOURCE_COMPONENT = "source"
SOURCE_TASK = 1


@dataclass(frozen=True, slots=True)
class FixedTuple:
    """Values for a stream (Storm's class of that name)."""

    values: Sequence[Any]
    stream: str = DEFAULT_STREAM


TupleLike: TypeAlias = Tuple | FixedTuple | Mapping[str, Any] | Sequence[Any]
"""A tuple, or its values: as a list, or as a mapping of field names to values."""


def make_tuple(
    values: Mapping[str, Any] | Sequence[Any],
    fields: Sequence[str] = (),
    *,
    component: str = SOURCE_COMPONENT,
    stream: str = DEFAULT_STREAM,
    task: int = SOURCE_TASK,
) -> Tuple:
    """Return a tuple as a bolt gets it; a mapping's keys are its field names.

    Raises:
        ValueError: there are field names, and not as many as values.
    """
    if isinstance(values, Mapping):
        fields, values = tuple(values), tuple(values.values())
    if fields and len(fields) != len(values):
        msg = f"{len(values)} values for the fields {', '.join(fields)}; give one value for each"
        raise ValueError(msg)
    return Tuple(list(values), Source(component, task, stream, tuple(fields)))


def tick_tuple(interval_s: float = 1) -> Tuple:
    """Return a tick as the engine makes it."""
    source = Source(SYSTEM_COMPONENT, SYSTEM_TASK, TICK_STREAM, ("rate_secs",))
    return Tuple([interval_s], source)


def as_tuple(given: TupleLike, fields: Sequence[str] = ()) -> Tuple:
    """Return what a test gave as a tuple; `fields` are for plain values."""
    if isinstance(given, Tuple):
        return given
    if isinstance(given, FixedTuple):
        return make_tuple(given.values, fields, stream=given.stream)
    return make_tuple(given, fields)
