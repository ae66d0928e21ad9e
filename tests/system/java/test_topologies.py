"""Topologies with components in Java, with real processes on two containers."""

from __future__ import annotations

import ast
import json
import os
import signal
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

    def submit_storms(self, topology: Topology, **conf: object) -> Running:
        """Submit a topology of Storm's, as a gateway would."""
        conf = {"words.folder": str(self.folder), "words.lines": LINES, **conf}
        file = self.folder / "stormconf.json"
        file.write_text(json.dumps(conf))
        return self.submit(topology, *self._package.iterdir(), file)

    def submit(self, topology: Topology, *paths: Path) -> Running:
        """Submit a topology with files of its package, and wait until it runs."""
        files = {path.name: path for path in paths}
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

    def jar(self) -> Path:
        """Return the jar with all classes of the tests' topologies."""
        return self._package / "stormjar.jar"

    def lines(self, component: str, count: int) -> list[str]:
        """Return what a component has written down, when there are that many lines."""
        path = self.folder / f"{component}.txt"

        def read() -> list[str]:
            found = path.read_text().splitlines() if path.exists() else []
            return found if len(found) >= count else []

        return sorted(self.wait_for(read, f"{count} lines of {component}"))

    def metrics(self, name: str) -> Any:
        """Return all metrics of a topology."""
        with Engine.open() as engine, connect(engine.find(name)) as client:
            return client.ask(CommandKind.METRICS, DEADLINE_S).metrics

    def errors(self, name: str) -> Any:
        """Return all errors of a topology."""
        with Engine.open() as engine, connect(engine.find(name)) as client:
            return client.ask(CommandKind.ERRORS, DEADLINE_S).errors

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
    running = cluster.submit_storms(word_count())
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


def test_executors_share_a_process_and_count_each_word_once_at_most_once(cluster: Cluster) -> None:
    topology = word_count(containers=1, delivery="at_most_once")
    components = [
        replace(one, options={**one.options, "process": "container"}) for one in topology.components
    ]
    running = cluster.submit_storms(replace(topology, components=tuple(components)))
    processes = [
        one for container in running.packing_plan.containers for one in container.processes
    ]
    assert sorted(map(len, (one.executors for one in processes))) == [2, 2, 2]
    words = expected_words()

    def counted() -> bool:
        seen = cluster.seen("count")
        return all(seen[word] >= count for word, count in words.items())

    cluster.wait_for(counted, "all words")
    cluster.kill(wait_s=DEADLINE_S)
    seen = cluster.seen("count")
    assert {word: seen[word] for word in words} == words
    assert cluster.seen("lines")["acked"] == LINES


def fragile(folder: Path, lines: int = LINES, **options: object) -> Topology:
    """The word count as heronshim's own, with one task each and a bolt that throws once."""
    topology = word_count(containers=1, message_timeout_s=3, **options)
    classes = {"count": "words.Count", "lines": "words.Lines", "split": "words.Fragile"}
    components = [
        replace(one, object=classes[one.id], parallelism=1) for one in topology.components
    ]
    conf = {"words.folder": str(folder), "words.lines": lines}
    return replace(
        topology, components=tuple(components), user_config=conf, dialect=Dialect.HERONSHIM
    )


def test_exception_of_an_author_ends_the_process_and_the_tuple_comes_again(
    cluster: Cluster,
) -> None:
    cluster.submit(fragile(cluster.folder), cluster.jar())
    cluster.wait_for(lambda: cluster.seen("lines")["acked"] == LINES, "all lines acked")
    thrown = [one for one in cluster.errors("words") if "this line is too much" in one.message]
    assert [(one.component, one.message.partition(":")[0]) for one in thrown] == [
        ("split", "java.lang.IllegalStateException")
    ]
    assert "words.Fragile.execute" in thrown[0].detail
    assert "split/default" not in thrown[0].in_hand
    assert "lines/default" in thrown[0].in_hand
    metrics = cluster.metrics("words")
    restarts = {one.process: one.gauges["restart_count"] for one in metrics.processes}
    assert restarts["split-3"] == 1
    cluster.kill()
    assert cluster.seen("lines")["failed"] >= 1


