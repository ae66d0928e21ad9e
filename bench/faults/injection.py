"""Makes faults happen to the processes of a ledger topology. Real ones, on this host.

Each function returns when the fault is over; what it killed need not be back. It undoes what
it did to the host also when something goes wrong in between.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bench.faults.cluster import wait_until
from bench.faults.ledger import EMIT, GIVE_UP
from heronshim.core.io.process_identity import is_alive, send_signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bench.faults.cluster import Cluster
    from heronshim.core.io.process_identity import ProcessIdentity

PAUSE_S = 5.0
AWAKE_S = 1.0
"""Whoever finds on waking that it was thought dead ends within this, in the same cell."""
HOARD_DESCRIPTORS = 20
POISON_AHEAD = 301
"""Ids between two that are poison: both sources and both fans meet some."""
SHORTAGE_S = 3.0
"""How long a process, or a disk, is short of something."""


def kill(cluster: Cluster, *names: str) -> None:
    """SIGKILL processes, as nearly at once as can be, and see that they are gone."""
    processes = cluster.processes()
    victims = [processes[name] for name in names]
    for name, victim in zip(names, victims, strict=True):
        assert send_signal(victim, signal.SIGKILL), f"{name} was gone before"
    wait_until(lambda: not any(map(is_alive, victims)), f"the end of {names}")


def pause(cluster: Cluster, *names: str) -> None:
    """SIGSTOP processes and let them go on PAUSE_S later."""
    processes = cluster.processes()
    with stopped(processes[name] for name in names):
        time.sleep(PAUSE_S)
    time.sleep(AWAKE_S)


def silence(cluster: Cluster, name: str) -> None:
    """SIGSTOP a process until another one has taken its place."""
    victim = cluster.processes()[name]
    with stopped([victim]):
        wait_until(lambda: not is_alive(victim), f"the end of {name}, which is silent")


@contextmanager
def stopped(victims: Iterable[ProcessIdentity]) -> Iterator[None]:
    """SIGSTOP processes, then SIGCONT."""
    found = list(victims)
    try:
        for victim in found:
            send_signal(victim, signal.SIGSTOP)
        yield
    finally:
        for victim in found:
            send_signal(victim, signal.SIGCONT)


def fill_disk(cluster: Cluster, folder: Path, then_kill: str) -> None:
    """Fill the disk under `folder`, kill a process and see it back while the disk is full."""
    ballast = folder / "ballast"
    before = cluster.processes()[then_kill]
    with ballast.open("wb", buffering=0) as file:
        try:
            for size in (1 << 16, 1):
                _write_until_full(file.fileno(), size)
            kill(cluster, then_kill)
            wait_until(lambda: cluster.processes().get(then_kill, before) != before, then_kill)
            time.sleep(SHORTAGE_S)
        finally:
            ballast.unlink()


def _write_until_full(file: int, size: int) -> None:
    try:
        while True:
            os.write(file, bytes(size))
    except OSError:
        return


def without_descriptors(cluster: Cluster, victim: str, then_kill: str) -> None:
    """Let a process open nothing new while another one that it has to do with is killed."""
    with no_new_descriptors(cluster.processes()[victim].pid):
        kill(cluster, then_kill)
        time.sleep(SHORTAGE_S)


@contextmanager
def no_new_descriptors(pid: int, but: int = 0) -> Iterator[None]:
    """Let a process open no file, but `but` of them."""
    used = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    # A limit is one of numbers, and the next file gets the lowest free one.
    limit = next(number for number in range(1 << 20) if number not in used) + but
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def hoard_descriptors(cluster: Cluster, name: str, until: Callable[[], object]) -> None:
    """Let the author's code of a process open files until it may not, and go on so."""
    with no_new_descriptors(cluster.processes()[name].pid, HOARD_DESCRIPTORS):
        order(cluster, f"descriptors {name.rpartition('-')[2]}", until)


def without_processes(cluster: Cluster, victim: str, then_kill: str) -> None:
    """Let a process start none while another one that it has to start again is killed."""
    with no_new_tasks(cluster.processes()[victim].pid):
        kill(cluster, then_kill)
        time.sleep(SHORTAGE_S)


@contextmanager
def no_new_tasks(pid: int) -> Iterator[None]:
    """Put a process into a cgroup that has room for its threads of now, and no more.

    RLIMIT_NPROC would not do: it does not hold root.
    """
    base = Path("/sys/fs/cgroup/pids")
    if not base.exists():
        base = Path("/sys/fs/cgroup")
    home = base / _cgroup_of(pid)
    cgroup = base / f"heronshim-fault-{pid}"
    cgroup.mkdir()
    try:
        (cgroup / "cgroup.procs").write_text(str(pid))
        tasks = len(list(Path(f"/proc/{pid}/task").iterdir()))
        (cgroup / "pids.max").write_text(str(tasks))
        yield
    finally:
        for left in (cgroup / "cgroup.procs").read_text().split():
            (home / "cgroup.procs").write_text(left)
        wait_until(lambda: not (cgroup / "cgroup.procs").read_text(), f"{cgroup} to be empty")
        cgroup.rmdir()


def _cgroup_of(pid: int) -> str:
    """Return the path of a process's cgroup below the controller's root."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("pids", ""):
            found = path.lstrip("/")
            if controllers == "pids":
                return found
    return found


def order(cluster: Cluster, what: str, until: Callable[[], object]) -> None:
    """Let the author's code do wrong until something is seen."""
    with orders(cluster, what):
        wait_until(until, f"what follows from {what}")
    time.sleep(AWAKE_S)


@contextmanager
def orders(cluster: Cluster, what: str) -> Iterator[None]:
    """Let the author's code do wrong: "<what> <numbers>", see UnrulyFan."""
    file = cluster.ledger_folder / "orders"
    file.write_text(what)
    try:
        yield
    finally:
        file.unlink()


def poison(cluster: Cluster, what: str, count: int) -> None:
    """Let the author's code fail at some ids to come, until sources have given them all up."""
    newest = int(cluster.ledger().of(EMIT).max())
    ids = [newest + POISON_AHEAD * number for number in range(1, count + 1)]
    with (cluster.ledger_folder / "poison").open("a") as file:
        file.writelines(f"{id_}\n" for id_ in ids)
    given_up = set(ids)
    order(
        cluster,
        f"{what} {' '.join(map(str, ids))}",
        lambda: given_up <= set(cluster.ledger().of(GIVE_UP).tolist()),
    )


def set_clock(cluster: Cluster, container: int, process: str, offset_s: int) -> None:
    """Set the wall clock of a container's processes; it stays so."""
    maps = Path(f"/proc/{cluster.processes()[process].pid}/maps").read_text()
    assert cluster.environment["LD_PRELOAD"] in maps, "the clock of processes cannot be set"
    folder = cluster.work_dir / f"container-{container}"
    (folder / "clock").write_text(str(offset_s))
    told = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time())"],
        cwd=folder, env=cluster.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert abs(float(told.stdout) - time.time() - offset_s) < AWAKE_S * 60, told.stdout
    time.sleep(SHORTAGE_S)
