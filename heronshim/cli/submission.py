"""Starts a topology whole or not at all, and waits until it runs."""

from __future__ import annotations

import getpass
import hashlib
import secrets
import shutil
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from heronshim.cli.engine import Running
from heronshim.cli.master import connect
from heronshim.cli.version import heronshim_version
from heronshim.config import TopologyOptions, parse_options
from heronshim.core.io.file_lock import write_whole
from heronshim.core.io.launch_file import LAUNCH_FILE, read_launch
from heronshim.core.io.packages import pack
from heronshim.core.io.socket_files import socket_folder
from heronshim.core.master.messages import CommandKind, Phase
from heronshim.core.plan.physical import TopologyState
from heronshim.core.plan.records import ExecutionState
from heronshim.core.plan.topology import Language
from heronshim.core.spi import registry
from heronshim.core.spi.scheduler import Launch
from heronshim.errors import DeadlineError, HeronshimError, RefusedError, StateError

if TYPE_CHECKING:
    from heronshim.cli.engine import Engine
    from heronshim.cli.progress import Say, Steps
    from heronshim.core.io.control_client import ControlClient
    from heronshim.core.master.messages import TopologyStatus
    from heronshim.core.plan.physical import PackingPlan
    from heronshim.core.plan.topology import Topology
    from heronshim.core.spi.scheduler import Scheduler
    from heronshim.instance.loader import LoadedTopology

LOCK_WAIT_S = 40.0
"""Another submit or kill of the same name takes no longer; above the lease of one that is stopped.
"""
SECRET_BYTES = 32
SECRET_FILE = "secret"  # noqa: S105 - a name
ASK_SLICE_S = 1.0
"""How long to wait for a TMaster before looking what its scheduler says."""
POLL_S = 0.05
FIRST_TUPLE_WAIT_S = 5.0
"""A source may have nothing to say: that is no fault."""


def pack_topology(topology: Topology) -> PackingPlan:
    """Return which container runs what; raises ConfigError."""
    name = parse_options(TopologyOptions, topology.options).packing
    plan: PackingPlan = registry.load(registry.PACKINGS, name)().pack(topology)
    return plan


def submit(
    engine: Engine,
    loaded: LoadedTopology,
    steps: Steps,
    initial_state: TopologyState = TopologyState.ACTIVE,
) -> Running:
    """Store a topology and start its container 0. If any step fails, all are undone.

    Raises:
        RefusedError: a topology of that name exists.
        HeronshimError: a step failed; nothing is left of it.
    """
    name = loaded.definition.name
    state = engine.state(name)
    topology = loaded.definition
    if not topology.id:
        topology = replace(topology, id=f"{name}-{time.time_ns() // 1_000_000}")
    with steps.step("pack") as say:
        packing_plan = pack_topology(topology)
        say(_packed(packing_plan))
    with ExitStack() as lock, ExitStack() as undo:
        lock.callback(state.lock(LOCK_WAIT_S))
        if state.exists():
            msg = f'topology "{name}" exists; kill it first or choose another name with --name'
            raise RefusedError(msg)
        work_dir = engine.work_dir(name)
        _clear_leftovers(work_dir)
        undo.callback(shutil.rmtree, work_dir, ignore_errors=True)
        launch = _prepare(engine, topology)
        with steps.step("upload") as say:
            launch = _upload(engine, loaded, launch, undo)
            say(f"{len(loaded.files)} files as {launch.package_uri or 'nothing'}")
        engine.manager.poll()
        record = _record(launch, initial_state)
        state.create(topology, packing_plan, record)
        undo.callback(state.remove)
        running = Running(engine, state, record, topology, packing_plan)
        with steps.step("schedule") as say:
            scheduler: Scheduler = registry.load(registry.SCHEDULERS, launch.scheduler)(launch)
            undo.callback(scheduler.kill)
            scheduler.start_master(launch)
            say(f'by scheduler "{launch.scheduler}" in {work_dir}')
        undo.pop_all()
    return running


def wait_until_running(running: Running, steps: Steps, timeout_s: float) -> None:
    """Block until every task has joined and, for a few seconds, until a first tuple arrives.

    Raises:
        DeadlineError: it took longer; says what is missing and where to look.
    """
    deadline = time.monotonic() + timeout_s
    with connect(running) as client:
        wanted = len(running.packing_plan.containers)
        with steps.step("containers") as say:
            while True:
                status = _status(running, client, deadline, say)
                say(f"{wanted - len(status.absent_containers)}/{wanted}")
                if status.phase is Phase.RUNNING and not status.absent_containers:
                    break
                _pause(deadline, f"containers {_listed(status.absent_containers)}", running)
        with steps.step("tasks") as say:
            while True:
                status = _status(running, client, deadline, say)
                say(f"{len(status.joined_tasks)}/{status.task_count}")
                if len(status.joined_tasks) >= status.task_count:
                    break
                _pause(deadline, _absent_processes(running, status), running)
        if status.plan is None or status.plan.state is TopologyState.INACTIVE:
            return
        with steps.step("first tuple") as say:
            say(_first_tuple(client, time.monotonic() + FIRST_TUPLE_WAIT_S))


