"""HERONSHIM_HOME/config.yaml: what is read and written, and files that are wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]

WRONG = {
    "no mapping": (b"- a\n- b\n", "expected options by name"),
    "text": (b"hello", "expected options by name"),
    "no UTF-8": (b"scheduler: \xff", "byte 11 is not UTF-8"),
    "broken": (b"scheduler: [local\n", "config.yaml:2:1"),
    "tab": (b"scheduler:\n\tlocal: 1\n", "config.yaml:2:1"),
    "NUL": (b"scheduler: \x00local", "config.yaml"),
    "twice": (b"scheduler: local\nscheduler: local\n", "config.yaml:2:1"),
    "unknown key": (b"sheduler: local\n", 'Did you mean "scheduler"?'),
    "key is a number": (b"1: local\n", 'unknown option "1"'),
    "number as a name": (b"scheduler: 5\n", "scheduler must be text, not 5"),
    "list as a name": (b"scheduler: [local]\n", "scheduler must be text"),
    "unknown plugin": (b"uploader: hfds\n", 'there is no "hfds"'),
    "sinks is text": (b"sinks: tmaster\n", "sinks must be a list"),
    "sinks of numbers": (b"sinks: [1]\n", "sinks must be a list"),
    "options is a list": (b"state_options: [root]\n", "must hold text or numbers by name"),
    "options of lists": (b"state_options: {root: [a]}\n", "must hold text or numbers by name"),
    "options of truth": (b"state_options: {root: true}\n", "must hold text or numbers by name"),
    "sink options flat": (b"sink_options: {file: x}\n", "options by sink and name"),
    "an object": (b"scheduler: !!python/object/apply:os.system [true]\n", "config.yaml:1:12"),
    "alias to itself": (b"state_options: &a {root: *a}\n", "config.yaml"),
    "too long": (b"#" * 70_000, "over 65536 bytes"),
    "nested": (b"scheduler: " + b"[" * 20_000, "config.yaml"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_file_is_named_with_its_place(cli: Cli, home: Path, case: str) -> None:
    content, part = WRONG[case]
    home.mkdir(mode=0o700)
    (home / "config.yaml").write_bytes(content)
    ended = cli("list")
    assert ended.code == 2
    assert part in ended.err
    assert str(home / "config.yaml") in ended.err


def test_folder_as_a_file_is_named(cli: Cli, home: Path) -> None:
    (home / "config.yaml").mkdir(parents=True)
    ended = cli("config", "list")
    assert ended.code == 2
    assert "cannot be read: is no regular file" in ended.err


@pytest.mark.parametrize("words", [["list"], ["config", "set", "scheduler", "local"]])
def test_pipe_as_a_file_holds_up_nobody(cli: Cli, home: Path, words: list[str]) -> None:
    home.mkdir(mode=0o700)
    os.mkfifo(home / "config.yaml")
    ended = cli(*words)
    assert ended.code == 2
    assert "cannot be read: is no regular file" in ended.err


def test_set_keeps_comments_and_shows_in_list(cli: Cli, home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "config.yaml").write_text("# mine\nsinks: [tmaster] # short\n")
    assert cli("config", "set", "scheduler_options.log_files", "3").code == 0
    assert cli("config", "set", "sinks", "tmaster, file").code == 0
    text = (home / "config.yaml").read_text()
    assert "# mine" in text
    assert json.loads(cli("config", "show", "sinks", "--json").out) == {
        "key": "sinks",
        "value": ["tmaster", "file"],
        "source": "file",
    }
    options = json.loads(cli("config", "list", "--json").out)["options"]
    assert {"key": "scheduler_options.log_files", "value": "3", "source": "file"} in [
        {name: row[name] for name in ("key", "value", "source")} for row in options
    ]


def test_refused_set_changes_nothing(cli: Cli, home: Path) -> None:
    assert cli("config", "set", "scheduler", "local").code == 0
    before = (home / "config.yaml").read_bytes()
    assert cli("config", "set", "scheduler", "nope").code == 2
    assert (home / "config.yaml").read_bytes() == before


def test_numbers_are_text_for_plugins(cli: Cli, home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "config.yaml").write_text("state_options: {lease_s: 7}\n")
    shown = json.loads(cli("config", "show", "state_options.lease_s", "--json").out)
    assert shown["value"] == "7"
    assert cli("list").code == 0


def test_another_state_manager_has_no_folder_by_default(cli: Cli, home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "config.yaml").write_text("state_manager: memory\n")
    assert cli("config", "show", "state_options.root").code == 3
    assert cli("list").code == 0


def test_effective_says_who_set_an_option(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "words.py"
    file.write_text(
        "from heronshim.api import Spout, Topology\n"
        "class S(Spout):\n"
        "    outputs = ['a']\n"
        "    def next_tuple(self): pass\n"
        "class T(Topology):\n"
        "    options = {'max_spout_pending': 7}\n"
        "    one = S.spec(options={'cpu': 2.0})\n"
        "    two = S.spec(options={'max_spout_pending': 9})\n"
    )
    ended = cli("config", "effective", str(file), "--json")
    rows = {(row["component"], row["option"]): row for row in json.loads(ended.out)["options"]}
    assert rows[None, "max_spout_pending"]["set_by"] == "topology"
    assert rows["one", "max_spout_pending"] == {
        "component": "one",
        "option": "max_spout_pending",
        "value": 7,
        "set_by": "topology",
    }
    assert (rows["two", "max_spout_pending"]["value"], rows["one", "cpu"]["value"]) == (9, 2.0)
    assert rows["two", "cpu"]["set_by"] == "default"
