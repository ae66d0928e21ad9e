"""What happens to the topology master, and what it orders. Pure values.

A `link` is a number that the shell gives to each accepted connection and never uses again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from heronshim.core.master.messages import (
        Command,
        CommandReply,
        StmgrHeartbeat,
        StmgrRegister,
    )
    from heronshim.core.plan.physical import ContainerPlan, PhysicalPlan
    from heronshim.errors import ErrorCode


@dataclass(frozen=True, slots=True)
class Started:
    """This TMaster became the leader; first event of all, once."""


@dataclass(frozen=True, slots=True)
class TimePassed:
    """A deadline came."""


@dataclass(frozen=True, slots=True)
class StmgrRegistered:
    """A stream manager whose hello was good reports."""

    link: int
    process: str
    """As proven by its hello."""
    register: StmgrRegister


@dataclass(frozen=True, slots=True)
class StmgrHeartbeatReceived:
    """A stream manager says that it lives."""

    link: int
    heartbeat: StmgrHeartbeat


@dataclass(frozen=True, slots=True)
class LinkEnded:
    """A connection is gone or was replaced."""

    link: int


@dataclass(frozen=True, slots=True)
class LinksSuspected:
    """These processes, linked to this TMaster, are silent now; all others are not."""

    processes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A client gave a command that changes or describes the topology."""

    link: int
    command: Command


@dataclass(frozen=True, slots=True)
class PlanStored:
    """The plan of that epoch is durable."""

    plan_epoch: int


@dataclass(frozen=True, slots=True)
class PlanNotStored:
    """The state manager could not write the plan of that epoch now."""

    plan_epoch: int
    cause: str


@dataclass(frozen=True, slots=True)
class ContainersAdded:
    """The scheduler took the order to start all containers."""


@dataclass(frozen=True, slots=True)
class ContainersNotAdded:
    """The scheduler could not take the order now."""

    cause: str


@dataclass(frozen=True, slots=True)
class RestartAnswered:
    """The scheduler took a restart, or says why not."""

    request_id: str
    cause: str = ""
    """Empty when it was taken."""


Event: TypeAlias = (
    Started
    | TimePassed
    | StmgrRegistered
    | StmgrHeartbeatReceived
    | LinkEnded
    | LinksSuspected
    | CommandReceived
    | PlanStored
    | PlanNotStored
    | ContainersAdded
    | ContainersNotAdded
    | RestartAnswered
)


@dataclass(frozen=True, slots=True)
class AddContainers:
    """Ask the scheduler to start containers; answered by ContainersAdded or ...NotAdded."""

    plans: tuple[ContainerPlan, ...]


@dataclass(frozen=True, slots=True)
class RestartContainers:
    """Ask the scheduler to restart containers; answered by RestartAnswered."""

    request_id: str
    ids: tuple[int, ...]
    """Ascending, never empty."""


@dataclass(frozen=True, slots=True)
class StorePlan:
    """Write a plan, fenced; answered by PlanStored or PlanNotStored. One at a time."""

    plan: PhysicalPlan


@dataclass(frozen=True, slots=True)
class PushPlan:
    """Send a plan that is stored to a stream manager."""

    link: int
    plan: PhysicalPlan


@dataclass(frozen=True, slots=True)
class AnswerHeartbeat:
    """Tell a stream manager that its heartbeat came."""

    link: int


@dataclass(frozen=True, slots=True)
class SendReply:
    """Answer a command."""

    link: int
    reply: CommandReply


@dataclass(frozen=True, slots=True)
class RefuseLink:
    """Send an error and forget the connection."""

    link: int
    code: ErrorCode
    message: str


@dataclass(frozen=True, slots=True)
class StepDown:
    """Another leader with a higher epoch exists: end this process."""

    cause: str


Effect: TypeAlias = (
    AddContainers
    | RestartContainers
    | StorePlan
    | PushPlan
    | AnswerHeartbeat
    | SendReply
    | RefuseLink
    | StepDown
)
