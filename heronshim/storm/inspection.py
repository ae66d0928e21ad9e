"""What the Java program `io.heronshim.inspect.Inspect` wrote about a jar and its topologies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from heronshim.core.io.regular_file import read_regular
from heronshim.errors import StateError

FILE_BYTES_MAX = 64 << 20
_CLASS_VERSION_OF_JAVA_1 = 44
_Facts = TypeVar("_Facts")


@dataclass(frozen=True, slots=True)
class JarFacts:
    """What class files of an author's jar say."""

    classes: int
    newest_class_version: int
    """0 for a jar without classes."""
    damaged: tuple[str, ...] = ()
    """Files that cannot be read, each with the reason."""
    storms_own: tuple[str, ...] = ()
    """Classes in the jar that Storm's client has too."""
    libraries: tuple[str, ...] = ()
    """Of Storm, by what Maven left in the jar: "storm-client:2.8.3"."""
    uses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Class, or class and member, of Storm -> some classes of the jar that refer to it."""
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """As `uses`, of what Storm's client does not have."""

    @property
    def java_version(self) -> int:
        """Java that its newest class file needs."""
        return max(0, self.newest_class_version - _CLASS_VERSION_OF_JAVA_1)


@dataclass(frozen=True, slots=True)
class Layer:
    """One object of a component: Storm's own hold the author's."""

    name: str
    """Of its class."""
    ancestors: tuple[str, ...] = ()
    """Superclasses and interfaces, nearest first."""


@dataclass(frozen=True, slots=True)
class ComponentFacts:
    """What the object of a component says, and what the code that it reaches refers to."""

    problem: str = ""
    """Why it could not be opened; empty when it could."""
    objects: tuple[Layer, ...] = ()
    """Outermost first."""
    shell: tuple[str, ...] | None = None
    """The command of a ShellBolt or ShellSpout."""
    groupings: Mapping[str, str] = field(default_factory=dict)
    """"component:stream" -> class of a custom grouping."""
    uses: frozenset[str] = frozenset()
    """As in JarFacts."""
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TopologyObjects:
    """The objects of one topology."""

    components: Mapping[str, ComponentFacts]
    worker_hooks: tuple[str, ...] = ()
    """Their classes."""


def read_facts(file: Path, kind: type[_Facts]) -> _Facts | None:
    """Return what was written into a file; None when there is none.

    Raises:
        StateError: it is something else: code of the author's wrote there.
    """
    try:
        text = read_regular(file, FILE_BYTES_MAX, follow_links=False)
        return msgspec.json.decode(text, type=kind)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, OSError) as error:
        msg = f"{file.name}, what the inspection wrote, cannot be read: {error}"
        raise StateError(msg) from error
