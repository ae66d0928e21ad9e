"""Packages: the author's files as one zip, the same bytes for the same files.

`extract` reads packages that came over a network or a disk: whatever they hold, nothing lands
outside the folder, and time, memory and disk are bounded.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import tempfile
import unicodedata
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from heronshim.core.io.regular_file import open_regular
from heronshim.core.io.zip_input import COMPRESSIONS, ZIP_DAMAGE, BoundedReads
from heronshim.errors import UploadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENTRIES_MAX = 10_000
"""Files and folders of one package."""
NAME_BYTES_MAX = 1024
"""UTF-8 bytes of one entry's path."""
PART_BYTES_MAX = 255
"""UTF-8 bytes of one part of a path, as file systems have it."""
PARTS_MAX = 32
"""Depth of folders in a package."""
TOTAL_BYTES_MAX = 1 << 30
"""Bytes of one package and of all that is in it."""
RATIO_MAX = 200
"""Unpacked bytes per packed byte beyond RATIO_FREE_BYTES: deflate reaches 1,030, source code 10."""
RATIO_FREE_BYTES = 16 << 20
"""Small packages of very repetitive files are no danger."""

_DATE = (1980, 1, 1, 0, 0, 0)
_CHUNK_BYTES = 1 << 16
_END = struct.Struct("<4s4H2IH")
_END_MAGIC = b"PK\5\6"
_DIRECTORY_BYTES_MAX = ENTRIES_MAX * (46 + NAME_BYTES_MAX + 64)
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED_FLAGS = 0x1 | 0x40 | 0x2000


def pack(files: Mapping[str, Path], target: Path) -> None:
    """Write a package of `files` (path in the package -> file) to `target`, whole or not at all.

    Entries ascend by name and carry no dates, so that equal files give equal bytes. An
    executable file stays executable. Blocks for IO.

    Raises:
        UploadError: a name, number or size is not allowed, or a file cannot be read.
    """
    _refuse(target, next(_names_problems(list(files), []), ""))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    with _explained(target):
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with (
                os.fdopen(os.open(temporary, flags, 0o600), "w+b") as file,
                zipfile.ZipFile(file, "w") as archive,
            ):
                for name in sorted(files):
                    _pack_file(archive, name, files[name], target)
            _refuse(target, _size_problem(temporary.stat().st_size))
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


def extract(package: Path, folder: Path) -> None:
    """Unpack a package into `folder`, which is made anew: until all is there, nothing is.

    An earlier `folder` is replaced. Folders get mode 0700, files 0600 or, if executable, 0700.
    Blocks for IO.

    Raises:
        UploadError: the package is damaged or holds what is not allowed, or the disk refuses;
            `folder` is as it was.
    """
    with _explained(package), open_regular(package) as file:
        _refuse(package, _end_problem(file))
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            with zipfile.ZipFile(BoundedReads(file, _DIRECTORY_BYTES_MAX)) as archive:
                entries = archive.infolist()
                _refuse(package, next(_entries_problems(archive, entries), ""))
                for entry in entries:
                    _extract_entry(package, archive, entry, temporary)
            _replace_folder(temporary, folder)
        except ZIP_DAMAGE as error:
            _refuse(package, f"is damaged: {error}")
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _pack_file(archive: zipfile.ZipFile, name: str, path: Path, target: Path) -> None:
    with open_regular(path) as source:
        status = os.fstat(source.fileno())
        entry = zipfile.ZipInfo(name, _DATE)
        entry.create_system = 3
        entry.compress_type = zipfile.ZIP_DEFLATED
        mode = 0o755 if status.st_mode & 0o100 else 0o644
        entry.external_attr = (stat.S_IFREG | mode) << 16
        entry.file_size = status.st_size
        packed = sum(item.file_size for item in archive.filelist)
        _refuse(target, _size_problem(packed + status.st_size))
        with archive.open(entry, "w") as copy:
            shutil.copyfileobj(source, copy, _CHUNK_BYTES)


def _extract_entry(
    package: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path
) -> None:
    path = folder / entry.filename
    if _is_folder(entry):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = 0o700 if entry.external_attr >> 16 & 0o100 else 0o600
    left = entry.file_size
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with archive.open(entry) as source, os.fdopen(os.open(path, flags, mode), "wb") as target:
        while chunk := source.read(_CHUNK_BYTES):
            left -= len(chunk)
            # The stated size was checked against the limits: more than that is a lie.
            _refuse(package, f"holds more of {entry.filename!a} than it states" if left < 0 else "")
            target.write(chunk)
    _refuse(package, f"holds less of {entry.filename!a} than it states" if left else "")


