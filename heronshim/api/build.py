"""Turns what an author declared into the logical plan, with all that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from heronshim.api.component_class import base_of, check_arguments, check_class, object_name
from heronshim.api.declaration import class_lines
from heronshim.api.problems import Problems, kind_of, name_of
from heronshim.api.spec import ComponentSpec
from heronshim.api.streams import Reader
from heronshim.config import ComponentOptions, Options, TopologyOptions, parse_options
from heronshim.core.plan.plain_values import value_problems
from heronshim.core.plan.topology import Component, SourceLine, Topology
from heronshim.core.plan.validation import validate
from heronshim.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from heronshim.api.declaration import Declaration
    from heronshim.api.draft import Draft


_TOPOLOGY_OPTIONS = {option.name for option in fields(TopologyOptions)}
_COMPONENT_OPTIONS = {option.name for option in fields(ComponentOptions)}


@dataclass(frozen=True, slots=True)
class Built:
    """The logical plan, valid if `problems` is empty, else as near to it as could be read."""

    definition: Topology
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def build(draft: Draft, shown: Callable[[str], str] = str) -> Built:
    """Read and check a draft; `shown` turns a file's path into what messages show."""
    problems = Problems(shown)
    for source, text in draft.notes:
        problems.add(source, text)
    ids = _ids(draft, problems)
    specs = {id(member.spec): member.spec for member in draft.members}
    final = {member.id: ids[id(member.spec)] for member in draft.members if id(member.spec) in ids}
    sources = {id(member.spec): final.get(member.id, "") for member in draft.replaced} | ids
    components = [
        _component(component_id, spec, sources, problems, shown)
        for identity, component_id in ids.items()
        if isinstance(spec := specs[identity], ComponentSpec)
    ]
    where = f'topology "{draft.name}"'
    definition = Topology(
        name=draft.name,
        components=tuple(sorted(components, key=lambda component: component.id)),
        options=_options(
            TopologyOptions,
            draft.options,
            draft.options_declaration or draft.declaration,
            where,
            problems,
        ),
        user_config=_config(
            draft.config, draft.config_declaration or draft.declaration, where, problems
        ),
    )
    found, warnings = ([], []) if problems.incomplete else validate(definition)
    # A problem of the topology as a whole has no line of its own: its declaration's is shown.
    place = SourceLine(shown(draft.declaration.file), draft.declaration.line)
    lines = {component.source for component in components}
    lines |= {item.source for component in components for item in component.inputs}

    def placed(line: str) -> str:
        known = any(source and line.startswith(f"{source}: ") for source in lines)
        return line if known else f"{place}: {line}"

    return Built(
        definition,
        tuple(sorted(dict.fromkeys([*problems, *(placed(line) for line in found)]), key=_by_line)),
        tuple(placed(line) for line in warnings),
    )


def _by_line(problem: str) -> tuple[str, int]:
    """Return file and line of a problem; those of one line keep their order."""
    found = re.match(r"(.*?):(\d+): ", problem)
    return (found[1], int(found[2])) if found else ("", 0)


def _ids(draft: Draft, problems: Problems) -> dict[int, str]:
    """Return the component ids by `id()` of their specs; each id and each spec once."""
    ids: dict[int, str] = {}
    places: dict[str, Declaration] = {}
    for member in draft.members:
        spec = member.spec
        where = f'component "{member.id}"'
        if not isinstance(spec, ComponentSpec):
            problems.add(member.declaration.source, f"{where} {_not_a_spec(spec)}")
            problems.incomplete = True
            continue
        if id(spec) in ids:
            text = f'is the same spec as "{ids[id(spec)]}"; call spec() once for each component'
            problems.add(member.declaration.source, f"{where} {text}")
            continue
        component_id: object = member.id if spec.name is None else spec.name
        if not isinstance(component_id, str):
            text = f"{where}: name must be text, not {kind_of(component_id)}"
            problems.add(spec.declaration.line_of("name"), text)
            component_id = member.id
        if component_id in places:
            first = problems.place(places[component_id].source)
            text = f"is declared twice, first at {first}; give each component an id of its own"
            problems.add(spec.declaration.source, f'component "{component_id}" {text}')
            continue
        ids[id(spec)] = component_id
        places[component_id] = spec.declaration
    return ids


def _not_a_spec(value: object) -> str:
    """Return the message for something that stands where a spec should."""
    component_class = value if isinstance(value, type) else type(value)
    name = name_of(component_class)
    if hasattr(component_class, "spec"):
        what = "class" if isinstance(value, type) else "object"
        return f"is the {what} {name} itself; write {name}.spec(...)"
    return f"is {kind_of(value)}; expected what Spout.spec or Bolt.spec returns"


