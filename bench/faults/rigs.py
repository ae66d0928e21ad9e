"""Ledger topologies that certain faults need: small disks, a clock that can be set, an author's
code that does wrong."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.faults.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHIM = Path(__file__).with_name("clock_offset.c")
DISK_MB = 8
LOGS_CONTAINER = 1
"""The container whose logs lie on a small disk of their own."""


def logs_folder(cluster: Cluster) -> Path:
    """Return the folder of the logs that have a disk of their own."""
    return cluster.work_dir / f"container-{LOGS_CONTAINER}" / "logs"


@contextmanager
def plain(load: Mapping[str, str]) -> Iterator[Cluster]:
    """Nothing special."""
    with Cluster(load) as cluster:
        cluster.start()
        yield cluster


@contextmanager
def impatient(load: Mapping[str, str]) -> Iterator[Cluster]:
    """Silence is borne for a few seconds only."""
    with plain({**load, "LEDGER_LIVENESS_S": "8"}) as cluster:
        yield cluster


@contextmanager
def unruly(load: Mapping[str, str]) -> Iterator[Cluster]:
    """A fan that takes orders to do wrong."""
    with plain({**load, "LEDGER_UNRULY": "1"}) as cluster:
        yield cluster


@contextmanager
def poison(load: Mapping[str, str]) -> Iterator[Cluster]:
    """The same, and sources give an id up when it failed three times."""
    with unruly({**load, "LEDGER_ATTEMPTS": "3"}) as cluster:
        yield cluster


@contextmanager
def small_disks(load: Mapping[str, str]) -> Iterator[Cluster]:
    """Work folders, state and one container's logs lie on small disks of their own."""
    with Cluster(load) as cluster:
        mounted: list[Path] = []
        try:
            mounted.extend(_mount(cluster.home / name) for name in ("topologies", "state"))
            cluster.start()
            mounted.append(_mount(logs_folder(cluster)))
            # Its supervisor opens its logs anew, on the small disk.
            cluster.cli("restart", cluster.topology, "--yes", "--container", str(LOGS_CONTAINER))
            # A kill removes the folder, which it could not while something is mounted there.
            cluster.before_kill = lambda: _unmount(mounted.pop())
            yield cluster
        finally:
            cluster.kill_all()
            for folder in reversed(mounted):
                _unmount(folder)


def _mount(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = f"size={DISK_MB}m,mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    return folder


def _unmount(folder: Path) -> None:
    # Lazily: logs of a live supervisor are open in it.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def own_clocks(load: Mapping[str, str]) -> Iterator[Cluster]:
    """The wall clock of each container is off by what its file `clock` says."""
    with Cluster() as cluster:
        library = cluster.base / "clock_offset.so"
        cc = ["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(SHIM), "-ldl"]
        subprocess.run(cc, check=True)
        cluster.environment |= {
            **load,
            "LD_PRELOAD": str(library),
            # Relative to the process: its working folder is its container's.
            "CLOCK_OFFSET_FILE": "/proc/self/cwd/clock",
        }
        cluster.start()
        yield cluster


RIGS = {
    "plain": plain,
    "impatient": impatient,
    "small disks": small_disks,
    "own clocks": own_clocks,
    "unruly": unruly,
    "poison": poison,
}
