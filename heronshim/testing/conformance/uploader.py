"""Conformance suite of the Uploader SPI."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from heronshim.errors import NotFoundError, UploadError

if TYPE_CHECKING:
    from pathlib import Path

    from heronshim.core.spi.uploader import Uploader


class UploaderSuite:
    """Override `make`; override `damage` too if a test can reach stored bytes."""

    def make(self) -> Uploader:
        """Return a new uploader. All of one test use one store, which is empty at its start."""
        raise NotImplementedError

    def damage(self, uri: str) -> None:
        """Change a byte of a stored package behind the uploader's back."""
        pytest.skip(f"this suite cannot damage a stored package ({uri[:20]})")

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self._own = tmp_path / "suite"
        self._own.mkdir()

    def package(self, content: bytes = b"package", name: str = "package.zip") -> Path:
        """Return a file with that content."""
        path = self._own / name
        path.write_bytes(content)
        return path

    def fetched(self, uploader: Uploader, uri: str) -> bytes:
        """Return what `fetch` writes."""
        target = self._own / "target"
        uploader.fetch(uri, target)
        return target.read_bytes()

    @pytest.mark.parametrize(
        "content", [b"", b"package", os.urandom(3_000_000)], ids=["empty", "short", "3MB"]
    )
    def test_what_is_uploaded_is_fetched(self, content: bytes) -> None:
        uri = self.make().upload(self.package(content), "words")
        assert self.fetched(self.make(), uri) == content

    def test_equal_bytes_have_one_uri_and_others_another(self) -> None:
        uploader = self.make()
        first = uploader.upload(self.package(name="a"), "words")
        assert uploader.upload(self.package(name="b"), "words") == first
        assert uploader.upload(self.package(name="c"), "other") == first
        assert uploader.upload(self.package(b"other"), "words") != first

    def test_upload_leaves_the_package_alone(self) -> None:
        package = self.package()
        self.make().upload(package, "words")
        assert package.read_bytes() == b"package"

    def test_fetch_replaces_an_older_file(self) -> None:
        uploader = self.make()
        uri = uploader.upload(self.package(), "words")
        (self._own / "target").write_bytes(b"an older and longer file")
        assert self.fetched(uploader, uri) == b"package"

    def test_fetch_leaves_nothing_beside_the_target(self) -> None:
        uploader = self.make()
        uri = uploader.upload(self.package(), "words")
        folder = self._own / "folder"
        folder.mkdir()
        uploader.fetch(uri, folder / "target")
        assert [path.name for path in folder.iterdir()] == ["target"]

    def test_the_last_user_removes_a_package(self) -> None:
        uploader = self.make()
        uri = uploader.upload(self.package(), "words")
        uploader.upload(self.package(), "other")
        uploader.undo(uri, "words")
        assert self.fetched(uploader, uri) == b"package"
        uploader.undo(uri, "other")
        with pytest.raises(NotFoundError):
            uploader.fetch(uri, self._own / "gone")
        assert not (self._own / "gone").exists()

    def test_undo_may_be_repeated_and_may_come_from_no_user(self) -> None:
        uploader = self.make()
        uri = uploader.upload(self.package(), "words")
        uploader.undo(uri, "never a user")
        assert self.fetched(uploader, uri) == b"package"
        uploader.undo(uri, "words")
        uploader.undo(uri, "words")

    def test_a_topology_that_uploads_twice_is_one_user(self) -> None:
        uploader = self.make()
        uri = uploader.upload(self.package(), "words")
        uploader.upload(self.package(), "words")
        uploader.undo(uri, "words")
        with pytest.raises(NotFoundError):
            self.fetched(uploader, uri)

    def test_a_removed_package_can_be_uploaded_again(self) -> None:
        uploader = self.make()
        uri = uploader.upload(self.package(), "words")
        uploader.undo(uri, "words")
        assert uploader.upload(self.package(), "words") == uri
        assert self.fetched(uploader, uri) == b"package"

    @pytest.mark.parametrize("name", ["words", ".", "..", ".hidden", "a b", "%2e", "Übung"])
    def test_a_topology_may_have_an_unusual_name(self, name: str) -> None:
        uploader = self.make()
        uri = uploader.upload(self.package(), name)
        uploader.upload(self.package(), "other")
        uploader.undo(uri, "other")
        assert self.fetched(uploader, uri) == b"package"
        uploader.undo(uri, name)
        with pytest.raises(NotFoundError):
            self.fetched(uploader, uri)

    @pytest.mark.parametrize("name", ["", "a/b", "../words", "a\0b"])
    def test_a_bad_topology_name_is_refused(self, name: str) -> None:
        with pytest.raises(UploadError):
            self.make().upload(self.package(), name)

    @pytest.mark.parametrize(
        "uri", ["", "nonsense", "file:///etc/passwd", "local:../../etc/passwd", "local:" + "g" * 64]
    )
    def test_a_bad_uri_is_refused(self, uri: str) -> None:
        uploader = self.make()
        with pytest.raises((UploadError, NotFoundError)):
            uploader.fetch(uri, self._own / "target")
        with pytest.raises((UploadError, NotFoundError)):
            uploader.undo(uri, "words")
        assert not (self._own / "target").exists()

    @pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
    def test_what_is_no_file_is_refused(self, kind: str) -> None:
        path = self._own / "package"
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        with pytest.raises(UploadError, match="package"):
            self.make().upload(path, "words")

    def test_a_damaged_package_is_never_delivered(self) -> None:
        uploader = self.make()
        uri = uploader.upload(self.package(b"package" * 1000), "words")
        self.damage(uri)
        target = self._own / "target"
        target.write_bytes(b"older")
        with pytest.raises(UploadError):
            uploader.fetch(uri, target)
        assert target.read_bytes() == b"older"
        assert not [path for path in self._own.iterdir() if path.name.startswith(".")]
        uploader.upload(self.package(b"package" * 1000), "words")
        assert self.fetched(uploader, uri) == b"package" * 1000