def _component(
    component_id: str,
    spec: ComponentSpec,
    ids: Mapping[int, str],
    problems: Problems,
    shown: Callable[[str], str],
) -> Component:
    """Return a component with all that is right about its spec."""
    where = f'component "{component_id}"'
    place = spec.declaration
    component_class = spec.component_class
    check_class(component_class, base_of(spec.kind), place, where, problems)
    reader = Reader(spec, where, ids, problems, shown)
    if spec.outputs is None:
        outputs_place = class_lines(component_class) or place
        outputs = reader.outputs(getattr(component_class, "outputs", ()), outputs_place)
    else:
        outputs = reader.outputs(spec.outputs, place)
    parallelism = _count("parallelism", spec.parallelism, place, where, problems)
    tasks = _count("tasks", spec.tasks, place, where, problems)
    options = _options(ComponentOptions, spec.options or {}, place, where, problems)
    if getattr(component_class, "holds_tuples", False) is True:
        options.setdefault("holds_tuples", True)
    return Component(
        id=component_id,
        kind=spec.kind,
        object=object_name(component_class),
        arguments=_arguments(spec, where, problems),
        parallelism=parallelism or 1,
        tasks=tasks,
        outputs=outputs,
        inputs=reader.inputs(),
        options=options,
        user_config=_config(spec.config or {}, place, where, problems),
        source=SourceLine(shown(place.file), place.line),
    )


def _count(
    word: str, value: object, place: Declaration, where: str, problems: Problems
) -> int | None:
    """Return a number of executors or tasks, or None if it is none that can be used."""
    if value is None and word == "tasks":
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        text = f"{where}: {word} must be a whole number from 1, not {value!r}"
        problems.add(place.line_of(word), text)
        return None
    if value < 1:
        text = f"{where}: {word} must be at least 1, not {value}"
        problems.add(place.line_of(word), text)
        return None
    return value


def _arguments(spec: ComponentSpec, where: str, problems: Problems) -> dict[str, object]:
    """Return the constructor arguments of a spec, from its keywords and from `args`."""
    place = spec.declaration
    name = name_of(spec.component_class)
    args: object = {} if spec.args is None else spec.args
    if not isinstance(args, Mapping):
        text = f"{where}: args must be a mapping of argument name to value, not {kind_of(args)}"
        problems.add(place.line_of("args"), text)
        args = {}
    values = dict(spec.arguments)
    for key, value in args.items():
        if not isinstance(key, str):
            text = f"{where}: args: the key {key!r} is {kind_of(key)}; expected an argument's name"
            problems.add(place.line_of("args"), text)
        elif key in values:
            text = f'{where}: "{key}" is given twice, as keyword and in args; remove one'
            problems.add(place.line_of(key), text)
        else:
            values[key] = value
    return check_arguments(spec.component_class, f"{name}.spec", values, place, where, problems)


def _options(
    kind: type[Options],
    values: object,
    place: Declaration,
    where: str,
    problems: Problems,
) -> dict[str, object]:
    """Return the options that are right; each of the others is a problem at its own line."""
    if not isinstance(values, Mapping):
        text = f"{where}: options must be a mapping of option to value, not {kind_of(values)}"
        problems.add(place.line_of("options"), text)
        return {}
    accepted: dict[str, object] = {}
    for key, value in values.items():
        if not isinstance(key, str):
            text = f"{where}: options: the key {key!r} is {kind_of(key)}; expected an option's name"
            problems.add(place.line_of("options"), text)
            continue
        try:
            parse_options(kind, {key: value})
        except ConfigError as error:
            text = f"{where}: {error}"
            if key in _TOPOLOGY_OPTIONS ^ _COMPONENT_OPTIONS and str(error).startswith("unknown"):
                whose = "the topology" if key in _TOPOLOGY_OPTIONS else "components"
                text = f'{where}: "{key}" is an option of {whose}; set it there'
            problems.add(place.line_of(key), text)
        else:
            accepted[key] = value
    return accepted


def _config(
    values: object, place: Declaration, where: str, problems: Problems
) -> dict[str, object]:
    """Return the user configuration without what no other language could read."""
    if not isinstance(values, Mapping):
        text = f"{where}: config must be a mapping of key to value, not {kind_of(values)}"
        problems.add(place.line_of("config"), text)
        return {}
    accepted: dict[str, object] = {}
    for key, value in values.items():
        wrong = value_problems({key: value}, "config")
        for line in wrong:
            word = key if isinstance(key, str) else "config"
            problems.add(place.line_of(word), f"{where}: {line}")
        if not wrong:
            accepted[key] = value
    return accepted
