"""What the gateway needs of heronshim, and what it learns of a topology."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from heronshim.core.master.messages import MetricsSnapshot
    from heronshim.core.plan.physical import PackingPlan, PhysicalPlan
    from heronshim.core.plan.records import ExecutionState
    from heronshim.core.plan.topology import Topology
    from heronshim.core.spi.metrics_sink import ErrorRecord


@dataclass(frozen=True, slots=True)
class TopologyFacts:
    """A submitted topology as the state manager has it."""

    record: ExecutionState
    topology: Topology
    packing_plan: PackingPlan
    physical_plan: PhysicalPlan | None
    """None until it has started."""


class Cluster(Protocol):
    """Submits and controls topologies. Calls block, and come from several threads at once.

    Errors are HeronshimErrors: NotFoundError for a topology that is not there, RefusedError for
    one that is.
    """

    def names(self) -> list[str]:
        """Return the names of all topologies, ascending."""

    def facts(self, name: str) -> TopologyFacts:
        """Return what is known without asking its processes."""

    def submit(self, topology: Topology, files: Mapping[str, Path], *, active: bool) -> None:
        """Start a topology whole or not at all; `files`: path in the package -> file."""

    def switch(self, name: str, *, active: bool) -> None:
        """Activate or deactivate a topology."""

    def kill(self, name: str, topology_id: str) -> None:
        """Remove a topology at once, whatever its state; NotFoundError if it has another id.

        An empty id is any.
        """

    def metrics(self, name: str) -> MetricsSnapshot | None:
        """Return what its tasks count; None while nobody answers."""

    def errors(self, name: str) -> tuple[ErrorRecord, ...]:
        """Return errors of user code; none while nobody answers."""

    def package_file(self, name: str, path: str) -> bytes:
        """Return a file of its package."""
