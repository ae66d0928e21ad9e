"""Packing plan and physical plan as protobuf."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from heronshim.core.codec.reading import (
    EnumCodec,
    parse,
    positive,
    required_text,
    serialize,
    unique,
)
from heronshim.core.codec.topology import topology_from_message, topology_to_message
from heronshim.core.plan.physical import (
    ContainerPlan,
    PackingPlan,
    PhysicalContainer,
    PhysicalPlan,
    ProcessPlan,
    Resources,
    TopologyState,
)
from heronshim.errors import RemoteProtocolError
from heronshim.wire.v1 import plan_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Iterable

STATES = EnumCodec(TopologyState, wire.TopologyState, "TOPOLOGY_STATE")
"""Topology states on the wire."""


def packing_plan_to_bytes(plan: PackingPlan) -> bytes:
    """Return a packing plan as a serialized wire.v1.PackingPlan.

    Raises:
        LocalProtocolError: a number does not fit its field.
    """
    return serialize(
        lambda: wire.PackingPlan(
            version=plan.version,
            containers=[_container_to_message(container) for container in plan.containers],
            algorithm=plan.algorithm,
            highest_task=plan.highest_task,
        ),
        "packing plan",
    )


def packing_plan_from_bytes(data: bytes) -> PackingPlan:
    """Return the packing plan in a serialized wire.v1.PackingPlan.

    Raises:
        RemoteProtocolError: damaged bytes, a missing field, or a task or process placed twice.
    """
    message = parse(wire.PackingPlan, data)
    containers = tuple(
        _container_from_message(item, f"PackingPlan.containers[{index}]")
        for index, item in enumerate(message.containers)
    )
    _check_placement(((item.id, item.processes) for item in containers), "PackingPlan")
    version = positive(message.version, "PackingPlan.version")
    return PackingPlan(version, containers, message.algorithm, message.highest_task)


def physical_plan_to_bytes(plan: PhysicalPlan) -> bytes:
    """Return a physical plan as a serialized wire.v1.PhysicalPlan.

    Raises:
        LocalProtocolError: a number or text does not fit its field.
    """
    return serialize(lambda: physical_plan_to_message(plan), "physical plan")


def physical_plan_from_bytes(data: bytes) -> PhysicalPlan:
    """Return the physical plan in a serialized wire.v1.PhysicalPlan.

    Raises:
        RemoteProtocolError: damaged bytes, a missing or unknown field, or a task or process
            placed twice; names the field.
    """
    return physical_plan_from_message(parse(wire.PhysicalPlan, data))


def physical_plan_to_message(plan: PhysicalPlan) -> wire.PhysicalPlan:
    """Return a physical plan as a message, to be part of another."""
    return wire.PhysicalPlan(
        plan_epoch=plan.plan_epoch,
        leader_epoch=plan.leader_epoch,
        recovery_epoch=plan.recovery_epoch,
        topology=topology_to_message(plan.topology),
        containers=[
            wire.PhysicalContainer(
                id=container.id,
                host=container.host,
                peer_endpoint=container.peer_endpoint,
                stmgr_pid=container.stmgr_pid,
                stmgr_incarnation=container.stmgr_incarnation,
                processes=[_process_to_message(process) for process in container.processes],
            )
            for container in plan.containers
        ],
        state=STATES.name(plan.state),
    )


def physical_plan_from_message(
    message: wire.PhysicalPlan, field: str = "PhysicalPlan"
) -> PhysicalPlan:
    """Return the physical plan in a message; `field` begins the messages of errors.

    Raises:
        RemoteProtocolError: a field is missing or unknown, a task or process is placed twice,
            or a process runs a component that the topology lacks; names the field.
    """
    topology = topology_from_message(message.topology, f"{field}.topology")
    containers = tuple(
        _physical_container_from_message(item, f"{field}.containers[{index}]")
        for index, item in enumerate(message.containers)
    )
    _check_placement(((item.id, item.processes) for item in containers), field)
    known = {component.id for component in topology.components}
    for container in containers:
        for process in container.processes:
            if process.component not in known:
                msg = (
                    f'{field}: process "{process.id}" of container {container.id} runs component '
                    f'"{process.component}", which the topology does not have'
                )
                raise RemoteProtocolError(msg)
    return PhysicalPlan(
        plan_epoch=positive(message.plan_epoch, f"{field}.plan_epoch"),
        leader_epoch=message.leader_epoch,
        topology=topology,
        containers=containers,
        state=STATES.member(message.state, f"{field}.state"),
        recovery_epoch=message.recovery_epoch,
    )


def _check_placement(containers: Iterable[tuple[int, tuple[ProcessPlan, ...]]], field: str) -> None:
    """Check that ids ascend and that each task and process is placed once."""
    placed = list(containers)
    ids = [container for container, _ in placed]
    if ids != sorted(set(ids)):
        msg = f"{field}.containers: ids {ids} do not ascend"
        raise RemoteProtocolError(msg)
    processes = [process for _, items in placed for process in items]
    unique([process.id for process in processes], f"{field}: process id")
    unique([task for process in processes for task in process.tasks], f"{field}: task")


def _container_to_message(container: ContainerPlan) -> wire.ContainerPlan:
    return wire.ContainerPlan(
        id=container.id,
        processes=[_process_to_message(process) for process in container.processes],
        required=_resources_to_message(container.required),
    )


def _container_from_message(message: wire.ContainerPlan, field: str) -> ContainerPlan:
    return ContainerPlan(
        id=positive(message.id, f"{field}.id"),
        processes=_processes_from_message(message, field),
        required=_resources_from_message(message.required, f"{field}.required"),
    )


def _physical_container_from_message(
    message: wire.PhysicalContainer, field: str
) -> PhysicalContainer:
    return PhysicalContainer(
        id=positive(message.id, f"{field}.id"),
        host=message.host,
        peer_endpoint=required_text(message.peer_endpoint, f"{field}.peer_endpoint"),
        stmgr_pid=message.stmgr_pid,
        stmgr_incarnation=message.stmgr_incarnation,
        processes=_processes_from_message(message, field),
    )


def _process_to_message(process: ProcessPlan) -> wire.ProcessPlan:
    return wire.ProcessPlan(
        id=process.id,
        component=process.component,
        executors=[wire.ExecutorPlan(tasks=tasks) for tasks in process.executors],
        required=_resources_to_message(process.required),
    )


def _processes_from_message(
    holder: wire.ContainerPlan | wire.PhysicalContainer, field: str
) -> tuple[ProcessPlan, ...]:
    processes = []
    for index, message in enumerate(holder.processes):
        where = f"{field}.processes[{index}]"
        executors = tuple(tuple(executor.tasks) for executor in message.executors)
        _check_executors(executors, f"{where}.executors")
        processes.append(
            ProcessPlan(
                id=required_text(message.id, f"{where}.id"),
                component=required_text(message.component, f"{where}.component"),
                executors=executors,
                required=_resources_from_message(message.required, f"{where}.required"),
            )
        )
    return tuple(processes)


def _check_executors(executors: tuple[tuple[int, ...], ...], field: str) -> None:
    """Check that there are executors, each with ascending positive task ids."""
    if not executors:
        msg = f"{field} is empty; expected at least one executor"
        raise RemoteProtocolError(msg)
    for tasks in executors:
        if not tasks or tasks[0] < 1 or list(tasks) != sorted(set(tasks)):
            msg = f"{field}: task ids {list(tasks)} are not ascending numbers from 1"
            raise RemoteProtocolError(msg)


def _resources_to_message(resources: Resources) -> wire.Resources:
    return wire.Resources(
        cpu=resources.cpu, ram_bytes=resources.ram_bytes, disk_bytes=resources.disk_bytes
    )


def _resources_from_message(message: wire.Resources, field: str) -> Resources:
    if not 0 <= message.cpu < math.inf:
        msg = f"{field}.cpu is {message.cpu}; expected a number from 0"
        raise RemoteProtocolError(msg)
    return Resources(message.cpu, message.ram_bytes, message.disk_bytes)
