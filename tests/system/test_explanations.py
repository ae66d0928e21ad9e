"""A topology explains itself: what died, why and where, in real processes that really die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heronshim.cli.main import main

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(900)]
TOPOLOGY = Path(__file__).with_name("topologies") / "dying.py"
DEADLINE_S = 300.0
Run = Callable[..., str]


@pytest.fixture
def run(heronshim_home: Any, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process; return what it printed."""

    def run(*words: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(words)
        shown = capsys.readouterr()
        assert end.value.code == 0, shown.err
        return shown.out

    return run


@pytest.fixture
def dying(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the name of a topology that is running."""
    monkeypatch.setenv("DYING_MARKS", str(tmp_path))
    run("submit", str(TOPOLOGY), "--timeout", "300", "--json")
    yield "Dying"
    run("kill", "Dying", "--yes", "--wait", "0")


class Follower:
    """`heronshim events --follow` in a process of its own."""

    def __init__(self, topology: str, out: Path) -> None:
        self._out = out
        words = ("events", topology, "--follow", "--lines", "10000", "--json")
        with out.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "heronshim.cli.main", *words], stdout=file
            )

    def events(self) -> list[dict[str, Any]]:
        """Return what it has printed so far; a line may be half written."""
        *lines, _ = self._out.read_text().split("\n")
        return [json.loads(line) for line in lines]

    def leaders(self) -> list[float]:
        led = (event for event in self.events() if event["kind"] == "leader_taken")
        return [event["numbers"]["leader_epoch"] for event in led]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(DEADLINE_S)


@pytest.fixture
def follower(dying: str, tmp_path: Path) -> Iterator[Follower]:
    made = Follower(dying, tmp_path / "followed")
    yield made
    made.process.kill()
    made.process.wait()


def wait_until(done: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + DEADLINE_S
    while not (found := done()):
        if time.monotonic() > end:
            pytest.fail(f"waited {DEADLINE_S} s for {what}")
        time.sleep(0.5)
    return found


def asked(run: Run, *words: str) -> Any:
    return json.loads(run(*words, "--json"))


def errors_by(run: Run, component: str) -> list[dict[str, Any]]:
    return [e for e in asked(run, "errors", "Dying")["errors"] if e["component"] == component]


def history(run: Run) -> list[dict[str, Any]]:
    found = asked(run, "events", "Dying", "--lines", "10000")["events"]
    assert [event["time_ms"] for event in found] == sorted(event["time_ms"] for event in found)
    assert len({event["id"] for event in found}) == len(found)
    return list(found)


def test_deaths_say_how_and_where_and_the_history_survives_the_tmaster(
    dying: str, run: Run, follower: Follower
) -> None:
    def dead(component: str) -> Any:
        return next((e for e in errors_by(run, component) if e["death"]), None)

    for component in ("exits", "crashes", "hoards"):
        wait_until(lambda component=component: dead(component), f"the death of {component}")
    host = os.uname().nodename

    exits = dead("exits")
    assert exits["message"] == "process died: exit 7"
    assert (exits["count"], exits["hosts"], exits["task"]) == (1, [host], exits["tasks"][0])
    assert exits["detail"].endswith("leaving \x1b[31m now\n")

    crash = dead("crashes")
    assert crash["message"] == "process died: killed by SIGSEGV"
    assert (crash["place"]["file"], crash["place"]["function"]) == ("dying.py", "die")

    hoard = dead("hoards")
    assert hoard["message"].startswith("process died: killed at its memory limit of 209715200 byte")
    assert (hoard["place"]["file"], hoard["place"]["function"]) == ("dying.py", "die")

    raised = wait_until(lambda: [e for e in errors_by(run, "raises") if e["count"] > 2], "errors")
    assert len(raised) == 1
    assert raised[0]["message"].startswith("KeyError: 'number ")
    assert raised[0]["place"]["function"] == "execute"
    assert raised[0]["in_hand"].startswith("Tuple([")
    assert (raised[0]["hosts"], raised[0]["death"]) == ([host], False)
    assert raised[0]["first_ms"] < raised[0]["time_ms"]

    shown = run("errors", dying, "--full")
    assert "\x1b" not in shown
    assert "leaving \\x1b[31m now" in shown
    assert "Fatal Python error: Segmentation fault" in shown

    before = history(run)
    (exited,) = (event for event in before if event["cause"] == "exit 7")
    assert (exited["kind"], exited["component"], exited["host"]) == ("process_died", "exits", host)
    replaced = next(
        event
        for event in before
        if event["kind"] == "process_replaced" and event["process"] == exited["process"]
    )
    assert replaced["numbers"]["restarts"] == 1

    described = asked(run, "describe", dying)
    instances = [process for item in described["containers"] for process in item["processes"]]
    (exiting,) = (process for process in instances if process["component"] == "exits")
    assert exiting["restarts"] == 1
    assert exiting["last_end"] == {"time_ms": exited["time_ms"], "cause": "exit 7"}
    assert exiting["pid"] == replaced["numbers"]["pid"]
    engine = {process["id"]: process for process in described["engine"]}
    assert engine["tmaster"]["restarts"] == 0
    assert "exit 7, " in run("describe", dying)

    # The supervisor of container 0: the TMaster and the metrics manager beside it die with it.
    (master,) = (event for event in before if event["kind"] == "leader_taken")
    pid = asked(run, "describe", dying)["tmaster"]["pid"]
    wait_until(lambda: follower.leaders() == [1], "the follower")
    os.kill(pid, signal.SIGKILL)

    def told_again() -> bool:
        after = history(run)
        known = {event["id"] for event in after}
        led = [event for event in after if event["kind"] == "leader_taken"]
        return len(led) == 2 and known >= {event["id"] for event in before}

    wait_until(told_again, "the history of a new TMaster")
    wait_until(lambda: follower.leaders() == [1, 2], "the follower under the new TMaster")
    ids = [event["id"] for event in follower.events()]
    assert len(set(ids)) == len(ids)
    assert follower.stop() == 0
    assert master["numbers"]["leader_epoch"] == 1
    died = [event for event in history(run) if event["kind"] == "container_died"]
    assert [(event["container"], event["cause"]) for event in died] == [(0, "killed by SIGKILL")]
    engine = {process["id"]: process for process in asked(run, "describe", dying)["engine"]}
    assert engine["tmaster"]["restarts"] == 1
    assert engine["tmaster"]["last_end"]["cause"] == "its container died: killed by SIGKILL"
