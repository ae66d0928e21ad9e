"""Storm's semantics that need real processes; numbers as in tests/compat."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.system, pytest.mark.slow]
TOPOLOGIES = Path(__file__).with_name("topologies") / "journal.py"
DEADLINE_S = 60.0
REFUSED = 4
"""Exit code."""


@dataclass(frozen=True)
class Note:
    at_s: float
    pid: int
    thread: int
    component: str
    task: int
    what: str
    value: Any


class Cluster:
    """The command line, and what the components of tests/system/topologies/journal.py wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "heronshim.cli.main", *words],
            capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip

    def json(self, *words: str) -> Any:
        done = self.call(*words, "--json")
        assert done.returncode == 0, f"heronshim {' '.join(words)}: {done.stderr}"
        return json.loads(done.stdout)

    def submit(self, topology: str, *words: str) -> None:
        self.json("submit", f"{TOPOLOGIES}:{topology}", *words)

    def kill(self, topology: str, wait_s: float = 0) -> None:
        self.json("kill", topology, "--yes", "--wait", str(wait_s))

    def notes(self, component: str = "", what: str = "") -> list[Note]:
        """What was written so far, in order."""
        journal = self.folder / "journal"
        lines = journal.read_text().splitlines() if journal.exists() else []
        notes = [Note(**json.loads(line)) for line in lines]
        return [n for n in notes if component in ("", n.component) and what in ("", n.what)]

    def values(self, component: str, what: str) -> list[Any]:
        return [note.value for note in self.notes(component, what)]

    def wait(self, done: Callable[[], object], what: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while not done():
            if time.monotonic() > end:
                pytest.fail(f"waited {DEADLINE_S} s for {what}: {self.notes()[-20:]}")
            time.sleep(0.05)


@pytest.fixture
def cluster(heronshim_home: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("JOURNAL_FOLDER", str(tmp_path))
    return Cluster(tmp_path)


def test_s04_a_name_is_refused_while_it_runs_and_free_after_kill(cluster: Cluster) -> None:
    """Storm: duplicate names are refused; the id is the name and a time, so it is another one."""
    ids = []
    for _ in range(2):
        cluster.submit("Idle")
        ids.append(cluster.json("describe", "Idle")["id"])
        again = cluster.call("submit", f"{TOPOLOGIES}:Idle")
        assert again.returncode == REFUSED
        assert '"Idle"' in again.stderr
        cluster.kill("Idle")
    assert all(id_.startswith("Idle-") for id_ in ids)
    assert ids[0] != ids[1]


def test_s08_s34_s35_a_whole_life(cluster: Cluster) -> None:
    """Submitted inactive, activated, deactivated, activated, killed with a wait.

    Storm: nothing is opened before activation; kill deactivates, waits, then ends everything.
    Differs: the wait ends as soon as no tree is open.
    """
    cluster.submit("Slow", "--inactive")
    assert cluster.json("describe", "Slow")["state"] == "inactive"
    assert cluster.notes() == []
    activated_s = time.monotonic()
    cluster.json("activate", "Slow")
    cluster.wait(lambda: cluster.notes("source", "ack"), "an ack")
    assert [note.what for note in cluster.notes("source")[:3]] == ["open", "activate", "emit"]
    assert len(cluster.notes("sink", "prepare")) == 3
    assert min(note.at_s for note in cluster.notes()) > activated_s

    cluster.json("deactivate", "Slow")
    cluster.wait(lambda: cluster.notes("source", "deactivate"), "deactivate")
    cluster.wait(
        lambda: len(cluster.notes("source", "ack")) == len(cluster.notes("source", "emit")),
        "acks while it is deactivated",
    )
    assert cluster.notes("source")[-1].what == "ack"
    cluster.json("activate", "Slow")
    seen = len(cluster.notes("source", "emit"))
    cluster.wait(lambda: len(cluster.notes("source", "emit")) > seen, "new emits")

    cluster.kill("Slow", wait_s=DEADLINE_S / 2)
    whats = [note.what for note in cluster.notes("source") if note.what not in ("emit", "ack")]
    assert whats == ["open", "activate", "deactivate", "activate", "deactivate", "close"]
    after = [note.what for note in cluster.notes("source")]
    last = len(after) - 1 - after[::-1].index("deactivate")
    assert "emit" not in after[last:]
    assert sorted(cluster.values("source", "ack")) == sorted(cluster.values("source", "emit"))
    assert len(cluster.notes("sink", "cleanup")) == 3
    _check_one_thread(cluster.notes("sink"))


def _check_one_thread(notes: list[Note]) -> None:
    """2. Storm: tasks of one executor share one thread and run one by one."""
    assert len({(note.pid, note.thread) for note in notes}) == 1
    assert len({note.task for note in notes}) == 3
    work = [note for note in notes if note.what in ("execute", "done")]
    for begin, end in zip(work[::2], work[1::2], strict=True):
        assert (begin.what, end.what) == ("execute", "done")
        assert (begin.task, begin.value) == (end.task, end.value)


def test_s33_a_bolt_that_raises_comes_back_in_a_new_process(cluster: Cluster) -> None:
    """Storm: the worker ends, cleanup() is called, the same tasks come back; nothing is failed
    but by the timeout; tasks of other processes are not prepared again."""
    cluster.submit("BoltRaises")
    cluster.wait(lambda: set(cluster.values("source", "ack")) == set(range(10)), "all acks")
    lives = cluster.notes("sink", "prepare")
    assert len(lives) == 2
    assert lives[0].pid != lives[1].pid
    assert lives[0].task == lives[1].task
    assert [note.pid for note in cluster.notes("sink", "cleanup")] == [lives[0].pid]
    assert len(cluster.notes("other", "prepare")) == len(cluster.notes("source", "open")) == 1
    assert 3 in cluster.values("source", "fail")
    emitted_s = cluster.notes("source", "emit")[3].at_s
    assert cluster.notes("source", "fail")[0].at_s - emitted_s >= 2
    errors = json.dumps(cluster.json("errors", "BoltRaises"))
    assert "RuntimeError: boom" in errors
    cluster.kill("BoltRaises")


def test_s33_a_spout_that_raises_begins_anew(cluster: Cluster) -> None:
    """Storm: it starts from its own beginning; fail() is never called for what was in flight."""
    cluster.submit("SpoutRaises")
    cluster.wait(lambda: len(cluster.notes("source", "open")) == 2, "a second life")
    first, second = (note.pid for note in cluster.notes("source", "open"))
    assert first != second
    cluster.wait(
        lambda: (
            {n.value for n in cluster.notes("source", "ack") if n.pid == second} == set(range(10))
        ),
        "all acks of the second life",
    )
    assert [n.value for n in cluster.notes("source", "emit") if n.pid == first] == [0, 1, 2, 3, 4]
    assert cluster.notes("source", "fail") == []
    assert [note.pid for note in cluster.notes("source", "close")] == [first]
    assert len(cluster.notes("sink", "prepare")) == 1
    cluster.kill("SpoutRaises")


def test_s25_tuples_behind_a_blocked_execute_time_out_and_still_run(cluster: Cluster) -> None:
    """Storm: what waits behind a blocked execute() is failed by the timeout, its copies run all
    the same, and the acks of what was done before leave while it blocks.

    Differs: what has not left the spout's process yet does not fail."""
    cluster.submit("Blocks")
    cluster.wait(lambda: set(cluster.values("source", "ack")) == set(range(10)), "all acks")
    (unblocked,) = [n for n in cluster.notes("sink", "done") if n.value == 3][:1]
    early = {n.value for n in cluster.notes("source", "ack") if n.at_s < unblocked.at_s}
    assert early == {0, 1, 2}
    failed = {n.value for n in cluster.notes("source", "fail") if n.at_s < unblocked.at_s}
    assert len(failed) >= 3
    assert failed == set(range(3, 3 + len(failed)))
    executed = cluster.values("sink", "execute")
    assert executed[:10] == list(range(10))
    assert all(executed.count(number) >= 2 for number in failed)
    cluster.kill("Blocks")


def test_s38_an_idle_spout_is_called_at_its_wait(cluster: Cluster) -> None:
    """Storm: the spout wait strategy sleeps after a nextTuple that emitted nothing."""
    begun_s = time.monotonic()
    cluster.submit("Idle")

    def calls() -> float:
        tasks = cluster.json("metrics", "Idle")["tasks"]
        return sum(task["sums"].get("next_tuple_count", 0) for task in tasks)

    cluster.wait(lambda: calls() >= 20, "calls of next_tuple")
    counted = calls()
    assert counted <= (time.monotonic() - begun_s) / 0.05 + 10
    cluster.kill("Idle")
