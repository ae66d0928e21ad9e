"""Packages: equal bytes for equal files, and nothing hostile is unpacked (reliability.md 3)."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heronshim.core.io import packages
from heronshim.core.io.packages import extract, pack
from heronshim.errors import UploadError
from tests.input.bombs import hidden_directory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where to unpack; nothing else may appear beside it."""
    (tmp_path / "inside").mkdir()
    return tmp_path / "inside" / "package"


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = 8) -> bytes:
    """A zip of those entries, as hostile as zipfile lets one write it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return file.getvalue()


def special(name: str, kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    return info


def changed(content: bytes, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    assert old in content
    return content.replace(old, new)


def refused(tmp_path: Path, folder: Path, content: bytes) -> str:
    """Unpack bytes that must be refused and leave nothing; return the message."""
    package = tmp_path / "package.zip"
    package.write_bytes(content)
    with pytest.raises(UploadError) as caught:
        extract(package, folder)
    assert list(folder.parent.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inside", "package.zip"]
    message = str(caught.value)
    assert message.startswith(f"package {package}")
    return message.removeprefix(f"package {package} ")


def write(folder: Path, files: dict[str, bytes]) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for number, (name, content) in enumerate(files.items()):
        found[name] = folder / str(number)
        found[name].write_bytes(content)
    return found


NAMES = st.lists(
    st.text(st.sampled_from("abcXYZ0_. -é"), min_size=1, max_size=8).filter(
        lambda part: part.strip(".") != ""
    ),
    min_size=1,
    max_size=3,
).map("/".join)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=200), max_size=6))
def test_what_is_packed_is_unpacked_or_refused_at_once(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    tmp_path = tmp_path_factory.mktemp("p")
    keys = {name.casefold() for name in files}
    above = {str(parent).casefold() for name in files for parent in Path(name).parents}
    source = write(tmp_path / "source", files)
    if len(keys) < len(files) or keys & above:
        with pytest.raises(UploadError, match=r"twice|as a file and as a folder"):
            pack(source, tmp_path / "package.zip")
        return
    pack(source, tmp_path / "package.zip")
    extract(tmp_path / "package.zip", tmp_path / "target")
    found = {
        str(path.relative_to(tmp_path / "target")): path.read_bytes()
        for path in (tmp_path / "target").rglob("*")
        if path.is_file()
    }
    assert found == files


def test_equal_files_give_equal_bytes_whatever_their_dates_and_order(tmp_path: Path) -> None:
    files = write(tmp_path / "source", {"b.py": b"b", "a/c.py": b"c" * 1000})
    pack(files, tmp_path / "1.zip")
    for path in files.values():
        os.utime(path, (1, 1))
        path.chmod(0o640)
    pack(dict(reversed(files.items())), tmp_path / "2.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    assert (tmp_path / "1.zip").stat().st_mode & 0o777 == 0o600


def test_only_the_owners_rights_and_execution_are_kept(tmp_path: Path) -> None:
    files = write(tmp_path / "source", {"run.sh": b"#!/bin/sh", "data/x": b""})
    files["run.sh"].chmod(0o4777)
    pack(files, tmp_path / "package.zip")
    extract(tmp_path / "package.zip", tmp_path / "target")
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "target").rglob("*")
    }
    assert modes == {"run.sh": 0o700, "data": 0o700, "x": 0o600}


def test_an_earlier_folder_is_replaced(tmp_path: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / "old").write_text("old")
    (tmp_path / "package.zip").write_bytes(zipped(("new", b"new")))
    extract(tmp_path / "package.zip", folder)
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert [path.name for path in folder.parent.iterdir()] == ["package"]


def test_an_earlier_folder_stays_when_the_package_is_refused(tmp_path: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / "old").write_text("old")
    (tmp_path / "package.zip").write_bytes(zipped(("new", b"new"), ("../x", b"")))
    with pytest.raises(UploadError):
        extract(tmp_path / "package.zip", folder)
    assert [path.name for path in folder.iterdir()] == ["old"]


def test_an_empty_package_is_an_empty_folder(tmp_path: Path, folder: Path) -> None:
    pack({}, tmp_path / "package.zip")
    extract(tmp_path / "package.zip", folder)
    assert list(folder.iterdir()) == []


AGAIN = "; package the topology's own files anew"
TRAVERSAL = "is absolute or has an empty part, . or .."


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../x", TRAVERSAL),
        ("a/../../x", TRAVERSAL),
        ("a/..", TRAVERSAL),
        ("..", TRAVERSAL),
        ("/etc/passwd", TRAVERSAL),
        ("//x", TRAVERSAL),
        ("a//b", TRAVERSAL),
        ("./a", TRAVERSAL),
        ("../", TRAVERSAL),
        ("..\\x", "has a backslash or colon"),
        ("C:x", "has a backslash or colon"),
        ("a\nb", "has a character that is not printable"),
        ("a\x1b[31m", "has a character that is not printable"),
        ("a\u202eb", "has a character that is not printable"),
        ("x" * 256, "has a part over 255 bytes"),
        ("x/" * 32 + "x", "has a path over 1024 bytes or 32 parts"),
        ("/".join(["x" * 200] * 6), "has a path over 1024 bytes or 32 parts"),
    ],
)
def test_hostile_names(tmp_path: Path, folder: Path, name: str, problem: str) -> None:
    message = refused(tmp_path, folder, zipped(("good", b""), (name, b"")))
    shown = name.removesuffix("/") or name
    assert message == f"entry {shown[:100]!a} {problem}{AGAIN}"


def test_a_zero_byte_in_a_name(tmp_path: Path, folder: Path) -> None:
    """zipfile cuts a name there; other tools may not."""
    content = changed(zipped(("good.py_../x", b"")), b"good.py_../x", b"good.py\0../x")
    message = refused(tmp_path, folder, content)
    assert message == f"entry 'good.py\\x00../x' has a zero byte or a second name{AGAIN}"


def test_an_empty_name(tmp_path: Path, folder: Path) -> None:
    content = bytearray(zipped(("a", b"")))
    entry = content.index(b"PK\1\2")
    content[entry + 28] = 0
    content[entry + 30] = 1
    assert refused(tmp_path, folder, bytes(content)) == f"entry '' {TRAVERSAL}{AGAIN}"


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFBLK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK]
)
def test_links_devices_and_pipes(tmp_path: Path, folder: Path, kind: int) -> None:
    content = zipped((special("a", kind), b"/etc"), ("a/passwd", b"x"))
    message = refused(tmp_path, folder, content)
    assert message == f"entry 'a' is a link, device or pipe{AGAIN}"


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("first", "second"), [("a", "a"), ("a", "A"), ("\u00e9", "e\u0301"), ("a/b", "A/B")]
)
def test_names_that_fall_together(tmp_path: Path, folder: Path, first: str, second: str) -> None:
    message = refused(tmp_path, folder, zipped((first, b"1"), (second, b"2")))
    assert message == (
        f"holds {second!a} twice (case and accents compared as some file systems do){AGAIN}"
    )


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b/c", "a"), ("A", "a/b")])
def test_a_file_that_is_a_folder_too(tmp_path: Path, folder: Path, names: tuple[str, ...]) -> None:
    message = refused(tmp_path, folder, zipped(*((name, b"") for name in names)))
    assert "as a file and as a folder" in message


def test_a_folder_may_be_listed(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "package.zip").write_bytes(zipped(("a/", b""), ("a/b", b"x")))
    extract(tmp_path / "package.zip", folder)
    assert (folder / "a" / "b").read_bytes() == b"x"


def test_encrypted(tmp_path: Path, folder: Path) -> None:
    content = bytearray(zipped(("a", b"secret")))
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    assert refused(tmp_path, folder, bytes(content)) == f"entry 'a' is encrypted{AGAIN}"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions(tmp_path: Path, folder: Path, method: int) -> None:
    message = refused(tmp_path, folder, zipped(("a", b"x" * 100), method=method))
    assert message == f"entry 'a' is compressed by method {method}, not stored or deflated{AGAIN}"


def test_a_bomb(tmp_path: Path, folder: Path) -> None:
    message = refused(tmp_path, folder, zipped(("a", bytes(64 << 20))))
    assert message.endswith(f"more than 200 times{AGAIN}")


def test_too_many_bytes(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "TOTAL_BYTES_MAX", 1000)
    content = zipped(("a", b"x" * 600), ("b", b"x" * 600))
    assert refused(tmp_path, folder, content) == f"has 1200 bytes, at most 1000 are allowed{AGAIN}"
    with pytest.raises(UploadError, match="has 1200 bytes, at most 1000 are allowed"):
        pack(write(tmp_path / "source", {"a": b"x" * 600, "b": b"x" * 600}), tmp_path / "p.zip")
    assert not (tmp_path / "p.zip").exists()


def test_too_many_entries(tmp_path: Path, folder: Path) -> None:
    content = zipped(*((f"{number}", b"") for number in range(packages.ENTRIES_MAX + 1)))
    message = refused(tmp_path, folder, content)
    assert message == f"has 10001 entries, at most 10000 are allowed{AGAIN}"


def test_a_directory_that_only_a_newer_record_tells_of(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = hidden_directory(2000)
    monkeypatch.setattr(packages, "_DIRECTORY_BYTES_MAX", 1 << 16)
    message = refused(tmp_path, folder, content)
    assert message.startswith("is damaged: its list of entries has over 65536 bytes")


def test_more_than_stated(tmp_path: Path, folder: Path) -> None:
    """The directory says 5 bytes, the entry inflates to 100,000."""
    content = zipped(("a", b"x" * 100_000))
    content = changed(content, struct.pack("<I", 100_000), struct.pack("<I", 5))
    message = refused(tmp_path, folder, content)
    assert "holds more of 'a' than it states" in message or "is damaged: Bad CRC" in message


def test_less_than_stated(tmp_path: Path, folder: Path) -> None:
    content = zipped(("a", b"x" * 1000), method=0)
    content = changed(content, struct.pack("<II", 1000, 1000), struct.pack("<II", 1000, 9000))
    assert refused(tmp_path, folder, content)


def overlapping() -> bytes:
    """Two entries of the directory that share one local entry, as in better zip bombs."""
    content = bytearray(zipped(("a", b"x" * 1000), ("b", b"y" * 1000)))
    second = content.rindex(b"PK\1\2")
    content[second + 42 : second + 46] = struct.pack("<I", 0)
    return bytes(content)


def test_overlapping_entries(tmp_path: Path, folder: Path) -> None:
    assert refused(tmp_path, folder, overlapping()) == f"entry 'b' overlaps another{AGAIN}"


def test_a_changed_byte_of_content(tmp_path: Path, folder: Path) -> None:
    content = changed(zipped(("a", b"good content"), method=0), b"good content", b"evil content")
    message = refused(tmp_path, folder, content)
    assert message == f"is damaged: Bad CRC-32 for file 'a'{AGAIN}"


GOOD = zipped(("a.py", b"print(1)\n"), ("b/c.py", b"x" * 200))
ENDING = "is damaged: it does not end as a zip without comment does"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is damaged: it is too short for a zip"),
        (b"x" * 1000, ENDING),
        (GOOD[:-1], ENDING),
        (GOOD + b"x", ENDING),
        (GOOD[:-2] + b"\5\0" + b"12345", ENDING),
        (b"#!/bin/sh\n" + GOOD, "is damaged: its directory is not where its end says"),
        (GOOD[-22:], "is damaged: its directory is not where its end says"),
        (GOOD[:-14] + b"\xff\xff" * 2 + GOOD[-10:], "has 65535 entries, at most 10000 are allowed"),
    ],
)
def test_what_is_no_good_zip(tmp_path: Path, folder: Path, content: bytes, problem: str) -> None:
    assert refused(tmp_path, folder, content) == problem + AGAIN


def test_bytes_before_the_first_entry(tmp_path: Path, folder: Path) -> None:
    """With all offsets right; a shell script could hide there."""
    file = io.BytesIO(b"#!/bin/sh\n")
    file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("a", b"x")
    message = refused(tmp_path, folder, file.getvalue())
    assert message == f"has 10 bytes before its first entry{AGAIN}"


def test_every_cut_is_refused(tmp_path: Path, folder: Path) -> None:
    for length in range(len(GOOD)):
        refused(tmp_path, folder, GOOD[:length])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_change_gives_the_files_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever is changed: an UploadError and nothing, or a folder, and nothing beside it."""
    base = data.draw(st.sampled_from([GOOD, overlapping(), zipped(("a/", b""), ("a/b", b"x" * 9))]))
    content = bytearray(base)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    tmp_path = tmp_path_factory.mktemp("z")
    (tmp_path / "inside").mkdir()
    (tmp_path / "package.zip").write_bytes(content)
    try:
        extract(tmp_path / "package.zip", tmp_path / "inside" / "package")
        expected = ["package"]
    except UploadError:
        expected = []
    assert [path.name for path in (tmp_path / "inside").iterdir()] == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inside", "package.zip"]


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "device"])
def test_what_is_no_file(tmp_path: Path, folder: Path, kind: str) -> None:
    package = Path("/dev/zero") if kind == "device" else tmp_path / "package.zip"
    if kind == "folder":
        package.mkdir()
    elif kind == "pipe":
        os.mkfifo(package)
    with pytest.raises(UploadError) as caught:
        extract(package, folder)
    expected = "No such file" if kind == "missing" else "is no regular file"
    assert expected in str(caught.value)
    with pytest.raises(UploadError):
        pack({"a": package}, tmp_path / "target.zip")
    assert not (tmp_path / "target.zip").exists()


@pytest.mark.parametrize("name", ["../x", "/x", "", "a\0b", "a\\b"])
def test_pack_refuses_what_extract_would(tmp_path: Path, name: str) -> None:
    files = write(tmp_path / "source", {name: b""})
    with pytest.raises(UploadError):
        pack(files, tmp_path / "target.zip")
    assert not (tmp_path / "target.zip").exists()


def test_pack_refuses_a_missing_file_by_name(tmp_path: Path) -> None:
    with pytest.raises(UploadError, match=r"gone\.py: No such file or directory; check it"):
        pack({"a.py": tmp_path / "gone.py"}, tmp_path / "target.zip")
    assert list(tmp_path.iterdir()) == []
