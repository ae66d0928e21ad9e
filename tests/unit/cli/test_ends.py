"""How the command line ends: bugs, Ctrl-C, closed pipes, poor terminals, homes that are wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heronshim.cli import output, version
from heronshim.cli.main import CRASH_FILES_MAX

Cli = Callable[..., Any]


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def run_process(
    *words: str, env: dict[str, str], **kwargs: Any
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "heronshim.cli.main", *words]
    return subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, timeout=60, **kwargs
    )


def test_bug_is_one_line_and_its_traceback_is_in_a_file(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version, "print_line", raising(ValueError("two\nlines \x1b[31m")))
    ended = cli("version")
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    assert "ValueError: two lines \\x1b[31m" in ended.err
    (file,) = (home / "crash").iterdir()
    assert str(file) in ended.err
    assert "Traceback" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_old_crash_files_go(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "crash").mkdir(parents=True)
    for number in range(CRASH_FILES_MAX + 5):
        (home / "crash" / f"2000010{number:02}T000000-1.txt").touch()
    monkeypatch.setattr(version, "print_line", raising(ValueError("new")))
    cli("version")
    files = sorted((home / "crash").iterdir())
    assert len(files) == CRASH_FILES_MAX
    assert "ValueError: new" in files[-1].read_text()


def test_bug_without_a_home_is_still_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERONSHIM_HOME", "/dev/null/home")
    monkeypatch.setattr(version, "print_line", raising(ValueError("boom")))
    ended = cli("version")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "ValueError: boom" in ended.err


def test_interrupt_ends_with_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "print_line", raising(KeyboardInterrupt()))
    assert cli("version").code == 130


@pytest.mark.parametrize("words", [["version"], ["--help"], ["config", "list", "--json"]])
def test_closed_pipe_ends_quietly(home: Path, words: list[str]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "heronshim.cli.main", *words]
    done = subprocess.run(
        command, stdout=write_end, stderr=subprocess.PIPE, check=False, timeout=60
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    "settings",
    [
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"TERM": "dumb"},
        {"COLUMNS": "1"},
    ],
    ids=["posix locale", "ascii", "dumb terminal", "narrow"],
)
def test_poor_terminal_is_no_fault(home: Path, settings: dict[str, str]) -> None:
    env = {**os.environ, **settings}
    assert run_process("--help", env=env).returncode == 0
    assert run_process("config", "list", env=env).returncode == 0
    wrong = run_process("describe", "wörter", env=env)
    # In the POSIX locale the word is no text, and so no name.
    assert wrong.returncode in {2, 3}
    assert "rter" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_home_comes_from_the_password_file_when_no_variable_is_set() -> None:
    env = {"PATH": os.environ["PATH"], "HOME": ""}
    done = run_process("config", "show", "state_options.root", env=env)
    assert done.returncode == 0
    assert done.stdout.strip().endswith("/.heronshim/state")


@pytest.mark.parametrize("place", ["/dev/null", "/dev/null/x", "/proc/self/x"])
def test_home_that_cannot_be_is_named(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("HERONSHIM_HOME", place)
    ended = cli("list")
    assert ended.code == 1
    assert place in ended.err
    assert "set HERONSHIM_HOME to a folder of yours" in ended.err


def test_home_is_private(cli: Cli, home: Path) -> None:
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    assert cli("list").code == 0
    assert home.stat().st_mode & 0o777 == 0o700


def test_state_that_is_a_file_is_named(cli: Cli, home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "state").write_text("no folder")
    ended = cli("list")
    assert ended.code == 1
    assert str(home / "state") in ended.err


def test_no_words_give_help(cli: Cli) -> None:
    assert cli() == cli("--help")
    assert cli("-h").code == 0


def test_printable_keeps_text_and_escapes_what_acts() -> None:
    assert output.printable("wört\t日本") == "wört\t日本"
    assert output.printable("\x1b[2J\x9b\u2028") == "\\x1b[2J\\x9b\\u2028"


def test_table_aligns_numbers_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["name", "n"], [["a", 5], ["bb", 1234], ["c", None]])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["NAME      N", "a         5", "bb    1,234", "c         -"]
