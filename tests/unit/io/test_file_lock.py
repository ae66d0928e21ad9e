"""Locks among processes and whole writes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from heronshim.core.io.file_lock import file_lock, write_whole
from heronshim.errors import DeadlineError


def test_a_lock_excludes_others_of_the_same_process(tmp_path: Path) -> None:
    path = tmp_path / "folder" / ".lock"
    with (
        file_lock(path, 1.0),
        pytest.raises(DeadlineError, match=r"was held by another process for 0\.02 s"),
        file_lock(path, 0.02),
    ):
        pytest.fail("two hold one lock")
    with file_lock(path, 0):
        pass


def test_a_lock_is_free_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / ".lock"

    def fail() -> None:
        with file_lock(path, 1.0):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with file_lock(path, 0):
        pass


def test_a_lock_file_that_was_removed_meanwhile_holds_nobody(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with file_lock(path, 1.0):
        path.unlink()
        with file_lock(path, 0):
            assert path.exists()


def test_a_write_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"an older and longer value")
    write_whole(path, b"new", tmp_path / ".new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_write_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"outside")
    (tmp_path / ".new").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="symbolic links") as caught:
        write_whole(tmp_path / "file", b"new", tmp_path / ".new")
    assert caught.value.errno == errno.ELOOP
    assert (tmp_path / "outside").read_bytes() == b"outside"


def test_a_write_that_fails_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        write_whole(path, b"new", tmp_path / ".new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
