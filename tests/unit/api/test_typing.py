"""The API is typed for its users: mypy --strict finds nothing in right code, and what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api

AUTHOR = Path(__file__).with_name("author_file.py")
WRONG = """
from heronshim.api import Bolt, Grouping, Spout, Topology
class Numbers(Spout):
    outputs = ["n"]
    def next_tuple(self) -> None:
        self.emit("n", streem="x")
class Wrong(Topology):
    options = ["containers"]
    numbers = Numbers.spec(parallelism="2")
    count = Bolt.spec(inputs={numbers: "shuffle"})
"""


@pytest.mark.slow
def test_mypy_strict_accepts_an_authors_file_and_finds_mistakes(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG)
    root = Path(__file__).parents[3]
    settings = ["--strict", "--config-file=", f"--cache-dir={root / '.mypy_cache'}"]
    found, trouble, _ = api.run([*settings, str(AUTHOR), str(wrong)])
    assert trouble == ""
    # Errors in our own modules are for make lint to find; authors do not see them.
    errors = [line for line in found.splitlines() if ": error: " in line]
    assert [line for line in errors if AUTHOR.name in line] == []
    lines = [line for line in errors if wrong.name in line]
    expected = ['keyword argument "streem"', "assignment", '"parallelism"', "[dict-item]"]
    missing = [word for word in expected if not any(word in line for line in lines)]
    assert missing == [], found
