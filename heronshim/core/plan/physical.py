"""Packing plan and physical plan: which container runs which process, executor and task."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from heronshim.core.plan.graph import cycles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heronshim.core.plan.topology import Topology


class TopologyState(StrEnum):
    """Whether spouts are called."""

    ACTIVE = "active"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class Resources:
    """What a process or container needs: cores (fractions allowed) and bytes."""

    cpu: float = 0.0
    ram_bytes: int = 0
    disk_bytes: int = 0

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            self.cpu + other.cpu,
            self.ram_bytes + other.ram_bytes,
            self.disk_bytes + other.disk_bytes,
        )

    def fits(self, limit: Resources) -> bool:
        """Return whether no part exceeds `limit`."""
        return (
            self.cpu <= limit.cpu
            and self.ram_bytes <= limit.ram_bytes
            and self.disk_bytes <= limit.disk_bytes
        )


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """One instance process: executors of one component, each a tuple of ascending task ids."""

    id: str
    """"<component>-<lowest task id>", unique in the topology."""
    component: str
    executors: tuple[tuple[int, ...], ...]
    required: Resources

    @property
    def tasks(self) -> tuple[int, ...]:
        """All its task ids, ascending."""
        return tuple(sorted(task for executor in self.executors for task in executor))


@dataclass(frozen=True, slots=True)
class ContainerPlan:
    """One container of a packing plan; `id` counts from 1."""

    id: int
    processes: tuple[ProcessPlan, ...]
    required: Resources


@dataclass(frozen=True, slots=True)
class PackingPlan:
    """Which container runs what. Containers ascend by id; container 0 is not listed."""

    version: int
    containers: tuple[ContainerPlan, ...]
    algorithm: str
    highest_task: int = 0
    """Highest task id given so far; added tasks get higher ones, so that none is used twice."""


@dataclass(frozen=True, slots=True)
class PhysicalContainer:
    """A live container."""

    id: int
    host: str
    peer_endpoint: str
    stmgr_pid: int
    stmgr_incarnation: int
    processes: tuple[ProcessPlan, ...]


@dataclass(frozen=True, slots=True)
class PhysicalPlan:
    """Where everything runs now. Containers ascend by id."""

    plan_epoch: int
    leader_epoch: int
    topology: Topology
    containers: tuple[PhysicalContainer, ...]
    state: TopologyState
    recovery_epoch: int = 0

    def placements(self) -> Iterator[tuple[int, int, str, ProcessPlan]]:
        """Yield (task, container id, component, process) for each task, in no fixed order."""
        for container in self.containers:
            for process in container.processes:
                for task in process.tasks:
                    yield task, container.id, process.component, process

    def component_tasks(self) -> dict[str, tuple[int, ...]]:
        """Return the ascending task ids of each component."""
        found: dict[str, list[int]] = {component.id: [] for component in self.topology.components}
        for task, _, component, _ in self.placements():
            found[component].append(task)
        return {component: tuple(sorted(tasks)) for component, tasks in found.items()}

    def task_cycles(self) -> dict[int, int]:
        """Return for each task on a cycle of the topology a number of that cycle."""
        numbers = {
            component: number
            for number, cycle in enumerate(cycles(self.topology))
            for component in cycle
        }
        return {
            task: numbers[component]
            for task, _, component, _ in self.placements()
            if component in numbers
        }