def _replace_folder(new: Path, folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            folder.rename(old)
            new.rename(folder)
        finally:
            shutil.rmtree(old, ignore_errors=True)
    else:
        new.rename(folder)


def _end_problem(file: BinaryIO) -> str:
    """Return what is wrong with the size and the end record, before zipfile trusts them.

    zipfile itself goes on to search for an end record further up.
    """
    size = file.seek(0, os.SEEK_END)
    if size > TOTAL_BYTES_MAX:
        return _size_problem(size)
    if size < _END.size:
        return "is damaged: it is too short for a zip"
    file.seek(-_END.size, os.SEEK_END)
    fields = _END.unpack(file.read(_END.size))
    magic, _, _, _, entries, directory_bytes, directory_at, _ = fields
    if magic != _END_MAGIC:
        return "is damaged: it does not end as a zip without comment does"
    if entries > ENTRIES_MAX:
        return f"has {entries} entries, at most {ENTRIES_MAX} are allowed"
    if directory_bytes > _DIRECTORY_BYTES_MAX or directory_at + directory_bytes + _END.size != size:
        return "is damaged: its directory is not where its end says"
    return ""


def _entries_problems(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> Iterator[str]:
    """Yield what is wrong with the directory of entries; only the first one counts."""
    if len(entries) > ENTRIES_MAX:
        yield f"has {len(entries)} entries, at most {ENTRIES_MAX} are allowed"
    for entry in entries:
        yield from _entry_problems(entry)
    files = [entry.orig_filename for entry in entries if not _is_folder(entry)]
    folders = [entry.orig_filename.removesuffix("/") for entry in entries if _is_folder(entry)]
    yield from _names_problems(files, folders)
    unpacked = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    yield from filter(None, [_size_problem(unpacked)])
    if unpacked > RATIO_FREE_BYTES + RATIO_MAX * packed:
        yield f"unpacks to {unpacked} bytes from {packed}: more than {RATIO_MAX} times"
    yield from _overlap_problems(entries, archive.start_dir)


def _entry_problems(entry: zipfile.ZipInfo) -> Iterator[str]:
    name = f"entry {entry.orig_filename[:100]!a}"
    # zipfile cuts a name at a zero byte, and takes another one from a field of newer zips.
    if entry.filename != entry.orig_filename:
        yield f"{name} has a zero byte or a second name"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.flag_bits & _ENCRYPTED_FLAGS:
        yield f"{name} is encrypted"
    if entry.compress_type not in COMPRESSIONS:
        yield f"{name} is compressed by method {entry.compress_type}, not stored or deflated"
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        yield f"{name} is a link, device or pipe"
    if _is_folder(entry) and entry.file_size:
        yield f"{name} is a folder with content"
    if not _is_folder(entry) and kind == stat.S_IFDIR:
        yield f"{name} is a folder by its mode and a file by its name"


def _names_problems(files: list[str], folders: list[str]) -> Iterator[str]:
    """Yield what is wrong with the paths in a package; only the first one counts."""
    if len(files) + len(folders) > ENTRIES_MAX:
        yield f"has {len(files) + len(folders)} entries, at most {ENTRIES_MAX} are allowed"
    seen: set[str] = set()
    for name in files + folders:
        yield from _name_problems(name)
        if _key(name) in seen:
            yield f"holds {name!a} twice (case and accents compared as some file systems do)"
        seen.add(_key(name))
    file_keys = set(map(_key, files))
    for name in files + folders:
        parts = name.split("/")
        for length in range(1, len(parts)):
            above = "/".join(parts[:length])
            if _key(above) in file_keys:
                yield f"holds {above!a} as a file and as a folder"


def _name_problems(name: str) -> Iterator[str]:
    shown = f"entry {name[:100]!a}"
    parts = name.split("/")
    if not name.isprintable():
        yield f"{shown} has a character that is not printable"
    if len(name.encode()) > NAME_BYTES_MAX or len(parts) > PARTS_MAX:
        yield f"{shown} has a path over {NAME_BYTES_MAX} bytes or {PARTS_MAX} parts"
    if "\\" in name or ":" in name:
        yield f"{shown} has a backslash or colon"
    for part in parts:
        if part in {"", ".", ".."}:
            yield f"{shown} is absolute or has an empty part, . or .."
        if len(part.encode()) > PART_BYTES_MAX:
            yield f"{shown} has a part over {PART_BYTES_MAX} bytes"


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    # ZipInfo.is_dir fails for an empty name.
    return entry.filename.endswith("/")


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _overlap_problems(entries: list[zipfile.ZipInfo], directory_at: int) -> Iterator[str]:
    """Yield if entries share bytes, as in zip bombs, or bytes lie before the first one."""
    end = 0
    for entry in sorted(entries, key=lambda item: item.header_offset):
        if entry.header_offset < end:
            yield f"entry {entry.orig_filename[:100]!a} overlaps another"
        if not end and entry.header_offset:
            yield f"has {entry.header_offset} bytes before its first entry"
        end = entry.header_offset + _LOCAL_HEADER_BYTES + entry.compress_size
    if end > directory_at:
        yield "has an entry that overlaps its directory"


def _size_problem(size: int) -> str:
    if size <= TOTAL_BYTES_MAX:
        return ""
    return f"has {size} bytes, at most {TOTAL_BYTES_MAX} are allowed"


def _refuse(package: Path, problem: str) -> None:
    if problem:
        msg = f"package {package} {problem}; package the topology's own files anew"
        raise UploadError(msg)


@contextmanager
def _explained(package: Path) -> Iterator[None]:
    """Turn an OSError into an UploadError that names the file."""
    try:
        yield
    except OSError as error:
        file = error.filename or package
        msg = f"package {package}: {file}: {error.strerror or error}; check it, rights and space"
        raise UploadError(msg) from error
