"""What Nimbus tells of a topology: sums of its tasks by executor, in structures that fit."""

from __future__ import annotations

from typing import Any

import pytest

from heronshim.core.plan.physical import (
    ContainerPlan,
    PackingPlan,
    PhysicalContainer,
    PhysicalPlan,
    ProcessPlan,
    Resources,
    TopologyState,
)
from heronshim.core.plan.records import ExecutionState
from heronshim.core.plan.topology import (
    Component,
    ComponentKind,
    Grouping,
    GroupingKind,
    InputStream,
    Topology,
)
from heronshim.core.spi.metrics_sink import ErrorRecord, TaskRecord
from heronshim.storm.answers import topology_info, topology_summary
from heronshim.storm.cluster import TopologyFacts
from heronshim.storm.thrift_codec import struct_from_bytes, struct_to_bytes
from tests.unit.storm.structures import STRUCTS

SHUFFLE = Grouping(GroupingKind.SHUFFLE)
SPOUT = Component("spout", ComponentKind.SPOUT, "stormcode.ser", parallelism=1)
BOLT = Component(
    "bolt",
    ComponentKind.BOLT,
    "stormcode.ser",
    parallelism=1,
    tasks=2,
    inputs=(InputStream("spout", "default", SHUFFLE),),
)
PROCESSES = (
    ProcessPlan("bolt-2", "bolt", ((2, 3),), Resources()),
    ProcessPlan("spout-4", "spout", ((4,),), Resources()),
)
PLAN = PackingPlan(1, (ContainerPlan(1, PROCESSES, Resources()),), "round_robin", 4)
TOPOLOGY = Topology("words", (BOLT, SPOUT), id="words-1-9")
RECORD = ExecutionState("words", "words-1-9", 100, "ann", "local")


def facts(state: TopologyState | None = TopologyState.ACTIVE) -> TopologyFacts:
    physical = None
    if state is not None:
        container = PhysicalContainer(1, "here", "", 1, 1, PROCESSES)
        physical = PhysicalPlan(1, 1, TOPOLOGY, (container,), state)
    return TopologyFacts(RECORD, TOPOLOGY, PLAN, physical)


TASKS = [
    TaskRecord(
        2,
        "bolt",
        sums={
            "execute_count/spout/default": 10,
            "execute_count/__system/__tick": 2,
            "execute_time_us": 6000,
            "ack_count": 9,
            "emit_count/default": 5,
            "emit_count/__ack": 3,
        },
    ),
    TaskRecord(3, "bolt", sums={"execute_count/spout/default": 4, "fail_count": 1}),
    TaskRecord(
        4,
        "spout",
        sums={"emit_count/default": 7, "ack_count": 6, "fail_count": 1},
        maxima={"complete_latency_p50_us": 1500.0},
    ),
]


def info(**keywords: Any) -> dict[str, Any]:
    """A TopologyInfo as a client reads it."""
    errors = [
        ErrorRecord(5_000, 2, "bolt", "old", "", 1, "x", host="here"),
        ErrorRecord(9_000, 3, "bolt", "new", "trace", 1, "y"),
    ]
    found = topology_info(facts(), TASKS, errors, 160, dying=False, **keywords)
    return struct_from_bytes(
        struct_to_bytes(found, STRUCTS["TopologyInfo"]), STRUCTS["TopologyInfo"], "info"
    )


def test_counts_of_an_executor_are_those_of_its_tasks() -> None:
    bolt, spout = info()["executors"]
    assert bolt["executor_info"] == {"task_start": 2, "task_end": 3}
    assert (bolt["component_id"], bolt["host"], bolt["port"]) == ("bolt", "here", 1)
    stats = bolt["stats"]
    source = {"componentId": "spout", "streamId": "default"}
    tick = {"componentId": "__system", "streamId": "__tick"}
    assert stats["emitted"] == {":all-time": {"default": 5}}
    counts = stats["specific"]["bolt"]
    assert counts["executed"] == {":all-time": [(source, 14), (tick, 2)]}
    assert counts["acked"] == {":all-time": [(source, 9)]}
    assert counts["failed"] == {":all-time": [(source, 1)]}
    assert counts["execute_ms_avg"][":all-time"][0] == (source, pytest.approx(0.375))
    assert spout["stats"]["specific"]["spout"] == {
        "acked": {":all-time": {"default": 6}},
        "failed": {":all-time": {"default": 1}},
        "complete_ms_avg": {":all-time": {"default": 1.5}},
    }


def test_errors_are_by_component_newest_first() -> None:
    errors = info()["errors"]
    assert [error["error"] for error in errors["bolt"]] == ["new\ntrace", "old"]
    assert errors["bolt"][1] == {"error": "old", "error_time_secs": 5, "host": "here", "port": 0}
    assert errors["spout"] == []


def test_without_reports_all_counts_are_zero() -> None:
    found = topology_info(facts(None), [], [], 50, dying=False)
    struct_to_bytes(found, STRUCTS["TopologyInfo"])
    assert found["uptime_secs"] == 0
    assert found["status"] == "ACTIVE"
    bolt, spout = (executor["stats"] for executor in found["executors"])
    assert bolt["emitted"] == spout["emitted"] == {":all-time": {}}
    assert (bolt["rate"], spout["rate"]) == (0, 0)
    source = {"componentId": "spout", "streamId": "default"}
    counts = bolt["specific"]["bolt"]
    assert counts["acked"] == counts["failed"] == {":all-time": [(source, 0)]}
    assert counts["executed"] == counts["execute_ms_avg"] == {":all-time": []}
    assert spout["specific"]["spout"] == {
        "acked": {":all-time": {"default": 0}},
        "failed": {":all-time": {"default": 0}},
        "complete_ms_avg": {":all-time": {}},
    }


@pytest.mark.parametrize(
    ("state", "dying", "word"),
    [
        (TopologyState.ACTIVE, False, "ACTIVE"),
        (TopologyState.INACTIVE, False, "INACTIVE"),
        (TopologyState.INACTIVE, True, "KILLED"),
    ],
)
def test_a_summary_counts_what_is_planned(state: TopologyState, dying: bool, word: str) -> None:
    found = topology_summary(facts(state), 160, dying=dying)
    struct_to_bytes(found, STRUCTS["TopologySummary"])
    assert found["status"] == word
    assert (found["num_tasks"], found["num_executors"], found["num_workers"]) == (3, 2, 1)
    assert (found["uptime_secs"], found["owner"], found["id"]) == (60, "ann", "words-1-9")
