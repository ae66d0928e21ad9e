"""Conformance suite of the Packing SPI."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from heronshim.core.codec.plan import packing_plan_from_bytes, packing_plan_to_bytes
from heronshim.core.plan.task_ids import first_task_ids, split_into_executors
from heronshim.core.plan.topology import (
    Component,
    ComponentKind,
    Grouping,
    GroupingKind,
    InputStream,
    OutputStream,
    Topology,
)
from heronshim.errors import ConfigError

if TYPE_CHECKING:
    from heronshim.core.plan.physical import PackingPlan
    from heronshim.core.spi.packing import Packing

Executor = tuple[str, tuple[int, ...]]
"""Component and task ids."""


def topology(
    *parallelisms: int,
    tasks: int | None = None,
    component: dict[str, object] | None = None,
    **options: object,
) -> Topology:
    """Return a chain of a spout and bolts with these parallelisms.

    `tasks` is the number of tasks of the spout, `component` the options of each component.
    """
    components = []
    for position, parallelism in enumerate(parallelisms):
        before = InputStream(f"c{position - 1:02}", "default", Grouping(GroupingKind.SHUFFLE))
        components.append(
            Component(
                f"c{position:02}",
                ComponentKind.BOLT if position else ComponentKind.SPOUT,
                "module:Class",
                parallelism=parallelism,
                tasks=None if position else tasks,
                outputs=(OutputStream("default", ("x",)),),
                inputs=(before,) if position else (),
                options=component or {},
            )
        )
    return Topology("words", tuple(components), "words-1", options)


TOPOLOGIES = {
    "one task": topology(1),
    "three components": topology(1, 2, 3, containers=2),
    "more containers": topology(4, 4, 4, containers=5),
    "several tasks an executor": topology(3, 2, tasks=8, containers=2),
    "a process for a container": topology(4, 6, component={"process": "container"}, containers=3),
    "sizes": topology(2, 5, component={"cpu": 0.5, "ram_mb": 100, "disk_mb": 10}, containers=3),
    "large": topology(40, 100, 60, containers=10),
}


def placed(plan: PackingPlan) -> dict[Executor, int]:
    """Return the container of each executor."""
    return {
        (process.component, executor): container.id
        for container in plan.containers
        for process in container.processes
        for executor in process.executors
    }


def tasks_of(plan: PackingPlan) -> dict[str, list[int]]:
    """Return the ascending task ids of each component."""
    found: dict[str, list[int]] = {}
    for component, executor in placed(plan):
        found.setdefault(component, []).extend(executor)
    return {component: sorted(tasks) for component, tasks in found.items()}


def check_shape(plan: PackingPlan) -> None:
    """Check what every plan keeps: ids, orders, no task twice, room for what is inside."""
    ids = [container.id for container in plan.containers]
    assert ids == sorted(set(ids)), "containers ascend by id"
    assert ids[0] >= 1, "container 0 is the TMaster's"
    tasks = Counter(task for executor in placed(plan) for task in executor[1])
    assert not tasks or max(tasks.values()) == 1, "a task is placed twice"
    assert plan.highest_task >= max(tasks)
    processes = [process for container in plan.containers for process in container.processes]
    assert len({process.id for process in processes}) == len(processes), "process ids repeat"
    for process in processes:
        assert process.id == f"{process.component}-{process.tasks[0]}"
        assert all(process.executors), "an executor without tasks"
        assert all(list(executor) == sorted(executor) for executor in process.executors)
    for container in plan.containers:
        assert container.processes, "an empty container"
        for process in container.processes:
            assert process.required.fits(container.required)
    assert packing_plan_from_bytes(packing_plan_to_bytes(plan)) == plan


class PackingSuite:
    """Override `make`."""

    def make(self) -> Packing:
        """Return a new packing."""
        raise NotImplementedError

    @pytest.mark.parametrize("name", TOPOLOGIES)
    def test_every_executor_is_placed_once(self, name: str) -> None:
        declared = TOPOLOGIES[name]
        plan = self.make().pack(declared)
        check_shape(plan)
        first = first_task_ids(declared)
        expected = {
            (component.id, executor)
            for component in declared.components
            for executor in split_into_executors(first[component.id], component.parallelism)
        }
        assert set(placed(plan)) == expected
        assert plan.version == 1
        assert plan.algorithm

    @pytest.mark.parametrize("name", TOPOLOGIES)
    def test_equal_input_gives_equal_plans(self, name: str) -> None:
        declared = TOPOLOGIES[name]
        plan = self.make().pack(declared)
        assert self.make().pack(declared) == plan
        counts = {"c00": declared.components[0].task_count + 3}
        assert self.make().repack(declared, plan, counts) == self.make().repack(
            declared, plan, counts
        )

    @pytest.mark.parametrize("name", TOPOLOGIES)
    def test_repacking_to_the_same_counts_moves_nothing(self, name: str) -> None:
        declared = TOPOLOGIES[name]
        plan = self.make().pack(declared)
        counts = {component.id: component.task_count for component in declared.components}
        for asked in ({}, counts):
            again = self.make().repack(declared, plan, asked)
            check_shape(again)
            assert placed(again) == placed(plan)
            assert again.version == plan.version + 1

    @pytest.mark.parametrize("name", TOPOLOGIES)
    def test_added_tasks_get_new_ids_and_nothing_moves(self, name: str) -> None:
        declared = TOPOLOGIES[name]
        plan = self.make().pack(declared)
        count = len(tasks_of(plan)["c00"])
        grown = self.make().repack(declared, plan, {"c00": count + 3})
        check_shape(grown)
        assert placed(grown).items() >= placed(plan).items()
        added = set(tasks_of(grown)["c00"]) - set(tasks_of(plan)["c00"])
        assert added == {plan.highest_task + number for number in (1, 2, 3)}

    def test_removed_tasks_are_the_highest_and_nothing_moves(self) -> None:
        declared = topology(6, 4, containers=2)
        plan = self.make().pack(declared)
        shrunk = self.make().repack(declared, plan, {"c00": 2})
        check_shape(shrunk)
        assert tasks_of(shrunk)["c00"] == tasks_of(plan)["c00"][:2]
        assert placed(shrunk).items() <= placed(plan).items()

    def test_a_task_id_is_never_used_again(self) -> None:
        declared = topology(2, 2, containers=2)
        plan = self.make().pack(declared)
        seen = set(tasks_of(plan)["c01"])
        for _ in range(3):
            plan = self.make().repack(declared, plan, {"c01": 4})
            added = set(tasks_of(plan)["c01"]) - seen
            assert len(added) == 2
            assert min(added) > max(seen)
            seen |= added
            plan = self.make().repack(declared, plan, {"c01": 2})

    @pytest.mark.parametrize("size", ["cpu", "ram_mb", "disk_mb"])
    def test_an_executor_above_a_limit_is_refused_with_the_numbers(self, size: str) -> None:
        plain = topology(1, component={size: 5000.0})
        declared = replace(plain, options={f"container_{size}": 4000.0})
        with pytest.raises(ConfigError, match=r"\d"):
            self.make().pack(declared)

    @pytest.mark.parametrize("counts", [{"c00": 0}, {"c00": -1}, {"no_such_component": 1}])
    def test_wrong_counts_are_refused(self, counts: dict[str, int]) -> None:
        declared = topology(2)
        plan = self.make().pack(declared)
        with pytest.raises(ConfigError, match=next(iter(counts))):
            self.make().repack(declared, plan, counts)

    def test_a_wrong_option_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="containers"):
            self.make().pack(topology(1, containers="many"))
