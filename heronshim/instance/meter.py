"""What one task did since its last report."""

from __future__ import annotations

from collections import deque
from hashlib import sha256
from traceback import format_exception
from typing import TYPE_CHECKING

from heronshim.core.spi.metrics_sink import ErrorRecord, TaskRecord
from heronshim.core.stream.histogram import Histogram

if TYPE_CHECKING:
    from heronshim.api.context import Context

NS_PER_S = 1_000_000_000
DETAIL_CHARACTERS_MAX = 8000


class TaskMeter:
    """Counts by name, latencies, and errors with a limit in each interval (Storm: 5 in 10 s)."""

    def __init__(
        self, task: int, component: str, error_report_max: int, error_report_interval_s: float
    ) -> None:
        self._task = task
        self._component = component
        self._error_max = error_report_max
        self._error_interval_ns = int(error_report_interval_s * NS_PER_S)
        self._recent_errors: deque[int] = deque()
        self._suppressed = 0
        self._errors: list[ErrorRecord] = []
        self._user_counts: dict[str, float] = {}
        self.sums: dict[str, float] = {}
        self.gauges: dict[str, float] = {}
        self.execute_latency = Histogram()
        self.complete_latency = Histogram()

    def add(self, name: str, by: float) -> None:
        """Add to a count."""
        self.sums[name] = self.sums.get(name, 0) + by

    def error(
        self, error: BaseException | str, now_ns: int, time_ms: int, in_hand: str = ""
    ) -> None:
        """Report an error with its trace and the tuple in hand; over the limit it is counted."""
        self.add("error_count", 1)
        while self._recent_errors and now_ns - self._recent_errors[0] >= self._error_interval_ns:
            self._recent_errors.popleft()
        if len(self._recent_errors) >= self._error_max:
            self._suppressed += 1
            return
        self._recent_errors.append(now_ns)
        if isinstance(error, BaseException):
            message = f"{type(error).__name__}: {error}"
            detail = "".join(format_exception(error))[-DETAIL_CHARACTERS_MAX:]
            cause = f"{self._component}|{type(error).__name__}|{_place(error)}"
        else:
            message, detail, cause = error, "", f"{self._component}|{error}"
        if in_hand:
            detail = f"{detail}\ntuple in hand: {in_hand}".lstrip()
        fingerprint = sha256(cause.encode("utf-8", "replace")).hexdigest()[:12]
        count = 1 + self._suppressed
        self._suppressed = 0
        self._errors.append(
            ErrorRecord(time_ms, self._task, self._component, message, detail, count, fingerprint)
        )

    def take_errors(self) -> list[ErrorRecord]:
        """Return and forget the errors to report."""
        errors, self._errors = self._errors, []
        return errors

    def take(self, context: Context | None) -> TaskRecord:
        """Return and forget the interval's counts; gauges stay."""
        if context is not None:
            for name, gauge in context.gauges.items():
                key = name if name == "source_exhausted" else f"user/{name}"
                self.gauges[key] = gauge.value
            for name, counter in context.counters.items():
                before = self._user_counts.get(name, 0.0)
                self._user_counts[name] = counter.value
                self.add(f"user/{name}", counter.value - before)
        sums, self.sums = self.sums, {}
        histograms = {
            name: histogram.take()
            for name, histogram in (
                ("execute_latency_us", self.execute_latency),
                ("complete_latency_us", self.complete_latency),
            )
        }
        return TaskRecord(
            self._task,
            self._component,
            sums,
            dict(self.gauges),
            {},
            {name: counts for name, counts in histograms.items() if counts},
        )


def _place(error: BaseException) -> str:
    """Return file and line of the innermost frame of an error's trace."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
