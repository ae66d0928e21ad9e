"""A container's supervisor: order of starts, restarts, causes of death, limits, stopping."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heronshim.core.io.packages import pack
from heronshim.core.io.process_identity import identify, wait_ended
from heronshim.core.io.tokens import token_matches
from heronshim.core.plugins.local_uploader import LocalUploader

pytestmark = pytest.mark.system
DEADLINE_S = 30.0


def ended(pid: int) -> bool:
    identity = identify(pid)
    return identity is None or wait_ended(identity, DEADLINE_S)


def run_containers(dummy: Any, *plans: Any) -> None:
    dummy.scheduler.start_master(dummy.launch)
    if plans:
        dummy.scheduler.add_containers(plans, dummy.launch)


def test_container_zero_starts_the_tmaster_and_a_metrics_manager(dummy: Any) -> None:
    run_containers(dummy)
    tmaster, metricsmgr = dummy.wait_start("tmaster"), dummy.wait_start("metricsmgr-0")
    assert tmaster["start"]["plan"] is None
    assert tmaster["start"]["endpoint"] == metricsmgr["start"]["endpoint"]
    assert tmaster["start"]["incarnation"] < metricsmgr["start"]["incarnation"]


def test_container_starts_the_stream_manager_before_its_instances(dummy: Any) -> None:
    run_containers(dummy, dummy.plan(1, "count-1", "count-2"))
    order = ["stmgr-1", "metricsmgr-1", "count-1", "count-2"]
    starts = [dummy.wait_start(process) for process in order]
    assert [start["start"]["incarnation"] for start in starts] == [1, 2, 3, 4]
    assert [start["start"]["component"] for start in starts] == ["", "", "count", "count"]


def test_child_gets_all_it_needs_and_its_input_ends(dummy: Any) -> None:
    run_containers(dummy, dummy.plan(1, "count-1"))
    facts = dummy.wait_start("count-1")
    start, launch = facts["start"], dummy.launch
    assert facts["stdin_ended"]
    assert facts["umask"] == 0o077
    assert facts["group"] == facts["pid"]
    assert facts["cwd"] == str(dummy.container_folder(1))
    assert start["launch"] == json.loads(json.dumps(launch.to_json_value()))
    assert start["endpoint"].startswith(f"ipc://{launch.socket_dir}/")
    secret = bytes.fromhex("5e" * 32)
    assert token_matches(secret, "words-1", "count-1", start["incarnation"], start["token"])


def test_killed_process_is_started_again_with_a_higher_incarnation(dummy: Any) -> None:
    run_containers(dummy, dummy.plan(1, "count-1", "count-2"))
    first, other = dummy.wait_start("count-1"), dummy.wait_start("count-2")
    os.kill(first["pid"], signal.SIGKILL)
    second = dummy.wait_start("count-1", 2)
    assert second["start"]["incarnation"] > other["start"]["incarnation"]
    assert len(dummy.starts("count-2")) == 1
    event = dummy.wait_event(1, "process_died", process="count-1")
    assert (event["signal"], "exit_code" in event, event["pid"]) == (9, False, first["pid"])
    assert (event["component"], event["task"]) == ("count", 101)
    assert event["restart_in_s"] == 0.1
    replaced = dummy.wait_event(1, "process_replaced", process="count-1")
    assert (replaced["pid"], replaced["restarts"]) == (second["pid"], 1)


@pytest.mark.parametrize("process", ["stmgr-1", "metricsmgr-1"])
def test_killed_engine_process_comes_back_at_the_same_endpoint(dummy: Any, process: str) -> None:
    run_containers(dummy, dummy.plan(1, "count-1"))
    first = dummy.wait_start(process)
    dummy.wait_start("count-1")
    os.kill(first["pid"], signal.SIGKILL)
    second = dummy.wait_start(process, 2)
    assert second["start"]["endpoint"] == first["start"]["endpoint"]
    assert len(dummy.starts("count-1")) == 1


def test_process_that_keeps_failing_waits_longer_each_time(dummy: Any) -> None:
    dummy.tell("count-1", "exit", 3)
    run_containers(dummy, dummy.plan(1, "count-1"))
    dummy.wait_start("count-1", 3)
    dummy.wait_event(1, "process_died", process="count-1", restart_in_s=0.4)
    waits = [e["restart_in_s"] for e in dummy.events(1) if e["kind"] == "process_died"]
    assert waits[:3] == [0.1, 0.2, 0.4]
    event = dummy.wait_event(1, "process_died", process="count-1")
    assert (event["exit_code"], "signal" in event, event["cause"]) == (3, False, "exit 3")


def test_last_words_are_in_the_process_log_and_in_the_record(dummy: Any) -> None:
    dummy.tell("count-1", "exit", 3, "print", "going", "down")
    run_containers(dummy, dummy.plan(1, "count-1"))
    event = dummy.wait_event(1, "process_died", process="count-1")
    assert event["detail"] == "going down\n"
    lines = (dummy.container_folder(1) / "logs" / "count-1.log").read_text().splitlines()
    assert lines[0] == "going down"
    assert " ERROR event=process_died process=count-1 " in lines[1]
    assert 'cause="exit 3"' in lines[1]


def test_memory_limit_strikes_and_says_so(dummy: Any) -> None:
    dummy.tell("count-1", "hold", 120)
    run_containers(dummy, dummy.plan(1, "count-1", "count-2", ram_mb=64))
    event = dummy.wait_event(1, "process_died", process="count-1")
    # Asked for last words first, which the dummy does not know; a busy host may take too long.
    assert event["signal"] in {signal.SIGQUIT, signal.SIGKILL}
    assert event["memory_limit_bytes"] == 64 << 20
    assert event["memory_peak_bytes"] > 64 << 20
    assert "killed at its memory limit of 67108864 bytes" in event["cause"]
    dummy.wait_start("count-1", 2)
    assert len(dummy.starts("count-2")) == 1


def test_unusable_cgroup_falls_back_to_the_watch(dummy: Any, tmp_path: Path) -> None:
    dummy = dummy.with_options(cgroup_parent=str(tmp_path))
    dummy.tell("count-1", "hold", 120)
    run_containers(dummy, dummy.plan(1, "count-1", ram_mb=64))
    dummy.wait_event(1, "cgroup_unusable", process="count-1")
    event = dummy.wait_event(1, "process_died", process="count-1")
    assert "killed at its memory limit" in event["cause"]


def test_log_flood_is_rotated_and_its_end_is_kept(dummy: Any) -> None:
    dummy = dummy.with_options(log_file_bytes="100000", log_files="3")
    dummy.tell("count-1", "flood", 5_000_000)
    run_containers(dummy, dummy.plan(1, "count-1", "count-2"))
    logs = dummy.container_folder(1) / "logs"
    dummy.wait_start("count-1")
    wait_for_end(logs / "count-1.log")
    files = sorted(file.name for file in logs.glob("count-1.log*"))
    assert files == ["count-1.log", "count-1.log.1", "count-1.log.2"]
    assert sum(file.stat().st_size for file in logs.glob("count-1.log*")) <= 300_000
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in logs.iterdir())


def wait_for_end(log: Path) -> None:
    end = time.monotonic() + DEADLINE_S
    while not log.exists() or not log.read_bytes().endswith(b"END"):
        assert time.monotonic() < end, "the flood did not end"
        time.sleep(0.01)


def test_graceful_stop_goes_from_instances_to_the_stream_manager(dummy: Any) -> None:
    run_containers(dummy, dummy.plan(1, "count-1", "count-2"))
    for process in ("stmgr-1", "metricsmgr-1", "count-1", "count-2"):
        dummy.wait_start(process)
    supervisor = dummy.status(1).pid
    endpoint = Path(dummy.starts("stmgr-1")[0]["start"]["endpoint"].removeprefix("ipc://"))
    endpoint.touch()
    dummy.scheduler.remove_containers([1])
    assert ended(supervisor)
    order = [name for name in dummy.stops() if name not in {"tmaster", "metricsmgr-0"}]
    assert set(order[:2]) == {"count-1", "count-2"}
    assert order[2:] == ["metricsmgr-1", "stmgr-1"]
    assert not endpoint.exists()
    causes = [e["cause"] for e in dummy.events(1) if e["kind"] == "process_stopped"]
    assert causes == ["stopped, exit 0"] * 4


def test_process_that_ignores_sigterm_is_killed(dummy: Any) -> None:
    dummy.tell("count-1", "ignore_term")
    run_containers(dummy, dummy.plan(1, "count-1"))
    pid = dummy.wait_start("count-1")["pid"]
    dummy.wait_start("stmgr-1")
    dummy.scheduler.remove_containers([1])
    assert ended(pid)
    event = dummy.wait_event(1, "process_stopped", process="count-1")
    assert event["cause"] == "stopped, killed by SIGKILL"


def test_silent_stream_manager_is_suspected_and_then_replaced(dummy: Any) -> None:
    dummy = dummy.with_limit(4)
    dummy.tell("stmgr-1", "beats")
    run_containers(dummy, dummy.plan(1, "count-1"))
    dummy.wait_start("count-1")
    pid = dummy.stop_beating("stmgr-1")
    suspected = dummy.wait_event(1, "suspected", process="stmgr-1")
    assert suspected["silent_s"] >= 2
    dummy.wait_start("stmgr-1", 2)
    first, second = dummy.starts("stmgr-1")
    assert second["start"]["incarnation"] > first["start"]["incarnation"]
    died = dummy.wait_event(1, "process_died", process="stmgr-1", pid=pid)
    assert re.fullmatch(r"killed after \d+\.\d s of silence", died["cause"])
    assert died["signal"] == signal.SIGKILL
    assert ended(pid)
    # Nobody could say that these were silent too.
    assert len(dummy.starts("count-1")) == len(dummy.starts("metricsmgr-1")) == 1


def test_short_silence_ends_with_a_suspicion(dummy: Any) -> None:
    dummy.tell("stmgr-1", "beats")
    run_containers(dummy, dummy.plan(1, "count-1"))
    pid = dummy.stop_beating("stmgr-1")
    dummy.wait_event(1, "suspected", process="stmgr-1", pid=pid)
    os.kill(pid, signal.SIGCONT)
    over = dummy.wait_event(1, "suspicion_ended", process="stmgr-1", pid=pid)
    assert over["silent_s"] >= 2
    assert len(dummy.starts("stmgr-1")) == 1


def test_supervisor_that_was_stopped_itself_blames_nobody(dummy: Any) -> None:
    dummy = dummy.with_limit(6)
    dummy.tell("tmaster", "beats")
    dummy.scheduler.start_master(dummy.launch)
    tmaster, supervisor = dummy.stop_beating("tmaster"), dummy.status(0).pid
    dummy.wait_event(0, "suspected", process="tmaster")
    os.kill(supervisor, signal.SIGSTOP)
    time.sleep(3.5)  # With the 2 s before more than the limit would be left of, were it counted.
    os.kill(supervisor, signal.SIGCONT)
    time.sleep(1.5)
    os.kill(tmaster, signal.SIGCONT)
    dummy.wait_event(0, "suspicion_ended", process="tmaster")
    assert len(dummy.starts("tmaster")) == 1


def test_what_a_process_started_in_its_group_dies_with_it(dummy: Any) -> None:
    dummy.tell("count-1", "child")
    run_containers(dummy, dummy.plan(1, "count-1"))
    facts = dummy.wait_start("count-1")
    os.kill(facts["pid"], signal.SIGKILL)
    assert ended(facts["children"][0])


def test_killed_supervisor_leaves_no_orphan_and_comes_back(dummy: Any) -> None:
    dummy.tell("count-1", "daemon")
    run_containers(dummy, dummy.plan(1, "count-1"))
    before = [dummy.wait_start(process) for process in ("stmgr-1", "metricsmgr-1", "count-1")]
    supervisor = dummy.status(1).pid
    os.kill(supervisor, signal.SIGKILL)
    daemon = before[-1]["children"][0]
    assert all(ended(pid) for pid in (supervisor, daemon, *(facts["pid"] for facts in before)))
    after = dummy.wait_start("count-1", 2)
    highest = max(facts["start"]["incarnation"] for facts in before)
    assert after["start"]["incarnation"] > highest
    status = dummy.status(1)
    assert (status.restarts, status.cause) == (1, "killed by SIGKILL")
    assert len(dummy.starts("tmaster")) == 1


def test_missing_interpreter_is_retried_and_told(dummy: Any) -> None:
    commands = json.loads(dummy.launch.scheduler_options["commands"])
    commands["python"] = ["/nonexistent/python"]
    dummy = dummy.with_options(commands=json.dumps(commands))
    run_containers(dummy, dummy.plan(1, "count-1"))
    event = dummy.wait_event(1, "process_not_started", process="count-1")
    assert "/nonexistent/python" in event["cause"]
    dummy.wait_start("stmgr-1")


def test_second_supervisor_of_a_container_refuses_to_start(dummy: Any) -> None:
    run_containers(dummy)
    dummy.wait_start("tmaster")
    line = {"launch": dummy.launch.to_json_value(), "container": 0, "plan": None, "generation": 1}
    second = subprocess.run(
        [dummy.launch.python, "-m", "heronshim.core.daemons.container"],
        input=json.dumps(line) + "\n",
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert second.returncode == 75
    assert "container_already_supervised" in second.stderr
    assert len(dummy.starts("tmaster")) == 1


def test_supervisor_by_hand_says_how_it_is_started() -> None:
    alone = subprocess.run(
        [sys.executable, "-m", "heronshim.core.daemons.container"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert alone.returncode == 1
    assert "use heronshim submit" in alone.stderr
    assert "Traceback" not in alone.stderr


def with_package(dummy: Any, root: Path, **changes: str) -> Any:
    """Return the topology with a package that holds words.py."""
    module, package = root / "words.py", root / "words.zip"
    module.write_text("WORDS = 3\n")
    pack({"words.py": module}, package)
    options = {"root": str(root / "store")}
    launch = replace(
        dummy.launch,
        package_uri=LocalUploader(options).upload(package, "words"),
        package_sha256=hashlib.sha256(package.read_bytes()).hexdigest(),
        uploader_options=options,
    )
    return replace(dummy, launch=replace(launch, **changes))


def test_instances_start_when_their_package_is_there(dummy: Any, tmp_path: Path) -> None:
    dummy = with_package(dummy, tmp_path)
    run_containers(dummy, dummy.plan(1, "count-1"))
    facts = dummy.wait_start("count-1")
    assert Path(facts["start"]["package_dir"], "words.py").read_text() == "WORDS = 3\n"
    assert dummy.wait_event(1, "process_finished", process="package")["exit_code"] == 0


def test_package_is_not_fetched_twice_by_a_container(dummy: Any, tmp_path: Path) -> None:
    dummy = with_package(dummy, tmp_path)
    run_containers(dummy, dummy.plan(1, "count-1"))
    dummy.wait_start("count-1")
    shutil.rmtree(tmp_path / "store")
    dummy.scheduler.restart([1])
    dummy.wait_start("count-1", 2)
    log = (dummy.container_folder(1) / "logs" / "package.log").read_text()
    assert log.count("fetched=True") == 1
    assert log.count("fetched=False") == 1


def test_wrong_package_starts_no_instance_and_says_why(dummy: Any, tmp_path: Path) -> None:
    dummy = with_package(dummy, tmp_path, package_sha256="00" * 32)
    run_containers(dummy, dummy.plan(1, "count-1"))
    event = dummy.wait_event(1, "process_died", process="package", restart_in_s=0.2)
    assert "submitted was 0000" in event["detail"]
    assert dummy.starts("count-1") == []
    dummy.wait_start("stmgr-1")
