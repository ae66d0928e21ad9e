"""Repacking: new task counts with every executor that stays left where it is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

from heronshim.core.plan.placement import Bin, Executor, Job
from heronshim.core.plan.task_ids import TASK_ID_MAX, changed_task_ids, split_into_executors
from heronshim.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heronshim.core.plan.physical import PackingPlan

Place: TypeAlias = "Callable[[Job, list[Bin], Executor], Bin]"
"""Returns the container, one of those given or a new one, for an executor; raises ConfigError."""


def repack(
    job: Job, current: PackingPlan, task_counts: Mapping[str, int], place: Place
) -> PackingPlan:
    """Return the plan for new task counts; `place` decides where added executors go.

    Executors that stay keep their container; removed tasks are those with the highest ids of
    their component; a container left empty goes. Added tasks get ids that were never used, in
    executors as large as the component's were at the start. Components that `task_counts` does
    not name keep their tasks.

    Raises:
        ConfigError: a component is unknown, a count is below 1, there would be too many tasks,
            or an added executor has no room; with the numbers.
    """
    before = _tasks_of(current)
    _check_counts(job, before, task_counts)
    after = changed_task_ids(before, task_counts, current.highest_task)
    highest = max([current.highest_task, *(tasks[-1] for tasks in after.values())])
    if highest > TASK_ID_MAX:
        msg = (
            f"task id {highest} would be needed; at most {TASK_ID_MAX} are possible over the life "
            f'of a topology: submit "{job.topology.name}" again'
        )
        raise ConfigError(msg)
    bins = _kept(job, current, {task for tasks in after.values() for task in tasks})
    for component in sorted(after):
        added = [task for task in after[component] if task not in before[component]]
        for executor in _added_executors(job, component, added):
            chosen = place(job, bins, executor)
            chosen.add(executor)
            if chosen not in bins:
                bins.append(chosen)
    return job.plan(bins, current.algorithm, current.version + 1, highest)


def new_container(bins: list[Bin]) -> Bin:
    """Return an empty container with the next id."""
    return Bin(max((container.id for container in bins), default=0) + 1)


def _tasks_of(plan: PackingPlan) -> dict[str, list[int]]:
    """Return the ascending task ids of each component."""
    found: dict[str, list[int]] = {}
    for container in plan.containers:
        for process in container.processes:
            found.setdefault(process.component, []).extend(process.tasks)
    return {component: sorted(tasks) for component, tasks in found.items()}


def _check_counts(
    job: Job, before: Mapping[str, list[int]], task_counts: Mapping[str, int]
) -> None:
    """Check what was asked for.

    Raises:
        ConfigError: one line for each problem.
    """
    problems = [
        f'component "{component}" is in the packing plan but not in topology '
        f'"{job.topology.name}"; submit the topology again'
        for component in sorted(before.keys() - job.components.keys())
    ]
    for component, count in task_counts.items():
        if component not in before:
            problems.append(f'unknown component "{component}".{nearest(component, before)}')
        elif count < 1:
            problems.append(f'component "{component}" needs at least 1 task, not {count}')
    if problems:
        raise ConfigError("\n".join(problems))


def _kept(job: Job, current: PackingPlan, staying: set[int]) -> list[Bin]:
    """Return the containers with the executors that stay, each less the tasks that go."""
    bins = []
    for container in current.containers:
        kept = Bin(container.id)
        for process in container.processes:
            for executor in process.executors:
                tasks = tuple(task for task in executor if task in staying)
                if tasks:
                    kept.add(job.executor(process.component, tasks))
        bins.append(kept)
    return bins


def _added_executors(job: Job, component: str, tasks: list[int]) -> list[Executor]:
    """Return executors for added tasks, as large as the component's largest were at the start."""
    declared = job.topology.component(component)
    size = math.ceil(declared.task_count / declared.parallelism)
    parts = split_into_executors(tasks, math.ceil(len(tasks) / size)) if tasks else ()
    return [job.executor(component, part) for part in parts]
