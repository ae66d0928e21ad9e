"""The state managers of this project keep the contract of the SPI."""

from __future__ import annotations

from pathlib import Path

import pytest

from heronshim.core.plugins.file_state import FileStateManager
from heronshim.core.plugins.memory_state import MemoryStateManager
from heronshim.core.spi.state_manager import StateManager
from heronshim.testing.conformance.state_manager import StateManagerSuite


class TestFileStateManager(StateManagerSuite):
    @pytest.fixture(autouse=True)
    def _root(self, tmp_path: Path) -> None:
        self.root = tmp_path / "state"

    def make(self) -> StateManager:
        return FileStateManager({"root": str(self.root), "watch_interval_s": "0"})

    def expire(self, manager: StateManager) -> None:
        # As if it had last been renewed two leases ago.
        session = manager._session  # type: ignore[attr-defined]
        session.renew(session.renewed_ns - 2 * session.lease_ns)


class TestMemoryStateManager(StateManagerSuite):
    @pytest.fixture(autouse=True)
    def _store(self, tmp_path: Path) -> None:
        self.store = str(tmp_path)

    def make(self) -> StateManager:
        return MemoryStateManager({"store": self.store})

    def expire(self, manager: StateManager) -> None:
        assert isinstance(manager, MemoryStateManager)
        manager.expire_session()
