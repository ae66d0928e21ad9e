"""Who an instance is, and what it takes from its stream manager."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from heronshim.config import TopologyOptions, parse_options
from heronshim.errors import ErrorCode, HeronshimError, RemoteProtocolError

if TYPE_CHECKING:
    from heronshim.core.plan.physical import PhysicalPlan


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this instance is."""

    process: str
    container: int
    executors: tuple[tuple[int, ...], ...]
    incarnation: int = 1
    pid: int = 0

    @property
    def tasks(self) -> frozenset[int]:
        """All tasks of the process."""
        return frozenset(task for executor in self.executors for task in executor)

    def check_tasks(self, plan: PhysicalPlan) -> None:
        """Check that a plan has the tasks of this process where they are.

        Raises:
            RemoteProtocolError: it has not; names them.
        """
        placed = {task: process.id for task, _, _, process in plan.placements()}
        absent = sorted(task for task in self.tasks if placed.get(task) != self.process)
        if absent:
            msg = f'PhysicalPlan has no tasks {absent} in process "{self.process}"'
            raise RemoteProtocolError(msg)

    def check_own(self, task: int, what: str) -> None:
        """Check that something came for a task of this process.

        Raises:
            RemoteProtocolError: it did not.
        """
        for executor in self.executors:
            if task in executor:
                return
        msg = f'{what} for task {task}, which is none of "{self.process}"'
        raise RemoteProtocolError(msg, ErrorCode.TASK)


def plan_options(plan: PhysicalPlan) -> TopologyOptions:
    """Return a plan's options.

    Raises:
        RemoteProtocolError: one is unknown or wrong, as one of a newer version may be.
    """
    try:
        return parse_options(TopologyOptions, plan.topology.options)
    except HeronshimError as error:
        msg = f"PhysicalPlan.topology.options: {error}"
        raise RemoteProtocolError(msg) from error
