"""Options of the local scheduler (Launch.scheduler_options), read by it and its daemons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heronshim.core.codec.json_fields import JsonFields, parse_json
from heronshim.core.io.rotating_log import LOG_BYTES_MAX, LOG_FILES_MAX
from heronshim.core.plugins.java_command import java_argv
from heronshim.core.plugins.plugin_options import refuse_unknown, whole_number
from heronshim.errors import ConfigError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLUGIN = 'scheduler "local"'
_DAEMONS = {
    "tmaster": "heronshim.core.daemons.tmaster",
    "stmgr": "heronshim.core.daemons.stmgr",
    "metricsmgr": "heronshim.core.daemons.metricsmgr",
    "package": "heronshim.core.daemons.package_fetch",
    "python": "heronshim.instance.main",
}
"""Module of each kind of process; an instance's kind is its language."""
KINDS = (*_DAEMONS, "java", "cpp", "shell")
"""All kinds that `commands` may name. Each Language is one; that module takes 5 ms to import."""


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """Parsed options."""

    log_file_bytes: int = LOG_BYTES_MAX
    """Size at which a process's log is rotated."""
    log_files: int = LOG_FILES_MAX
    """Files kept of one log."""
    memory_limit: bool = True
    """Whether an instance that exceeds its RAM is killed."""
    cgroup_parent: str = ""
    """Folder of a delegated cgroup, below which each instance gets its own; empty: none."""
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Replaces the command of a kind of process: for wrappers (taskset, a profiler) and tests."""

    @classmethod
    def parse(cls, options: Mapping[str, str]) -> LocalOptions:
        """Read Launch.scheduler_options.

        Raises:
            ConfigError: an option is unknown or wrong.
        """
        names = ("log_file_bytes", "log_files", "memory_limit", "cgroup_parent", "commands")
        refuse_unknown(_PLUGIN, options, names)
        limit = options.get("memory_limit", "on")
        if limit not in {"on", "off"}:
            msg = f'{_PLUGIN}: option "memory_limit" must be on or off, not "{limit}"'
            raise ConfigError(msg)
        return cls(
            log_file_bytes=whole_number(
                _PLUGIN, options, "log_file_bytes", LOG_BYTES_MAX, (1024, 1 << 50)
            ),
            log_files=whole_number(_PLUGIN, options, "log_files", LOG_FILES_MAX, (1, 1000)),
            memory_limit=limit == "on",
            cgroup_parent=options.get("cgroup_parent", ""),
            commands=_commands(options.get("commands", "{}")),
        )

    def argv(self, kind: str, python: str, ram_bytes: int = 0) -> tuple[str, ...]:
        """Return the command of a kind of process, run by the interpreter `python`.

        `ram_bytes`: the process's memory limit, for languages that must know; 0 for none.

        Raises:
            ConfigError: instances of that language cannot be started.
        """
        if kind in self.commands:
            return self.commands[kind]
        if kind in _DAEMONS:
            # -P: a file in the working folder must not stand in for a module.
            return (python, "-P", "-m", _DAEMONS[kind])
        if kind == "java":
            return java_argv(ram_bytes)
        msg = f"instances in {kind} cannot be started; this version runs Python and Java components"
        raise ConfigError(msg)


def _commands(text: str) -> dict[str, tuple[str, ...]]:
    path = f'{_PLUGIN}: option "commands"'
    try:
        fields = JsonFields(parse_json(text, path), path, KINDS)
        found = {kind: fields.texts(kind) for kind in KINDS if fields.has(kind)}
    except RemoteProtocolError as error:
        raise ConfigError(str(error)) from error
    for kind, argv in found.items():
        if not argv:
            msg = f"{path}.{kind} is empty; expected a program and its arguments"
            raise ConfigError(msg)
    return found
