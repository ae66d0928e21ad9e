"""The text that the demonstration counts, its words, and a plain count of them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


@dataclass(frozen=True, slots=True)
class PlainCount:
    """What a loop without any topology counts."""

    lines: int
    words: Counter[str]


def words_of(line: str) -> list[str]:
    """Return the words of a line in lower case: runs of letters, also with an apostrophe inside."""
    return _WORD.findall(line.lower())


def text_lines(path: str = "") -> Iterator[str]:
    """Yield the lines of a UTF-8 file, or of the documentation that every Python ships.

    Bytes that are no UTF-8 are replaced. Raises OSError.
    """
    if not path:
        for topic in sorted(topics):
            yield from topics[topic].split("\n")
        return
    with Path(path).open(encoding="utf-8", errors="replace") as file:
        for line in file:
            yield line.removesuffix("\n")


def plain_count(path: str = "", times: int = 1) -> PlainCount:
    """Count the text read `times` times; raises OSError."""
    words: Counter[str] = Counter()
    lines = 0
    for line in text_lines(path):
        lines += 1
        words.update(words_of(line))
    total: Counter[str] = Counter({word: count * times for word, count in words.items()})
    return PlainCount(lines * times, total)


def numbered_lines(path: str, times: int) -> Iterator[tuple[str, str]]:
    """Yield ("<repeat>:<line>", text) for the text read `times` times, both numbers from 1."""
    for turn in range(1, times + 1):
        for number, line in enumerate(text_lines(path), 1):
            yield f"{turn}:{number}", line
