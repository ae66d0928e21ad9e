"""Rows of one frame: about an eighth of a second of what its task takes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.stream.pace import FRAMES_PER_PERIOD, PERIOD_US, Pace


def test_unknown_task_gets_one_row():
    assert Pace().rows_max(5 * PERIOD_US) == 1


def test_it_grows_by_a_quarter_of_what_went():
    pace = Pace()
    sizes = []
    for _ in range(20):
        sizes.append(pace.rows_max(0))
        pace.took(sizes[-1], 0)
    assert sizes[:10] == [1, 1, 1, 1, 1, 1, 1, 1, 2, 2]
    assert all(later <= earlier * 1.25 + 1 for earlier, later in pairwise(sizes))
    assert sizes[-1] > 10


def test_it_is_kept_for_one_period_and_then_forgotten():
    pace = Pace()
    pace.took(70, 0)
    assert pace.rows_max(PERIOD_US) == 70 // FRAMES_PER_PERIOD
    assert pace.rows_max(2 * PERIOD_US) == 1


@given(rows_per_s=st.integers(1, 5000), seconds=st.integers(1, 5))
def test_frames_to_a_task_of_steady_speed_hold_a_quarter_of_a_second_at_most(rows_per_s, seconds):
    """The task executes one frame while another waits for it, as credit has it."""
    pace, now_us, sizes = Pace(), 0, []
    ahead = 0
    while now_us < seconds * 1_000_000:
        rows = pace.rows_max(now_us)
        pace.took(rows, now_us)
        sizes.append(rows)
        now_us += ahead * 1_000_000 // rows_per_s
        ahead = rows
    assert max(sizes) <= max(4, rows_per_s // 4)
