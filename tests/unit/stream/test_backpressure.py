"""Who is named as the one that slows the others down, and for how long others believe it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.stream.backpressure import (
    BEGIN_LOOKS,
    END_LOOKS,
    LEASE_NS,
    LEASES_MAX,
    LOOK_NS,
    REPEAT_NS,
    BackPressure,
    InitiatorWatch,
    PressureLeases,
)

SLOW, MIDDLE = 3, 2
BOTH = (SLOW, MIDDLE)


class Looks:
    """Looks one after another."""

    def __init__(self) -> None:
        self.watch = InitiatorWatch()
        self.now_ns = LOOK_NS
        self.said: list[BackPressure] = []

    def look(self, times=1, joined=BOTH, full=(), held=()):
        for _ in range(times):
            self.now_ns += LOOK_NS
            self.said += self.watch.look(self.now_ns, joined, full, held)
        return self


def test_task_with_full_input_whose_output_flows_is_the_initiator():
    """The one before it is full as well, but its output waits."""
    looks = Looks().look(BEGIN_LOOKS, full=BOTH, held=(MIDDLE,))
    assert looks.said == [BackPressure(SLOW, True, BEGIN_LOOKS * LOOK_NS // 1_000_000)]
    assert looks.watch.active_ns(looks.now_ns) == {SLOW: BEGIN_LOOKS * LOOK_NS}


def test_it_begins_only_after_looks_in_a_row():
    looks = Looks()
    for _ in range(10):
        looks.look(BEGIN_LOOKS - 1, full=(SLOW,)).look()
    assert looks.said == []


def test_it_is_repeated_while_it_lasts_with_how_long():
    looks = Looks().look(BEGIN_LOOKS + 5 * REPEAT_NS // LOOK_NS, full=(SLOW,))
    durations = [said.duration_ms for said in looks.said]
    assert durations == [500, 1000, 1500, 2000, 2500, 3000]
    assert all(said.active for said in looks.said)
    assert REPEAT_NS * 3 < LEASE_NS, "two lost announcements do no harm"


def test_it_ends_after_looks_in_a_row_and_is_told_once():
    looks = Looks().look(BEGIN_LOOKS, full=(SLOW,)).look(END_LOOKS - 1).look(full=(SLOW,))
    assert all(said.active for said in looks.said)
    looks.look(END_LOOKS)
    assert not looks.said[-1].active
    total = looks.watch.total_ns(looks.now_ns)
    assert total == {SLOW: looks.said[-1].duration_ms * 1_000_000}
    looks.look(50)
    assert sum(not said.active for said in looks.said) == 1
    assert looks.watch.active_ns(looks.now_ns) == {}
    assert looks.watch.total_ns(looks.now_ns) == total


def test_task_that_is_gone_ends_at_once():
    """A dead initiator never leaves spouts paused."""
    looks = Looks().look(BEGIN_LOOKS, full=(SLOW,)).look(joined=(MIDDLE,), full=(SLOW,))
    assert [said.active for said in looks.said] == [True, False]


def test_announcement_is_believed_for_its_lease():
    leases = PressureLeases()
    leases.hear(1, BackPressure(SLOW, True, 0), 0)
    assert leases.any_active(LEASE_NS - 1)
    assert not leases.any_active(LEASE_NS)
    leases.hear(1, BackPressure(SLOW, True, 0), LEASE_NS - 1)
    assert leases.any_active(LEASE_NS)


def test_what_a_broken_peer_announced_keeps_no_other_out_once_it_is_over():
    leases = PressureLeases()
    for task in range(LEASES_MAX):
        leases.hear(1, BackPressure(task, True, 0), 0)
    leases.hear(2, BackPressure(SLOW, True, 0), LEASE_NS)
    assert leases.any_active(LEASE_NS)


def test_it_ends_when_told_so_or_with_its_link():
    leases = PressureLeases()
    for link, task in ((1, SLOW), (1, MIDDLE), (2, SLOW)):
        leases.hear(link, BackPressure(task, True, 0), 0)
    leases.hear(1, BackPressure(MIDDLE, False, 9), 0)
    assert leases.on_link_ended(1) == [SLOW]
    assert leases.any_active(0)
    leases.hear(2, BackPressure(SLOW, False, 9), 0)
    assert not leases.any_active(0)


@given(
    st.lists(
        st.tuples(st.booleans(), st.booleans(), st.booleans(), st.integers(1, 12)), max_size=30
    )
)
def test_listener_that_hears_everything_believes_what_the_watch_does(phases):
    looks, leases = Looks(), PressureLeases()
    heard = 0
    for joined, full, held, times in phases:
        for _ in range(times):
            tasks = (SLOW,)
            looks.look(1, tasks if joined else (), tasks if full else (), tasks if held else ())
            for said in looks.said[heard:]:
                leases.hear(1, said, looks.now_ns)
            heard = len(looks.said)
            assert leases.any_active(looks.now_ns) == bool(looks.watch.active_ns(looks.now_ns))
