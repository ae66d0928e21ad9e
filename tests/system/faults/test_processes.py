"""Each process of a topology is killed, or stopped for a while, while data flows.

The ledger is asserted, never seconds: those are measured by `make recovery`.
"""

from __future__ import annotations

import pytest

from bench.faults.cell import run_cell
from bench.faults.cluster import Cluster
from bench.faults.matrix import Cell, cells

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(600)]


def named(cell: Cell) -> str:
    return "+".join(cell.victims)


def check(cluster: Cluster, cell: Cell) -> None:
    """Nothing is lost, no more comes twice than was pending, only victims are restarted."""
    outcome = run_cell(cluster, cell.name, cell.inject, steady_s=1.0, watch_s=0.5)
    assert outcome.problems == []
    assert set(outcome.restarted) == cell.restarts
    assert outcome.duplicates <= outcome.pending
    if cell.spares_data:
        assert (outcome.trees_failed, outcome.duplicates) == (0, 0)


@pytest.mark.parametrize("cell", cells("kill"), ids=named)
def test_kill(cluster: Cluster, cell: Cell) -> None:
    check(cluster, cell)


@pytest.mark.parametrize("cell", cells("kill two"), ids=named)
def test_kill_two(cluster: Cluster, cell: Cell) -> None:
    check(cluster, cell)


@pytest.mark.parametrize("cell", cells("pause"), ids=named)
def test_pause(cluster: Cluster, cell: Cell) -> None:
    check(cluster, cell)
