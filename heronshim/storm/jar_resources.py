"""The folder `resources` of an author's jar: what Storm unpacks for components, such as scripts."""

from __future__ import annotations

import shutil
import struct
import zipfile
from typing import TYPE_CHECKING

from heronshim.core.io.packages import ZIP_DAMAGE
from heronshim.storm.errors import InvalidTopologyError

if TYPE_CHECKING:
    from pathlib import Path

RESOURCES = "resources/"
FILES_MAX = 5_000
"""A package has room for twice as many."""
BYTES_MAX = 1 << 28
"""Of all files together, unpacked."""
DIRECTORY_BYTES_MAX = 1 << 24
"""Of a jar's list of entries, which zipfile reads as a whole: 150,000 entries."""
_END = struct.Struct("<4s4H2IH")
_END_MAGIC = b"PK\5\6"
_COMMENT_BYTES_MAX = 1 << 16
_CHUNK_BYTES = 1 << 16


def unpack_resources(jar: Path, folder: Path) -> dict[str, Path]:
    """Unpack the resources of a jar into files of `folder`; return path in the jar -> file.

    Files are numbered, so that no name of the jar is ever used as a path. Blocks for IO.

    Raises:
        InvalidTopologyError: the jar is damaged, or its resources are too many or too large.
        OSError: the disk refuses.
    """
    found: dict[str, Path] = {}
    left = BYTES_MAX
    try:
        _check_directory(jar)
        with zipfile.ZipFile(jar) as archive:
            for entry in archive.infolist():
                if not entry.filename.startswith(RESOURCES) or entry.is_dir():
                    continue
                if len(found) >= FILES_MAX:
                    msg = f"The jar has over {FILES_MAX} files below {RESOURCES}; remove some"
                    raise InvalidTopologyError(msg)
                file = folder / f"resource-{len(found)}"
                # The stated size is checked first, the real one while it is read.
                left -= max(entry.file_size, _unpack(archive, entry, file, left))
                _check_left(left)
                found[entry.filename] = file
    except ZIP_DAMAGE as error:
        msg = f"The jar cannot be read: {error}; build it anew"
        raise InvalidTopologyError(msg) from error
    return found


def _check_directory(jar: Path) -> None:
    with jar.open("rb") as file:
        file.seek(max(0, jar.stat().st_size - _END.size - _COMMENT_BYTES_MAX))
        tail = file.read()
    at = tail.rfind(_END_MAGIC)
    if at < 0 or at + _END.size > len(tail):
        msg = "it does not end as a zip does"
        raise zipfile.BadZipFile(msg)
    size = _END.unpack_from(tail, at)[5]
    if size > DIRECTORY_BYTES_MAX:
        msg = f"its list of entries has {size} bytes, at most {DIRECTORY_BYTES_MAX} are read"
        raise zipfile.BadZipFile(msg)


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, file: Path, left: int) -> int:
    """Write one entry; return its bytes."""
    _check_left(left - entry.file_size)
    with archive.open(entry) as source, file.open("xb") as target:
        shutil.copyfileobj(source, target, _CHUNK_BYTES)
        return target.tell()


def _check_left(left: int) -> None:
    if left < 0:
        msg = f"The jar has over {BYTES_MAX} bytes below {RESOURCES}; make them smaller"
        raise InvalidTopologyError(msg)
