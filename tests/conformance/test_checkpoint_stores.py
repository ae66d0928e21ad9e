"""The suite of checkpoint stores accepts a plain one and notices what a wrong one does."""

from __future__ import annotations

import zlib

import pytest

from heronshim.core.spi.checkpoint_store import CheckpointStore
from heronshim.errors import NotFoundError, StateError
from heronshim.testing.conformance.checkpoint_store import CheckpointStoreSuite

Saved = dict[tuple[str, int, int], tuple[int, bytes]]


class DictStore:
    """Keeps states in a dict that the stores of one test share."""

    def __init__(self, saved: Saved) -> None:
        self.saved = saved

    def save(self, topology: str, checkpoint: int, task: int, state: bytes) -> None:
        self.saved[topology, checkpoint, task] = (zlib.crc32(state), state)

    def load(self, topology: str, checkpoint: int, task: int) -> bytes:
        if (topology, checkpoint, task) not in self.saved:
            msg = f"no state of task {task}"
            raise NotFoundError(msg)
        digest, state = self.saved[topology, checkpoint, task]
        if digest != zlib.crc32(state):
            msg = f"state of task {task} is damaged"
            raise StateError(msg)
        return state

    def checkpoints(self, topology: str) -> list[int]:
        return sorted({checkpoint for name, checkpoint, _ in self.saved if name == topology})

    def discard(self, topology: str, before: int) -> None:
        for key in [key for key in self.saved if key[0] == topology and key[1] < before]:
            del self.saved[key]


class TestDictStore(CheckpointStoreSuite):
    @pytest.fixture(autouse=True)
    def _saved(self) -> None:
        self.saved: Saved = {}

    def make(self) -> CheckpointStore:
        return DictStore(self.saved)

    def damage(self, topology: str, checkpoint: int, task: int) -> None:
        digest, state = self.saved[topology, checkpoint, task]
        self.saved[topology, checkpoint, task] = (digest, state[:-1] + b"x")


class EagerStore(DictStore):
    """Discards one checkpoint too many."""

    def discard(self, topology: str, before: int) -> None:
        super().discard(topology, before + 1)


def test_the_suite_notices_a_wrong_store() -> None:
    saved: Saved = {}
    suite = CheckpointStoreSuite()
    suite.make = lambda: EagerStore(saved)  # type: ignore[method-assign]
    with pytest.raises(AssertionError):
        suite.test_discard_removes_lower_ones_only()
