"""What the state manager holds of each topology: the one module that knows its paths.

/topologies/<name>/topology           wire Topology, written by submit
/topologies/<name>/packing_plan       wire PackingPlan, written by submit and repacking
/topologies/<name>/execution_state    wire ExecutionState, written by submit
/topologies/<name>/tmaster            wire TMasterLocation, ephemeral, the leader's node
/topologies/<name>/tmaster.epoch      how often a leader was made; the state manager's own
/topologies/<name>/physical_plan      wire PhysicalPlan, written by the leader only
/locks/<name>                         held while a submit or kill changes the topology
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from heronshim.core.codec.plan import (
    packing_plan_from_bytes,
    packing_plan_to_bytes,
    physical_plan_from_bytes,
    physical_plan_to_bytes,
)
from heronshim.core.codec.records import (
    execution_state_from_bytes,
    execution_state_to_bytes,
    tmaster_location_from_bytes,
    tmaster_location_to_bytes,
)
from heronshim.core.codec.topology import topology_from_bytes, topology_to_bytes
from heronshim.core.io.logs import log_event
from heronshim.errors import (
    HeronshimError,
    NotFoundError,
    RefusedError,
    RemoteProtocolError,
    StateError,
    StateVersionError,
    nearest,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from heronshim.core.plan.physical import PackingPlan, PhysicalPlan
    from heronshim.core.plan.records import ExecutionState, TMasterLocation
    from heronshim.core.plan.topology import Topology
    from heronshim.core.spi.state_manager import Leadership, Node, StateManager

ROOT = "/topologies"
"""All topologies lie below it."""
LOCKS = "/locks"
"""Apart from ROOT, so that a lock makes no topology."""

Value = TypeVar("Value")


class Submitted(NamedTuple):
    """What a submit wrote of a topology."""

    record: ExecutionState
    topology: Topology
    packing_plan: PackingPlan


def topology_names(manager: StateManager) -> list[str]:
    """Return the names of all topologies, ascending; raises StateError."""
    return manager.children(ROOT)


class TopologyNodes:
    """The nodes of one topology. Blocks and raises StateError as its manager does.

    Readers return None for a node that is not there; a node that cannot be decoded is a
    StateError that names its path and what to do.
    """

    def __init__(self, manager: StateManager, name: str) -> None:
        """Touch nothing yet.

        Raises:
            StateError: the name is empty or holds a slash.
        """
        if not name or "/" in name:
            msg = f'topology name {name!r} must not be empty or hold a "/"'
            raise StateError(msg)
        self.name = name
        self._manager = manager

    def create(
        self, topology: Topology, packing_plan: PackingPlan, execution_state: ExecutionState
    ) -> None:
        """Write the nodes of a submit, all or none.

        Raises:
            RefusedError: a topology of that name exists.
        """
        # All are encoded before the first is written, so that a wrong value leaves nothing.
        first = topology_to_bytes(topology)
        others = {
            "packing_plan": packing_plan_to_bytes(packing_plan),
            "execution_state": execution_state_to_bytes(execution_state),
        }
        try:
            self._manager.put(self._path("topology"), first, version=0)
        except StateVersionError as error:
            msg = f'topology "{self.name}" exists; kill it first or choose another name'
            raise RefusedError(msg) from error
        try:
            for node, value in others.items():
                self._manager.put(self._path(node), value)
        except StateError:
            self.remove()
            raise

    def lock(self, timeout_s: float) -> Callable[[], None]:
        """Keep other submits and kills of this name out; return the release.

        Raises:
            DeadlineError: another one held it for `timeout_s`.
        """
        return self._manager.lock(f"{LOCKS}/{self.name}", timeout_s)

    def exists(self) -> bool:
        """Return whether anything is there, be it the rest of an interrupted submit."""
        return self.name in topology_names(self._manager)

    def require(self) -> ExecutionState:
        """Return the record of the submit.

        Raises:
            NotFoundError: there is no such topology; names the nearest.
            StateError: its submit was interrupted.
        """
        found = self.execution_state()
        if found is not None:
            return found
        known = topology_names(self._manager)
        if self.name in known:
            msg = f'topology "{self.name}" was submitted only in part; kill it and submit it again'
            raise StateError(msg)
        msg = f'no topology named "{self.name}".{nearest(self.name, known)}'
        raise NotFoundError(msg)

    def submitted(self) -> Submitted:
        """Return all that submit wrote.

        Raises:
            NotFoundError: there is no such topology; names the nearest.
            StateError: its state is damaged, or its submit was interrupted.
        """
        record = self.require()
        topology, packing_plan = self.topology(), self.packing_plan()
        if topology is None or packing_plan is None:
            msg = f'topology "{self.name}" lacks a part of its state; kill it and submit it again'
            raise StateError(msg)
        return Submitted(record, topology, packing_plan)

    def problems(self) -> list[str]:
        """Return what is wrong with its nodes, each with what to do; empty when they are good."""
        found = []
        reads = (self.topology, self.packing_plan, self.execution_state, self.physical_plan)
        for read in (*reads, self.tmaster, self.submitted):
            try:
                read()
            except HeronshimError as error:
                found.append(str(error))
        return list(dict.fromkeys(found))

    def topology(self) -> Topology | None:
        """Return the logical plan."""
        return self._read("topology", topology_from_bytes)

    def packing_plan(self) -> PackingPlan | None:
        """Return the packing plan."""
        return self._read("packing_plan", packing_plan_from_bytes)

    def write_packing_plan(self, plan: PackingPlan, fence: Leadership) -> None:
        """Replace the packing plan; raises FencedError."""
        self._manager.put(self._path("packing_plan"), packing_plan_to_bytes(plan), fence=fence)

    def physical_plan(self) -> PhysicalPlan | None:
        """Return the physical plan."""
        return self._read("physical_plan", physical_plan_from_bytes)

    def write_physical_plan(self, plan: PhysicalPlan, fence: Leadership) -> None:
        """Replace the physical plan; raises FencedError."""
        self._manager.put(self._path("physical_plan"), physical_plan_to_bytes(plan), fence=fence)

    def execution_state(self) -> ExecutionState | None:
        """Return the record of the submit."""
        return self._read("execution_state", execution_state_from_bytes)

    def become_tmaster(self, location: TMasterLocation) -> Leadership | None:
        """Take the leader's node and write the location with the epoch won; None when held."""
        path = self._path("tmaster")
        leadership = self._manager.become_leader(path, tmaster_location_to_bytes(location))
        if leadership is not None:
            known = tmaster_location_to_bytes(replace(location, leader_epoch=leadership.epoch))
            self._manager.put(path, known, ephemeral=True, fence=leadership)
        return leadership

    def tmaster(self) -> TMasterLocation | None:
        """Return where the TMaster listens; None while there is none."""
        return self._read("tmaster", tmaster_location_from_bytes)

    def watch_tmaster(
        self, callback: Callable[[TMasterLocation | None], None]
    ) -> Callable[[], None]:
        """Call `callback` in the manager's `poll` now and at each change; return a canceller.

        A location that cannot be decoded is logged, and the last one stays.
        """

        def decode(node: Node | None) -> None:
            try:
                location = self._decode("tmaster", node, tmaster_location_from_bytes)
            except StateError as error:
                log_event("WARNING", "tmaster_location_damaged", cause=error)
                return
            callback(location)

        return self._manager.watch(self._path("tmaster"), decode)

    def remove(self) -> bool:
        """Remove all nodes of the topology; return whether there were any."""
        return self._manager.delete(f"{ROOT}/{self.name}", recursive=True)

    def _path(self, node: str) -> str:
        return f"{ROOT}/{self.name}/{node}"

    def _read(self, node: str, from_bytes: Callable[[bytes], Value]) -> Value | None:
        return self._decode(node, self._manager.get(self._path(node)), from_bytes)

    def _decode(
        self, node: str, found: Node | None, from_bytes: Callable[[bytes], Value]
    ) -> Value | None:
        if found is None:
            return None
        try:
            return from_bytes(found.value)
        except RemoteProtocolError as error:
            msg = (
                f"state node {self._path(node)} cannot be decoded: {error}; "
                f'kill topology "{self.name}" and submit it again'
            )
            raise StateError(msg) from error
