"""The logical plan as protobuf: `heronshim.core.plan.topology` <-> `wire.v1.topology_pb2`."""

from __future__ import annotations

from heronshim.core.codec.reading import (
    EnumCodec,
    parse,
    positive,
    required_text,
    serialize,
    unique,
)
from heronshim.core.codec.values import values_from_bytes, values_to_bytes
from heronshim.core.plan.topology import (
    Component,
    ComponentKind,
    Dialect,
    Grouping,
    GroupingKind,
    InputStream,
    Language,
    OutputStream,
    SourceLine,
    Topology,
)
from heronshim.errors import RemoteProtocolError
from heronshim.wire.v1 import topology_pb2 as wire

_DIALECTS = EnumCodec(Dialect, wire.Dialect, "DIALECT")
_KINDS = EnumCodec(ComponentKind, wire.ComponentKind, "COMPONENT_KIND")
_LANGUAGES = EnumCodec(Language, wire.Language, "LANGUAGE")
_GROUPINGS = EnumCodec(GroupingKind, wire.GroupingKind, "GROUPING_KIND")


def topology_to_bytes(topology: Topology) -> bytes:
    """Return a topology as a serialized wire.v1.Topology.

    Raises:
        ConfigError: a value of options, arguments or configuration cannot be written.
        LocalProtocolError: a number or text does not fit its field (a valid topology's do).
    """
    return serialize(lambda: topology_to_message(topology), f'topology "{topology.name}"')


def topology_from_bytes(data: bytes) -> Topology:
    """Return the topology in a serialized wire.v1.Topology.

    It equals what was written, but tuples in arguments and configuration come back as lists,
    and `tasks` that equals `parallelism` as None.

    Raises:
        RemoteProtocolError: the bytes are damaged or a field is missing or unknown; names it.
    """
    return topology_from_message(parse(wire.Topology, data))


def topology_to_message(topology: Topology) -> wire.Topology:
    """Return a topology as a message, to be part of another.

    Raises:
        ConfigError: a value of options, arguments or configuration cannot be written.
    """
    return wire.Topology(
        name=topology.name,
        id=topology.id,
        components=[_component_to_message(component) for component in topology.components],
        options=values_to_bytes(topology.options, "options"),
        user_config=values_to_bytes(topology.user_config, "user_config"),
        dialect=_DIALECTS.name(topology.dialect),
        phantoms=[wire.Phantom(id=name, tasks=tasks) for name, tasks in topology.phantoms.items()],
    )


def topology_from_message(message: wire.Topology, field: str = "Topology") -> Topology:
    """Return the topology in a message; `field` begins the messages of errors.

    Raises:
        RemoteProtocolError: a field is missing or unknown; names it.
    """
    components = tuple(
        _component_from_message(item, f"{field}.components[{index}]")
        for index, item in enumerate(message.components)
    )
    phantoms = {
        required_text(item.id, f"{field}.phantoms[{index}].id"): positive(
            item.tasks, f"{field}.phantoms[{index}].tasks"
        )
        for index, item in enumerate(message.phantoms)
    }
    unique([component.id for component in components] + list(phantoms), f"{field}.components")
    return Topology(
        name=required_text(message.name, f"{field}.name"),
        components=components,
        id=message.id,
        options=values_from_bytes(message.options, f"{field}.options"),
        user_config=values_from_bytes(message.user_config, f"{field}.user_config"),
        dialect=_DIALECTS.member(message.dialect, f"{field}.dialect"),
        phantoms=phantoms,
    )


def _component_to_message(component: Component) -> wire.Component:
    where = f'component "{component.id}"'
    return wire.Component(
        id=component.id,
        kind=_KINDS.name(component.kind),
        language=_LANGUAGES.name(component.language),
        object=component.object,
        arguments=values_to_bytes(component.arguments, f"{where}: arguments"),
        parallelism=component.parallelism,
        tasks=component.task_count,
        outputs=[
            wire.OutputStream(id=output.id, fields=output.fields, direct=output.direct)
            for output in component.outputs
        ],
        inputs=[_input_to_message(item, where) for item in component.inputs],
        options=values_to_bytes(component.options, f"{where}: options"),
        user_config=values_to_bytes(component.user_config, f"{where}: user_config"),
        source=_source_to_message(component.source),
    )


def _component_from_message(message: wire.Component, field: str) -> Component:
    component_id = required_text(message.id, f"{field}.id")
    field = f'{field} "{component_id}"'
    parallelism = positive(message.parallelism, f"{field}.parallelism")
    if message.tasks < parallelism:
        msg = f"{field}.tasks is {message.tasks}; expected at least parallelism, {parallelism}"
        raise RemoteProtocolError(msg)
    return Component(
        id=component_id,
        kind=_KINDS.member(message.kind, f"{field}.kind"),
        object=message.object,
        language=_LANGUAGES.member(message.language, f"{field}.language"),
        arguments=values_from_bytes(message.arguments, f"{field}.arguments"),
        parallelism=parallelism,
        tasks=None if message.tasks == parallelism else message.tasks,
        outputs=tuple(
            OutputStream(
                required_text(output.id, f"{field}.outputs[{index}].id"),
                tuple(output.fields),
                output.direct,
            )
            for index, output in enumerate(message.outputs)
        ),
        inputs=tuple(
            _input_from_message(item, f"{field}.inputs[{index}]")
            for index, item in enumerate(message.inputs)
        ),
        options=values_from_bytes(message.options, f"{field}.options"),
        user_config=values_from_bytes(message.user_config, f"{field}.user_config"),
        source=_source_from_message(message),
    )


def _input_to_message(item: InputStream, where: str) -> wire.InputStream:
    grouping = item.grouping
    arguments = f"{where}: arguments of the grouping of {item.component}:{item.stream}"
    return wire.InputStream(
        component=item.component,
        stream=item.stream,
        grouping=wire.Grouping(
            kind=_GROUPINGS.name(grouping.kind),
            fields=grouping.fields,
            object=grouping.object,
            arguments=values_to_bytes(grouping.arguments, arguments),
        ),
        source=_source_to_message(item.source),
    )


def _input_from_message(message: wire.InputStream, field: str) -> InputStream:
    grouping = message.grouping
    return InputStream(
        component=required_text(message.component, f"{field}.component"),
        stream=required_text(message.stream, f"{field}.stream"),
        grouping=Grouping(
            kind=_GROUPINGS.member(grouping.kind, f"{field}.grouping.kind"),
            fields=tuple(grouping.fields),
            object=grouping.object,
            arguments=values_from_bytes(grouping.arguments, f"{field}.grouping.arguments"),
        ),
        source=_source_from_message(message),
    )


def _source_to_message(source: SourceLine | None) -> wire.SourceLine | None:
    return None if source is None else wire.SourceLine(file=source.file, line=source.line)


def _source_from_message(holder: wire.Component | wire.InputStream) -> SourceLine | None:
    if not holder.HasField("source"):
        return None
    return SourceLine(holder.source.file, holder.source.line)
