"""No code from bytes: what would run or unpack what somebody sent is nowhere in the engine."""

from __future__ import annotations

import ast
import re
from pathlib import Path

BANNED_CALLS = {
    *("eval", "exec", "compile", "__import__", "breakpoint"),
    *("extractall", "unpack_archive", "system", "popen", "execv", "execve", "execvp", "spawnv"),
}
"""As a name, or as the last part of one."""
BANNED_RULES = re.compile(r"noqa:[^#]*\b(S102|S202|S30[1-7]|S506|S602|S604|S605|S609)\b")


def test_nothing_runs_or_unpacks_what_came_from_outside(root: Path) -> None:
    wrong = []
    for file in sorted((root / "heronshim").rglob("*.py")):
        if "wire/v1" in str(file):
            continue
        for node in ast.walk(ast.parse(file.read_bytes())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            shell = any(
                word.arg == "shell" and not (isinstance(word.value, ast.Constant)
                                             and word.value.value is False)
                for word in node.keywords
            )  # fmt: skip
            if shell or (name.rpartition(".")[2] in BANNED_CALLS and name != "re.compile"):
                wrong.append(f"{file.relative_to(root)}:{node.lineno}: {name}")
    assert not wrong, "\n".join(wrong)


def test_no_rule_against_code_from_bytes_is_switched_off(root: Path) -> None:
    files = [*(root / "heronshim").rglob("*.py"), root / "pyproject.toml"]
    wrong = [
        f"{file.relative_to(root)}:{number}"
        for file in files
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if BANNED_RULES.search(line)
    ]
    assert not wrong, "\n".join(wrong)
    project = (root / "pyproject.toml").read_text()
    ignored = re.findall(r'^"heronshim/.*"S\d*".*$', project, re.MULTILINE)
    assert not ignored, ignored
