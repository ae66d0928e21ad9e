"""Runs the command line in this process, with a home of its own."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from heronshim.cli.main import main


@dataclass(frozen=True)
class Ended:
    """How a command line ended."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ended]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test a HERONSHIM_HOME that is not there yet."""
    path = tmp_path / "home"
    monkeypatch.setenv("HERONSHIM_HOME", str(path))
    monkeypatch.setenv("HERONSHIM_SOCKET_DIR", str(tmp_path / "s"))
    umask = os.umask(0o077)
    yield path
    os.umask(umask)


@pytest.fixture
def cli(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run a command line; nobody sits at its terminal. No traceback may be shown, ever."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    def run(*words: str) -> Ended:
        with pytest.raises(SystemExit) as end:
            main(words)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        code = end.value.code
        assert isinstance(code, int)
        return Ended(code, captured.out, captured.err)

    return run
