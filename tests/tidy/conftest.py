"""The checkout that these tests look at: files that git knows, or would take."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_WRITTEN = ("heronshim/wire/v1/", "tests/golden/")
"""Generated code, and files that are wrong on purpose."""


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Return all text files that people wrote, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = [name for name in listed.stdout.decode().split("\0") if name]
    found = [Path(name) for name in names if not name.startswith(NOT_WRITTEN)]
    return [path for path in found if (ROOT / path).is_file() and _is_text(ROOT / path)]


@pytest.fixture(scope="session")
def python_files(files: list[Path]) -> list[Path]:
    """Return all Python files that people wrote, relative to the root."""
    return [path for path in files if path.suffix == ".py"]


def _is_text(path: Path) -> bool:
    return b"\0" not in path.read_bytes()[:8192]
