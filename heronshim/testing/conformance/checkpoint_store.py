"""Conformance suite of the CheckpointStore SPI."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from heronshim.errors import NotFoundError, StateError

if TYPE_CHECKING:
    from heronshim.core.spi.checkpoint_store import CheckpointStore


class CheckpointStoreSuite:
    """Override `make`; override `damage` too if a test can reach stored bytes."""

    def make(self) -> CheckpointStore:
        """Return a new store. All of one test share what they keep, empty at its start."""
        raise NotImplementedError

    def damage(self, topology: str, checkpoint: int, task: int) -> None:
        """Change a byte of a stored state behind the store's back."""
        pytest.skip(f"this suite cannot damage what is stored ({topology} {checkpoint} {task})")

    @pytest.mark.parametrize(
        "state",
        [b"", b"\0", b"state", os.urandom(1_000_000)],
        ids=["empty", "zero", "short", "1MB"],
    )
    def test_what_is_saved_is_loaded(self, state: bytes) -> None:
        self.make().save("words", 1, 3, state)
        assert self.make().load("words", 1, 3) == state

    def test_each_topology_checkpoint_and_task_has_its_own_state(self) -> None:
        store = self.make()
        keys = [("words", 1, 1), ("words", 1, 11), ("words", 11, 1), ("other", 1, 1)]
        for key in keys:
            store.save(*key, repr(key).encode())
        for key in keys:
            assert store.load(*key) == repr(key).encode()

    def test_save_may_be_repeated(self) -> None:
        store = self.make()
        store.save("words", 1, 3, b"state")
        store.save("words", 1, 3, b"state")
        assert store.load("words", 1, 3) == b"state"
        assert store.checkpoints("words") == [1]

    def test_a_missing_state_is_not_found(self) -> None:
        store = self.make()
        store.save("words", 1, 3, b"state")
        for key in (("words", 1, 4), ("words", 2, 3), ("other", 1, 3)):
            with pytest.raises(NotFoundError):
                store.load(*key)

    def test_checkpoints_ascend_as_numbers(self) -> None:
        store = self.make()
        for checkpoint in (10, 9, 100, 2):
            store.save("words", checkpoint, 1, b"")
        assert store.checkpoints("words") == [2, 9, 10, 100]
        assert store.checkpoints("other") == []

    def test_discard_removes_lower_ones_only(self) -> None:
        store = self.make()
        for checkpoint in (1, 2, 3):
            store.save("words", checkpoint, 1, b"%d" % checkpoint)
            store.save("other", checkpoint, 1, b"")
        store.discard("words", 3)
        store.discard("words", 3)
        assert store.checkpoints("words") == [3]
        assert store.load("words", 3, 1) == b"3"
        assert store.checkpoints("other") == [1, 2, 3]
        with pytest.raises(NotFoundError):
            store.load("words", 2, 1)

    def test_discard_of_nothing_is_no_error(self) -> None:
        self.make().discard("words", 5)

    def test_a_damaged_state_is_never_loaded(self) -> None:
        store = self.make()
        store.save("words", 1, 3, b"state" * 100)
        store.save("words", 1, 4, b"good")
        self.damage("words", 1, 3)
        with pytest.raises(StateError):
            store.load("words", 1, 3)
        assert store.load("words", 1, 4) == b"good"
