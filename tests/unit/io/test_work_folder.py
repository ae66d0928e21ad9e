"""The work folder: its removal, and the record of a supervisor."""

from __future__ import annotations

from pathlib import Path

import pytest

from heronshim.core.io.work_folder import (
    SupervisorRecord,
    read_supervisor_record,
    remove_folder,
    write_supervisor_record,
)


def test_removed_folder_is_gone_and_what_its_links_name_is_not(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (kept / "inner").mkdir(parents=True)
    (kept / "file").write_text("kept")
    folder = tmp_path / "words"
    (folder / "container-1" / "logs").mkdir(parents=True)
    (folder / "container-1" / "logs" / "a.log").write_text("")
    (folder / "to_folder").symlink_to(kept)
    (folder / "to_file").symlink_to(kept / "file")
    (folder / "to_nothing").symlink_to(tmp_path / "missing")
    remove_folder(folder)
    assert not folder.exists()
    assert (kept / "file").read_text() == "kept"
    assert (kept / "inner").is_dir()


def test_removal_of_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        remove_folder(tmp_path / "missing")


def test_supervisor_record_read_back_equals_what_was_written(tmp_path: Path) -> None:
    record = SupervisorRecord(7, 123_456, 3, "/tmp/s/ab12cd34")
    write_supervisor_record(tmp_path, record)
    assert read_supervisor_record(tmp_path) == record


@pytest.mark.parametrize("content", [b"", b"{}", b'{"pid": 0}', b"\xff", b'{"pid": 7}'])
def test_damaged_supervisor_record_names_nobody(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "supervisor.json").write_bytes(content)
    assert read_supervisor_record(tmp_path) is None
