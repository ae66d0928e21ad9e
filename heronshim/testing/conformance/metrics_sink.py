"""Conformance suite of the MetricsSink SPI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from heronshim.core.spi.metrics_sink import ErrorRecord, MetricsRecord, TaskRecord
from heronshim.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from heronshim.core.spi.metrics_sink import MetricsSink

TOPOLOGY = "words"
CONTAINER = 1
TEXTS = ("plain", 'quote " backslash \\', "line\nbreak \x1b[31m", "Übung 日本", "", "a/b/c")


def record(process: str = "count-3", number: int = 0, text: str = "plain") -> MetricsRecord:
    """Return a record that has something of everything; `text` is in all of its free texts."""
    task = TaskRecord(
        task=3,
        component="count",
        sums={"emit_count/default": 10.0, f"user/{text}": 1.0, "execute_time_us": 2500.0},
        gauges={"pending": 5.0, f"user/{text}": 0.5},
        maxima={"queue_bytes": 100.0},
        histograms={"complete_latency_us": {0: 1, 40: 7, 255: 1}},
    )
    error = ErrorRecord(1_000 + number, 3, "count", text, f"trace\n{text}", 2, "ab12")
    return MetricsRecord(
        topology=TOPOLOGY,
        process=process,
        container=CONTAINER,
        time_ms=1_000 * number,
        interval_ms=1_000,
        incarnation=1,
        pid=77,
        tasks=(task,),
        sums={"cpu_time_us": 9000.0},
        gauges={"rss_bytes": 1e8},
        errors=(error,),
    )


class MetricsSinkSuite:
    """Override `make` and, where a sink needs them, `options`."""

    def make(self) -> MetricsSink:
        """Return a new sink, not open."""
        raise NotImplementedError

    def options(self) -> Mapping[str, str]:
        """Return the options to open a sink with."""
        return {}

    @pytest.fixture(autouse=True)
    def _close_sinks(self) -> Iterator[None]:
        self._sinks: list[MetricsSink] = []
        yield
        for sink in self._sinks:
            sink.close()

    def open(self) -> MetricsSink:
        """Return an open sink that is closed after the test."""
        sink = self.make()
        sink.open(TOPOLOGY, CONTAINER, self.options())
        self._sinks.append(sink)
        return sink

    def test_a_sink_without_records_closes(self) -> None:
        sink = self.open()
        sink.flush()

    def test_records_are_taken(self) -> None:
        sink = self.open()
        for number in range(100):
            sink.process(record(f"count-{number % 5}", number))
            if number % 10 == 0:
                sink.flush()

    @pytest.mark.parametrize("text", TEXTS)
    def test_any_text_is_taken(self, text: str) -> None:
        sink = self.open()
        sink.process(record(text=text))
        sink.flush()

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1.0, 0, 2**70])
    def test_any_number_is_taken(self, value: float) -> None:
        sink = self.open()
        task = TaskRecord(3, "count", {"emit_count": value}, {"pending": value}, {"high": value})
        sink.process(
            MetricsRecord(TOPOLOGY, "count-3", CONTAINER, 1, 1, 1, 1, (task,), {"x": value})
        )
        sink.flush()

    def test_an_empty_record_is_taken(self) -> None:
        self.open().process(MetricsRecord(TOPOLOGY, "count-3", CONTAINER, 0, 0, 0, 0))

    def test_an_unknown_option_is_refused_by_name(self) -> None:
        sink = self.make()
        with pytest.raises(ConfigError, match="no_such_option"):
            sink.open(TOPOLOGY, CONTAINER, {**self.options(), "no_such_option": "1"})

    def test_a_closed_sink_can_be_closed_again(self) -> None:
        sink = self.open()
        sink.process(record())
        sink.close()
        sink.close()
