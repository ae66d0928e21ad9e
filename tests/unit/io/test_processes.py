"""Processes: identity against reused ids, exit notices, starting, killing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from heronshim.core.io.process_identity import (
    ProcessIdentity,
    identify,
    is_alive,
    open_pidfd,
    process_start_ticks,
    send_signal,
    wait_ended,
)
from heronshim.core.io.processes import (
    CONTAINER_MARK,
    Spawn,
    kill_group,
    kill_marked,
    marked_processes,
    reap,
    signal_name,
    spawn,
)

DEADLINE_S = 20.0


@pytest.fixture
def sleeper() -> object:
    with subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def order(code: str, output: int, folder: Path, **changes: object) -> Spawn:
    values: dict[str, object] = {
        "argv": [sys.executable, "-S", "-c", code],
        "start_line": b"hello\n",
        "output": output,
        "cwd": str(folder),
        "environment": dict(os.environ),
        "dies_with_parent": True,
    }
    return Spawn(**(values | changes))  # type: ignore[arg-type]


def test_own_identity_is_alive() -> None:
    identity = identify(os.getpid())
    assert identity is not None
    assert is_alive(identity)


def test_reused_process_id_is_another_process(sleeper: subprocess.Popen[bytes]) -> None:
    """A pid with another start time is somebody else: never adopted, never signalled."""
    ticks = process_start_ticks(sleeper.pid)
    assert ticks is not None
    former = ProcessIdentity(sleeper.pid, ticks - 1)
    assert not is_alive(former)
    assert open_pidfd(former) is None
    assert not send_signal(former, signal.SIGKILL)
    assert wait_ended(former, 0)
    assert sleeper.poll() is None


def test_ended_process_is_not_alive_before_it_is_reaped() -> None:
    with subprocess.Popen(
        [sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE
    ) as process:
        identity = identify(process.pid)
        assert identity is not None
        assert not wait_ended(identity, 0)
        process.kill()
        assert wait_ended(identity, DEADLINE_S)
        assert not is_alive(identity)
    assert identify(0) is None
    assert identify(-1) is None


def test_child_reads_its_start_line_and_its_output_is_captured(tmp_path: Path) -> None:
    """The start line may exceed what a pipe holds: the parent never waits for a child to read."""
    line = json.dumps("x" * 3_000_000).encode() + b"\n"
    code = "import sys; data = sys.stdin.read(); print(len(data), end='')"
    with (tmp_path / "out").open("wb") as output:
        pid = spawn(order(code, output.fileno(), tmp_path, start_line=line))
        end = reap(pid)
    assert (end.exit_code, end.signal_name, str(end)) == (0, "", "exit 0")
    assert end.peak_rss_bytes > 1 << 20
    assert (tmp_path / "out").read_text() == str(len(line))


def test_child_has_its_own_group_and_a_supervisor_its_own_session(tmp_path: Path) -> None:
    code = "import os; print(os.getpgrp() == os.getpid(), os.getsid(0) == os.getpid(), end='')"
    for dies, expected in ((True, "True False"), (False, "True True")):
        with (tmp_path / "out").open("wb") as output:
            reap(spawn(order(code, output.fileno(), tmp_path, dies_with_parent=dies)))
        assert (tmp_path / "out").read_text() == expected


def test_group_kill_takes_what_the_child_started(tmp_path: Path) -> None:
    code = "import os, time\nif os.fork(): os.write(1, b'up')\ntime.sleep(600)"
    read_end, write_end = os.pipe()
    pid = spawn(order(code, write_end, tmp_path))
    os.close(write_end)
    assert os.read(read_end, 2) == b"up"
    kill_group(pid, signal.SIGKILL)
    assert reap(pid).signal_name == "SIGKILL"
    # The last holder of the pipe is the grandchild: its end of file is its death.
    assert os.read(read_end, 10) == b""
    os.close(read_end)


def test_missing_program_is_an_error_at_once(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as output, pytest.raises(FileNotFoundError):
        spawn(order("", output.fileno(), tmp_path, argv=["/nonexistent/python"]))


def test_child_dies_with_its_parent(tmp_path: Path) -> None:
    """PR_SET_PDEATHSIG: no orphan even when the parent had no time to act."""
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from heronshim.core.io.processes import Spawn, spawn\n"
        "spawn(Spawn([sys.executable, '-S', '-c', 'import time; time.sleep(600)'], b'', 1,\n"
        "            '/', dict(os.environ), True))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    read_end, write_end = os.pipe()
    with subprocess.Popen([sys.executable, "-c", script], stdout=write_end) as parent:
        os.close(write_end)
        assert os.read(read_end, 1) == b""
    assert parent.returncode == -signal.SIGKILL
    os.close(read_end)


def test_marked_processes_are_found_by_container_or_folder() -> None:
    folder = f"/tmp/{uuid.uuid4().hex}"
    marks = [f"1@{folder}", f"2@{folder}", f"1@{folder}x"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-S", "-c", "import time; print('up', flush=True); time.sleep(600)"],
            env=os.environ | {CONTAINER_MARK: mark},
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        for mark in marks
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        pids = [process.pid for process in processes]
        assert {found.pid for found in marked_processes(f"@{folder}")} == set(pids[:2])
        assert {found.pid for found in marked_processes(marks[1])} == {pids[1]}
        assert {found.pid for found in kill_marked(f"@{folder}")} == set(pids[:2])
        assert [process.wait(DEADLINE_S) for process in processes[:2]] == [-9, -9]
        assert processes[2].poll() is None
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_signal_names() -> None:
    assert (signal_name(9), signal_name(40)) == ("SIGKILL", "signal 40")


def test_wait_ended_returns_at_the_deadline(sleeper: subprocess.Popen[bytes]) -> None:
    identity = identify(sleeper.pid)
    assert identity is not None
    assert not wait_ended(identity, 0.01)
    assert is_alive(identity)
