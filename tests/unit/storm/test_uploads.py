"""Uploads are bounded in number, size and time, and locations are names, not paths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from heronshim.errors import NotFoundError, RefusedError, UploadError
from heronshim.storm import uploads as module
from heronshim.storm.uploads import IDLE_S, Uploads


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def uploads(tmp_path: Path, clock: Clock) -> Iterator[Uploads]:
    made = Uploads(tmp_path / "inbox", clock)
    yield made
    made.close()


def whole(uploads: Uploads, *chunks: bytes) -> str:
    location = uploads.begin()
    for chunk in chunks:
        uploads.append(location, chunk)
    uploads.finish(location)
    return location


def test_chunks_become_a_private_file(uploads: Uploads, tmp_path: Path) -> None:
    location = whole(uploads, b"ab", b"", b"c")
    path = uploads.take(location)
    assert path.read_bytes() == b"abc"
    assert path.parent == tmp_path / "inbox"
    uploads.release(location, remove=True)
    assert list(path.parent.iterdir()) == []
    with pytest.raises(NotFoundError, match="there is no upload"):
        uploads.take(location)


@pytest.mark.parametrize("location", ["", "/etc/passwd", "../x", "a\0b", "x" * 100_000])
def test_a_location_is_looked_up_only(uploads: Uploads, location: str) -> None:
    for use in (uploads.take, uploads.finish, lambda name: uploads.append(name, b"x")):
        with pytest.raises(NotFoundError, match="there is no upload") as caught:
            use(location)
        assert len(str(caught.value)) < 1000


def test_a_finished_upload_takes_no_more_and_an_open_one_is_not_taken(uploads: Uploads) -> None:
    location = uploads.begin()
    with pytest.raises(NotFoundError, match="is not finished"):
        uploads.take(location)
    uploads.finish(location)
    uploads.finish(location)
    with pytest.raises(NotFoundError, match="is finished; begin another"):
        uploads.append(location, b"x")


def test_a_failed_submit_keeps_its_jar(uploads: Uploads) -> None:
    location = whole(uploads, b"x")
    uploads.take(location)
    uploads.release(location, remove=False)
    assert uploads.take(location).exists()


def test_two_submits_of_one_jar_both_have_it(uploads: Uploads) -> None:
    location = whole(uploads, b"x")
    path = uploads.take(location)
    uploads.take(location)
    uploads.release(location, remove=True)
    assert path.exists()
    uploads.release(location, remove=True)
    assert not path.exists()


def test_number_of_uploads_is_bounded(uploads: Uploads, clock: Clock) -> None:
    first = whole(uploads, b"x")
    for _ in range(module.UPLOADS_MAX - 1):
        uploads.begin()
    uploads.take(first)
    with pytest.raises(RefusedError, match="try again later"):
        uploads.begin()
    clock.now_s += IDLE_S + 1
    location = uploads.begin()
    assert {path.stem for path in Path(location).parent.iterdir()} == {
        Path(location).stem,
        Path(first).stem,
    }


def test_size_of_one_and_of_all_is_bounded(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "JAR_BYTES_MAX", 10)
    monkeypatch.setattr(module, "TOTAL_BYTES_MAX", 15)
    large = uploads.begin()
    uploads.append(large, bytes(10))
    with pytest.raises(RefusedError, match="the jar has more than 10 bytes"):
        uploads.append(large, b"x")
    with pytest.raises(NotFoundError):
        uploads.append(large, b"x")
    first, second = uploads.begin(), uploads.begin()
    uploads.append(first, bytes(10))
    with pytest.raises(RefusedError, match="have 15 bytes together"):
        uploads.append(second, bytes(6))
    assert [path.stem for path in Path(first).parent.iterdir()] == [Path(first).stem]


def test_an_idle_jar_makes_room_for_chunks_of_others(
    uploads: Uploads, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOTAL_BYTES_MAX", 10)
    idle, slow = whole(uploads, bytes(8)), uploads.begin()
    clock.now_s += IDLE_S + 1
    # Slow as it is, it is heard of now.
    uploads.append(slow, bytes(8))
    assert not Path(idle).exists()
    uploads.finish(slow)
    assert uploads.take(slow).read_bytes() == bytes(8)


def test_a_disk_that_refuses_is_told(uploads: Uploads, tmp_path: Path) -> None:
    (tmp_path / "inbox").rmdir()
    with pytest.raises(UploadError, match="No such file or directory; check the disk"):
        uploads.begin()


def test_what_an_earlier_gateway_left_is_removed(tmp_path: Path) -> None:
    location = whole(Uploads(tmp_path / "inbox"), b"x")
    (tmp_path / "inbox" / "lock").touch()
    (tmp_path / "inbox" / "submit-x").mkdir()
    (tmp_path / "inbox" / "submit-x" / "resource-0").touch()
    Uploads(tmp_path / "inbox")
    assert not Path(location).exists()
    assert [path.name for path in (tmp_path / "inbox").iterdir()] == ["lock"]
