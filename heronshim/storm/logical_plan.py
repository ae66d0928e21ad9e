"""A submitted topology of Storm as our logical plan, in Storm's dialect.

Nothing of Java is opened: instances find their objects by component id in the package's
`stormcode.ser`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from heronshim.config import RANGES, TopologyOptions
from heronshim.core.plan.graph import cycles
from heronshim.core.plan.topology import (
    Component,
    ComponentKind,
    Dialect,
    Grouping,
    GroupingKind,
    InputStream,
    Language,
    OutputStream,
    Topology,
)
from heronshim.core.plan.validation import validate
from heronshim.storm.config_values import (
    ACKERS,
    DEBUG,
    ERROR_INTERVAL,
    ERRORS_PER_INTERVAL,
    EVENT_LOGGERS,
    MAX_PENDING,
    METRICS_CONSUMERS,
    SPOUT_WAIT_MS,
    TASKS,
    TICK_SECS,
    TIMEOUT_SECS,
    TIMEOUTS,
    WORKERS,
    boolean,
    integer,
    keys_without_effect,
)
from heronshim.storm.errors import InvalidTopologyError
from heronshim.storm.normalization import component_conf, parallelism_hint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.storm.thrift_codec import Structure

CODE_FILE = "stormcode.ser"
"""File of the package: the normalized StormTopology in Thrift's binary protocol."""
JAR_FILE = "stormjar.jar"
"""File of the package: the jar as it was uploaded."""
CONF_FILE = "stormconf.json"
"""File of the package: the topology's configuration without Storm's defaults."""
ACKER = "__acker"
EVENT_LOGGER = "__eventlogger"
METRICS_PREFIX = "__metrics_"
_PENDING = "max_spout_pending"
_KINDS = {
    "shuffle": GroupingKind.SHUFFLE,
    "all": GroupingKind.ALL,
    "none": GroupingKind.NONE,
    "direct": GroupingKind.DIRECT,
    "local_or_shuffle": GroupingKind.LOCAL_OR_SHUFFLE,
}


@dataclass(frozen=True, slots=True)
class StormPlan:
    """A logical plan, and what the author should know."""

    topology: Topology
    warnings: tuple[str, ...]


def logical_plan(
    name: str, topology_id: str, structure: Structure, conf: Mapping[str, Any]
) -> StormPlan:
    """Return the plan of a normalized topology (see `normalization`).

    Raises:
        InvalidTopologyError: heronshim cannot run it; one line for each thing.
    """
    _refuse_unknown_parts(structure)
    kinds = ((ComponentKind.SPOUT, "spouts"), (ComponentKind.BOLT, "bolts"))
    confs = [conf]
    components = []
    for kind, group in kinds:
        for component_id, item in structure[group].items():
            own = component_conf(component_id, item["common"])
            confs.append(own)
            components.append(_component(component_id, kind, item, own, conf))
    topology = Topology(
        name=name,
        components=tuple(sorted(components, key=lambda item: item.id)),
        id=topology_id,
        options=_options(conf, components),
        dialect=Dialect.STORM,
        phantoms=_phantoms(conf),
    )
    topology, warnings = _bounded_in_cycles(topology)
    unused = keys_without_effect(confs)
    if unused:
        warnings.append(f"without effect here: {', '.join(unused)}")
    if conf.get(METRICS_CONSUMERS):
        warnings.append(f"{METRICS_CONSUMERS}: consumers have task ids and are not called")
    problems, more = validate(topology)
    if problems:
        raise InvalidTopologyError("\n".join(problems))
    return StormPlan(topology, (*warnings, *more))


def _refuse_unknown_parts(structure: Structure) -> None:
    problems = []
    if structure["state_spouts"]:
        problems.append(f"state spouts do not run: {', '.join(structure['state_spouts'])}")
    for group, field in (("spouts", "spout_object"), ("bolts", "bolt_object")):
        for name, component in structure[group].items():
            shell = component[field].get("shell")
            if shell is not None:
                command = f"{shell.get('execution_command', '')} {shell.get('script', '')}"
                text = f"component [{name}] is a shell component ({command.strip()}); heronshim "
                problems.append(text + "runs those inside Java's ShellBolt and ShellSpout only")
    if problems:
        raise InvalidTopologyError("\n".join(problems))


