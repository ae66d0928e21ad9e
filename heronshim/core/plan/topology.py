"""The logical plan: what a topology is, as its author wrote it. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    Values = Mapping[str, object]

DEFAULT_STREAM = "default"
"""Stream id used when the author names none."""

SYSTEM_COMPONENT = "__system"
"""Source component of tick tuples (Storm's name)."""

SYSTEM_TASK = -1
"""Source task of tick tuples (Storm's number)."""

TICK_STREAM = "__tick"
"""Stream of tick tuples (Storm's name)."""

METRICSMGR_TASK = -2
"""Reserved destination of metrics frames: the container's metrics manager."""
ENGINE_NAMES = ("stmgr", "metricsmgr", "tmaster-sink")
"""Processes of a container are named by one of these and its number, as those of a component by
its id and a task's: no component may have such an id."""


class ComponentKind(StrEnum):
    """What a component is."""

    SPOUT = "spout"
    BOLT = "bolt"


class Language(StrEnum):
    """The language of the instance that runs a component."""

    PYTHON = "python"
    JAVA = "java"
    CPP = "cpp"
    SHELL = "shell"


class Dialect(StrEnum):
    """Whose defaults and rules a topology follows."""

    HERONSHIM = "heronshim"
    STORM = "storm"
    HERON = "heron"


class GroupingKind(StrEnum):
    """The rules that divide a stream among a consumer's tasks."""

    SHUFFLE = "shuffle"
    FIELDS = "fields"
    ALL = "all"
    GLOBAL = "global"
    NONE = "none"
    DIRECT = "direct"
    LOCAL_OR_SHUFFLE = "local_or_shuffle"
    PARTIAL_KEY = "partial_key"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of the author's file; `line` counts from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Grouping:
    """One grouping rule.

    `fields` belongs to FIELDS and PARTIAL_KEY; `object` ("package.module:Class") and
    `arguments` to CUSTOM.
    """

    kind: GroupingKind
    fields: tuple[str, ...] = ()
    object: str = ""
    arguments: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutputStream:
    """A stream that a component declares."""

    id: str
    fields: tuple[str, ...]
    direct: bool = False


@dataclass(frozen=True, slots=True)
class InputStream:
    """A stream that a component consumes."""

    component: str
    stream: str
    grouping: Grouping
    source: SourceLine | None = None


@dataclass(frozen=True, slots=True)
class Component:
    """A spout or a bolt.

    `object` is what the instance loads, for Python "package.module:Class"; `arguments` its
    keyword arguments, values that MessagePack knows. `options` holds only the fields of
    `heronshim.config.ComponentOptions` that the author set.
    """

    id: str
    kind: ComponentKind
    object: str
    language: Language = Language.PYTHON
    arguments: Values = field(default_factory=dict)
    parallelism: int = 1
    tasks: int | None = None
    """None: as many as `parallelism`."""
    outputs: tuple[OutputStream, ...] = ()
    inputs: tuple[InputStream, ...] = ()
    options: Values = field(default_factory=dict)
    user_config: Values = field(default_factory=dict)
    source: SourceLine | None = None

    @property
    def task_count(self) -> int:
        """Number of tasks, at least `parallelism` in a valid topology."""
        return self.parallelism if self.tasks is None else self.tasks

    def output(self, stream: str) -> OutputStream | None:
        """Return the declared stream of that id, or None."""
        return next((output for output in self.outputs if output.id == stream), None)


@dataclass(frozen=True, slots=True)
class Topology:
    """The logical plan. `options` holds only the fields of TopologyOptions that were set."""

    name: str
    components: tuple[Component, ...]
    """Ascending by id."""
    id: str = ""
    options: Values = field(default_factory=dict)
    user_config: Values = field(default_factory=dict)
    dialect: Dialect = Dialect.HERONSHIM
    phantoms: Mapping[str, int] = field(default_factory=dict)
    """Number of tasks of components that take part in the numbering of tasks and never run: Storm's
    own, such as __acker."""

    def component(self, component_id: str) -> Component:
        """Return the component of that id.

        Raises:
            KeyError: there is none.
        """
        for component in self.components:
            if component.id == component_id:
                return component
        raise KeyError(component_id)

    def consumers(self, component: str, stream: str) -> list[tuple[Component, InputStream]]:
        """Return who consumes a stream and how, ascending by consumer id."""
        return [
            (consumer, item)
            for consumer in self.components
            for item in consumer.inputs
            if item.component == component and item.stream == stream
        ]
