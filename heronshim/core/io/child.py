"""What a supervisor tells a process that it starts: one JSON line on standard input.

Instances import this module, so it imports little.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from heronshim.core.codec.container_json import container_plan_from_json, container_plan_to_json
from heronshim.core.codec.json_fields import JsonFields, parse_json
from heronshim.core.io.launch_file import launch_from_json
from heronshim.errors import LocalProtocolError

if TYPE_CHECKING:
    from heronshim.core.plan.physical import ContainerPlan
    from heronshim.core.spi.scheduler import Launch

START_BYTES_MAX = 32 << 20
"""Longest start line: room for a container plan of 100,000 processes."""
EXIT_ALREADY_SUPERVISED = 75
"""Exit code (EX_TEMPFAIL) of a supervisor when another one of its container lives."""
_FIELDS = (
    "launch",
    "container",
    "process",
    "incarnation",
    "token",
    "endpoint",
    "plan",
    "component",
    "package_dir",
    "heartbeat",
)


@dataclass(frozen=True, slots=True)
class ChildStart:
    """All that a process of a container knows at its start."""

    launch: Launch
    container: int
    """Container id, from 0."""
    process: str
    """Process id: "tmaster", "stmgr-1", "metricsmgr-1" or that of a ProcessPlan."""
    incarnation: int
    """Grows by each start of a process in this container."""
    token: str
    """64 hex digits for Hello.token; see `core.io.tokens`."""
    endpoint: str
    """The container's ROUTER: the stream manager's, in container 0 the TMaster's."""
    plan: ContainerPlan | None
    """None in container 0."""
    component: str = ""
    """The instance's component; empty for engine processes."""
    package_dir: str = ""
    """Folder of the extracted package; empty when the topology has none."""
    heartbeat: int = -1
    """Descriptor for signs of life, see `core.io.heartbeats`; -1: nobody watches by a pipe."""

    def to_json(self) -> str:
        """Return one line, ended by a line feed."""
        value: dict[str, object] = {
            "launch": self.launch.to_json_value(),
            "container": self.container,
            "process": self.process,
            "incarnation": self.incarnation,
            "token": self.token,
            "endpoint": self.endpoint,
            "plan": None if self.plan is None else container_plan_to_json(self.plan),
            "component": self.component,
            "package_dir": self.package_dir,
        }
        if self.heartbeat >= 0:
            value["heartbeat"] = self.heartbeat
        return json.dumps(value, separators=(",", ":")) + "\n"

    @classmethod
    def read(cls, stream: BinaryIO) -> ChildStart:
        """Read the start line from a process's standard input (`sys.stdin.buffer`); blocks.

        Raises:
            LocalProtocolError: there is no line (the process was not started by a container's
                supervisor) or it is too long.
            RemoteProtocolError: a field is missing, unknown or wrong; names it.
        """
        return cls.from_json(_read_line(stream))

    @classmethod
    def from_json(cls, line: str | bytes) -> ChildStart:
        """Return what `to_json` wrote.

        Raises:
            RemoteProtocolError: a field is missing, unknown or wrong; names it.
        """
        fields = JsonFields(parse_json(line, "start line"), "start line", _FIELDS)
        plan = fields.value("plan")
        return cls(
            launch=launch_from_json(fields.value("launch"), "start line.launch"),
            container=fields.whole("container", 0, (1 << 31) - 1),
            process=fields.text("process"),
            incarnation=fields.whole("incarnation", 1),
            token=fields.text("token"),
            endpoint=fields.text("endpoint"),
            plan=None if plan is None else container_plan_from_json(plan, "start line.plan"),
            component=fields.text("component", empty=True),
            package_dir=fields.text("package_dir", empty=True),
            heartbeat=fields.whole("heartbeat") if fields.has("heartbeat") else -1,
        )


@dataclass(frozen=True, slots=True)
class ContainerStart:
    """All that a container's supervisor knows at its start."""

    launch: Launch
    container: int
    plan: ContainerPlan | None
    """None for container 0."""
    generation: int
    """The launcher's order that it fulfils."""

    def to_json(self) -> str:
        """Return one line, ended by a line feed."""
        value = {
            "launch": self.launch.to_json_value(),
            "container": self.container,
            "plan": None if self.plan is None else container_plan_to_json(self.plan),
            "generation": self.generation,
        }
        return json.dumps(value, separators=(",", ":")) + "\n"

    @classmethod
    def read(cls, stream: BinaryIO) -> ContainerStart:
        """Read the start line from standard input; blocks.

        Raises:
            LocalProtocolError, RemoteProtocolError: as `ChildStart.read`.
        """
        line = _read_line(stream)
        names = ("launch", "container", "plan", "generation")
        fields = JsonFields(parse_json(line, "start line"), "start line", names)
        plan = fields.value("plan")
        return cls(
            launch=launch_from_json(fields.value("launch"), "start line.launch"),
            container=fields.whole("container", 0, (1 << 31) - 1),
            plan=None if plan is None else container_plan_from_json(plan, "start line.plan"),
            generation=fields.whole("generation"),
        )


def _read_line(stream: BinaryIO) -> bytes:
    line = stream.readline(START_BYTES_MAX + 1)
    if not line.strip():
        msg = (
            "no start line on standard input; this process is started by a container's "
            "supervisor, not by hand: use heronshim submit"
        )
        raise LocalProtocolError(msg)
    if len(line) > START_BYTES_MAX:
        msg = f"start line on standard input is over {START_BYTES_MAX} bytes"
        raise LocalProtocolError(msg)
    return line
