"""The Prometheus sink: names, sums, histograms, and what a scrape returns."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from heronshim.core.plugins import prometheus_sink
from heronshim.core.plugins.prometheus_names import Kind, Series, series
from heronshim.core.plugins.prometheus_sink import GAUGE_AGE_S, PrometheusSink, SeriesTable
from heronshim.core.spi.metrics_sink import MetricsRecord, TaskRecord
from heronshim.core.stream.histogram import bucket
from heronshim.errors import ConfigError, SinkError
from heronshim.testing.conformance.metrics_sink import TEXTS, record

TASK = {"topology": "words", "container": "1", "component": "count", "task": "3"}


@pytest.fixture
def port_file(tmp_path: Path) -> Path:
    return tmp_path / "port-words-1"


@pytest.fixture
def sink(port_file: Path) -> Iterator[PrometheusSink]:
    made = PrometheusSink()
    made.open("words", 1, {"port_file": str(port_file.with_name("port-{topology}-{container}"))})
    yield made
    made.close()


def scraped(port_file: Path) -> str:
    port = int(port_file.read_text())
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        text: str = answer.read().decode()
    return text


def samples(table: SeriesTable) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in table.collect()
        for sample in family.samples
    }


def key(sample: str, /, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return sample, tuple(sorted((TASK | labels).items()))


def of_task(**values: dict) -> MetricsRecord:
    return MetricsRecord("words", "count-3", 1, 1, 1, 1, 1, (TaskRecord(3, "count", **values),))


@pytest.mark.parametrize(
    ("name", "kind", "process", "expected"),
    [
        ("emit_count/a/b", Kind.SUM, False, ("emit", {"stream": "a/b"}, 1)),
        ("execute_count/s/d", Kind.SUM, False, ("execute", {"source": "s", "stream": "d"}, 1)),
        ("execute_count/s", Kind.SUM, False, ("execute", {"source": "s", "stream": ""}, 1)),
        ("ack_count", Kind.SUM, False, ("ack", {}, 1)),
        ("execute_time_us", Kind.SUM, False, ("execute_time_seconds", {}, 1e-6)),
        ("wait_ms", Kind.GAUGE, False, ("wait_seconds", {}, 1e-3)),
        ("pending", Kind.GAUGE, False, ("pending", {}, 1)),
        ("queue_bytes", Kind.MAXIMUM, False, ("queue_bytes_max", {}, 1)),
        ("user/a b", Kind.GAUGE, False, ("user", {"name": "a b"}, 1)),
        ("frame_count/DATA", Kind.SUM, True, ("process_frame", {"kind": "DATA"}, 1)),
        ("cpu_time_us", Kind.SUM, True, ("process_cpu_time_seconds", {}, 1e-6)),
        ("new/thing", Kind.GAUGE, False, ("new", {"key": "thing"}, 1)),
        ("wéird name", Kind.GAUGE, False, ("w_ird_name", {}, 1)),
        ("user/\ud800", Kind.GAUGE, False, ("user", {"name": "?"}, 1)),
        ("_us", Kind.GAUGE, False, ("_us", {}, 1)),
    ],
)
def test_names(
    name: str, kind: Kind, process: bool, expected: tuple[str, dict[str, str], float]
) -> None:
    family, labels, factor = expected
    found = series(name, kind, process=process)
    assert found == Series(f"heronshim_{family}", tuple(labels.items()), factor)


def test_sums_add_up_and_gauges_are_the_newest() -> None:
    table = SeriesTable(lambda: 0.0)
    for emitted, pending in ((3, 7), (4, 5)):
        table.add(of_task(sums={"emit_count/default": emitted}, gauges={"pending": pending}))
    found = samples(table)
    assert found[key("heronshim_emit_total", stream="default")] == 7
    assert found[key("heronshim_pending")] == 5


def test_microseconds_become_seconds_without_adding_errors() -> None:
    table = SeriesTable(lambda: 0.0)
    for _ in range(1000):
        table.add(of_task(sums={"execute_time_us": 100}))
    assert samples(table)[key("heronshim_execute_time_seconds_total")] == pytest.approx(0.1, 1e-15)


@pytest.mark.parametrize("step", [-5.0, float("nan"), float("inf"), float("-inf")])
def test_a_counter_never_falls(step: float) -> None:
    table = SeriesTable(lambda: 0.0)
    table.add(of_task(sums={"user/x": 2.0}))
    table.add(of_task(sums={"user/x": step}))
    assert samples(table)[key("heronshim_user_total", name="x")] == 2.0


def test_a_histogram_counts_all_below_each_bound() -> None:
    table = SeriesTable(lambda: 0.0)
    values_us = [0, 10, 62, 63, 126, 127, 1_000_000, 10**12]
    for value in values_us:
        table.add(of_task(histograms={"complete_latency_us": {bucket(value): 1}}))
    found = samples(table)

    def below(bound: str) -> float:
        return found[key("heronshim_complete_latency_seconds_bucket", le=bound)]

    assert below("6.3e-05") == sum(value < 63 for value in values_us)
    assert below("0.000127") == sum(value < 127 for value in values_us)
    assert below("1.048575") == 7
    assert below("134.217727") == 7
    assert below("+Inf") == len(values_us)
    assert found[key("heronshim_complete_latency_seconds_count")] == len(values_us)
    assert found[key("heronshim_complete_latency_seconds_sum")] == pytest.approx(1e6, rel=0.1)


def test_gauges_of_a_silent_process_are_not_shown_and_counters_stay() -> None:
    now = [0.0]
    table = SeriesTable(lambda: now[0])
    table.add(of_task(sums={"ack_count": 1}, gauges={"pending": 5}))
    now[0] = GAUGE_AGE_S
    assert key("heronshim_pending") in samples(table)
    now[0] += 1
    assert key("heronshim_pending") not in samples(table)
    assert key("heronshim_ack_total") in samples(table)


def test_series_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus_sink, "SERIES_MAX", 10)
    table = SeriesTable(lambda: 0.0)
    for number in range(15):
        table.add(of_task(gauges={f"user/{number}": 1}))
    table.add(of_task(gauges={"user/3": 2}))
    found = samples(table)
    assert found["heronshim_series_dropped_total", ()] == 5
    assert found[key("heronshim_user", name="3")] == 2
    assert key("heronshim_user", name="11") not in found


@pytest.mark.parametrize("second", [{"a b": 1}, {"a_b/x": 1}], ids=["same name", "other labels"])
def test_metrics_that_fall_together_are_one_family_or_dropped(second: dict[str, float]) -> None:
    table = SeriesTable(lambda: 0.0)
    table.add(of_task(gauges={"a_b": 1}))
    table.add(of_task(gauges=second))
    names = [metric.name for metric in table.collect()]
    assert len(names) == len(set(names))


def test_units_of_one_name_are_not_mixed() -> None:
    table = SeriesTable(lambda: 0.0)
    table.add(of_task(gauges={"wait_us": 5e6}))
    table.add(of_task(gauges={"wait_ms": 5e6}))
    found = samples(table)
    assert found[key("heronshim_wait_seconds")] == pytest.approx(5)
    assert found["heronshim_series_dropped_total", ()] == 1


def test_a_scrape_can_be_parsed_whatever_the_texts(sink: PrometheusSink, port_file: Path) -> None:
    for text in TEXTS:
        sink.process(record(text=text))
    families = {
        family.name: family for family in text_string_to_metric_families(scraped(port_file))
    }
    assert families["heronshim_emit"].type == "counter"
    assert families["heronshim_pending"].type == "gauge"
    assert families["heronshim_complete_latency_seconds"].type == "histogram"
    names = {sample.labels["name"] for sample in families["heronshim_user"].samples}
    assert names == set(TEXTS)
    assert families["heronshim_process_rss_bytes"].samples[0].labels == {
        "topology": "words",
        "container": "1",
        "process": "count-3",
    }


def test_it_listens_on_loopback_only_and_no_more_when_closed(
    sink: PrometheusSink, port_file: Path
) -> None:
    port = int(port_file.read_text())
    with socket.socket() as other, socket.socket() as same:
        other.bind(("127.0.0.2", port))
        with pytest.raises(OSError, match="in use"):
            same.bind(("127.0.0.1", port))
    sink.close()
    assert not port_file.exists()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass


def test_a_port_in_use_is_named(sink: PrometheusSink, port_file: Path) -> None:
    port = port_file.read_text().strip()
    with pytest.raises(SinkError) as caught:
        PrometheusSink().open("words", 2, {"port": port})
    message = str(caught.value)
    assert message.startswith(f'metrics sink "prometheus" cannot listen on 127.0.0.1 port {port}: ')
    assert message.endswith('choose another port, or 0 for any with "port_file"')


def test_a_port_file_that_cannot_be_written_is_named_and_nothing_listens(tmp_path: Path) -> None:
    sink = PrometheusSink()
    with pytest.raises(SinkError) as caught:
        sink.open("words", 1, {"port_file": str(tmp_path / "none" / "port")})
    assert str(caught.value) == (
        f'metrics sink "prometheus" cannot write port_file {tmp_path}/none/port: '
        "No such file or directory; check the folder"
    )
    sink.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"port": "65536"},
            'metrics sink "prometheus": option "port" must be a whole number from 0 to 65535, '
            'not "65536"',
        ),
        (
            {"prot": "1"},
            'metrics sink "prometheus": unknown option "prot". Did you mean "port"? '
            "Known: bind, port, port_file",
        ),
    ],
)
def test_wrong_options(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PrometheusSink().open("words", 1, options)
    assert str(caught.value) == message


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(SinkError, match=r"cannot listen on 198\.51\.100\.1 port 0: "):
        PrometheusSink().open("words", 1, {"bind": "198.51.100.1"})
