"""Engine options: one frozen dataclass each for a topology and for a component.

Unknown keys and wrong values are ConfigErrors that name the key, what was expected and the
nearest known key. Each field says its unit, its range and why its default is what it is.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from heronshim.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class TopologyOptions:
    """Options of a whole topology."""

    containers: int = 1
    """Containers to spread tasks over, from 1 (Storm's topology.workers)."""
    delivery: str = "at_least_once"
    """at_least_once: a tuple with a message id is tracked; at_most_once: it is acked at emit."""
    message_timeout_s: float = 30.0
    """A tree open for longer than this fails, at most a quarter later (Storm: 30, twice)."""
    message_timeouts: bool = True
    """Whether trees time out at all (Storm's topology.enable.message.timeouts)."""
    fail_fast: bool | None = None
    """Whether trees hit by a loss fail before their timeout; None = not for Storm's and Heron's."""
    backpressure: str = "hop"
    """hop: a slow task holds its own sources back; topology: all spouts pause until it is relieved
    (Heron's)."""
    max_spout_pending: int = 5000
    """Open trees per spout task before it is not called; 0 = no limit (best on 2 cores)."""
    on_user_exception: str = "fail_tuple"
    """fail_tuple: report, fail the tuple, go on; restart: report and end the process (Storm's)."""
    packing: str = "round_robin"
    """Entry point name of the packing algorithm."""
    container_padding_percent: float = 10.0
    """Room added to each container's sum, from 0 (Heron: 10)."""
    container_cpu: float = 0.0
    """Cores a container may hold; 0 = the sum of what is in it."""
    container_ram_mb: float = 0.0
    """Megabytes a container may hold; 0 = the sum of what is in it."""
    container_disk_mb: float = 0.0
    """Megabytes of disk a container may hold; 0 = the sum of what is in it."""
    flush_age_ms: float = 1.0
    """A row waits no longer than this for its batch to fill (measured: 1-2 ms at low load)."""
    batch_rows: int = 2000
    """Rows that close a batch, 1 to 65535 (words: `batch_bytes` closes it at about 1,800)."""
    batch_bytes: int = 32768
    """Bytes that close a batch (32 KB, as Heron's instances write)."""
    error_report_max: int = 5
    """Errors that a task reports in one interval; more are counted (Storm: 5)."""
    error_report_interval_s: float = 10.0
    """The interval of error_report_max (Storm: 10)."""
    spout_wait_ms: float = 1.0
    """Pause after a next_tuple that emitted nothing (Storm: 1)."""
    metrics_interval_s: float = 1.0
    """Time between two metrics reports of an instance; a graph is fresh within two of them."""
    liveness_limit_s: float = 30.0
    """Silence after which a process is killed and started again (Storm's worker time-out: 30)."""


@dataclass(frozen=True, slots=True)
class ComponentOptions:
    """Options of one component; None means the topology's value."""

    tick_interval_s: float | None = None
    """Seconds between tick tuples for each task of a bolt; None = none."""
    max_spout_pending: int | None = None
    """Overrides the topology's for this spout."""
    on_user_exception: str | None = None
    """Overrides the topology's for this component."""
    cpu: float = 1.0
    """Cores of one executor (Heron: 1)."""
    ram_mb: float = 1024.0
    """Megabytes of one executor (Heron: 1 GB)."""
    disk_mb: float = 1024.0
    """Megabytes of disk of one executor (Heron: 1 GB)."""
    holds_tuples: bool | None = None
    """Whether a bolt acks late (windows, batches, state): no fail_fast upstream; None = class's."""
    process: str = "executor"
    """executor: a process per executor; container: one for all its executors of a container."""
    debug: bool = False
    """Whether each emit is a line in the instance's log; slow (Storm's topology.debug)."""


CHOICES: dict[str, tuple[str, ...]] = {
    "backpressure": ("hop", "topology"),
    "delivery": ("at_least_once", "at_most_once"),
    "on_user_exception": ("fail_tuple", "restart"),
    "process": ("executor", "container"),
}
"""Values of options that are one of a few words."""
RANGES: dict[str, tuple[float, float]] = {
    "containers": (1, 10_000),
    "message_timeout_s": (0.05, 1e7),
    "max_spout_pending": (0, 1 << 24),
    "container_padding_percent": (0, 1000),
    "container_cpu": (0, 1e6),
    "container_ram_mb": (0, 1e9),
    "container_disk_mb": (0, 1e12),
    "flush_age_ms": (0.01, 10_000),
    "batch_rows": (1, 65_535),
    "batch_bytes": (64, 64 * MIB),
    "error_report_max": (1, 10_000),
    "error_report_interval_s": (0.1, 86_400),
    "spout_wait_ms": (0.01, 10_000),
    "metrics_interval_s": (0.05, 3600),
    "liveness_limit_s": (1, 86_400),
    "tick_interval_s": (0.001, 1e7),
    "cpu": (0, 1e6),
    "ram_mb": (1, 1e9),
    "disk_mb": (0, 1e12),
}
"""Lowest and highest value of options that are numbers."""
Options = TypeVar("Options", TopologyOptions, ComponentOptions)


def parse_options(kind: type[Options], values: Mapping[str, object]) -> Options:
    """Build options of `kind` from what an author set.

    Raises:
        ConfigError: one line for each unknown key and wrong value.
    """
    problems: list[str] = []
    known = {item.name: item for item in fields(kind)}
    accepted: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            problems.append(f'unknown option "{key}".{nearest(key, known)}')
            continue
        problem = _wrong(key, value, str(known[key].type))
        if problem:
            problems.append(problem)
        else:
            accepted[key] = value
    if problems:
        raise ConfigError("\n".join(problems))
    return kind(**accepted)


def _wrong(key: str, value: object, annotation: str) -> str:
    """Return what is wrong with a value, or an empty string."""
    if value is None:
        return "" if "None" in annotation else f'option "{key}" must not be null'
    if key in CHOICES:
        if value in CHOICES[key]:
            return ""
        expected = " or ".join(CHOICES[key])
        return (
            f'option "{key}" must be {expected}, not {value!r}.{nearest(str(value), CHOICES[key])}'
        )
    if annotation.startswith("bool"):
        return (
            ""
            if isinstance(value, bool)
            else f'option "{key}" must be true or false, not {value!r}'
        )
    if annotation.startswith("str"):
        return "" if isinstance(value, str) else f'option "{key}" must be text, not {value!r}'
    wanted = "a whole number" if annotation.startswith("int") else "a number"
    types: tuple[type, ...] = (int,) if annotation.startswith("int") else (int, float)
    if isinstance(value, bool) or not isinstance(value, types):
        return f'option "{key}" must be {wanted}, not {value!r}'
    low, high = RANGES[key]
    assert isinstance(value, (int, float))
    if not low <= value <= high:
        return f'option "{key}" must be {wanted} from {low:g} to {high:g}, not {value!r}'
    return ""
