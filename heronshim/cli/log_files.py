"""Reads the logs of a topology's processes: merged by time, bounded, followed over rotation."""

from __future__ import annotations

import heapq
import os
import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

TAIL_BYTES = 1 << 20
"""Read from the end of a file when only its last lines are wanted."""
LINE_BYTES_MAX = 1 << 16
"""A longer line is cut into several, so that one without an end cannot fill the memory."""
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_CONTAINER = re.compile(r"container-(\d+)")
_LOG = re.compile(r"(.+?)\.log(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file of a process's log; `age` counts rotations, 0 is being written."""

    path: Path
    container: int | None
    """None for the launcher, which belongs to no container."""
    process: str
    age: int


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line."""

    time: str
    """UTC; of the last line before that has one. Empty when there is none."""
    container: int | None
    process: str
    text: str


def log_files(work_dir: Path) -> list[LogFile]:
    """Return all log files of a topology, by container, process and from old to new."""
    found = list(_files_in(work_dir, None))
    for folder in work_dir.glob("container-*"):
        match = _CONTAINER.fullmatch(folder.name)
        if match:
            container = int(match[1])
            found += [*_files_in(folder, container), *_files_in(folder / "logs", container)]
    return sorted(
        found, key=lambda file: (file.container or -1, file.process, -file.age, str(file.path))
    )


def read_lines(
    files: Iterable[LogFile], wanted: Callable[[LogLine], bool], count_max: int, *, whole: bool
) -> list[LogLine]:
    """Return the last lines that are wanted, of all files together, in the order of their time.

    `whole`: read files from their beginning, not only the last TAIL_BYTES.
    """
    by_process: dict[tuple[int | None, str], list[LogFile]] = {}
    for file in files:
        by_process.setdefault((file.container, file.process), []).append(file)
    tails = []
    for parts in by_process.values():
        tail: deque[LogLine] = deque(maxlen=count_max)
        time = ""
        for file in parts if whole else parts[-1:]:
            for line in _lines_of(file, time, whole=whole):
                time = line.time
                if wanted(line):
                    tail.append(line)
        tails.append(tail)
    merged = heapq.merge(*tails, key=lambda line: line.time)
    return list(deque(merged, maxlen=count_max))


class Follower:
    """Gives the lines that were added to files since the last look."""

    def __init__(self, find: Callable[[], list[LogFile]]) -> None:
        """`find` is asked at each look, so that new processes are followed too."""
        self._find = find
        self._open: dict[Path, tuple[BinaryIO, LogFile, str]] = {}
        for file in self._current():
            self._follow(file, at_end=True)

    def lines(self) -> list[LogLine]:
        """Return what was added, in the order of its time."""
        found: list[LogLine] = []
        for path, (stream, file, time) in list(self._open.items()):
            added = list(_read_on(stream, file, time))
            found += added
            if added:
                self._open[path] = (stream, file, added[-1].time)
            if _was_replaced(stream, path):
                stream.close()
                del self._open[path]
        for file in self._current():
            if file.path not in self._open:
                self._follow(file, at_end=False)
        return sorted(found, key=lambda line: line.time)

    def close(self) -> None:
        """Close all files."""
        for stream, _, _ in self._open.values():
            stream.close()
        self._open.clear()

    def _current(self) -> list[LogFile]:
        return [file for file in self._find() if file.age == 0]

    def _follow(self, file: LogFile, *, at_end: bool) -> None:
        try:
            stream = file.path.open("rb")
        except OSError:
            return
        if at_end:
            stream.seek(0, 2)
        self._open[file.path] = (stream, file, "")


def _files_in(folder: Path, container: int | None) -> Iterator[LogFile]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        match = _LOG.fullmatch(path.name)
        if match and path.is_file():
            yield LogFile(path, container, match[1], int(match[2] or 0))


def _lines_of(file: LogFile, time: str, *, whole: bool) -> Iterator[LogLine]:
    """Yield the lines of a file; nothing when it is gone or may not be read."""
    try:
        with file.path.open("rb") as stream:
            size = stream.seek(0, 2)
            start = 0 if whole else max(0, size - TAIL_BYTES)
            stream.seek(start)
            if start:
                stream.readline(LINE_BYTES_MAX)
            yield from _read_on(stream, file, time)
    except OSError:
        return


def _read_on(stream: BinaryIO, file: LogFile, time: str) -> Iterator[LogLine]:
    """Yield whole lines from where a stream stands; a half one is left for the next look."""
    while True:
        place = stream.tell()
        line = stream.readline(LINE_BYTES_MAX)
        if not line.endswith(b"\n") and len(line) < LINE_BYTES_MAX:
            stream.seek(place)
            return
        match = _TIME.match(line)
        if match:
            time = match[0].decode()
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        yield LogLine(time, file.container, file.process, text)


def _was_replaced(stream: BinaryIO, path: Path) -> bool:
    """Return whether a log was rotated or removed since it was opened."""
    try:
        return path.stat().st_ino != _inode(stream)
    except OSError:
        return True


def _inode(stream: BinaryIO) -> int:
    return os.fstat(stream.fileno()).st_ino
