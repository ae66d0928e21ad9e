"""Rolls up what processes report: totals since the start, what is going on now, and events.

Reports hold increments, so totals outlive the process that counted; a report of an older
incarnation that arrives late is still added, but its gauges are old news. Rates are over about
three seconds, histograms and maxima over 10 to 20. Everything is bounded: what exceeds a limit is
dropped and counted.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING

from heronshim.core.master.error_store import ErrorStore
from heronshim.core.master.event_store import EventStore
from heronshim.core.master.messages import MetricsSnapshot
from heronshim.core.spi.metrics_sink import MetricsRecord, TaskRecord
from heronshim.core.stream.histogram import merged, quantile

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

RATE_WINDOW_NS = 3_500_000_000
"""Rates use reports younger than this: three, when each covers a second."""
CATCH_UP_MS = 0
"""Interval of a record that tells what was counted before: it is in totals, not in rates."""
INTERVALS_MAX = 256
"""Reports of one task or process that rates look at; 70 is the most that 50 ms intervals give."""
GENERATION_NS = 10_000_000_000
"""Histograms and maxima show the current generation and the one before: 10 to 20 s."""
SERIES_MAX = 20_000
"""Tasks, and processes, that are kept; reports of further ones are dropped and counted."""
NAMES_MAX = 500
"""Names of one kind (sums, gauges, maxima, histograms) kept of one task or process."""
NS_PER_MS = 1_000_000
RESTARTS_MAX = 1_000_000_000
RESTART_COUNT = "restart_count"
"""Gauge of a process: how often its incarnation was seen to grow."""
SUSPECTED = "suspected"
"""Gauge of a process: 1 while it is silent, else 0."""
SHOWN_QUANTILES = (("p50", 0.5), ("p99", 0.99))


@dataclass(slots=True)
class _Interval:
    """The increments of one report."""

    since_ns: int
    """When the report before arrived; for the first, when its interval began."""
    arrived_ns: int
    length_ns: int
    sums: Mapping[str, float]


@dataclass(slots=True)
class _Generation:
    """What is kept of some seconds."""

    number: int
    histograms: dict[str, dict[int, int]] = field(default_factory=dict)
    maxima: dict[str, float] = field(default_factory=dict)


class _Series:
    """All numbers of one task or process."""

    __slots__ = ("_generations", "_intervals", "dropped_count", "gauges", "totals")

    def __init__(self) -> None:
        self.totals: dict[str, float] = {}
        self.gauges: dict[str, float] = {}
        self.dropped_count = 0
        self._intervals: deque[_Interval] = deque(maxlen=INTERVALS_MAX)
        self._generations: deque[_Generation] = deque(maxlen=2)

    def add(
        self, record: TaskRecord | MetricsRecord, interval_ms: int, now_ns: int, *, newest: bool
    ) -> None:
        """Take one report's numbers; of a catch-up only totals and gauges."""
        sums = self._bounded(record.sums, self.totals)
        for name, value in sums.items():
            self.totals[name] = self.totals.get(name, 0.0) + value
        if newest:
            self.gauges = self._bounded(record.gauges, {})
        if interval_ms == CATCH_UP_MS:
            return
        length_ns = interval_ms * NS_PER_MS
        since_ns = self._intervals[-1].arrived_ns if self._intervals else now_ns - length_ns
        self._intervals.append(_Interval(since_ns, now_ns, length_ns, sums))
        self._forget(now_ns)
        generation = self._generation(now_ns)
        for name, value in self._bounded(record.maxima, generation.maxima).items():
            generation.maxima[name] = max(value, generation.maxima.get(name, value))
        if isinstance(record, TaskRecord):
            for name, counts in record.histograms.items():
                if name in generation.histograms or len(generation.histograms) < NAMES_MAX:
                    known = generation.histograms.get(name, {})
                    generation.histograms[name] = merged([known, counts])
                else:
                    self.dropped_count += 1

    def rates(self, now_ns: int) -> dict[str, float]:
        """Return increments a second by "<name>_rate"; 0 for what fell silent."""
        self._forget(now_ns)
        length_ns = 0
        if self._intervals:
            oldest, newest = self._intervals[0], self._intervals[-1]
            # A busy process reports late but says its usual interval: the longer span is right.
            length_ns = max(
                sum(interval.length_ns for interval in self._intervals),
                newest.arrived_ns - oldest.since_ns,
            )
            # A process that lives reports again after one interval; the rest is silence.
            silence_ns = now_ns - newest.arrived_ns
            length_ns += max(0, silence_ns - newest.length_ns * 3 // 2)
        rates = {}
        for name in self.totals:
            counted = sum(interval.sums.get(name, 0.0) for interval in self._intervals)
            rates[f"{name}_rate"] = counted * 1e9 / length_ns if length_ns else 0.0
        return rates

    def recent(self, now_ns: int) -> tuple[dict[str, dict[int, int]], dict[str, float]]:
        """Return histograms, and maxima with the histograms' quantiles among them."""
        oldest = now_ns // GENERATION_NS - 1
        live = [generation for generation in self._generations if generation.number >= oldest]
        names = {name: None for generation in live for name in generation.histograms}
        histograms = {
            name: merged(generation.histograms.get(name, {}) for generation in live)
            for name in names
        }
        maxima: dict[str, float] = {}
        for generation in live:
            for name, value in generation.maxima.items():
                maxima[name] = max(value, maxima.get(name, value))
        for name, counts in histograms.items():
            stem, _, unit = name.rpartition("_")
            for label, fraction in SHOWN_QUANTILES:
                value_us = quantile(counts, fraction)
                if value_us is not None:
                    maxima[f"{stem}_{label}_{unit}"] = value_us
        return histograms, maxima

    def _bounded(self, values: Mapping[str, float], known: Mapping[str, float]) -> dict[str, float]:
        """Return the finite values, as long as there is room for new names beside `known`."""
        room = NAMES_MAX - len(known)
        kept = {}
        for name, value in values.items():
            if not isfinite(value) or (name not in known and room <= 0):
                self.dropped_count += 1
                continue
            room -= name not in known
            kept[name] = value
        return kept

    def _forget(self, now_ns: int) -> None:
        while self._intervals and now_ns - self._intervals[0].arrived_ns > RATE_WINDOW_NS:
            self._intervals.popleft()

    def _generation(self, now_ns: int) -> _Generation:
        number = now_ns // GENERATION_NS
        if not self._generations or self._generations[-1].number != number:
            self._generations.append(_Generation(number))
        return self._generations[-1]


@dataclass(slots=True)
class _Task:
    component: str
    process: str
    """Who reported it last."""
    series: _Series = field(default_factory=_Series)


@dataclass(slots=True)
class _Process:
    """A process's numbers and its newest report's head."""

    record: MetricsRecord
    restart_count: int = 0
    series: _Series = field(default_factory=_Series)


class MetricsStore:
    """Newest gauges, totals, rates, histograms, errors and events of one topology. One thread."""

    def __init__(self) -> None:
        self._tasks: dict[int, _Task] = {}
        self._processes: dict[str, _Process] = {}
        self.errors = ErrorStore()
        self.events = EventStore()
        self._dropped_series_count = 0

    @property
    def dropped_count(self) -> int:
        """Values and reports that a limit kept out, or that were no finite numbers."""
        series = [task.series for task in self._tasks.values()]
        series += [process.series for process in self._processes.values()]
        return self._dropped_series_count + sum(one.dropped_count for one in series)

    def add(self, record: MetricsRecord, now_ns: int) -> None:
        """Take one report. `now_ns` never goes back."""
        self.events.add(record.events)
        self.errors.add(record.errors)
        process = self._processes.get(record.process)
        head = replace(
            record,
            tasks=tuple(TaskRecord(task.task, task.component) for task in record.tasks),
            sums={},
            gauges={},
            maxima={},
            errors=(),
            events=(),
        )
        newest = True
        if process is None:
            if len(self._processes) >= SERIES_MAX:
                self._dropped_series_count += 1
                return
            process = self._processes[record.process] = _Process(head)
        elif record.incarnation < process.record.incarnation:
            newest = False
        else:
            process.restart_count += record.incarnation > process.record.incarnation
            process.record = head
        if record.interval_ms == CATCH_UP_MS:
            known_restarts = record.gauges.get(RESTART_COUNT, 0.0)
            # Whoever says more than this, or no number, does not know.
            if 0 <= known_restarts <= RESTARTS_MAX:
                process.restart_count = max(process.restart_count, int(known_restarts))
        process.series.add(record, record.interval_ms, now_ns, newest=newest)
        for task in record.tasks:
            known = self._tasks.get(task.task)
            if known is None:
                if len(self._tasks) >= SERIES_MAX:
                    self._dropped_series_count += 1
                    continue
                known = self._tasks[task.task] = _Task(task.component, record.process)
            known.process = record.process
            known.series.add(task, record.interval_ms, now_ns, newest=newest)

    def snapshot(
        self, now_ns: int, time_ms: int, component: str = "", suspected: Collection[str] = ()
    ) -> MetricsSnapshot:
        """Return the metrics of a component, or of all when none is named.

        `suspected` are the ids of processes that are silent now.
        """
        tasks = [
            _task_record(number, task, now_ns)
            for number, task in sorted(self._tasks.items())
            if component in ("", task.component)
        ]
        processes = [
            _process_record(process, now_ns, suspected)
            for _, process in sorted(self._processes.items())
            if not component or component in {task.component for task in process.record.tasks}
        ]
        return MetricsSnapshot(time_ms, tuple(tasks), tuple(processes))

    def catch_up(self, whole: MetricsStore | None = None) -> list[MetricsRecord]:
        """Return records that give an empty store these totals, gauges, errors and events.

        They have the interval CATCH_UP_MS. A store that was given all but what is here has all
        after them; then `whole` is one that was given all, and knows how often processes began.
        """
        counted = self if whole is None else whole
        records = []
        for name, process in self._processes.items():
            restarts = {RESTART_COUNT: float(counted.restart_count(name))}
            records.append(
                replace(
                    process.record,
                    interval_ms=CATCH_UP_MS,
                    sums=dict(process.series.totals),
                    gauges=process.series.gauges | restarts,
                    tasks=tuple(
                        TaskRecord(number, task.component, task.series.totals, task.series.gauges)
                        for number, task in self._tasks.items()
                        if task.process == process.record.process
                    ),
                )
            )
        if records:
            records[0] = replace(
                records[0], errors=self.errors.records()[::-1], events=self.events.since()
            )
        return records

    def restart_count(self, process: str) -> int:
        """Return how often a process's incarnation was seen to grow; 0 for an unknown one."""
        known = self._processes.get(process)
        return 0 if known is None else known.restart_count


def _task_record(number: int, task: _Task, now_ns: int) -> TaskRecord:
    histograms, maxima = task.series.recent(now_ns)
    return TaskRecord(
        task=number,
        component=task.component,
        sums=dict(task.series.totals),
        gauges=task.series.gauges | task.series.rates(now_ns),
        maxima=maxima,
        histograms=histograms,
    )


def _process_record(process: _Process, now_ns: int, suspected: Collection[str]) -> MetricsRecord:
    _, maxima = process.series.recent(now_ns)
    known = {
        RESTART_COUNT: float(process.restart_count),
        SUSPECTED: float(process.record.process in suspected),
    }
    return replace(
        process.record,
        sums=dict(process.series.totals),
        gauges=process.series.gauges | process.series.rates(now_ns) | known,
        maxima=maxima,
    )
