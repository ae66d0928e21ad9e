"""Topologies with components in Java, with real processes on two containers."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heronshim.cli.engine import Engine, Running
from heronshim.cli.master import connect
from heronshim.cli.progress import Steps
from heronshim.cli.removal import remove_topology
from heronshim.cli.submission import submit, wait_until_running
from heronshim.core.master.messages import CommandKind
from heronshim.core.plan.topology import (
    Component,
    ComponentKind,
    Dialect,
    Grouping,
    GroupingKind,
    InputStream,
    Language,
    OutputStream,
    Topology,
)
from heronshim.instance.loader import LoadedTopology

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(2400)]
DEADLINE_S = 60.0
LINES = 2000
TEXT = (
    "the crane stands in the shallow water",
    "a heron and a crane are not the same bird",
    "water runs over the stones",
    "the stones are grey and the bird is white",
)
"""As in Lines.java."""


def component(name: str, kind: ComponentKind, fields: str, *inputs: InputStream) -> Component:
    return Component(
        name, kind, "stormcode.ser", Language.JAVA, parallelism=2,
        outputs=(OutputStream("default", (fields,)),) if fields else (), inputs=inputs,
    )  # fmt: skip


def word_count(**options: object) -> Topology:
    shuffled = InputStream("lines", "default", Grouping(GroupingKind.SHUFFLE))
    by_word = InputStream("split", "default", Grouping(GroupingKind.FIELDS, ("word",)))
    count = component("count", ComponentKind.BOLT, "", by_word)
    return Topology(
        "words",
        (
            replace(count, options={"tick_interval_s": 0.2}),
            component("lines", ComponentKind.SPOUT, "line"),
            component("split", ComponentKind.BOLT, "word", shuffled),
        ),
        options={"containers": 2, "on_user_exception": "restart", **options},
        dialect=Dialect.STORM,
    )


class Cluster:
    """Topologies of one test; what is submitted is killed at its end."""

    def __init__(self, package: Path, folder: Path) -> None:
        self.folder = folder
        self._package = package
        self._running: list[Running] = []

    def submit(self, topology: Topology, **conf: object) -> Running:
        conf = {"words.folder": str(self.folder), "words.lines": LINES, **conf}
        file = self.folder / "stormconf.json"
        file.write_text(json.dumps(conf))
        files = {path.name: path for path in (*self._package.iterdir(), file)}
        steps = Steps(quiet=True)
        with Engine.open() as engine:
            running = submit(engine, LoadedTopology(topology, files, ()), steps)
            self._running.append(running)
            wait_until_running(running, steps, DEADLINE_S)
        return running

    def kill(self, *, wait_s: float = 0) -> None:
        """End all topologies."""
        while self._running:
            with Engine.open() as engine:
                remove_topology(engine, self._running.pop().name, Steps(quiet=True), wait_s)

    def metrics(self, name: str) -> Any:
        """Return all metrics of a topology."""
        with Engine.open() as engine, connect(engine.find(name)) as client:
            return client.ask(CommandKind.METRICS, DEADLINE_S).metrics

    def seen(self, component: str) -> Counter[str]:
        """Return the sum of what a component's tasks have recorded."""
        counts: Counter[str] = Counter()
        for file in self.folder.glob(f"{component}-*.json"):
            counts.update(json.loads(file.read_text()))
        return counts

    def wait_for(self, done: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + DEADLINE_S
        while not (found := done()):
            if time.monotonic() > end:
                pytest.fail(f"waited {DEADLINE_S} s for {what}")
            time.sleep(0.1)
        return found


@pytest.fixture
def cluster(heronshim_home: Any, words_package: Path, tmp_path: Path) -> Any:
    made = Cluster(words_package, tmp_path)
    yield made
    made.kill()


def total(metrics: Any, component: str, name: str) -> float:
    """Return the sum of a count over a component's tasks."""
    return sum(task.sums.get(name, 0.0) for task in metrics.tasks if task.component == component)


def expected_words() -> Counter[str]:
    counts: Counter[str] = Counter()
    for number in range(LINES):
        counts.update(TEXT[number % len(TEXT)].split())
    return counts


def test_word_count_in_java_counts_each_word_once(cluster: Cluster) -> None:
    running = cluster.submit(word_count())
    assert len(running.packing_plan.containers) == 2
    cluster.wait_for(lambda: cluster.seen("lines")["acked"] == LINES, "all lines acked")
    cluster.wait_for(lambda: cluster.seen("count")["tick"] >= 4, "ticks")

    def reported() -> bool:
        metrics = cluster.metrics("words")
        acked = total(metrics, "lines", "ack_count")
        return min(acked, total(metrics, "split", "execute_count/lines/default")) >= LINES

    cluster.wait_for(reported, "the last reports")
    assert total(cluster.metrics("words"), "lines", "error_count") == 0
    cluster.kill(wait_s=DEADLINE_S)
    seen = cluster.seen("count")
    assert (seen.pop("cleanup"), seen.pop("tick") >= 4) == (2, True)
    assert seen == expected_words()
    assert cluster.seen("lines") == {"acked": LINES, "activate": 2, "deactivate": 2, "closed": 2}
