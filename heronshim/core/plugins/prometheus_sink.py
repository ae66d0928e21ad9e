"""Metrics sink that a Prometheus server scrapes over HTTP; entry point "prometheus"."""

from __future__ import annotations

import math
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from heronshim.core.io.file_lock import write_whole
from heronshim.core.plugins.node_path import escape
from heronshim.core.plugins.plugin_options import refuse_unknown, whole_number
from heronshim.core.plugins.prometheus_names import Kind, Series, series
from heronshim.core.stream.histogram import bucket_low_us
from heronshim.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from wsgiref.simple_server import WSGIServer

    from heronshim.core.spi.metrics_sink import MetricsRecord

SERIES_MAX = 100_000
"""Series kept, about 50 MB; more are dropped and counted (user metrics may have any name)."""
GAUGE_AGE_S = 60.0
"""Gauges of a process that is silent for longer are not shown: it is gone."""
HISTOGRAM_OCTAVES = range(6, 28)
"""Upper bounds of histogram buckets are 2^n - 1 microseconds: 63 us to 134 s, then infinity."""

_PLUGIN = 'metrics sink "prometheus"'
_BUCKETS_PER_OCTAVE = 4
_HELP = {
    Kind.SUM: "since the sink started",
    Kind.GAUGE: "newest value",
    Kind.MAXIMUM: "highest value of the newest interval",
    Kind.HISTOGRAM: "since the sink started",
}
_TASK_LABELS = ("topology", "container", "component", "task")
_PROCESS_LABELS = ("topology", "container", "process")


class PrometheusSink:
    """The MetricsSink of one container's HTTP endpoint; any path answers.

    Options: `port` (0 = any free one, the default; each container of a host needs its own),
    `port_file` (the port is written there as text; "{topology}" and "{container}" in it stand for
    the name and the number), `bind` (address to listen on, 127.0.0.1).
    """

    def __init__(self) -> None:
        self._table = SeriesTable(time.monotonic)
        self._server: WSGIServer | None = None
        self._port_file: Path | None = None

    def open(self, topology: str, container: int, options: Mapping[str, str]) -> None:
        """See `MetricsSink.open`.

        Raises:
            ConfigError: an option is unknown or wrong.
            SinkError: the address cannot be bound or `port_file` not written.
        """
        refuse_unknown(_PLUGIN, options, ("port", "port_file", "bind"))
        port = whole_number(_PLUGIN, options, "port", 0, (0, 65_535))
        bind = options.get("bind") or "127.0.0.1"
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self._table)
        try:
            self._server, _ = start_http_server(port, bind, registry)
        except (OSError, UnicodeError) as error:
            msg = (
                f"{_PLUGIN} cannot listen on {bind} port {port}: {error}; "
                'choose another port, or 0 for any with "port_file"'
            )
            raise SinkError(msg) from error
        name = options.get("port_file")
        if name:
            name = name.replace("{topology}", escape(topology))
            self._write_port(Path(name.replace("{container}", str(container))).expanduser())

    def process(self, record: MetricsRecord) -> None:
        """See `MetricsSink.process`."""
        self._table.add(record)

    def flush(self) -> None:
        """See `MetricsSink.flush`. Nothing waits: the server asks when it wants."""

    def close(self) -> None:
        """See `MetricsSink.close`."""
        if self._server is not None:
            self._stop(self._server)
            self._server = None
        if self._port_file is not None:
            self._port_file.unlink(missing_ok=True)
            self._port_file = None

    def _stop(self, server: WSGIServer) -> None:
        stopping = threading.Thread(target=server.shutdown, daemon=True)
        stopping.start()
        # The server looks for the order each half second, or when somebody connects.
        address = (str(server.server_address[0]), server.server_port)
        with suppress(OSError), socket.create_connection(address, 0.2):
            stopping.join(0.2)
        stopping.join()
        server.server_close()

    def _write_port(self, file: Path) -> None:
        assert self._server is not None
        try:
            write_whole(file, b"%d\n" % self._server.server_port, file.with_name(f".{file.name}"))
        except OSError as error:
            self.close()
            msg = f"{_PLUGIN} cannot write port_file {file}: {error.strerror}; check the folder"
            raise SinkError(msg) from error
        self._port_file = file


@dataclass(slots=True)
class _Family:
    """All series of one name, by label texts: numbers, or for a histogram counts by bucket.

    They are kept as they came and shown times `factor`, so that sums of integers stay exact.
    """

    kind: Kind
    labels: tuple[str, ...]
    factor: float
    numbers: dict[tuple[str, ...], float] = field(default_factory=dict)
    counts: dict[tuple[str, ...], dict[int, int]] = field(default_factory=dict)
    seen_s: dict[tuple[str, ...], float] = field(default_factory=dict)


