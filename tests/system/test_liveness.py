"""Processes that are silent for a while, and for longer than that, with real processes.

That a pause of 5 s of each kind of process restarts nothing and loses nothing is in
tests/system/faults.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.faults.cluster import Cluster, wait_until
from heronshim.core.io.process_identity import ProcessIdentity, is_alive, send_signal

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(600)]
TOPOLOGIES = Path(__file__).with_name("topologies") / "blocking.py"


@pytest.fixture
def start() -> Iterator[Callable[[str], Cluster]]:
    """Make a topology that runs; in the end nothing is left of it."""
    made: list[Cluster] = []

    def begin(topology: str) -> Cluster:
        cluster = Cluster(topology=topology, file=TOPOLOGIES)
        made.append(cluster)
        cluster.cli("submit", f"{TOPOLOGIES}:{topology}", "--timeout", "120")
        cluster.work_dir = Path(cluster.cli("describe", topology)["work_dir"])
        wait_until(lambda: total(cluster, "ack_count"), "the first ack")
        return cluster

    yield begin
    for cluster in made:
        cluster.close()


def total(cluster: Cluster, name: str) -> float:
    """Return a count, over all tasks."""
    tasks = cluster.cli("metrics", cluster.topology)["tasks"]
    return sum(task["sums"].get(name, 0.0) for task in tasks)


def events(cluster: Cluster, kind: str) -> list[dict[str, Any]]:
    return [e for container in (0, 1, 2) for e in cluster.events(container) if e["kind"] == kind]


def named(cluster: Cluster, component: str) -> str:
    """Return the process of a component that has one."""
    (name,) = (name for name in cluster.processes() if name.startswith(f"{component}-"))
    return name


def stop(cluster: Cluster, *names: str) -> dict[str, ProcessIdentity]:
    """Stop processes; return them."""
    running = cluster.processes()
    victims = {name: running[name] for name in names}
    for victim in victims.values():
        assert send_signal(victim, signal.SIGSTOP)
    return victims


def wake(victims: dict[str, ProcessIdentity]) -> None:
    for victim in victims.values():
        assert send_signal(victim, signal.SIGCONT)


def test_silence_below_the_limit_is_shown_and_changes_nothing(
    start: Callable[[str], Cluster],
) -> None:
    cluster = start("Blocking")
    before = cluster.processes()

    # First these: who is stopped itself does not see how long others were silent.
    lock, garbage = named(cluster, "holds_lock"), named(cluster, "collects")

    def silences() -> dict[str, float]:
        ends = events(cluster, "suspicion_ended")
        return {e["process"]: e["numbers"]["silent_s"] for e in ends}

    wait_until(lambda: {lock, garbage} <= silences().keys(), "the ends of suspicions")

    plain = named(cluster, "plain")
    home = next(
        item["id"]
        for item in cluster.cli("describe", "Blocking")["containers"]
        if plain in {process["id"] for process in item["processes"]}
    )
    victims = stop(cluster, plain, f"metricsmgr-{home}", f"stmgr-{3 - home}")
    for verb in ("top", "describe"):
        wait_until(
            lambda verb=verb: victims.keys() <= {*cluster.cli(verb, "Blocking")["suspected"]},
            f"the suspicions in {verb}",
        )
    wake(victims)

    victims = stop(cluster, "tmaster", f"supervisor-{home}")
    time.sleep(3)
    shown = cluster.cli("describe", "Blocking")
    assert shown["phase"] is None
    assert victims.keys() <= {*shown["suspected"]}
    wake(victims)
    wait_until(lambda: not cluster.cli("describe", "Blocking")["suspected"], "no suspicion")
    ended = silences()
    assert ended[lock] >= 3
    assert ended[garbage] >= 8
    # A watcher thread speaks for code that blocks; 2 s and more are a busy host's.
    assert ended.get(named(cluster, "sleeps"), 0) < 8
    assert ended.get(named(cluster, "blocked"), 0) < 8
    cluster.cli("deactivate", "Blocking")
    wait_until(
        lambda: (
            not any(
                task["gauges"].get("pending")
                for task in cluster.cli("metrics", "Blocking")["tasks"]
            )
        ),
        "all acks",
    )
    assert total(cluster, "fail_count") == 0
    assert cluster.processes() == before
    assert events(cluster, "process_died") == []
    cluster.cli("kill", "Blocking", "--yes", "--wait", "0")
    assert cluster.left() == []


def test_silence_beyond_the_limit_is_ended_by_a_new_process(
    start: Callable[[str], Cluster],
) -> None:
    cluster = start("ShortLimit")
    plan = cluster.cli("describe", "ShortLimit")["containers"]
    instance = plan[0]["processes"][0]["id"]

    def check_replaced(*names: str) -> None:
        victims = stop(cluster, *names)

        def replaced() -> bool:
            now = cluster.processes()
            return all(now.get(name, old) != old for name, old in victims.items())

        wait_until(replaced, f"new processes in place of {names}")
        assert not any(is_alive(victim) for victim in victims.values())

    check_replaced(instance, "stmgr-2", "tmaster")
    silent = r"killed after \d+\.\d s of silence"
    causes = {e["process"]: e["cause"] for e in events(cluster, "process_died")}
    assert all(re.fullmatch(silent, causes[name]) for name in (instance, "stmgr-2", "tmaster"))
    check_replaced("metricsmgr-1", "supervisor-2")
    causes = {e["process"]: e["cause"] for e in events(cluster, "container_died")}
    assert re.fullmatch(silent, causes["supervisor-2"])
    # The TMaster needs it, so no command has to come.
    check_replaced("launcher")
    acked = wait_until(lambda: total(cluster, "ack_count"), "the TMaster")
    wait_until(lambda: total(cluster, "ack_count") > acked, "acks")
    cluster.cli("kill", "ShortLimit", "--yes", "--wait", "0")
    assert cluster.left() == []
