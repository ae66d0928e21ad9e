"""What `Spout.spec` and `Bolt.spec` return: a component of a topology, declared but not checked.

All checks happen when the topology is built, so that an author sees every problem at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, final

from heronshim.api.declaration import Declaration, declared_here

if TYPE_CHECKING:
    from heronshim.api.grouping import Grouping
    from heronshim.core.plan.topology import ComponentKind

SPEC_WORDS = ("name", "parallelism", "tasks", "inputs", "outputs", "options", "config", "args")
"""Keywords that `spec` keeps for itself; all others are arguments of the constructor."""


@dataclass(frozen=True, slots=True)
class Stream:
    """An output stream that is more than a list of field names."""

    fields: Sequence[str]
    direct: bool = False
    """Whether each tuple goes to the task that `emit_direct` names."""


@dataclass(frozen=True, slots=True)
class StreamRef:
    """A stream to consume: `lines["errors"]`, or `StreamRef("lines", "errors")` by ids."""

    component: ComponentSpec | str
    """The component's spec, or its id."""
    stream: str
    declaration: Declaration = field(default_factory=declared_here, compare=False, repr=False)


@final
class ComponentSpec:
    """A component as its author declared it.

    Use it as an input of other components; `spec["errors"]` is its stream "errors".
    """

    __slots__ = (
        "args",
        "arguments",
        "component_class",
        "config",
        "declaration",
        "inputs",
        "kind",
        "name",
        "options",
        "outputs",
        "parallelism",
        "tasks",
    )
    __iter__ = None
    """Not iterable, though it has items: else a bare spec would pass for an endless list."""

    def __init__(
        self,
        kind: ComponentKind,
        component_class: type,
        *,
        name: str | None,
        parallelism: int,
        tasks: int | None,
        inputs: Inputs | None,
        outputs: Outputs | None,
        options: Mapping[str, object] | None,
        config: Mapping[str, object] | None,
        args: Mapping[str, object] | None,
        arguments: Mapping[str, object],
    ) -> None:
        self.kind = kind
        self.component_class = component_class
        self.name = name
        self.parallelism = parallelism
        self.tasks = tasks
        self.inputs = inputs
        self.outputs = outputs
        self.options = options
        self.config = config
        self.args = args
        self.arguments = arguments
        self.declaration = declared_here()

    def __getitem__(self, stream: str) -> StreamRef:
        return StreamRef(self, stream)

    def __repr__(self) -> str:
        name = getattr(self.component_class, "__name__", repr(self.component_class))
        return f"<spec of {name} at {self.declaration.source}>"


Source: TypeAlias = ComponentSpec | StreamRef | str
"""What a bolt consumes: a component (its default stream) or one of its streams; text is an id."""

Inputs: TypeAlias = Sequence[Source] | Mapping[Source, "Grouping"]
"""Inputs of a bolt: a list means shuffle grouping for each, a mapping names the groupings."""

Outputs: TypeAlias = Sequence[str] | Mapping[str, Sequence[str] | Stream]
"""Field names of the default stream, or a mapping of stream id to field names or Stream."""
