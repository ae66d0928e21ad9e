"""Finds SPI implementations by entry point name."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from heronshim.errors import ConfigError, nearest

SCHEDULERS = "heronshim.schedulers"
STATE_MANAGERS = "heronshim.state_managers"
UPLOADERS = "heronshim.uploaders"
METRICS_SINKS = "heronshim.metrics_sinks"
PACKINGS = "heronshim.packings"
CHECKPOINT_STORES = "heronshim.checkpoint_stores"


def names(group: str) -> tuple[str, ...]:
    """Return what is registered in an entry point group, ascending."""
    return tuple(sorted({point.name for point in entry_points(group=group)}))


def load(group: str, name: str) -> Any:
    """Return the class registered under `name` in an entry point group.

    Raises:
        ConfigError: there is none, or it cannot be imported; names what there is.
    """
    found = {point.name: point for point in entry_points(group=group)}
    if name not in found:
        known = ", ".join(sorted(found)) or "none installed"
        kind = group.rpartition(".")[2].replace("_", " ")
        msg = f'no {kind} named "{name}"; known: {known}.{nearest(name, found)}'
        raise ConfigError(msg)
    try:
        return found[name].load()
    except Exception as error:
        msg = f'{group} "{name}" ({found[name].value}) cannot be loaded: {error}'
        raise ConfigError(msg) from error
