"""Physical plans follow the packing plan and the stream managers that are there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heronshim.core.plan.physical import TopologyState
from heronshim.core.plan.physical_plan import RegisteredStmgr, build_physical_plan
from heronshim.core.plan.round_robin import RoundRobinPacking
from heronshim.core.plan.topology import Component, ComponentKind, Topology
from heronshim.errors import LocalProtocolError

TOPOLOGY = Topology(
    "words",
    (
        Component("a", ComponentKind.SPOUT, "m:A", parallelism=2),
        Component("b", ComponentKind.BOLT, "m:B", parallelism=2, tasks=3),
    ),
    options={"containers": 2},
)
PACKING = RoundRobinPacking().pack(TOPOLOGY)
FIRST = RegisteredStmgr("one", "tcp://127.0.0.1:5001", 100, 1)
SECOND = RegisteredStmgr("two", "tcp://127.0.0.1:5002", 200, 1)


def test_the_plan_places_the_packed_processes_on_the_registered_stream_managers() -> None:
    plan = build_physical_plan(
        TOPOLOGY, PACKING, {2: SECOND, 1: FIRST}, plan_epoch=1, leader_epoch=7
    )
    assert (plan.plan_epoch, plan.leader_epoch, plan.recovery_epoch) == (1, 7, 0)
    assert plan.state is TopologyState.ACTIVE
    assert [(item.id, item.host, item.stmgr_pid) for item in plan.containers] == [
        (1, "one", 100),
        (2, "two", 200),
    ]
    assert [item.processes for item in plan.containers] == [
        item.processes for item in PACKING.containers
    ]
    assert plan.component_tasks() == {"a": (1, 2), "b": (3, 4, 5)}


def test_the_next_plan_keeps_what_is_silent_and_takes_what_is_new() -> None:
    first = replace(
        build_physical_plan(TOPOLOGY, PACKING, {1: FIRST, 2: SECOND}, plan_epoch=1, leader_epoch=7),
        recovery_epoch=3,
    )
    moved = replace(SECOND, peer_endpoint="tcp://127.0.0.1:5003", incarnation=2)
    plan = build_physical_plan(
        TOPOLOGY,
        PACKING,
        {2: moved},
        plan_epoch=2,
        leader_epoch=7,
        state=TopologyState.INACTIVE,
        previous=first,
    )
    assert plan.containers[0] == first.containers[0]
    assert plan.containers[1].peer_endpoint == "tcp://127.0.0.1:5003"
    assert plan.containers[1].stmgr_incarnation == 2
    assert (plan.state, plan.recovery_epoch) == (TopologyState.INACTIVE, 3)


def test_a_container_without_stream_manager_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match=r"containers \[2\] have no registered"):
        build_physical_plan(TOPOLOGY, PACKING, {1: FIRST}, plan_epoch=1, leader_epoch=1)


@pytest.mark.parametrize(("plan_epoch", "leader_epoch"), [(5, 7), (4, 8), (6, 6)])
def test_epochs_never_fall(plan_epoch: int, leader_epoch: int) -> None:
    registered = {1: FIRST, 2: SECOND}
    previous = build_physical_plan(TOPOLOGY, PACKING, registered, plan_epoch=5, leader_epoch=7)
    with pytest.raises(LocalProtocolError, match="does not follow plan epoch 5 of leader 7"):
        build_physical_plan(
            TOPOLOGY,
            PACKING,
            registered,
            plan_epoch=plan_epoch,
            leader_epoch=leader_epoch,
            previous=previous,
        )


@pytest.mark.parametrize("plan_epoch", [0, 1 << 32])
def test_a_plan_epoch_fits_its_field(plan_epoch: int) -> None:
    registered = {1: FIRST, 2: SECOND}
    with pytest.raises(LocalProtocolError, match="is not within 1 and 4294967295"):
        build_physical_plan(TOPOLOGY, PACKING, registered, plan_epoch=plan_epoch, leader_epoch=1)
