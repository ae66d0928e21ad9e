"""Round robin: executors dealt one by one to a fixed number of containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heronshim.core.plan.placement import Bin, Executor, Job, least_loaded
from heronshim.core.plan.repacking import repack
from heronshim.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.core.plan.physical import PackingPlan
    from heronshim.core.plan.topology import Topology

NAME = "round_robin"
"""Its entry point."""


class RoundRobinPacking:
    """Even numbers of executors in `containers` containers; the default. Heron's RoundRobin."""

    def pack(self, topology: Topology) -> PackingPlan:
        """Deal the executors, by component id and task id, to containers 1 to `containers`.

        Raises:
            ConfigError: there are fewer executors than containers, or a container would exceed
                a limit; with the numbers.
        """
        job = Job.of(topology)
        executors = job.first_executors()
        job.check_enough(executors)
        job.check_each_fits_alone(executors)
        count = job.options.containers
        bins = [Bin(number) for number in range(1, count + 1)]
        for position, executor in enumerate(executors):
            bins[position % count].add(executor)
        problems = [
            f"container {item.id} of {count} would need {job.rules.explained(excess)}"
            for item in bins
            if (excess := job.rules.excess(item.used))
        ]
        if problems:
            problems.append('raise the limit or "containers", or use packing resource_compliant')
            raise ConfigError("\n".join(problems))
        return job.plan(bins, NAME)

    def repack(
        self, topology: Topology, current: PackingPlan, task_counts: Mapping[str, int]
    ) -> PackingPlan:
        """Put each added executor where the fewest are, among the containers there are.

        Raises:
            ConfigError: see `repacking.repack`.
        """
        return repack(Job.of(topology), current, task_counts, _place)


def _place(job: Job, bins: list[Bin], executor: Executor) -> Bin:
    roomy = [item for item in bins if job.has_room(item, executor)]
    if not roomy:
        nearest = least_loaded(bins)
        excess = job.rules.excess(nearest.used + executor.required)
        msg = (
            f'no container has room for one more executor of "{executor.component}": container '
            f"{nearest.id} would need {job.rules.explained(excess)}; raise the limit or submit "
            "with packing resource_compliant, which opens containers"
        )
        raise ConfigError(msg)
    return least_loaded(roomy)
