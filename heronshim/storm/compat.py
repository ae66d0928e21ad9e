"""The report of `heronshim compat check`: what topologies use of Storm, and how that runs here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heronshim.core.plan.graph import cycles
from heronshim.errors import HeronshimError
from heronshim.storm.compat_table import FEATURES, Verdict, worst
from heronshim.storm.config_values import (
    DECORATORS,
    EVENT_LOGGERS,
    KRYO_REGISTER,
    METRICS_CONSUMERS,
    keys_without_effect,
)
from heronshim.storm.inspection import ComponentFacts
from heronshim.storm.normalization import component_conf, parallelism_hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from heronshim.storm.inspection import JarFacts, TopologyObjects
    from heronshim.storm.recording import Submission
    from heronshim.storm.thrift_codec import Structure

LISTED_MAX = 5
"""Names in one note; the rest is counted."""
WINDOW_KEYS = "topology.bolts."
AUTO_CREDENTIALS = "topology.auto-credentials"
AUTO_HOOKS = "topology.auto.task.hooks"
BLOBS = "topology.blobstore.map"
STATE_PROVIDER = "topology.state.provider"
_STORM = "org.apache.storm."
_OLD_STORM = ("backtype.storm.", "storm.trident.")
_PACKAGES = {
    "trident": (_STORM + "trident.",),
    "drpc": (_STORM + "drpc.",),
    "streams": (_STORM + "streams.",),
}
"""Feature -> beginnings of classes of Storm's that components of it are."""
_INTERFACES = {
    "stateful": (
        _STORM + "topology.IStatefulComponent",
        _STORM + "spout.CheckpointSpout",
        _STORM + "topology.CheckpointTupleForwarder",
    ),
    "windowed": (_STORM + "topology.IWindowedBolt",),
    "basic": (_STORM + "topology.IBasicBolt",),
    "credentials": (_STORM + "ICredentialsListener", _STORM + "task.ICredentialsListener"),
}
"""Feature -> classes and interfaces of which a component of it is."""
_CONTEXT = _STORM + "task.TopologyContext."
_USES = {
    "metrics_v1": (
        _CONTEXT + "registerMetric",
        _STORM + "task.IMetricsContext.registerMetric",
        _STORM + "trident.operation.TridentOperationContext.registerMetric",
    ),
    "metrics_v2": (
        _CONTEXT + "registerMeter",
        _CONTEXT + "registerTimer",
        _CONTEXT + "registerHistogram",
        _CONTEXT + "registerMetricSet",
    ),
    "shared_executor": (_CONTEXT + "getSharedExecutor",),
    "task_hooks": (_CONTEXT + "addTaskHook",),
    "blobs": (_STORM + "blobstore.", _STORM + "utils.Utils.getClientBlobStore"),
    "drpc_client": (_STORM + "utils.DRPCClient",),
}
"""Feature -> what code of it refers to: packages (with a dot at the end), classes, members."""
_JAR_USES = {
    "local_cluster": (_STORM + "LocalCluster", _STORM + "LocalDRPC"),
    "drpc_client": _USES["drpc_client"],
    "old_api": _OLD_STORM,
}


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that a topology uses and that its author should know about."""

    feature: str
    """Key of FEATURES."""
    found: str
    """What of it is there: names, keys, a reason."""
    verdict: Verdict

    @property
    def text(self) -> str:
        """One line: what it is, what differs and what to do."""
        row = FEATURES[self.feature]
        parts = [f"{row.title.replace('`', '')}: {self.found}" if self.found else row.title]
        return "; ".join(filter(None, [*parts, row.differs, row.todo])).replace("`", "")


@dataclass(frozen=True, slots=True)
class ComponentReport:
    """One component."""

    id: str
    kind: str
    """spout or bolt."""
    class_name: str | None
    """The author's; None when its object could not be opened."""
    ancestors: tuple[str, ...]
    features: tuple[str, ...]
    """Keys of FEATURES; the first is the API that it is written to."""
    executors: int
    tasks: int
    inputs: tuple[Mapping[str, str], ...]
    outputs: tuple[Mapping[str, Any], ...]
    config: Mapping[str, Any]
    command: tuple[str, ...] | None
    """Of a ShellSpout or ShellBolt."""
    notes: tuple[Note, ...]

    @property
    def verdict(self) -> Verdict:
        """How it runs."""
        return worst([FEATURES[item].verdict for item in self.features] + _verdicts(self.notes))


