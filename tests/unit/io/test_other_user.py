"""Another user of the machine (nobody) can neither connect, nor read, nor put anything in.

The folder around the socket is opened for this test: what is tested is the socket's own check.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from heronshim.cli.home import home_folder
from heronshim.core.io.router_links import RouterLinks
from heronshim.core.io.socket_files import checked_folder
from heronshim.core.io.sockets import router
from heronshim.core.io.tokens import read_secret
from heronshim.errors import StateError
from tests.unit.conftest import wait_until

PYTHON = "/usr/bin/python3"
"""The system's: a checkout may lie where nobody may not look."""
NOBODY = pwd.getpwnam("nobody")
CONNECT = """
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.settimeout(30)
try:
    peer.connect(sys.argv[1])
    peer.sendall(b"\\xff" + bytes(8) + b"\\x7f")
    print(len(peer.recv(10)))
except ConnectionError:
    print(0)
except OSError as error:
    print(type(error).__name__)
"""
READ = """
import os, sys
for path in sys.argv[1:]:
    for flags in (os.O_RDONLY, os.O_WRONLY):
        try:
            os.close(os.open(path, flags))
            print("opened", path)
        except PermissionError:
            print("refused")
"""


def as_user(user: pwd.struct_passwd | None, script: str, *arguments: str) -> list[str]:
    """Run a script as a user, or as this one; return what it printed."""
    who: dict[str, Any] = {}
    if user is not None:
        # Needs root: without it this test fails, and does not pretend.
        who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    done = subprocess.run(
        [PYTHON, "-I", "-c", script, *arguments], capture_output=True, text=True, check=True,
        cwd="/", **who,
    )  # fmt: skip
    return done.stdout.split("\n")[:-1]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder that everybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="hs-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def listening(zmq_context: zmq.Context, open_folder: Path) -> Iterator[tuple[RouterLinks, Path]]:
    links = RouterLinks(router(zmq_context), bytes(32), "t", lambda _: None)
    path = open_folder / "s"
    links.bind(f"ipc://{path}")
    path.chmod(0o777)
    stopping = threading.Event()

    def look() -> None:
        while not stopping.is_set():
            links.connections.look(time.monotonic_ns())
            time.sleep(0.01)

    looker = threading.Thread(target=look)
    looker.start()
    yield links, path
    stopping.set()
    looker.join()
    links.close()


def test_another_user_cannot_connect_though_the_file_is_open_to_all(
    listening: tuple[RouterLinks, Path],
) -> None:
    links, path = listening
    assert as_user(None, CONNECT, str(path)) == ["10"]
    assert as_user(NOBODY, CONNECT, str(path)) == ["0"]
    # The looker's turn.
    wait_until(lambda: links.connections.not_accepted_count == 1, "the refusal to be counted")


def test_another_user_cannot_enter_the_folders_of_a_user(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERONSHIM_HOME", str(open_folder / "home"))
    umask = os.umask(0o022)
    try:
        files = []
        for folder in (home_folder(), checked_folder(open_folder / "sockets")):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            file = folder / "file"
            file.write_text("x")
            file.chmod(0o666)
            files.append(str(file))
    finally:
        os.umask(umask)
    assert as_user(NOBODY, READ, *files) == ["refused"] * 4


def test_secret_of_another_user_or_open_to_others_is_not_taken(open_folder: Path) -> None:
    secret = open_folder / "secret"
    secret.write_text("5e" * 32)
    secret.chmod(0o644)
    with pytest.raises(StateError, match="has mode 644; expected 600"):
        read_secret(str(secret))
    secret.chmod(0o600)
    assert as_user(NOBODY, READ, str(secret)) == ["refused"] * 2
    assert read_secret(str(secret)) == bytes([0x5E]) * 32
    os.chown(secret, NOBODY.pw_uid, NOBODY.pw_gid)
    with pytest.raises(StateError, match="belongs to another user"):
        read_secret(str(secret))
