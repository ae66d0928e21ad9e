"""Fixtures of tests of the Java instance: it is built once, and so are the topologies in Java."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TARGET = ROOT / "instances" / "java" / "target"
BUILD_S = 1800
"""A first build downloads Maven's plugins and the libraries."""
COMPILE_S = 300


@pytest.fixture(scope="session")
def java_instance() -> Path:
    """Build the instance's jar, unless it is newer than its sources; return it."""
    run([".ci/java", "build"], BUILD_S)
    jar = TARGET / "heronshim-instance.jar"
    assert jar.is_file()
    return jar


@pytest.fixture(scope="session")
def words_package(java_instance: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with stormjar.jar and stormcode.ser of the word count in Java."""
    folder = tmp_path_factory.mktemp("words")
    classes, package = folder / "classes", folder / "package"
    package.mkdir()
    sources = sorted(str(path) for path in Path(__file__).parent.glob("topologies/**/*.java"))
    client = f"{TARGET}/storm-2.8/*"
    run(["javac", "--release", "17", "-cp", client, "-d", str(classes), *sources], COMPILE_S)
    run(["jar", "-cf", str(package / "stormjar.jar"), "-C", str(classes), "."], COMPILE_S)
    run(["java", "-cp", f"{client}:{classes}", "words.Package", str(package)], COMPILE_S)
    shutil.rmtree(classes)
    return package


def run(command: list[str], timeout_s: float) -> None:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
