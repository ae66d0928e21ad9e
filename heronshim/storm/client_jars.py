"""Storm's own client library, which Java instances and Storm's commands run on.

Each jar is pinned by its digest. Maven fetches them (so that a user's mirrors and proxies hold),
into the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from heronshim.core.io.file_lock import file_lock
from heronshim.core.plugins.java_command import STORM_VERSION, cache_folder
from heronshim.errors import DeadlineError, NotFoundError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable

LOCK_FILE = "client_jars.lock"
FETCH_TIMEOUT_S = 900.0
"""58 MB in all."""
OUTPUT_LINES_SHOWN = 5
_DOWNLOADED = re.compile(r"Downloaded .*/([^/ ]+\.jar)")


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock file."""

    sha256: str
    group: str
    artifact: str
    version: str
    classifier: str = ""

    @property
    def file_name(self) -> str:
        """Name of the file, as Maven has it."""
        ending = f"-{self.classifier}" if self.classifier else ""
        return f"{self.artifact}-{self.version}{ending}.jar"


def locked_jars() -> list[Jar]:
    """Return what our lock file lists."""
    return parse_lock(files("heronshim.storm").joinpath(LOCK_FILE).read_text("utf-8"))


def parse_lock(text: str) -> list[Jar]:
    """Return the jars of a lock file: lines of a SHA-256 and Maven coordinates."""
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return [Jar(digest, *coordinates.split(":")) for digest, coordinates in lines]


def jars_folder() -> Path:
    """Return where the client's jars are, or would be; raises ConfigError."""
    return cache_folder() / f"storm-client-{STORM_VERSION}"


def client_jars() -> list[Path]:
    """Return the jars in the cache, for a class path.

    Raises:
        NotFoundError: they have not been fetched, or some are gone.
    """
    folder = jars_folder()
    found = [folder / jar.file_name for jar in locked_jars()]
    missing = [path.name for path in found if not path.is_file()]
    if missing:
        msg = f"{len(missing)} of {len(found)} jars of storm-client {STORM_VERSION} are not in "
        msg += f"{folder}; "
        raise NotFoundError(msg + "type: heronshim setup java")
    return found


def fetch_client_jars(say: Callable[[str], None]) -> bool:
    """Have the client's jars in the cache; see `fetch_jars`."""
    return fetch_jars(locked_jars(), jars_folder(), say)


def fetch_jars(jars: list[Jar], folder: Path, say: Callable[[str], None]) -> bool:
    """Have all jars in a folder, each with its digest checked; return False when they were.

    `say` is told how far it is. Of several processes one fetches, and the others wait. Blocks.

    Raises:
        NotFoundError: there is no Maven.
        StateError: Maven fails, a jar is another than the pinned one, or the disk refuses.
        DeadlineError: it took over FETCH_TIMEOUT_S.
    """
    if not _problems(folder, jars):
        return False
    maven = shutil.which("mvn")
    if maven is None:
        msg = "there is no program mvn, which fetches jars; install it (Debian: apt install maven)"
        raise NotFoundError(msg)
    try:
        with (
            file_lock(folder.parent / "fetch.lock", FETCH_TIMEOUT_S),
            tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as name,
        ):
            if not _problems(folder, jars):
                return False
            temporary = Path(name)
            (temporary / "pom.xml").write_text(_pom(jars), "utf-8")
            _run_maven(maven, temporary, len(jars), say)
            fetched = temporary / "jars"
            problems = _problems(fetched, jars)
            if problems:
                msg = f"Maven fetched other jars than those pinned: {'; '.join(problems)}"
                raise StateError(msg)
            shutil.rmtree(folder, ignore_errors=True)
            fetched.replace(folder)
    except OSError as error:
        msg = f"{error.filename or folder}: {error.strerror or error}; check rights and space"
        raise StateError(msg) from error
    return True


def _problems(folder: Path, jars: list[Jar]) -> list[str]:
    """Return what differs from the lock file, one text for each jar."""
    problems = []
    for jar in jars:
        path = folder / jar.file_name
        if not path.is_file():
            problems.append(f"{jar.file_name} is missing")
            continue
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != jar.sha256:
            problems.append(f"{jar.file_name} has SHA-256 {found}, expected {jar.sha256}")
    return problems


def _run_maven(maven: str, folder: Path, count: int, say: Callable[[str], None]) -> None:
    command = [maven, "--batch-mode", "dependency:copy-dependencies", "-DoutputDirectory=jars"]
    lines: list[str] = []
    fetched: set[str] = set()
    say(f"asking Maven for {count} jars")
    with subprocess.Popen(  # noqa: S603 - the arguments are our own
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        watchdog = _Watchdog(process)
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line.strip())
                match = _DOWNLOADED.search(line)
                if match:
                    fetched.add(match[1])
                    say(f"{len(fetched)} of at most {count} jars downloaded: {match[1]}")
            code = process.wait()
        finally:
            late = watchdog.stop()
            _kill(process)
        if late:
            msg = f"Maven was still fetching jars after {FETCH_TIMEOUT_S:g} s; try again"
            raise DeadlineError(msg)
    if code:
        errors = [line for line in lines if "ERROR" in line] or lines
        msg = f"Maven failed ({code}): " + " | ".join(errors[:OUTPUT_LINES_SHOWN])
        raise StateError(msg)
    say(f"{count} jars")


class _Watchdog:
    """Kills a process that takes too long."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._fired = False
        self._timer = threading.Timer(FETCH_TIMEOUT_S, self._kill)
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> bool:
        """Return whether it had to."""
        self._timer.cancel()
        return self._fired

    def _kill(self) -> None:
        self._fired = True
        _kill(self._process)


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill a process that was not waited for, and what it started: mvn may be a script."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _pom(jars: list[Jar]) -> str:
    """Return a project that needs exactly these jars: what they need themselves is in the list."""
    dependencies = "".join(
        "<dependency>"
        f"<groupId>{escape(jar.group)}</groupId><artifactId>{escape(jar.artifact)}</artifactId>"
        f"<version>{escape(jar.version)}</version><classifier>{escape(jar.classifier)}</classifier>"
        "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion>"
        "</exclusions></dependency>"
        for jar in jars
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>heronshim</groupId><artifactId>client-jars</artifactId><version>1</version>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )
