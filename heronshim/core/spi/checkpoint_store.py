"""CheckpointStore SPI: where stateful tasks keep their state."""

from __future__ import annotations

from typing import Protocol


class CheckpointStore(Protocol):
    """Keeps state by (checkpoint, task). Calls block for IO; errors: StateError, NotFoundError."""

    def save(self, topology: str, checkpoint: int, task: int, state: bytes) -> None:
        """Store durably; visible only whole. Safe to repeat."""

    def load(self, topology: str, checkpoint: int, task: int) -> bytes:
        """Return what was saved, its digest checked."""

    def checkpoints(self, topology: str) -> list[int]:
        """Return checkpoints of which anything is stored, ascending."""

    def discard(self, topology: str, before: int) -> None:
        """Remove checkpoints lower than `before`. Safe to repeat."""
