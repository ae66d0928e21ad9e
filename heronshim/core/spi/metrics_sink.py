"""MetricsSink SPI: where a container's metrics manager sends what it collects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.core.spi.events import EventRecord


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """An error of user code or of the engine, as reported."""

    time_ms: int
    task: int
    component: str
    message: str
    detail: str
    count: int
    """How many of this fingerprint, the newest of which this is."""
    fingerprint: str
    """Equal for errors of one cause."""
    first_ms: int = 0
    """When the first of them was; 0: when this one was."""
    in_hand: str = ""
    """The tuple in hand."""
    process: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What one task did in an interval. Histogram: bucket -> count, see `core.stream.histogram`."""

    task: int
    component: str
    sums: Mapping[str, float] = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)
    maxima: Mapping[str, float] = field(default_factory=dict)
    histograms: Mapping[str, Mapping[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MetricsRecord:
    """What one process measured in an interval."""

    topology: str
    process: str
    container: int
    time_ms: int
    interval_ms: int
    incarnation: int
    pid: int
    tasks: tuple[TaskRecord, ...] = ()
    sums: Mapping[str, float] = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)
    maxima: Mapping[str, float] = field(default_factory=dict)
    errors: tuple[ErrorRecord, ...] = ()
    events: tuple[EventRecord, ...] = ()


class MetricsSink(Protocol):
    """Takes records. Each sink has its own thread and bounded queue: a slow one holds no other.

    Errors: SinkError; the record is dropped and counted, the sink is called again.
    """

    def open(self, topology: str, container: int, options: Mapping[str, str]) -> None:
        """Called once before the first record."""

    def process(self, record: MetricsRecord) -> None:
        """Take one record; may block."""

    def flush(self) -> None:
        """Called at least every second; may block."""

    def close(self) -> None:
        """Called once at the end; may block for a second at most."""
