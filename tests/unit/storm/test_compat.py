"""The report about what a topology uses: from what was submitted and what class files say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from heronshim.errors import StateError
from heronshim.storm.compat import (
    Report,
    TopologyReport,
    generation,
    jar_notes,
    report_json,
    topology_report,
)
from heronshim.storm.compat_table import FEATURES, Verdict, worst
from heronshim.storm.inspection import ComponentFacts, JarFacts, Layer, TopologyObjects, read_facts
from heronshim.storm.recording import Submission
from tests.unit.storm.structures import common, storm_topology

STORM = "org.apache.storm."
CONTEXT = STORM + "task.TopologyContext."
RICH = Layer("words.Count", (STORM + "topology.base.BaseRichBolt", STORM + "topology.IRichBolt"))


def report(
    facts: ComponentFacts,
    conf: dict[str, Any] | None = None,
    files: tuple[str, ...] = (),
    bolt: dict[str, Any] | None = None,
    **structure: Any,
) -> TopologyReport:
    """The report of a topology of one spout and of one bolt with these facts."""
    bolt = bolt or common(("spout", "default", {"shuffle": {}}))
    made = storm_topology(bolts={"count": bolt}) | structure
    spout = ComponentFacts(objects=(Layer("words.Lines", (STORM + "topology.IRichSpout",)),))
    objects = TopologyObjects({"spout": spout, "count": facts}, ("words.Hook",))
    return topology_report(Submission("words", made, conf or {}, None), objects, files)


def notes_of(found: TopologyReport) -> dict[str, str]:
    everything = [*found.notes, *(note for each in found.components for note in each.notes)]
    return {note.feature: note.found for note in everything}


def test_a_plain_topology_runs() -> None:
    found = report(ComponentFacts(objects=(RICH,)))
    assert found.verdict is Verdict.RUNS
    assert notes_of(found) == {}
    spout, count = found.components
    assert (spout.kind, spout.class_name, spout.features) == ("spout", "words.Lines", ("rich",))
    assert (count.kind, count.class_name, count.features) == ("bolt", "words.Count", ("rich",))
    assert count.inputs == ({"component": "spout", "stream": "default", "grouping": "shuffle"},)


@pytest.mark.parametrize(
    ("layers", "features"),
    [
        (["topology.BasicBoltExecutor", "topology.IBasicBolt"], ("basic",)),
        (["topology.WindowedBoltExecutor", "topology.IWindowedBolt"], ("windowed",)),
        (["topology.StatefulBoltExecutor", "topology.IStatefulComponent"], ("stateful",)),
        (["spout.CheckpointSpout"], ("stateful",)),
        (["trident.topology.TridentBoltExecutor"], ("trident",)),
        (["drpc.DRPCSpout"], ("drpc",)),
        (["streams.ProcessorBolt"], ("streams",)),
        (["task.Something"], ("rich",)),
    ],
)
def test_the_api_is_told_by_classes(layers: list[str], features: tuple[str, ...]) -> None:
    """The second of two stands for an ancestor of what the first holds."""
    outer, *inner = layers
    objects = (Layer(STORM + outer), *(Layer("words.Own", (STORM + name,)) for name in inner))
    found = report(ComponentFacts(objects=objects))
    assert found.components[1].features == features
    assert found.components[1].verdict is worst([FEATURES[name].verdict for name in features])


@pytest.mark.parametrize(
    ("facts", "feature", "text"),
    [
        ({"uses": frozenset({CONTEXT + "registerMetric"})}, "metrics_v1", "registerMetric"),
        ({"uses": frozenset({CONTEXT + "registerTimer"})}, "metrics_v2", "registerTimer"),
        ({"uses": frozenset({CONTEXT + "registerMetricSet"})}, "metrics_v2", "registerMetricSet"),
        ({"problem": "ClassNotFoundException: x"}, "unopened", "ClassNotFoundException"),
        ({"missing": (STORM + "Gone",)}, "missing", STORM + "Gone"),
        ({"shell": ("python3", "x.py")}, "no_script", "resources/x.py"),
    ],
)
def test_what_code_refers_to_is_noted(facts: dict[str, Any], feature: str, text: str) -> None:
    found = report(ComponentFacts(**facts))
    assert text in notes_of(found)[feature]
    assert len(notes_of(found)) == 1
    assert found.verdict is FEATURES[feature].verdict is not Verdict.RUNS


def test_a_counter_is_no_metric_of_the_old_api() -> None:
    assert notes_of(report(ComponentFacts(uses=frozenset({CONTEXT + "registerCounter"})))) == {}


def test_a_script_in_the_jar_is_found() -> None:
    found = report(ComponentFacts(shell=("python3", "x.py")), files=("resources/x.py",))
    assert notes_of(found) == {}
    assert found.components[1].features == ("shell",)
    assert found.verdict is Verdict.RUNS


@pytest.mark.parametrize(
    ("conf", "feature", "text"),
    [
        ({"topology.priority": 5, "own": 1}, "no_effect", "topology.priority"),
        ({"topology.metrics.consumer.register": [{"class": "a.B"}]}, "metrics_consumers", "a.B"),
        ({"topology.kryo.register": ["a.C", {"a.D": "a.S"}]}, "kryo", "a.C, a.D"),
        ({"topology.state.provider": "a.P"}, "state_provider", "a.P"),
        ({"topology.blobstore.map": {"key": {}}}, "blobs", "key"),
        ({"topology.auto-credentials": ["a.K"]}, "credentials", "a.K"),
    ],
)
def test_configuration_is_noted(conf: dict[str, Any], feature: str, text: str) -> None:
    """Whether the topology has it or a component."""
    facts = ComponentFacts(objects=(RICH,))
    assert notes_of(report(facts, conf)) == {feature: text}
    assert report(facts, conf).verdict is FEATURES[feature].verdict


def test_a_component_s_own_configuration_is_noted_there() -> None:
    own = '{"topology.component.cpu.pcore.percent": 5, "topology.bolts.window.length.count": 3}'
    bolt = common(("spout", "default", {"shuffle": {}}), conf=own)
    found = report(ComponentFacts(objects=(RICH,)), bolt=bolt)
    assert [note.feature for note in found.components[1].notes] == ["no_effect"]
    assert found.notes == ()
    shown = report_json(Report("x.jar", "Main", "2.x", "", (found,), ()))
    [_, component] = shown["topologies"][0]["components"]
    assert component["window"] == {"topology.bolts.window.length.count": 3}
    assert component["config_without_effect"] == ["topology.component.cpu.pcore.percent"]


def test_worker_hooks_and_refusals_are_noted() -> None:
    hooked = report(ComponentFacts(objects=(RICH,)), worker_hooks=[b"x"])
    assert notes_of(hooked) == {"worker_hooks": "words.Hook"}
    refused = Submission("words", storm_topology(), {}, None, "no spout")
    found = topology_report(refused, TopologyObjects({}), ())
    assert (found.verdict, notes_of(found)) == (Verdict.BLOCKED, {"refused": "no spout"})


def test_objects_that_nobody_could_look_at_block() -> None:
    found = topology_report(Submission("words", storm_topology(), {}, None), "it crashed", ())
    assert (found.verdict, notes_of(found)) == (Verdict.BLOCKED, {"unopened": "it crashed"})
    assert found.components[0].class_name is None


def test_groupings_are_shown() -> None:
    inputs = [
        ("spout", "a", {"fields": ["word", "line"]}),
        ("spout", "b", {"fields": []}),
        ("spout", "c", {"custom_serialized": b"x"}),
        ("spout", "d", {"custom_object": {"full_class_name": "a.G", "args_list": []}}),
        ("spout", "e", {"local_or_shuffle": {}}),
    ]
    facts = ComponentFacts(objects=(RICH,), groupings={"spout:c": "a.Own"})
    found = report(facts, bolt=common(*inputs))
    shown = [item["grouping"] for item in found.components[1].inputs]
    assert shown == [
        "fields(word, line)", "global", "custom(a.Own)", "custom(a.G)", "local_or_shuffle"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "api"),
    [
        ({"uses": {"backtype.storm.Config": ("A",)}}, "0.10"),
        ({"uses": {"storm.trident.TridentTopology": ("A",)}}, "0.10"),
        ({"libraries": ("storm-core:1.2.4",), "uses": {STORM + "Config": ("A",)}}, "1.x"),
        ({"libraries": ("storm-client:2.8.3", "storm-kafka-client:2.8.3")}, "2.x"),
        ({"uses": {STORM + "Config": ("A",)}}, "2.x"),
        ({"uses": {STORM + "Config": ("A",)}, "missing": {STORM + "Gone": ("A",)}}, None),
        ({"uses": {STORM + "Config": ("A",)}, "missing": {STORM + "LocalCluster": ("A",)}}, "2.x"),
        ({}, None),
    ],
)
def test_the_generation_is_told_by_the_jar(facts: dict[str, Any], api: str | None) -> None:
    found, evidence = generation(JarFacts(classes=1, newest_class_version=61, **facts))
    assert found == api
    assert evidence


def test_notes_of_a_jar() -> None:
    facts = JarFacts(
        classes=3,
        newest_class_version=69,
        damaged=("A.class: short",),
        storms_own=(STORM + "Config",),
        uses={STORM + "LocalCluster": ("A",), STORM + "utils.DRPCClient.execute": ("B",)},
        missing={STORM + "LocalCluster": ("A",), STORM + "Gone": ("B",)},
    )
    found = {note.feature: note for note in jar_notes(facts, None, 17)}
    assert set(found) == {
        "local_cluster", "drpc_client", "missing", "storms_own", "newer_java", "damaged"
    }  # fmt: skip
    assert found["local_cluster"].verdict is Verdict.RUNS
    assert found["missing"].found == f"{STORM}Gone (asked for by B)"
    assert found["missing"].verdict is Verdict.NOTES
    assert "Java 25" in found["newer_java"].found
    old = JarFacts(
        3, 52, uses={"backtype.storm.Config": ("A",)}, missing={"backtype.storm.X": ("A",)}
    )
    assert [note.feature for note in jar_notes(old, "0.10", 17)] == ["old_api"]


def test_long_lists_are_cut() -> None:
    conf = {f"topology.x{number}": 1 for number in range(9)}
    [note] = report(ComponentFacts(objects=(RICH,)), conf).notes
    assert note.found.endswith("topology.x4 and 4 more")


def test_facts_that_somebody_else_wrote_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "jar.json"
    assert read_facts(file, JarFacts) is None
    for text in ("", "[]", '{"classes": "3"}', '{"classes": 1, "newest_class_version": 1'):
        file.write_text(text)
        with pytest.raises(StateError, match=r"jar\.json, what the inspection wrote"):
            read_facts(file, JarFacts)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(StateError, match="is no regular file"):
        read_facts(file, JarFacts)
    file.unlink()
    file.symlink_to("/dev/zero")
    with pytest.raises(StateError, match="is no regular file"):
        read_facts(file, JarFacts)
