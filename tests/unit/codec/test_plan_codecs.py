"""Topologies, plans and records come back as they were written; damage is refused by field."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from heronshim.core.plan.physical import (
    ContainerPlan,
    PackingPlan,
    PhysicalContainer,
    PhysicalPlan,
    ProcessPlan,
    Resources,
    TopologyState,
)
from heronshim.core.plan.records import ExecutionState, TMasterLocation
from heronshim.core.plan.topology import (
    Component,
    ComponentKind,
    Dialect,
    Grouping,
    GroupingKind,
    InputStream,
    Language,
    OutputStream,
    SourceLine,
    Topology,
)
from heronshim.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from heronshim.wire.v1 import plan_pb2, topology_pb2

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
values = st.dictionaries(
    names,
    st.none() | st.booleans() | st.integers(-9, 9) | names | st.lists(st.floats(0, 1)),
    max_size=2,
)
lines = st.none() | st.builds(SourceLine, names, st.integers(1, 9999))
groupings = st.builds(
    Grouping,
    st.sampled_from(GroupingKind),
    st.lists(names, max_size=2).map(tuple),
    st.text(max_size=3),
    values,
)
components = st.builds(
    Component,
    names,
    st.sampled_from(ComponentKind),
    names,
    st.sampled_from(Language),
    values,
    st.integers(1, 5),
    st.none() | st.integers(6, 9),
    st.lists(
        st.builds(OutputStream, names, st.lists(names, max_size=3).map(tuple), st.booleans()),
        max_size=2,
    ).map(tuple),
    st.lists(st.builds(InputStream, names, names, groupings, lines), max_size=2).map(tuple),
    values,
    values,
    lines,
)
topologies = st.builds(
    Topology,
    names,
    st.lists(components, max_size=3, unique_by=lambda component: component.id).map(tuple),
    st.text(max_size=3),
    values,
    values,
    st.sampled_from(Dialect),
    st.dictionaries(names.map("__phantom_{}".format), st.integers(1, 9), max_size=2),
)

PROCESS = ProcessPlan("a-1", "a", ((1, 2), (3,)), Resources(1.5, 1 << 30, 1 << 33))
OTHER = ProcessPlan("b-4", "b", ((4,),), Resources(0.1, 5, 0))
TOPOLOGY = Topology(
    "words",
    (
        Component("a", ComponentKind.SPOUT, "m:A", parallelism=2, tasks=3),
        Component(
            "b",
            ComponentKind.BOLT,
            "m:B",
            inputs=(InputStream("a", "default", Grouping(GroupingKind.SHUFFLE)),),
        ),
    ),
    id="words-1",
)
PACKING = PackingPlan(
    3,
    (
        ContainerPlan(1, (PROCESS,), Resources(2.5, 1 << 31, 1 << 34)),
        ContainerPlan(4, (OTHER,), Resources(1, 2, 3)),
    ),
    "round_robin",
    9,
)
PHYSICAL = PhysicalPlan(
    7,
    2,
    TOPOLOGY,
    (
        PhysicalContainer(1, "one", "tcp://127.0.0.1:1", 11, 1 << 40, (PROCESS,)),
        PhysicalContainer(4, "two", "tcp://127.0.0.1:2", 12, 6, (OTHER,)),
    ),
    TopologyState.INACTIVE,
    5,
)
EXECUTION = ExecutionState(
    "words",
    "words-1",
    1_800_000_000,
    "me",
    "local",
    "file:/p",
    "ab",
    "0.1.0",
    TopologyState.INACTIVE,
)
LOCATION = TMasterLocation("host", "tcp://127.0.0.1:3", 99, 1 << 40)


@given(topologies)
def test_a_topology_comes_back_and_gives_the_same_bytes_again(topology: Topology) -> None:
    data = topology_to_bytes(topology)
    read = topology_from_bytes(data)
    assert read == topology
    assert topology_to_bytes(read) == data


def test_tasks_equal_to_parallelism_come_back_as_not_set() -> None:
    component = Component("a", ComponentKind.SPOUT, "m:A", parallelism=2, tasks=2)
    (read,) = topology_from_bytes(topology_to_bytes(Topology("t", (component,)))).components
    assert (read.tasks, read.task_count) == (None, 2)


def test_plans_and_records_come_back() -> None:
    assert packing_plan_from_bytes(packing_plan_to_bytes(PACKING)) == PACKING
    assert physical_plan_from_bytes(physical_plan_to_bytes(PHYSICAL)) == PHYSICAL
    assert execution_state_from_bytes(execution_state_to_bytes(EXECUTION)) == EXECUTION
    assert tmaster_location_from_bytes(tmaster_location_to_bytes(LOCATION)) == LOCATION


READERS: list[tuple[Callable[[bytes], object], bytes]] = [
    (topology_from_bytes, topology_to_bytes(TOPOLOGY)),
    (packing_plan_from_bytes, packing_plan_to_bytes(PACKING)),
    (physical_plan_from_bytes, physical_plan_to_bytes(PHYSICAL)),
    (execution_state_from_bytes, execution_state_to_bytes(EXECUTION)),
    (tmaster_location_from_bytes, tmaster_location_to_bytes(LOCATION)),
]


@given(st.sampled_from(READERS), st.data())
def test_damaged_bytes_are_read_or_refused_but_never_crash(reader, data) -> None:
    read, right = reader
    damaged = bytearray(right)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        damaged[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    for attempt in (damaged, damaged[:cut], bytearray(right[:cut])):
        with suppress(RemoteProtocolError):
            read(bytes(attempt))


@pytest.mark.parametrize(("read", "right"), READERS)
def test_no_bytes_and_other_bytes_are_refused(read, right) -> None:
    for data in (b"", b"\xff\xff", right + b"\x07"):
        with pytest.raises(RemoteProtocolError):
            read(data)


def changed_topology(change: Callable[[topology_pb2.Topology], object]) -> bytes:
    message = topology_pb2.Topology.FromString(topology_to_bytes(TOPOLOGY))
    change(message)
    return message.SerializeToString()


def changed_physical(change: Callable[[plan_pb2.PhysicalPlan], object]) -> bytes:
    message = plan_pb2.PhysicalPlan.FromString(physical_plan_to_bytes(PHYSICAL))
    change(message)
    return message.SerializeToString()


def changed_packing(change: Callable[[plan_pb2.PackingPlan], object]) -> bytes:
    message = plan_pb2.PackingPlan.FromString(packing_plan_to_bytes(PACKING))
    change(message)
    return message.SerializeToString()


def put(path: str, value: object) -> Callable[[object], None]:
    """Return a change that sets one field, for example "components.0.kind"."""

    def change(message: object) -> None:
        *holders, name = path.split(".")
        for part in holders:
            message = message[int(part)] if part.isdigit() else getattr(message, part)
        setattr(message, name, value)

    return change


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("name", "", "Topology.name is missing; expected text"),
        ("dialect", 0, "Topology.dialect is missing; expected one of 1 (heronshim), 2 (storm)"),
        ("dialect", 9, "Topology.dialect has the unknown value 9; expected one of"),
        ("options", b"\x91", "Topology.options: 1 bytes are not a MessagePack map"),
        ("user_config", b"\x07", "Topology.user_config: 1 bytes are not a MessagePack map"),
        ("components.0.id", "", "Topology.components[0].id is missing"),
        ("components.0.id", "b", "Topology.components: 'b' occurs twice"),
        ("components.1.kind", 0, 'Topology.components[1] "b".kind is missing; expected one of 1'),
        ("components.1.kind", 5, 'Topology.components[1] "b".kind has the unknown value 5'),
        ("components.1.language", 0, 'Topology.components[1] "b".language is missing'),
        ("components.1.language", 77, '"b".language has the unknown value 77'),
        ("components.1.parallelism", 0, '"b".parallelism is 0; expected at least 1'),
        ("components.0.tasks", 1, '"a".tasks is 1; expected at least parallelism, 2'),
        ("components.0.arguments", b"\xc1", '"a".arguments: 1 bytes are not'),
        ("components.1.inputs.0.component", "", '"b".inputs[0].component is missing'),
        ("components.1.inputs.0.stream", "", '"b".inputs[0].stream is missing'),
        ("components.1.inputs.0.grouping.kind", 0, '"b".inputs[0].grouping.kind is missing'),
        ("components.1.inputs.0.grouping.kind", 10, "grouping.kind has the unknown value 10"),
    ],
)
def test_a_wrong_field_of_a_topology_is_named(path: str, value: object, expected: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        topology_from_bytes(changed_topology(put(path, value)))
    assert expected in str(caught.value)
    assert str(caught.value).startswith("Topology")


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("plan_epoch", 0, "PhysicalPlan.plan_epoch is 0; expected at least 1"),
        ("state", 0, "PhysicalPlan.state is missing; expected one of 1 (active), 2 (inactive)"),
        ("state", 3, "PhysicalPlan.state has the unknown value 3"),
        ("topology.name", "", "PhysicalPlan.topology.name is missing"),
        ("containers.0.id", 0, "PhysicalPlan.containers[0].id is 0; expected at least 1"),
        ("containers.0.id", 4, "PhysicalPlan.containers: ids [4, 4] do not ascend"),
        ("containers.0.peer_endpoint", "", "PhysicalPlan.containers[0].peer_endpoint is missing"),
        ("containers.0.processes.0.id", "", "containers[0].processes[0].id is missing"),
        ("containers.0.processes.0.id", "b-4", "PhysicalPlan: process id: 'b-4' occurs twice"),
        (
            "containers.0.processes.0.component",
            "c",
            'process "a-1" of container 1 runs component "c", which the topology does not have',
        ),
    ],
)
def test_a_wrong_field_of_a_physical_plan_is_named(path: str, value: object, expected: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        physical_plan_from_bytes(changed_physical(put(path, value)))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([], "executors: task ids [] are not ascending numbers from 1"),
        ([0, 1], "executors: task ids [0, 1] are not ascending numbers from 1"),
        ([2, 1], "executors: task ids [2, 1] are not ascending numbers from 1"),
        ([4], "PackingPlan: task: 4 occurs twice"),
    ],
)
def test_wrong_task_ids_are_refused(tasks: list[int], expected: str) -> None:
    def change(message: plan_pb2.PackingPlan) -> None:
        del message.containers[0].processes[0].executors[0].tasks[:]
        message.containers[0].processes[0].executors[0].tasks.extend(tasks)

    with pytest.raises(RemoteProtocolError) as caught:
        packing_plan_from_bytes(changed_packing(change))
    assert expected in str(caught.value)


@pytest.mark.parametrize("cpu", [-1.0, float("nan"), float("inf")])
def test_wrong_cores_are_refused(cpu: float) -> None:
    with pytest.raises(RemoteProtocolError, match=r"containers\[1\]\.required\.cpu is"):
        packing_plan_from_bytes(changed_packing(put("containers.1.required.cpu", cpu)))


def test_a_process_without_executors_is_refused() -> None:
    def change(message: plan_pb2.PackingPlan) -> None:
        del message.containers[0].processes[0].executors[:]

    with pytest.raises(RemoteProtocolError, match=r"processes\[0\]\.executors is empty"):
        packing_plan_from_bytes(changed_packing(change))


def test_a_value_that_cannot_be_stored_is_refused_with_its_component() -> None:
    wrong = replace(TOPOLOGY.components[0], arguments={"a": {1}})
    with pytest.raises(ConfigError, match=r'component "a": arguments\["a"\]: a set cannot be'):
        topology_to_bytes(replace(TOPOLOGY, components=(wrong,)))


def test_a_number_that_does_not_fit_its_field_is_our_bug() -> None:
    wrong = replace(TOPOLOGY.components[0], parallelism=-1)
    with pytest.raises(LocalProtocolError, match='topology "words" cannot be written'):
        topology_to_bytes(replace(TOPOLOGY, components=(wrong,)))
    with pytest.raises(LocalProtocolError, match="packing plan cannot be written"):
        packing_plan_to_bytes(replace(PACKING, version=1 << 32))
