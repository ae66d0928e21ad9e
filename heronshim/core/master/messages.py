"""What the topology master is told and answers. Pure values; codec/master.py writes them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from heronshim.errors import ErrorCode

if TYPE_CHECKING:
    from heronshim.core.plan.physical import PhysicalPlan
    from heronshim.core.spi.events import EventRecord
    from heronshim.core.spi.metrics_sink import ErrorRecord, MetricsRecord, TaskRecord

ALL_CONTAINERS = -1
"""Command.container for every container but 0."""


class CommandKind(StrEnum):
    """What a command does."""

    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    RESTART = "restart"
    STATUS = "status"
    METRICS = "metrics"
    ERRORS = "errors"
    EVENTS = "events"


class Phase(StrEnum):
    """How far a topology has come."""

    WAITING = "waiting"
    """Not every stream manager has registered since the topology was submitted."""
    RUNNING = "running"
    """There is a physical plan."""


@dataclass(frozen=True, slots=True)
class StmgrRegister:
    """A stream manager reports after its hello."""

    container: int
    host: str
    peer_endpoint: str
    pid: int
    incarnation: int
    plan_epoch: int = 0
    """Epoch of the plan that it has; 0 for none."""
    leader_epoch: int = 0
    """Leader epoch of that plan."""


@dataclass(frozen=True, slots=True)
class StmgrHeartbeat:
    """A stream manager lives; every second."""

    container: int
    plan_epoch: int
    joined_tasks: tuple[int, ...] = ()
    """Ascending."""
    connected_containers: tuple[int, ...] = ()
    """Ascending."""
    suspected_processes: tuple[str, ...] = ()
    """Process ids of those that are linked to it and silent; ascending."""


@dataclass(frozen=True, slots=True)
class Command:
    """An order or a question of the command line."""

    request_id: str
    """Chosen by the sender; a repeated id is answered again, not done again."""
    kind: CommandKind
    container: int = ALL_CONTAINERS
    """For RESTART."""
    component: str = ""
    """For METRICS, ERRORS and EVENTS; empty for all."""
    since_ms: int = 0
    """For EVENTS: from when on, Unix milliseconds."""

    @property
    def text(self) -> str:
        """What it asks for, for people."""
        if self.kind is not CommandKind.RESTART:
            return self.kind
        each = self.container == ALL_CONTAINERS
        return f"{self.kind} of {'all containers' if each else f'container {self.container}'}"


@dataclass(frozen=True, slots=True)
class TopologyStatus:
    """State of everything."""

    plan: PhysicalPlan | None
    phase: Phase
    absent_containers: tuple[int, ...]
    """Ascending; their stream managers have not registered or are silent."""
    joined_tasks: tuple[int, ...]
    """Ascending."""
    task_count: int
    suspected_processes: tuple[str, ...] = ()
    """Process ids, ascending: alive as far as is known, but silent."""


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """Metrics of now and since the start.

    A task's or process's `sums` are totals since the topology started; `gauges` the newest ones
    and "<name>_rate" (per second) for each sum; `histograms` what was counted lately; `maxima`
    its quantiles as "<name>_p50_us" and "<name>_p99_us" (for "<name>_us").
    """

    time_ms: int
    tasks: tuple[TaskRecord, ...]
    """Ascending by task."""
    processes: tuple[MetricsRecord, ...]
    """Ascending by process; without tasks and errors; gauges hold "restart_count" and "suspected".
    """


@dataclass(frozen=True, slots=True)
class CommandReply:
    """Answer to a command; which part is set depends on its kind."""

    request_id: str
    ok: bool
    message: str = ""
    """Why not, when not ok."""
    code: ErrorCode = ErrorCode.UNSPECIFIED
    status: TopologyStatus | None = None
    metrics: MetricsSnapshot | None = None
    errors: tuple[ErrorRecord, ...] = ()
    events: tuple[EventRecord, ...] = ()
    """Oldest first."""
