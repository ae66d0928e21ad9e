"""Memory limits: the watch on real processes, cgroup files on a tree that stands for a kernel's.

A kernel's cgroup has one writer, so no test makes one in a hierarchy that belongs to others.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from heronshim.core.io.memory_limit import MemoryCgroup, MemoryWatch, Strike
from heronshim.core.io.processes import proportional_bytes, resident_bytes, with_descendants
from heronshim.errors import SchedulerError

MIB = 1 << 20


def test_watch_strikes_above_its_limit_and_names_the_peak() -> None:
    strike = MemoryWatch(limit_bytes=1).look(os.getpid())
    assert strike is not None
    assert strike.limit_bytes == 1
    assert MIB < strike.peak_bytes < 1 << 40


def test_watch_leaves_a_process_below_its_limit_or_without_one() -> None:
    assert MemoryWatch(limit_bytes=1 << 50).look(os.getpid()) is None
    assert MemoryWatch(limit_bytes=0).look(os.getpid()) is None


def test_watch_of_a_process_that_is_gone_does_not_strike() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    assert MemoryWatch(limit_bytes=1).look(process.pid) is None


def test_descendants_count_with_shared_pages_divided() -> None:
    """A forked child shares its parent's pages: the sum of both would strike at half the limit."""
    code = (
        "import os, sys\n"
        "held = b'x' * (64 << 20)\n"
        "child = os.fork()\n"
        "if child: print('up', flush=True)\n"
        "sys.stdin.read()\n"
    )
    argv = [sys.executable, "-S", "-c", code]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        pids = with_descendants(process.pid)
        assert len(pids) == 2
        assert resident_bytes(pids) > 120 * MIB
        assert 64 * MIB < proportional_bytes(pids) < 100 * MIB
        assert MemoryWatch(100 * MIB).look(process.pid) is None
        assert MemoryWatch(60 * MIB).look(process.pid) is not None
        process.stdin.close()  # type: ignore[union-attr]


def fake_cgroup(parent: Path, files: dict[str, str]) -> None:
    folder = parent / "words-1-count-3"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)


V1 = {
    "memory.limit_in_bytes": "9223372036854771712\n",
    "memory.memsw.limit_in_bytes": "9223372036854771712\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
    "memory.max_usage_in_bytes": "70000000\n",
    "cgroup.procs": "",
}
V2 = {
    "memory.max": "max\n",
    "memory.swap.max": "max\n",
    "memory.events": "low 0\nhigh 0\nmax 4\noom 0\noom_kill 0\n",
    "memory.peak": "71000000\n",
    "cgroup.procs": "",
}


@pytest.mark.parametrize(
    ("files", "limits", "events", "peak"),
    [
        (V1, ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"), "memory.oom_control", 70),
        (V2, ("memory.max",), "memory.events", 71),
    ],
)
def test_cgroup_limits_memory_and_tells_of_the_kernels_kill(
    tmp_path: Path, files: dict[str, str], limits: tuple[str, ...], events: str, peak: int
) -> None:
    """File names and formats: kernel documentation, cgroup-v1/memory and cgroup-v2."""
    fake_cgroup(tmp_path, files)
    cgroup = MemoryCgroup(tmp_path, "words-1-count-3", 64 * MIB)
    folder = tmp_path / "words-1-count-3"
    for name in limits:
        assert (folder / name).read_text().startswith(str(64 * MIB))
    assert cgroup.strike() is None
    (folder / events).write_text(files[events].replace("oom_kill 0", "oom_kill 1"))
    assert cgroup.strike() == Strike(64 * MIB, peak * 1_000_000)
    assert cgroup.strike() is None
    assert MemoryCgroup(tmp_path, "words-1-count-3", 64 * MIB).strike() is None
    descriptor = cgroup.open_procs()
    os.close(descriptor)


def test_folder_that_is_no_cgroup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match="cgroup_parent must name a folder delegated"):
        MemoryCgroup(tmp_path, "words-1-count-3", 64 * MIB)
