"""The history is in the order of times, holds each event once, and is bounded."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.master import event_store
from heronshim.core.master.event_store import EventStore
from heronshim.core.spi.events import (
    CAUSE_CHARACTERS_MAX,
    DETAIL_CHARACTERS_MAX,
    EventRecord,
    event_id,
)

events = st.builds(
    EventRecord,
    id=st.integers(0, 30).map(str),
    time_ms=st.integers(0, 20),
    kind=st.just("suspected"),
    component=st.sampled_from(["", "count", "split"]),
    detail=st.text(max_size=20),
)


@given(st.lists(events, max_size=60), st.integers(0, 20), st.sampled_from(["", "count"]))
def test_history_is_that_of_a_plain_list(added, since_ms, component):
    store, first = EventStore(), {}
    for event in added:
        store.add([event])
        store.check_invariants()
        first.setdefault(event.id, event)
    expected = sorted(first.values(), key=lambda event: (event.time_ms, event.id))
    assert store.since() == tuple(expected)
    assert store.since(since_ms, component) == tuple(
        event
        for event in expected
        if event.time_ms >= since_ms and component in ("", event.component)
    )


@given(st.lists(events, max_size=60))
def test_of_too_many_the_newest_stay(added):
    with patch.object(event_store, "EVENTS_MAX", 5):
        store = EventStore()
        store.add(added)
        assert len(store.since()) == min(5, len({event.id for event in added}))
    store.check_invariants()


def test_old_events_that_are_told_again_do_not_push_out_new_ones():
    history = [EventRecord(event_id("tmaster", 1, n), n, "plan_stored") for n in range(12)]
    with patch.object(event_store, "EVENTS_MAX", 5):
        store = EventStore()
        store.add(history)
        store.add(history)
        assert store.since() == tuple(history[-5:])


def test_of_too_long_ones_the_newest_stay():
    detail = "x" * DETAIL_CHARACTERS_MAX
    store = EventStore()
    store.add(EventRecord(str(n), n, "process_died", detail=detail) for n in range(4000))
    store.check_invariants()
    kept = store.since()
    assert 1000 < len(kept) < 4000
    assert kept[-1].time_ms == 3999


def test_texts_are_cut_whoever_wrote_them():
    store = EventStore()
    store.add([EventRecord("1", 1, "process_died", cause="c" * 9000, detail="d" * 9000 + "end")])
    (event,) = store.since()
    assert len(event.cause) == CAUSE_CHARACTERS_MAX
    assert len(event.detail) == DETAIL_CHARACTERS_MAX
    assert event.detail.endswith("end")
