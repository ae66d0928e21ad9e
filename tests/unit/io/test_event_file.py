"""A reader of events goes on where it was, over rotations, torn lines and a missing file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heronshim.core.io import event_file
from heronshim.core.io.event_file import EventFile, EventTail, read_last_events
from heronshim.core.spi.events import EventRecord


def event(number: int, detail: str = "") -> EventRecord:
    return EventRecord(
        id=f"supervisor-1.5.{number:06d}",
        time_ms=number,
        kind="process_died",
        process="count-3",
        container=1,
        host="h",
        component="count",
        task=3,
        cause="exit 3",
        detail=detail,
        numbers={"pid": 5.0, "lived_s": 0.25},
    )


def read_all(tail: EventTail) -> list[EventRecord]:
    found: list[EventRecord] = []
    while more := tail.read():
        found += more
    return found


def test_reader_takes_what_was_written_since(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    tail = EventTail(path)
    assert tail.read() == []
    file = EventFile(path)
    file.write([event(1), event(2)])
    assert tail.read() == [event(1), event(2)]
    assert tail.read() == []
    file.write([event(3, 'two "lines"\n\x1b[2J é \U0001f600')])
    assert tail.read() == [event(3, 'two "lines"\n\x1b[2J é \U0001f600')]
    assert path.stat().st_mode & 0o777 == 0o600
    tail.close()
    file.close()


def test_line_that_is_half_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    whole = event_file.event_to_line(event(1))
    path.write_bytes(whole[:20])
    tail = EventTail(path)
    assert tail.read() == []
    with path.open("ab") as file:
        file.write(whole[20:])
    assert tail.read() == [event(1)]
    assert tail.damaged_count == 0


def test_damaged_lines_are_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    line = event_file.event_to_line(event(1))
    damaged = (b"\n", b"\xff\xfe\n", b"[" * 5000 + b"\n", line[:-9] + b"\n", b'{"id": 1}\n')
    path.write_bytes(b"".join(damaged) + line)
    tail = EventTail(path)
    assert tail.read() == [event(1)]
    assert tail.damaged_count == len(damaged)


def test_endless_line_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"x" * (1 << 19))
    tail = EventTail(path)
    for _ in range(4):
        assert tail.read() == []
    assert not tail._rest
    with path.open("ab") as file:
        file.write(b"x\n" + event_file.event_to_line(event(1)))
    assert read_all(tail) == [event(1)]


def test_rotation_loses_no_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_file, "FILE_BYTES_MAX", 2000)
    path = tmp_path / "events.jsonl"
    file, tail = EventFile(path), EventTail(path)
    found: list[EventRecord] = []
    for number in range(40):
        file.write([event(number)])
        if number % 3 == 0:
            found += read_all(tail)
    found += read_all(tail)
    assert (tmp_path / "events.jsonl.1").exists()
    whole = [event(number) for number in range(40)]
    assert found == whole
    assert tail.damaged_count == 0


def test_new_reader_of_a_long_file_begins_near_its_end(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    file = EventFile(path)
    written = [event(number, "x" * 3000) for number in range(1000)]
    file.write(written)
    found = read_last_events(path)
    assert 300 < len(found) < 360
    assert found == written[-len(found) :]


def test_reading_and_writing_never_raise(tmp_path: Path) -> None:
    folder = tmp_path / "folder.jsonl"
    folder.mkdir()
    link = tmp_path / "link.jsonl"
    link.symlink_to(tmp_path / "elsewhere")
    for path in (folder, link, tmp_path / "no" / "events.jsonl"):
        EventFile(path).write([event(1)])
        assert EventTail(path).read() == []
    assert not os.path.lexists(tmp_path / "elsewhere")
