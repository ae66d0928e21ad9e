"""Metrics records as protobuf: wire.v1.MetricsReport."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heronshim.core.codec.events import event_from_message, event_to_message
from heronshim.core.codec.reading import parse, required_text, serialize, short_text
from heronshim.core.spi.metrics_sink import ErrorRecord, MetricsRecord, TaskRecord
from heronshim.core.stream.frame import METRICS_BYTES_MAX
from heronshim.core.stream.histogram import BUCKET_MAX
from heronshim.errors import RemoteProtocolError
from heronshim.wire.v1 import metrics_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_Values = tuple[dict[str, float], dict[str, float], dict[str, float]]
"""Sums, gauges, maxima."""
METRIC_NAME_CHARACTERS_MAX = 500
"""Such as execute_count/<component>/<stream>, both with 128 characters at most."""


def metrics_to_bytes(record: MetricsRecord) -> bytes:
    """Return a record as a serialized wire.v1.MetricsReport; its topology is not in it.

    Raises:
        LocalProtocolError: a number or text does not fit its field.
    """
    return serialize(lambda: metrics_to_message(record), f"metrics of {record.process}")


def metrics_from_bytes(data: bytes, topology: str) -> MetricsRecord:
    """Return the record in a serialized wire.v1.MetricsReport of the topology named.

    Raises:
        RemoteProtocolError: damaged bytes, or a missing or unknown field; names it.
    """
    return metrics_from_message(parse(wire.MetricsReport, data, METRICS_BYTES_MAX), topology)


def metrics_to_message(record: MetricsRecord) -> wire.MetricsReport:
    """Return a record as a message, to be part of another."""
    return wire.MetricsReport(
        process=record.process,
        container=record.container,
        time_ms=record.time_ms,
        interval_ms=record.interval_ms,
        incarnation=record.incarnation,
        pid=record.pid,
        tasks=[task_to_message(task) for task in record.tasks],
        values=_values_to_messages(record.sums, record.gauges, record.maxima),
        errors=[error_to_message(error) for error in record.errors],
        events=[event_to_message(event) for event in record.events],
    )


def metrics_from_message(
    message: wire.MetricsReport, topology: str, field: str = "MetricsReport"
) -> MetricsRecord:
    """Return the record in a message; `field` begins the messages of errors.

    Raises:
        RemoteProtocolError: a field is missing or unknown; names it.
    """
    sums, gauges, maxima = _values_from_messages(message.values, f"{field}.values")
    return MetricsRecord(
        topology=topology,
        process=_name(message.process, f"{field}.process"),
        container=message.container,
        time_ms=message.time_ms,
        interval_ms=message.interval_ms,
        incarnation=message.incarnation,
        pid=message.pid,
        tasks=tuple(
            task_from_message(task, f"{field}.tasks[{index}]")
            for index, task in enumerate(message.tasks)
        ),
        sums=sums,
        gauges=gauges,
        maxima=maxima,
        errors=tuple(
            error_from_message(error, f"{field}.errors[{index}]")
            for index, error in enumerate(message.errors)
        ),
        events=tuple(
            event_from_message(event, f"{field}.events[{index}]")
            for index, event in enumerate(message.events)
        ),
    )


def task_to_message(task: TaskRecord) -> wire.TaskMetrics:
    """Return a task's part of a record as a message."""
    return wire.TaskMetrics(
        task=task.task,
        component=task.component,
        values=_values_to_messages(task.sums, task.gauges, task.maxima),
        histograms=[
            wire.Histogram(name=name, buckets=list(ordered), counts=list(ordered.values()))
            for name, ordered in (
                (name, dict(sorted(counts.items())))
                for name, counts in sorted(task.histograms.items())
            )
        ],
    )


def task_from_message(message: wire.TaskMetrics, field: str) -> TaskRecord:
    """Return a task's part of a record; `field` begins the messages of errors.

    Raises:
        RemoteProtocolError: a field is missing or unknown; names it.
    """
    sums, gauges, maxima = _values_from_messages(message.values, f"{field}.values")
    return TaskRecord(
        task=message.task,
        component=short_text(message.component, f"{field}.component"),
        sums=sums,
        gauges=gauges,
        maxima=maxima,
        histograms={
            _metric_name(item.name, f"{field}.histograms[{index}].name"): _counts(
                item, f"{field}.histograms[{index}]"
            )
            for index, item in enumerate(message.histograms)
        },
    )


def error_to_message(error: ErrorRecord) -> wire.ErrorReport:
    """Return an error's record as a message."""
    return wire.ErrorReport(
        time_ms=error.time_ms,
        task=error.task,
        component=error.component,
        message=error.message,
        detail=error.detail,
        count=error.count,
        fingerprint=error.fingerprint,
        first_ms=error.first_ms,
        in_hand=error.in_hand,
        process=error.process,
        host=error.host,
    )


def error_from_message(message: wire.ErrorReport, field: str) -> ErrorRecord:
    """Return an error's record; `field` begins the messages of errors.

    Raises:
        RemoteProtocolError: a name is too long.
    """
    return ErrorRecord(
        time_ms=message.time_ms,
        task=message.task,
        component=short_text(message.component, f"{field}.component"),
        message=message.message,
        detail=message.detail,
        count=message.count,
        fingerprint=short_text(message.fingerprint, f"{field}.fingerprint"),
        first_ms=message.first_ms,
        in_hand=message.in_hand,
        process=short_text(message.process, f"{field}.process"),
        host=short_text(message.host, f"{field}.host"),
    )


def _name(text: str, field: str) -> str:
    return short_text(required_text(text, field), field)


def _metric_name(text: str, field: str) -> str:
    return short_text(required_text(text, field), field, METRIC_NAME_CHARACTERS_MAX)


def _values_to_messages(
    sums: Mapping[str, float], gauges: Mapping[str, float], maxima: Mapping[str, float]
) -> list[wire.NamedValue]:
    return [
        wire.NamedValue(name=name, value=value, merge=merge)
        for merge, values in (
            (wire.MERGE_SUM, sums),
            (wire.MERGE_LAST, gauges),
            (wire.MERGE_MAX, maxima),
        )
        for name, value in sorted(values.items())
    ]


def _values_from_messages(messages: Iterable[wire.NamedValue], field: str) -> _Values:
    sums: dict[str, float] = {}
    gauges: dict[str, float] = {}
    maxima: dict[str, float] = {}
    targets: dict[int, dict[str, float]] = {
        wire.MERGE_SUM: sums,
        wire.MERGE_LAST: gauges,
        wire.MERGE_MAX: maxima,
    }
    for index, message in enumerate(messages):
        name = _metric_name(message.name, f"{field}[{index}].name")
        target = targets.get(message.merge)
        if target is None:
            msg = (
                f'{field}[{index}] ("{name}"): merge {message.merge} is unknown; '
                "expected 1 (sum), 2 (last) or 3 (max)"
            )
            raise RemoteProtocolError(msg)
        target[name] = message.value
    return sums, gauges, maxima


def _counts(message: wire.Histogram, field: str) -> dict[int, int]:
    buckets = list(message.buckets)
    if len(buckets) != len(message.counts):
        msg = f"{field}: {len(buckets)} buckets have {len(message.counts)} counts"
        raise RemoteProtocolError(msg)
    if buckets != sorted(set(buckets)) or (buckets and buckets[-1] > BUCKET_MAX):
        msg = f"{field}.buckets do not ascend from 0 to {BUCKET_MAX}"
        raise RemoteProtocolError(msg)
    return dict(zip(buckets, message.counts, strict=True))
