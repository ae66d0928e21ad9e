"""Documents say what is: commands exist, generated pages are current, links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from heronshim.cli.main import VerbGroup, app, command_module
from heronshim.cli.verbs import VERBS
from heronshim.storm.compat_table import markdown

LINK = re.compile(r"\]\(([^)#:]+)(?:#[\w-]+)?\)")


def documents(root: Path) -> list[Path]:
    return [*root.glob("*.md"), *root.glob("docs/**/*.md")]


def make_targets(root: Path) -> set[str]:
    return set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE))


def command_of(verb: str) -> Any:
    group = typer.main.get_command(app)
    assert isinstance(group, VerbGroup)
    return group.get_command(None, verb)


@pytest.mark.parametrize("verb", VERBS)
def test_verb_exists_with_the_help_of_the_table(verb: str) -> None:
    if verb in ("compat", "config", "setup", "storm"):
        assert command_module(verb).app is not None
        return
    command = command_of(verb)
    assert command.name == verb
    assert command.help
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--output", "--json"} <= options


def test_help_lists_all_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    app(["--help"], standalone_mode=False)
    shown = capsys.readouterr().out
    assert [verb for verb in VERBS if not re.search(rf"^  {verb}\b", shown, re.MULTILINE)] == []


def test_help_of_make_lists_the_targets_a_person_needs(root: Path) -> None:
    wanted = {"help", "setup", "demo", "test", "fmt", "lint", "proto", "bench"}
    assert wanted <= make_targets(root)


def test_commands_in_documents_exist(root: Path) -> None:
    """Each `make X` and `heronshim X` in code is a target or verb."""
    targets, wrong = make_targets(root), []
    for document in documents(root):
        text = document.read_text()
        code = re.findall(r"```(?:sh|console|text)?\n(.*?)```", text, re.DOTALL)
        code += re.findall(r"`([^`\n]+)`", text)
        for part in code:
            for tool, word in re.findall(r"(?:^|\$ |&& |\n)(make|heronshim) ([a-z][\w-]*)", part):
                known = targets if tool == "make" else set(VERBS)
                if word not in known:
                    wrong.append(f"{document.name}: {tool} {word}")
    assert not wrong, wrong


def test_links_in_documents_lead_to_files(root: Path) -> None:
    wrong = [
        f"{document.relative_to(root)}: {target}"
        for document in documents(root)
        for target in LINK.findall(document.read_text())
        if not (document.parent / target).exists()
    ]
    assert not wrong, wrong


def test_every_verb_is_documented(root: Path) -> None:
    text = (root / "docs" / "cli.md").read_text()
    assert [verb for verb in VERBS if f"## {verb}\n" not in text] == []


def test_documents_of_options_are_current(root: Path) -> None:
    script = root / "docs" / "generate_configuration.py"
    spec = importlib.util.spec_from_file_location("generate_configuration", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (root / "docs" / "configuration.md").read_text()
    assert written == module.document(), "type: .venv/bin/python docs/generate_configuration.py"


def test_document_of_what_runs_of_storm_is_current(root: Path) -> None:
    table = markdown()
    assert table in (root / "docs" / "storm.md").read_text(), f"docs/storm.md lacks:\n{table}"
