"""Events as words for people: what happened, in which colour, and its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heronshim.core.spi.events import SUPPRESSED, EventKind

if TYPE_CHECKING:
    from heronshim.core.spi.events import EventRecord

BAD, WARN, GOOD, PLAIN = "bold red", "yellow", "green", ""
_WORDS: dict[str, tuple[str, str]] = {
    EventKind.CONTAINER_STARTED: ("container started", GOOD),
    EventKind.CONTAINER_STOPPED: ("container stopped", PLAIN),
    EventKind.CONTAINER_DIED: ("container died", BAD),
    EventKind.PROCESS_STARTED: ("started", GOOD),
    EventKind.PROCESS_REPLACED: ("replaced", GOOD),
    EventKind.PROCESS_JOINED: ("joined", GOOD),
    EventKind.PROCESS_DIED: ("died", BAD),
    EventKind.PROCESS_STOPPED: ("stopped", PLAIN),
    EventKind.PROCESS_FINISHED: ("finished", PLAIN),
    EventKind.PROCESS_NOT_STARTED: ("not started", BAD),
    EventKind.PROCESS_REFUSED: ("refused", BAD),
    EventKind.CGROUP_UNUSABLE: ("cgroup unusable", WARN),
    EventKind.TMASTER_WAITS: ("waits", BAD),
    EventKind.LEADER_TAKEN: ("leads", GOOD),
    EventKind.PLAN_STORED: ("plan in force", PLAIN),
    EventKind.STMGR_REGISTERED: ("registered", GOOD),
    EventKind.STMGR_ABSENT: ("absent", BAD),
    EventKind.COMMAND_TAKEN: ("command", PLAIN),
    EventKind.SUSPECTED: ("suspected", WARN),
    EventKind.SUSPICION_ENDED: ("speaks again", GOOD),
    EventKind.BACK_PRESSURE_BEGUN: ("back pressure begins", WARN),
    EventKind.BACK_PRESSURE_ENDED: ("back pressure ends", GOOD),
    EventKind.LOSS_NOTICED: ("loss noticed", WARN),
    EventKind.TREES_FAILED_ON_LOSS: ("trees failed on loss", BAD),
}
_NUMBERS: dict[str, str] = {
    "pid": "pid {:.0f}",
    "restarts": "restart {:.0f}",
    "lived_s": "lived {:,.1f} s",
    "restart_in_s": "next start in {:,.1f} s",
    "plan_epoch": "plan epoch {:.0f}",
    "leader_epoch": "leader epoch {:.0f}",
    "containers": "{:.0f} containers",
    "tasks": "{:.0f} tasks",
    "silent_s": "silent for {:,.1f} s",
    "lasted_s": "lasted {:,.1f} s",
    "trees": "{:,.0f} trees",
    SUPPRESSED: "{:,.0f} more before it",
    # Told by the cause, or of no use to a reader of a line.
    "exit_code": "",
    "signal": "",
    "incarnation": "",
    "generation": "",
    "cpu_time_us": "",
    "memory_peak_bytes": "",
    "memory_limit_bytes": "",
}
_UNITS = {"_bytes": (1 << 20, "MiB"), "_ms": (1, "ms"), "_us": (1000, "ms"), "_s": (1, "s")}


def what(event: EventRecord) -> tuple[str, str]:
    """Return what happened in a few words, and the colour they are shown in."""
    return _WORDS.get(event.kind, (event.kind.replace("_", " "), PLAIN))


def who(event: EventRecord) -> str:
    """Return whom it is about."""
    if not event.task or event.process.endswith(f"-{event.task}"):
        return event.process
    return f"{event.process} task {event.task}"


def details(event: EventRecord) -> str:
    """Return the cause and the numbers that tell a reader something."""
    places = {name: place for place, name in enumerate(_NUMBERS)}
    names = sorted(event.numbers, key=lambda name: places.get(name, len(places)))
    numbers = (number_text(name, event.numbers[name]) for name in names)
    return ", ".join(text for text in (event.cause, *numbers) if text)


def number_text(name: str, value: float) -> str:
    """Return a number with its meaning, such as "lived 2.0 s"; empty when none is worth telling.

    Of a name that is not known the unit at its end is used.
    """
    known = _NUMBERS.get(name)
    if known is not None:
        return known.format(value)
    for ending, (divisor, unit) in _UNITS.items():
        if name.endswith(ending):
            stem = name.removesuffix(ending).replace("_", " ")
            return f"{stem} {value / divisor:,.1f} {unit}"
    return f"{name.replace('_', ' ')} {value:,.10g}"
