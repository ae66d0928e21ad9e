"""Marks of a spout task: a grace for what was open when a loss was noticed (design 3.6)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heronshim.core.stream.fail_fast import MARKS_PER_GRACE, FailFast

S = 1_000_000


def fail_fast(timeout_s: float | None = 30.0, *, enabled: bool = True) -> FailFast:
    return FailFast(enabled=enabled, timeout_us=int(timeout_s * S) if timeout_s else None)


@pytest.mark.parametrize(
    ("latency_s", "timeout_s", "grace_s"),
    [
        (None, 30, 1),
        (0.01, 30, 1),
        (0.25, 30, 1),
        (0.5, 30, 2),
        (1.8, 30, 7.2),
        (1.9, 30, None),
        (None, 4, 1),
        (None, 3.9, None),
        (100, None, 400),
    ],
)
def test_grace_is_a_second_or_four_latencies_up_to_a_quarter_of_the_timeout(
    latency_s, timeout_s, grace_s
):
    grace = fail_fast(timeout_s).grace_us(None if latency_s is None else latency_s * S)
    assert grace == (None if grace_s is None else grace_s * S)


def test_notice_marks_until_its_time_and_is_due_after_the_grace():
    marks = fail_fast()
    assert marks.on_notice("gone", 10 * S, 0.5 * S)
    assert marks.marked_until_us() == 10 * S
    assert marks.next_deadline_us() == 12 * S
    assert marks.take_due(12 * S - 1) is None
    due = marks.take_due(12 * S)
    assert due is not None
    assert (due.until_us, due.cause) == (10 * S, "gone")
    assert marks.take_due(99 * S) is None
    assert marks.marked_until_us() is None
    assert marks.next_deadline_us() is None


def test_switched_off_it_marks_nothing():
    marks = fail_fast(enabled=False)
    assert not marks.on_notice("gone", 0, None)
    assert marks.next_deadline_us() is None


def test_notices_of_one_moment_share_a_mark_with_both_causes():
    marks = fail_fast()
    marks.on_notice("this", 0, None)
    marks.on_notice("that", 1000, None)
    marks.on_notice("that", 2000, None)
    due = marks.take_due(2 * S)
    assert due is not None
    assert (due.until_us, due.deadline_us, due.cause) == (2000, S + 2000, "this; that")
    assert marks.take_due(2 * S) is None


@given(st.lists(st.tuples(st.integers(0, 200_000), st.floats(0, 3 * S)), min_size=1, max_size=200))
@settings(deadline=None)
def test_each_notice_is_due_in_its_grace_and_marks_stay_few(notices):
    """However notices come: none is put off by more than a share of a grace, none is forgotten."""
    marks = fail_fast(None)
    now_us, longest_us, wanted = 0, 0, []
    for step_us, latency_us in notices:
        now_us += step_us
        grace_us = marks.grace_us(latency_us)
        assert grace_us is not None
        longest_us = max(longest_us, grace_us)
        marks.on_notice("gone", now_us, latency_us)
        wanted.append((now_us, grace_us))
        assert len(marks._marks) <= MARKS_PER_GRACE * (longest_us // S + 1) + 1
    taken = []
    while (due := marks.take_due(1 << 60)) is not None:
        taken.append(due)
    assert [mark.deadline_us for mark in taken] == sorted(mark.deadline_us for mark in taken)
    for noticed_us, grace_us in wanted:
        covering = next(mark for mark in taken if mark.until_us >= noticed_us)
        assert covering.deadline_us >= noticed_us + grace_us
        assert covering.deadline_us <= noticed_us + longest_us * (1 + 1 / MARKS_PER_GRACE)
