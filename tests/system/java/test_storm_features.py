"""What Storm topologies use besides spouts and bolts, submitted by an unchanged StormSubmitter."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from heronshim.storm.client_jars import client_jars, fetch_client_jars

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(2400)]
DEADLINE_S = 120.0
COUNT = 60
WINDOW = 20
TOPOLOGIES = Path(__file__).with_name("topologies")


def run(*words: str) -> str:
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=3 * DEADLINE_S, check=False
    )
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


def heronshim(*words: str) -> str:
    return run(sys.executable, "-m", "heronshim.cli.main", *words)


@pytest.fixture
def folder(heronshim_home: Any, java_instance: Path, tmp_path: Path) -> Iterator[Path]:
    """Submit the topology, and give the folder in which its tasks take notes."""
    fetch_client_jars(print)
    notes, classes = tmp_path / "notes", tmp_path / "classes"
    notes.mkdir()
    client = ":".join(map(str, client_jars()))
    sources = map(str, sorted((TOPOLOGIES / "zoo").glob("*.java")))
    run("javac", "-nowarn", "--release", "17", "-cp", client, "-d", str(classes), *sources)
    shutil.copytree(TOPOLOGIES / "resources", classes / "resources")
    jar = tmp_path / "zoo.jar"
    run("jar", "-cf", str(jar), "-C", str(classes), ".")
    heronshim("storm", "jar", str(jar), "zoo.Zoo", str(notes))
    yield notes
    heronshim("kill", "zoo", "--yes", "--wait", "0")


def notes(folder: Path, component: str) -> list[list[str]]:
    """Return the lines of each task of a component that wrote any, by its index."""
    files = sorted(folder.glob(f"{component}-*.txt"))
    return [path.read_text().splitlines() for path in files]


def lines(folder: Path, component: str) -> list[str]:
    """Return the lines of all tasks of a component, ascending."""
    return sorted(chain(*notes(folder, component)))


def wait_until_all_came(folder: Path) -> None:
    """Wait for what comes last; what the last window holds is acked by the next one (Storm)."""
    end = time.monotonic() + DEADLINE_S
    wanted = {"numbers": COUNT - WINDOW, "windows": COUNT // WINDOW}
    wanted |= {"all": 2 * COUNT, "custom": COUNT - COUNT // 10}
    for component in ("shouts", "global", "direct", "fields", "partial"):
        wanted[component] = COUNT
    while any(len(lines(folder, name)) < count for name, count in wanted.items()):
        if time.monotonic() > end:
            seen = {path.name: path.read_text().split() for path in folder.iterdir()}
            pytest.fail(f"not all came: {seen}; {heronshim('errors', 'zoo')}")
        time.sleep(0.2)


def test_one_of_each(folder: Path) -> None:
    wait_until_all_came(folder)
    numbers = sorted(str(number) for number in range(COUNT))
    acked = sorted(f"acked {number}" for number in range(COUNT - WINDOW))
    assert lines(folder, "numbers") == acked
    custom = [[int(line) for line in each] for each in notes(folder, "custom")]
    assert [sorted(each) for each in custom] == [
        [number for number in range(COUNT) if number % 3 == task and number % 10]
        for task in range(3)
    ]
    assert [sorted(each) for each in notes(folder, "all")] == [numbers] * 2
    assert notes(folder, "global") == [[str(number) for number in range(COUNT)]]
    assert [path.name for path in folder.glob("global-*")] == ["global-0.txt"]
    assert [path.name for path in folder.glob("direct-*")] == ["direct-1.txt"]
    assert lines(folder, "direct") == numbers
    assert lines(folder, "shouts") == sorted(f"{number}!" for number in range(COUNT))
    sums = [sum(range(start, start + WINDOW)) for start in range(0, COUNT, WINDOW)]
    assert notes(folder, "windows") == [[f"{WINDOW}:{total}" for total in sums]]
    for component, most in (("fields", 1), ("partial", 2)):
        assert lines(folder, component) == numbers
        tasks_of_key: dict[int, set[int]] = {}
        for task, each in enumerate(notes(folder, component)):
            for line in each:
                tasks_of_key.setdefault(int(line) % 5, set()).add(task)
        assert max(map(len, tasks_of_key.values())) <= most
