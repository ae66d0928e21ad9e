"""What two places say must be the same: error numbers, semantics and their tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from heronshim.errors import ErrorCode
from heronshim.wire.v1 import link_pb2

SEMANTICS = [*range(1, 9), *range(10, 36), 37, 38]
"""Storm's semantics that this version keeps, by the numbers of the list."""
TEST_NAME = re.compile(r"test_s(\d\d)_\w+")


def test_error_numbers_are_those_of_the_protocol() -> None:
    ours = {code.name: int(code) for code in ErrorCode}
    wire = {name.removeprefix("ERROR_CODE_"): number for name, number in link_pb2.ErrorCode.items()}
    assert ours == wire


def test_every_semantics_number_has_a_test(root: Path) -> None:
    tested = {
        int(match[1])
        for file in (root / "tests" / "compat").rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(node, ast.FunctionDef) and (match := TEST_NAME.fullmatch(node.name))
    }
    missing = sorted(set(SEMANTICS) - tested)
    assert not missing, f"no test_sNN_* in tests/compat for: {missing}"


def test_versions_agree(root: Path) -> None:
    """Locked packages are those that pyproject.toml names."""
    pinned = re.findall(r'"([\w.-]+)==([\w.]+)"', (root / "pyproject.toml").read_text())
    locked = {
        (name.lower().replace("_", "-").replace(".", "-"), version)
        for file in ("run", "dev", "build")
        for name, version in re.findall(
            r"^([\w.-]+)==([\w.]+)", (root / "requirements" / f"{file}.txt").read_text(), re.M
        )
    }
    missing = {
        (name, version)
        for name, version in pinned
        if (name.lower().replace("_", "-").replace(".", "-"), version) not in locked
    }
    assert not missing, f"type make lock: {missing}"


def test_locked_packages_name_no_host(root: Path) -> None:
    for file in (root / "requirements").glob("*.txt"):
        text = file.read_text()
        assert "://" not in text, file
        assert not re.search(r"^\s*(-i|-f|--[a-z-]*(url|host|links))", text, re.M), file
        for block in re.split(r"\n(?=\S)", text.strip()):
            assert "--hash=sha256:" in block, block
