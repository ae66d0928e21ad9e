"""Verb doctor: whether this host can run topologies, and the fix of each thing that is wrong."""

from __future__ import annotations

import os
import resource
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer
import zmq

from heronshim.cli.engine import Engine
from heronshim.cli.home import home_folder, home_path
from heronshim.cli.output import (
    JsonOption,
    Output,
    OutputOption,
    print_json,
    print_line,
    print_table,
    wants_json,
)
from heronshim.cli.settings import read_settings
from heronshim.core.io.socket_files import socket_folder, socket_path
from heronshim.core.spi import registry
from heronshim.errors import HeronshimError

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN_FILES_MIN = 1024
"""A container of 100 instances has some 300 sockets and pipes."""
DISK_BYTES_MIN = 1 << 30
MEMORY_BYTES_MIN = 512 << 20
app = typer.Typer(rich_markup_mode=None)


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found and, unless it is ok, what to do."""

    check: str
    verdict: Verdict
    found: str
    fix: str = ""


@app.command("doctor")
def doctor(output: OutputOption = Output.TABLE, json: JsonOption = False) -> None:
    """Check this host and say how to mend what is wrong; exit 1 if anything is."""
    findings = [_safely(name, check) for name, check in CHECKS.items()]
    wrong = any(finding.verdict is Verdict.WRONG for finding in findings)
    if wants_json(output, json):
        print_json({"ok": not wrong, "checks": [asdict(finding) for finding in findings]})
    else:
        print_table(
            ["check", "verdict", "found"],
            [[finding.check, str(finding.verdict), finding.found] for finding in findings],
        )
        for finding in findings:
            if finding.fix:
                print_line(f"{finding.check}: {finding.fix}")
    if wrong:
        raise typer.Exit(1)


def _safely(name: str, check: Callable[[], Finding]) -> Finding:
    """Run a check; what it raises is what it found."""
    try:
        return check()
    except HeronshimError as error:
        return Finding(name, Verdict.WRONG, str(error), str(error))
    except OSError as error:
        return Finding(name, Verdict.WRONG, str(error), "check rights and space of that path")


def _python() -> Finding:
    found = f"{sys.version.split()[0]} at {sys.executable}"
    return Finding("python", Verdict.OK, found)


def _home() -> Finding:
    return Finding("home", Verdict.OK, str(home_folder()))


def _config() -> Finding:
    settings = read_settings(home_path())
    python = Path(settings.python)
    if not os.access(python, os.X_OK):
        fix = 'set it to an interpreter: heronshim config set python "$(command -v python3)"'
        return Finding("config", Verdict.WRONG, f"python {python} cannot be run", fix)
    plugins = [
        (registry.SCHEDULERS, settings.scheduler),
        (registry.STATE_MANAGERS, settings.state_manager),
        (registry.UPLOADERS, settings.uploader),
        *((registry.METRICS_SINKS, sink) for sink in settings.sinks),
    ]
    for group, name in plugins:
        registry.load(group, name)
    return Finding("config", Verdict.OK, ", ".join(name for _, name in plugins))


def _state() -> Finding:
    with Engine.open() as engine:
        names = engine.names()
        damaged = [name for name in names if not _is_readable(engine, name)]
    if damaged:
        fix = f"kill what is damaged: heronshim kill {damaged[0]}"
        return Finding("state", Verdict.WARNING, f"damaged: {', '.join(damaged)}", fix)
    return Finding("state", Verdict.OK, f"{len(names)} topologies")


def _is_readable(engine: Engine, name: str) -> bool:
    try:
        engine.find(name)
    except HeronshimError:
        return False
    return True


def _sockets() -> Finding:
    folder = socket_folder()
    path = socket_path(folder)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with context.socket(zmq.ROUTER) as socket:
            socket.bind(f"ipc://{path}")
    except zmq.ZMQError as error:
        fix = "set HERONSHIM_SOCKET_DIR to a folder on a local disk"
        return Finding("sockets", Verdict.WRONG, f"{path}: {error}", fix)
    finally:
        context.term()
        path.unlink(missing_ok=True)
    return Finding("sockets", Verdict.OK, str(folder))


def _open_files() -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= OPEN_FILES_MIN:
        return Finding("open files", Verdict.OK, f"{soft} allowed")
    fix = f"type: ulimit -n {OPEN_FILES_MIN * 4}"
    return Finding("open files", Verdict.WARNING, f"{soft} allowed", fix)


def _disk() -> Finding:
    path = home_path()
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / (1 << 30):.1f} GiB free at {existing}"
    if free >= DISK_BYTES_MIN:
        return Finding("disk", Verdict.OK, found)
    return Finding("disk", Verdict.WARNING, found, "make room: logs grow to 500 MB for a process")


def _memory() -> Finding:
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    values = dict(line.split(":", 1) for line in lines)
    free = int(values["MemAvailable"].split()[0]) * 1024
    found = f"{free / (1 << 30):.1f} GiB available, {os.cpu_count()} cores"
    if free >= MEMORY_BYTES_MIN:
        return Finding("memory", Verdict.OK, found)
    fix = "end something: an instance in Python takes 40 MB before its own data"
    return Finding("memory", Verdict.WARNING, found, fix)


def _kernel() -> Finding:
    release = os.uname().release
    if not hasattr(os, "pidfd_open"):
        fix = "use a Python that was built on Linux 5.3 or newer"
        return Finding("kernel", Verdict.WRONG, f"{release}: no pidfd in this Python", fix)
    os.close(os.pidfd_open(os.getpid()))
    return Finding("kernel", Verdict.OK, f"{release} with pidfd")


def _temporary_folder() -> Finding:
    with tempfile.NamedTemporaryFile(prefix="heronshim-") as file:
        return Finding("temporary", Verdict.OK, str(Path(file.name).parent))


CHECKS: dict[str, Callable[[], Finding]] = {
    "python": _python,
    "kernel": _kernel,
    "home": _home,
    "config": _config,
    "state": _state,
    "sockets": _sockets,
    "temporary": _temporary_folder,
    "open files": _open_files,
    "disk": _disk,
    "memory": _memory,
}
