"""Metrics sink that writes JSON lines, one record a line; entry point "file".

One file for each container, `<topology>-<container>.jsonl`, then `.1` (newest old one) and so on.
The keys of a line are the fields of `MetricsRecord`, `TaskRecord`, `ErrorRecord` and `EventRecord`;
numbers that JSON has no word for (NaN, infinities) are null.
"""

from __future__ import annotations

import json
import math
import os
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from heronshim.core.io.rotating_log import rotate
from heronshim.core.plugins.node_path import escape
from heronshim.core.plugins.plugin_options import refuse_unknown, required, whole_number
from heronshim.core.spi.metrics_sink import ErrorRecord, MetricsRecord, TaskRecord
from heronshim.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.core.spi.events import EventRecord

FILE_BYTES_MAX = 100 << 20
"""Size at which a file is rotated (as logs: Heron's 100 MB)."""
FILES_MAX = 5
"""Files kept, the current one included."""

_PLUGIN = 'metrics sink "file"'


class FileSink:
    """The MetricsSink of one container's file.

    Options: `folder` (made if missing), `max_bytes` of a file (100 MiB), `files` kept (5). A
    file may exceed `max_bytes` by no more than one line that is longer than that itself.
    """

    def __init__(self) -> None:
        self._path = Path()
        self._bytes_max = FILE_BYTES_MAX
        self._files_max = FILES_MAX
        self._descriptor = -1
        self._size = 0

    def open(self, topology: str, container: int, options: Mapping[str, str]) -> None:
        """See `MetricsSink.open`.

        Raises:
            ConfigError: an option is unknown, missing or wrong.
            SinkError: the folder cannot be made or written.
        """
        refuse_unknown(_PLUGIN, options, ("folder", "max_bytes", "files"))
        folder = Path(required(_PLUGIN, options, "folder", "a folder")).expanduser()
        limits = (1024, 1 << 40)
        self._bytes_max = whole_number(_PLUGIN, options, "max_bytes", FILE_BYTES_MAX, limits)
        self._files_max = whole_number(_PLUGIN, options, "files", FILES_MAX, (1, 1000))
        self._path = folder / f"{escape(topology)}-{container}.jsonl"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._open_file()
        except OSError as error:
            raise self._failure(error) from error

    def process(self, record: MetricsRecord) -> None:
        """See `MetricsSink.process`. A line is written whole or not at all."""
        line = json.dumps(_record_value(record), separators=(",", ":")).encode() + b"\n"
        try:
            if self._descriptor >= 0 and self._size and self._size + len(line) > self._bytes_max:
                self._close_file()
                rotate(self._path, self._files_max)
            if self._descriptor < 0:
                self._open_file()
            self._write_line(line)
        except OSError as error:
            self._close_file()
            raise self._failure(error) from error

    def flush(self) -> None:
        """See `MetricsSink.flush`. Nothing waits: each line is handed to the system at once."""

    def close(self) -> None:
        """See `MetricsSink.close`."""
        self._close_file()

    def _open_file(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._path, flags, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def _close_file(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _write_line(self, line: bytes) -> None:
        view = memoryview(line)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            # A full disk takes a part: without it the next line still begins a line.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(line)

    def _failure(self, error: OSError) -> SinkError:
        text = f"{error.filename or self._path}: {error.strerror or error}"
        return SinkError(f"{_PLUGIN} cannot write {text}; check rights and space")


def _record_value(record: MetricsRecord) -> dict[str, object]:
    value = _plain(record)
    value["tasks"] = [_task_value(task) for task in record.tasks]
    value["errors"] = [_plain(error) for error in record.errors]
    value["events"] = [_plain(event) for event in record.events]
    return value


def _task_value(task: TaskRecord) -> dict[str, object]:
    value = _plain(task)
    value["histograms"] = {name: dict(counts) for name, counts in task.histograms.items()}
    return value


def _plain(item: MetricsRecord | TaskRecord | ErrorRecord | EventRecord) -> dict[str, object]:
    """Return a record's fields; numbers by name become a dict that JSON can hold."""
    value: dict[str, object] = {each.name: getattr(item, each.name) for each in fields(item)}
    for name in ("sums", "gauges", "maxima", "numbers"):
        if name in value:
            value[name] = {key: _number(number) for key, number in getattr(item, name).items()}
    return value


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
