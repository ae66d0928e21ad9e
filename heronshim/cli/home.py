"""HERONSHIM_HOME: the folder of everything that heronshim keeps on this host."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from heronshim.errors import ConfigError, StateError

HOME_VARIABLE = "HERONSHIM_HOME"


def home_path() -> Path:
    """Return where the folder is or would be; touches nothing.

    Raises:
        ConfigError: neither HERONSHIM_HOME nor a home folder is known.
    """
    given = os.environ.get(HOME_VARIABLE, "")
    try:
        if given:
            path = Path(given).expanduser()
        elif os.environ.get("HOME", ""):
            path = Path.home() / ".heronshim"
        else:
            path = Path(pwd.getpwuid(os.getuid()).pw_dir) / ".heronshim"
    except (KeyError, RuntimeError) as error:
        msg = f"this user has no home folder; set {HOME_VARIABLE} to a folder of yours"
        raise ConfigError(msg) from error
    if not path.is_absolute():
        path = path.absolute()
    return path


def home_folder() -> Path:
    """Return the folder, made with mode 0700 if missing.

    Raises:
        StateError: it cannot be made, or is no folder of this user's alone.
    """
    path = home_path()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
        if status.st_uid != os.getuid():
            msg = f"{path} belongs to another user; set {HOME_VARIABLE} to a folder of yours"
            raise StateError(msg)
        if stat.S_IMODE(status.st_mode) & 0o077:
            # Secrets of topologies lie below: nobody else may look in.
            path.chmod(0o700)
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            msg = f"{path} cannot be written; set {HOME_VARIABLE} to a folder of yours"
            raise StateError(msg)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        msg = f"{path} cannot be used: {cause}; set {HOME_VARIABLE} to a folder of yours"
        raise StateError(msg) from error
    return path


def topologies_folder(home: Path) -> Path:
    """Return the folder with one work folder for each topology."""
    return home / "topologies"


def crash_folder(home: Path) -> Path:
    """Return the folder of tracebacks of unexpected errors."""
    return home / "crash"
