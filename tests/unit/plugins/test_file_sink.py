"""The file sink: whole lines of JSON, rotation, troubles of the disk."""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

from heronshim.core.plugins.file_sink import FileSink
from heronshim.core.spi.metrics_sink import MetricsRecord, TaskRecord
from heronshim.errors import ConfigError, SinkError
from heronshim.testing.conformance.metrics_sink import record


def opened(folder: Path, **options: str) -> FileSink:
    sink = FileSink()
    sink.open("words", 1, {"folder": str(folder), **options})
    return sink


def lines(path: Path) -> list[dict[str, object]]:
    content = path.read_bytes()
    assert content.endswith(b"\n")
    return [json.loads(line) for line in content.splitlines()]


def test_the_line_of_a_record(tmp_path: Path) -> None:
    """Its shape is what users' scripts read."""
    sink = opened(tmp_path)
    sink.process(record(text="a\nb"))
    assert lines(tmp_path / "words-1.jsonl") == [
        {
            "topology": "words",
            "process": "count-3",
            "container": 1,
            "time_ms": 0,
            "interval_ms": 1000,
            "incarnation": 1,
            "pid": 77,
            "tasks": [
                {
                    "task": 3,
                    "component": "count",
                    "sums": {
                        "emit_count/default": 10.0,
                        "user/a\nb": 1.0,
                        "execute_time_us": 2500.0,
                    },
                    "gauges": {"pending": 5.0, "user/a\nb": 0.5},
                    "maxima": {"queue_bytes": 100.0},
                    "histograms": {"complete_latency_us": {"0": 1, "40": 7, "255": 1}},
                }
            ],
            "sums": {"cpu_time_us": 9000.0},
            "gauges": {"rss_bytes": 1e8},
            "maxima": {},
            "errors": [
                {
                    "time_ms": 1000,
                    "task": 3,
                    "component": "count",
                    "message": "a\nb",
                    "detail": "trace\na\nb",
                    "count": 2,
                    "fingerprint": "ab12",
                    "first_ms": 0,
                    "in_hand": "",
                    "process": "",
                    "host": "",
                }
            ],
            "events": [],
        }
    ]
    assert (tmp_path / "words-1.jsonl").stat().st_mode & 0o777 == 0o600
    sink.close()


def test_numbers_without_a_json_word_are_null(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    task = TaskRecord(3, "count", gauges={"a": float("nan"), "b": float("-inf"), "c": 1.5})
    sink.process(MetricsRecord("words", "p", 1, 1, 1, 1, 1, (task,)))
    sink.close()
    (line,) = lines(tmp_path / "words-1.jsonl")
    assert line["tasks"][0]["gauges"] == {"a": None, "b": None, "c": 1.5}  # type: ignore[index]


def test_files_rotate_between_lines_and_the_oldest_goes(tmp_path: Path) -> None:
    sink = opened(tmp_path, max_bytes="2560", files="3")
    for number in range(40):
        sink.process(record(number=number))
    sink.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["words-1.jsonl", "words-1.jsonl.1", "words-1.jsonl.2"]
    found = [line["time_ms"] for name in reversed(names) for line in lines(tmp_path / name)]
    assert found == list(range(40_000 - 1000 * len(found), 40_000, 1000))
    assert all((tmp_path / name).stat().st_size <= 2560 for name in names)
    assert len(found) > 6


def test_a_line_longer_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    sink = opened(tmp_path, max_bytes="1024", files="10")
    for number, text in enumerate(("short", "x" * 5000, "short")):
        sink.process(record(number=number, text=text))
    sink.close()
    sizes = [len(lines(path)) for path in sorted(tmp_path.iterdir())]
    assert sizes == [1, 1, 1]


def test_an_older_file_is_continued(tmp_path: Path) -> None:
    for number in range(2):
        sink = opened(tmp_path)
        sink.process(record(number=number))
        sink.close()
    assert [line["time_ms"] for line in lines(tmp_path / "words-1.jsonl")] == [0, 1000]


def test_topologies_and_containers_have_files_of_their_own(tmp_path: Path) -> None:
    """The options of a sink are the same for all of them."""
    for topology, container in (("words", 1), ("words", 2), ("other", 1), ("../x\n", 1)):
        sink = FileSink()
        with suppress(SinkError):
            sink.open(topology, container, {"folder": str(tmp_path / "new")})
        sink.close()
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["other-1.jsonl", "words-1.jsonl", "words-2.jsonl"]
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_full_disk_loses_whole_lines_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = opened(tmp_path)
    sink.process(record(number=0))
    real, calls = os.write, []

    def full(descriptor: int, data: bytes) -> int:
        calls.append(1)
        if len(calls) == 1:
            return real(descriptor, bytes(data[:10]))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(SinkError) as caught:
            sink.process(record(number=1))
    path = tmp_path / "words-1.jsonl"
    assert str(caught.value) == (
        f'metrics sink "file" cannot write {path}: No space left on device; check rights and space'
    )
    sink.process(record(number=2))
    sink.close()
    assert [line["time_ms"] for line in lines(path)] == [0, 2000]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, 'metrics sink "file": option "folder" is missing; set it to a folder'),
        (
            {"folder": "x", "max_bytes": "many"},
            'metrics sink "file": option "max_bytes" must be a whole number from 1024 to '
            '1099511627776, not "many"',
        ),
        (
            {"folder": "x", "files": "0"},
            'metrics sink "file": option "files" must be a whole number from 1 to 1000, not "0"',
        ),
        (
            {"folder": "x", "file": "3"},
            'metrics sink "file": unknown option "file". Did you mean "files"? '
            "Known: files, folder, max_bytes",
        ),
    ],
)
def test_wrong_options(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        FileSink().open("words", 1, options)
    assert str(caught.value) == message


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="Not a directory; check rights and space"):
        opened(tmp_path / "file" / "folder")
