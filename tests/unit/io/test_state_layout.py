"""The nodes of a topology, typed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from heronshim.core.io.state_layout import TopologyNodes, topology_names
from heronshim.core.plan.physical import (
    ContainerPlan,
    PackingPlan,
    PhysicalPlan,
    ProcessPlan,
    Resources,
    TopologyState,
)
from heronshim.core.plan.records import ExecutionState, TMasterLocation
from heronshim.core.plan.topology import Component, ComponentKind, OutputStream, Topology
from heronshim.core.plugins.memory_state import MemoryStateManager
from heronshim.core.spi.state_manager import StateManager
from heronshim.errors import FencedError, NotFoundError, RefusedError, StateError

TOPOLOGY = Topology(
    "words",
    (Component("lines", ComponentKind.SPOUT, "m:C", outputs=(OutputStream("default", ("x",)),)),),
    id="words-1",
)
PROCESS = ProcessPlan("lines-1", "lines", ((1,),), Resources(1.0, 1024, 1024))
PACKING = PackingPlan(1, (ContainerPlan(1, (PROCESS,), Resources(1.0, 1024, 1024)),), "round_robin")
EXECUTION = ExecutionState("words", "words-1", 1, "me", "local", version="0.1.0")
PLAN = PhysicalPlan(1, 1, TOPOLOGY, (), TopologyState.ACTIVE)
LOCATION = TMasterLocation("host", "ipc:///tmp/x", 77)


@pytest.fixture
def manager() -> Iterator[MemoryStateManager]:
    made = MemoryStateManager({"store": "layout"})
    yield made
    made.close()


@pytest.fixture
def other(manager: StateManager) -> Iterator[MemoryStateManager]:
    made = MemoryStateManager({"store": "layout"})
    yield made
    made.close()


@pytest.fixture
def words(manager: StateManager) -> TopologyNodes:
    state = TopologyNodes(manager, "words")
    state.create(TOPOLOGY, PACKING, EXECUTION)
    return state


def test_a_submit_is_read_back(manager: StateManager, words: TopologyNodes) -> None:
    assert words.topology() == TOPOLOGY
    assert words.packing_plan() == PACKING
    assert words.execution_state() == EXECUTION
    assert words.require() == EXECUTION
    assert words.exists()
    assert topology_names(manager) == ["words"]
    assert manager.children("/topologies/words") == ["execution_state", "packing_plan", "topology"]


def test_what_is_missing_is_none(manager: StateManager) -> None:
    state = TopologyNodes(manager, "words")
    assert state.topology() is None
    assert state.packing_plan() is None
    assert state.physical_plan() is None
    assert state.execution_state() is None
    assert state.tmaster() is None
    assert not state.exists()
    assert state.remove() is False
    assert topology_names(manager) == []


def test_a_name_is_taken_once(manager: StateManager, words: TopologyNodes) -> None:
    with pytest.raises(RefusedError) as caught:
        TopologyNodes(manager, "words").create(TOPOLOGY, PACKING, EXECUTION)
    assert str(caught.value) == 'topology "words" exists; kill it first or choose another name'
    assert words.topology() == TOPOLOGY


def test_a_submit_that_fails_leaves_nothing(
    manager: MemoryStateManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = manager.put

    def fail(path: str, value: bytes, **named: object) -> int:
        if path.endswith("execution_state"):
            msg = "disk full"
            raise StateError(msg)
        return real(path, value, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(manager, "put", fail)
    with pytest.raises(StateError, match="disk full"):
        TopologyNodes(manager, "words").create(TOPOLOGY, PACKING, EXECUTION)
    assert manager.children("/") == []


def test_a_wrong_name_is_not_found_and_the_nearest_is_named(
    manager: StateManager, words: TopologyNodes
) -> None:
    with pytest.raises(NotFoundError) as caught:
        TopologyNodes(manager, "wrods").require()
    assert str(caught.value) == 'no topology named "wrods". Did you mean "words"?'


def test_an_interrupted_submit_says_so(manager: StateManager, words: TopologyNodes) -> None:
    manager.delete("/topologies/words/execution_state")
    with pytest.raises(StateError) as caught:
        words.require()
    assert str(caught.value) == (
        'topology "words" was submitted only in part; kill it and submit it again'
    )
    assert words.exists()


@pytest.mark.parametrize("name", ["", "a/b", "/words"])
def test_a_name_that_is_a_path_is_refused(manager: StateManager, name: str) -> None:
    with pytest.raises(StateError, match="topology name"):
        TopologyNodes(manager, name)


def test_only_the_leader_writes_plans(other: StateManager, words: TopologyNodes) -> None:
    old = words.become_tmaster(LOCATION)
    assert old is not None
    words.write_physical_plan(PLAN, old)
    assert words.physical_plan() == PLAN
    successor = TopologyNodes(other, "words")
    assert successor.become_tmaster(LOCATION) is None
    other.delete("/topologies/words/tmaster")
    new = successor.become_tmaster(LOCATION)
    assert new is not None
    with pytest.raises(FencedError):
        words.write_physical_plan(PLAN, old)
    with pytest.raises(FencedError):
        words.write_packing_plan(PACKING, old)
    successor.write_packing_plan(PACKING, new)


def test_the_tmasters_location_carries_its_epoch_and_goes_with_it(
    other: MemoryStateManager, words: TopologyNodes
) -> None:
    successor = TopologyNodes(other, "words")
    won = successor.become_tmaster(LOCATION)
    assert won is not None
    assert words.tmaster() == TMasterLocation("host", "ipc:///tmp/x", 77, won.epoch)
    other.close()
    assert words.tmaster() is None


def test_a_watch_tells_the_tmasters_location(
    manager: StateManager, other: StateManager, words: TopologyNodes, capsys
) -> None:
    seen: list[TMasterLocation | None] = []
    cancel = words.watch_tmaster(seen.append)
    manager.poll()
    TopologyNodes(other, "words").become_tmaster(LOCATION)
    manager.poll()
    other.put("/topologies/words/tmaster", b"\xff")
    manager.poll()
    assert seen == [None, TMasterLocation("host", "ipc:///tmp/x", 77, 1)]
    assert "event=tmaster_location_damaged" in capsys.readouterr().err
    other.delete("/topologies/words/tmaster")
    manager.poll()
    assert seen[-1] is None
    cancel()
    TopologyNodes(other, "words").become_tmaster(LOCATION)
    manager.poll()
    assert seen[-1] is None


@pytest.mark.parametrize("node", ["topology", "packing_plan", "execution_state"])
def test_a_node_that_is_no_protobuf_is_named(
    manager: StateManager, words: TopologyNodes, node: str
) -> None:
    manager.put(f"/topologies/words/{node}", b"\xff\xff\xff")
    with pytest.raises(StateError) as caught:
        getattr(words, node)()
    message = str(caught.value)
    assert message.startswith(f"state node /topologies/words/{node} cannot be decoded: ")
    assert message.endswith('; kill topology "words" and submit it again')


def test_remove_leaves_nothing_and_stops_the_leader(
    manager: StateManager, other: StateManager, words: TopologyNodes
) -> None:
    leader = TopologyNodes(other, "words")
    won = leader.become_tmaster(LOCATION)
    assert won is not None
    leader.write_physical_plan(PLAN, won)
    assert words.remove() is True
    assert manager.children("/") == []
    with pytest.raises(FencedError):
        leader.write_physical_plan(PLAN, won)
    assert manager.children("/") == []
