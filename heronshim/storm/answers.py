"""What Nimbus tells of topologies, out of our plans and metrics. Pure.

Storm counts by window; we know totals, so that only the window ":all-time" is filled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heronshim.core.plan.physical import TopologyState
from heronshim.core.plan.topology import ComponentKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heronshim.core.plan.topology import Component
    from heronshim.core.spi.metrics_sink import ErrorRecord, TaskRecord
    from heronshim.storm.cluster import TopologyFacts
    from heronshim.storm.thrift_codec import Structure

ALL_TIME = ":all-time"
EVERY_INPUT = "*"
"""Component and stream under which acks and fails of a bolt with several inputs are counted."""
KILLED = "KILLED"
I32_MAX = (1 << 31) - 1
_STREAMS_OF_ENGINE = "__"


def status_of(facts: TopologyFacts, *, dying: bool) -> str:
    """Return Storm's word for the state of a topology."""
    if dying:
        return KILLED
    plan = facts.physical_plan
    state = facts.record.initial_state if plan is None else plan.state
    return "ACTIVE" if state is TopologyState.ACTIVE else "INACTIVE"


def topology_summary(facts: TopologyFacts, now_s: int, *, dying: bool) -> Structure:
    """Return a TopologySummary."""
    processes = [process for item in facts.packing_plan.containers for process in item.processes]
    return {
        "id": facts.record.id,
        "name": facts.record.name,
        "num_tasks": sum(len(process.tasks) for process in processes),
        "num_executors": sum(len(process.executors) for process in processes),
        "num_workers": len(facts.packing_plan.containers),
        "uptime_secs": _uptime_s(facts, now_s),
        "status": status_of(facts, dying=dying),
        "sched_status": "",
        "owner": facts.record.user,
        "replication_count": 1,
    }


def topology_info(
    facts: TopologyFacts,
    tasks: Sequence[TaskRecord],
    errors: Sequence[ErrorRecord],
    now_s: int,
    *,
    dying: bool,
) -> Structure:
    """Return a TopologyInfo with the counts of each executor."""
    by_task = {task.task: task for task in tasks}
    hosts = {
        item.id: item.host
        for item in (facts.physical_plan.containers if facts.physical_plan else ())
    }
    uptime_s = _uptime_s(facts, now_s)
    executors = [
        {
            "executor_info": {"task_start": min(executor), "task_end": max(executor)},
            "component_id": process.component,
            "host": hosts.get(container.id, ""),
            # Storm's number of a worker on its host; ours have none, containers are told apart.
            "port": container.id,
            "uptime_secs": uptime_s,
            "stats": executor_stats(
                facts.topology.component(process.component),
                [by_task[task] for task in executor if task in by_task],
            ),
        }
        for container in facts.packing_plan.containers
        for process in container.processes
        for executor in process.executors
    ]
    return {
        "id": facts.record.id,
        "name": facts.record.name,
        "uptime_secs": uptime_s,
        "executors": executors,
        "status": status_of(facts, dying=dying),
        "errors": component_errors(facts, errors),
        "sched_status": "",
        "owner": facts.record.user,
        "replication_count": 1,
    }


def executor_stats(component: Component, tasks: Sequence[TaskRecord]) -> Structure:
    """Return an ExecutorStats of the tasks of one executor.

    "transferred" is empty: nothing counts copies. Latencies of a spout are the medians of the
    last seconds, those of a bolt means since its start.
    """
    sums: dict[str, float] = {}
    for task in tasks:
        for name, value in task.sums.items():
            sums[name] = sums.get(name, 0.0) + value
    emitted = {
        stream: _i64(value)
        for stream, value in _below(sums, "emit_count").items()
        if not stream.startswith(_STREAMS_OF_ENGINE)
    }
    is_spout = component.kind is ComponentKind.SPOUT
    rate = sum(task.gauges.get("execute_count_rate", 0.0) for task in tasks)
    return {
        "emitted": {ALL_TIME: emitted},
        "transferred": {},
        "specific": {"spout": _spout(sums, tasks)}
        if is_spout
        else {"bolt": _bolt(sums, component)},
        "rate": rate,
    }


def component_errors(
    facts: TopologyFacts, errors: Sequence[ErrorRecord]
) -> dict[str, list[Structure]]:
    """Return the errors of each component, newest first, with an entry for each component."""
    found: dict[str, list[Structure]] = {item.id: [] for item in facts.topology.components}
    for error in sorted(errors, key=lambda item: -item.time_ms):
        text = error.message + (f"\n{error.detail}" if error.detail else "")
        found.setdefault(error.component, []).append(
            {
                "error": text,
                "error_time_secs": min(error.time_ms // 1000, I32_MAX),
                "host": error.host,
                "port": 0,
            }
        )
    return found


def _spout(sums: Mapping[str, float], tasks: Sequence[TaskRecord]) -> Structure:
    latencies = [
        task.maxima["complete_latency_p50_us"]
        for task in tasks
        if "complete_latency_p50_us" in task.maxima
    ]
    found: dict[str, Any] = {
        "acked": {ALL_TIME: {"default": _i64(sums.get("ack_count", 0.0))}},
        "failed": {ALL_TIME: {"default": _i64(sums.get("fail_count", 0.0))}},
        "complete_ms_avg": {ALL_TIME: {}},
    }
    if latencies:
        found["complete_ms_avg"][ALL_TIME]["default"] = sum(latencies) / len(latencies) / 1000
    return found


def _bolt(sums: Mapping[str, float], component: Component) -> Structure:
    executed = {
        tuple(name.split("/", 1)): value
        for name, value in _below(sums, "execute_count").items()
        if "/" in name
    }
    pairs = [
        ({"componentId": key[0], "streamId": key[1]}, value) for key, value in executed.items()
    ]
    total = sum(executed.values())
    mean_ms = sums.get("execute_time_us", 0.0) / total / 1000 if total else 0.0
    inputs = component.inputs
    source = (
        {"componentId": inputs[0].component, "streamId": inputs[0].stream}
        if len(inputs) == 1
        else {"componentId": EVERY_INPUT, "streamId": EVERY_INPUT}
    )
    return {
        "acked": {ALL_TIME: [(source, _i64(sums.get("ack_count", 0.0)))]},
        "failed": {ALL_TIME: [(source, _i64(sums.get("fail_count", 0.0)))]},
        # The time until the ack is not measured.
        "process_ms_avg": {ALL_TIME: []},
        "executed": {ALL_TIME: [(key, _i64(value)) for key, value in pairs]},
        "execute_ms_avg": {ALL_TIME: [(key, mean_ms) for key, _ in pairs]},
    }


def _below(sums: Mapping[str, float], name: str) -> dict[str, float]:
    """Return the sums "<name>/<rest>" by their rest."""
    return {
        key.removeprefix(f"{name}/"): value
        for key, value in sums.items()
        if key.startswith(f"{name}/")
    }


def _i64(value: float) -> int:
    return int(min(max(value, 0.0), float(1 << 62)))


def _uptime_s(facts: TopologyFacts, now_s: int) -> int:
    return min(max(0, now_s - facts.record.submit_time_s), I32_MAX)
