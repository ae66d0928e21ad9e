"""Checks a logical plan: every problem at once, each with what to do. Storm's rules and ours.

A line reads `file:line: component "count": what is wrong; what to do`, without the place when it
is not known. Source of Storm's rules: StormCommon.validateBasic and validateStructure.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from heronshim.config import ComponentOptions, Options, TopologyOptions, parse_options
from heronshim.core.plan.first_fit import NAME as FIRST_FIT
from heronshim.core.plan.graph import cycles, unreachable_components
from heronshim.core.plan.plain_values import value_problems
from heronshim.core.plan.task_ids import TASK_ID_MAX
from heronshim.core.plan.topology import (
    ENGINE_NAMES,
    ComponentKind,
    Grouping,
    GroupingKind,
    SourceLine,
)
from heronshim.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from heronshim.core.plan.topology import Component, InputStream, OutputStream, Topology

NAME_LENGTH_MAX = 128
"""Characters of a topology's name or a component's id."""
NAME_BYTES_MAX = 200
"""Their bytes in UTF-8: with a task id and a suffix they name files, of 255 bytes at most."""
NAME_BANNED = ("/", ".", ":", "\\")
"""What Storm bans from topology names."""
RESERVED_PREFIX = "__"
"""Ids of the engine begin like this (Storm's rule)."""


def validate(topology: Topology) -> tuple[list[str], list[str]]:
    """Return (problems, warnings), in the order of the topology; it is valid without problems."""
    check = _Check(topology)
    check.whole()
    for component in topology.components:
        check.component(component)
    check.graph()
    return list(dict.fromkeys(check.problems)), list(dict.fromkeys(check.warnings))


class _Check:
    """Collects what is wrong with one topology."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.known: dict[str, Component] = {}
        for component in topology.components:
            self.known.setdefault(component.id, component)

    def whole(self) -> None:
        """Check what belongs to no component."""
        topology = self.topology
        self.problems += topology_name_problems(topology.name)
        where = f'topology "{topology.name}"'
        self._options(TopologyOptions, topology.options, where, None)
        self._values(topology.user_config, "config", where, None)
        if topology.options.get("packing") == FIRST_FIT and "containers" in topology.options:
            text = f'option "containers" has no effect with packing {FIRST_FIT}; '
            text += "container_cpu, container_ram_mb and container_disk_mb decide"
            self.warnings.append(f"{where}: {text}")
        if not any(item.kind is ComponentKind.SPOUT for item in topology.components):
            self.problems.append(f"{where}: it has no spout; add a component that makes tuples")
        times = Counter(component.id for component in topology.components)
        for component in topology.components:
            if times[component.id] > 1 and component is not self.known[component.id]:
                text = f"is declared {times[component.id]} times; give each an id of its own"
                self._add(component.source, f'component "{component.id}" {text}')
        tasks = sum(component.task_count for component in topology.components)
        tasks += sum(topology.phantoms.values())
        if tasks > TASK_ID_MAX:
            text = f"it has {tasks} tasks; at most {TASK_ID_MAX} are possible: lower parallelism"
            self.problems.append(f"{where}: {text}")

    def component(self, component: Component) -> None:
        """Check one component, its streams and its inputs."""
        where, source = f'component "{component.id}"', component.source
        self._add_all(source, _component_id_problems(component.id))
        if not component.object:
            self._add(source, f"{where}: it names no class; say what its instances load")
        self._counts(component, where)
        self._options(ComponentOptions, component.options, where, source)
        self._values(component.arguments, "arguments", where, source)
        self._values(component.user_config, "config", where, source)
        self._outputs(component, where)
        is_spout = component.kind is ComponentKind.SPOUT
        if is_spout and component.inputs:
            text = "it is a spout and has inputs; remove them or make it a bolt"
            self._add(component.inputs[0].source or source, f"{where}: {text}")
        if not is_spout and not component.inputs:
            self._add(source, f"{where}: it is a bolt without inputs; say which streams it takes")
        idle = "tick_interval_s" if is_spout else "max_spout_pending"
        if component.options.get(idle) is not None:
            text = f'option "{idle}" has no effect on a {component.kind}'
            self.warnings.append(_placed(source, f"{where}: {text}"))
        self._inputs(component, where)

    def graph(self) -> None:
        """Warn of cycles and of bolts that get nothing."""
        for cycle in cycles(self.topology):
            names = ", ".join(f'"{component}"' for component in cycle)
            if len(cycle) == 1:
                text = f"component {names} consumes its own output"
            else:
                text = f"components {names} form a cycle"
            text += "; tuples must leave it, or spouts will wait at max_spout_pending"
            self.warnings.append(_placed(self.known[cycle[0]].source, text))
        for component_id in unreachable_components(self.topology):
            component = self.known[component_id]
            if any(item.component in self.known for item in component.inputs):
                text = f'component "{component_id}": no spout reaches it, so it gets no tuples'
                self.warnings.append(_placed(component.source, text))

    def _counts(self, component: Component, where: str) -> None:
        parallelism, tasks = component.parallelism, component.tasks
        if parallelism < 1:
            text = f"parallelism must be at least 1, not {parallelism}"
            self._add(component.source, f"{where}: {text}")
        elif tasks is not None and tasks < parallelism:
            text = f"tasks is {tasks}, lower than parallelism, {parallelism}"
            text += f": set tasks to at least {parallelism} or lower parallelism"
            self._add(component.source, f"{where}: {text}")

    def _outputs(self, component: Component, where: str) -> None:
        for stream, times in Counter(output.id for output in component.outputs).items():
            if times > 1:
                text = f'stream "{stream}" is declared {times} times; declare it once'
                self._add(component.source, f"{where}: {text}")
        for output in component.outputs:
            of_stream = f'{where}: stream "{output.id}"'
            if not output.id or not output.id.isprintable():
                text = f"{where}: the stream id {output.id!r} must be printable text"
                self._add(component.source, text)
            elif output.id.startswith(RESERVED_PREFIX):
                text = f'begins with "{RESERVED_PREFIX}", which the engine keeps; rename it'
                self._add(component.source, f"{of_stream} {text}")
            for name, times in Counter(output.fields).items():
                if times > 1:
                    text = f'names the field "{name}" {times} times; give each field its own name'
                    self._add(component.source, f"{of_stream} {text}")
                if not name:
                    self._add(component.source, f"{of_stream} has a field without a name")

    def _inputs(self, component: Component, where: str) -> None:
        times = Counter((item.component, item.stream) for item in component.inputs)
        for (source, stream), count in times.items():
            if count > 1:
                last = [item for item in component.inputs if item.component == source][-1]
                text = f'takes stream "{stream}" of "{source}" {count} times; keep one grouping'
                self._add(last.source or component.source, f"{where} {text}")
        for item in component.inputs:
            place = item.source or component.source
            self._add_all(place, [f"{where}: {text}" for text in self._input_problems(item)])

    def _input_problems(self, item: InputStream) -> list[str]:
        """Return what is wrong with one input."""
        source = self.known.get(item.component)
        if source is None:
            text = f'it takes from the unknown component "{item.component}"; '
            return [f"{text}known: {_listed(self.known)}.{nearest(item.component, self.known)}"]
        output = source.output(item.stream)
        if output is None:
            streams = [output.id for output in source.outputs]
            text = f'"{item.component}" declares no stream "{item.stream}"; '
            return [f"{text}it declares: {_listed(streams)}.{nearest(item.stream, streams)}"]
        return _grouping_problems(item.grouping, item.component, output)

    def _options(
        self,
        kind: type[Options],
        values: Mapping[str, object],
        where: str,
        source: SourceLine | None,
    ) -> None:
        try:
            parse_options(kind, values)
        except ConfigError as error:
            self._add_all(source, [f"{where}: {line}" for line in str(error).splitlines()])

    def _values(
        self, values: Mapping[str, object], name: str, where: str, source: SourceLine | None
    ) -> None:
        self._add_all(source, [f"{where}: {line}" for line in value_problems(values, name)])

    def _add(self, source: SourceLine | None, text: str) -> None:
        self.problems.append(_placed(source, text))

    def _add_all(self, source: SourceLine | None, texts: Iterable[str]) -> None:
        self.problems += [_placed(source, text) for text in texts]


def topology_name_problems(name: str) -> list[str]:
    """Return what is wrong with a topology's name, one line each; empty when it is good."""
    where = f"topology name {name!r}"
    problems = [
        f'{where}: it contains "{part}"; use letters, digits, "-" and "_"'
        for part in NAME_BANNED
        if part in name
    ]
    return problems + _name_problems(name, where)


def _component_id_problems(component_id: str) -> list[str]:
    where = f"component id {component_id!r}"
    problems = _name_problems(component_id, where)
    if component_id.startswith(RESERVED_PREFIX):
        problems.append(f'{where}: "{RESERVED_PREFIX}" begins the engine\'s own ids; rename it')
    if component_id in ENGINE_NAMES:
        problems.append(f"{where}: processes of the engine are named so; rename it")
    if component_id.startswith("."):
        problems.append(f'{where}: it begins with "."; it names files, so rename it')
    if "/" in component_id:
        problems.append(f'{where}: it contains "/"; it names files, so use "-" or "_"')
    return problems


def _name_problems(name: str, where: str) -> list[str]:
    """Return what is wrong with a name of a topology or component as text."""
    if not name.strip():
        return [f"{where}: it is empty; give it a name"]
    if not name.isprintable():
        return [f"{where}: it contains control or unprintable characters; remove them"]
    length_bytes = len(name.encode())
    if len(name) > NAME_LENGTH_MAX or length_bytes > NAME_BYTES_MAX:
        length = f"{len(name)} characters ({length_bytes} bytes in UTF-8)"
        limit = f"{NAME_LENGTH_MAX} characters and {NAME_BYTES_MAX} bytes"
        return [f"{where}: it has {length}; at most {limit} are allowed"]
    return []


def _grouping_problems(grouping: Grouping, component: str, output: OutputStream) -> list[str]:
    """Return what is wrong with a grouping of a stream that exists."""
    stream = f'stream "{output.id}" of "{component}"'
    problems = []
    is_direct = grouping.kind is GroupingKind.DIRECT
    if is_direct and not output.direct:
        text = "is not a direct stream; declare it as direct or choose another grouping"
        problems.append(f"direct grouping: {stream} {text}")
    if output.direct and not is_direct:
        problems.append(f"{stream} is a direct stream; take it with direct grouping")
    if grouping.kind in (GroupingKind.FIELDS, GroupingKind.PARTIAL_KEY):
        rule = f"{str(grouping.kind).replace('_', '-')} grouping"
        if not grouping.fields:
            text = f"names no field; {stream} has: {_listed(output.fields)}"
            problems.append(f"{rule} {text}")
        problems += [
            f'{rule}: {stream} has no field "{name}"; it has: {_listed(output.fields)}.'
            f"{nearest(name, output.fields)}"
            for name in grouping.fields
            if name not in output.fields
        ]
    if grouping.kind is GroupingKind.CUSTOM and not grouping.object:
        problems.append(f"custom grouping of {stream} names no class; say what chooses the tasks")
    where = f"arguments of the grouping of {stream}"
    return problems + value_problems(grouping.arguments, where)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names) or "none"


def _placed(source: SourceLine | None, text: str) -> str:
    return text if source is None else f"{source}: {text}"
