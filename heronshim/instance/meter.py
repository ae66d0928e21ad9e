"""What one task did since its last report.

Both threads of an instance count: the author's, and the watcher while the author's code runs.
"""

from __future__ import annotations

from collections import deque
from hashlib import sha256
from threading import Lock
from traceback import format_exception
from typing import TYPE_CHECKING

from heronshim.core.spi.metrics_sink import ErrorRecord, TaskRecord
from heronshim.core.stream.histogram import Histogram, merged, quantile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.api.context import Context

NS_PER_S = 1_000_000_000
DETAIL_CHARACTERS_MAX = 8000


class TaskMeter:
    """Counts by name, latencies, and errors with a limit in each interval (Storm: 5 in 10 s)."""

    def __init__(
        self, task: int, component: str, error_report_max: int, error_report_interval_s: float
    ) -> None:
        self._lock = Lock()
        self._task = task
        self._component = component
        self._error_max = error_report_max
        self._error_interval_ns = int(error_report_interval_s * NS_PER_S)
        self._recent_errors: deque[int] = deque()
        self._suppressed = 0
        self._errors: list[ErrorRecord] = []
        self._user_counts: dict[str, float] = {}
        self._sums: dict[str, float] = {}
        self._execute_latency = Histogram()
        self._complete_latency = Histogram()
        self._completed_before: dict[int, int] = {}
        self.gauges: dict[str, float] = {}
        """Set by the thread that reports."""

    def add(self, name: str, by: float) -> None:
        """Add to a count."""
        with self._lock:
            self._add(name, by)

    def add_executed(self, name: str, rows: int, elapsed_us: int) -> None:
        """Count rows that a bolt executed under `name`, and the time they took together."""
        with self._lock:
            self._add(name, rows)
            self._add("execute_time_us", elapsed_us)
            self._add("busy_time_us", elapsed_us)
            if rows:
                self._execute_latency.add_weighted(elapsed_us // rows, rows)

    def add_completed(self, trees: int, latency_counts: Mapping[int, int]) -> None:
        """Count trees of a spout that completed, and how long they were open, by bucket."""
        with self._lock:
            self._add("ack_count", trees)
            self._complete_latency.merge(latency_counts)

    def complete_latency_us(self, fraction: float) -> float | None:
        """Return a quantile of this interval and the last one in which a tree completed."""
        with self._lock:
            return quantile(
                merged((self._completed_before, self._complete_latency.counts())), fraction
            )

    def error(
        self, error: BaseException | str, now_ns: int, time_ms: int, in_hand: str = ""
    ) -> None:
        """Report an error with its trace and the tuple in hand; over the limit it is counted."""
        if isinstance(error, BaseException):
            message = f"{type(error).__name__}: {_text(error)}"
            detail = "".join(format_exception(error))[-DETAIL_CHARACTERS_MAX:]
            cause = f"{self._component}|{type(error).__name__}|{_place(error)}"
        else:
            message, detail = _text(error), ""
            cause = f"{self._component}|{message}"
        if in_hand:
            detail = f"{detail}\ntuple in hand: {in_hand}".lstrip()
        with self._lock:
            self._report(_sendable(message), _sendable(detail), cause, now_ns, time_ms)

    def _report(self, message: str, detail: str, cause: str, now_ns: int, time_ms: int) -> None:
        self._add("error_count", 1)
        while self._recent_errors and now_ns - self._recent_errors[0] >= self._error_interval_ns:
            self._recent_errors.popleft()
        if len(self._recent_errors) >= self._error_max:
            self._suppressed += 1
            return
        self._recent_errors.append(now_ns)
        fingerprint = sha256(cause.encode("utf-8", "replace")).hexdigest()[:12]
        count = 1 + self._suppressed
        self._suppressed = 0
        self._errors.append(
            ErrorRecord(time_ms, self._task, self._component, message, detail, count, fingerprint)
        )

    def take_errors(self) -> list[ErrorRecord]:
        """Return and forget the errors to report."""
        with self._lock:
            errors, self._errors = self._errors, []
        return errors

    def take(self, context: Context | None) -> TaskRecord:
        """Return and forget the interval's counts; gauges stay."""
        with self._lock:
            return self._take(context)

    def _take(self, context: Context | None) -> TaskRecord:
        if context is not None:
            # Copies: the author's thread may make another gauge or counter meanwhile.
            for name, gauge in list(context.gauges.items()):
                key = name if name == "source_exhausted" else f"user/{name}"
                self.gauges[key] = gauge.value
            for name, counter in list(context.counters.items()):
                before = self._user_counts.get(name, 0.0)
                self._user_counts[name] = counter.value
                self._add(f"user/{name}", counter.value - before)
        sums, self._sums = self._sums, {}
        histograms = {
            name: histogram.take()
            for name, histogram in (
                ("execute_latency_us", self._execute_latency),
                ("complete_latency_us", self._complete_latency),
            )
        }
        self._completed_before = histograms["complete_latency_us"] or self._completed_before
        return TaskRecord(
            self._task,
            self._component,
            sums,
            dict(self.gauges),
            {},
            {name: counts for name, counts in histograms.items() if counts},
        )

    def _add(self, name: str, by: float) -> None:
        self._sums[name] = self._sums.get(name, 0) + by


def _text(error: object) -> str:
    """Return an error's own text."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - __str__ is the author's code too
        return "(its text cannot be read)"


def _sendable(text: str) -> str:
    """Return a text that has a UTF-8 form: lone surrogates are shown by their numbers."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _place(error: BaseException) -> str:
    """Return file and line of the innermost frame of an error's trace."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
