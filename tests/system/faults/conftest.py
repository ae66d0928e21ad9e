"""A ledger topology that the cells of one module share, a fault after another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.faults.cluster import Cluster

LIGHT = {"LEDGER_PER_S": "500", "LEDGER_TIMEOUT_S": "5"}
"""A busy machine carries it, so that what is late is late because of the fault."""


@pytest.fixture(autouse=True)
def _nothing_left() -> None:
    """Clusters have homes of their own and look after them."""


class Shared:
    """The cluster in use; another one after a cell that did not end well."""

    def __init__(self) -> None:
        self._cluster: Cluster | None = None

    def get(self) -> Cluster:
        if self._cluster is not None and self._cluster.broken:
            self._cluster.close()
            self._cluster = None
        if self._cluster is None:
            self._cluster = Cluster(environment=LIGHT)
            self._cluster.start()
        return self._cluster

    def finish(self) -> list[str]:
        if self._cluster is None:
            return []
        try:
            return [] if self._cluster.broken else self._cluster.finish()
        finally:
            self._cluster.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    """At the end all is acked, the whole ledger is right, and nothing is left."""
    found = Shared()
    yield found
    assert found.finish() == []


@pytest.fixture
def cluster(shared: Shared) -> Cluster:
    return shared.get()
