"""What a task counts, and which of its errors are reported."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from heronshim.api.context import Counter, Gauge
from heronshim.core.codec.metrics import metrics_from_bytes, metrics_to_bytes
from heronshim.core.spi.metrics_sink import ErrorRecord, MetricsRecord
from heronshim.core.stream.histogram import bucket
from heronshim.instance.meter import SUPPRESSED_CAUSES_MAX, TaskMeter

NS_PER_S = 1_000_000_000


@pytest.fixture
def meter() -> TaskMeter:
    return TaskMeter(4, "count", error_report_max=3, error_report_interval_s=10.0)


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - made here
        return caught


def sent(errors: list[ErrorRecord]) -> tuple[ErrorRecord, ...]:
    """Return errors as the other end of the wire reads them."""
    record = MetricsRecord("t", "count-4", 1, 0, 1000, 1, 1, errors=tuple(errors))
    return metrics_from_bytes(metrics_to_bytes(record), "t").errors


def test_counts_begin_anew_after_each_report_and_gauges_stay(meter):
    meter.add("ack_count", 2)
    meter.add("ack_count", 3)
    meter.gauges["pending"] = 7
    first, second = meter.take(None), meter.take(None)
    assert (first.sums, first.gauges) == ({"ack_count": 5}, {"pending": 7})
    assert (second.sums, second.gauges) == ({}, {"pending": 7})


def test_executed_rows_share_their_time(meter):
    meter.add_executed("execute_count/s/default", 4, 1000)
    meter.add_executed("execute_count/s/default", 0, 10)
    record = meter.take(None)
    assert record.sums == {
        "execute_count/s/default": 4,
        "execute_time_us": 1010,
        "busy_time_us": 1010,
    }
    assert record.histograms == {"execute_latency_us": {bucket(250): 4}}


def test_authors_gauges_and_counters_have_names_of_their_own(meter):
    gauge, done, counter = Gauge(), Gauge(), Counter()
    context: Any = SimpleNamespace(
        gauges={"lag": gauge, "source_exhausted": done}, counters={"seen": counter}
    )
    gauge.set(2.5)
    done.set(1)
    counter.increment()
    counter.increment(4)
    first = meter.take(context)
    assert first.gauges == {"user/lag": 2.5, "source_exhausted": 1}
    assert first.sums == {"user/seen": 5}
    counter.increment(2)
    assert meter.take(context).sums == {"user/seen": 2}


class TestErrors:
    def test_error_has_trace_place_and_tuple(self, meter):
        meter.error(raised(ValueError("no good")), 0, 123, in_hand="Tuple(['a'])")
        (error,) = meter.take_errors(0)
        assert (error.time_ms, error.task, error.component) == (123, 4, "count")
        assert error.message == "ValueError: no good"
        assert "test_meter.py" in error.detail
        assert error.detail.endswith("ValueError: no good\n")
        assert error.in_hand == "Tuple(['a'])"
        assert meter.take_errors(0) == []

    def test_text_is_an_error_without_a_trace(self, meter):
        meter.error("disk is full", 0, 0)
        (error,) = meter.take_errors(0)
        assert (error.message, error.detail) == ("disk is full", "")

    def test_errors_over_the_limit_are_counted_and_told_later(self, meter):
        for _ in range(10):
            meter.error("again", 0, 0)
        assert len(meter.take_errors(0)) == 3
        meter.error("again", 10 * NS_PER_S, 0)
        (error,) = meter.take_errors(0)
        assert error.count == 8
        assert meter.take(None).sums == {"error_count": 11}

    def test_limit_moves_with_time(self, meter):
        for second in range(0, 40, 4):
            meter.error("again", second * NS_PER_S, 0)
        assert len(meter.take_errors(0)) == 10

    def test_errors_over_the_limit_that_end_are_told_after_an_interval(self, meter):
        for number, cause in enumerate(["a", "a", "a", "over a", "over b", "over a"]):
            meter.error(cause, 0, number)
        assert len(meter.take_errors(9 * NS_PER_S)) == 3
        first, second = meter.take_errors(10 * NS_PER_S)
        assert (first.message, first.count, first.first_ms, first.time_ms) == ("over a", 2, 3, 5)
        assert (second.message, second.count, second.detail) == ("over b", 1, "")
        assert meter.take_errors(30 * NS_PER_S) == []

    def test_last_report_tells_all(self, meter):
        for _ in range(5):
            meter.error("again", 0, 0)
        assert sum(error.count for error in meter.take_errors(1, last=True)) == 5

    def test_causes_over_the_limit_are_bounded(self, meter):
        for number in range(SUPPRESSED_CAUSES_MAX + 50):
            meter.error(chr(0x4E00 + number), 0, 0)
        assert len(meter.take_errors(0, last=True)) == SUPPRESSED_CAUSES_MAX + 3
        assert meter.take(None).sums == {"error_count": SUPPRESSED_CAUSES_MAX + 50}

    def test_fingerprint_is_one_for_each_place_in_the_code(self, meter):
        for number in range(2):
            meter.error(raised(ValueError(f"number {number}")), 0, 0)
        meter.error(ValueError("elsewhere"), 0, 0)
        first, second, third = (error.fingerprint for error in meter.take_errors(0))
        assert first == second != third

    def test_one_place_that_is_reached_from_two_has_two_fingerprints(self, meter):
        def parse() -> None:
            int("x")

        def left() -> None:
            parse()

        def right() -> None:
            parse()

        for call in (left, right):
            with pytest.raises(ValueError, match="invalid literal") as caught:
                call()
            meter.error(caught.value, 0, 0)
        first, second = (error.fingerprint for error in meter.take_errors(0))
        assert first != second

    def test_depth_of_a_recursion_is_no_part_of_a_fingerprint(self, meter):
        def fall(depth: int) -> None:
            if not depth:
                raise ValueError(depth)
            fall(depth - 1)

        for depth in (3, 60):
            with pytest.raises(ValueError, match="0") as caught:
                fall(depth)
            meter.error(caught.value, 0, 0)
        first, second = (error.fingerprint for error in meter.take_errors(0))
        assert first == second

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("row 17 is bad", "row 4 is bad"),
            ("no route to 10.0.0.7:80", "no route to 10.0.1.9:8080"),
            ("<Thing at 0x7fdd0be58ed0>", "<Thing at 0x7F000be58e00>"),
            ("id 9f86d081-88ab-4c11-93ff-1234567890ab", "id 11111111-88ab-4c11-93ff-aaaa567890ab"),
        ],
    )
    def test_numbers_and_addresses_are_no_part_of_a_fingerprint(self, meter, one, other):
        meter.error(one, 0, 0)
        meter.error(other, 0, 0)
        meter.error(f"not {other}", 0, 0)
        first, second, third = (error.fingerprint for error in meter.take_errors(0))
        assert first == second != third

    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (ValueError("\ud800 lone"), "ValueError: \\ud800 lone"),
            (ValueError("nul \0 and \x1b[31m"), "ValueError: nul \0 and \x1b[31m"),
            ("text \udcff", "text \\udcff"),
            (42, "42"),
        ],
        ids=["surrogate", "control", "text", "number"],
    )
    def test_any_text_can_be_sent(self, meter, error, message):
        meter.error(error, 0, 0)
        assert sent(meter.take_errors(0))[0].message == message

    def test_error_whose_text_raises_is_reported_by_type(self, meter):
        class Unreadable(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        meter.error(raised(Unreadable()), 0, 0)
        assert meter.take_errors(0)[0].message == "Unreadable: (its text cannot be read)"

    def test_long_trace_is_cut_at_its_beginning(self, meter):
        meter.error(raised(ValueError("x" * 100_000 + "end")), 0, 0)
        (error,) = meter.take_errors(0)
        assert len(error.detail) == 8000
        assert error.detail.rstrip().endswith("end")


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("frequent_switches")
def test_reports_of_another_thread_lose_and_double_nothing(meter):
    def count() -> None:
        for number in range(20_000):
            meter.add("ack_count", 1)
            meter.add_executed("execute_count/s/default", 1, 1)
            meter.add_completed(1, {0: 1})
            if number % 100 == 0:
                meter.error("again", number * NS_PER_S, 0)

    author = threading.Thread(target=count)
    author.start()
    totals: dict[str, float] = {}
    latencies = errors = 0
    while True:
        alive = author.is_alive()
        record = meter.take(None)
        errors += sum(error.count for error in meter.take_errors(0, last=not alive))
        latencies += sum(sum(counts.values()) for counts in record.histograms.values())
        for name, value in record.sums.items():
            totals[name] = totals.get(name, 0) + value
        if not alive:
            break
    assert totals["ack_count"] == 40_000
    assert totals["execute_count/s/default"] == totals["execute_time_us"] == 20_000
    assert latencies == 40_000
    assert errors == totals["error_count"] == 200
