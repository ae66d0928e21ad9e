"""Damaged state nodes: a TMaster says so once and waits, and the command line still works on them.

The files are those of state manager `file`. What is tried on each node: nothing in it, half of it,
a flipped bit, a newer format, a value that is none of its kind, and a folder or pipe in its place.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heronshim.core.io.event_file import EVENTS_FILE, read_last_events
from heronshim.core.plugins import node_file
from heronshim.core.plugins.node_file import StoredNode
from tests.input.peers import Installation

pytestmark = pytest.mark.system
DEADLINE_S = 60.0
SUBMITTED = ("topology", "packing_plan", "execution_state")
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda whole: whole[: len(whole) // 2],
    "a header alone": lambda whole: whole[: node_file.HEADER_BYTES],
    "a flipped bit": lambda whole: whole[:-1] + bytes([whole[-1] ^ 4]),
    "a flipped bit in its header": lambda whole: whole[:9] + bytes([whole[9] ^ 1]) + whole[10:],
    "a newer format": lambda whole: whole[:4] + b"\x09\x00" + whole[6:],
    "no node": lambda _: random.Random(1).randbytes(500),
    "a value of no kind": lambda _: node_file.to_bytes(StoredNode(b"\xff" * 40, 1, 7)),
    "an empty value": lambda _: node_file.to_bytes(StoredNode(b"", 1, 7)),
}


class Master(Installation):
    """A TMaster alone with its state."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "container-0").mkdir()
        self.process: subprocess.Popen[bytes] | None = None

    def file(self, node: str) -> Path:
        return self.folder / "state" / "topologies" / "words" / node / ".node"

    def lead(self) -> None:
        """Start it; its log begins anew."""
        daemon = self.start(0, "tmaster", "tmaster")
        daemon.context.destroy()
        self.process = daemon.process

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def causes(self) -> list[str]:
        """Return what the history says of why it waits."""
        events = read_last_events(self.folder / "container-0" / EVENTS_FILE)
        return [event.cause for event in events if event.kind == "tmaster_waits"]

    def wait(self, done: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while not done():
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < end, f"waited for {what}: {self.log()}"
            time.sleep(0.01)

    def wait_log(self, text: str) -> None:
        self.wait(lambda: text in self.log(), text)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            code = self.process.wait(DEADLINE_S)
            self.process = None
            assert code == 0, self.log()
        assert "Traceback" not in self.log()

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.manager.close()


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    made = Master(tmp_path)
    yield made
    made.close()


def write_whole(file: Path, content: bytes) -> None:
    """Replace a node's file at once, so that nobody sees it half written."""
    new = file.with_name("new")
    new.write_bytes(content)
    new.replace(file)


@pytest.mark.parametrize("node", SUBMITTED)
def test_damaged_plan_is_told_once_and_waited_for(master: Master, node: str) -> None:
    file = master.file(node)
    whole = file.read_bytes()
    damaged_in_turn(master, node, DAMAGES)
    for cause in master.causes():
        assert node in cause
        assert "waits until that is mended" in cause
        assert 'kill topology "words" and submit it again' in cause
    # It leads nothing meanwhile, and takes no epoch.
    assert master.state.tmaster() is None
    file.write_bytes(whole)
    master.wait_log("event=leader epoch=1")
    assert len(master.causes()) == len(DAMAGES)
    assert master.log().count("event=tmaster_waits") == len(DAMAGES)
    master.stop()


def damaged_in_turn(master: Master, node: str, damages: Iterable[str]) -> None:
    """Start a TMaster and damage a node in these ways, one after the other; each is told."""
    whole = master.file(node).read_bytes()
    for number, damage in enumerate(damages, 1):
        damaged = DAMAGES[damage](whole)
        assert damaged != whole
        write_whole(master.file(node), damaged)
        if number == 1:
            master.lead()
        master.wait(lambda: len(master.causes()) == number, damage)  # noqa: B023 - called at once


def test_missing_plans_are_waited_for(master: Master) -> None:
    kept = {node: master.file(node).read_bytes() for node in SUBMITTED}
    master.state.remove()
    master.lead()
    master.wait_log("event=tmaster_waits")
    assert 'no topology named "words"' in master.causes()[0]
    # A node after the other comes back.
    for node, content in kept.items():
        master.file(node).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(master.file(node), content)
    master.wait_log("event=leader ")
    master.stop()


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a link"])
def test_what_is_no_file_is_named_and_not_waited_on(master: Master, kind: str) -> None:
    file = master.file("topology")
    kept = master.folder / "kept"
    file.rename(kept)
    if kind == "a folder":
        file.mkdir()
    elif kind == "a pipe":
        os.mkfifo(file)
    else:
        file.symlink_to(kept)
    master.lead()
    master.wait_log("event=tmaster_waits")
    assert str(file) in master.causes()[0]
    if kind == "a folder":
        file.rmdir()
    kept.replace(file)
    master.wait_log("event=leader ")
    master.stop()


def test_damaged_epoch_is_never_guessed(master: Master) -> None:
    """A new leader with an old epoch would be refused by all for ever: a person decides."""
    master.lead()
    master.wait_log("event=leader ")
    master.stop()
    whole = master.file("tmaster.epoch").read_bytes()
    # An empty value and one that is no number are told in the same words.
    damaged_in_turn(master, "tmaster.epoch", [each for each in DAMAGES if "an empty" not in each])
    assert all("tmaster.epoch" in cause for cause in master.causes())
    master.file("tmaster.epoch").write_bytes(whole)
    master.wait_log("event=leader epoch=2")
    master.stop()


@pytest.mark.parametrize(
    ("damage", "answer"),
    [
        ("empty", "event=leader epoch=1"),
        ("half", "event=leader epoch=1"),
        ("a flipped bit", "event=leader epoch=1"),
        ("a newer format", "event=tmaster_waits"),
        # A node of no session: whoever put it there leads, as far as anyone can tell.
        ("a value of no kind", "event=leader_elsewhere"),
    ],
)
def test_damaged_leaders_node_is_replaced_or_waited_for(
    master: Master, damage: str, answer: str
) -> None:
    file = master.file("tmaster")
    file.parent.mkdir(mode=0o700)
    of_a_dead_session = StoredNode(b"somewhere", 1, 7, 1 << 40)
    file.write_bytes(DAMAGES[damage](node_file.to_bytes(of_a_dead_session)))
    master.lead()
    master.wait_log(answer)
    if damage == "a newer format":
        assert "upgrade heronshim" in master.causes()[0]
    master.stop()


@pytest.mark.parametrize("damage", ["empty", "a flipped bit", "a newer format", "an empty value"])
def test_damaged_physical_plan_keeps_nobody_from_leading(master: Master, damage: str) -> None:
    file = master.file("physical_plan")
    file.parent.mkdir(mode=0o700)
    file.write_bytes(DAMAGES[damage](node_file.to_bytes(StoredNode(b"\x08\x01" * 30, 3, 7))))
    master.lead()
    master.wait_log("event=leader ")
    master.wait_log("event=stored_plan_unreadable")
    master.stop()


# ---- a whole topology ----

SLOW = """
import time
from heronshim.api import Bolt, Spout, Topology

class Ticks(Spout):
    outputs = ["n"]
    def next_tuple(self):
        time.sleep(0.01)
        self.emit([1])

class Drop(Bolt):
    def execute(self, tup):
        pass

class Small(Topology):
    ticks = Ticks.spec()
    drop = Drop.spec(inputs=[ticks])
"""


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("h")
    monkeypatch.setenv("HERONSHIM_HOME", str(made))
    monkeypatch.setenv("HERONSHIM_SOCKET_DIR", str(made / "s"))
    return made


def verb(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "heronshim.cli.main", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert "Traceback" not in done.stderr
    return done


def value(*words: str) -> Any:
    done = verb(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def masters(described: Any) -> tuple[int, int]:
    """Return pid and restarts of the TMaster."""
    (found,) = (item for item in described["engine"] if item["id"] == "tmaster")
    return found["pid"], found["restarts"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("damage", ["half", "a newer format", "a value of no kind"])
def test_topology_with_a_damaged_plan_is_shown_and_killed(
    home: Path, tmp_path: Path, damage: str
) -> None:
    author = tmp_path / "small.py"
    author.write_text(SLOW)
    value("submit", str(author), "--timeout", "300")
    try:
        file = home / "state" / "topologies" / "Small" / "topology" / ".node"
        write_whole(file, DAMAGES[damage](file.read_bytes()))
        os.kill(masters(value("describe", "Small"))[0], 9)
        end = time.monotonic() + DEADLINE_S * 5
        while not (told := value("events", "Small", "--kind", "tmaster_waits")["events"]):
            assert time.monotonic() < end
            time.sleep(0.2)
        assert "topology" in told[0]["cause"]
        before = masters(value("describe", "Small"))
        assert before == (before[0], 1)
        # Many times longer than its supervisor's back-off at the first deaths.
        time.sleep(3)
        described = value("describe", "Small")
        assert masters(described) == before
        assert described["state"] == "damaged"
        assert "topology" in described["problems"][0]
        assert "problem: " in verb("describe", "Small").stdout
        (row,) = value("list")["topologies"]
        assert row["state"] == "damaged"
        (error,) = (e for e in value("errors", "Small")["errors"] if not e["death"])
        assert error["message"] == f"tmaster waits: {told[0]['cause']}"
        assert len(value("events", "Small", "--kind", "tmaster_waits")["events"]) == 1
        assert value("logs", "Small", "--process", "tmaster")["lines"]
    finally:
        killed = verb("kill", "Small", "--yes")
    assert killed.returncode == 0, killed.stderr
    assert value("list")["topologies"] == []
    assert not (home / "topologies" / "Small").exists()
    shutil.rmtree(home)
