"""The command that starts a Java instance: which virtual machine, which jars, which flags."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from heronshim.errors import ConfigError

STORM_VERSION = "2.8.3"
"""Of the Storm client whose API Java components are written to; instances/java/pom.xml pins it."""
JAVA_VERSION_MIN = 17
_JAR = "heronshim-instance.jar"
_MAIN = "io.heronshim.instance.Main"
_BUILT = Path(__file__).parents[3] / "instances" / "java" / "target"
"""Where `make java` builds in a clone."""
_INSTALLED = Path(__file__).parents[2] / "java"
"""Where a wheel holds the jar (hatch_build.py)."""
_USER_CLASSES = ("package/stormjar.jar", "package/lib/*")
"""Below the container's folder, in which instances run: beside the client, as in Storm's worker."""
_FLAGS = (
    # Code of old clients, and Kryo, reach into these.
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    # Many small machines share a host: one thread collects, none writes performance files.
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dlog4j2.configurationFile=classpath:io/heronshim/log4j2.xml",
)
HEAP_PERCENT = 60
"""Of the process's memory limit; threads, code and buffers need the rest."""


def java_argv(ram_bytes: int = 0) -> tuple[str, ...]:
    """Return the command; `ram_bytes` is the process's memory limit, 0 for none.

    Raises:
        ConfigError: there is no Java, or jars are missing; says what to do.
    """
    jar = instance_jar()
    storm = _storm_folder()
    memory: tuple[str, ...] = ()
    if ram_bytes:
        memory = (f"-XX:MaxRAM={ram_bytes}", f"-XX:MaxRAMPercentage={HEAP_PERCENT}")
    class_path = ":".join([str(jar), f"{storm}/*", *_USER_CLASSES])
    try:
        java = java_program()
    except ConfigError as error:
        msg = f"instances in java cannot be started: {error}"
        raise ConfigError(msg) from error
    return (java, *memory, *_FLAGS, "-cp", class_path, _MAIN)


def instance_jar() -> Path:
    """Return the jar of the Java instance.

    Raises:
        ConfigError: there is none; says what to do.
    """
    folders = [_BUILT, _INSTALLED, cache_folder() / "java"]
    jar = _first_file([folder / _JAR for folder in folders])
    if jar is None:
        msg = (
            f"instances in java cannot be started: {_JAR} is in none of "
            f"{', '.join(map(str, folders))}; build it in a clone with: make java"
        )
        raise ConfigError(msg)
    return jar


def cache_folder() -> Path:
    """Return the user's folder of what can be fetched again; it need not be there.

    Raises:
        ConfigError: this user has no home folder.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        # A relative one is to be ignored, says the XDG Base Directory Specification.
        return (root if root.is_absolute() else Path.home() / ".cache") / "heronshim"
    except RuntimeError as error:
        msg = "this user has no home folder; set XDG_CACHE_HOME to a folder of yours"
        raise ConfigError(msg) from error


def java_program() -> str:
    """Return the program `java`, of JAVA_HOME if that is set.

    Raises:
        ConfigError: there is none, or it is too old; says what to do.
    """
    home = os.environ.get("JAVA_HOME", "")
    found = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if not found or not Path(found).is_file():
        where = f"JAVA_HOME ({home})" if home else "PATH"
        msg = (
            f"there is no program java on {where}; install Java {JAVA_VERSION_MIN} or newer "
            "(Debian: default-jre-headless)"
        )
        raise ConfigError(msg)
    version = java_version(found)
    if version and version < JAVA_VERSION_MIN:
        msg = f"{found} is Java {version}; set JAVA_HOME to Java {JAVA_VERSION_MIN} or newer"
        raise ConfigError(msg)
    return found


def _storm_folder() -> Path:
    """Return the folder of the Storm client and what it needs."""
    folders = [cache_folder() / f"storm-client-{STORM_VERSION}", _BUILT / "storm-2.8"]
    for folder in folders:
        if (folder / f"storm-client-{STORM_VERSION}.jar").is_file():
            return folder
    msg = (
        f"instances in java cannot be started: storm-client-{STORM_VERSION}.jar is in none of "
        f"{', '.join(map(str, folders))}; get it with: heronshim setup java, or in a clone: make "
        "java"
    )
    raise ConfigError(msg)


def _first_file(paths: list[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def java_version(java: str) -> int:
    """Return the feature version by the file `release` of its folder; 0 if that does not say."""
    try:
        text = (Path(java).resolve().parents[1] / "release").read_text("utf-8", "replace")
    except OSError:
        return 0
    match = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', text, re.MULTILINE)
    return int(match.group(1)) if match else 0
