"""One row of figures for each component, from a snapshot of all its tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from heronshim.core.stream.histogram import merged, quantile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from heronshim.core.master.messages import MetricsSnapshot
    from heronshim.core.spi.metrics_sink import TaskRecord

US_PER_S = 1e6
_SYSTEM_STREAM = "__"


@dataclass(frozen=True, slots=True)
class ComponentRow:
    """What a component does now. Rates are per second, summed over its tasks."""

    component: str
    task_count: int
    emit_rate: float
    execute_rate: float
    ack_rate: float
    fail_rate: float
    emit_count: float
    """Since the start, as the next six."""
    execute_count: float
    ack_count: float
    fail_count: float
    """Trees of a spout, whatever made them fail; tuples that a bolt failed."""
    timeout_count: float
    """Of a spout's: at their timeout."""
    trees_failed_on_loss: float
    """Of a spout's: soon after a loss. Bolts failed the rest, or it could not be encoded."""
    error_count: float
    latency_p50_us: float | None
    """Complete latency of a spout, execute latency of a bolt; None when nothing was measured."""
    latency_p99_us: float | None
    capacity: float
    """Share of time in execute of its busiest task, 0 to 1 (Storm's formula)."""
    back_pressure: float
    """Share of time that its most hindered task was held back, 0 to 1."""
    pending: float
    """Open trees."""
    restart_count: float
    """Of the processes that run it."""


def component_rows(snapshot: MetricsSnapshot) -> list[ComponentRow]:
    """Return a row for each component of which a task has reported, ascending by name."""
    tasks: dict[str, list[TaskRecord]] = {}
    for task in snapshot.tasks:
        tasks.setdefault(task.component, []).append(task)
    restarts: dict[str, float] = {}
    for process in snapshot.processes:
        for component in {task.component for task in process.tasks}:
            count = process.gauges.get("restart_count", 0.0)
            restarts[component] = restarts.get(component, 0.0) + count
    return [
        _row(component, tasks[component], restarts.get(component, 0.0))
        for component in sorted(tasks)
    ]


def suspected_processes(snapshot: MetricsSnapshot) -> list[str]:
    """Return the ids of processes that are silent, ascending."""
    return [item.process for item in snapshot.processes if item.gauges.get("suspected")]


def _row(component: str, tasks: list[TaskRecord], restart_count: float) -> ComponentRow:
    counts = merged(task.histograms.get("complete_latency_us", {}) for task in tasks)
    if not counts:
        counts = merged(task.histograms.get("execute_latency_us", {}) for task in tasks)
    sums = [task.sums for task in tasks]
    gauges = [task.gauges for task in tasks]
    return ComponentRow(
        component=component,
        task_count=len(tasks),
        emit_rate=_total(gauges, "emit_count", "_rate"),
        execute_rate=_total(gauges, "execute_count", "_rate"),
        ack_rate=_total(gauges, "ack_count", "_rate"),
        fail_rate=_total(gauges, "fail_count", "_rate"),
        emit_count=_total(sums, "emit_count"),
        execute_count=_total(sums, "execute_count"),
        ack_count=_total(sums, "ack_count"),
        fail_count=_total(sums, "fail_count"),
        timeout_count=_total(sums, "timeout_count"),
        trees_failed_on_loss=_total(sums, "trees_failed_on_loss"),
        error_count=_total(sums, "error_count"),
        latency_p50_us=quantile(counts, 0.5),
        latency_p99_us=quantile(counts, 0.99),
        capacity=max(one.get("execute_time_us_rate", 0.0) for one in gauges) / US_PER_S,
        back_pressure=max(one.get("back_pressure_time_us_rate", 0.0) for one in gauges) / US_PER_S,
        pending=_total(gauges, "pending"),
        restart_count=restart_count,
    )


def _total(values: Iterable[Mapping[str, float]], name: str, ending: str = "") -> float:
    """Return the sum of `name` and of `name` per stream; the engine's own streams do not count."""
    total = 0.0
    for one in values:
        for key, value in one.items():
            if not key.endswith(ending):
                continue
            head, _, streams = key.removesuffix(ending).partition("/")
            if head == name and not streams.rpartition("/")[2].startswith(_SYSTEM_STREAM):
                total += value
    return total
