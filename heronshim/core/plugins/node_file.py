"""The file that holds one state node: a header of 44 bytes, then the value.

Little-endian:

    4s magic "HSND" | u16 format | u16 zero | u64 node version | u64 creation | u64 owner |
    u32 value length | u32 CRC-32 of the value | u32 CRC-32 of the header before it

The header has its own checksum because watches and the clean-up of sessions read it alone.
`creation` is random and stays the same over all versions of a node, so (creation, version)
never comes twice. `owner` is the session of an ephemeral node, 0 for a persistent one.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heronshim.core.io.regular_file import NotRegularError, open_regular
from heronshim.core.plugins.node_path import VALUE_BYTES_MAX
from heronshim.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAGIC = b"HSND"
FORMAT = 1
_FIELDS = struct.Struct("<4sHHQQQII")
_CRC = struct.Struct("<I")
HEADER_BYTES = _FIELDS.size + _CRC.size
_ADVICE = "restore the file from a backup, or delete the node and write it again"


class DamagedNodeError(StateError):
    """A node's file is not what was written; the message names the file and what to do."""


class FutureNodeError(StateError):
    """A node's file has a format that this version does not know."""


@dataclass(frozen=True, slots=True)
class StoredNode:
    """What a node's file holds."""

    value: bytes
    version: int
    creation: int
    owner: int = 0


def to_bytes(node: StoredNode) -> bytes:
    """Return the content of a node's file."""
    value = node.value
    numbers = (node.version, node.creation, node.owner, len(value), zlib.crc32(value))
    fields = _FIELDS.pack(MAGIC, FORMAT, 0, *numbers)
    return fields + _CRC.pack(zlib.crc32(fields)) + value


def from_bytes(content: bytes, file: Path) -> StoredNode:
    """Read the content of a node's file; `file` is only named in messages.

    Raises:
        DamagedNodeError: it is empty, cut, extended or changed.
        FutureNodeError: a newer heronshim wrote it.
    """
    if content[:4] == MAGIC and len(content) >= 6:
        written = int.from_bytes(content[4:6], "little")
        if written > FORMAT:
            msg = (
                f"state file {file} has format {written}, this version reads up to {FORMAT}; "
                "upgrade heronshim, or restore the file from a backup"
            )
            raise FutureNodeError(msg)
    problem = next(_problems(content), "")
    if problem:
        msg = f"state file {file} {problem}; {_ADVICE}"
        raise DamagedNodeError(msg)
    _, _, _, version, creation, owner, *_ = _FIELDS.unpack_from(content)
    return StoredNode(content[HEADER_BYTES:], version, creation, owner)


def _problems(content: bytes) -> Iterator[str]:
    """Yield what is wrong with a file's content; only the first one counts."""
    if not content:
        yield "is empty"
    if content[:4] != MAGIC[: len(content)]:
        yield "is no state file: it does not begin with HSND"
    if len(content) < HEADER_BYTES:
        yield f"is cut: {len(content)} bytes, its header alone has {HEADER_BYTES}"
    if not _is_whole(content):
        yield "is damaged: the checksum of its header is wrong"
    _, written, zero, version, _, _, length, crc = _FIELDS.unpack_from(content)
    found = len(content) - HEADER_BYTES
    if length != found:
        yield f"is cut or extended: its value has {found} bytes, {length} were written"
    if crc != zlib.crc32(content[HEADER_BYTES:]):
        yield "is damaged: the checksum of its value is wrong"
    if written != FORMAT or zero or not version:
        yield "is damaged: its header is wrong"


def _is_whole(header: bytes) -> bool:
    (crc,) = _CRC.unpack_from(header, _FIELDS.size)
    return bool(crc == zlib.crc32(header[: _FIELDS.size]))


def read(file: Path) -> StoredNode | None:
    """Return the node in a file, or None when there is no file.

    Raises:
        DamagedNodeError, FutureNodeError: as `from_bytes`; or it is no regular file.
        OSError: it cannot be read.
    """
    content = read_content(file, HEADER_BYTES + VALUE_BYTES_MAX + 1)
    return None if content is None else from_bytes(content, file)


def read_header(file: Path) -> bytes | None:
    """Return the first HEADER_BYTES of a file unchecked, or None when there is no file.

    Cheap, and different after each write: a watch compares it.

    Raises:
        DamagedNodeError: it is no regular file.
        OSError: it cannot be read.
    """
    return read_content(file, HEADER_BYTES)


def owner_of(header: bytes) -> int:
    """Return the owner in a header; 0 when the header is damaged or of another format."""
    if len(header) < HEADER_BYTES or not _is_whole(header):
        return 0
    _, written, _, _, _, owner, *_ = _FIELDS.unpack_from(header)
    return owner if written == FORMAT else 0


def read_content(file: Path, bytes_max: int) -> bytes | None:
    """Return up to `bytes_max` bytes of a regular file, or None when there is no file.

    Raises:
        DamagedNodeError: it is no regular file (a link, pipe, device or folder).
        OSError: it cannot be read.
    """
    try:
        with open_regular(file, follow_links=False) as opened:
            return opened.read(bytes_max)
    except FileNotFoundError:
        return None
    except NotRegularError as error:
        msg = f"state file {file} is no regular file; remove it"
        raise DamagedNodeError(msg) from error
