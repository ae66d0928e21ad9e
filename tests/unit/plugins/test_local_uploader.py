"""The local uploader beyond its contract: what lies on disk, and what a crash leaves."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from heronshim.core.plugins import local_uploader
from heronshim.core.plugins.local_uploader import LocalUploader
from heronshim.errors import ConfigError, NotFoundError, UploadError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "packages"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "package.zip"
    path.write_bytes(b"package")
    return path


def files_of(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_packages_lie_under_their_digest_with_their_users(root: Path, package: Path) -> None:
    uploader = LocalUploader({"root": str(root)})
    uri = uploader.upload(package, "words")
    uploader.upload(package, "..")
    digest = hashlib.sha256(b"package").hexdigest()
    assert uri == f"local:{digest}"
    assert files_of(root) == [
        ".lock",
        f"{digest}/package",
        f"{digest}/users/%2E.",
        f"{digest}/users/words",
    ]
    assert (root / digest / "package").stat().st_mode & 0o777 == 0o600
    uploader.undo(uri, "words")
    uploader.undo(uri, "..")
    assert [path.name for path in root.iterdir()] == [".lock"]


def test_nothing_is_made_before_the_first_upload(root: Path) -> None:
    LocalUploader({"root": str(root)})
    assert not root.exists()


def test_what_a_crash_leaves_goes_with_the_next_upload_or_undo(root: Path, package: Path) -> None:
    """Killed while copying, and between the marker of a user and the package."""
    uploader = LocalUploader({"root": str(root)})
    digest = hashlib.sha256(b"package").hexdigest()
    (root / digest / "users").mkdir(parents=True)
    (root / digest / "users" / "words").touch()
    (root / ".new").write_bytes(b"pack")
    with pytest.raises(NotFoundError):
        uploader.fetch(f"local:{digest}", package.with_name("target"))
    uploader.undo(f"local:{digest}", "words")
    uploader.upload(package, "other")
    assert files_of(root) == [".lock", f"{digest}/package", f"{digest}/users/other"]


def test_a_full_disk_leaves_nothing(
    root: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "disk")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UploadError) as caught:
        LocalUploader({"root": str(root)}).upload(package, "words")
    assert str(caught.value) == (
        "package file disk: No space left on device; check it, rights and space"
    )
    assert files_of(root) == [".lock"]


def test_a_damaged_package_names_its_store_and_what_to_do(root: Path, package: Path) -> None:
    uploader = LocalUploader({"root": str(root)})
    uri = uploader.upload(package, "words")
    (root / uri.removeprefix("local:") / "package").write_bytes(b"evil")
    with pytest.raises(UploadError) as caught:
        uploader.fetch(uri, package.with_name("target"))
    assert str(caught.value) == (
        f"package {uri} in {root} is damaged: its sha256 is "
        f"{hashlib.sha256(b'evil').hexdigest()}; submit the topology again"
    )


def test_a_stopped_process_in_the_store_is_an_error_not_a_hang(
    root: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_uploader, "LOCK_WAIT_S", 0.02)
    uploader = LocalUploader({"root": str(root)})
    with (
        local_uploader.file_lock(root / ".lock", 1.0),
        pytest.raises(UploadError, match="look for a stopped process"),
    ):
        uploader.upload(package, "words")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, 'uploader "local": option "root" is missing; set it to a folder'),
        (
            {"rood": "/x"},
            'uploader "local": unknown option "rood". Did you mean "root"? Known: root',
        ),
    ],
)
def test_wrong_options(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LocalUploader(options)
    assert str(caught.value) == message
