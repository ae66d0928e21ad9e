"""Where an author wrote something, for messages."""

from __future__ import annotations

import inspect
import linecache
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from heronshim.core.plan.topology import SourceLine

if TYPE_CHECKING:
    from types import FrameType

_OWN_PACKAGE = "heronshim.api."
_ASSIGNMENT_LINES_MAX = 80
"""How far below an assignment a key of its value is looked for: longer literals are rare."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """Lines of a call or of an assignment in an author's file, from 1, both ends included."""

    file: str
    line: int
    end_line: int

    @property
    def source(self) -> SourceLine:
        """Its first line."""
        return SourceLine(self.file, self.line)

    def line_of(self, word: str) -> SourceLine:
        """Return the line on which `word` stands, or the first line if it is not found."""
        pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
        for line in range(self.line, self.end_line + 1):
            if pattern.search(linecache.getline(self.file, line)):
                return SourceLine(self.file, line)
        return self.source


def declared_here() -> Declaration:
    """Return where the nearest caller outside this package stands."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the one cheap way to the caller's line
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_OWN_PACKAGE):
        frame = frame.f_back
    if frame is None:
        return Declaration("<unknown>", 1, 1)
    position = next(islice(frame.f_code.co_positions(), frame.f_lasti // 2, None))
    line = position[0] or frame.f_lineno
    return Declaration(frame.f_code.co_filename, line, position[1] or line)


def assigned_here() -> Declaration:
    """Return where the nearest caller outside this package assigns a name.

    Python tells the line of the name only, so that the lines of the value are a guess that is
    long enough for `line_of`.
    """
    found = declared_here()
    return Declaration(found.file, found.line, found.line + _ASSIGNMENT_LINES_MAX)


@lru_cache(maxsize=256)  # Python parses the whole file for each class
def class_lines(cls: type) -> Declaration | None:
    """Return the lines of a class statement, or None when its file cannot be read."""
    try:
        lines, first = inspect.getsourcelines(cls)
        file = inspect.getsourcefile(cls)
    except (OSError, TypeError):
        return None
    return Declaration(file or "<unknown>", first, first + len(lines) - 1)
