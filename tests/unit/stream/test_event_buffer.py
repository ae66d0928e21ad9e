"""Events wait for a report, are counted when there are too many, and have ids of their own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.spi.events import CAUSE_CHARACTERS_MAX, DETAIL_CHARACTERS_MAX, SUPPRESSED
from heronshim.core.stream.event_buffer import (
    INTERVAL_MS,
    PER_INTERVAL_MAX,
    WAITING_MAX,
    EventBuffer,
)


class Wall:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


def make(wall: Wall | None = None) -> EventBuffer:
    return EventBuffer("count-3", 2, 7, wall or Wall())


def test_event_is_about_its_process_unless_another_is_named():
    events = make()
    events.add("back_pressure_begun", component="count", task=3, numbers={"queue_bytes": 5})
    events.add("suspected", process="split-1", container=1)
    own, other = events.take()
    assert (own.process, own.container, own.component, own.task) == ("count-3", 2, "count", 3)
    assert (own.time_ms, own.numbers) == (1_000_000, {"queue_bytes": 5.0})
    assert (other.process, other.container) == ("split-1", 1)
    assert events.take() == ()


def test_ids_are_unique_and_sort_in_the_order_of_events():
    events, again = make(), EventBuffer("count-3", 2, 8, Wall())
    for number in range(40):
        events.add(f"kind_{number}")
        again.add(f"kind_{number}")
    ids = [event.id for event in events.take()]
    assert ids == sorted(ids)
    assert len({*ids, *(event.id for event in again.take())}) == 80


def test_too_many_of_one_kind_are_left_out_and_the_next_one_says_how_many():
    wall = Wall()
    events = make(wall)
    for _ in range(PER_INTERVAL_MAX + 4):
        events.add("suspected", task=1)
    events.add("suspected", task=2)
    events.add("suspicion_ended", task=1)
    assert len(events.take()) == PER_INTERVAL_MAX + 2
    assert events.dropped_count == 4
    wall.ms += INTERVAL_MS
    events.add("suspected", task=1)
    events.add("suspected", task=1)
    assert [event.numbers.get(SUPPRESSED) for event in events.take()] == [4.0, None]


def test_clock_that_is_set_back_silences_nothing_for_long():
    wall = Wall()
    events = make(wall)
    for _ in range(PER_INTERVAL_MAX):
        events.add("suspected")
    wall.ms -= 3_600_000
    assert events.add("suspected") is not None


def test_what_waits_is_bounded_and_the_newest_stay():
    events = make()
    for number in range(WAITING_MAX + 3):
        events.add("suspected", task=number)
    waiting = events.take()
    assert [event.task for event in waiting] == list(range(3, WAITING_MAX + 3))
    assert events.dropped_count == 3


@given(st.text(max_size=2 * CAUSE_CHARACTERS_MAX), st.text(max_size=2 * DETAIL_CHARACTERS_MAX))
def test_of_long_texts_the_cause_keeps_its_beginning_and_the_detail_its_end(cause, detail):
    event = make().add("process_died", cause=cause, detail=detail)
    assert event is not None
    assert cause.startswith(event.cause)
    assert detail.endswith(event.detail)
    assert len(event.cause) == min(len(cause), CAUSE_CHARACTERS_MAX)
    assert len(event.detail) == min(len(detail), DETAIL_CHARACTERS_MAX)
