"""Errors of one cause are summed up by task, the newest is kept whole, and all is bounded."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.master.error_store import CAUSES_MAX, TASKS_MAX, TEXT_MAX, ErrorStore
from heronshim.core.spi.metrics_sink import ErrorRecord


def error(fingerprint: str, time_ms: int, component: str = "line", **changes: object):
    return replace(
        ErrorRecord(time_ms, 1, component, "boom", f"trace {time_ms}", 2, fingerprint), **changes
    )


def test_errors_of_one_cause_are_one_with_their_count_times_and_newest_detail():
    store = ErrorStore()
    store.add([error("a", 1, in_hand="old"), error("b", 2, "split"), error("a", 3, detail="")])
    first, second = store.records()
    assert (first.fingerprint, first.count, first.first_ms, first.time_ms) == ("a", 4, 1, 3)
    assert (first.detail, first.in_hand) == ("trace 1", "old")
    assert (second.fingerprint, second.count) == ("b", 2)
    assert [item.fingerprint for item in store.records("split")] == ["b"]


def test_tasks_of_one_cause_are_told_apart_and_one_has_the_detail():
    store = ErrorStore()
    store.add([error("a", 5, task=2, host="h2"), error("a", 3, task=1, host="h1")])
    first, second = store.records()
    assert [(e.task, e.host, e.detail) for e in (first, second)] == [
        (2, "h2", "trace 5"),
        (1, "h1", ""),
    ]


def test_number_of_causes_is_bounded_and_the_one_not_seen_for_longest_goes():
    store = ErrorStore()
    for number in range(CAUSES_MAX + 1):
        store.add([error(f"f{number}", number), error("kept", number)])
    found = {item.fingerprint for item in store.records()}
    assert len(found) == CAUSES_MAX
    assert {"kept", f"f{CAUSES_MAX}"} <= found
    assert "f0" not in found


def test_number_of_tasks_is_bounded_and_each_error_counts():
    store = ErrorStore()
    store.add(error("a", task, task=task, count=1) for task in range(1, 3 * TASKS_MAX))
    assert len(store.records()) == TASKS_MAX
    assert sum(item.count for item in store.records()) == 3 * TASKS_MAX - 1


def test_texts_are_cut_whoever_wrote_them():
    store = ErrorStore()
    store.add([error("f", 1, message="m" * 9999, detail="d" * 9999, in_hand="t" * 9999)])
    (cut,) = store.records()
    assert len(cut.message) == len(cut.detail) == len(cut.in_hand) == TEXT_MAX


def test_error_without_a_fingerprint_gets_one_of_its_text():
    store = ErrorStore()
    store.add(error("", 1, message=text) for text in ("row 1", "row 22", "column 1"))
    assert sorted(item.count for item in store.records()) == [2, 4]


@given(
    st.lists(
        st.builds(
            lambda cause, task, time_ms, count: error(cause, time_ms, task=task, count=count),
            st.sampled_from("abc"),
            st.integers(1, 3),
            st.integers(1, 20),
            st.integers(1, 5),
        )
    )
)
def test_sums_are_those_of_a_plain_list_and_survive_a_catch_up(errors):
    store, copy = ErrorStore(), ErrorStore()
    store.add(errors)
    counts, first, last = Counter(), {}, {}
    for one in errors:
        key = one.fingerprint, one.task
        counts[key] += one.count
        first[key] = min(first.get(key, 99), one.time_ms)
        last[key] = max(last.get(key, 0), one.time_ms)
    found = store.records()
    assert {(e.fingerprint, e.task): e.count for e in found} == dict(counts)
    assert {(e.fingerprint, e.task): e.first_ms for e in found} == first
    assert {(e.fingerprint, e.task): e.time_ms for e in found} == last
    copy.add(found[::-1])
    assert copy.records() == found
