"""What a launcher wants to run and what it knows to run, and the file launcher.json of it.

The file says what is wanted before it is done: a launcher that dies in between leaves its
successor the order, and the successor finds the supervisors by pid and start time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heronshim.core.codec.container_json import container_plan_from_json, container_plan_to_json
from heronshim.core.codec.json_fields import JsonFields, parse_json
from heronshim.core.io.backoff import RestartBackoff
from heronshim.core.io.file_lock import write_whole
from heronshim.core.io.process_identity import ProcessIdentity
from heronshim.core.io.regular_file import read_regular
from heronshim.errors import RemoteProtocolError, StateError

if TYPE_CHECKING:
    from pathlib import Path

    from heronshim.core.io.heartbeats import HeartbeatReader
    from heronshim.core.plan.physical import ContainerPlan

STATE_FILE = "launcher.json"
"""Its name in Launch.work_dir."""
REQUESTS_KEPT = 64
"""Ids of the last orders that are remembered, so that a repeated one is not carried out twice."""
_FILE_BYTES_MAX = 64 << 20


@dataclass(slots=True)
class Container:
    """One container: the wanted state first, then what is known of its supervisor."""

    id: int
    plan: ContainerPlan | None
    """None for container 0."""
    generation: int = 1
    """Grows with each restart or new plan asked for; a supervisor of an older one is stopped."""
    is_wanted: bool = True
    """False: it is stopped for good and then forgotten."""
    restarts: int = 0
    cause: str = ""
    """Why it ended last, for people."""
    identity: ProcessIdentity | None = None
    """Its supervisor; None when none runs."""
    started_generation: int = 0
    """The generation that its supervisor runs."""
    pidfd: int = -1
    is_child: bool = False
    """False: adopted, its exit status goes to somebody else."""
    started_ns: int = 0
    start_at_ns: int = 0
    """Not started before."""
    heartbeats: HeartbeatReader | None = None
    """Its supervisor's signs of life; None when none runs or they cannot be read."""
    suspected: tuple[str, ...] = ()
    """Processes that its supervisor suspects."""
    silent_ns: int = 0
    """How long its supervisor was silent when it was killed for that; 0: it was not."""
    stop_deadline_ns: int = 0
    """When a supervisor that was asked to stop is killed; 0 = it was not asked."""
    is_cleared: bool = True
    """Whether nothing is left of its last supervisor's processes and socket."""
    backoff: RestartBackoff = field(default_factory=RestartBackoff)


@dataclass(slots=True)
class LauncherState:
    """Containers by id, and the ids of the orders that were taken last."""

    containers: dict[int, Container] = field(default_factory=dict)
    done_requests: list[str] = field(default_factory=list)
    is_killed: bool = False
    """Whether everything is to go, the work folder last."""

    def remember(self, request_id: str) -> None:
        """Note that an order has been taken."""
        self.done_requests = [*self.done_requests, request_id][-REQUESTS_KEPT:]


def write_state(path: Path, state: LauncherState) -> None:
    """Write launcher.json whole or not at all.

    Raises:
        StateError: it cannot be written.
    """
    containers = [_to_json(container) for container in state.containers.values()]
    value: dict[str, object] = {"version": 1, "containers": containers}
    value |= {"done_requests": state.done_requests, "is_killed": state.is_killed}
    try:
        write_whole(path, json.dumps(value).encode() + b"\n", path.with_suffix(".new"))
    except OSError as error:
        msg = f"launcher state {path} cannot be written: {error}; free its disk"
        raise StateError(msg) from error


def read_state(path: Path) -> LauncherState:
    """Read launcher.json; an empty state when there is no file.

    Raises:
        StateError: it is damaged or cannot be read; names the field.
    """
    try:
        content = read_regular(path, _FILE_BYTES_MAX)
        names = ("version", "containers", "done_requests", "is_killed")
        fields = JsonFields(parse_json(content, "launcher"), "launcher", names)
        fields.whole("version", 1, 1)
        containers = [
            _from_json(item, f"launcher.containers[{index}]")
            for index, item in enumerate(fields.items("containers"))
        ]
        state = LauncherState(
            {container.id: container for container in containers},
            list(fields.texts("done_requests")),
            fields.flag("is_killed"),
        )
    except FileNotFoundError:
        return LauncherState()
    except (OSError, RemoteProtocolError) as error:
        msg = f"launcher state {path} cannot be read: {error}"
        raise StateError(msg) from error
    return state


def _to_json(container: Container) -> dict[str, object]:
    plan, identity = container.plan, container.identity
    return {
        "id": container.id,
        "plan": None if plan is None else container_plan_to_json(plan),
        "generation": container.generation,
        "is_wanted": container.is_wanted,
        "restarts": container.restarts,
        "cause": container.cause,
        "pid": 0 if identity is None else identity.pid,
        "start_ticks": 0 if identity is None else identity.start_ticks,
        "started_generation": container.started_generation,
    }


def _from_json(value: object, path: str) -> Container:
    names = (
        "id",
        "plan",
        "generation",
        "is_wanted",
        "restarts",
        "cause",
        "pid",
        "start_ticks",
        "started_generation",
    )
    fields = JsonFields(value, path, names)
    plan = fields.value("plan")
    pid = fields.whole("pid")
    return Container(
        id=fields.whole("id"),
        plan=None if plan is None else container_plan_from_json(plan, f"{path}.plan"),
        generation=fields.whole("generation"),
        is_wanted=fields.flag("is_wanted"),
        restarts=fields.whole("restarts"),
        cause=fields.text("cause", empty=True),
        identity=ProcessIdentity(pid, fields.whole("start_ticks")) if pid else None,
        started_generation=fields.whole("started_generation"),
    )
