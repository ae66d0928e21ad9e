"""A ledger topology that cells share, a fault after another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from bench.faults.cluster import Cluster
from bench.faults.rigs import RIGS
from tests.system.auditing import audited

LIGHT = {"LEDGER_PER_S": "500"}
"""A busy machine carries it, so that what is late is late because of the fault."""


@pytest.fixture(autouse=True)
def _nothing_left() -> None:
    """Clusters have homes of their own and look after them."""


class Shared:
    """The cluster in use: another one for another rig, or after a cell that did not end well."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._rig = ""
        self._cluster: Cluster | None = None
        self.wrong: list[str] = []
        """What was wrong with clusters at their end, in whatever cell it began."""

    def cluster(self, rig: str) -> Cluster:
        if self._cluster is not None and (self._cluster.broken or self._rig != rig):
            self.close()
        if self._cluster is None:
            self._cluster, self._rig = self._stack.enter_context(RIGS[rig](LIGHT)), rig
        return self._cluster

    def close(self) -> None:
        """All is acked, the whole ledger is right, and nothing is left; or `wrong` says what."""
        cluster, self._cluster = self._cluster, None
        with self._stack:
            if cluster is not None and not cluster.broken:
                self.wrong += cluster.finish()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    with audited(tmp_path_factory.mktemp("audit")):
        found = Shared()
        yield found
        found.close()
    assert found.wrong == []
