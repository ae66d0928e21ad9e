"""Ends a topology and removes all of it, also when its processes are dead or its state damaged."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from heronshim.cli.master import connect
from heronshim.cli.output import note
from heronshim.cli.submission import LOCK_WAIT_S, make_launch
from heronshim.config import TopologyOptions, parse_options
from heronshim.core.io.launch_file import read_launch, write_launch
from heronshim.core.master.messages import CommandKind
from heronshim.core.spi import registry
from heronshim.errors import HeronshimError, NotFoundError, StateError

if TYPE_CHECKING:
    from heronshim.cli.engine import Engine, Running
    from heronshim.cli.progress import Say, Steps
    from heronshim.core.io.control_client import ControlClient
    from heronshim.core.io.state_layout import TopologyNodes
    from heronshim.core.master.messages import MetricsSnapshot
    from heronshim.core.spi.scheduler import Launch

MASTER_WAIT_S = 3.0
"""A TMaster that does not answer a kill by then is taken for dead."""
PENDING_POLL_S = 0.2
REPORTS_AWAITED = 2
"""Metrics intervals after which `pending` is surely younger than the deactivation."""


def remove_topology(
    engine: Engine, name: str, steps: Steps, wait_s: float | None, topology_id: str = ""
) -> bool:
    """Stop spouts, wait for open trees, end all processes, and remove package and state.

    `wait_s` bounds the wait for open trees; None: the topology's message timeout. With
    `topology_id` only that very topology is removed, or one whose state does not say its id. May
    be repeated after a failure. Returns whether no tree was open at the end, as far as anyone
    could say.

    Raises:
        NotFoundError: there is no such topology.
        HeronshimError: something could not be removed; the rest is there to try again.
    """
    state = engine.state(name)
    with ExitStack() as lock:
        lock.callback(state.lock(LOCK_WAIT_S))
        if not state.exists() and not engine.work_dir(name).exists():
            state.require()
        if topology_id:
            _check_id(state, topology_id)
        drained = _drain(engine, name, steps, wait_s)
        engine.manager.poll()
        launch = _launch(engine, name)
        with steps.step("stop"):
            if launch is not None:
                registry.load(registry.SCHEDULERS, launch.scheduler)(launch).kill()
        engine.manager.poll()
        with steps.step("remove"):
            _remove_package(engine, name, launch)
            try:
                shutil.rmtree(engine.work_dir(name))
            except FileNotFoundError:
                pass
            except OSError as error:
                msg = f"{error.filename} cannot be removed: {error.strerror}; then kill it again"
                raise StateError(msg) from error
            # Last, so that until then a kill can be repeated.
            state.remove()
    return drained


def _check_id(state: TopologyNodes, topology_id: str) -> None:
    """Raise NotFoundError if the name is another topology's by now."""
    with suppress(StateError):
        record = state.execution_state()
        if record is not None and record.id != topology_id:
            msg = f'topology "{state.name}" is {record.id} now; {topology_id} is gone'
            raise NotFoundError(msg)


def _drain(engine: Engine, name: str, steps: Steps, wait_s: float | None) -> bool:
    """Deactivate and wait until nothing is pending; return whether that came about."""
    if wait_s is not None and wait_s <= 0:
        return False
    with steps.step("drain") as say:
        try:
            running = engine.find(name)
            with connect(running) as client:
                return _wait_for_trees(running, client, say, wait_s)
        except HeronshimError as error:
            say(f"not possible: {error}")
            return False


def _wait_for_trees(
    running: Running, client: ControlClient, say: Say, wait_s: float | None
) -> bool:
    options = parse_options(TopologyOptions, running.topology.options)
    limit_s = options.message_timeout_s if wait_s is None else wait_s
    client.ask(CommandKind.DEACTIVATE, MASTER_WAIT_S)
    began = time.monotonic()
    while True:
        snapshot = client.ask(CommandKind.METRICS, MASTER_WAIT_S).metrics
        pending = pending_trees(snapshot)
        waited_s = time.monotonic() - began
        if not pending and waited_s >= REPORTS_AWAITED * options.metrics_interval_s:
            say("nothing pending")
            return True
        say(f"{pending:.0f} pending")
        if waited_s >= limit_s:
            return False
        running.engine.manager.poll()
        time.sleep(min(PENDING_POLL_S, limit_s))


def pending_trees(snapshot: MetricsSnapshot | None) -> float:
    """Return how many trees are open in all spout tasks, by their newest reports."""
    tasks = snapshot.tasks if snapshot else ()
    return sum(task.gauges.get("pending", 0.0) for task in tasks)


def _launch(engine: Engine, name: str) -> Launch | None:
    """Return how the topology was started; None when an earlier kill removed that.

    A damaged launch file is replaced by what a submit would write now, so that the scheduler
    finds what there is to end.
    """
    try:
        return read_launch(str(engine.work_dir(name)))
    except NotFoundError:
        return None
    except StateError as error:
        note(f"warning: {error}")
        launch = make_launch(engine, name, name, {})
        write_launch(launch)
        return launch


def _remove_package(engine: Engine, name: str, launch: Launch | None) -> None:
    """Tell the uploader that this topology needs its package no more."""
    if launch is not None and launch.package_uri:
        make = registry.load(registry.UPLOADERS, launch.uploader)
        uri, uploader = launch.package_uri, make(launch.uploader_options)
    else:
        uri, uploader = "", engine.uploader()
        # Without a good launch file the record says it, unless that is damaged too.
        with suppress(StateError):
            record = engine.state(name).execution_state()
            uri = record.package_uri if record else ""
    if uri:
        uploader.undo(uri, name)
