"""What lies in a topology's work folder (Launch.work_dir), and what a supervisor writes there.

launch.json, launcher.json, launcher.lock, launcher.log, secret
container-<n>/supervisor.lock   held while its supervisor lives
container-<n>/supervisor.json   SupervisorRecord of the last supervisor
container-<n>/supervisor.log    its events
container-<n>/events.jsonl      starts and ends of its processes, one EventRecord a line
container-<n>/history.jsonl     events that its processes reported, kept by its metrics manager
container-<n>/incarnation       counter of process starts
container-<n>/logs/<process>.log   what each process printed
container-<n>/package/          the author's extracted files
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from heronshim.core.codec.json_fields import JsonFields, parse_json
from heronshim.core.io.file_lock import write_whole
from heronshim.core.io.process_identity import ProcessIdentity
from heronshim.core.io.regular_file import read_regular
from heronshim.errors import RemoteProtocolError, StateError

_RECORD_BYTES_MAX = 65_536


def container_folder(work_dir: str, container: int) -> Path:
    """Return the folder of a container."""
    return Path(work_dir) / f"container-{container}"


def container_mark(work_dir: str, container: int) -> str:
    """Return the value of CONTAINER_MARK of a container's processes."""
    return f"{container}@{work_dir}"


def process_log(work_dir: str, container: int, process: str) -> Path:
    """Return the newest log file of a process."""
    return container_folder(work_dir, container) / "logs" / f"{process}.log"


def remove_folder(folder: Path) -> None:
    """Remove a folder and all in it; links are removed, not followed.

    Raises:
        OSError: something in it cannot be removed.
    """
    # Not shutil, which imports three compressors: a tenth of a launcher's start.
    for path, folders, files in os.walk(folder, topdown=False, onerror=_raise):
        for name in files:
            Path(path, name).unlink(missing_ok=True)
        for name in folders:
            inner = Path(path, name)
            if inner.is_symlink():
                inner.unlink()
            else:
                inner.rmdir()
    folder.rmdir()


def _raise(error: OSError) -> None:
    raise error


@dataclass(frozen=True, slots=True)
class SupervisorRecord:
    """Who supervises a container, written by the supervisor once it holds the lock."""

    pid: int
    start_ticks: int
    generation: int
    """The order that it was started by; see the launcher."""
    socket: str
    """Path of the container's ROUTER, to be removed when the supervisor could not."""

    @property
    def identity(self) -> ProcessIdentity:
        """Its process."""
        return ProcessIdentity(self.pid, self.start_ticks)


def write_supervisor_record(folder: Path, record: SupervisorRecord) -> None:
    """Write supervisor.json into a container's folder.

    Raises:
        StateError: it cannot be written.
    """
    path = folder / "supervisor.json"
    try:
        write_whole(path, json.dumps(asdict(record)).encode(), path.with_suffix(".new"))
    except OSError as error:
        msg = f"{path} cannot be written: {error}"
        raise StateError(msg) from error


def read_supervisor_record(folder: Path) -> SupervisorRecord | None:
    """Read supervisor.json; None when there is none or it is damaged: then nobody is adopted."""
    try:
        content = read_regular(folder / "supervisor.json", _RECORD_BYTES_MAX)
        names = ("pid", "start_ticks", "generation", "socket")
        fields = JsonFields(parse_json(content, "supervisor"), "supervisor", names)
        return SupervisorRecord(
            pid=fields.whole("pid", 1),
            start_ticks=fields.whole("start_ticks"),
            generation=fields.whole("generation"),
            socket=fields.text("socket"),
        )
    except (OSError, RemoteProtocolError):
        return None
