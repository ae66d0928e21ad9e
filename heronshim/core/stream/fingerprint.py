"""Which errors have one cause: texts and places in code become a short name, equal for equals."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

FRAMES_MAX = 20
"""Different frames of a trace that count, the innermost ones."""
_VARYING = re.compile(
    r"0x[0-9a-fA-F]+"  # addresses
    r"|\b(?=[0-9a-f-]*\d)[0-9a-f]{8,}(?:-[0-9a-f]{4,})*\b"  # ids such as UUIDs
    r"|\d+(?:\.\d+)*"  # numbers, versions, network addresses
)


def fingerprint(*parts: str) -> str:
    """Return 12 hex digits that are equal for equal parts."""
    whole = "\0".join(parts)
    return sha256(whole.encode("utf-8", "replace")).hexdigest()[:12]


def without_numbers(text: str) -> str:
    """Return a message without what varies from one error to the next of the same cause."""
    return _VARYING.sub("#", text)


def trace_text(frames: Iterable[tuple[str, str, int]]) -> str:
    """Return a trace as one text; a frame is its file's path, function and line.

    Folders do not count: each container has the author's files in another one. Nor does how often
    a frame occurs: a recursion fails at any depth.
    """
    names = dict.fromkeys(
        f"{path.rpartition('/')[2]}:{function}:{line}" for path, function, line in frames
    )
    return "|".join(list(names)[-FRAMES_MAX:])