class SeriesTable(Collector):
    """Sums up records and shows them to prometheus_client. Any thread."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._families: dict[str, _Family] = {}
        self._count = 0
        self._dropped = 0

    def add(self, record: MetricsRecord) -> None:
        """Take one record."""
        place = (record.topology, str(record.container))
        own = (*place, record.process)
        with self._lock:
            for task in record.tasks:
                labels = (*place, task.component, str(task.task))
                for kind, values in (
                    (Kind.SUM, task.sums),
                    (Kind.GAUGE, task.gauges),
                    (Kind.MAXIMUM, task.maxima),
                ):
                    self._add_numbers(kind, values, labels, process=False)
                for name, counts in task.histograms.items():
                    self._add_counts(name, counts, labels)
            self._add_numbers(Kind.SUM, record.sums, own, process=True)
            self._add_numbers(Kind.GAUGE, record.gauges, own, process=True)
            self._add_numbers(Kind.MAXIMUM, record.maxima, own, process=True)

    def collect(self) -> Iterable[Metric]:
        """Return all families that have anything to show, by name."""
        with self._lock:
            oldest_s = self._now_s() - GAUGE_AGE_S
            shown = [
                self._shown(name, family, oldest_s)
                for name, family in sorted(self._families.items())
            ]
            dropped = self._dropped
        help_text = f"Series not kept: over {SERIES_MAX}, or two metrics of one name."
        shown.append(CounterMetricFamily("heronshim_series_dropped", help_text, value=dropped))
        return [metric for metric in shown if metric.samples]

    def _add_numbers(
        self, kind: Kind, values: Mapping[str, float], labels: tuple[str, ...], *, process: bool
    ) -> None:
        for name, value in values.items():
            where = series(name, kind, process=process)
            found = self._family(where, kind, labels, process=process)
            if found is None:
                continue
            family, key = found
            if kind == Kind.SUM:
                # A counter never falls and never becomes infinite.
                step = value if math.isfinite(value) and value > 0 else 0.0
                family.numbers[key] = family.numbers.get(key, 0.0) + step
            else:
                family.numbers[key] = value

    def _add_counts(self, name: str, counts: Mapping[int, int], labels: tuple[str, ...]) -> None:
        where = series(name, Kind.HISTOGRAM, process=False)
        found = self._family(where, Kind.HISTOGRAM, labels, process=False)
        if found is None:
            return
        family, key = found
        own = family.counts.setdefault(key, {})
        for index, count in counts.items():
            own[index] = own.get(index, 0) + count

    def _family(
        self, where: Series, kind: Kind, labels: tuple[str, ...], *, process: bool
    ) -> tuple[_Family, tuple[str, ...]] | None:
        """Return the family and the key of a series; None when it cannot be kept."""
        usual: tuple[str, ...] = _PROCESS_LABELS if process else _TASK_LABELS
        names = usual + tuple(name for name, _ in where.labels)
        # A counter and a gauge may share a base: the one ends in _total.
        name = where.family + ("_total" if kind == Kind.SUM else "")
        family = self._families.get(name)
        if family is None:
            family = self._families[name] = _Family(kind, names, where.factor)
        key = labels + tuple(text for _, text in where.labels)
        if (family.kind, family.labels, family.factor) != (kind, names, where.factor):
            self._dropped += 1
            return None
        if key not in family.seen_s:
            if self._count >= SERIES_MAX:
                self._dropped += 1
                return None
            self._count += 1
        family.seen_s[key] = self._now_s()
        return family, key

    def _shown(self, name: str, family: _Family, oldest_s: float) -> Metric:
        text = _help(name, family.kind)
        if family.kind == Kind.HISTOGRAM:
            histogram = HistogramMetricFamily(name, text, labels=family.labels)
            for key, counts in family.counts.items():
                histogram.add_metric(key, list(_buckets(counts)), _sum_seconds(counts))
            return histogram
        if family.kind == Kind.SUM:
            counter = CounterMetricFamily(name, text, labels=family.labels)
            for key, value in family.numbers.items():
                counter.add_metric(key, value * family.factor)
            return counter
        gauge = GaugeMetricFamily(name, text, labels=family.labels)
        for key, value in family.numbers.items():
            if family.seen_s[key] >= oldest_s:
                gauge.add_metric(key, value * family.factor)
        return gauge


def _help(name: str, kind: Kind) -> str:
    words = name.removeprefix("heronshim_").removesuffix("_total").replace("_", " ")
    return f"heronshim: {words}, {_HELP[kind]}."


def _buckets(counts: Mapping[int, int]) -> Iterator[tuple[str, float]]:
    """Yield (upper bound in seconds, count of all below it), ascending, the last infinite."""
    for octave in HISTOGRAM_OCTAVES:
        first_above = octave * _BUCKETS_PER_OCTAVE
        below = sum(count for index, count in counts.items() if index < first_above)
        yield repr(bucket_low_us(first_above) / 1e6), below
    yield "+Inf", sum(counts.values())


def _sum_seconds(counts: Mapping[int, int]) -> float:
    """Return about what the values add up to, each taken as the middle of its bucket."""
    return sum(
        count * (bucket_low_us(index) + bucket_low_us(index + 1)) / 2e6
        for index, count in counts.items()
    )