def test_killed_instances_come_back_and_every_line_is_acked(cluster: Cluster) -> None:
    (cluster.folder / "thrown").touch()
    lines = 10_000
    topology = fragile(cluster.folder, lines, max_spout_pending=20)
    cluster.submit(topology, cluster.jar())
    for name in ("split-3", "count-1"):
        before = cluster.seen("lines")["acked"]
        cluster.wait_for(lambda least=before: cluster.seen("lines")["acked"] > least, "acks")
        processes = cluster.metrics("words").processes
        os.kill(next(one.pid for one in processes if one.process == name), signal.SIGKILL)
    cluster.wait_for(lambda: cluster.seen("lines")["acked"] == lines, "all lines acked")


def shuffled(component: str, stream: str = "default") -> InputStream:
    return InputStream(component, stream, Grouping(GroupingKind.SHUFFLE))


def outputs(*streams: tuple[str, tuple[str, ...]]) -> tuple[OutputStream, ...]:
    return tuple(OutputStream(stream, fields) for stream, fields in streams)


def mixed(folder: Path) -> Topology:
    """A spout in Java, a bolt in Python, and bolts in Java behind both."""
    bolt, java = ComponentKind.BOLT, Language.JAVA
    value = ("default", ("value",))
    typed = (value, ("own", ("value",)), ("bad", ("first", "point")))
    echo = Component("echo", bolt, "echo:Echo", outputs=outputs(value))
    return Topology(
        "mixed",
        (
            Component("back", bolt, "mixed.Classes", java, inputs=(shuffled("echo"),)),
            replace(echo, id="bad", inputs=(shuffled("typed", "bad"),)),
            Component("direct", bolt, "mixed.Classes", java, inputs=(shuffled("typed"),)),
            replace(echo, inputs=(shuffled("typed"),)),
            Component("own", bolt, "mixed.Classes", java, inputs=(shuffled("typed", "own"),)),
            Component("typed", ComponentKind.SPOUT, "mixed.Typed", java, outputs=outputs(*typed)),
        ),
        options={"containers": 2},
        user_config={"folder": str(folder)},
    )  # fmt: skip


def test_values_go_from_java_to_python_and_back(cluster: Cluster) -> None:
    source = Path(__file__).with_name("topologies") / "mixed" / "echo.py"
    cluster.submit(mixed(cluster.folder), cluster.jar(), source)
    python = [
        "-0.25", "-7", "1.5", "1099511627776", "7", "None", "True", "'h\u00e9ron \U0001f426'",
        "[1, 'a', None]", "b'\\x00\\xff'", "{'n': 1, 'list': ['x', 2.5]}",
    ]  # fmt: skip
    found = cluster.lines("echo", 11)
    assert sorted(map(str, map(normal, found))) == sorted(map(str, map(normal, python)))
    common = [
        "Boolean true", "Double -0.25", "Long -7", "Long 1099511627776",
        "String h\u00e9ron \U0001f426", "byte[][0, -1]", "null",
        "HashMap{String list=ArrayList[String x, Double 2.5], String n=Long 1}",
    ]  # fmt: skip
    exact = ["Float 1.5", "Integer 7", "ArrayList[Integer 1, String a, null]"]
    assert cluster.lines("direct", 11) == sorted(common + exact)
    of_python = ["Double 1.5", "Long 7", "ArrayList[Long 1, String a, null]"]
    assert cluster.lines("back", 11) == sorted(common + of_python)
    assert cluster.lines("own", 2) == ["LinkedList[Integer 1, Long 2]", "Point Point[x=3, y=4]"]
    settled = Counter(cluster.lines("typed", 14))
    assert settled == {"acked good": 11, "acked own": 2, "failed bad": 1}


def normal(text: str) -> Any:
    """Return the value that a line of Python shows."""
    value = ast.literal_eval(text)
    return sorted(value.items(), key=str) if isinstance(value, dict) else value


def test_value_that_no_other_language_reads_is_refused_at_its_emitter(cluster: Cluster) -> None:
    source = Path(__file__).with_name("topologies") / "mixed" / "echo.py"
    cluster.submit(mixed(cluster.folder), cluster.jar(), source)
    error = cluster.wait_for(lambda: cluster.errors("mixed"), "an error")[0]
    assert error.component == "typed"
    for part in ('component "typed"', 'stream "bad"', 'field "point"', "mixed.Point"):
        assert part in error.message
    assert not (cluster.folder / "bad.txt").exists()
