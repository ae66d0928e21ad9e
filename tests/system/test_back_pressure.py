"""Back pressure with real processes: floods into bolts that are far too slow.

What is asserted: nothing locks up, nothing fails for having waited, counts agree, the stream
managers stay small, the slow task is named. Rates are measured by `make bench`, never here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.system, pytest.mark.slow]
FLOODS = Path(__file__).with_name("topologies") / "floods.py"
DEADLINE_S = 120.0
FLOOD_S = 10.0
MB = 1_000_000


class Flood:
    """One topology of tests/system/topologies/floods.py while it runs."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder

    def json(self, verb: str) -> Any:
        done = call(verb, self.name, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def counts(self) -> dict[str, Counter[str]]:
        """What each component has counted so far."""
        found: dict[str, Counter[str]] = {}
        for file in self.folder.glob("*.json"):
            values = json.loads(file.read_text())
            known = found.setdefault(values["component"], Counter())
            known.update({k: v for k, v in values.items() if isinstance(v, int) and k != "pid"})
        return found

    def wait(self, done: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + DEADLINE_S
        while not (found := done()):
            if time.monotonic() > end:
                pytest.fail(f"{self.name}: waited {DEADLINE_S} s for {what}: {self.counts()}")
            time.sleep(0.2)
        return found

    def processes(self) -> dict[str, int]:
        """Return the pid of each process that has reported metrics."""
        return {item["process"]: item["pid"] for item in self.json("metrics")["processes"]}

    def check_small(self, frame_bytes: int) -> None:
        """A stream manager's memory: 64 MB and a largest frame for each task of its container.

        At its highest so far, as the kernel counted it; every stream manager must be seen.
        """
        tasks: dict[str, int] = {}
        for container in self.json("describe")["containers"]:
            name = f"stmgr-{container['id']}"
            tasks[name] = sum(len(process["tasks"]) for process in container["processes"])
        assert tasks
        self.wait(lambda: tasks.keys() <= self.processes().keys(), f"metrics of {tasks.keys()}")
        pids = self.processes()
        for name, count in tasks.items():
            limit_bytes = 64 * MB + count * max(MB, frame_bytes)
            assert peak_bytes(pids[name]) < limit_bytes, name

    def check_named(self, component: str) -> None:
        """One task holds others up: every view names it, and says for how long."""
        for verb in ("top", "describe"):
            (shown,) = self.wait(
                lambda verb=verb: [
                    item for item in self.json(verb)["back_pressure"] if item["seconds"] > 0
                ],
                f"the name of {component} in {verb}",
            )
            assert shown["component"] == component


def peak_bytes(pid: int) -> int:
    """Return the most memory that a live process ever held."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


def call(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "heronshim.cli.main", *words],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.fixture
def flood(heronshim_home: Any, tmp_path: Path) -> Callable[..., Any]:
    """Run topologies at the same time, kill them at the end: flood("OneSlow", bytes=16, ...)."""

    @contextmanager
    def run(name: str, **values: object) -> Iterator[Flood]:
        folder = tmp_path / name
        folder.mkdir()
        environment = {f"FLOOD_{key.upper()}": str(value) for key, value in values.items()}
        done = call("submit", f"{FLOODS}:{name}", FLOOD_FOLDER=str(folder), **environment)
        assert done.returncode == 0, done.stderr
        try:
            yield Flood(name, folder)
        finally:
            call("kill", name, "--yes", "--wait", "0")

    return run


def watch(topology: Flood, component: str, seconds: float, frame_bytes: int) -> int:
    """Let it flood; return how many tuples its slow component executed meanwhile."""
    topology.wait(lambda: topology.counts().get(component, {}).get("executed"), "a first tuple")
    before = topology.counts()[component]["executed"]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        topology.check_small(frame_bytes)
        time.sleep(1)
    topology.wait(lambda: topology.counts()[component]["executed"] > before, "progress")
    return topology.counts()[component]["executed"] - before


MODES = pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])


@MODES
@pytest.mark.parametrize(
    ("size", "slow_s"), [(16, 0.01), (100, 0.01), (5 * MB, 0.5)], ids=["16 B", "100 B", "5 MB"]
)
def test_one_slow_bolt_holds_its_source_back(
    flood: Any, delivery: str, size: int, slow_s: float
) -> None:
    values = {"bytes": size, "slow_s": slow_s, "delivery": delivery, "containers": 2}
    with flood("OneSlow", **values) as topology:
        watch(topology, "slow", FLOOD_S / 2, size)
        topology.check_named("slow")
        counts = topology.counts()
        assert counts["source"]["failed"] == 0
        in_flight = counts["source"]["emitted"] - counts["slow"]["executed"]
        assert in_flight < 6000, "bounded by far less than the flood"


@MODES
def test_fan_out_of_100_into_a_slow_bolt(flood: Any, delivery: str) -> None:
    with flood("FanOut", slow_s=0.002, delivery=delivery, containers=2) as topology:
        watch(topology, "slow", FLOOD_S, 16)
        topology.check_named("slow")
        if delivery == "at_least_once":
            topology.wait(lambda: topology.counts()["source"]["acked"] > 3, "whole trees")
        counts = topology.counts()
        assert counts["source"]["failed"] == 0
        in_flight = 100 * counts["source"]["emitted"] - counts["slow"]["executed"]
        assert in_flight < 100_000, "bounded by far less than the flood"


@MODES
def test_a_loop_through_a_slow_bolt_goes_on(flood: Any, delivery: str) -> None:
    """Whole trees end though each goes round through a task that is always full."""
    with flood("Loop", slow_s=0.002, delivery=delivery, containers=1) as topology:
        watch(topology, "rounds", FLOOD_S, 16)
        topology.check_named("rounds")
        if delivery == "at_least_once":
            topology.wait(lambda: topology.counts()["source"]["acked"] > 3, "whole trees")
        assert topology.counts()["source"]["failed"] == 0


@pytest.mark.parametrize("policy", ["hop", "topology"])
def test_two_paths_of_which_one_is_slow(flood: Any, policy: str) -> None:
    """Hop by hop only the slow path's source waits; with policy "topology" both do."""
    with flood("TwoPaths", slow_s=0.01, policy=policy, containers=2) as topology:
        watch(topology, "slow", FLOOD_S, 16)
        topology.check_named("slow")
        counts = topology.counts()
        assert counts["left"]["failed"] == counts["right"]["failed"] == 0
        held = {
            task["component"]: task["sums"].get("back_pressure_time_us", 0.0)
            for task in topology.json("metrics")["tasks"]
        }
        assert held["left"] > 1e6
        if policy == "topology":
            assert held["right"] > 1e6
        kinds = [event["kind"] for event in topology.json("events")["events"]]
        assert "back_pressure_begun" in kinds


def test_a_bolt_that_never_reads_stops_no_other_path(flood: Any) -> None:
    """One that never returns, then one that is stopped as a whole."""
    with flood("NeverReads", containers=1) as topology:
        watch(topology, "fast", FLOOD_S / 2, 16)
        topology.check_named("never")
        (pid,) = (pid for name, pid in topology.processes().items() if name.startswith("never-"))
        os.kill(pid, signal.SIGSTOP)
        try:
            watch(topology, "fast", FLOOD_S / 2, 16)
            topology.check_named("never")
        finally:
            os.kill(pid, signal.SIGCONT)
        assert topology.counts()["right"]["failed"] == 0
