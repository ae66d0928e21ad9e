"""No secret is outside its file, and no other user may read what a topology leaves anywhere."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from heronshim.core.io.tokens import process_token
from tests.system.conftest import Home, processes_with

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(900)]
LEDGER = Path(__file__).with_name("topologies") / "ledger.py"
INCARNATIONS = range(1, 40)
"""More than any container of the test has process starts."""


def verb(*words: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command of a user whose umask hides nothing."""
    command = [sys.executable, "-m", "heronshim.cli.main", *words]
    return subprocess.run(command, capture_output=True, timeout=600, check=True, umask=0, cwd="/")


class Running:
    """A topology that ran, suffered and was looked at by every verb."""

    def __init__(self, home: Home, run_mark: str) -> None:
        self.home = home
        self.run_mark = run_mark
        verb("submit", f"{LEDGER}:Endless", "--timeout", "300")
        self.folder = home.path / "topologies" / "Endless"
        self.described = json.loads(verb("describe", "Endless", "--json").stdout)
        for process in self.described["engine"]:
            os.kill(process["pid"], 9)
        verb("restart", "Endless", "--yes", "--timeout", "300")
        self.outputs = b"".join(
            verb(*words).stdout
            for words in (
                ("list", "--json"),
                ("describe", "Endless", "--json"),
                ("plan", "Endless", "--json"),
                ("top", "Endless", "--json"),
                ("metrics", "Endless", "--processes", "--tasks", "--json"),
                ("errors", "Endless", "--full", "--json"),
                ("events", "Endless", "--full", "--json"),
                ("logs", "Endless", "--lines", "100000", "--json"),
                ("doctor", "--json"),
                ("config", "effective", "Endless", "--json"),
                ("config", "list", "--json"),
            )
        )

    def secrets(self) -> dict[str, bytes]:
        """Return all that opens a link of this topology, by what it is."""
        text = (self.folder / "secret").read_text().strip()
        secret = bytes.fromhex(text)
        found = {"the secret": text.encode(), "the secret's bytes": secret}
        processes = [item["id"] for item in self.described["engine"]]
        processes += [
            process["id"] for item in self.described["containers"] for process in item["processes"]
        ]
        for process in processes:
            for incarnation in INCARNATIONS:
                token = process_token(secret, self.described["id"], process, incarnation)
                found[f"token {incarnation} of {process}"] = token.encode()
        return found

    def files(self) -> Iterator[Path]:
        """Yield all folders, files and sockets of this installation."""
        for base in (self.home.path, self.home.sockets):
            yield base
            yield from base.rglob("*")


@pytest.fixture
def running(
    heronshim_home: Home, run_mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Running]:
    monkeypatch.setenv("LEDGER_FOLDER", str(tmp_path))
    yield Running(heronshim_home, run_mark)
    verb("kill", "Endless", "--yes", "--wait", "0")


def test_secrets_are_in_their_file_alone_and_nobody_else_may_read_anything(
    running: Running,
) -> None:
    secrets = running.secrets()
    places: dict[str, bytes] = {"what commands print": running.outputs}
    for path in running.files():
        if path.is_file() and path != running.folder / "secret":
            places[str(path)] = path.read_bytes()
    own = processes_with(running.run_mark)
    assert len(own) > 8
    for identity in own:
        for part in ("cmdline", "environ"):
            places[f"{part} of {identity.pid}"] = Path(f"/proc/{identity.pid}/{part}").read_bytes()
    assert any("logs/stmgr-1.log" in place for place in places)
    assert any("state/topologies/Endless/physical_plan" in place for place in places)
    assert leaks(places, secrets) == []
    assert wrong_modes(running) == []
    # The search itself: what is planted is found.
    leak = running.folder / "container-1" / "logs" / "leak.log"
    leak.write_bytes(b"x" * 1000 + secrets["token 1 of stmgr-1"])
    leak.chmod(0o644)
    assert leaks({"here": leak.read_bytes()}, secrets) == ["token 1 of stmgr-1 is in here"]
    assert wrong_modes(running) == [f"-rw-r--r-- {leak}"]


def leaks(places: dict[str, bytes], secrets: dict[str, bytes]) -> list[str]:
    """Return which secret is in which place."""
    return [
        f"{what} is in {place}"
        for place, content in places.items()
        for what, value in secrets.items()
        if value in content
    ]


def wrong_modes(running: Running) -> list[str]:
    """Return what others than its owner may read, write or enter."""
    wrong = []
    for path in running.files():
        status = path.lstat()
        mode, kind = stat.S_IMODE(status.st_mode), stat.filemode(status.st_mode)
        if mode & 0o077 or status.st_uid != os.getuid():
            wrong.append(f"{kind} {path}")
    return wrong
