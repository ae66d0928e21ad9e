"""Makes physical plans: the packing plan's placement on the stream managers that are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from heronshim.core.plan.physical import PhysicalContainer, PhysicalPlan, TopologyState
from heronshim.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.core.plan.physical import ContainerPlan, PackingPlan
    from heronshim.core.plan.topology import Topology

PLAN_EPOCH_MAX = (1 << 32) - 1
"""Frames carry the epoch in 32 bits: 136 years of one plan a second."""


@dataclass(frozen=True, slots=True)
class RegisteredStmgr:
    """A stream manager that has said where it is."""

    host: str
    """For people."""
    peer_endpoint: str
    """ZeroMQ endpoint for other stream managers."""
    pid: int
    incarnation: int


def build_physical_plan(
    topology: Topology,
    packing: PackingPlan,
    registered: Mapping[int, RegisteredStmgr],
    *,
    plan_epoch: int,
    leader_epoch: int,
    state: TopologyState = TopologyState.ACTIVE,
    previous: PhysicalPlan | None = None,
) -> PhysicalPlan:
    """Return the plan of what is registered, by container id.

    A container that is not registered now stays as `previous` has it, with the processes packed
    for it; the recovery epoch is `previous`'s too.

    Raises:
        LocalProtocolError: a container is in neither, or an epoch does not follow `previous`.
    """
    if not 1 <= plan_epoch <= PLAN_EPOCH_MAX:
        msg = f"plan epoch {plan_epoch} is not within 1 and {PLAN_EPOCH_MAX}"
        raise LocalProtocolError(msg)
    if previous is not None and (
        plan_epoch <= previous.plan_epoch or leader_epoch < previous.leader_epoch
    ):
        msg = (
            f"plan epoch {plan_epoch} of leader {leader_epoch} does not follow plan epoch "
            f"{previous.plan_epoch} of leader {previous.leader_epoch}"
        )
        raise LocalProtocolError(msg)
    known = dict(registered)
    for item in () if previous is None else previous.containers:
        before = RegisteredStmgr(
            item.host, item.peer_endpoint, item.stmgr_pid, item.stmgr_incarnation
        )
        known.setdefault(item.id, before)
    absent = [container.id for container in packing.containers if container.id not in known]
    if absent:
        msg = f"containers {absent} have no registered stream manager"
        raise LocalProtocolError(msg)
    return PhysicalPlan(
        plan_epoch=plan_epoch,
        leader_epoch=leader_epoch,
        topology=topology,
        containers=tuple(_live(item, known[item.id]) for item in packing.containers),
        state=state,
        recovery_epoch=0 if previous is None else previous.recovery_epoch,
    )


def _live(packed: ContainerPlan, stmgr: RegisteredStmgr) -> PhysicalContainer:
    return PhysicalContainer(
        id=packed.id,
        host=stmgr.host,
        peer_endpoint=stmgr.peer_endpoint,
        stmgr_pid=stmgr.pid,
        stmgr_incarnation=stmgr.incarnation,
        processes=packed.processes,
    )
