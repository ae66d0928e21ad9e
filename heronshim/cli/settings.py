"""Which plugins do the work and with which options: HERONSHIM_HOME/config.yaml over defaults."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from heronshim.core.io.file_lock import write_whole
from heronshim.core.io.regular_file import read_regular
from heronshim.core.spi import registry
from heronshim.errors import ConfigError, NotFoundError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG_FILE = "config.yaml"
BRACKETS_MAX = 200
"""More opening brackets are no configuration: the parser takes minutes to give up on thousands."""
CONFIG_BYTES_MAX = 1 << 16
"""A larger file is no configuration but a mistake."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where topologies run and where what they need is kept."""

    scheduler: str
    """Entry point of the scheduler that starts containers."""
    state_manager: str
    """Entry point of the state manager that holds the state of every topology."""
    uploader: str
    """Entry point of the store of packages."""
    sinks: tuple[str, ...]
    """Entry points of metrics sinks; "tmaster" is what top and metrics read."""
    python: str
    """Interpreter of daemons and Python instances."""
    scheduler_options: dict[str, str] = field(default_factory=dict)
    """Options of the scheduler, by name."""
    state_options: dict[str, str] = field(default_factory=dict)
    """Options of the state manager, by name."""
    uploader_options: dict[str, str] = field(default_factory=dict)
    """Options of the uploader, by name."""
    sink_options: dict[str, dict[str, str]] = field(default_factory=dict)
    """Options of each sink, by sink and name."""


DESCRIPTIONS = {
    "scheduler": "who starts containers",
    "state_manager": "who holds the state of topologies",
    "uploader": "who keeps packages",
    "sinks": "where metrics go; top and metrics read the sink tmaster",
    "python": "interpreter of daemons and instances",
    "scheduler_options": "options of the scheduler: scheduler_options.<name>",
    "state_options": "options of the state manager: state_options.<name>",
    "uploader_options": "options of the uploader: uploader_options.<name>",
    "sink_options": "options of sinks: sink_options.<sink>.<name>",
}
"""Every key, and what it says."""
_GROUPS = {
    "scheduler": registry.SCHEDULERS,
    "state_manager": registry.STATE_MANAGERS,
    "uploader": registry.UPLOADERS,
    "sinks": registry.METRICS_SINKS,
}


def default_values(home: Path) -> dict[str, Any]:
    """Return what is in force without a file: everything on this host, below `home`."""
    return {
        "scheduler": "local",
        "state_manager": "file",
        "uploader": "local",
        "sinks": ["tmaster"],
        "python": sys.executable,
        "scheduler_options": {},
        "state_options": {"root": str(home / "state")},
        "uploader_options": {"root": str(home / "packages")},
        "sink_options": {},
    }


def read_settings(home: Path) -> Settings:
    """Return what is in force.

    Raises:
        ConfigError: the file cannot be read, or a key or value is wrong; one line for each.
    """
    values = effective_values(home)
    return Settings(**{**values, "sinks": tuple(values["sinks"])})


def effective_values(home: Path) -> dict[str, Any]:
    """Return the value of each key; see `read_settings`."""
    given = read_file(home)
    values = default_values(home)
    for plugin, options, own in (
        ("state_manager", "state_options", "file"),
        ("uploader", "uploader_options", "local"),
    ):
        # The default folder belongs to the default plugin; another one has options of its own.
        if given.get(plugin, own) != own:
            values[options] = {}
    for key, value in given.items():
        merged = isinstance(value, dict)
        values[key] = _texts({**values[key], **value}) if merged else value
    return values


