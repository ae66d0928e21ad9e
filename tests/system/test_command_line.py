"""The command line on real topologies: its JSON, its refusals, what is left when things fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heronshim.core.io.process_identity import identify, send_signal, wait_ended

pytestmark = [pytest.mark.system, pytest.mark.slow]
WORDS = """
import time
from heronshim.api import Bolt, Grouping, Spout, Topology

class Ticks(Spout):
    outputs = ["n"]
    n = 0
    def next_tuple(self):
        self.n += 1
        time.sleep(0.002)
        self.emit([self.n], id=self.n)

class Picky(Bolt):
    def execute(self, tup):
        print("saw", tup[0])
        if tup[0] == 20:
            raise KeyError("twenty\\x1b[31m")

class Small(Topology):
    options = {"containers": 2, "message_timeout_s": 5}
    ticks = Ticks.spec()
    picky = Picky.spec(inputs=[ticks])
"""
DEADLINE_S = 60.0
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(heronshim_home: Any) -> Run:
    """Run a command line in a process of its own."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "heronshim.cli.main", *words]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
        assert "Traceback (most" not in done.stderr
        return done

    return run


@pytest.fixture
def small(tmp_path: Path) -> str:
    """Return a topology's file; it is named Small."""
    file = tmp_path / "small.py"
    file.write_text(WORDS)
    return str(file)


