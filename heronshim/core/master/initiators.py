"""Who begins back pressure now, from the metrics of the stream managers, which know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heronshim.core.master.messages import MetricsSnapshot

ACTIVE_S = "initiator_s"
"""Gauge "initiator_s/<component>/<task>": seconds since it began, while it lasts."""
TIME_US = "initiator_time_us"
"""Sum "initiator_time_us/<component>/<task>": how long, all times together."""


@dataclass(frozen=True, slots=True)
class Initiator:
    """A task whose input is full while its own output flows: it holds its sources back."""

    component: str
    task: int
    seconds: float
    """Since it began."""


def initiator_name(name: str, component: str, task: int) -> str:
    """Return the name of a stream manager's metric about one task."""
    return f"{name}/{component}/{task}"


def initiators(snapshot: MetricsSnapshot) -> list[Initiator]:
    """Return all initiators of now, the one that has lasted for longest first."""
    found = []
    for process in snapshot.processes:
        for name, seconds in process.gauges.items():
            head, _, rest = name.partition("/")
            component, _, task = rest.rpartition("/")
            if head == ACTIVE_S and component and task.isdecimal():
                found.append(Initiator(component, int(task), seconds))
    return sorted(found, key=lambda one: (-one.seconds, one.task))


def initiator_text(one: Initiator) -> str:
    """Return a line for people."""
    return f"back pressure: {one.component} (task {one.task}) for {one.seconds:,.1f} s"
