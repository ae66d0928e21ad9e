"""Uploader SPI: where a topology's package is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path


class Uploader(Protocol):
    """Stores packages by content. Calls block for IO; errors: UploadError, NotFoundError."""

    def upload(self, package: Path, topology: str) -> str:
        """Store a file and return its URI. The same bytes give the same URI; safe to repeat."""

    def fetch(self, uri: str, target: Path) -> None:
        """Copy a package to `target`; checks its digest and never leaves a partial file."""

    def undo(self, uri: str, topology: str) -> None:
        """Forget that `topology` uses the package; its last user removes it. Safe to repeat."""