@dataclass(frozen=True, slots=True)
class TopologyReport:
    """One topology."""

    name: str
    config: Mapping[str, Any]
    worker_hooks: tuple[str, ...]
    components: tuple[ComponentReport, ...]
    notes: tuple[Note, ...]

    @property
    def verdict(self) -> Verdict:
        """How it runs as a whole."""
        return worst([item.verdict for item in self.components] + _verdicts(self.notes))


@dataclass(frozen=True, slots=True)
class Report:
    """A jar, and what its main submitted."""

    jar: str
    main: str
    api: str | None
    """Storm's generation that it is written for: "0.10", "1.x" or "2.x"."""
    evidence: str
    topologies: tuple[TopologyReport, ...]
    notes: tuple[Note, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        return worst([item.verdict for item in self.topologies] + _verdicts(self.notes))


def _verdicts(notes: Iterable[Note]) -> list[Verdict]:
    return [note.verdict for note in notes]


def note(feature: str, found: str | Iterable[str] = "", verdict: Verdict | None = None) -> Note:
    """Return a note; many names are cut."""
    if not isinstance(found, str):
        names = list(found)
        more = f" and {len(names) - LISTED_MAX} more" if len(names) > LISTED_MAX else ""
        found = ", ".join(names[:LISTED_MAX]) + more
    return Note(feature, found, verdict or FEATURES[feature].verdict)


def _is_of(name: str, wanted: Iterable[str]) -> bool:
    """Return whether a class or member is one of those, or belongs to one."""
    return any(
        name == each or name.startswith(each if each.endswith(".") else (f"{each}.", f"{each}$"))
        for each in wanted
    )


def generation(jar: JarFacts) -> tuple[str | None, str]:
    """Return the generation of Storm's API that a jar is written for, and what says so."""
    old = [name for name in jar.uses if name.startswith(_OLD_STORM)]
    if old:
        return "0.10", f"refers to {old[0]}"
    built = [name for name in jar.libraries if name.startswith(("storm-core:", "storm-client:"))]
    versions = {name.partition(":")[2].partition(".")[0] for name in built}
    if versions & {"1", "2"}:
        return f"{max(versions & {'1', '2'})}.x", f"its Maven project names {', '.join(built)}"
    if not jar.uses:
        return None, "refers to no class of Storm's"
    absent = [name for name in jar.missing if not _is_of(name, _JAR_USES["local_cluster"])]
    if absent:
        return None, f"refers to {absent[0]}, which Storm's client 2.8.3 does not have"
    return "2.x", "all that it refers to is in Storm's client 2.8.3"


def jar_notes(jar: JarFacts, api: str | None, running_java: int) -> list[Note]:
    """Return what class files alone say, whether their code runs or not."""
    found = []
    for feature, beginnings in _JAR_USES.items():
        users = {user for name in jar.uses if _is_of(name, beginnings) for user in jar.uses[name]}
        if users:
            found.append(note(feature, f"used by {note(feature, sorted(users)).found}"))
    if api == "1.x":
        found.append(note("api_1"))
    if jar.storms_own:
        found.append(note("storms_own", jar.storms_own))
    lacking = [name for name in jar.missing if not _is_of(name, _JAR_USES["local_cluster"])]
    if lacking and api != "0.10":
        texts = [f"{name} (asked for by {jar.missing[name][0]})" for name in lacking]
        found.append(note("missing", texts, Verdict.NOTES))
    if jar.java_version > running_java:
        found.append(note("newer_java", f"Java {jar.java_version}, here is Java {running_java}"))
    if jar.damaged:
        found.append(note("damaged", jar.damaged))
    return found


def topology_report(
    submission: Submission, objects: TopologyObjects | str, files: Sequence[str]
) -> TopologyReport:
    """Return the report of one submit; `files` are the paths in the jar.

    `objects` is a text where its objects could not be looked at: why.
    """
    structure, conf = submission.structure, submission.conf
    components = []
    for kind, group in (("spout", "spouts"), ("bolt", "bolts")):
        for name, item in sorted(structure[group].items()):
            facts = None if isinstance(objects, str) else objects.components.get(name)
            components.append(_component(name, kind, item, facts, submission, files))
    notes = _conf_notes(conf)
    hooks = () if isinstance(objects, str) else objects.worker_hooks
    if isinstance(objects, str):
        notes.append(note("unopened", objects))
    if structure.get("worker_hooks"):
        notes.append(note("worker_hooks", hooks))
    if submission.refusal:
        notes.append(note("refused", submission.refusal))
    if submission.plan and cycles(submission.plan):
        notes.append(note("cycle"))
    return TopologyReport(submission.name, conf, hooks, tuple(components), tuple(notes))


def _conf_notes(conf: Mapping[str, Any]) -> list[Note]:
    """Return notes of configuration, that of a topology or of a component."""
    found = []
    values = {
        "metrics_consumers": [
            str(item.get("class")) if isinstance(item, dict) else str(item)
            for item in _listed(conf.get(METRICS_CONSUMERS))
        ],
        "kryo": [*_kryo(conf.get(KRYO_REGISTER)), *map(str, _listed(conf.get(DECORATORS)))],
        "state_provider": _listed(conf.get(STATE_PROVIDER)),
        "task_hooks": _listed(conf.get(AUTO_HOOKS)),
        "blobs": sorted(conf[BLOBS]) if isinstance(conf.get(BLOBS), dict) else [],
        "event_logger": [str(conf[EVENT_LOGGERS])] if conf.get(EVENT_LOGGERS) else [],
        "credentials": _listed(conf.get(AUTO_CREDENTIALS)),
        "no_effect": [key for key in keys_without_effect([conf]) if key not in _NAMED],
    }
    for feature, names in values.items():
        if names:
            found.append(note(feature, map(str, names)))
    return found


_NAMED = frozenset({AUTO_CREDENTIALS, BLOBS})
"""Keys without effect that have a row of their own."""


def _listed(value: object) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _kryo(value: object) -> list[str]:
    """Return the classes that are registered; entries are names, or maps to serializers."""
    entries = [value] if isinstance(value, dict) else _listed(value)
    return [name for entry in entries for name in (entry if isinstance(entry, dict) else [entry])]


def _component(
    name: str,
    kind: str,
    item: Structure,
    facts: ComponentFacts | None,
    submission: Submission,
    files: Sequence[str],
) -> ComponentReport:
    common = item["common"]
    try:
        conf = component_conf(name, common)
    except HeronshimError:
        # The topology's refusal says so.
        conf = {}
    plan = submission.plan.component(name) if submission.plan else None
    hint = parallelism_hint(common)
    notes = _conf_notes(conf)
    if facts is not None:
        notes += _object_notes(facts, files)
    layers = facts.objects if facts else ()
    own = layers[-1] if layers else None
    features = _features(facts or ComponentFacts())
    return ComponentReport(
        id=name,
        kind=kind,
        class_name=own.name if own else None,
        ancestors=own.ancestors if own else (),
        features=features,
        executors=plan.parallelism if plan else hint,
        tasks=plan.task_count if plan else hint,
        inputs=tuple(_input(source, grouping, facts) for source, grouping in common["inputs"]),
        outputs=tuple(
            {"stream": stream, "fields": info["output_fields"], "direct": info["direct"]}
            for stream, info in sorted(common["streams"].items())
        ),
        config=conf,
        command=facts.shell if facts else None,
        notes=(
            *(note(key) for key in features if FEATURES[key].differs and key not in _USES),
            *notes,
        ),
    )


def _features(facts: ComponentFacts) -> tuple[str, ...]:
    """Return what a component is and uses; first the API that it is written to."""
    names = {name for layer in facts.objects for name in (layer.name, *layer.ancestors)}
    found = [
        feature
        for feature, beginnings in _PACKAGES.items()
        if any(layer.name.startswith(beginnings) for layer in facts.objects)
    ]
    found += [feature for feature, wanted in _INTERFACES.items() if names & set(wanted)]
    if facts.shell is not None:
        found.insert(0, "shell")
    if not set(found) - {"credentials"}:
        found.insert(0, "rich")
    found += [
        feature
        for feature, beginnings in _USES.items()
        if any(_is_of(name, beginnings) for name in facts.uses)
    ]
    return tuple(found)


def _object_notes(facts: ComponentFacts, files: Sequence[str]) -> list[Note]:
    found = []
    if facts.problem:
        found.append(note("unopened", facts.problem))
    if facts.missing:
        found.append(note("missing", facts.missing, Verdict.BLOCKED))
    for feature, beginnings in _USES.items():
        used = sorted({name for name in facts.uses if _is_of(name, beginnings)})
        if used and FEATURES[feature].differs:
            found.append(note(feature, (name.removeprefix(_STORM) for name in used)))
    if facts.shell is not None:
        script = facts.shell[1] if len(facts.shell) > 1 else ""
        if script and f"resources/{script}" not in files and not script.startswith("/"):
            found.append(note("no_script", f"resources/{script}"))
    return found


def _input(source: Structure, grouping: Structure, facts: ComponentFacts | None) -> dict[str, str]:
    [(kind, value)] = grouping.items()
    of, stream = source["componentId"], source["streamId"]
    shown = kind
    if kind == "fields":
        shown = f"fields({', '.join(value)})" if value else "global"
    elif kind == "custom_object":
        shown = f"custom({value['full_class_name']})"
    elif kind == "custom_serialized":
        name = facts.groupings.get(f"{of}:{stream}", "") if facts else ""
        shown = f"custom({name})"
    return {"component": of, "stream": stream, "grouping": shown}


def report_json(report: Report) -> dict[str, Any]:
    """Return what `--output json` prints; docs/cli.md has its shape."""
    return {
        "jar": report.jar,
        "main": report.main,
        "verdict": str(report.verdict),
        "api": report.api,
        "api_evidence": report.evidence,
        "notes": [_note_json(item) for item in report.notes],
        "topologies": [_topology_json(item) for item in report.topologies],
    }


def _topology_json(topology: TopologyReport) -> dict[str, Any]:
    return {
        "name": topology.name,
        "verdict": str(topology.verdict),
        "config": topology.config,
        "config_without_effect": keys_without_effect([topology.config]),
        "worker_hooks": list(topology.worker_hooks),
        "notes": [_note_json(item) for item in topology.notes],
        "components": [_component_json(item) for item in topology.components],
    }


def _component_json(component: ComponentReport) -> dict[str, Any]:
    window = {key: value for key, value in component.config.items() if key.startswith(WINDOW_KEYS)}
    return {
        "id": component.id,
        "kind": component.kind,
        "verdict": str(component.verdict),
        "class": component.class_name,
        "ancestors": list(component.ancestors),
        "features": list(component.features),
        "executors": component.executors,
        "tasks": component.tasks,
        "inputs": [dict(item) for item in component.inputs],
        "outputs": [dict(item) for item in component.outputs],
        "config": component.config,
        "config_without_effect": keys_without_effect([component.config]),
        "window": window or None,
        "shell": list(component.command) if component.command is not None else None,
        "notes": [_note_json(item) for item in component.notes],
    }


def _note_json(item: Note) -> dict[str, str]:
    row = FEATURES[item.feature]
    return {
        "feature": item.feature,
        "verdict": str(item.verdict),
        "found": item.found,
        "differs": row.differs.replace("`", ""),
        "todo": row.todo.replace("`", ""),
    }
