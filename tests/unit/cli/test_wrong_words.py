"""Words on the command line that are wrong: a clear line, the right exit code, no traceback."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
USAGE, NOT_FOUND = 2, 3

WRONG = {
    "unknown verb": (["sumbit", "x.py"], USAGE, 'no verb "sumbit". Did you mean "submit"?'),
    "unknown verb, nothing near": (["zzzz"], USAGE, 'no verb "zzzz".'),
    "unknown option": (["list", "--al"], USAGE, "--al"),
    "option before the verb": (["--yes", "list"], USAGE, "--yes"),
    "no argument": (["kill"], USAGE, "TOPOLOGY"),
    "two arguments": (["kill", "a", "b"], USAGE, "b"),
    "wrong output": (["list", "--output", "xml"], USAGE, "xml"),
    "wrong number": (["kill", "x", "--wait", "soon"], USAGE, "'--wait'"),
    "negative wait": (["kill", "x", "--wait", "-1"], USAGE, "wait"),
    "name with a slash": (["kill", "a/b"], USAGE, 'contains "/"'),
    "name with a dot": (["describe", "a.b"], USAGE, 'contains "."'),
    "name with a colon": (["top", "a:b"], USAGE, 'contains ":"'),
    "name with a backslash": (["logs", "a\\b"], USAGE, 'contains "\\"'),
    "name that goes up": (["kill", ".."], USAGE, 'contains "."'),
    "empty name": (["kill", ""], USAGE, "it is empty"),
    "blank name": (["kill", "  "], USAGE, "it is empty"),
    "long name": (["kill", "x" * 300], USAGE, "at most 128 characters"),
    "name with NUL": (["kill", "a\0b"], USAGE, "control or unprintable"),
    "name with a line end": (["kill", "a\nb"], USAGE, "control or unprintable"),
    "name with ANSI escapes": (["kill", "\x1b[31mred"], USAGE, "control or unprintable"),
    "name with a direction mark": (["kill", "a\u202eb"], USAGE, "control or unprintable"),
    "name of broken UTF-8": (["kill", "a\udcff"], USAGE, "control or unprintable"),
    "no such topology": (["kill", "nope", "--yes"], NOT_FOUND, 'no topology named "nope"'),
    "describe what is not": (["describe", "nope"], NOT_FOUND, 'no topology named "nope"'),
    "activate what is not": (["activate", "nope"], NOT_FOUND, 'no topology named "nope"'),
    "restart what is not": (["restart", "nope", "--yes"], NOT_FOUND, 'no topology named "nope"'),
    "top of what is not": (["top", "nope"], NOT_FOUND, 'no topology named "nope"'),
    "errors of what is not": (["errors", "nope"], NOT_FOUND, 'no topology named "nope"'),
    "logs of what is not": (["logs", "nope"], NOT_FOUND, 'no topology named "nope"'),
    "events of what is not": (["events", "nope"], NOT_FOUND, 'no topology named "nope"'),
    "wrong age of events": (["events", "nope", "--since", "5x"], USAGE, "such as 5m"),
    "plan of what is not": (["plan", "nope"], NOT_FOUND, 'no topology named "nope"'),
    "wrong pattern": (["logs", "nope", "--grep", "("], USAGE, "regular expression"),
    "wrong age": (["logs", "nope", "--since", "yesterday"], USAGE, "such as 5m"),
    "huge age": (["logs", "nope", "--since", f"{'9' * 30}d"], USAGE, "before all time"),
    "demo rate": (["demo", "--rate", "fast"], USAGE, '"max", not "fast"'),
    "demo rate nan": (["demo", "--rate", "nan"], USAGE, '"max", not "nan"'),
    "demo repeat": (["demo", "--repeat", "0"], USAGE, "repeat"),
    "demo input": (["demo", "--input", "/nonexistent/x"], USAGE, "No such file"),
    "demo input is a folder": (["demo", "--input", "/"], USAGE, "Is a directory"),
    "demo input is empty": (["demo", "--input", "/dev/null"], USAGE, "has no line"),
    "no file": (["submit", "nope.py"], USAGE, "nope.py: there is no such file"),
    "no module": (["submit", "nope_module:Class"], USAGE, 'there is no module "nope_module"'),
    "file that is a folder": (["validate", "/tmp"], USAGE, "is a folder"),
    "file with ANSI escapes": (["validate", "\x1b[2J.py"], USAGE, "\\x1b[2J.py"),
    "device as a file": (["validate", "/dev/zero"], USAGE, "/dev/zero"),
    "new name that is none": (["submit", "x.py", "--name", "a/b"], USAGE, 'contains "/"'),
    "unknown shell": (["completion", "tcsh"], USAGE, "tcsh"),
    "config without a verb": (["config"], USAGE, "command"),
    "unknown option to show": (["config", "show", "sheduler"], NOT_FOUND, '"scheduler"?'),
    "unknown option to set": (["config", "set", "sheduler", "x"], USAGE, '"scheduler"?'),
    "option of a group": (["config", "set", "state_options", "x"], USAGE, "state_options.<name>"),
    "option too deep": (["config", "set", "scheduler.x", "y"], USAGE, "written as scheduler"),
    "unknown plugin": (["config", "set", "scheduler", "slrm"], USAGE, 'there is no "slrm"'),
    "unknown sink": (["config", "set", "sinks", "tmaster,fil"], USAGE, 'Did you mean "file"?'),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_words_give_a_clear_line(cli: Cli, case: str) -> None:
    words, code, part = WRONG[case]
    ended = cli(*words)
    assert (ended.code, ended.out) == (code, "")
    assert part in ended.err
    assert ended.err.startswith("heronshim: ")
    # Nothing that a user typed may act on the terminal.
    assert "\x1b" not in ended.err
    assert "\0" not in ended.err


@pytest.mark.parametrize("case", WRONG)
def test_wrong_words_leave_nothing(cli: Cli, home: Path, case: str) -> None:
    cli(*WRONG[case][0])
    assert not list(home.glob("topologies/*"))
    assert not list(home.glob("crash/*"))
    assert not list(home.glob("demo-*"))


def test_error_is_one_json_object_when_asked(cli: Cli) -> None:
    ended = cli("describe", "nope", "--output", "json")
    assert json.loads(ended.err)["error"]["exit_code"] == NOT_FOUND
    assert 'no topology named "nope"' in json.loads(ended.err)["error"]["message"]


def test_kill_without_terminal_and_without_yes_is_refused(cli: Cli, home: Path) -> None:
    (home / "topologies" / "left").mkdir(parents=True, mode=0o700)
    ended = cli("kill", "left")
    assert ended.code == USAGE
    assert "add --yes" in ended.err
    assert (home / "topologies" / "left").exists()


def test_kill_removes_what_a_crash_left_without_state(cli: Cli, home: Path) -> None:
    left = home / "topologies" / "left"
    left.mkdir(parents=True, mode=0o700)
    (left / "secret").write_text("x")
    assert cli("kill", "left", "--yes").code == 0
    assert not left.exists()
    assert cli("kill", "left", "--yes").code == NOT_FOUND


@pytest.mark.parametrize("verb", ["validate", "plan"])
def test_author_problems_are_all_shown(cli: Cli, tmp_path: Path, verb: str) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(
        "from heronshim.api import Bolt, Topology\n"
        "class B(Bolt):\n"
        "    def execute(self, tup): pass\n"
        "class T(Topology):\n"
        "    a = B.spec(inputs=['nope'])\n"
        "    b = B.spec(inputs=['nada'])\n"
    )
    ended = cli(verb, str(file))
    assert ended.code == USAGE
    assert "wrong.py:5" in ended.err
    assert "wrong.py:6" in ended.err


def test_validate_as_json_lists_problems_on_standard_output(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text("raise RuntimeError('no')\n")
    ended = cli("validate", str(file), "--json")
    value = json.loads(ended.out)
    assert ended.code == USAGE
    assert value["valid"] is False
    assert "RuntimeError" in value["problems"][0]


@pytest.mark.parametrize(("answer", "code"), [("n\n", 4), ("\n", 4), ("y\n", 0), ("", 130)])
def test_kill_asks_on_a_terminal(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    (home / "topologies" / "left").mkdir(parents=True, mode=0o700)
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert cli("kill", "left").code == code
    assert (home / "topologies" / "left").exists() is (code != 0)
