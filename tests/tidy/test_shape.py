"""How the code is cut: sizes, left-overs, and paths of somebody's machine."""

from __future__ import annotations

import ast
import re
from pathlib import Path

FUNCTION_LINES_MAX = 70
TEST_LINES_MAX = 100
"""A test that tells one story with threads may be longer than a function."""
MODULE_LINES_MAX = 500
TEST_MODULE_LINES_MAX = 700
"""A module of tests is a list, read one test at a time."""
LEFT_OVERS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.$}])/(work|root|home/\w+|Users/\w+)/")
NOT_OURS = {"LICENSE"}


def test_functions_are_short(root: Path, python_files: list[Path]) -> None:
    long = [
        f"{path}:{node.lineno} {node.name} has {length} lines"
        for path in python_files
        for node in ast.walk(ast.parse((root / path).read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1)
        > (TEST_LINES_MAX if path.parts[0] == "tests" else FUNCTION_LINES_MAX)
    ]
    assert not long, "\n".join(long)


def test_modules_are_short(root: Path, python_files: list[Path]) -> None:
    long = [
        f"{path} has {length} lines"
        for path in python_files
        if (length := len((root / path).read_bytes().splitlines())) > _lines_max(path)
    ]
    assert not long, "\n".join(long)


def test_nothing_is_left_for_later(root: Path, files: list[Path]) -> None:
    assert not _matches(root, files, LEFT_OVERS)


def test_no_path_of_a_machine(root: Path, files: list[Path]) -> None:
    assert not _matches(root, files, MACHINE_PATHS)


def _lines_max(path: Path) -> int:
    return TEST_MODULE_LINES_MAX if path.parts[0] == "tests" else MODULE_LINES_MAX


def _matches(root: Path, files: list[Path], pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()}"
        for path in files
        if path.name not in NOT_OURS and path.parts[:2] != ("tests", "tidy")
        for number, line in enumerate((root / path).read_text("utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
