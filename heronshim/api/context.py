"""What a component can ask about its topology."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.api.hooks import TaskHook
    from heronshim.core.plan.topology import Grouping, Topology


class Gauge:
    """A number of the author's that is shown as it stands."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def set(self, value: float) -> None:
        """Show `value` from the next report on."""
        self.value = value


class Counter:
    """A count of the author's, added up over tasks and time."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def increment(self, by: float = 1) -> None:
        """Add `by`."""
        self.value += by


@dataclass(slots=True)
class Context:
    """Ids, neighbours and shared data of one task. Storm's TopologyContext is the model."""

    topology: Topology
    task_id: int
    component_id: str
    component_tasks: Mapping[str, tuple[int, ...]]
    """Ascending task ids of each component."""
    container_tasks: tuple[int, ...]
    """Ascending task ids of this container (Storm's worker tasks)."""
    config: Mapping[str, Any]
    """User configuration: the component's over the topology's."""
    container_id: int = 1
    task_data: dict[str, Any] = field(default_factory=dict)
    """Shared by hooks and code of this task."""
    executor_data: dict[str, Any] = field(default_factory=dict)
    """Shared by the tasks of this executor."""
    resources: dict[str, Any] = field(default_factory=dict)
    """Shared by the tasks of this process."""
    gauges: dict[str, Gauge] = field(default_factory=dict)
    counters: dict[str, Counter] = field(default_factory=dict)
    hooks: list[TaskHook] = field(default_factory=list)

    @property
    def task_index(self) -> int:
        """Position of this task among its component's tasks, from 0."""
        return self.component_tasks[self.component_id].index(self.task_id)

    @property
    def topology_id(self) -> str:
        """Name, dash and submit time."""
        return self.topology.id

    def component_of(self, task: int) -> str:
        """Return the component of a task.

        Raises:
            KeyError: no component has it.
        """
        for component, tasks in self.component_tasks.items():
            if task in tasks:
                return component
        raise KeyError(task)

    def streams(self, component: str | None = None) -> tuple[str, ...]:
        """Return the streams that a component (this one by default) declares."""
        return tuple(
            output.id for output in self.topology.component(component or self.component_id).outputs
        )

    def fields(self, component: str, stream: str) -> tuple[str, ...]:
        """Return the field names of a stream.

        Raises:
            KeyError: there is no such component or stream.
        """
        output = self.topology.component(component).output(stream)
        if output is None:
            raise KeyError(stream)
        return output.fields

    def sources(self) -> dict[tuple[str, str], Grouping]:
        """Return what this component consumes: (component, stream) -> grouping."""
        component = self.topology.component(self.component_id)
        return {(item.component, item.stream): item.grouping for item in component.inputs}

    def targets(self) -> dict[str, dict[str, Grouping]]:
        """Return who consumes this component: stream -> consumer -> grouping."""
        return {
            stream: {
                consumer.id: item.grouping
                for consumer, item in self.topology.consumers(self.component_id, stream)
            }
            for stream in self.streams()
        }

    def gauge(self, name: str) -> Gauge:
        """Return the gauge of that name, made at first use. "source_exhausted" = 1 ends a run."""
        return self.gauges.setdefault(name, Gauge())

    def counter(self, name: str) -> Counter:
        """Return the counter of that name, made at first use."""
        return self.counters.setdefault(name, Counter())

    def add_hook(self, hook: TaskHook) -> None:
        """Call `hook` at each event of this task; allowed in open and prepare only."""
        self.hooks.append(hook)
