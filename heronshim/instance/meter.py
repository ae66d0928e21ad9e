"""What one task did since its last report.

Both threads of an instance count: the author's, and the watcher while the author's code runs.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from threading import Lock
from traceback import format_exception
from typing import TYPE_CHECKING

from heronshim.core.spi.metrics_sink import ErrorRecord, TaskRecord
from heronshim.core.stream.fingerprint import (
    fingerprint,
    trace_text,
    without_numbers,
)
from heronshim.core.stream.histogram import Histogram, merged, quantile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.api.context import Context

NS_PER_S = 1_000_000_000
_ENGINE = __file__.rpartition("/")[0] + "/"
"""Folder of this package."""
MESSAGE_CHARACTERS_MAX = 1000
DETAIL_CHARACTERS_MAX = 8000
SUPPRESSED_CAUSES_MAX = 100
"""Causes of errors over the limit that are told later; further ones are in `error_count` only."""


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
        self._suppressed: dict[str, tuple[ErrorRecord, int]] = {}
        """Errors over the limit by fingerprint, and when the newest of each was."""
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
        kind = type(error).__name__ if isinstance(error, BaseException) else ""
        text = _text(error)
        message = _sendable(f"{kind}: {text}" if kind else text)[:MESSAGE_CHARACTERS_MAX]
        frames = _frames(error) if isinstance(error, BaseException) else []
        cause = fingerprint(
            self._component, kind, trace_text(frames) if frames else without_numbers(message)
        )
        with self._lock:
            self._add("error_count", 1)
            known, _ = self._suppressed.get(cause, (None, 0))
            record = ErrorRecord(
                time_ms=time_ms,
                task=self._task,
                component=self._component,
                message=message,
                detail="",
                count=1 + (known.count if known else 0),
                fingerprint=cause,
                first_ms=known.first_ms if known else time_ms,
                in_hand=_sendable(in_hand),
            )
            if self._is_over_limit(now_ns):
                if known or len(self._suppressed) < SUPPRESSED_CAUSES_MAX:
                    self._suppressed[cause] = record, now_ns
                return
            self._recent_errors.append(now_ns)
            self._suppressed.pop(cause, None)
            detail = _sendable(_trace(error)) if isinstance(error, BaseException) else ""
            self._errors.append(replace(record, detail=detail))

    def _is_over_limit(self, now_ns: int) -> bool:
        while self._recent_errors and now_ns - self._recent_errors[0] >= self._error_interval_ns:
            self._recent_errors.popleft()
        return len(self._recent_errors) >= self._error_max

    def take_errors(self, now_ns: int, *, last: bool = False) -> list[ErrorRecord]:
        """Return and forget the errors to report.

        With them, without a trace, those over the limit whose like did not come again for an
        interval; with `last` all.
        """
        with self._lock:
            errors, self._errors = self._errors, []
            for cause, (record, since_ns) in list(self._suppressed.items()):
                if last or now_ns - since_ns >= self._error_interval_ns:
                    del self._suppressed[cause]
                    errors.append(record)
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


def _trace(error: BaseException) -> str:
    return "".join(format_exception(error))[-DETAIL_CHARACTERS_MAX:]


def _frames(error: BaseException) -> list[tuple[str, str, int]]:
    """Return file, function and line of each frame of an error's trace, innermost last.

    Those of this package are left out: the author's code is called from several places in it.
    """
    frames: dict[tuple[str, str, int], None] = {}
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not code.co_filename.startswith(_ENGINE):
            frames[code.co_filename, code.co_name, trace.tb_lineno] = None
        trace = trace.tb_next
    return list(frames)
