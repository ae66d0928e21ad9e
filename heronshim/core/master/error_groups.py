"""Errors of user code, deaths of processes and what keeps one from its work, for people."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heronshim.core.spi.events import EventKind, EventRecord
from heronshim.core.spi.metrics_sink import ErrorRecord
from heronshim.core.stream.fingerprint import fingerprint, trace_text, without_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable

_DEATHS = frozenset(
    {
        EventKind.CONTAINER_DIED,
        EventKind.PROCESS_DIED,
        EventKind.PROCESS_NOT_STARTED,
        EventKind.PROCESS_REFUSED,
    }
)
_TROUBLES = _DEATHS | {EventKind.TMASTER_WAITS}
"""Events that are errors for people."""
_FRAME = re.compile(r'^ *File "([^"]+)", line (\d+),? in (.+)$', re.MULTILINE)
"""As in a traceback of Python, and in what its faulthandler writes."""
_CURRENT_THREAD = re.compile(r"^(?:Current thread|Thread) 0x[0-9a-f]+.*$", re.MULTILINE)
_ENGINE = "/heronshim/instance/"
"""In the path of a file that calls the author's."""
_PACKAGE = "/package/"
"""In the path of each of the author's files."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in code."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """All errors of one cause."""

    fingerprint: str
    component: str
    """Empty for a process of the engine."""
    message: str
    """Of the newest one; so are detail, tuple in hand and task."""
    detail: str
    in_hand: str
    task: int
    count: int
    first_ms: int
    last_ms: int
    tasks: tuple[int, ...]
    """Ascending."""
    processes: tuple[str, ...]
    hosts: tuple[str, ...]
    is_death: bool
    """Whether a process ended, and not only a tuple failed."""

    @property
    def place(self) -> Place | None:
        """Where it happened: the innermost frame of the author's, or else of all."""
        frames = frames_of(self.detail)
        if not frames:
            return None
        own = [frame for frame in frames if _PACKAGE in frame.file]
        innermost = (own or frames)[-1]
        return Place(_shown_path(innermost.file), innermost.line, innermost.function)


def group_errors(
    errors: Iterable[ErrorRecord], events: Iterable[EventRecord] = ()
) -> list[ErrorGroup]:
    """Return errors, and those among the events, by cause, newest first."""
    causes: dict[str, list[ErrorRecord]] = {}
    for error in errors:
        causes.setdefault(error.fingerprint, []).append(error)
    dead = set()
    for event in events:
        if event.kind in _TROUBLES:
            error = _trouble(event)
            causes.setdefault(error.fingerprint, []).append(error)
            if event.kind in _DEATHS:
                dead.add(error.fingerprint)
    groups = [_group(found, is_death=found[0].fingerprint in dead) for found in causes.values()]
    return sorted(groups, key=lambda group: (-group.last_ms, group.fingerprint))


def frames_of(detail: str) -> list[Place]:
    """Return the frames in what Python wrote of an error, innermost last.

    What its faulthandler writes of a crash has the innermost first, thread by thread; the one that
    crashed is the current thread.
    """
    threads = list(_CURRENT_THREAD.finditer(detail))
    if not threads:
        return _frames(detail)
    current = next((each for each in threads if each[0].startswith("Current")), threads[0])
    following = (each.start() for each in threads if each.start() > current.end())
    return _frames(detail[current.end() : next(following, len(detail))])[::-1]


def _frames(text: str) -> list[Place]:
    return [Place(match[1], int(match[2]), match[3]) for match in _FRAME.finditer(text)]


def _shown_path(path: str) -> str:
    """Return the path of a file within the author's package, or its last two parts."""
    _, found, inner = path.rpartition(_PACKAGE)
    return inner if found else "/".join(path.split("/")[-2:])


def _trouble(event: EventRecord) -> ErrorRecord:
    """Return the end of a process, or what keeps one from its work, as an error."""
    # Where the limit struck is chance.
    struck = "memory_limit_bytes" in event.numbers
    found = () if struck else frames_of(event.detail)
    frames = [each for each in found if _ENGINE not in each.file]
    trace = trace_text((each.file, each.function, each.line) for each in frames)
    code = event.numbers.get("exit_code", -1)
    subject = event.component or without_numbers(event.process)
    return ErrorRecord(
        time_ms=event.time_ms,
        task=event.task,
        component=event.component,
        message=f"{event.kind.replace('_', ' ')}: {event.cause}",
        detail=event.detail,
        count=1,
        fingerprint=fingerprint(
            "death", event.kind, subject, without_numbers(event.cause), str(code), trace
        ),
        first_ms=event.time_ms,
        process=event.process,
        host=event.host,
    )


def _group(errors: list[ErrorRecord], *, is_death: bool) -> ErrorGroup:
    newest = max(errors, key=lambda error: error.time_ms)
    return ErrorGroup(
        fingerprint=newest.fingerprint,
        component=newest.component,
        message=newest.message,
        detail=newest.detail,
        in_hand=newest.in_hand,
        task=newest.task,
        count=sum(error.count for error in errors),
        first_ms=min(error.first_ms or error.time_ms for error in errors),
        last_ms=newest.time_ms,
        tasks=tuple(sorted({error.task for error in errors if error.task})),
        processes=tuple(sorted({error.process for error in errors if error.process})),
        hosts=tuple(sorted({error.host for error in errors if error.host})),
        is_death=is_death,
    )
