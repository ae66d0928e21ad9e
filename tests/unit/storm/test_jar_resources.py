"""Resources of a jar come out under their names, and nothing of a hostile jar does harm."""

from __future__ import annotations

import struct
import warnings
import zipfile
from pathlib import Path

import pytest

from heronshim.storm import jar_resources as module
from heronshim.storm.errors import InvalidTopologyError
from heronshim.storm.jar_resources import unpack_resources
from tests.input.bombs import hidden_directory


def jar(folder: Path, **entries: bytes) -> Path:
    path = folder / "a.jar"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "out"
    made.mkdir()
    return made


def test_only_resources_are_unpacked(tmp_path: Path, folder: Path) -> None:
    entries = {
        "resources/": b"",
        "resources/a.py": b"print()",
        "resources/sub/b.rb": b"puts",
        "resources.txt": b"x",
        "com/acme/A.class": b"\xca\xfe",
    }
    found = unpack_resources(jar(tmp_path, **entries), folder)
    assert {name: path.read_bytes() for name, path in found.items()} == {
        "resources/a.py": b"print()",
        "resources/sub/b.rb": b"puts",
    }
    assert {path.parent for path in found.values()} == {folder}


def test_names_are_no_paths(tmp_path: Path, folder: Path) -> None:
    """What packs them refuses the name."""
    found = unpack_resources(jar(tmp_path, **{"resources/../../x": b"x"}), folder)
    assert [path.parent for path in found.values()] == [folder]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jar", "out"]


def test_number_and_size_are_bounded(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FILES_MAX", 2)
    monkeypatch.setattr(module, "BYTES_MAX", 100)
    three = {f"resources/{number}": b"x" for number in range(3)}
    with pytest.raises(InvalidTopologyError, match="over 2 files below resources/"):
        unpack_resources(jar(tmp_path, **three), folder)
    two = {"resources/a": bytes(60), "resources/b": bytes(60)}
    with pytest.raises(InvalidTopologyError, match="over 100 bytes below resources/"):
        unpack_resources(jar(tmp_path, **two), folder)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\5\6" + bytes(18) + b"x"])
def test_what_is_no_zip_is_refused(tmp_path: Path, folder: Path, content: bytes) -> None:
    path = tmp_path / "a.jar"
    path.write_bytes(content)
    if content.startswith(b"PK"):
        assert unpack_resources(path, folder) == {}
        return
    with pytest.raises(InvalidTopologyError, match="The jar cannot be read"):
        unpack_resources(path, folder)


def test_a_list_of_entries_that_would_fill_the_memory_is_not_read(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record at the end says that there is none; one of newer zips does."""
    path = tmp_path / "a.jar"
    path.write_bytes(hidden_directory(2000))
    assert unpack_resources(path, folder) == {}
    monkeypatch.setattr(module, "DIRECTORY_BYTES_MAX", 1 << 16)
    with pytest.raises(InvalidTopologyError, match="its list of entries has over 65536 bytes"):
        unpack_resources(path, folder)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_unpacks_in_one_piece_is_refused_before_it_is_opened(
    tmp_path: Path, folder: Path, method: int
) -> None:
    path = tmp_path / "a.jar"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("resources/a", bytes(1 << 20))
    with pytest.raises(InvalidTopologyError, match=f"is compressed by method {method}; store or"):
        unpack_resources(path, folder)
    assert list(folder.iterdir()) == []


def test_a_size_that_is_a_lie_writes_no_more_than_it_states(tmp_path: Path, folder: Path) -> None:
    path = jar(tmp_path, **{"resources/a": bytes(100_000)})
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<I", 100_000), struct.pack("<I", 5)))
    with pytest.raises(InvalidTopologyError, match="The jar cannot be read: Bad CRC-32"):
        unpack_resources(path, folder)
    assert all(file.stat().st_size <= 5 for file in folder.iterdir())


def test_of_entries_of_one_name_the_last_counts_and_all_are_bounded(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jar"
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in (("a", b"1"), ("b", b"2"), ("a", b"3"), ("a", b"4")):
            archive.writestr(f"resources/{name}", content)
    found = unpack_resources(path, folder)
    assert {name: file.read_bytes() for name, file in found.items()} == {
        "resources/a": b"4",
        "resources/b": b"2",
    }
    monkeypatch.setattr(module, "FILES_MAX", 3)
    with pytest.raises(InvalidTopologyError, match="over 3 files"):
        unpack_resources(path, folder)


def test_a_damaged_entry_is_refused(tmp_path: Path, folder: Path) -> None:
    path = jar(tmp_path, **{"resources/a": b"a long text " * 50})
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InvalidTopologyError, match="The jar cannot be read"):
        unpack_resources(path, folder)
