"""The local scheduler keeps the contract of the SPI, and its launcher survives what it must."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heronshim.core.io.launcher_protocol import Order, Request, request_to_line
from heronshim.core.io.process_identity import ProcessIdentity, identify, wait_ended
from heronshim.core.io.processes import marked_processes
from heronshim.core.io.socket_files import launcher_socket_path
from heronshim.core.plugins.local_scheduler import LocalScheduler
from heronshim.core.spi import registry
from heronshim.core.spi.scheduler import ContainerStatus, Launch, Scheduler
from heronshim.errors import ConfigError, NotFoundError, RefusedError, SchedulerError, StateError
from heronshim.testing.conformance.scheduler import SchedulerSuite

pytestmark = pytest.mark.system
DEADLINE_S = 30.0


class TestLocalScheduler(SchedulerSuite):
    @pytest.fixture(autouse=True)
    def _topology(self, dummy: Any, _kill_topology: None) -> None:
        self.dummy = dummy

    def launch(self) -> Launch:
        launch: Launch = self.dummy.launch
        return launch

    def make(self, launch: Launch) -> Scheduler:
        scheduler: Scheduler = registry.load(registry.SCHEDULERS, "local")(launch)
        return scheduler

    def left(self, launch: Launch) -> list[str]:
        files = [launch.work_dir] if Path(launch.work_dir).exists() else []
        sockets = [str(path) for path in Path(launch.socket_dir).glob("*")]
        processes = marked_processes(f"@{launch.work_dir}")
        return files + sockets + [f"process {identity.pid}" for identity in processes]

    def break_container(self, status: ContainerStatus) -> None:
        os.kill(status.pid, signal.SIGKILL)


def eventually(done: Callable[[], object], what: str) -> None:
    waited = threading.Event()
    for _ in range(int(DEADLINE_S / 0.01)):
        if done():
            return
        waited.wait(0.01)
    pytest.fail(f"waited {DEADLINE_S} s for {what}")


def socket_of(launch: Launch) -> Path:
    return launcher_socket_path(Path(launch.socket_dir), launch.work_dir)


def connect(launch: Launch) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.connect(str(socket_of(launch)))
    peer.settimeout(DEADLINE_S)
    return peer


def launcher_of(launch: Launch) -> ProcessIdentity:
    with connect(launch) as peer:
        pid = int.from_bytes(
            peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], "little"
        )
    identity = identify(pid)
    assert identity is not None
    return identity


def kill_launcher(launch: Launch) -> None:
    launcher = launcher_of(launch)
    os.kill(launcher.pid, signal.SIGKILL)
    assert wait_ended(launcher, DEADLINE_S)


def ask(launch: Launch, line: bytes) -> dict[str, Any]:
    with connect(launch) as peer:
        peer.sendall(line)
        with peer.makefile("rb") as file:
            answer: dict[str, Any] = json.loads(file.readline())
    return answer


def start(dummy: Any, *plans: Any) -> Scheduler:
    scheduler: Scheduler = dummy.scheduler
    scheduler.start_master(dummy.launch)
    scheduler.add_containers(plans, dummy.launch)
    dummy.wait_start("tmaster")
    for plan in plans:
        for process in plan.processes:
            dummy.wait_start(process.id)
    return scheduler


# Death of the launcher.


def test_supervisors_outlive_their_launcher_and_are_adopted(dummy: Any) -> None:
    scheduler = start(dummy, dummy.plan(1, "count-1"))
    before = scheduler.status()
    kill_launcher(dummy.launch)
    assert unsuspected(scheduler.status()) == unsuspected(before)
    assert len(dummy.starts("count-1")) == 1
    log = (Path(dummy.launch.work_dir) / "launcher.log").read_text()
    assert log.count("event=container_adopted") == 2


def test_adopted_supervisor_that_dies_is_started_again(dummy: Any) -> None:
    scheduler = start(dummy, dummy.plan(1, "count-1"))
    kill_launcher(dummy.launch)
    adopted = dummy.status(1)
    os.kill(adopted.pid, signal.SIGKILL)
    dummy.wait_start("count-1", 2)
    assert dummy.status(1).restarts == adopted.restarts + 1
    scheduler.kill()


def test_supervisor_that_died_meanwhile_is_started_again(dummy: Any) -> None:
    scheduler = start(dummy, dummy.plan(1, "count-1"))
    before = dummy.status(1)
    kill_launcher(dummy.launch)
    supervisor = identify(before.pid)
    os.kill(before.pid, signal.SIGKILL)
    assert supervisor is None or wait_ended(supervisor, DEADLINE_S)
    assert {item.id for item in scheduler.status()} == {0, 1}
    dummy.wait_start("count-1", 2)
    assert dummy.status(1).cause == "it was gone when the launcher came back"


def test_process_id_given_to_somebody_else_is_not_adopted(dummy: Any) -> None:
    """pid reuse: same id, other start time; or even the same both, but not our container."""
    scheduler = start(dummy, dummy.plan(1, "count-1"))
    before = dummy.status(1)
    kill_launcher(dummy.launch)
    supervisor = identify(before.pid)
    os.kill(before.pid, signal.SIGKILL)
    assert supervisor is None or wait_ended(supervisor, DEADLINE_S)
    with subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"]) as other:
        identity = identify(other.pid)
        assert identity is not None
        forge_supervisor(dummy, identity)
        assert dummy.status(1).pid != other.pid
        scheduler.kill()
        assert other.poll() is None
        other.kill()


def forge_supervisor(dummy: Any, identity: ProcessIdentity) -> None:
    """Let both files say that another process supervises container 1."""
    record = dummy.container_folder(1) / "supervisor.json"
    forged = {"pid": identity.pid, "start_ticks": identity.start_ticks}
    record.write_text(json.dumps(json.loads(record.read_text()) | forged))
    state = Path(dummy.launch.work_dir) / "launcher.json"
    value = json.loads(state.read_text())
    value["containers"][1] |= forged
    state.write_text(json.dumps(value))


# Silence.


def unsuspected(found: list[ContainerStatus]) -> list[ContainerStatus]:
    """Without what a busy host may make of it."""
    return [replace(item, suspected=()) for item in found]


def test_silent_supervisor_is_suspected_and_then_replaced(dummy: Any) -> None:
    dummy = dummy.with_limit(4)
    start(dummy, dummy.plan(1, "count-1"))
    before = dummy.status(1)
    os.kill(before.pid, signal.SIGSTOP)
    eventually(lambda: "supervisor-1" in dummy.status(1).suspected, "the suspicion")
    first = dummy.starts("count-1")[0]
    dummy.wait_start("count-1", 2)
    assert identify(first["pid"]) is None
    status = dummy.status(1)
    assert status.pid != before.pid
    assert re.fullmatch(r"killed after \d+\.\d s of silence", status.cause)


def test_adopted_supervisor_that_falls_silent_is_replaced(dummy: Any) -> None:
    dummy = dummy.with_limit(4)
    start(dummy, dummy.plan(1, "count-1"))
    kill_launcher(dummy.launch)
    os.kill(dummy.status(1).pid, signal.SIGSTOP)
    dummy.wait_start("count-1", 2)


def test_launcher_that_was_stopped_itself_blames_nobody(dummy: Any) -> None:
    dummy = dummy.with_limit(4)
    scheduler = start(dummy, dummy.plan(1, "count-1"))
    before = scheduler.status()
    launcher = launcher_of(dummy.launch)
    os.kill(launcher.pid, signal.SIGSTOP)
    time.sleep(6)
    os.kill(launcher.pid, signal.SIGCONT)
    time.sleep(1.5)
    assert unsuspected(scheduler.status()) == unsuspected(before)
    assert launcher_of(dummy.launch) == launcher


def test_launcher_that_is_stopped_for_a_while_answers_late(dummy: Any) -> None:
    scheduler = start(dummy, dummy.plan(1, "count-1"))
    launcher = launcher_of(dummy.launch)
    os.kill(launcher.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(scheduler.status)
        time.sleep(3)
        assert not asking.done()
        os.kill(launcher.pid, signal.SIGCONT)
        assert len(asking.result(DEADLINE_S)) == 2
    assert launcher_of(dummy.launch) == launcher


def test_launcher_that_stays_stopped_is_replaced_by_whoever_needs_it(dummy: Any) -> None:
    """Several at once, as the command line and the TMaster: one new launcher serves them all."""
    dummy = dummy.with_limit(4)
    scheduler = start(dummy, dummy.plan(1, "count-1"))
    before, launcher = scheduler.status(), launcher_of(dummy.launch)
    os.kill(launcher.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(LocalScheduler(dummy.launch).status) for _ in range(3)]
        answers = [each.result(DEADLINE_S) for each in asking]
    assert [unsuspected(answer) for answer in answers] == [unsuspected(before)] * 3
    assert identify(launcher.pid) != launcher
    assert launcher_of(dummy.launch) != launcher
    assert len(dummy.starts("count-1")) == 1


def test_launcher_that_works_on_a_long_order_is_not_silent(
    dummy: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A kill is answered at its end; this one takes 3 s, twice the limit."""
    dummy = dummy.with_limit(1.5)
    dummy.tell("count-1", "ignore_term")
    scheduler = start(dummy, dummy.plan(1, "count-1"))
    scheduler.kill()
    assert "launcher_overdue" not in capsys.readouterr().err


