"""The file state manager among real processes: killed, stopped and racing ones."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heronshim.core.plugins.file_state import FileStateManager
from heronshim.core.spi.state_manager import Leadership, Node

pytestmark = pytest.mark.system
DEADLINE_S = 60.0

LEADER = """
import json, sys, time
from heronshim.core.plugins.file_state import FileStateManager
from heronshim.errors import FencedError
manager = FileStateManager(json.loads(sys.argv[1]))
leadership = manager.become_leader("/t/leader", b"child")
manager.put("/t/ephemeral", b"", ephemeral=True)
manager.lock("/t/lock", 1.0)
states = []
manager.on_session(lambda state: states.append(str(state)))
print(leadership.epoch, flush=True)
while "lost" not in states:
    manager.poll()
    time.sleep(0.01)
try:
    manager.put("/t/plan", b"old", fence=leadership)
except FencedError:
    print("fenced", flush=True)
"""

COUNTER = """
import json, sys
from heronshim.core.plugins.file_state import FileStateManager
from heronshim.errors import StateVersionError
manager = FileStateManager(json.loads(sys.argv[1]))
done = lost = 0
while done < 40:
    node = manager.get("/t/counter")
    try:
        manager.put("/t/counter", b"%d" % (int(node.value) + 1), version=node.version)
        done += 1
    except StateVersionError:
        lost += 1
print(lost)
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start(script: str, options: dict[str, str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", script, json.dumps(options)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for child in started:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def take_over(manager: FileStateManager) -> Leadership:
    end = time.monotonic() + DEADLINE_S
    while (leadership := manager.become_leader("/t/leader", b"parent")) is None:
        assert time.monotonic() < end, "the dead leader still leads"
        manager.poll()
        time.sleep(0.01)
    return leadership


def test_a_killed_leader_is_followed_at_once_with_a_higher_epoch(
    tmp_path: Path, start: Start
) -> None:
    """By its process, not by its lease, which is an hour; nobody has waited for the zombie."""
    options = {"root": str(tmp_path / "state"), "lease_s": "3600"}
    child = start(LEADER, options)
    epoch = int(line(child))
    manager = FileStateManager(options)
    assert manager.become_leader("/t/leader", b"parent") is None
    assert manager.get("/t/leader") == Node(b"child", 1)
    child.send_signal(signal.SIGKILL)
    leadership = take_over(manager)
    assert leadership.epoch == epoch + 1
    assert manager.get("/t/leader") == Node(b"parent", 1)
    assert manager.get("/t/ephemeral") is None
    manager.lock("/t/lock", DEADLINE_S)
    manager.put("/t/plan", b"new", fence=leadership)
    manager.delete("/t", recursive=True)
    assert manager.children("/") == []
    manager.close()
    assert {path.name for path in (tmp_path / "state").iterdir()} <= {".lock", ".locks"}


def test_a_stopped_leader_is_followed_after_its_lease_and_fenced_when_it_wakes(
    tmp_path: Path, start: Start
) -> None:
    # Long enough for a loaded machine to start with; ours is not to run out at all.
    options = {"root": str(tmp_path / "state"), "lease_s": "2"}
    child = start(LEADER, options)
    epoch = int(line(child))
    child.send_signal(signal.SIGSTOP)
    manager = FileStateManager({**options, "lease_s": "3600"})
    leadership = take_over(manager)
    assert leadership.epoch == epoch + 1
    manager.put("/t/plan", b"new", fence=leadership)
    child.send_signal(signal.SIGCONT)
    assert line(child) == "fenced"
    assert manager.get("/t/plan") == Node(b"new", 1)
    manager.close()


def test_no_write_is_lost_between_processes_that_race(tmp_path: Path, start: Start) -> None:
    options = {"root": str(tmp_path / "state")}
    manager = FileStateManager(options)
    manager.put("/t/counter", b"0")
    children = [start(COUNTER, options) for _ in range(3)]
    for child in children:
        assert child.wait(DEADLINE_S) == 0
    assert manager.get("/t/counter") == Node(b"120", 121)
