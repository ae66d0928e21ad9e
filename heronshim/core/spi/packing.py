"""Packing SPI: which container runs which task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.core.plan.physical import PackingPlan
    from heronshim.core.plan.topology import Topology


class Packing(Protocol):
    """Plans placement. Pure: same input, same plan. Errors: ConfigError with the numbers."""

    def pack(self, topology: Topology) -> PackingPlan:
        """Place every executor; task ids as in `core.plan.task_ids`."""

    def repack(
        self, topology: Topology, current: PackingPlan, task_counts: Mapping[str, int]
    ) -> PackingPlan:
        """Place for new task counts, moving the fewest executors; added tasks get max id + 1."""
