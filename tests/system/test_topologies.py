"""Whole topologies, through the command line, with real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heronshim.core.io.control_client import ControlClient
from heronshim.core.io.launch_file import read_launch
from heronshim.core.io.state_layout import TopologyNodes
from heronshim.core.io.tokens import read_secret
from heronshim.core.master.messages import Command, CommandKind
from heronshim.core.plugins.file_state import FileStateManager
from heronshim.core.plugins.local_scheduler import LocalScheduler

pytestmark = [pytest.mark.system, pytest.mark.slow]
LEDGER = Path(__file__).with_name("topologies") / "ledger.py"
DEADLINE_S = 60.0
IDS = 20_000
Cli = Callable[..., Any]


@pytest.fixture
def cli(heronshim_home: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run a verb with --json and return what it prints; a failure shows standard error."""
    monkeypatch.setenv("LEDGER_FOLDER", str(tmp_path))

    def run(*words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "heronshim.cli.main", *words, "--json"],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == 0, f"heronshim {' '.join(words)}: {done.stderr}"
        lines = done.stdout.strip().splitlines()
        return json.loads(done.stdout) if len(lines) != 1 else json.loads(lines[0])

    return run


def gauge(metrics: Any, component: str, name: str) -> float:
    """Return the sum of a gauge over a component's tasks."""
    tasks = [task for task in metrics["tasks"] if task["component"] == component]
    return sum(task["gauges"].get(name, 0.0) for task in tasks)


def total(metrics: Any, component: str, name: str) -> float:
    """Return the sum of a count over a component's tasks."""
    tasks = [task for task in metrics["tasks"] if task["component"] == component]
    return sum(task["sums"].get(name, 0.0) for task in tasks)


def wait_for(cli: Cli, name: str, done: Callable[[Any], bool]) -> Any:
    """Poll a topology's metrics until `done`."""
    end = time.monotonic() + DEADLINE_S
    while True:
        metrics = cli("metrics", name)
        if done(metrics):
            return metrics
        if time.monotonic() > end:
            pytest.fail(f"waited {DEADLINE_S} s for {name}: {metrics}")
        time.sleep(0.2)


def ledger(folder: Path) -> Counter[str]:
    """Return the counts of all ledger tasks."""
    counts: Counter[str] = Counter()
    for file in folder.glob("*.json"):
        counts.update(json.loads(file.read_text())["counts"])
    return counts


def exact() -> Counter[str]:
    return Counter({f"id{number}": 2 for number in range(IDS)})


def all_acked(metrics: Any) -> bool:
    return gauge(metrics, "source", "pending") == 0 and (
        total(metrics, "source", "ack_count") >= IDS
    )


def test_at_least_once_counts_each_id_once_over_two_containers(cli: Cli, tmp_path: Path) -> None:
    cli("submit", f"{LEDGER}:AtLeastOnce")
    metrics = wait_for(cli, "AtLeastOnce", all_acked)
    assert total(metrics, "source", "fail_count") == 0
    assert total(metrics, "source", "ack_count") == IDS
    cli("kill", "AtLeastOnce", "--yes", "--wait", "0")
    assert ledger(tmp_path) == exact()


def test_at_most_once_loses_nothing_while_nothing_dies(cli: Cli, tmp_path: Path) -> None:
    cli("submit", f"{LEDGER}:AtMostOnce")
    wait_for(
        cli, "AtMostOnce", lambda m: total(m, "ledger", "execute_count/twice/default") >= 2 * IDS
    )
    cli("kill", "AtMostOnce", "--yes", "--wait", "0")
    assert ledger(tmp_path) == exact()


def test_a_process_holds_several_tasks(cli: Cli, tmp_path: Path) -> None:
    cli("submit", f"{LEDGER}:ManyTasks")
    plan = cli("describe", "ManyTasks")
    tasks = {
        process["id"]: process["tasks"]
        for container in plan["containers"]
        for process in container["processes"]
    }
    assert sorted(map(len, tasks.values())) == [1, 2, 2, 3]
    wait_for(cli, "ManyTasks", all_acked)
    cli("kill", "ManyTasks", "--yes", "--wait", "0")
    assert ledger(tmp_path) == exact()
    together = {tuple(json.loads(file.read_text())["tasks"]) for file in tmp_path.glob("*.json")}
    assert together == {(1, 2), (3, 4)}


def test_two_topologies_side_by_side(cli: Cli) -> None:
    for name in ("one", "two"):
        cli("submit", f"{LEDGER}:Endless", "--name", name)
    for name in ("one", "two"):
        wait_for(cli, name, lambda m: total(m, "source", "ack_count") > 0)
    assert {item["name"] for item in cli("list")["topologies"]} == {"one", "two"}
    cli("kill", "one", "--yes", "--wait", "0")
    seen = total(cli("metrics", "two"), "source", "ack_count")
    wait_for(cli, "two", lambda m: total(m, "source", "ack_count") > seen)
    assert [item["name"] for item in cli("list")["topologies"]] == ["two"]
    cli("kill", "two", "--yes", "--wait", "0")


