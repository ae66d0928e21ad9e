"""Fixtures of tests that start processes: a home of their own, and nothing left afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from heronshim.core.io.process_identity import ProcessIdentity, identify, send_signal, wait_ended
from heronshim.core.plan.physical import ContainerPlan, ProcessPlan, Resources
from heronshim.core.plugins.file_state import FileStateManager
from heronshim.core.plugins.local_scheduler import LocalScheduler
from heronshim.core.spi.scheduler import ContainerStatus, Launch
from tests.system.auditing import audited

DEADLINE_S = 30.0
MARK = "HERONSHIM_TEST_MARK"
"""Environment variable that all processes of one test run inherit."""
DUMMY = Path(__file__).with_name("dummy_child.py")


def wait_until(done: Callable[[], Any], what: str, limit_s: float = DEADLINE_S) -> Any:
    """Call `done` until it returns something true, and return that."""
    end = time.monotonic() + limit_s
    while not (found := done()):
        if time.monotonic() > end:
            pytest.fail(f"waited {limit_s} s for {what}")
        time.sleep(0.005)
    return found


@dataclass(frozen=True)
class Home:
    """Where a test's heronshim keeps its things."""

    path: Path
    """HERONSHIM_HOME."""
    sockets: Path
    """HERONSHIM_SOCKET_DIR."""

    def left(self) -> list[str]:
        """Return what is left of topologies: files, sockets and state nodes."""
        found = [str(path) for path in self._files()]
        if (self.path / "state").exists():
            manager = FileStateManager({"root": str(self.path / "state")})
            found += [f"state node {name}" for name in manager.children("/topologies")]
            manager.close()
        return sorted(found)

    def _files(self) -> Iterator[Path]:
        for folder in ("topologies", "crash"):
            yield from (self.path / folder).glob("*")
        # The uploader keeps its lock file; packages lie in folders.
        yield from (path for path in (self.path / "packages").glob("*") if path.is_dir())
        yield from self.sockets.glob("*")


@pytest.fixture(scope="session")
def run_mark() -> Iterator[str]:
    """Mark all processes of this test run; at its end none is left."""
    mark = uuid.uuid4().hex
    os.environ[MARK] = mark
    yield mark
    left = processes_with(mark)
    del os.environ[MARK]
    assert not left, f"processes left at the end: {left}"