def _texts(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with numbers as the text that plugins read."""
    return {
        name: _texts(value) if isinstance(value, dict) else str(value)
        for name, value in options.items()
    }


def read_file(home: Path) -> dict[str, Any]:
    """Return what the file sets, checked; empty when there is none."""
    path = home / CONFIG_FILE
    try:
        content = read_regular(path, CONFIG_BYTES_MAX)
    except FileNotFoundError:
        return {}
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}; check it or remove it"
        raise ConfigError(msg) from error
    values = _parsed(content, str(path), YAML(typ="safe", pure=True))
    problems = [f"{path}: {line}" for line in _problems(values)]
    if problems:
        raise ConfigError("\n".join(problems))
    return values


def set_value(home: Path, key: str, text: str) -> None:
    """Set one key in the file, keeping its comments; a list is written with commas.

    Raises:
        ConfigError: the key or value is wrong; the file is as it was.
    """
    read_file(home)
    path = home / CONFIG_FILE
    yaml = YAML()
    content = read_regular(path, CONFIG_BYTES_MAX) if path.exists() else b""
    values = _parsed(content, str(path), yaml)
    parts = key.split(".")
    head = parts[0]
    depth = {"sink_options": 3}.get(head, 2 if head.endswith("_options") else 1)
    if head not in DESCRIPTIONS:
        msg = f'unknown option "{key}".{nearest(head, DESCRIPTIONS)} See: heronshim config list'
        raise ConfigError(msg)
    if len(parts) != depth or not all(parts):
        form = {1: head, 2: f"{head}.<name>", 3: f"{head}.<sink>.<name>"}[depth]
        msg = f'option "{key}" must be written as {form}'
        raise ConfigError(msg)
    target = values
    for part in parts[:-1]:
        target = target.setdefault(part, {})
    target[parts[-1]] = [item.strip() for item in text.split(",")] if head == "sinks" else text
    problems = _problems(values)
    if problems:
        raise ConfigError("\n".join(problems))
    written = StringIO()
    yaml.dump(values, written)
    write_whole(path, written.getvalue().encode(), path.with_suffix(".new"))


def find_value(values: Mapping[str, Any], key: str) -> object:
    """Return the value of a key such as "state_options.root".

    Raises:
        NotFoundError: there is no such key; names the nearest.
    """
    found: Any = values
    for part in key.split("."):
        if not isinstance(found, dict) or part not in found:
            known = found if isinstance(found, dict) else {}
            msg = f'no option "{key}".{nearest(part, known)} See: heronshim config list'
            raise NotFoundError(msg)
        found = found[part]
    return found


def _parsed(content: bytes, path: str, yaml: YAML) -> dict[str, Any]:
    if content.count(b"[") + content.count(b"{") > BRACKETS_MAX:
        msg = f"{path}: it is nested too deeply; expected lines such as: scheduler: local"
        raise ConfigError(msg)
    try:
        values = yaml.load(content.decode())
    except UnicodeDecodeError as error:
        msg = f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8"
        raise ConfigError(msg) from error
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else path
        problem = getattr(error, "problem", None) or "no good YAML"
        msg = f"{place}: {problem}; expected lines such as: scheduler: local"
        raise ConfigError(msg) from error
    except RecursionError as error:
        msg = f"{path}: it is nested too deeply; expected lines such as: scheduler: local"
        raise ConfigError(msg) from error
    if values is None:
        return yaml.map() if not yaml.typ[0].startswith("safe") else {}
    if not isinstance(values, dict):
        msg = f"{path}: expected options by name, such as: scheduler: local"
        raise ConfigError(msg)
    return values


def _problems(values: Mapping[Any, Any]) -> list[str]:
    """Return what is wrong with keys and values, one line each."""
    problems = []
    for key, value in values.items():
        if key not in DESCRIPTIONS:
            problems.append(f'unknown option "{key}".{nearest(str(key), DESCRIPTIONS)}')
        elif key == "sink_options":
            good = isinstance(value, dict) and all(map(_is_text_map, value.values()))
            problems += [] if good else [f"{key} must hold options by sink and name"]
        elif key.endswith("_options"):
            good = _is_text_map(value)
            problems += [] if good else [f"{key} must hold text or numbers by name"]
        elif key == "sinks":
            good = isinstance(value, list) and all(isinstance(item, str) for item in value)
            names = value if good else []
            problems += [] if good else [f"{key} must be a list of names"]
            problems += [line for name in names for line in _plugin_problems(key, name)]
        elif not isinstance(value, str) or not value:
            problems.append(f"{key} must be text, not {value!r}")
        else:
            problems += _plugin_problems(key, value)
    return problems


def _plugin_problems(key: str, name: str) -> list[str]:
    group = _GROUPS.get(key)
    known = registry.names(group) if group else ()
    if not group or name in known:
        return []
    return [f'{key}: there is no "{name}"; known: {", ".join(known)}.{nearest(name, known)}']


def _is_text_map(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(item, str | int | float) and not isinstance(item, bool)
        for name, item in value.items()
    )