def test_deactivate_stops_spouts_and_activate_goes_on(cli: Cli) -> None:
    cli("submit", f"{LEDGER}:Endless")
    wait_for(cli, "Endless", lambda m: total(m, "source", "ack_count") > 0)
    cli("deactivate", "Endless")
    wait_for(cli, "Endless", lambda m: gauge(m, "source", "pending") == 0)
    stopped = total(cli("metrics", "Endless"), "source", "emit_count/default")
    time.sleep(1.5)
    assert total(cli("metrics", "Endless"), "source", "emit_count/default") == stopped
    cli("activate", "Endless")
    wait_for(cli, "Endless", lambda m: total(m, "source", "emit_count/default") > stopped)
    cli("kill", "Endless", "--yes", "--wait", "0")


@pytest.mark.parametrize("victim", ["twice", "stmgr-1", "tmaster", "metricsmgr-1"])
def test_a_killed_process_comes_back(cli: Cli, victim: str) -> None:
    cli("submit", f"{LEDGER}:Endless")
    wait_for(cli, "Endless", lambda m: total(m, "source", "ack_count") > 0)
    os.kill(_pid_of(victim), signal.SIGKILL)
    seen = total(cli("metrics", "Endless"), "source", "ack_count")
    wait_for(cli, "Endless", lambda m: total(m, "source", "ack_count") > seen)
    cli("kill", "Endless", "--yes", "--wait", "0")


def _pid_of(process: str) -> int:
    """Return the pid that the supervisor's log names last."""
    home = Path(os.environ["HERONSHIM_HOME"])
    for log in home.glob("topologies/*/container-*/supervisor.log"):
        lines = [line for line in log.read_text().splitlines() if "event=process_started" in line]
        for line in reversed(lines):
            fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if fields["process"].startswith(process):
                return int(fields["pid"])
    pytest.fail(f"no supervisor started {process}")


def test_a_slow_bolt_holds_its_source_back_and_loses_nothing(cli: Cli) -> None:
    file = Path(__file__).with_name("topologies") / "slow_bolt.py"
    cli("submit", f"{file}:SlowBolt")
    held = wait_for(cli, "SlowBolt", lambda m: total(m, "fast", "back_pressure_time_us") > 0)
    # 8 MB in all: the source may hold 1 MiB and a batch, each hop one window of at most 1 MiB.
    emitted = total(held, "fast", "emit_count/default")
    executed = total(held, "slow", "execute_count/fast/default")
    assert (emitted - executed) * 2000 < 4 << 20
    stmgr = next(item for item in held["processes"] if item["process"] == "stmgr-1")
    assert stmgr["gauges"]["rss_bytes"] < 64 << 20
    done = wait_for(
        cli, "SlowBolt", lambda m: total(m, "slow", "execute_count/fast/default") == 4000
    )
    assert total(done, "slow", "user/misplaced") == 0
    cli("kill", "SlowBolt", "--yes", "--wait", "0")


def test_a_restart_that_is_repeated_to_the_next_tmaster_is_carried_out_once(cli: Cli) -> None:
    """A client sends its command again when the TMaster dies before it answers."""
    cli("submit", f"{LEDGER}:Endless")
    wait_for(cli, "Endless", lambda m: total(m, "source", "ack_count") > 0)
    work_dir = cli("describe", "Endless")["work_dir"]
    launch = read_launch(work_dir)
    nodes = TopologyNodes(FileStateManager(launch.state_options), "Endless")

    def endpoint() -> str | None:
        location = nodes.tmaster()
        return location.endpoint if location else None

    secret = read_secret(launch.secret_path)
    with ControlClient(endpoint, launch.topology_id, secret) as client:
        assert client.call(Command("twice", CommandKind.RESTART, 1), DEADLINE_S).ok
        os.kill(_pid_of("tmaster"), signal.SIGKILL)
        assert client.call(Command("twice", CommandKind.RESTART, 1), DEADLINE_S).ok

        def restarts() -> int:
            return next(item.restarts for item in LocalScheduler(launch).status() if item.id == 1)

        wait_for(cli, "Endless", lambda _: restarts() >= 1)
        # Whatever was done for the repeated one comes before this.
        assert client.call(Command("other", CommandKind.RESTART, 1), DEADLINE_S).ok
        wait_for(cli, "Endless", lambda _: restarts() >= 2)
    assert restarts() == 2
    cli("kill", "Endless", "--yes", "--wait", "0")