@pytest.fixture
def audit_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Watch all daemons that the test starts; none did wrong."""
    with audited(tmp_path_factory.mktemp("audit")) as folder:
        yield folder


@pytest.fixture
def heronshim_home(
    run_mark: str, monkeypatch: pytest.MonkeyPatch, audit_folder: Path
) -> Iterator[Home]:
    """Give the test a home with a short path; afterwards no process, file or socket is left."""
    base = Path(tempfile.mkdtemp(prefix="hs-", dir="/tmp"))
    home = Home(base / "h", base / "s")
    monkeypatch.setenv("HERONSHIM_HOME", str(home.path))
    monkeypatch.setenv("HERONSHIM_SOCKET_DIR", str(home.sockets))
    yield home
    processes = processes_with(run_mark)
    left = home.left()
    for identity in processes:
        send_signal(identity, signal.SIGKILL)
        wait_ended(identity, DEADLINE_S)
    shutil.rmtree(base, ignore_errors=True)
    assert not processes, f"processes left: {[_command(item) for item in processes]}"
    assert not left, f"files, sockets or state nodes left: {left}"


_commands: dict[ProcessIdentity, str] = {}


@pytest.fixture(autouse=True)
def _nothing_left(heronshim_home: Home) -> None:
    """Look after every system test, whether it asks for a home or not."""


def processes_with(mark: str) -> list[ProcessIdentity]:
    """Return live processes of this test run but ourselves."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            environment = Path(entry.path, "environ").read_bytes().split(b"\0")
            command = Path(entry.path, "cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:
            continue
        identity = identify(int(entry.name))
        if identity is not None and wanted in environment:
            _commands[identity] = command.decode("utf-8", "replace")
            found.append(identity)
    return found


def _command(identity: ProcessIdentity) -> str:
    return f"{identity.pid} {_commands[identity]}"


@dataclass(frozen=True)
class DummyTopology:
    """A topology whose processes are small scripts that do what a test tells them.

    What a process does is in `told/<process id>`, see dummy_child.py; what it saw at each start
    and at a stop is in `seen/`.
    """

    launch: Launch
    folder: Path

    @property
    def scheduler(self) -> LocalScheduler:
        return LocalScheduler(self.launch)

    def tell(self, process: str, *words: object) -> None:
        """Set what a process does from its next start on."""
        (self.folder / "told" / process).write_text(" ".join(str(word) for word in words))

    def starts(self, process: str) -> list[dict[str, Any]]:
        """Return what each start of a process saw, oldest first."""
        files = (self.folder / "seen").glob(f"start.{process}.*")
        found = [json.loads(file.read_text()) for file in files]
        return sorted(found, key=lambda start: start["start"]["incarnation"])

    def stops(self) -> list[str]:
        """Return the processes that saw SIGTERM, in that order."""
        files = list((self.folder / "seen").glob("stop.*"))
        return [file.name.split(".")[1] for file in sorted(files, key=lambda f: f.read_text())]

    def wait_start(self, process: str, number: int = 1) -> dict[str, Any]:
        """Wait for the `number`th start of a process; return what it saw."""
        wait_until(lambda: len(self.starts(process)) >= number, f"start {number} of {process}")
        return self.starts(process)[number - 1]

    def stop_beating(self, process: str) -> int:
        """Stop a process that was told `beats` once it has given a sign of life; return its pid."""
        pid: int = self.wait_start(process)["pid"]
        wait_until((self.folder / "seen" / f"beat.{process}.{pid}").exists, f"a beat of {process}")
        os.kill(pid, signal.SIGSTOP)
        return pid

    def status(self, container: int) -> ContainerStatus | None:
        return next((item for item in self.scheduler.status() if item.id == container), None)

    def container_folder(self, container: int) -> Path:
        return Path(self.launch.work_dir) / f"container-{container}"

    def events(self, container: int) -> list[dict[str, Any]]:
        """Return what its supervisor wrote; numbers stand beside the other fields."""
        lines = (self.container_folder(container) / "events.jsonl").read_text().splitlines()
        events = [json.loads(line) for line in lines]
        return [event | event["numbers"] for event in events]

    def wait_event(self, container: int, kind: str, **fields: object) -> dict[str, Any]:
        """Wait for an event with these fields; return the first."""

        def found() -> dict[str, Any] | None:
            try:
                events = self.events(container)
            except FileNotFoundError:
                return None
            wanted = {"kind": kind, **fields}
            return next((item for item in events if wanted.items() <= item.items()), None)

        return wait_until(found, f"{kind} {fields} in container {container}")

    def plan(self, container: int, *processes: str, ram_mb: int = 0) -> ContainerPlan:
        """Return a plan with one-task processes of component "count"."""
        required = Resources(1.0, ram_mb << 20, 0)
        return ContainerPlan(
            container,
            tuple(
                ProcessPlan(process, "count", ((container * 100 + number,),), required)
                for number, process in enumerate(processes, 1)
            ),
            required,
        )

    def with_limit(self, liveness_limit_s: float) -> DummyTopology:
        return replace(self, launch=replace(self.launch, liveness_limit_s=liveness_limit_s))

    def with_options(self, **options: str) -> DummyTopology:
        merged = self.launch.scheduler_options | options
        return replace(self, launch=replace(self.launch, scheduler_options=merged))


@pytest.fixture
def dummy_topology(
    heronshim_home: Home, tmp_path: Path
) -> Iterator[Callable[[str], DummyTopology]]:
    """Make topologies of small scripts; each is killed after the test."""
    made: list[DummyTopology] = []

    def make(name: str) -> DummyTopology:
        folder = tmp_path / name
        for part in ("told", "seen"):
            (folder / part).mkdir(parents=True)
        secret = folder / "secret"
        secret.write_text("5e" * 32)
        secret.chmod(0o600)
        kinds = ("tmaster", "stmgr", "metricsmgr", "python")
        command = [sys.executable, "-S", "-E", str(DUMMY), str(folder)]
        launch = Launch(
            topology=name,
            topology_id=f"{name}-1",
            work_dir=str(heronshim_home.path / "topologies" / name),
            socket_dir=str(heronshim_home.sockets),
            secret_path=str(secret),
            python=sys.executable,
            state_manager="memory",
            scheduler_options={"commands": json.dumps(dict.fromkeys(kinds, command))},
        )
        made.append(DummyTopology(launch, folder))
        return made[-1]

    yield make
    for topology in made:
        topology.scheduler.kill()


@pytest.fixture
def dummy(dummy_topology: Callable[[str], DummyTopology]) -> DummyTopology:
    """Make one topology of small scripts."""
    return dummy_topology("words")
