"""Each wrong topology of tests/golden/topologies gives the messages in the text file beside it.

HERONSHIM_UPDATE_GOLDEN=1 writes the text files anew; read the difference before committing it.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from heronshim.errors import TopologyError
from heronshim.instance.loader import load_definition, load_in_child

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = Path(__file__).parents[2] / "golden"
FILES = sorted(file for file in (GOLDEN / "topologies").glob("*.py") if file.name[0] != "_")
PLACE = re.compile(r"^topologies/\w+\.py:\d+(:\d+)?: ")
NO_LINE = {"binary", "os_exit", "crash", "endless_loop_uninterruptible", "latin1"}
"""Faults of a whole file."""


def directive(text: str, word: str) -> str:
    found = re.match(rf"# {word}: (.*)\n", text)
    return found[1] if found else ""


def messages(file: Path) -> list[str]:
    """Load a file as its first line says and return what is wrong, or its warnings."""
    text = file.read_text("utf-8", errors="replace")
    spec = f"topologies/{file.name}{directive(text, 'load')}"
    timeout = directive(text, "child")
    try:
        loaded = load_in_child(spec, timeout_s=float(timeout)) if timeout else load_definition(spec)
    except TopologyError as error:
        return [line.replace(sys.executable, "PYTHON") for line in error.problems]
    return [f"warning: {line}" for line in loaded.warnings]


@pytest.fixture(autouse=True)
def in_golden_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(GOLDEN)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_wrong_topology_gives_its_messages(file: Path) -> None:
    """Bad input gives a clear error that names the line, what was expected and what to do."""
    found = messages(file)
    golden = file.with_suffix(".txt")
    if os.environ.get("HERONSHIM_UPDATE_GOLDEN"):
        golden.write_text("\n".join(found) + "\n")
    assert found
    assert found == golden.read_text().splitlines()
    for line in found:
        assert line.isprintable()
        assert "Traceback" not in line
        if file.stem not in NO_LINE:
            assert PLACE.match(line.removeprefix("warning: "))


def test_there_are_enough_wrong_topologies() -> None:
    assert len(FILES) >= 45
    assert sorted(file.stem for file in FILES) == sorted(
        file.stem for file in (GOLDEN / "topologies").glob("*.txt")
    )
