"""Real Storm clients: jars from Maven Central, a compiler, and a gateway for them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heronshim.storm.client_jars import (
    cache_folder,
    client_jars,
    fetch_client_jars,
    fetch_jars,
    parse_lock,
)
from tests.input.nimbus_client import Gateway
from tests.system.conftest import Home

HERE = Path(__file__).parent
JVM_S = 300.0
"""A JVM starts within seconds; not so when all cores are busy."""
OPENED = ("--add-opens", "java.base/java.lang=ALL-UNNAMED")


@pytest.fixture(scope="session")
def client_path() -> list[Path]:
    """Class path of storm-client."""
    fetch_client_jars(print)
    return client_jars()


@pytest.fixture(scope="session")
def commands_path(client_path: list[Path]) -> list[Path]:
    """Class path of Storm's own commands."""
    jars = parse_lock((HERE / "commands.lock").read_text())
    folder = cache_folder() / "storm-commands-of-tests"
    fetch_jars(jars, folder, print)
    return [*client_path, *(folder / jar.file_name for jar in jars)]


@pytest.fixture(scope="session")
def compile_java(
    client_path: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Compile a file of this folder; return the folder of its classes."""

    def compiled(source: str) -> Path:
        classes = tmp_path_factory.mktemp("classes")
        words = ["javac", "-nowarn", "-cp", class_path(client_path), "-d", str(classes)]
        subprocess.run([*words, str(HERE / source)], check=True, timeout=JVM_S)
        return classes

    return compiled


@pytest.fixture(scope="session")
def word_count(compile_java: Callable[[str], Path]) -> Path:
    """The jar of an author's topology."""
    classes = compile_java("WordCount.java")
    jar = classes / "words.jar"
    subprocess.run(["jar", "cf", str(jar), "-C", str(classes), "."], check=True, timeout=JVM_S)
    return jar


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
        settings = f'nimbus.seeds: ["127.0.0.1"]\nnimbus.thrift.port: {gateway.port}\n'
        (folder / "storm.yaml").write_text(settings)

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
