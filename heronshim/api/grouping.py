"""How a bolt divides the tuples of an input among its tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from heronshim.api.declaration import declared_here
from heronshim.core.plan.topology import GroupingKind

if TYPE_CHECKING:
    from heronshim.api.components import CustomGrouping
    from heronshim.api.declaration import Declaration


@final
class Grouping:
    """One grouping rule, made by one of the methods here; the names are Storm's."""

    __slots__ = ("arguments", "chooser", "declaration", "fields_given", "kind")

    def __init__(
        self,
        kind: GroupingKind,
        fields: tuple[str, ...] = (),
        chooser: type[CustomGrouping] | None = None,
        arguments: dict[str, object] | None = None,
    ) -> None:
        self.kind = kind
        self.fields_given = fields
        self.chooser = chooser
        self.arguments = arguments or {}
        self.declaration: Declaration = declared_here()

    @staticmethod
    def shuffle() -> Grouping:
        """Even shares in random order."""
        return Grouping(GroupingKind.SHUFFLE)

    @staticmethod
    def fields(*names: str) -> Grouping:
        """Tuples with equal values of these fields go to the same task."""
        return Grouping(GroupingKind.FIELDS, names)

    @staticmethod
    def all() -> Grouping:
        """Every task gets every tuple."""
        return Grouping(GroupingKind.ALL)

    @staticmethod
    def global_() -> Grouping:
        """The task with the lowest id gets every tuple."""
        return Grouping(GroupingKind.GLOBAL)

    @staticmethod
    def none() -> Grouping:
        """Any task, each with the same chance."""
        return Grouping(GroupingKind.NONE)

    @staticmethod
    def direct() -> Grouping:
        """The task that the emitter names with `emit_direct`; the stream must be direct."""
        return Grouping(GroupingKind.DIRECT)

    @staticmethod
    def local_or_shuffle() -> Grouping:
        """Tasks in the emitter's container if there are any, else as `shuffle`."""
        return Grouping(GroupingKind.LOCAL_OR_SHUFFLE)

    @staticmethod
    def partial_key(*names: str) -> Grouping:
        """Each key goes to one of two tasks, the one that has had less from this emitter."""
        return Grouping(GroupingKind.PARTIAL_KEY, names)

    @staticmethod
    def custom(chooser: type[CustomGrouping], **arguments: object) -> Grouping:
        """Tasks that an object of the author's class chooses, made with these arguments."""
        return Grouping(GroupingKind.CUSTOM, (), chooser, arguments)

    def __repr__(self) -> str:
        inside = ", ".join(repr(name) for name in self.fields_given)
        if self.chooser is not None:
            inside = getattr(self.chooser, "__name__", repr(self.chooser))
        name = "global_" if self.kind is GroupingKind.GLOBAL else str(self.kind)
        return f"Grouping.{name}({inside})"
