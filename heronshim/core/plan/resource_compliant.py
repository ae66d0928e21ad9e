"""Resource-compliant round robin: as many containers as it takes to keep every limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heronshim.core.plan.placement import Bin, Executor, Job, least_loaded
from heronshim.core.plan.repacking import new_container, repack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.core.plan.physical import PackingPlan
    from heronshim.core.plan.topology import Topology

NAME = "resource_compliant"
"""Its entry point."""


class ResourceCompliantPacking:
    """Round robin over `containers` containers, or over the fewest more that keep the limits.

    Heron's ResourceCompliantRRPacking.
    """

    def pack(self, topology: Topology) -> PackingPlan:
        """Deal the executors, each to the next container that has room.

        Raises:
            ConfigError: there are fewer executors than `containers`, or one executor alone
                exceeds a limit; with the numbers.
        """
        job = Job.of(topology)
        executors = job.first_executors()
        job.check_enough(executors)
        job.check_each_fits_alone(executors)
        count = job.options.containers
        bins = _deal(job, executors, count)
        while bins is None:
            count += 1
            bins = _deal(job, executors, count)
        return job.plan(bins, NAME)

    def repack(
        self, topology: Topology, current: PackingPlan, task_counts: Mapping[str, int]
    ) -> PackingPlan:
        """Put each added executor where the fewest are and room is, else into a new container.

        Raises:
            ConfigError: see `repacking.repack`.
        """
        return repack(Job.of(topology), current, task_counts, _place)


def _deal(job: Job, executors: list[Executor], count: int) -> list[Bin] | None:
    """Return `count` containers with all executors, or None if one finds no room.

    With a container for each executor there is room, since each fits alone.
    """
    bins = [Bin(number) for number in range(1, count + 1)]
    following = 0
    for executor in executors:
        for step in range(count):
            position = (following + step) % count
            if job.has_room(bins[position], executor):
                bins[position].add(executor)
                following = position + 1
                break
        else:
            return None
    return bins


def _place(job: Job, bins: list[Bin], executor: Executor) -> Bin:
    roomy = [item for item in bins if job.has_room(item, executor)]
    if roomy:
        return least_loaded(roomy)
    job.check_each_fits_alone([executor])
    return new_container(bins)
