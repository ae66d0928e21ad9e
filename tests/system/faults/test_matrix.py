"""Every cell of the fault matrix, once, while data flows.

The ledger is asserted, never seconds: those are measured by `make recovery`.
"""

from __future__ import annotations

import pytest

from bench.faults.cell import run_cell
from bench.faults.matrix import Cell, all_cells
from bench.faults.rigs import RIGS
from tests.system.faults.conftest import Shared

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(900)]


def by_rig() -> list[Cell]:
    """Return all cells; those that can share a topology follow each other."""
    return sorted(all_cells(), key=lambda cell: list(RIGS).index(cell.rig))


@pytest.mark.parametrize("cell", by_rig(), ids=lambda cell: cell.name.replace(" ", "-"))
def test_fault(shared: Shared, cell: Cell) -> None:
    """Nothing is lost, no more comes twice than was pending, only those meant are restarted."""
    outcome = run_cell(shared.cluster(cell.rig), cell, steady_s=1.0, watch_s=0.5)
    assert outcome.problems == []
    assert cell.restarts <= set(outcome.restarted) <= cell.restarts | cell.may_restart
    assert outcome.duplicates <= outcome.pending
    if cell.spares_data:
        assert (outcome.trees_failed, outcome.duplicates) == (0, 0)
