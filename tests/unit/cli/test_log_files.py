"""Logs: merged by time, the last lines only, followed over rotation and new processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from heronshim.cli.log_files import (
    LINE_BYTES_MAX,
    TAIL_BYTES,
    Follower,
    LogLine,
    log_files,
    read_lines,
)


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    for container in (0, 1, 10):
        (tmp_path / f"container-{container}" / "logs").mkdir(parents=True)
    return tmp_path


def stamp(second: int) -> str:
    return f"2026-01-01T00:00:{second:02}.000Z"


def texts(lines: list[LogLine]) -> list[str]:
    return [line.text.removeprefix(line.time).strip() for line in lines]


def every(_: LogLine) -> bool:
    return True


def test_lines_of_all_processes_are_merged_by_time(work_dir: Path) -> None:
    (work_dir / "launcher.log").write_text(f"{stamp(1)} a\n{stamp(5)} e\n")
    (work_dir / "container-0" / "supervisor.log").write_text(f"{stamp(2)} b\n")
    logs = work_dir / "container-1" / "logs"
    (logs / "count-1.log").write_text(f"{stamp(3)} c\nprinted by the author\n{stamp(6)} f\n")
    (logs / "count-2.log").write_text(f"{stamp(4)} d\n")
    found = read_lines(log_files(work_dir), every, 100, whole=False)
    assert texts(found) == ["a", "b", "c", "printed by the author", "d", "e", "f"]
    assert [line.container for line in found[:3]] == [None, 0, 1]
    assert texts(read_lines(log_files(work_dir), every, 2, whole=False)) == ["e", "f"]


def test_rotated_files_are_read_oldest_first_when_all_is_wanted(work_dir: Path) -> None:
    logs = work_dir / "container-10" / "logs"
    for age in range(11):
        name = f"x.log.{age}" if age else "x.log"
        (logs / name).write_text(f"line {20 - age}\n")
    found = read_lines(log_files(work_dir), every, 100, whole=True)
    assert texts(found) == [f"line {number}" for number in range(10, 21)]
    assert texts(read_lines(log_files(work_dir), every, 100, whole=False)) == ["line 20"]


def test_only_the_end_of_a_large_file_is_read(work_dir: Path) -> None:
    log = work_dir / "container-1" / "logs" / "x.log"
    log.write_bytes(b"first\n" + b"a" * 99 + b"\n" + b"filler line\n" * (TAIL_BYTES // 12 + 9))
    found = read_lines(log_files(work_dir), every, 10_000_000, whole=False)
    assert set(texts(found)) == {"filler line"}
    assert texts(read_lines(log_files(work_dir), every, 10_000_000, whole=True))[0] == "first"


def test_endless_line_and_broken_text_are_shown_in_parts(work_dir: Path) -> None:
    log = work_dir / "container-1" / "logs" / "x.log"
    log.write_bytes(b"a" * (LINE_BYTES_MAX + 5) + b"\n\xff\xfe\n")
    found = read_lines(log_files(work_dir), every, 10, whole=True)
    assert [len(line.text) for line in found] == [LINE_BYTES_MAX, 5, 2]


def test_follower_gives_new_lines_over_rotation_and_of_new_processes(work_dir: Path) -> None:
    logs = work_dir / "container-1" / "logs"
    log = logs / "x.log"
    log.write_text("old\n")
    follower = Follower(lambda: log_files(work_dir))
    assert follower.lines() == []
    with log.open("a") as file:
        file.write("one\nhalf")
    assert texts(follower.lines()) == ["one"]
    with log.open("a") as file:
        file.write(" done\nlast before\n")
    log.rename(logs / "x.log.1")
    log.write_text("first after\n")
    (logs / "y.log").write_text("another\n")
    seen = texts(follower.lines()) + texts(follower.lines())
    assert sorted(seen) == ["another", "first after", "half done", "last before"]
    log.unlink()
    assert follower.lines() == []
    follower.close()


def test_no_logs_and_foreign_files_are_no_fault(work_dir: Path) -> None:
    (work_dir / "container-x").mkdir()
    (work_dir / "container-1" / "logs" / "x.log.y").touch()
    (work_dir / "container-1" / "logs" / "folder.log").mkdir()
    assert log_files(work_dir) == []
    assert read_lines([], every, 5, whole=True) == []
