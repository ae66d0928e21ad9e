"""Totals outlive processes; rates, histograms and errors are of lately, and all is bounded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.master import metrics_store
from heronshim.core.master.metrics_store import (
    GENERATION_NS,
    NAMES_MAX,
    MetricsStore,
)
from heronshim.core.spi.metrics_sink import ErrorRecord, MetricsRecord, TaskRecord
from heronshim.core.stream.histogram import bucket

SECOND_NS = 1_000_000_000
START_NS = 5 * GENERATION_NS


def report(
    *tasks: TaskRecord, process: str = "line-1", incarnation: int = 1, **changes: object
) -> MetricsRecord:
    record = MetricsRecord("words", process, 1, 7, 1000, incarnation, 50, tasks)
    return replace(record, **changes)


def task(number: int = 1, component: str = "line", **changes: object) -> TaskRecord:
    return replace(TaskRecord(number, component), **changes)


def acks(count: float) -> TaskRecord:
    return task(sums={"ack_count": count})


def only_task(store: MetricsStore, now_ns: int) -> TaskRecord:
    (found,) = store.snapshot(now_ns, 1).tasks
    return found


def test_totals_are_the_sum_of_increments_over_restarts():
    store = MetricsStore()
    for number, incarnation in enumerate((1, 1, 2, 5)):
        store.add(report(acks(10), incarnation=incarnation), START_NS + number * SECOND_NS)
    assert only_task(store, START_NS).sums == {"ack_count": 40}
    (process,) = store.snapshot(START_NS, 1).processes
    assert process.gauges["restart_count"] == 2
    assert process.incarnation == 5


def test_late_report_of_an_older_incarnation_counts_but_its_gauges_do_not():
    store = MetricsStore()
    store.add(report(task(sums={"ack_count": 1}, gauges={"pending": 3}), incarnation=2), START_NS)
    store.add(report(task(sums={"ack_count": 1}, gauges={"pending": 9}), incarnation=1), START_NS)
    found = only_task(store, START_NS)
    assert found.sums["ack_count"] == 2
    assert found.gauges["pending"] == 3
    assert store.snapshot(START_NS, 1).processes[0].gauges["restart_count"] == 0


def test_gauge_that_is_not_reported_any_more_is_gone():
    store = MetricsStore()
    store.add(report(task(gauges={"a": 1, "b": 2})), START_NS)
    store.add(report(task(gauges={"b": 3})), START_NS + SECOND_NS)
    assert only_task(store, START_NS + SECOND_NS).gauges == {"b": 3}


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=12), st.floats(0, 0.9))
def test_steady_rate_is_that_of_the_last_three_seconds(counts, phase):
    store = MetricsStore()
    now_ns = START_NS
    for count in counts:
        now_ns += SECOND_NS
        store.add(report(acks(count)), now_ns)
    shown = only_task(store, now_ns + int(phase * 1e9 / 2)).gauges["ack_count_rate"]
    assert shown == pytest.approx(sum(counts[-4:]) / 4) or shown == pytest.approx(
        sum(counts[-3:]) / 3
    )


def test_rate_of_a_silent_process_falls_to_zero():
    store = MetricsStore()
    for second in range(5):
        store.add(report(acks(100)), START_NS + second * SECOND_NS)
    last_ns = START_NS + 4 * SECOND_NS
    shown = [
        only_task(store, last_ns + after * SECOND_NS // 2).gauges["ack_count_rate"]
        for after in range(9)
    ]
    assert shown[0] == 100
    assert shown == sorted(shown, reverse=True)
    assert shown[-1] == 0


def test_rate_of_a_process_that_reports_late_is_over_the_time_it_took():
    store = MetricsStore()
    for number in range(4):
        store.add(report(acks(150)), START_NS + number * SECOND_NS * 3 // 2)
    now_ns = START_NS + SECOND_NS * 9 // 2
    assert only_task(store, now_ns).gauges["ack_count_rate"] == pytest.approx(100)


def test_histogram_shows_lately_with_its_quantiles_and_forgets():
    store = MetricsStore()
    histograms = {"complete_latency_us": {bucket(1000): 99, bucket(100_000): 1}}
    store.add(report(task(histograms=histograms, maxima={"m": 5})), START_NS)
    store.add(report(task(histograms=histograms, maxima={"m": 3})), START_NS + GENERATION_NS)
    found = only_task(store, START_NS + GENERATION_NS)
    assert found.histograms["complete_latency_us"] == {bucket(1000): 198, bucket(100_000): 2}
    assert found.maxima["complete_latency_p50_us"] == pytest.approx(1000, rel=0.2)
    assert found.maxima["m"] == 5
    later = only_task(store, START_NS + 2 * GENERATION_NS)
    assert later.histograms["complete_latency_us"][bucket(1000)] == 99
    assert later.maxima["m"] == 3
    gone = only_task(store, START_NS + 3 * GENERATION_NS)
    assert (gone.histograms, gone.maxima) == ({}, {})


def test_snapshot_of_a_component_has_its_tasks_and_their_processes():
    store = MetricsStore()
    store.add(report(task(1), task(2)), START_NS)
    store.add(report(task(3, "split"), process="split-3", sums={"cpu_time_us": 4}), START_NS)
    store.add(report(process="stmgr-1"), START_NS)
    snapshot = store.snapshot(START_NS, 9, "split")
    assert [item.task for item in snapshot.tasks] == [3]
    assert [item.process for item in snapshot.processes] == ["split-3"]
    assert snapshot.processes[0].sums == {"cpu_time_us": 4}
    assert snapshot.processes[0].tasks == (TaskRecord(3, "split"),)
    everything = store.snapshot(START_NS, 9)
    assert [item.task for item in everything.tasks] == [1, 2, 3]
    assert [item.process for item in everything.processes] == ["line-1", "split-3", "stmgr-1"]


def test_values_that_are_no_numbers_are_dropped_and_counted():
    store = MetricsStore()
    bad = {"a": float("nan"), "b": float("inf"), "c": 1.0}
    store.add(report(task(sums=bad, gauges=bad)), START_NS)
    found = only_task(store, START_NS)
    assert found.sums == {"c": 1}
    assert found.gauges == {"c": 1, "c_rate": 1}
    assert store.dropped_count == 4


def test_names_are_bounded_and_known_ones_go_on():
    store = MetricsStore()
    names = {f"n{number}": 1.0 for number in range(NAMES_MAX)}
    store.add(report(task(sums=names)), START_NS)
    store.add(report(task(sums={"new": 1.0, "n0": 1.0})), START_NS)
    found = only_task(store, START_NS)
    assert len(found.sums) == NAMES_MAX
    assert found.sums["n0"] == 2
    assert store.dropped_count == 1


def test_tasks_and_processes_are_bounded(monkeypatch):
    monkeypatch.setattr(metrics_store, "SERIES_MAX", 2)
    store = MetricsStore()
    store.add(report(task(1), task(2), task(3)), START_NS)
    store.add(report(process="p2"), START_NS)
    store.add(report(process="p3"), START_NS)
    snapshot = store.snapshot(START_NS, 1)
    assert [item.task for item in snapshot.tasks] == [1, 2]
    assert [item.process for item in snapshot.processes] == ["line-1", "p2"]
    assert store.dropped_count == 2


reports = st.lists(
    st.builds(
        lambda number, incarnation, count: report(
            task(number, sums={"ack_count": count}, gauges={"pending": count}),
            process=f"line-{number}",
            incarnation=incarnation,
            sums={"cpu_time_us": count},
            errors=(error(f"f{number}", 1 + count),),
        ),
        st.integers(1, 2),
        st.integers(1, 3),
        st.integers(0, 9),
    ),
    max_size=12,
)


def figures(store: MetricsStore) -> list[object]:
    """Return all but what is of lately."""
    snapshot = store.snapshot(START_NS + 9 * GENERATION_NS, 1)
    rates = [*snapshot.tasks, *snapshot.processes]
    return [
        [item.sums for item in rates],
        [{k: v for k, v in item.gauges.items() if not k.endswith("_rate")} for item in rates],
        store.errors.records(),
    ]


@given(reports)
def test_catch_up_gives_an_empty_store_all_totals_and_errors(given_reports):
    old, new = MetricsStore(), MetricsStore()
    for one in given_reports:
        old.add(one, START_NS)
    for one in old.catch_up():
        new.add(one, START_NS)
    assert figures(new) == figures(old)
    snapshot = new.snapshot(START_NS, 1)
    assert {item.gauges["ack_count_rate"] for item in snapshot.tasks} <= {0}


@given(st.integers(0, 12), st.integers(0, 12), reports)
def test_catch_up_fills_a_gap_in_what_a_store_was_given(first, length, given_reports):
    told, partly, missed = MetricsStore(), MetricsStore(), MetricsStore()
    ordered = sorted(given_reports, key=lambda one: one.incarnation)
    for number, one in enumerate(ordered):
        if first <= number < first + length:
            missed.add(one, START_NS)
        else:
            for late in missed.catch_up(told):
                partly.add(late, START_NS)
            missed = MetricsStore()
            partly.add(one, START_NS)
        told.add(one, START_NS)
    for late in missed.catch_up(told):
        partly.add(late, START_NS)
    assert figures(partly)[:2] == figures(told)[:2]
    counts = [
        {item.fingerprint: item.count for item in store.errors.records()}
        for store in (told, partly)
    ]
    assert counts[0] == counts[1]


def error(fingerprint: str, time_ms: int, component: str = "line", **changes: object):
    return replace(
        ErrorRecord(time_ms, 1, component, "boom", f"trace {time_ms}", 2, fingerprint), **changes
    )
