"""Throw-away processes end in time, with all that they started, whatever they do."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from heronshim.core.io.process_identity import identify
from heronshim.storm.sandbox import FILE_BYTES_MAX, Cause, SandboxEnd, run_sandboxed

PATIENCE_S = 60.0
RAM_BYTES = 1 << 30


def run(code: str, timeout_s: float = PATIENCE_S, ram_bytes: int = RAM_BYTES) -> SandboxEnd:
    return asyncio.run(run_sandboxed([sys.executable, "-S", "-c", code], timeout_s, ram_bytes))


def is_gone(pid: int) -> bool:
    identity = identify(pid)
    return identity is None


def wait_gone(file: Path) -> None:
    """Wait until the process whose id is in a file is gone."""
    end = time.monotonic() + PATIENCE_S
    while not is_gone(int(file.read_text())):
        assert time.monotonic() < end, "a process is left"
        time.sleep(0.01)


def test_how_it_ends_is_told() -> None:
    end = run("import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)")
    assert (end.cause, end.exit_code, end.how) == (Cause.EXIT, 7, "exit code 7")
    assert sorted(end.last_lines(5)) == ["err", "out"]
    killed = run("import os; os.kill(os.getpid(), 11)")
    assert (killed.cause, killed.exit_code, killed.how) == (Cause.EXIT, None, "SIGSEGV")


def test_it_has_no_input_and_limits() -> None:
    limits = "[r.getrlimit(kind)[0] for kind in (r.RLIMIT_CORE, r.RLIMIT_FSIZE)]"
    code = (
        "import resource as r, sys, time\n"
        "while r.getrlimit(r.RLIMIT_FSIZE)[0] == r.RLIM_INFINITY: time.sleep(0.01)\n"
        f"print(repr(sys.stdin.read()), *{limits})"
    )
    assert run(code).last_lines(1) == [f"'' 0 {FILE_BYTES_MAX}"]


def test_what_takes_too_long_is_killed_with_what_it_started(tmp_path: Path) -> None:
    """A child in its group, and one that left it."""
    code = f"""
import subprocess, sys, time
for name, own in (("group", False), ("own", True)):
    child = subprocess.Popen(["sleep", "1000"], start_new_session=own)
    with open({str(tmp_path)!r} + "/" + name, "w") as file:
        file.write(str(child.pid))
while True:
    print("x" * 10000)
"""
    end = asyncio.run(
        run_sandboxed(
            [sys.executable, "-S", "-c", code],
            PATIENCE_S,
            RAM_BYTES,
            lambda: (tmp_path / "own").exists() and bool((tmp_path / "own").read_text()),
        )
    )
    assert end.cause is Cause.ENOUGH
    assert run("import time; time.sleep(1000)", timeout_s=0.3).cause is Cause.TIME
    assert len(end.output) <= 1 << 16
    for name in ("group", "own"):
        wait_gone(tmp_path / name)


def test_what_takes_too_much_memory_is_killed() -> None:
    code = "import time; held = bytearray(200 << 20); time.sleep(1000)"
    assert run(code, ram_bytes=100 << 20).cause is Cause.MEMORY


def test_it_dies_with_who_asked(tmp_path: Path) -> None:
    """SIGKILL gives nobody a chance to clean up."""
    file = tmp_path / "pid"
    inner = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(1000)"
    code = (
        "import asyncio, sys\n"
        "from heronshim.storm.sandbox import run_sandboxed\n"
        f"asyncio.run(run_sandboxed([sys.executable, '-S', '-c', {inner!r}], 1000.0, 1 << 30))\n"
    )
    outer = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", code])
    end = time.monotonic() + PATIENCE_S
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(outer, 9)
    os.waitpid(outer, 0)
    wait_gone(file)


def test_a_program_that_is_not_there_is_told() -> None:
    end = asyncio.run(run_sandboxed(["/nonexistent/java"], PATIENCE_S, RAM_BYTES))
    assert end.cause is Cause.EXIT
    assert end.exit_code
    assert "No such file" in end.output
