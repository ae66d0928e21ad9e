"""A ledger topology in a home of its own, its processes by name, and what is left of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.faults.records import Ledger, problems
from heronshim.core.io.process_identity import (
    ProcessIdentity,
    identify,
    is_alive,
    send_signal,
    wait_ended,
)
from heronshim.core.io.processes import CONTAINER_MARK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEADLINE_S = 180.0
"""Only guards against hanging."""
MARK = "HERONSHIM_FAULTS_MARK"
"""Environment variable that all processes of a cluster inherit."""
TOPOLOGY_FILE = Path(__file__).with_name("ledger.py")


class Hung(Exception):  # noqa: N818 - said of a cluster
    """Something did not happen within DEADLINE_S."""


def wait_until(done: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Call `done` until it returns something true, and return that; raises Hung."""
    end_s = time.monotonic() + deadline_s
    while not (found := done()):
        if time.monotonic() > end_s:
            msg = f"waited {deadline_s:g} s for {what}"
            raise Hung(msg)
        time.sleep(0.02)
    return found


class Cluster:
    """One topology and all that belongs to it. A context manager: what is left is removed."""

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        topology: str = "Ledger",
        file: Path = TOPOLOGY_FILE,
    ) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="hf-", dir="/tmp"))
        self.home, self.sockets = self.base / "h", self.base / "s"
        self.ledger_folder = self.base / "l"
        for folder in (self.home, self.sockets, self.ledger_folder):
            folder.mkdir(mode=0o700)
        self.topology = topology
        self.work_dir = Path()
        self.broken = False
        """Whether a cell ended before the topology was whole again: use another cluster."""
        self._file = file
        self.before_kill: Callable[[], object] = lambda: None
        """Called before the topology is killed."""
        self._mark = uuid.uuid4().hex
        self.environment: dict[str, str] = {
            **os.environ,
            "HERONSHIM_HOME": str(self.home),
            "HERONSHIM_SOCKET_DIR": str(self.sockets),
            "LEDGER_FOLDER": str(self.ledger_folder),
            MARK: self._mark,
            **(environment or {}),
        }

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill what still lives and remove all files."""
        self.kill_all()
        shutil.rmtree(self.base, ignore_errors=True)

    def kill_all(self) -> None:
        """SIGKILL every process that descends from this cluster."""
        # A launcher or supervisor may start another one while it dies: until there is none.
        while left := self.marked():
            for identity in left:
                send_signal(identity, signal.SIGKILL)
                wait_ended(identity, DEADLINE_S)

    def cli(self, *words: str) -> Any:
        """Run a verb with --json; return what it prints. Raises RuntimeError with its error."""
        done = subprocess.run(
            [sys.executable, "-m", "heronshim.cli.main", *words, "--json"],
            env=self.environment, capture_output=True, text=True, timeout=2 * DEADLINE_S,
            check=False,
        )  # fmt: skip
        if done.returncode:
            msg = f"heronshim {' '.join(words)}: exit {done.returncode}: {done.stderr}"
            raise RuntimeError(msg)
        return json.loads(done.stdout)

    def start(self) -> None:
        """Submit the topology and wait for its first rows."""
        self.cli("submit", f"{self._file}:{self.topology}", "--timeout", str(DEADLINE_S))
        self.work_dir = Path(self.cli("describe", self.topology)["work_dir"])
        wait_until(lambda: len(self.ledger().rows), "the first rows")

    def finish(self) -> list[str]:
        """Let the sources end, see that all is acked, kill the topology; return what is wrong."""
        (self.ledger_folder / "end").touch()
        wait_until(lambda: not len(self.ledger().open_ids()), "acks of all that was emitted")
        self.before_kill()
        self.cli("kill", self.topology, "--yes", "--wait", "0")
        return problems(self.ledger(), whole=True) + [f"{item} is left" for item in self.left()]

    def left(self) -> list[str]:
        """Return processes, sockets, files and state nodes that are left."""
        found = [f"process {self._describe(item)}" for item in self.marked()]
        files = [*self.sockets.glob("*"), *(self.home / "crash").glob("*")]
        files += (self.home / "topologies").glob("*")
        files += (path for path in (self.home / "packages").glob("*") if path.is_dir())
        found += map(str, files)
        found += [f"topology {item['name']}" for item in self.cli("list")["topologies"]]
        return found

    def ledger(self, begin: Mapping[str, int] | None = None) -> Ledger:
        """Read the ledger as it is now, from where `sizes` was when it gave `begin`."""
        return Ledger.read(self.ledger_folder, begin)

    # ---- processes ----

    def processes(self) -> dict[str, ProcessIdentity]:
        """Return the live processes of the topology by name, the newest of each.

        Names are those of the plan, "supervisor-<container>" and "launcher".
        """
        found: dict[str, ProcessIdentity] = {}
        for name, identity in self.all_processes():
            if name not in found or identity.start_ticks >= found[name].start_ticks:
                found[name] = identity
        return found

    def all_processes(self) -> list[tuple[str, ProcessIdentity]]:
        """Return every live process of the topology with its name."""
        found = [(self._name(identity.pid), identity) for identity in self.marked()]
        return [(name, identity) for name, identity in found if name]

    def marked(self) -> list[ProcessIdentity]:
        """Return every live process that descends from this cluster."""
        wanted = f"{MARK}={self._mark}".encode()
        found = []
        for entry in os.scandir("/proc"):
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                identity = identify(int(entry.name))
                if identity is not None and wanted in _environment(identity.pid):
                    found.append(identity)
        return found

    def wait_process(self, name: str) -> ProcessIdentity:
        """Wait until a process of that name lives; return it."""
        found: ProcessIdentity = wait_until(lambda: self.processes().get(name), name)
        return found

    def events(self, container: int) -> list[dict[str, Any]]:
        """Return what a container's supervisor recorded."""
        file = self.work_dir / f"container-{container}" / "events.jsonl"
        if not file.exists():
            return []
        return [json.loads(line) for line in file.read_text().splitlines()]

    def _name(self, pid: int) -> str:
        """Return the name of a process; empty when it is none of the topology's.

        A supervisor gives each child its start line as a file on standard input.
        """
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            start = str(Path(f"/proc/{pid}/fd/0").readlink())
            # What starts a launcher, and what a supervisor has just forked, has the same command.
            leads = os.getsid(pid) == pid
        except OSError:
            return ""
        if leads and b"heronshim.core.daemons.launcher" in command:
            return "launcher"
        mark = [v for v in _environment(pid) if v.startswith(CONTAINER_MARK.encode() + b"=")]
        if not mark:
            return ""
        container = mark[0].partition(b"=")[2].partition(b"@")[0].decode()
        if leads and b"heronshim.core.daemons.container" in command:
            return f"supervisor-{container}"
        if not start.startswith("/memfd:start"):
            return ""
        try:
            return str(json.loads(Path(f"/proc/{pid}/fd/0").read_bytes())["process"])
        except (OSError, ValueError, KeyError):
            return ""

    def _describe(self, identity: ProcessIdentity) -> str:
        return f"{identity.pid} {self._name(identity.pid)}"


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def ended(identity: ProcessIdentity) -> bool:
    """Return whether a process is gone."""
    return not is_alive(identity)
