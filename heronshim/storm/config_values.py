"""Storm's configuration: JSON maps, numbers as Storm reads them, and which keys have an effect.

Source of names and defaults: org.apache.storm.Config and defaults.yaml of storm-client 2.8.3.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from heronshim.storm.errors import InvalidTopologyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Conf = Mapping[str, Any]

INT_MIN, INT_MAX = -(1 << 31), (1 << 31) - 1
"""Java's int."""
ACKERS = "topology.acker.executors"
ACKERS_PER_WORKER = "topology.ras.acker.executors.per.worker"
DEBUG = "topology.debug"
DECORATORS = "topology.kryo.decorators"
ERROR_INTERVAL = "topology.error.throttle.interval.secs"
ERRORS_PER_INTERVAL = "topology.max.error.report.per.interval"
EVENT_LOGGERS = "topology.eventlogger.executors"
KRYO_REGISTER = "topology.kryo.register"
MAX_PARALLELISM = "topology.max.task.parallelism"
MAX_PENDING = "topology.max.spout.pending"
METRICS_CONSUMERS = "topology.metrics.consumer.register"
NAME = "topology.name"
SPOUT_WAIT_MS = "topology.sleep.spout.wait.strategy.time.ms"
STORM_ID = "storm.id"
TASKS = "topology.tasks"
TICK_SECS = "topology.tick.tuple.freq.secs"
TIMEOUT_SECS = "topology.message.timeout.secs"
TIMEOUTS = "topology.enable.message.timeouts"
WORKERS = "topology.workers"

DEFAULTS: dict[str, Any] = {
    ACKERS_PER_WORKER: 1,
    DEBUG: False,
    ERROR_INTERVAL: 10,
    ERRORS_PER_INTERVAL: 5,
    EVENT_LOGGERS: 0,
    SPOUT_WAIT_MS: 1,
    TIMEOUTS: True,
    TIMEOUT_SECS: 30,
    WORKERS: 1,
}
"""Of the keys that plans are made from."""
_USED = frozenset(
    {ACKERS, MAX_PARALLELISM, MAX_PENDING, METRICS_CONSUMERS, NAME, TASKS, TICK_SECS, *DEFAULTS}
)
_READ_BY_STORM_CLIENT = (
    "topology.auto.task.hooks",
    "topology.bolts.",
    "topology.fall.back.on.java.serialization",
    "topology.kryo.",
    "topology.skip.missing.kryo.registrations",
    "topology.state.",
    "topology.transactional.",
    "topology.trident.",
    "topology.tuple.serializer",
)
"""Beginnings of keys that classes of storm-client read inside an instance."""
_ADDED_BY_CLIENTS = ("topology.submitter.",)
"""Beginnings of keys that nobody set on purpose."""


def parse_conf(text: str, what: str) -> dict[str, Any]:
    """Return a map of configuration from JSON; an empty text is an empty map.

    Raises:
        InvalidTopologyError: it is no JSON object; begins with `what`.
    """
    if not text:
        return {}
    try:
        found = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        msg = f"{what} cannot be read: {reason}; expected a JSON object"
        raise InvalidTopologyError(msg) from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        msg = f"{what} is a JSON {type(found).__name__}; expected an object"
        raise InvalidTopologyError(msg)
    return found


def dump_conf(conf: Conf) -> str:
    """Return a map of configuration as JSON."""
    return json.dumps(conf, separators=(",", ":"))


def integer(
    conf: Conf, key: str, default: int | None = None, *, least: int = INT_MIN
) -> int | None:
    """Return a whole number as Storm's ObjectReader.getInt reads it; texts of digits are good.

    Raises:
        InvalidTopologyError: the value is something else, no Java int, or below `least`.
    """
    value = conf.get(key)
    if value is None:
        return DEFAULTS.get(key, default)
    found: object = value
    if isinstance(value, str):
        try:
            found = int(value)
        except ValueError:
            found = None
    if isinstance(found, bool) or not isinstance(found, int) or not INT_MIN <= found <= INT_MAX:
        msg = f"Config {key} is {_shown(value)}; expected a whole number of at most 32 bits"
        raise InvalidTopologyError(msg)
    if found < least:
        msg = f"Config {key} is {found}; expected at least {least}"
        raise InvalidTopologyError(msg)
    return found


def boolean(conf: Conf, key: str) -> bool:
    """Return true or false.

    Raises:
        InvalidTopologyError: the value is something else.
    """
    value = conf.get(key)
    if value is None:
        return bool(DEFAULTS.get(key, False))
    if not isinstance(value, bool):
        msg = f"Config {key} is {_shown(value)}; expected true or false"
        raise InvalidTopologyError(msg)
    return value


def keys_without_effect(confs: Iterable[Conf]) -> list[str]:
    """Return Storm's keys that were set and change nothing here, ascending.

    Keys that do not begin with "topology." are the author's own or those of Storm's daemons.
    """
    return sorted(
        {
            key
            for conf in confs
            for key, value in conf.items()
            if key.startswith("topology.")
            and value is not None
            and key not in _USED
            and not key.startswith(_READ_BY_STORM_CLIENT + _ADDED_BY_CLIENTS)
        }
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        msg = f"{text[:100]} is beyond all numbers of 64 bits"
        raise ValueError(msg)
    return number


def _refuse_constant(name: str) -> float:
    msg = f"{name} is no JSON number"
    raise ValueError(msg)