def _packed(plan: PackingPlan) -> str:
    processes = [process for container in plan.containers for process in container.processes]
    tasks = sum(len(process.tasks) for process in processes)
    containers = len(plan.containers)
    return f"{tasks} tasks, {len(processes)} processes, {containers} containers by {plan.algorithm}"


def _clear_leftovers(work_dir: Path) -> None:
    """Remove what an interrupted kill or submit left of a topology that has no state."""
    if not work_dir.exists():
        return
    if (work_dir / LAUNCH_FILE).exists():
        launch = read_launch(str(work_dir))
        registry.load(registry.SCHEDULERS, launch.scheduler)(launch).kill()
    try:
        shutil.rmtree(work_dir)
    except OSError as error:
        msg = f"what is left in {work_dir} cannot be removed: {error.strerror}; remove it by hand"
        raise StateError(msg) from error


def make_launch(engine: Engine, name: str, topology_id: str, languages: dict[str, str]) -> Launch:
    """Return how a topology is started by the settings of now, without its package.

    Raises:
        StateError: the folder of sockets cannot be used.
    """
    settings, work_dir = engine.settings, engine.work_dir(name)
    return Launch(
        topology=name,
        topology_id=topology_id,
        work_dir=str(work_dir),
        socket_dir=str(socket_folder()),
        secret_path=str(work_dir / SECRET_FILE),
        python=settings.python,
        state_manager=settings.state_manager,
        state_options=settings.state_options,
        scheduler=settings.scheduler,
        scheduler_options=settings.scheduler_options,
        uploader=settings.uploader,
        uploader_options=settings.uploader_options,
        sinks=settings.sinks,
        sink_options=settings.sink_options,
        languages=languages,
    )


def _prepare(engine: Engine, topology: Topology) -> Launch:
    """Make the work folder with the topology's secret; return how to start it."""
    work_dir = engine.work_dir(topology.name)
    secret = work_dir / SECRET_FILE
    try:
        work_dir.mkdir(mode=0o700, parents=True)
        write_whole(secret, secrets.token_hex(SECRET_BYTES).encode(), secret.with_suffix(".new"))
    except OSError as error:
        msg = f"work folder {work_dir} cannot be made: {error.strerror}; check space and rights"
        raise StateError(msg) from error
    languages = {
        component.id: str(component.language)
        for component in topology.components
        if component.language is not Language.PYTHON
    }
    launch = make_launch(engine, topology.name, topology.id, languages)
    options = parse_options(TopologyOptions, topology.options)
    return replace(launch, liveness_limit_s=options.liveness_limit_s)


def _upload(engine: Engine, loaded: LoadedTopology, launch: Launch, undo: ExitStack) -> Launch:
    """Store the author's files; nothing when there are none."""
    if not loaded.files:
        return launch
    uploader = engine.uploader()
    with tempfile.TemporaryDirectory(prefix="heronshim-package-") as folder:
        package = Path(folder) / "package.zip"
        pack(loaded.files, package)
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        uri = uploader.upload(package, launch.topology)
    undo.callback(uploader.undo, uri, launch.topology)
    return replace(launch, package_uri=uri, package_sha256=digest)


def _record(launch: Launch, initial_state: TopologyState) -> ExecutionState:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = ""
    return ExecutionState(
        name=launch.topology,
        id=launch.topology_id,
        submit_time_s=int(time.time()),
        user=user,
        scheduler=launch.scheduler,
        package_uri=launch.package_uri,
        package_sha256=launch.package_sha256,
        version=heronshim_version(),
        initial_state=initial_state,
    )


def _status(running: Running, client: ControlClient, deadline: float, say: Say) -> TopologyStatus:
    """Ask the TMaster how far it is; while there is none, say what its scheduler knows."""
    while True:
        try:
            status = client.ask(CommandKind.STATUS, ASK_SLICE_S).status
        except DeadlineError:
            master = next(
                (one for one in running.engine.scheduler(running.name).status() if one.id == 0),
                None,
            )
            cause = master.cause if master else ""
            say(f"waiting for the TMaster{f', last end: {cause}' if cause else ''}")
            _pause(deadline, "the TMaster", running)
            continue
        if status is not None:
            return status


def _pause(deadline: float, missing: str, running: Running) -> None:
    if time.monotonic() >= deadline:
        name = running.name
        msg = f'topology "{name}" is not up in time; missing: {missing}; see: heronshim logs {name}'
        raise DeadlineError(msg)
    time.sleep(POLL_S)


def _absent_processes(running: Running, status: TopologyStatus) -> str:
    joined = set(status.joined_tasks)
    absent = [
        process.id
        for container in running.packing_plan.containers
        for process in container.processes
        if not joined.issuperset(process.tasks)
    ]
    return f"processes {_listed(absent)}"


def _listed(items: object) -> str:
    names = [str(item) for item in items] if isinstance(items, list | tuple) else []
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _first_tuple(client: ControlClient, deadline: float) -> str:
    """Return what to say of the first tuple: waits for one until `deadline`."""
    while time.monotonic() < deadline:
        try:
            metrics = client.ask(CommandKind.METRICS, ASK_SLICE_S).metrics
        except HeronshimError:
            metrics = None
        tasks = metrics.tasks if metrics else ()
        if any(name.startswith("emit_count") for task in tasks for name in task.sums):
            return "arrived"
        time.sleep(POLL_S)
    return "none yet"
