"""One row for each component: counts add up over tasks and streams, loads are the highest."""

from __future__ import annotations

from heronshim.core.master.component_rows import component_rows
from heronshim.core.master.messages import MetricsSnapshot
from heronshim.core.spi.metrics_sink import MetricsRecord, TaskRecord
from heronshim.core.stream.histogram import bucket


def test_rows_add_up_tasks_and_streams():
    spouts = [
        TaskRecord(
            number,
            "line",
            {"emit_count/default": 10, "emit_count/other": 5, "ack_count": 7, "fail_count": 9}
            | {"timeout_count": 2, "trees_failed_on_loss": 3},
            {"emit_count/default_rate": 4, "emit_count/other_rate": 1, "pending": 3},
            {},
            {"complete_latency_us": {bucket(1000): 1}},
        )
        for number in (1, 2)
    ]
    snapshot = MetricsSnapshot(1, tuple(spouts), ())
    (row,) = component_rows(snapshot)
    assert (row.component, row.task_count) == ("line", 2)
    assert (row.emit_count, row.ack_count, row.fail_count, row.pending) == (30, 14, 18, 6)
    assert (row.timeout_count, row.trees_failed_on_loss) == (4, 6)
    assert row.emit_rate == 10
    assert 900 < row.latency_p50_us < 1200


def test_ticks_are_no_input_of_a_bolt_and_its_load_is_that_of_its_busiest_task():
    bolts = [
        TaskRecord(
            number,
            "split",
            {"execute_count/line/default": 5, "execute_count/__system/__tick": 100},
            {
                "execute_count/line/default_rate": 2,
                "execute_count/__system/__tick_rate": 50,
                "execute_time_us_rate": 250_000.0 * number,
                "back_pressure_time_us_rate": 100_000.0 * number,
            },
            {},
            {"execute_latency_us": {bucket(10): 4}},
        )
        for number in (1, 3)
    ]
    processes = tuple(
        MetricsRecord(
            "words", f"split-{number}", 1, 0, 0, 0, 0,
            tasks=(TaskRecord(number, "split"),), gauges={"restart_count": 2.0},
        )
        for number in (1, 3)
    )  # fmt: skip
    (row,) = component_rows(MetricsSnapshot(1, tuple(bolts), processes))
    assert (row.execute_count, row.execute_rate) == (10, 4)
    assert (row.capacity, row.back_pressure, row.restart_count) == (0.75, 0.3, 4)
    assert 9 < row.latency_p50_us < 13


def test_component_that_measured_nothing_has_no_latency():
    (row,) = component_rows(MetricsSnapshot(1, (TaskRecord(1, "line"),), ()))
    assert row.latency_p50_us is None
    assert row.latency_p99_us is None
    assert row.emit_rate == 0
