"""First fit decreasing: as few containers as the limits allow, or nearly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from heronshim.config import ComponentOptions
from heronshim.core.plan.physical import Resources
from heronshim.core.plan.placement import Bin, Executor, Job
from heronshim.core.plan.repacking import new_container, repack
from heronshim.core.plan.resources import executor_resources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.core.plan.physical import PackingPlan
    from heronshim.core.plan.topology import Topology

NAME = "first_fit_decreasing"
"""Its entry point."""
DEFAULT_EXECUTORS = 4
"""Default executors that a container holds when no container_* option is set (Heron's rule)."""


class FirstFitDecreasingPacking:
    """Largest executors first, each into the first container with room.

    The limits decide how many containers there are; the option `containers` is not used. Without
    any container_* option a container holds what DEFAULT_EXECUTORS default executors need.
    Heron's FirstFitDecreasingPacking.
    """

    def pack(self, topology: Topology) -> PackingPlan:
        """Place the executors by falling memory, cores and disk, then by component and task.

        Raises:
            ConfigError: one executor alone exceeds a limit; with the numbers.
        """
        job = _limited(Job.of(topology))
        executors = job.first_executors()
        job.check_each_fits_alone(executors)
        bins: list[Bin] = []
        for executor in sorted(executors, key=_falling):
            chosen = _place(job, bins, executor)
            chosen.add(executor)
            if chosen not in bins:
                bins.append(chosen)
        return job.plan(bins, NAME)

    def repack(
        self, topology: Topology, current: PackingPlan, task_counts: Mapping[str, int]
    ) -> PackingPlan:
        """Put each added executor into the first container with room, else into a new one.

        Raises:
            ConfigError: see `repacking.repack`.
        """
        return repack(_limited(Job.of(topology)), current, task_counts, _place)


def _limited(job: Job) -> Job:
    """Return the job with the default limit when its topology sets none."""
    if job.rules.limit != Resources():
        return job
    default = executor_resources(ComponentOptions())
    used = sum((default for _ in range(DEFAULT_EXECUTORS)), Resources())
    note = (
        f"with no container_* option {NAME} lets a container hold what {DEFAULT_EXECUTORS} "
        "default executors need"
    )
    rules = replace(job.rules, limit=job.rules.required(used), note=note)
    return replace(job, rules=rules)


def _falling(executor: Executor) -> tuple[int, float, int]:
    """Return a sort key: most memory first, then cores, then disk; ties stay in order."""
    need = executor.required
    return -need.ram_bytes, -need.cpu, -need.disk_bytes


def _place(job: Job, bins: list[Bin], executor: Executor) -> Bin:
    for item in bins:
        if job.has_room(item, executor):
            return item
    job.check_each_fits_alone([executor])
    return new_container(bins)