def _component(
    component_id: str,
    kind: ComponentKind,
    item: Structure,
    own: Mapping[str, Any],
    conf: Mapping[str, Any],
) -> Component:
    common = item["common"]
    tasks = integer(own, TASKS, 1)
    assert tasks is not None
    made = item["spout_object" if kind is ComponentKind.SPOUT else "bolt_object"]
    java_object = made.get("java_object")
    options: dict[str, Any] = {"process": "container"}
    if boolean({**conf, **own}, DEBUG):
        options["debug"] = True
    ticks = integer({**conf, **own}, TICK_SECS)
    if kind is ComponentKind.BOLT and ticks:
        options["tick_interval_s"] = float(ticks)
    if kind is ComponentKind.SPOUT and own.get(MAX_PENDING) is not None:
        options[_PENDING] = _pending(own)
    return Component(
        id=component_id,
        kind=kind,
        object=java_object["full_class_name"] if java_object else CODE_FILE,
        language=Language.JAVA,
        # More executors than tasks: Storm starts one for each task.
        parallelism=min(parallelism_hint(common), tasks),
        tasks=tasks,
        outputs=tuple(
            OutputStream(stream, tuple(info["output_fields"]), info["direct"])
            for stream, info in sorted(common["streams"].items())
        ),
        inputs=tuple(
            InputStream(source["componentId"], source["streamId"], _grouping(grouping))
            for source, grouping in sorted(common["inputs"], key=_source)
        ),
        options=options,
    )


def _source(pair: tuple[Structure, Structure]) -> tuple[str, str]:
    return pair[0]["componentId"], pair[0]["streamId"]


def _grouping(grouping: Structure) -> Grouping:
    [(name, value)] = grouping.items()
    if name == "fields":
        # Storm's global grouping is one by no fields.
        return Grouping(GroupingKind.FIELDS, tuple(value)) if value else _GLOBAL
    if name == "custom_object":
        return Grouping(GroupingKind.CUSTOM, object=value["full_class_name"])
    if name == "custom_serialized":
        return Grouping(GroupingKind.CUSTOM, object=CODE_FILE)
    return Grouping(_KINDS[name])


_GLOBAL = Grouping(GroupingKind.GLOBAL)


def _options(conf: Mapping[str, Any], components: list[Component]) -> dict[str, Any]:
    executors = sum(component.parallelism for component in components)
    workers = integer(conf, WORKERS, least=1) or 1
    reliable = (integer(conf, ACKERS) or 0) > 0
    return {
        # Storm leaves workers empty that have nothing to do.
        "containers": max(1, min(workers, executors)),
        "delivery": "at_least_once" if reliable else "at_most_once",
        "message_timeout_s": float(integer(conf, TIMEOUT_SECS) or 0),
        "message_timeouts": boolean(conf, TIMEOUTS),
        _PENDING: _pending(conf),
        "on_user_exception": "restart",
        "error_report_max": integer(conf, ERRORS_PER_INTERVAL),
        "error_report_interval_s": float(integer(conf, ERROR_INTERVAL) or 0),
        "spout_wait_ms": max(RANGES["spout_wait_ms"][0], float(integer(conf, SPOUT_WAIT_MS) or 0)),
    }


def _pending(conf: Mapping[str, Any]) -> int:
    """Return the limit of open trees of a spout task; 0 for none, as large numbers mean too."""
    limit = integer(conf, MAX_PENDING, least=1)
    return 0 if limit is None or limit > RANGES[_PENDING][1] else limit


def _bounded_in_cycles(topology: Topology) -> tuple[Topology, list[str]]:
    """Limit open trees where a cycle needs it; return the topology and what to say of it."""
    limit = {_PENDING: TopologyOptions().max_spout_pending}
    # A component's own comes before the topology's.
    unlimited = [item for item in topology.components if item.options.get(_PENDING) == 0]
    if not cycles(topology) or (topology.options[_PENDING] and not unlimited):
        return topology, []
    if not topology.options[_PENDING]:
        topology = replace(topology, options={**topology.options, **limit})
    components = tuple(
        replace(item, options={**item.options, **limit}) if item in unlimited else item
        for item in topology.components
    )
    text = f"components form a cycle, so {MAX_PENDING} is {limit[_PENDING]} here and not unlimited"
    return replace(topology, components=components), [text]


def _phantoms(conf: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of tasks of each component that Storm adds, without those of none."""
    found = {
        ACKER: integer(conf, ACKERS, least=0) or 0,
        EVENT_LOGGER: integer(conf, EVENT_LOGGERS, least=0) or 0,
    }
    consumers = conf.get(METRICS_CONSUMERS) or []
    if not isinstance(consumers, list) or not all(isinstance(item, dict) for item in consumers):
        msg = f"Config {METRICS_CONSUMERS} must be a list of maps"
        raise InvalidTopologyError(msg)
    times: dict[str, int] = {}
    for item in consumers:
        name = str(item.get("class", ""))
        times[name] = times.get(name, 0) + 1
        number = f"#{times[name]}" if times[name] > 1 else ""
        hint = integer(item, "parallelism.hint", 1, least=0)
        found[f"{METRICS_PREFIX}{name}{number}"] = hint or 0
    return {name: count for name, count in found.items() if count > 0}
