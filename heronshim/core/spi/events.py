"""What happens to a topology: one record for each line of its history."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

CAUSE_CHARACTERS_MAX = 1000
"""A longer cause is cut at its end."""
DETAIL_CHARACTERS_MAX = 4000
"""A longer detail loses its beginning: the last lines that a process wrote say why it died."""


class EventKind(StrEnum):
    """Kinds of events that heronshim itself reports; numbers that come with one stand in braces.

    A record may hold another one, of an instance in another language or of a newer version.
    """

    CONTAINER_STARTED = "container_started"
    """Its supervisor began {pid, generation}."""
    CONTAINER_STOPPED = "container_stopped"
    """As it was asked to."""
    CONTAINER_DIED = "container_died"
    """Its supervisor ended without being asked {pid, restarts}."""
    PROCESS_STARTED = "process_started"
    """For the first time under its supervisor {pid, incarnation}."""
    PROCESS_REPLACED = "process_replaced"
    """Started again {pid, incarnation, restarts}."""
    PROCESS_JOINED = "process_joined"
    """An instance said hello to its stream manager {pid, incarnation}."""
    PROCESS_DIED = "process_died"
    """Ended without being asked {pid, incarnation, lived_s, restart_in_s, exit_code or signal,
    cpu_time_us, memory_peak_bytes, memory_limit_bytes}; the detail is what it wrote last."""
    PROCESS_STOPPED = "process_stopped"
    """Ended as it was asked to; numbers as of PROCESS_DIED."""
    PROCESS_FINISHED = "process_finished"
    """Ended because its work is done: it fetched the package."""
    PROCESS_NOT_STARTED = "process_not_started"
    """The system refused; it is tried again."""
    PROCESS_REFUSED = "process_refused"
    """This installation cannot run it; it is not tried again."""
    CGROUP_UNUSABLE = "cgroup_unusable"
    """Its memory limit is held by looking, not by the kernel."""
    TMASTER_WAITS = "tmaster_waits"
    """A TMaster cannot lead yet: the cause names the state node that is damaged or missing, and
    what to do. It looks again by itself."""
    LEADER_TAKEN = "leader_taken"
    """A TMaster became the leader {pid, leader_epoch}."""
    PLAN_STORED = "plan_stored"
    """A physical plan is in force {plan_epoch, leader_epoch, containers, tasks}."""
    PLAN_NOT_STORED = "plan_not_stored"
    """The state manager did not take a plan; it is tried again."""
    DISK_FULL = "disk_full"
    """Nothing can be written under a folder: logs and history are dropped, data goes on."""
    DISK_FREED = "disk_freed"
    """It can be written again."""
    STMGR_REGISTERED = "stmgr_registered"
    """A container's stream manager reported to the TMaster {pid, incarnation}."""
    STMGR_ABSENT = "stmgr_absent"
    """The TMaster does not hear from a container's stream manager any more."""
    COMMAND_TAKEN = "command_taken"
    """The TMaster took an order: the cause says which."""
    SUSPECTED = "suspected"
    """A process is silent for longer than usual {pid, incarnation, silent_s}; nothing is done."""
    SUSPICION_ENDED = "suspicion_ended"
    """A suspected process spoke again {pid, incarnation, silent_s}."""
    BACK_PRESSURE_BEGUN = "back_pressure_begun"
    """A task is slower than those that send to it {queue_bytes}."""
    BACK_PRESSURE_ENDED = "back_pressure_ended"
    """It caught up {lasted_s}."""
    LOSS_NOTICED = "loss_noticed"
    """A link or instance ended, or frames never came, so that tuples may be lost {sources,
    destinations}; the detail names the tasks that could have used the link."""
    TREES_FAILED_ON_LOSS = "trees_failed_on_loss"
    """A spout failed trees before their time because a part of them was lost {trees}."""


SUPPRESSED = "suppressed"
"""Number of an event: how many like it were left out before it, because there were too many."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One thing that happened. What does not apply is empty or 0."""

    id: str
    """Equal in each copy of one event, and in no other's."""
    time_ms: int
    kind: str
    process: str = ""
    """Whom it is about, or who reports it."""
    container: int = 0
    host: str = ""
    component: str = ""
    task: int = 0
    cause: str = ""
    """One line, for people."""
    detail: str = ""
    """More lines."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """Each ends in its unit where it has one."""

    @property
    def length(self) -> int:
        """Characters that it keeps in memory, about."""
        return 200 + len(self.cause) + len(self.detail) + 40 * len(self.numbers)


def event_id(reporter: str, life: int, number: int) -> str:
    """Return the id of the `number`th event that a reporter had in one of its lives.

    Ids of one life sort by number, so that events of one millisecond stay in order.
    """
    return f"{reporter}.{life}.{number:06d}"