# Death of the launcher in the middle of an order.


def test_kill_goes_on_after_the_launchers_death_in_the_middle(dummy: Any) -> None:
    dummy.tell("count-1", "ignore_term")
    scheduler = start(dummy, dummy.plan(1, "count-1"))
    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(scheduler.kill)
        eventually(lambda: "tmaster" in dummy.stops(), "the kill has begun")
        kill_launcher(dummy.launch)
        killing.result(DEADLINE_S)
    assert not Path(dummy.launch.work_dir).exists()


def test_restart_ordered_before_the_launchers_death_is_carried_out_once(dummy: Any) -> None:
    start(dummy, dummy.plan(1, "count-1"))
    line = request_to_line(Request("restart-1", Order.RESTART, ids=(1,)))
    assert ask(dummy.launch, line)["ok"]
    kill_launcher(dummy.launch)
    dummy.scheduler.status()
    assert ask(dummy.launch, line)["ok"]
    dummy.wait_start("count-1", 2)
    eventually(lambda: dummy.status(1).running, "container 1 runs")
    assert len(dummy.starts("count-1")) == 2
    assert dummy.status(1).restarts == 1


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": 2}', b"\xff"])
def test_damaged_state_file_loses_no_running_container(dummy: Any, content: bytes) -> None:
    scheduler = start(dummy, dummy.plan(1, "count-1"))
    before = {(item.id, item.pid) for item in scheduler.status()}
    kill_launcher(dummy.launch)
    (Path(dummy.launch.work_dir) / "launcher.json").write_bytes(content)
    assert {(item.id, item.pid) for item in scheduler.status()} == before
    assert len(dummy.starts("count-1")) == 1


