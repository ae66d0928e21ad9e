"""Errors of a topology by cause and task: how many, since when, and the newest one whole."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from heronshim.core.stream.fingerprint import fingerprint, without_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heronshim.core.spi.metrics_sink import ErrorRecord

CAUSES_MAX = 200
"""Causes that are kept; the one not seen for longest goes."""
TASKS_MAX = 100
"""Tasks of one cause that are told apart; errors of further ones count as of one of these."""
TEXT_MAX = 8_000
"""Characters kept of an error's message, detail and tuple in hand."""


@dataclass(slots=True)
class _Cause:
    """Errors of one fingerprint."""

    tasks: dict[int, ErrorRecord] = field(default_factory=dict)
    """By task, without details; at least one."""
    detail: str = ""
    detail_ms: int = -1
    """When the error was that the detail is of: the newest that had one."""

    def add(self, error: ErrorRecord) -> None:
        """Take an error of this cause."""
        if error.detail and error.time_ms >= self.detail_ms:
            self.detail, self.detail_ms = error.detail, error.time_ms
        task = error.task
        if task not in self.tasks and len(self.tasks) >= TASKS_MAX:
            task = max(self.tasks)
        known = self.tasks.get(task)
        error = replace(error, task=task, detail="")
        self.tasks[task] = error if known is None else _joined(known, error)

    def records(self) -> list[ErrorRecord]:
        """Return a record for each task, newest first; the first has the detail."""
        first, *rest = sorted(self.tasks.values(), key=lambda error: (-error.time_ms, error.task))
        return [replace(first, detail=self.detail), *rest]


class ErrorStore:
    """Sums up errors that have one fingerprint. One thread."""

    def __init__(self) -> None:
        self._causes: OrderedDict[str, _Cause] = OrderedDict()
        """By fingerprint, that seen last at the end."""

    def add(self, errors: Iterable[ErrorRecord]) -> None:
        """Take errors as they were reported."""
        for error in errors:
            bounded = _bounded(error)
            cause = self._causes.pop(bounded.fingerprint, None) or _Cause()
            self._causes[bounded.fingerprint] = cause
            cause.add(bounded)
            if len(self._causes) > CAUSES_MAX:
                self._causes.popitem(last=False)

    def records(self, component: str = "") -> tuple[ErrorRecord, ...]:
        """Return one record for each cause and task, with its count, newest first.

        Of one cause only the newest record has a detail.
        """
        found = [error for cause in self._causes.values() for error in cause.records()]
        wanted = (error for error in found if component in ("", error.component))
        return tuple(sorted(wanted, key=lambda error: (-error.time_ms, error.fingerprint)))


def _joined(before: ErrorRecord, error: ErrorRecord) -> ErrorRecord:
    """Return two records of one cause as one; the newer tells the rest."""
    newer, older = (error, before) if error.time_ms >= before.time_ms else (before, error)
    return replace(
        newer,
        count=before.count + error.count,
        first_ms=min(before.first_ms, error.first_ms),
        in_hand=newer.in_hand or older.in_hand,
    )


def _bounded(error: ErrorRecord) -> ErrorRecord:
    """Return an error that is not longer than it may be, and has a fingerprint and a first time."""
    message = error.message[:TEXT_MAX]
    return replace(
        error,
        message=message,
        detail=error.detail[-TEXT_MAX:],
        in_hand=error.in_hand[:TEXT_MAX],
        first_ms=error.first_ms or error.time_ms,
        fingerprint=error.fingerprint or fingerprint(error.component, without_numbers(message)),
    )
