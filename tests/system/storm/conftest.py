"""Real Storm clients: jars from Maven Central, a compiler, and a gateway for them."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from heronshim.core.plugins.java_command import cache_folder
from heronshim.storm.client_jars import client_jars, fetch_client_jars, fetch_jars, parse_lock
from tests.input.nimbus_client import Gateway
from tests.system.conftest import Home
from tests.system.java.conftest import java_instance

__all__ = ["java_instance"]

HERE = Path(__file__).parent
JVM_S = 300.0
"""A JVM starts within seconds; not so when all cores are busy."""
OPENED = (
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
)


@pytest.fixture(scope="session")
def client_path() -> list[Path]:
    """Class path of storm-client."""
    fetch_client_jars(print)
    return client_jars()


@pytest.fixture(scope="session")
def commands_path(client_path: list[Path]) -> list[Path]:
    """Class path of Storm's own commands."""
    return [*client_path, *locked_jars("commands")]


def locked_jars(name: str) -> list[Path]:
    """Fetch the jars of a lock file of this folder."""
    jars = parse_lock((HERE / f"{name}.lock").read_text())
    folder = cache_folder() / "tests" / name
    fetch_jars(jars, folder, print)
    return [folder / jar.file_name for jar in jars]


def flux_jar() -> Path:
    """Fetch Flux, which holds all it needs beside storm-client.

    Not as `locked_jars`: the parent of its project is not published, which only copying bears.
    """
    [jar] = parse_lock((HERE / "flux.lock").read_text())
    folder = cache_folder() / "tests" / "flux"
    path = folder / jar.file_name
    if not path.exists():
        name = f"{jar.group}:{jar.artifact}:{jar.version}"
        words = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={name}"]
        subprocess.run([*words, f"-DoutputDirectory={folder}"], check=True, timeout=JVM_S)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256
    return path


def compile_java(source: Path, jars: list[Path], classes: Path) -> Path:
    """Compile a file into a folder, and return that."""
    words = ["javac", "-nowarn", "-cp", class_path(jars), "-d", str(classes), str(source)]
    subprocess.run(words, check=True, timeout=JVM_S)
    return classes


def pack_jar(classes: Path) -> Path:
    """Pack the classes of a folder into a jar in it, and return that."""
    jar = classes / "words.jar"
    subprocess.run(["jar", "cf", str(jar), "-C", str(classes), "."], check=True, timeout=JVM_S)
    return jar


@pytest.fixture(scope="session")
def word_count(client_path: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The jar of an author's topology."""
    classes = tmp_path_factory.mktemp("words")
    return pack_jar(compile_java(HERE / "WordCount.java", client_path, classes))


@pytest.fixture
def gateway(heronshim_home: Home) -> Iterator[Gateway]:
    made = Gateway(heronshim_home.path)
    yield made
    assert made.close() == 0, made.log.read_text()
    assert "event=unexpected" not in made.log.read_text()


class StormClient:
    """Runs Storm's classes against a gateway, as the program `storm` does."""

    def __init__(self, gateway: Gateway, folder: Path, jars: list[Path]) -> None:
        self._jars = [*jars, folder]
        # Clients before 1.0 know no seeds.
        (folder / "storm.yaml").write_text(
            'nimbus.seeds: ["127.0.0.1"]\nnimbus.host: "127.0.0.1"\n'
            f"nimbus.thrift.port: {gateway.port}\n"
        )

    def start(self, main: str, *words: str, jar: Path | None = None) -> subprocess.Popen[str]:
        """Start a main class; `jar` is what it submits."""
        jars = [*self._jars, *([jar] if jar else [])]
        given = [f"-Dstorm.jar={jar}"] if jar else []
        return subprocess.Popen(
            ["java", *OPENED, *given, "-cp", class_path(jars), main, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, main: str, *words: str, jar: Path | None = None) -> tuple[int, str]:
        """Run a main class; return its exit code and what it wrote."""
        process = self.start(main, *words, jar=jar)
        output, _ = process.communicate(timeout=JVM_S)
        return process.returncode, output

    def command(self, name: str, *words: str) -> tuple[int, str]:
        """Run one of Storm's commands."""
        return self.run(f"org.apache.storm.command.{name}", *words)


@pytest.fixture
def storm(gateway: Gateway, tmp_path: Path, commands_path: list[Path]) -> StormClient:
    return StormClient(gateway, tmp_path, commands_path)


def class_path(jars: list[Path]) -> str:
    return ":".join(map(str, jars))
