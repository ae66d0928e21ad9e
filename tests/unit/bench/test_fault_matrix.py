"""The fault matrix is whole: no fault and victim without a cell or a reason."""

from __future__ import annotations

from collections import Counter

from bench.faults.matrix import EXCLUDED, FAULTS, all_cells
from bench.faults.rigs import RIGS


def test_each_fault_and_victim_has_one_cell_or_a_reason() -> None:
    declared = {(fault, victim) for fault, victims in FAULTS.items() for victim in victims}
    cells = Counter((cell.fault, cell.victim) for cell in all_cells())
    assert max(cells.values()) == 1
    assert set(cells) | set(EXCLUDED) == declared
    assert not set(cells) & set(EXCLUDED)
    assert all(EXCLUDED.values())


def test_each_rig_is_used() -> None:
    assert {cell.rig for cell in all_cells()} == set(RIGS)
