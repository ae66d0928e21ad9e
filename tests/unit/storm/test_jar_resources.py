"""Resources of a jar come out under their names, and nothing of a hostile jar does harm."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from heronshim.storm import jar_resources as module
from heronshim.storm.errors import InvalidTopologyError
from heronshim.storm.jar_resources import unpack_resources


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
    for path in folder.iterdir():
        path.unlink()
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
    path = jar(tmp_path, **{"resources/a": b"x"})
    monkeypatch.setattr(module, "DIRECTORY_BYTES_MAX", 10)
    with pytest.raises(InvalidTopologyError, match="its list of entries has 57 bytes"):
        unpack_resources(path, folder)


def test_a_damaged_entry_is_refused(tmp_path: Path, folder: Path) -> None:
    path = jar(tmp_path, **{"resources/a": b"a long text " * 50})
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InvalidTopologyError, match="The jar cannot be read"):
        unpack_resources(path, folder)
