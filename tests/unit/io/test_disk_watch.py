"""A full disk is told of once, and so is its end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heronshim.core.io.disk_watch import FREE_BYTES_MIN, FREED_BYTES_MIN, DiskWatch


class Disk:
    def __init__(self) -> None:
        self.free_bytes = 1 << 30
        self.inodes, self.free_inodes = 1000, 1000

    def statvfs(self, folder: Path) -> os.statvfs_result:
        if folder.name == "gone":
            raise FileNotFoundError(folder)
        free = self.free_bytes
        return os.statvfs_result(
            (1, 1, free, free, free, self.inodes, self.free_inodes, self.free_inodes, 0, 255)
        )


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(os, "statvfs", disk.statvfs)
    return disk


def test_full_and_freed_are_told_once_each(disk: Disk) -> None:
    watch = DiskWatch([Path("a"), Path("gone")])
    assert watch.look() == []
    disk.free_bytes = FREE_BYTES_MIN - 1
    assert watch.look() == [(Path("a"), "No space left on device")]
    disk.free_bytes = FREED_BYTES_MIN - 1
    assert watch.look() == []
    disk.free_bytes = FREED_BYTES_MIN
    assert watch.look() == [(Path("a"), "")]
    assert watch.look() == []


def test_a_disk_without_inodes_is_full(disk: Disk) -> None:
    watch = DiskWatch([Path("a")])
    disk.free_inodes = 0
    assert [error for _, error in watch.look()] == ["No space left on device"]


def test_a_disk_that_counts_no_inodes_is_not_full(disk: Disk) -> None:
    disk.inodes = disk.free_inodes = 0
    assert DiskWatch([Path("a")]).look() == []
