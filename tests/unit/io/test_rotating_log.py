"""Rotated logs: their size is bounded and no byte of the newest output is lost."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.io.rotating_log import RotatingLog


def read_back(path: Path, files_max: int) -> bytes:
    """Return the kept files' bytes, oldest first."""
    names = [path.with_name(f"{path.name}.{number}") for number in range(files_max - 1, 0, -1)]
    return b"".join(file.read_bytes() for file in [*names, path] if file.exists())


@given(
    chunks=st.lists(st.binary(max_size=40), max_size=20),
    bytes_max=st.integers(1, 30),
    files_max=st.integers(1, 4),
)
def test_files_hold_the_end_of_what_was_written(
    chunks: list[bytes], bytes_max: int, files_max: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "count-3.log"
        log = RotatingLog(path, bytes_max, files_max)
        for chunk in chunks:
            log.write(chunk)
        log.close()
        kept = read_back(path, files_max)
        whole = b"".join(chunks)
        assert whole.endswith(kept)
        assert len(kept) >= min(len(whole), bytes_max * (files_max - 1))
        assert all(file.stat().st_size <= bytes_max for file in Path(folder).iterdir())
        assert len(list(Path(folder).iterdir())) <= files_max


def test_reopened_log_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    for text in (b"one", b"two", b"six"):
        log = RotatingLog(path, 6, 2)
        log.write(text)
        log.close()
    assert read_back(path, 2) == b"onetwosix"
    assert path.read_bytes() == b"six"


def test_log_that_cannot_be_written_counts_what_it_dropped(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "missing" / "a.log", 100, 2)
    log.write(b"12345")
    assert log.dropped_bytes == 5
    (tmp_path / "missing").mkdir()
    log.write(b"678")
    log.close()
    assert (tmp_path / "missing" / "a.log").read_bytes() == b"678"


def test_log_never_follows_a_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"kept")
    (tmp_path / "a.log").symlink_to(target)
    log = RotatingLog(tmp_path / "a.log", 100, 2)
    log.write(b"forged")
    assert (target.read_bytes(), log.dropped_bytes) == (b"kept", 6)
