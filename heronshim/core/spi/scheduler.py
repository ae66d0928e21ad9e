"""Scheduler SPI: who starts and stops containers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heronshim.core.plan.physical import ContainerPlan

LIVENESS_LIMIT_S = 30.0
"""Limit of a topology that sets none (Storm's worker time-out)."""


@dataclass(frozen=True, slots=True)
class Launch:
    """All that a container needs to start, beside its plan. Written as JSON, mode 0600.

    No secret is in it: `secret_path` names a 0600 file with 64 hex digits (256 bits).
    """

    topology: str
    """Name."""
    topology_id: str
    work_dir: str
    """0700 folder of this topology: logs, launch files, extracted package, secret."""
    socket_dir: str
    """Short 0700 folder for Unix sockets, named by 8 hex digits."""
    secret_path: str
    python: str
    """Interpreter that runs daemons and Python instances."""
    state_manager: str
    """Entry point name."""
    state_options: dict[str, str] = field(default_factory=dict)
    scheduler: str = "local"
    scheduler_options: dict[str, str] = field(default_factory=dict)
    package_uri: str = ""
    package_sha256: str = ""
    uploader: str = "local"
    uploader_options: dict[str, str] = field(default_factory=dict)
    sinks: tuple[str, ...] = ("tmaster",)
    """Entry point names of metrics sinks."""
    sink_options: dict[str, dict[str, str]] = field(default_factory=dict)
    languages: dict[str, str] = field(default_factory=dict)
    """Language of each component that is not written in Python."""
    liveness_limit_s: float = LIVENESS_LIMIT_S
    """Silence after which a process is replaced."""

    def to_json_value(self) -> dict[str, object]:
        """Return plain values for json.dumps."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """What the scheduler knows of one container."""

    id: int
    pid: int
    """Process id of its supervisor; 0 when it is not running."""
    running: bool
    restarts: int
    """How often the scheduler has started it again."""
    cause: str = ""
    """Why it ended last, for people."""
    suspected: tuple[str, ...] = ()
    """Process ids of the container that are silent now; its supervisor is "supervisor-<id>"."""


class Scheduler(Protocol):
    """Starts and stops the containers of one topology. Made with the topology's Launch alone.

    Each call blocks until the scheduler has taken the order (not until the container is up) and
    may be repeated: an order already carried out is not done twice. Errors: SchedulerError.
    """

    def start_master(self, launch: Launch) -> None:
        """Start container 0 (TMaster and a metrics manager)."""

    def add_containers(self, plans: Sequence[ContainerPlan], launch: Launch) -> None:
        """Start containers; one that runs already with the same plan is left alone."""

    def remove_containers(self, ids: Sequence[int]) -> None:
        """Stop containers for good."""

    def restart(self, ids: Sequence[int], request_id: str = "") -> None:
        """Stop and start containers; an empty list means all but container 0.

        What has the `request_id` of an earlier one is not done again, whoever asks: a client
        repeats its command when the TMaster dies before it answers. Without one each call counts.
        """

    def kill(self) -> None:
        """Stop everything and leave nothing: no process, file or socket of the topology.

        Returns only when it is gone. Raises DeadlineError when something would not die.
        """

    def status(self) -> list[ContainerStatus]:
        """Return all containers, ascending by id; empty when the topology is not running."""
