"""Launch as JSON, and the file launch.json in a topology's work folder."""

from __future__ import annotations

import json
import os
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any

from heronshim.core.codec.json_fields import JsonFields, parse_json
from heronshim.core.io.file_lock import write_whole
from heronshim.core.io.regular_file import read_regular
from heronshim.core.spi.scheduler import Launch
from heronshim.errors import NotFoundError, RemoteProtocolError, StateError

LAUNCH_FILE = "launch.json"
"""Its name in Launch.work_dir."""
_FILE_BYTES_MAX = 1 << 20
_REQUIRED = (
    "topology",
    "topology_id",
    "work_dir",
    "socket_dir",
    "secret_path",
    "python",
    "state_manager",
)
_TEXTS = ("scheduler", "package_uri", "package_sha256", "uploader")
_MAPS = ("languages", "state_options", "scheduler_options", "uploader_options")
_KNOWN = tuple(field.name for field in dataclass_fields(Launch))


def launch_from_json(value: object, path: str = "launch") -> Launch:
    """Return the Launch in what json.loads gave; `path` begins the messages.

    Raises:
        RemoteProtocolError: a field is missing, unknown or wrong; names it.
    """
    found = JsonFields(value, path, _KNOWN)
    for name in ("work_dir", "socket_dir"):
        if not Path(found.text(name)).is_absolute():
            msg = f"{path}.{name}: expected an absolute path, not {found.text(name)!r}"
            raise RemoteProtocolError(msg)
    values: dict[str, Any] = {name: found.text(name) for name in _REQUIRED}
    values |= {name: found.text(name, empty=True) for name in _TEXTS if found.has(name)}
    values |= {name: found.text_map(name) for name in _MAPS if found.has(name)}
    if found.has("sinks"):
        values["sinks"] = found.texts("sinks")
    if found.has("sink_options"):
        values["sink_options"] = found.text_maps("sink_options")
    if found.has("liveness_limit_s"):
        values["liveness_limit_s"] = found.number("liveness_limit_s")
    return Launch(**values)


def write_launch(launch: Launch) -> Path:
    """Write launch.json into the work folder, mode 0600, whole or not at all; return its path.

    Raises:
        StateError: it cannot be written.
    """
    path = Path(launch.work_dir) / LAUNCH_FILE
    text = json.dumps(launch.to_json_value(), indent=1) + "\n"
    # Several clients may start one topology at once: each has a file of its own until the rename.
    temporary = path.with_name(f".launch.{os.urandom(4).hex()}.new")
    try:
        write_whole(path, text.encode(), temporary)
    except OSError as error:
        msg = f"launch file {path} cannot be written: {error}"
        raise StateError(msg) from error
    return path


def read_launch(work_dir: str) -> Launch:
    """Read launch.json from a topology's work folder.

    Raises:
        NotFoundError: there is none: the topology was never submitted, or was killed.
        StateError: it is damaged or cannot be read; names the field.
    """
    path = Path(work_dir) / LAUNCH_FILE
    try:
        content = read_regular(path, _FILE_BYTES_MAX)
        return launch_from_json(parse_json(content, "launch"), "launch")
    except (FileNotFoundError, NotADirectoryError):
        msg = f"there is no launch file {path}; submit the topology first"
        raise NotFoundError(msg) from None
    except (OSError, RemoteProtocolError) as error:
        msg = f"launch file {path} cannot be read: {error}; kill the topology and submit it again"
        raise StateError(msg) from error
