"""A topology as its author declared it, before anything is checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.api.declaration import Declaration
    from heronshim.core.plan.topology import SourceLine


@dataclass(frozen=True, slots=True)
class Member:
    """Something that an author put into a topology under an id; `spec` may be anything."""

    id: str
    spec: object
    declaration: Declaration


@dataclass(slots=True)
class Draft:
    """A topology as declared, in the author's order."""

    name: str
    declaration: Declaration
    members: list[Member] = field(default_factory=list)
    replaced: list[Member] = field(default_factory=list)
    """Members of a base class that a subclass has others for; inputs may still refer to them."""
    options: Mapping[str, object] = field(default_factory=dict)
    options_declaration: Declaration | None = None
    config: Mapping[str, object] = field(default_factory=dict)
    config_declaration: Declaration | None = None
    notes: list[tuple[SourceLine, str]] = field(default_factory=list)
    """Problems that were seen while it was declared."""