def test_damaged_launch_file_can_still_be_killed(dummy: Any) -> None:
    scheduler = start(dummy, dummy.plan(1, "count-1"))
    kill_launcher(dummy.launch)
    (Path(dummy.launch.work_dir) / "launch.json").write_text("{")
    assert [item.id for item in scheduler.status()] == [0, 1]
    scheduler.kill()


def test_sigterm_ends_the_launcher_alone(dummy: Any) -> None:
    scheduler = start(dummy, dummy.plan(1, "count-1"))
    before = scheduler.status()
    launcher = launcher_of(dummy.launch)
    os.kill(launcher.pid, signal.SIGTERM)
    assert wait_ended(launcher, DEADLINE_S)
    assert not socket_of(dummy.launch).exists()
    assert scheduler.status() == before


# One launcher, several clients, several topologies.


def test_second_launcher_of_a_topology_leaves_the_first_alone(dummy: Any) -> None:
    scheduler = start(dummy)
    first = launcher_of(dummy.launch)
    argv = [sys.executable, "-m", "heronshim.core.daemons.launcher"]
    second = subprocess.run(
        [*argv, dummy.launch.work_dir, dummy.launch.socket_dir],
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert second.returncode == 75
    assert launcher_of(dummy.launch) == first
    assert [item.id for item in scheduler.status()] == [0]


def test_many_clients_at_once_start_one_launcher(dummy: Any) -> None:
    with ThreadPoolExecutor(6) as pool:
        orders = [pool.submit(dummy.scheduler.start_master, dummy.launch) for _ in range(6)]
        for order in orders:
            order.result(DEADLINE_S)
    dummy.wait_start("tmaster")
    assert len(dummy.starts("tmaster")) == 1


def test_topologies_side_by_side_do_not_touch_each_other(dummy_topology: Any) -> None:
    words, clicks = dummy_topology("words"), dummy_topology("clicks")
    for topology in (words, clicks):
        start(topology, topology.plan(1, "count-1"))
    before = clicks.scheduler.status()
    words.scheduler.kill()
    assert clicks.scheduler.status() == before
    assert len(clicks.starts("count-1")) == 1
    assert clicks.stops() == []


def test_launcher_started_within_a_container_is_not_part_of_it(
    dummy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The TMaster may start the launcher again: a restart of container 0 must not kill it."""
    scheduler = start(dummy)
    kill_launcher(dummy.launch)
    monkeypatch.setenv("HERONSHIM_CONTAINER", f"0@{dummy.launch.work_dir}")
    scheduler.status()
    launcher = launcher_of(dummy.launch)
    os.kill(dummy.status(0).pid, signal.SIGKILL)
    dummy.wait_start("tmaster", 2)
    assert launcher_of(dummy.launch) == launcher


def test_kill_takes_a_daemon_that_left_its_group_and_session(dummy: Any) -> None:
    dummy.tell("count-1", "daemon")
    scheduler = start(dummy, dummy.plan(1, "count-1"))
    (daemon,) = dummy.starts("count-1")[0]["children"]
    assert identify(daemon) is not None
    scheduler.kill()
    assert identify(daemon) is None


@pytest.mark.slow
def test_stopped_supervisor_is_killed_in_the_end(dummy: Any) -> None:
    """A supervisor that hangs (SIGSTOP) does not answer SIGTERM; kill still leaves nothing."""
    scheduler = start(dummy, dummy.plan(1, "count-1"))
    os.kill(dummy.status(1).pid, signal.SIGSTOP)
    scheduler.kill()
    assert marked_processes(f"@{dummy.launch.work_dir}") == []


def test_work_folder_that_cannot_be_made_is_an_error(dummy: Any) -> None:
    in_the_way = Path(dummy.launch.work_dir)
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("")
    with pytest.raises(SchedulerError, match="cannot be made"):
        dummy.scheduler.start_master(dummy.launch)
    in_the_way.unlink()


# Refusals.


def test_other_topology_in_the_same_work_folder_is_refused(dummy: Any) -> None:
    start(dummy)
    later = replace(dummy.launch, topology_id="words-2")
    with pytest.raises(RefusedError, match="kill it before words-2 is started"):
        LocalScheduler(later).start_master(later)


def test_launch_of_another_folder_is_refused(dummy: Any) -> None:
    other = replace(dummy.launch, work_dir="/tmp/elsewhere")
    with pytest.raises(RefusedError, match="/tmp/elsewhere"):
        dummy.scheduler.start_master(other)


def test_container_zero_cannot_be_removed(dummy: Any) -> None:
    scheduler = start(dummy)
    with pytest.raises(RefusedError, match="goes with kill alone"):
        scheduler.remove_containers([0])
    assert dummy.status(0).running


def test_restart_of_an_unknown_container_names_what_there_is(dummy: Any) -> None:
    scheduler = start(dummy)
    with pytest.raises(NotFoundError, match=r"\[7\].*\[0\]"):
        scheduler.restart([7])


def test_instance_language_that_cannot_be_run_is_refused_at_once(dummy: Any) -> None:
    scheduler = start(dummy)
    launch = replace(dummy.launch, languages={"count": "java"})
    with pytest.raises(ConfigError, match="instances in java cannot be started"):
        scheduler.add_containers([dummy.plan(1, "count-1")], launch)


def test_socket_folder_open_to_others_is_refused(dummy: Any) -> None:
    folder = Path(dummy.launch.socket_dir)
    folder.mkdir(mode=0o700)
    folder.chmod(0o755)
    with pytest.raises(SchedulerError, match="mode 700"):
        dummy.scheduler.start_master(dummy.launch)
    folder.chmod(0o700)


def test_socket_path_that_is_too_long_is_refused(dummy: Any) -> None:
    with pytest.raises(StateError, match="HERONSHIM_SOCKET_DIR"):
        LocalScheduler(replace(dummy.launch, socket_dir="/tmp/" + "x" * 100))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"\n", "request is no JSON"),
        (b"{\n", "request is no JSON"),
        (b"\xff\xfe\n", "request is no JSON"),
        (b"[]\n", "expected an object"),
        (b"{}\n", '"order" is missing'),
        (b'{"id":"a","order":"kil","launch":null,"plans":[],"ids":[]}\n', 'Did you mean "kill"?'),
        (b'{"id":"a","order":"restart","launch":null,"plans":[],"ids":[-1]}\n', "request.ids"),
        (b'{"id":"a","order":"add_containers","launch":null,"plans":[],"ids":[]}\n', "needs it"),
        (b"[" * 100_000 + b"\n", "request is no JSON"),
    ],
)
def test_bad_request_is_answered_with_an_error(dummy: Any, line: bytes, message: str) -> None:
    scheduler = start(dummy)
    launcher = launcher_of(dummy.launch)
    answer = ask(dummy.launch, line)
    assert not answer["ok"]
    assert message in answer["message"]
    assert [item.id for item in scheduler.status()] == [0]
    assert launcher_of(dummy.launch) == launcher


def test_request_without_end_is_cut_off(dummy: Any) -> None:
    start(dummy)
    launcher = launcher_of(dummy.launch)
    with connect(dummy.launch) as peer:
        too_long = b"x" * (40 << 20)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            peer.sendall(too_long)
    assert launcher_of(dummy.launch) == launcher


def test_clients_that_say_nothing_or_half_a_line_hold_up_nobody(dummy: Any) -> None:
    scheduler = start(dummy)
    idle = [connect(dummy.launch) for _ in range(80)]
    # The oldest of so many are gone by now.
    idle[-1].sendall(b'{"id":')
    assert [item.id for item in scheduler.status()] == [0]
    for peer in idle[:60]:
        peer.close()
    assert [item.id for item in scheduler.status()] == [0]
    for peer in idle[60:]:
        peer.close()


@pytest.mark.parametrize("argv", [[], ["relative", "/tmp"], ["/a", "/b", "/c"]])
def test_launcher_by_hand_tells_its_usage(argv: list[str]) -> None:
    alone = subprocess.run(
        [sys.executable, "-m", "heronshim.core.daemons.launcher", *argv],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert alone.returncode == 2
    assert "usage: launcher WORK_DIR SOCKET_DIR" in alone.stderr


def test_launcher_without_a_topology_makes_nothing(tmp_path: Path, heronshim_home: Any) -> None:
    missing = tmp_path / "words"
    alone = subprocess.run(
        [sys.executable, "-m", "heronshim.core.daemons.launcher", missing, heronshim_home.sockets],
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert alone.returncode == 66
    assert not missing.exists()
