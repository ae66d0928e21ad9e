"""What all packing algorithms share: executors, the containers being filled, the finished plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heronshim.config import ComponentOptions, TopologyOptions, parse_options
from heronshim.core.plan.physical import ContainerPlan, PackingPlan, ProcessPlan, Resources
from heronshim.core.plan.resources import ContainerRules, executor_resources
from heronshim.core.plan.task_ids import (
    first_task_ids,
    phantom_task_ids,
    sorted_components,
    split_into_executors,
)
from heronshim.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heronshim.core.plan.topology import Topology


@dataclass(frozen=True, slots=True)
class Executor:
    """Tasks of one component that stay together."""

    component: str
    tasks: tuple[int, ...]
    required: Resources


@dataclass(slots=True, eq=False)
class Bin:
    """A container being filled; `used` is the sum of its executors' needs."""

    id: int
    executors: list[Executor] = field(default_factory=list)
    used: Resources = field(default_factory=Resources)

    def add(self, executor: Executor) -> None:
        """Put an executor into it."""
        self.executors.append(executor)
        self.used += executor.required


@dataclass(frozen=True, slots=True)
class Job:
    """A topology with its options read."""

    topology: Topology
    options: TopologyOptions
    components: dict[str, ComponentOptions]
    rules: ContainerRules

    @classmethod
    def of(cls, topology: Topology) -> Job:
        """Read the options.

        Raises:
            ConfigError: an option is unknown or wrong.
        """
        options = parse_options(TopologyOptions, topology.options)
        components = {
            component.id: parse_options(ComponentOptions, component.options)
            for component in topology.components
        }
        return cls(topology, options, components, ContainerRules.of(options))

    def executor(self, component: str, tasks: tuple[int, ...]) -> Executor:
        """Return an executor of a component with what it needs."""
        return Executor(component, tasks, executor_resources(self.components[component]))

    def first_executors(self) -> list[Executor]:
        """Return all executors of a topology that starts, by component id and task id."""
        tasks = first_task_ids(self.topology)
        return [
            self.executor(component.id, part)
            for component in sorted_components(self.topology)
            for part in split_into_executors(tasks[component.id], component.parallelism)
        ]

    def has_room(self, container: Bin, executor: Executor) -> bool:
        """Return whether the container keeps its limits with one more executor."""
        return not self.rules.excess(container.used + executor.required)

    def check_enough(self, executors: Sequence[Executor]) -> None:
        """Check that no container would stay empty.

        Raises:
            ConfigError: there are more containers than executors; with the numbers.
        """
        if self.options.containers > len(executors):
            msg = (
                f'option "containers" is {self.options.containers}, but topology '
                f'"{self.topology.name}" has {len(executors)} executors (the sum of parallelism); '
                f"set it to at most {len(executors)}"
            )
            raise ConfigError(msg)

    def check_each_fits_alone(self, executors: Iterable[Executor]) -> None:
        """Check that each executor fits an empty container.

        Raises:
            ConfigError: some do not; one line for each component, with the numbers.
        """
        by_component = {executor.component: executor for executor in executors}
        problems = []
        for component, executor in by_component.items():
            excess = self.rules.excess(executor.required)
            if excess:
                problems.append(
                    f'component "{component}": a container with one executor of it needs '
                    f"{self.rules.explained(excess)}; raise the limit or lower what the "
                    "component asks for"
                )
        if problems:
            raise ConfigError("\n".join(problems))

    def plan(
        self, bins: Iterable[Bin], algorithm: str, version: int = 1, highest_task: int = 0
    ) -> PackingPlan:
        """Return the plan of filled containers; empty ones are left out."""
        containers = tuple(
            ContainerPlan(item.id, self._processes(item), self.rules.required(item.used))
            for item in sorted(bins, key=lambda item: item.id)
            if item.executors
        )
        tasks = [
            task
            for container in containers
            for process in container.processes
            for task in process.tasks
        ]
        # Tasks that are added later get no number of a phantom either.
        tasks += [task for ids in phantom_task_ids(self.topology).values() for task in ids]
        return PackingPlan(version, containers, algorithm, max([highest_task, *tasks]))

    def _processes(self, container: Bin) -> tuple[ProcessPlan, ...]:
        """Group a container's executors into processes, ascending by component and task."""
        groups: dict[tuple[str, int], list[Executor]] = {}
        for executor in sorted(container.executors, key=lambda item: (item.component, item.tasks)):
            shared = self.components[executor.component].process == "container"
            key = (executor.component, 0 if shared else executor.tasks[0])
            groups.setdefault(key, []).append(executor)
        return tuple(
            ProcessPlan(
                id=f"{component}-{executors[0].tasks[0]}",
                component=component,
                executors=tuple(executor.tasks for executor in executors),
                required=sum((executor.required for executor in executors), Resources()),
            )
            for (component, _), executors in groups.items()
        )


def least_loaded(bins: Iterable[Bin]) -> Bin:
    """Return the container with the fewest executors, of several the one with the lowest id."""
    return min(bins, key=lambda item: (len(item.executors), item.id))
