"""Nimbus says what is so, and its kills are of topologies, not of names.

The cluster is a double: names and ids, and errors at will.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heronshim.core.plan.physical import TopologyState
from heronshim.core.plan.topology import Topology
from heronshim.errors import (
    ConfigError,
    HeronshimError,
    NotFoundError,
    RefusedError,
    StateError,
)
from heronshim.storm.cluster import TopologyFacts
from heronshim.storm.errors import AlreadyAliveError, NotAliveError
from heronshim.storm.nimbus import Nimbus
from heronshim.storm.uploads import Uploads
from tests.input.nimbus_client import DEADLINE_S
from tests.unit.storm import test_answers as plans
from tests.unit.storm.structures import common, storm_topology


class Double:
    """A cluster. `wrong` is raised by what is asked of a topology."""

    def __init__(self) -> None:
        self.ids = {"words": "words-1-9"}
        self.wrong: HeronshimError | None = None
        self.switched: list[tuple[str, bool]] = []
        self.kills: list[tuple[str, str]] = []
        self.kill_ended = threading.Semaphore(0)

    def names(self) -> list[str]:
        return sorted(self.ids)

    def facts(self, name: str) -> TopologyFacts:
        if self.wrong:
            raise self.wrong
        if name not in self.ids:
            raise NotFoundError(name)
        facts = plans.facts(TopologyState.ACTIVE)
        return replace(facts, record=replace(facts.record, name=name, id=self.ids[name]))

    def submit(self, topology: Topology, files: Mapping[str, Path], *, active: bool) -> None:
        if self.wrong:
            raise self.wrong
        self.ids[topology.name] = topology.id

    def switch(self, name: str, *, active: bool) -> None:
        self.switched.append((name, active))

    def kill(self, name: str, topology_id: str) -> None:
        self.kills.append((name, topology_id))
        try:
            if topology_id not in {"", self.ids.get(name)}:
                raise NotFoundError(name)
            del self.ids[name]
        finally:
            self.kill_ended.release()

    def metrics(self, name: str) -> None:
        return None

    def errors(self, name: str) -> tuple[Any, ...]:
        return ()

    def package_file(self, name: str, path: str) -> bytes:
        raise NotFoundError(path)


@pytest.fixture
def cluster() -> Double:
    return Double()


@pytest.fixture
def uploads(tmp_path: Path) -> Iterator[Uploads]:
    made = Uploads(tmp_path / "inbox")
    yield made
    made.close()


@pytest.fixture
def nimbus(cluster: Double, uploads: Uploads) -> Iterator[Nimbus]:
    made = Nimbus(cluster, uploads, "here", 1)
    yield made
    made.close()


def kill(nimbus: Nimbus, wait_s: int, name: str = "words") -> None:
    nimbus.call("killTopologyWithOpts", {"name": name, "options": {"wait_secs": wait_s}})


def status(nimbus: Nimbus) -> str:
    found: str = nimbus.call("getTopologySummaryByName", {"name": "words"})["status"]
    return found


def test_a_kill_is_of_one_topology(nimbus: Nimbus, cluster: Double) -> None:
    kill(nimbus, 9999)
    assert status(nimbus) == "KILLED"
    # Somebody else removes it and submits another.
    cluster.ids["words"] = "words-2-10"
    assert status(nimbus) == "ACTIVE"
    nimbus.call("deactivate", {"name": "words"})
    nimbus.close()
    assert cluster.kills == [("words", "words-1-9")]
    assert cluster.ids == {"words": "words-2-10"}


def test_the_later_one_can_be_killed_beside_the_first(nimbus: Nimbus, cluster: Double) -> None:
    kill(nimbus, 9999)
    cluster.ids["words"] = "words-2-10"
    kill(nimbus, 0)
    assert cluster.kill_ended.acquire(timeout=DEADLINE_S)
    assert cluster.kills == [("words", "words-2-10")]
    assert cluster.ids == {}


def test_of_two_kills_the_shortest_wait_counts(nimbus: Nimbus, cluster: Double) -> None:
    for wait_s in (9999, 99999, 0):
        assert not cluster.kills
        kill(nimbus, wait_s)
    assert cluster.kill_ended.acquire(timeout=DEADLINE_S)
    assert cluster.kills == [("words", "words-1-9")]


@pytest.mark.parametrize("method", ["activate", "deactivate"])
def test_what_was_killed_is_not_switched(nimbus: Nimbus, cluster: Double, method: str) -> None:
    nimbus.call(method, {"name": "words"})
    kill(nimbus, 9999)
    with pytest.raises(RefusedError, match='"words" was killed'):
        nimbus.call(method, {"name": "words"})
    nimbus.close()
    # Once by us, once by the kill.
    assert cluster.switched == [("words", method == "activate"), ("words", False)]


def test_a_kill_for_which_there_is_no_thread_has_not_begun(
    nimbus: Nimbus, cluster: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError):
            kill(nimbus, 9999)
    assert status(nimbus) == "ACTIVE"
    kill(nimbus, 0)
    assert cluster.kill_ended.acquire(timeout=DEADLINE_S)


def test_what_is_damaged_is_killed_at_once(nimbus: Nimbus, cluster: Double) -> None:
    cluster.wrong = StateError("damaged")
    nimbus.call("killTopology", {"name": "words"})
    assert cluster.kill_ended.acquire(timeout=DEADLINE_S)
    assert cluster.kills == [("words", "")]


@pytest.mark.parametrize("name", ["", "a/b", "nosuch", "../words"])
def test_what_is_no_name_is_not_alive(nimbus: Nimbus, name: str) -> None:
    for method in ("activate", "killTopology", "getTopologyInfoByName", "rebalance"):
        with pytest.raises(NotAliveError, match=f"^{name} is not alive"):
            nimbus.call(method, {"name": name})


def test_a_wrong_setting_is_not_called_the_end_of_a_topology(
    nimbus: Nimbus, cluster: Double
) -> None:
    cluster.wrong = ConfigError("config.yaml: expected a map")
    for method in ("activate", "killTopology", "getTopologyInfoByName"):
        with pytest.raises(ConfigError, match="expected a map"):
            nimbus.call(method, {"name": "words"})


def test_a_refused_submit_says_why(nimbus: Nimbus, cluster: Double, uploads: Uploads) -> None:
    location = uploads.begin()
    uploads.append(location, b"PK\5\6" + bytes(18))
    uploads.finish(location)
    cluster.wrong = RefusedError('topology "other" exists; kill it first')
    call = {
        "name": "other",
        "uploadedJarLocation": location,
        "jsonConf": "{}",
        "topology": storm_topology({"spout": common()}),
    }
    with pytest.raises(AlreadyAliveError, match=r"^other is already alive: .*kill it first"):
        nimbus.call("submitTopology", call)
    with pytest.raises(AlreadyAliveError, match=r"^words is already alive$"):
        nimbus.call("submitTopology", call | {"name": "words"})


def test_who_asked_is_told_of_each_submit(cluster: Double, uploads: Uploads) -> None:
    told: list[str] = []
    nimbus = Nimbus(cluster, uploads, "here", 1, told.append)
    for name in ("a", "b"):
        location = uploads.begin()
        uploads.append(location, b"PK\5\6" + bytes(18))
        uploads.finish(location)
        call = {"uploadedJarLocation": location, "jsonConf": "{}", "topology": storm_topology()}
        nimbus.call("submitTopology", call | {"name": name})
    assert told == ["a", "b"]
