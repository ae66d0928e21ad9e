"""Declares a topology: as a class, or piece by piece with a builder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from heronshim.api.components import Bolt, Spout
from heronshim.api.declaration import assigned_here, declared_here
from heronshim.api.draft import Draft, Member
from heronshim.api.problems import kind_of
from heronshim.api.spec import ComponentSpec
from heronshim.errors import TopologyError, nearest

if TYPE_CHECKING:
    from heronshim.api.declaration import Declaration
    from heronshim.core.plan.topology import Topology as Definition

_SETTINGS = ("options", "config")
_TAKEN = (*_SETTINGS, "definition")
"""Attributes of a topology class that are not components."""


def _is_member(value: object) -> bool:
    """Return whether an attribute is a component or was meant to be one."""
    if isinstance(value, (ComponentSpec, Spout, Bolt)):
        return True
    return isinstance(value, type) and issubclass(value, (Spout, Bolt))


class _Body(dict[str, object]):
    """The names that a class body assigns, with their lines."""

    def __init__(self, declaration: Declaration) -> None:
        super().__init__()
        self.declaration = declaration
        self.topology_name = ""
        self.places: dict[str, Declaration] = {}
        self.members: list[Member] = []
        """In order; a name that is assigned twice has two."""

    def __setitem__(self, key: str, value: object) -> None:
        place = assigned_here()
        self.places[key] = place
        if _is_member(value):
            self.members.append(Member(key, value, place))
        super().__setitem__(key, value)


class _TopologyMeta(type):
    """Keeps the lines of a topology class and of its attributes."""

    __declared__: _Body

    @classmethod
    def __prepare__(cls, name: str, bases: tuple[type, ...], /, **keywords: Any) -> _Body:
        return _Body(declared_here())

    def __new__(
        cls, name: str, bases: tuple[type, ...], body: _Body, /, **keywords: Any
    ) -> _TopologyMeta:
        return super().__new__(cls, name, bases, {**body, "__declared__": body}, **keywords)


class Topology(metaclass=_TopologyMeta):
    """A topology: a subclass whose attributes are specs.

    An attribute's name is the component's id, the class's name the topology's (or
    `class WordCount(Topology, name="word-count")`). A subclass has the components of its base, but
    for those that it assigns anew: inputs of the base's other components then mean the new ones.
    """

    options: ClassVar[Mapping[str, object]] = {}
    """Fields of heronshim.config.TopologyOptions."""
    config: ClassVar[Mapping[str, object]] = {}
    """The author's own configuration, handed to every component."""

    def __init_subclass__(cls, *, name: str | None = None) -> None:
        cls.__declared__.topology_name = name or cls.__name__

    @classmethod
    def definition(cls, name: str | None = None) -> Definition:
        """Return the logical plan, under another name if one is given.

        Raises:
            TopologyError: it is wrong; one line for each problem, with file and line.
        """
        return _finished(class_draft(cls, name))


def class_draft(topology: type[Topology], name: str | None = None) -> Draft:
    """Return what a topology class declares, the bases' components first."""
    draft = Draft(name or topology.__declared__.topology_name, topology.__declared__.declaration)
    for cls in reversed(topology.__mro__):
        if not isinstance(cls, _TopologyMeta) or cls is Topology:
            continue
        body = cls.__declared__
        draft.replaced += [member for member in draft.members if member.id in body]
        draft.members = [member for member in draft.members if member.id not in body]
        draft.members += [member for member in body.members if member.id not in _TAKEN]
        for key, value in body.items():
            place = body.places[key]
            if isinstance(value, ComponentSpec) and key in _TAKEN:
                text = f'"{key}" belongs to the topology; name the component otherwise'
                draft.notes.append((place.source, text))
            elif key in _SETTINGS:
                setattr(draft, key, value)
                setattr(draft, f"{key}_declaration", place)
            elif isinstance(value, dict) and nearest(key, _SETTINGS):
                text = f'a topology has no setting "{key}".{nearest(key, _SETTINGS)}'
                draft.notes.append((place.source, text))
    return draft


class TopologyBuilder:
    """Declares a topology piece by piece; each method returns the builder."""

    def __init__(self, name: str) -> None:
        self.draft = Draft(name, declared_here())
        """What has been declared so far; for the engine."""

    def spout(self, component_id: str, spec: ComponentSpec) -> TopologyBuilder:
        """Add a spout under an id."""
        return self._add(component_id, spec, Spout)

    def bolt(self, component_id: str, spec: ComponentSpec) -> TopologyBuilder:
        """Add a bolt under an id; its inputs may name components by id."""
        return self._add(component_id, spec, Bolt)

    def options(self, **options: object) -> TopologyBuilder:
        """Set fields of heronshim.config.TopologyOptions; may be called several times."""
        self.draft.options = {**self.draft.options, **options}
        self.draft.options_declaration = declared_here()
        return self

    def config(self, values: Mapping[str, object]) -> TopologyBuilder:
        """Set the author's own configuration; may be called several times."""
        given: object = values
        if not isinstance(given, Mapping):
            text = f"config must be a mapping of key to value, not {kind_of(given)}"
            self.draft.notes.append((declared_here().source, text))
            return self
        self.draft.config = {**self.draft.config, **values}
        self.draft.config_declaration = declared_here()
        return self

    def build(self, name: str | None = None) -> Definition:
        """Return the logical plan, under another name if one is given.

        Raises:
            TopologyError: it is wrong; one line for each problem, with file and line.
        """
        return _finished(builder_draft(self, name))

    def _add(self, component_id: str, spec: ComponentSpec, base: type) -> TopologyBuilder:
        place = declared_here()
        given: object = spec
        if isinstance(given, ComponentSpec) and not issubclass(spec.component_class, base):
            method = "bolt" if base is Spout else "spout"
            text = f'component "{component_id}" is a {method}; add it with .{method}(...)'
            self.draft.notes.append((place.source, text))
        if isinstance(given, ComponentSpec) and spec.name not in (None, component_id):
            text = f'component "{component_id}" has another name in its spec, "{spec.name}"'
            self.draft.notes.append((spec.declaration.line_of("name"), f"{text}; remove it there"))
        self.draft.members.append(Member(component_id, spec, place))
        return self


def builder_draft(builder: TopologyBuilder, name: str | None = None) -> Draft:
    """Return what a builder holds, under another name if one is given."""
    return replace(builder.draft, name=name or builder.draft.name)


def _finished(draft: Draft) -> Definition:
    # Instances import this module for its classes only, and need none of the checks.
    from heronshim.api.build import build  # noqa: PLC0415

    built = build(draft)
    if built.problems:
        raise TopologyError(built.problems)
    return built.definition
