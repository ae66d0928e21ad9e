"""Paths of state nodes: what is allowed, and how a part becomes a file name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from heronshim.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator

PART_BYTES_MAX = 200
"""UTF-8 bytes of one part: a file name holds 255, some of which escaping takes."""
PARTS_MAX = 16
"""Depth of the tree."""
VALUE_BYTES_MAX = 16 << 20
"""Bytes of one value; the physical plan of 100,000 tasks takes about half."""

_ESCAPED = re.compile(r"^\.|[%\x00-\x1f\x7f]")


def split(path: str) -> tuple[str, ...]:
    """Return the parts of an absolute path; none for the root "/".

    Raises:
        StateError: the path is not absolute, has an empty part, ".", "..", a zero byte, text that
            is not UTF-8, or is too long or too deep.
    """
    if path == "/":
        return ()
    problem = next(_problems(path), "")
    if problem:
        msg = f"state path {_shown(path)} {problem}; a path looks like /topologies/words/plan"
        raise StateError(msg)
    return tuple(path[1:].split("/"))


def node_parts(path: str) -> tuple[str, ...]:
    """Return the parts of a path that may hold a node, which the root may not.

    Raises:
        StateError: as `split`, or the path is "/".
    """
    parts = split(path)
    if not parts:
        msg = (
            "state path / is the root and holds no value; a path looks like /topologies/words/plan"
        )
        raise StateError(msg)
    return parts


def join(parts: tuple[str, ...]) -> str:
    """Return the path of parts: the inverse of `split`."""
    return "/" + "/".join(parts)


def check_value(path: str, value: bytes) -> None:
    """Check the size of a value.

    Raises:
        StateError: it is larger than VALUE_BYTES_MAX.
    """
    if len(value) > VALUE_BYTES_MAX:
        msg = (
            f"value of state node {path} has {len(value)} bytes, at most {VALUE_BYTES_MAX} are "
            "allowed; keep large data in a package"
        )
        raise StateError(msg)


def escape(part: str) -> str:
    """Return a file name for one part: never hidden, without control characters, one to one."""
    return _ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", part)


def unescape(name: str) -> str:
    """Return the part that a file name stands for: the inverse of `escape`."""
    return unquote(name, errors="surrogateescape")


def _problems(path: str) -> Iterator[str]:
    """Yield what is wrong with a path; only the first one counts."""
    if not path.startswith("/"):
        yield 'does not begin with "/"'
    parts = path[1:].split("/")
    if len(parts) > PARTS_MAX:
        yield f"has {len(parts)} parts, at most {PARTS_MAX} are allowed"
    for part in parts:
        if not part:
            yield "has an empty part"
        if part in {".", ".."}:
            yield f'has the part "{part}"'
        if "\0" in part:
            yield "has a zero byte"
        if any("\ud800" <= character <= "\udfff" for character in part):
            yield "is not valid Unicode"
        size = len(part.encode(errors="replace"))
        if size > PART_BYTES_MAX:
            yield f"has a part of {size} bytes, at most {PART_BYTES_MAX} are allowed"


def _shown(path: str) -> str:
    """Return a path for a message: control characters escaped and long ones cut."""
    return ascii(path if len(path) <= 100 else path[:100] + "...")
