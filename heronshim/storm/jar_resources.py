"""The folder `resources` of an author's jar: what Storm unpacks for components, such as scripts."""

from __future__ import annotations

import shutil
import zipfile
from typing import TYPE_CHECKING

from heronshim.core.io.regular_file import open_regular
from heronshim.core.io.zip_input import COMPRESSIONS, ZIP_DAMAGE, BoundedReads
from heronshim.errors import ConfigError
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
_CHUNK_BYTES = 1 << 16


def unpack_resources(jar: Path, folder: Path) -> dict[str, Path]:
    """Unpack the resources of a jar into files of `folder`; return path in the jar -> file.

    Files are numbered, so that no name of the jar is ever used as a path. Of several entries of
    one name the last counts. Blocks for IO.

    Raises:
        InvalidTopologyError: the jar is damaged, or its resources are too many or too large.
        OSError: the disk refuses.
    """
    found: dict[str, Path] = {}
    try:
        with (
            jar.open("rb") as file,
            zipfile.ZipFile(BoundedReads(file, DIRECTORY_BYTES_MAX)) as archive,
        ):
            for number, entry in enumerate(_checked(archive.infolist())):
                found[entry.filename] = folder / f"resource-{number}"
                with archive.open(entry) as source, found[entry.filename].open("xb") as target:
                    # No more comes out than the size that it states.
                    shutil.copyfileobj(source, target, _CHUNK_BYTES)
    except ZIP_DAMAGE as error:
        msg = f"The jar cannot be read: {error}; build it anew"
        raise InvalidTopologyError(msg) from error
    return found


def entry_names(jar: Path) -> list[str]:
    """Return the paths in a jar.

    Raises:
        ConfigError: it is no jar, or damaged.
    """
    try:
        with (
            # A pipe has no end to wait for.
            open_regular(jar) as file,
            zipfile.ZipFile(BoundedReads(file, DIRECTORY_BYTES_MAX)) as archive,
        ):
            return archive.namelist()
    except (*ZIP_DAMAGE, OSError) as error:
        msg = f"{jar} cannot be read as a jar: {error}; build it anew"
        raise ConfigError(msg) from error


def _checked(entries: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """Return the entries that are resources, if they may be unpacked."""
    found = [one for one in entries if one.filename.startswith(RESOURCES) and not one.is_dir()]
    if len(found) > FILES_MAX:
        msg = f"The jar has over {FILES_MAX} files below {RESOURCES}; remove some"
        raise InvalidTopologyError(msg)
    if sum(entry.file_size for entry in found) > BYTES_MAX:
        msg = f"The jar has over {BYTES_MAX} bytes below {RESOURCES}; make them smaller"
        raise InvalidTopologyError(msg)
    for entry in found:
        if entry.compress_type not in COMPRESSIONS:
            name = f"{entry.filename[:100]!a}"
            msg = f"The jar's entry {name} is compressed by method {entry.compress_type}; store or "
            raise InvalidTopologyError(msg + "deflate it")
    return found
