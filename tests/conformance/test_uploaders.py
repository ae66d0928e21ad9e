"""The uploader of this project keeps the contract of the SPI."""

from __future__ import annotations

from pathlib import Path

import pytest

from heronshim.core.plugins.local_uploader import LocalUploader
from heronshim.core.spi.uploader import Uploader
from heronshim.testing.conformance.uploader import UploaderSuite


class TestLocalUploader(UploaderSuite):
    @pytest.fixture(autouse=True)
    def _root(self, tmp_path: Path) -> None:
        self.root = tmp_path / "packages"

    def make(self) -> Uploader:
        return LocalUploader({"root": str(self.root)})

    def damage(self, uri: str) -> None:
        file = self.root / uri.removeprefix("local:") / "package"
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
