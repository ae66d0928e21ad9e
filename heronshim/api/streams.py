"""Reads what an author wrote as outputs and inputs of a component."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heronshim.api.component_class import check_arguments, check_class, object_name
from heronshim.api.components import Bolt, CustomGrouping, Spout
from heronshim.api.grouping import Grouping
from heronshim.api.problems import kind_of, name_of
from heronshim.api.spec import ComponentSpec, Stream, StreamRef
from heronshim.core.plan.topology import (
    DEFAULT_STREAM,
    GroupingKind,
    InputStream,
    OutputStream,
    SourceLine,
)
from heronshim.core.plan.topology import Grouping as GroupingRule
from heronshim.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from heronshim.api.declaration import Declaration
    from heronshim.api.problems import Problems

_METHODS = tuple(name for name in vars(Grouping) if isinstance(vars(Grouping)[name], staticmethod))


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the streams of one component; what is wrong is added to `problems`."""

    spec: ComponentSpec
    where: str
    ids: Mapping[int, str]
    """Component ids by `id()` of their specs."""
    problems: Problems
    shown: Callable[[str], str]
    """Turns a file's path into what messages show."""

    def outputs(self, value: object, place: Declaration) -> tuple[OutputStream, ...]:
        """Return the streams that `value` declares, as far as it can be read."""
        at = place.line_of("outputs")
        if not isinstance(value, Mapping):
            value = {DEFAULT_STREAM: value} if value else {}
        found: list[OutputStream] = []
        for stream, fields in value.items():
            line = place.line_of(stream) if isinstance(stream, str) and len(value) > 1 else at
            if not isinstance(stream, str):
                self._add(at, f"outputs: the stream id {stream!r} is {kind_of(stream)}; write text")
                continue
            direct = isinstance(fields, Stream) and fields.direct
            names = self._field_names(fields.fields if isinstance(fields, Stream) else fields, line)
            found.append(OutputStream(stream, names, direct))
        return tuple(found)

    def _field_names(self, fields: object, line: SourceLine) -> tuple[str, ...]:
        if isinstance(fields, str):
            self._add(line, f'outputs must be a list of field names, not text; write ["{fields}"]')
            return (fields,)
        if isinstance(fields, (set, frozenset)):
            self._add(
                line, "outputs must be a list of field names, not a set: fields have an order"
            )
            return tuple(sorted(str(name) for name in fields))
        if not isinstance(fields, Iterable):
            self._add(line, f"outputs must be a list of field names, not {kind_of(fields)}")
            return ()
        names = tuple(fields)
        for name in names:
            if not isinstance(name, str):
                self._add(line, f"outputs: the field name {name!r} is {kind_of(name)}; write text")
        return tuple(str(name) for name in names)

    def inputs(self) -> tuple[InputStream, ...]:
        """Return the streams that the component consumes, as far as they can be read."""
        value: Any = self.spec.inputs
        if value is None:
            return ()
        place = self.spec.declaration
        if isinstance(value, (ComponentSpec, StreamRef, str)):
            text = "inputs must be a list or a mapping, not a bare component; write inputs=[...]"
            self._add(place.line_of("inputs"), text)
            value = [value]
        pairs: Iterable[tuple[object, object]]
        if isinstance(value, Mapping):
            pairs = value.items()
        elif isinstance(value, Iterable):
            pairs = [(source, None) for source in value]
        else:
            expected = "a list of components or a mapping of components to groupings"
            text = f"inputs must be {expected}, not {kind_of(value)}"
            self._add(place.line_of("inputs"), text)
            self.problems.incomplete = True
            return ()
        is_list = not isinstance(value, Mapping)
        found = [self._input(source, grouping, is_list=is_list) for source, grouping in pairs]
        return tuple(item for item in found if item is not None)

    def _input(self, source: object, grouping: object, *, is_list: bool) -> InputStream | None:
        at = self._line_of_input(source, grouping)
        resolved = self._source(source, at)
        rule = GroupingRule(GroupingKind.SHUFFLE) if is_list else self._grouping(grouping, at)
        if resolved is None or rule is None:
            self.problems.incomplete = True
            return None
        return InputStream(*resolved, rule, SourceLine(self.shown(at.file), at.line))

    def _line_of_input(self, source: object, grouping: object) -> SourceLine:
        """Return the line of the grouping or stream if it has one of its own."""
        place = self.spec.declaration
        if isinstance(grouping, Grouping):
            return grouping.declaration.source
        if isinstance(source, StreamRef):
            return source.declaration.source
        word = source if isinstance(source, str) else ""
        if isinstance(source, ComponentSpec):
            word = self.ids.get(id(source), "")
        line = place.line_of(word) if word else place.source
        return line if line != place.source else place.line_of("inputs")

    def _source(self, source: object, at: SourceLine) -> tuple[str, str] | None:
        """Return the component id and the stream of an input, or None."""
        stream: object = DEFAULT_STREAM
        if isinstance(source, StreamRef):
            stream = source.stream
            source = source.component
        if not isinstance(stream, str):
            self._add(at, f"the stream {stream!r} is {kind_of(stream)}; write its id as text")
            return None
        if isinstance(source, str):
            return source, stream
        if isinstance(source, ComponentSpec):
            if id(source) in self.ids:
                return self.ids[id(source)], stream
            name = name_of(source.component_class)
            text = f"an input is a spec of {name} that is not in this topology"
            text += "; assign it to an attribute, or add it to the builder"
        elif isinstance(source, type) and issubclass(source, (Spout, Bolt)):
            name = name_of(source)
            text = f"an input is the class {name}; use what {name}.spec(...) returned"
        elif isinstance(source, (Spout, Bolt)):
            name = name_of(type(source))
            text = f"an input is an object of {name}; use what {name}.spec(...) returned"
        elif isinstance(source, tuple):
            text = 'an input is a tuple; write component["stream"] for a stream'
        else:
            text = f"an input is {kind_of(source)}"
            text += "; expected a component's spec, a stream of it, or an id as text"
        self._add(at, text)
        return None

    def _grouping(self, grouping: object, at: SourceLine) -> GroupingRule | None:
        if not isinstance(grouping, Grouping):
            self._add(at, _not_a_grouping(grouping))
            return None
        names: tuple[object, ...] = grouping.fields_given
        for name in names:
            if not isinstance(name, str):
                inside = name if isinstance(name, (list, tuple)) else ["word"]
                example = ", ".join(f'"{item}"' for item in inside)
                text = f"{grouping.kind} grouping by {name!r}, which is {kind_of(name)}"
                self._add(at, f"{text}; write Grouping.{grouping.kind}({example})")
                return None
        if grouping.kind is not GroupingKind.CUSTOM:
            return GroupingRule(grouping.kind, grouping.fields_given)
        return self._custom(grouping, at)

    def _custom(self, grouping: Grouping, at: SourceLine) -> GroupingRule | None:
        chooser: Any = grouping.chooser
        if not (isinstance(chooser, type) and issubclass(chooser, CustomGrouping)):
            expected = "a class that derives from CustomGrouping"
            self._add(at, f"Grouping.custom takes {expected}, not {kind_of(chooser)}")
            return None
        place = grouping.declaration
        check_class(chooser, CustomGrouping, place, self.where, self.problems)
        arguments = check_arguments(
            chooser, "Grouping.custom", grouping.arguments, place, self.where, self.problems
        )
        return GroupingRule(GroupingKind.CUSTOM, (), object_name(chooser), arguments)

    def _add(self, source: SourceLine, text: str) -> None:
        self.problems.add(source, f"{self.where}: {text}")


def _not_a_grouping(value: object) -> str:
    """Return the message for something that stands where a grouping should."""
    called = getattr(value, "__name__", "")
    if callable(value) and called in _METHODS:
        return f"a grouping is called: write Grouping.{called}(...)"
    if isinstance(value, str):
        word = value.lower()
        if word in _METHODS:
            return f'the grouping is text; write Grouping.{word}(...) instead of "{value}"'
        expected = f"expected one of Grouping's methods: {', '.join(_METHODS)}"
        return f'the grouping is the text "{value}"; {expected}.{nearest(word, _METHODS)}'
    return f"the grouping is {kind_of(value)}; expected for example Grouping.shuffle()"
