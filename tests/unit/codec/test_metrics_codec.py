"""A metrics record survives the wire; damaged bytes and wrong fields are refused by name."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.codec.event_json import event_from_line, event_to_line
from heronshim.core.codec.metrics import metrics_from_bytes, metrics_to_bytes
from heronshim.core.spi.events import EventRecord
from heronshim.core.spi.metrics_sink import ErrorRecord, MetricsRecord, TaskRecord
from heronshim.core.stream.histogram import BUCKET_MAX
from heronshim.errors import LocalProtocolError, RemoteProtocolError
from heronshim.wire.v1 import metrics_pb2 as wire

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=10)
numbers = st.dictionaries(names, st.floats(allow_nan=False), max_size=3)
texts = st.text(st.characters(codec="utf-8"), max_size=10)
counts = st.dictionaries(st.integers(0, BUCKET_MAX), st.integers(0, 1 << 60), max_size=4)
whole = st.integers(0, (1 << 31) - 1)
tasks = st.builds(
    TaskRecord,
    task=whole,
    component=texts,
    sums=numbers,
    gauges=numbers,
    maxima=numbers,
    histograms=st.dictionaries(names, counts, max_size=2),
)
errors = st.builds(ErrorRecord, whole, whole, texts, texts, texts, whole, texts)
events = st.builds(
    EventRecord,
    id=names,
    time_ms=whole,
    kind=st.from_regex(r"[a-z][a-z0-9_]{0,63}", fullmatch=True),
    process=texts,
    container=whole,
    host=texts,
    component=texts,
    task=whole,
    cause=texts,
    detail=texts,
    numbers=st.dictionaries(names, st.floats(allow_nan=False, allow_infinity=False), max_size=3),
)
records = st.builds(
    MetricsRecord,
    topology=st.just("words"),
    process=names,
    container=whole,
    time_ms=whole,
    interval_ms=whole,
    incarnation=whole,
    pid=whole,
    tasks=st.lists(tasks, max_size=2).map(tuple),
    sums=numbers,
    gauges=numbers,
    maxima=numbers,
    errors=st.lists(errors, max_size=2).map(tuple),
    events=st.lists(events, max_size=2).map(tuple),
)


@given(records)
def test_record_survives_the_wire(record):
    assert metrics_from_bytes(metrics_to_bytes(record), "words") == record


@given(events)
def test_event_survives_a_file(event):
    line = event_to_line(event)
    assert line.count(b"\n") == 1
    assert event_from_line(line) == event


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    with suppress(RemoteProtocolError):
        assert metrics_from_bytes(data, "words").process


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda m: m.ClearField("process"), r"MetricsReport\.process is missing"),
        (lambda m: m.values.add(name="x"), r'values\[0\] \("x"\): merge 0 is unknown; expected 1'),
        (lambda m: m.values.add(merge=1), r"MetricsReport\.values\[0\]\.name is missing"),
        (
            lambda m: m.tasks.add().values.add(name="x", merge=9),
            r"tasks\[0\]\.values.*merge 9",
        ),
        (lambda m: m.tasks.add().histograms.add(buckets=[1]), r"histograms\[0\]"),
        (
            lambda m: m.tasks.add().histograms.add(name="h", buckets=[2, 1], counts=[1, 1]),
            r"tasks\[0\]\.histograms\[0\]\.buckets do not ascend",
        ),
        (
            lambda m: m.tasks.add().histograms.add(name="h", buckets=[256], counts=[1]),
            r"buckets do not ascend from 0 to 255",
        ),
        (
            lambda m: m.tasks.add().histograms.add(name="h", buckets=[1], counts=[1, 2]),
            r"1 buckets have 2 counts",
        ),
        (lambda m: m.events.add(kind="suspected"), r"events\[0\]\.id is missing"),
        (lambda m: m.events.add(id="i"), r"events\[0\]\.kind is ''; expected a name such as"),
        (lambda m: m.events.add(id="i", kind="\x1b[2J"), r"events\[0\]\.kind is '\\x1b\[2J'"),
        (lambda m: m.events.add(id="i" * 201, kind="k"), r"id has 201 characters; at most 200 fit"),
        (
            lambda m: m.events.add(id="i", kind="k", numbers={str(n): n for n in range(33)}),
            r"numbers has 33 entries; at most 32 fit",
        ),
        (
            lambda m: m.events.add(id="i", kind="k", numbers={"a": float("nan")}),
            r'numbers\["a"\] is nan; expected a finite number',
        ),
    ],
)
def test_wrong_field_is_refused_by_name(change, expected):
    message = wire.MetricsReport(process="line-1")
    change(message)
    with pytest.raises(RemoteProtocolError, match=expected):
        metrics_from_bytes(message.SerializeToString(), "words")


def test_number_that_does_not_fit_is_our_own_error():
    record = MetricsRecord("words", "line-1", -1, 0, 0, 0, 0)
    with pytest.raises(LocalProtocolError, match="line-1"):
        metrics_to_bytes(record)