def value(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wait_for(look: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + DEADLINE_S
    while not (found := look()):
        if time.monotonic() > end:
            pytest.fail(f"waited {DEADLINE_S} s for {what}")
        time.sleep(0.2)
    return found


@pytest.mark.timeout(900)
def test_life_of_a_topology(run: Run, small: str) -> None:
    submitted = value(run("submit", small, "--json"))
    assert set(submitted) == {"topology", "id", "containers", "tasks", "warnings"}
    assert (submitted["containers"], submitted["tasks"]) == (2, 2)

    (row,) = value(run("list", "--json"))["topologies"]
    assert (row["name"], row["state"], row["id"]) == ("Small", "active", submitted["id"])

    described = value(run("describe", "Small", "--json"))
    assert described["phase"] == "running"
    assert all(
        process["joined"] for item in described["containers"] for process in item["processes"]
    )
    assert "picky" in run("describe", "Small").stdout

    assert value(run("plan", "Small", "--json")) == value(run("plan", small, "--json"))

    error = wait_for(
        lambda: value(run("errors", "Small", "--json"))["errors"], "the error of the bolt"
    )[0]
    assert (error["component"], error["count"]) == ("picky", 1)
    shown = run("errors", "Small").stdout
    assert "KeyError: 'twenty\\x1b[31m'" in shown.replace("\\\\", "\\")
    assert "\x1b" not in shown

    events = value(run("events", "Small", "--json"))["events"]
    kinds = {event["kind"] for event in events}
    assert {"process_started", "process_joined", "leader_taken", "plan_stored"} <= kinds
    assert [event["time_ms"] for event in events] == sorted(event["time_ms"] for event in events)
    assert [event["process"] for event in events if event["kind"] == "leader_taken"] == ["tmaster"]
    assert "active, plan epoch 1" in run("events", "Small", "--kind", "plan_stored").stdout

    rows = {row["component"]: row for row in value(run("top", "Small", "--json"))["components"]}
    assert rows["ticks"]["emit_count"] > 0
    assert rows["picky"]["error_count"] == 1
    assert run("top", "Small").stdout.startswith("COMPONENT")

    metrics = value(run("metrics", "Small", "--component", "picky", "--json"))
    assert {task["component"] for task in metrics["tasks"]} == {"picky"}
    assert "stmgr-1" in run("metrics", "Small", "--processes").stdout

    lines = value(run("logs", "Small", "--component", "picky", "--grep", "^saw 1$", "--json"))
    assert [line["text"] for line in lines["lines"]] == ["saw 1"]

    assert value(run("deactivate", "Small", "--json"))["state"] == "inactive"
    assert value(run("list", "--json"))["topologies"][0]["state"] == "inactive"
    assert value(run("activate", "Small", "--json"))["state"] == "active"

    assert run("restart", "Small").returncode == 2
    assert value(run("restart", "Small", "--yes", "--json"))["restarted"] == [1, 2]
    assert value(run("restart", "Small", "--container", "0", "--yes", "--json"))["restarted"] == [0]
    assert run("restart", "Small", "--container", "7", "--yes").returncode == 3

    assert run("kill", "Small").returncode == 2
    assert value(run("kill", "Small", "--yes", "--json")) == {
        "topology": "Small",
        "killed": True,
        "drained": True,
    }
    assert value(run("list", "--json")) == {"topologies": []}
    assert run("kill", "Small", "--yes").returncode == 3


def test_second_submit_of_a_name_is_refused_and_harms_nothing(run: Run, small: str) -> None:
    value(run("submit", small, "--json"))
    again = run("submit", small)
    assert again.returncode == 4
    assert 'topology "Small" exists' in again.stderr
    # Its package, which has the same bytes, is still there: a restarted container fetches it.
    package = next(Path(os.environ["HERONSHIM_HOME"]).glob("packages/*/package"))
    assert package.exists()
    assert value(run("restart", "Small", "--yes", "--json"))["restarted"] == [1, 2]
    assert run("kill", "Small", "--yes", "--wait", "0").returncode == 0


def test_two_submits_at_once_give_one_topology(heronshim_home: Any, small: str) -> None:
    command = [sys.executable, "-m", "heronshim.cli.main", "submit", small, "--no-wait"]
    both = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
    codes = sorted(process.wait(DEADLINE_S) for process in both)
    kill = [sys.executable, "-m", "heronshim.cli.main", "kill", "Small", "--yes", "--wait", "0"]
    assert subprocess.run(kill, check=False, capture_output=True).returncode == 0
    assert codes == [0, 4]


@pytest.mark.parametrize(
    ("key", "wrong", "code"),
    [("scheduler_options.nope", "1", 2), ("python", "/nonexistent/python", 1)],
    ids=["scheduler refuses its option", "interpreter is missing"],
)
def test_failed_submit_leaves_nothing(
    run: Run, small: str, key: str, wrong: str, code: int
) -> None:
    assert run("config", "set", key, wrong).returncode == 0
    failed = run("submit", small)
    assert failed.returncode == code, failed.stderr
    assert wrong in failed.stderr or "nope" in failed.stderr


def test_start_that_takes_too_long_ends_with_5_and_says_where_to_look(run: Run, small: str) -> None:
    late = run("submit", small, "--timeout", "0")
    assert run("kill", "Small", "--yes", "--wait", "0").returncode == 0
    assert late.returncode == 5
    assert "heronshim logs Small" in late.stderr


def test_kill_of_a_topology_whose_processes_are_all_dead(run: Run, small: str) -> None:
    value(run("submit", small, "--json"))
    home = Path(os.environ["HERONSHIM_HOME"])
    folder = home / "topologies" / "Small"
    _kill_all(str(folder))
    assert run("kill", "Small", "--yes").returncode == 0


@pytest.mark.parametrize("node", ["topology", "packing_plan", "execution_state"])
def test_kill_of_a_topology_with_damaged_state(run: Run, small: str, node: str) -> None:
    value(run("submit", small, "--no-wait", "--json"))
    state = Path(os.environ["HERONSHIM_HOME"]) / "state"
    damaged = [path for path in state.rglob("*") if path.is_file() and node in str(path)]
    assert damaged
    for path in damaged:
        path.write_bytes(b"\xff" * 100)
    listed = run("list", "--json")
    assert value(listed)["topologies"][0]["state"] == "damaged"
    described = value(run("describe", "Small", "--json"))
    assert described["state"] == "damaged"
    assert node in described["problems"][0]
    assert run("doctor", "--json").returncode == 0
    assert run("kill", "Small", "--yes").returncode == 0


@pytest.mark.parametrize("launcher", ["lives", "is dead"])
def test_kill_of_a_topology_with_a_damaged_launch_file(run: Run, small: str, launcher: str) -> None:
    value(run("submit", small, "--no-wait", "--json"))
    folder = Path(os.environ["HERONSHIM_HOME"]) / "topologies" / "Small"
    if launcher == "is dead":
        _kill_all(str(folder))
    (folder / "launch.json").write_text("{}")
    assert run("kill", "Small", "--yes").returncode == 0


def test_run_ends_at_interrupt_and_leaves_nothing(heronshim_home: Any, small: str) -> None:
    command = [sys.executable, "-m", "heronshim.cli.main", "run", small]
    # A shell without job control starts what runs in the background with SIGINT ignored.
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert process.stderr is not None
    wait_for(lambda: "first tuple" in process.stderr.readline(), "the first tuple")
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert "Traceback" not in error


def test_run_ends_when_sources_are_exhausted(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "ends.py"
    gauge = "def open(self, config, context): self.done = context.gauge('source_exhausted')"
    end = "if self.n == 50: return self.done.set(1)"
    text = WORDS.replace("n = 0", f"n = 0\n    {gauge}")
    text = text.replace("        self.n += 1\n", f"        {end}\n        self.n += 1\n")
    file.write_text(text)
    ended = value(run("run", str(file), "--json"))
    counts = {row["component"]: row for row in ended["components"]}
    assert (counts["ticks"]["acked"], counts["ticks"]["failed"]) == (49, 1)
    assert counts["picky"]["executed"] == 50


def test_demo_counts_what_a_plain_loop_counts(run: Run) -> None:
    result = value(run("demo", "--rate", "max", "--repeat", "1", "--json"))
    assert result["matches"] is True
    assert result["failed"] == 0
    assert result["acked"] == result["lines"] > 10_000
    assert len(result["top"]) == 10


def test_demo_of_a_file_prints_the_counts(run: Run, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_bytes("Ja, ja! Straße\n\xff\n".encode() + b"\xff\xfe ja\n")
    picture = tmp_path / "picture.svg"
    words = ("--input", str(text), "--repeat", "2", "--rate", "1000", "--picture", str(picture))
    done = run("demo", *words)
    assert done.returncode == 0, done.stderr
    assert "lines 6, words 10, acked 6, failed 0" in done.stdout
    assert " 1          6  ja" in done.stdout
    assert "@font-face" not in picture.read_text()


def _kill_all(text: str) -> None:
    """Kill the processes of a work folder."""
    for pid in _pids_with(text):
        identity = identify(pid)
        if identity is not None:
            send_signal(identity, signal.SIGKILL)
            wait_ended(identity, DEADLINE_S)


def _pids_with(text: str) -> list[int]:
    """Return processes of which the environment or the command line holds a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                content = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in content:
                found.append(int(entry.name))
    return found
