"""Storm's semantics, section D: lifecycle, ticks and waiting (34, 35, 37, 38).

What needs real processes is in tests/system/test_storm_processes.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from heronshim.api import Context, Grouping, TopologyBuilder, Tuple
from tests.compat.conftest import Feed, Rich, Run, Sink
from tests.compat.trees import ALL, T_S, WORDS, Acks, Holds, Relays, chain, part, settled

pytestmark = pytest.mark.compat

Start = Callable[..., Run]


def life(run: Run, component: str) -> list[str]:
    """What a component was called for, without repeats in a row."""
    whats = [note.what for note in run.notes if note.component == component]
    return [what for before, what in pairwise(["", *whats]) if what != before]


# ---- 34: calls in order ----


class Callings(Feed):
    """Notes each call of next_tuple."""

    def next_tuple(self) -> None:
        self.note("next")


def test_s34_open_activate_next_tuple(start: Start) -> None:
    """Storm: open, then activate, then the loop of nextTuple."""
    run = start(TopologyBuilder("life").spout("z", Callings.spec(parallelism=2)))
    run.run_for(0.1)
    for task in run.task_ids("z"):
        whats = [note.what for note in run.notes if note.task == task]
        assert whats[:3] == ["open", "activate", "next"]
        assert Counter(whats)["open"] == Counter(whats)["activate"] == 1


def test_s34_bolts_are_prepared_before_their_first_tuple(start: Start) -> None:
    """Storm (measured): no order between executors; tuples wait in queues."""
    for seed in range(5):
        run = start(chain(), seed=seed)
        run.run_until_idle()
        for component in ("mid", "sink"):
            assert life(run, component) == ["prepare", "execute"]
        assert run.heard("sink", "execute") == WORDS


class EmitsInOpen(Feed):
    def open(self, config: Mapping[str, Any], context: Context) -> None:
        super().open(config, context)
        self.returned.append(list(self.emit(["opened"], id="opened")))


class EmitsInPrepare(Relays):
    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        super().prepare(config, context)
        self.emit(["prepared"])


def test_s34_open_and_prepare_may_emit(start: Start) -> None:
    """Storm: the collector that they are given works at once."""
    run = start(chain(EmitsInPrepare, rows=[["x"]], feed=EmitsInOpen))
    run.run_until_idle()
    assert run.heard("mid", "execute") == [["opened"], ["x"]]
    assert run.heard("sink", "execute") == [["prepared"], ["opened"], ["x"]]
    assert part(run, "z").returned == [run.task_ids("mid")] * 2
    assert run.heard("z", "ack") == ["opened", 0]


def test_s34_deactivate_and_activate(start: Start) -> None:
    """Storm: deactivate() once, no nextTuple until activate(), which is called anew."""
    run = start(TopologyBuilder("life").spout("z", Callings.spec()))
    run.run_for(1)
    run.deactivate()
    run.run_for(1)
    calls = len(run.heard("z", "next"))
    run.run_for(10)
    assert len(run.heard("z", "next")) == calls
    run.deactivate()
    run.run_for(1)
    assert life(run, "z") == ["open", "activate", "next", "deactivate"]
    run.activate()
    run.run_for(1)
    assert len(run.heard("z", "next")) > calls
    run.activate()
    run.run_for(1)
    assert life(run, "z") == ["open", "activate", "next", "deactivate", "activate", "next"]
    assert len(run.heard("z", "activate")) == 2
    assert len(run.heard("z", "deactivate")) == 1


def test_s34_a_deactivated_topology_ends_what_it_began(start: Start) -> None:
    """Storm: bolts keep processing, acks, fails and timeouts still reach the spout."""
    run = start(chain(Holds))
    run.run_until_idle()
    run.deactivate()
    run.run_for(0.1)
    mid = part(run, "mid")
    for tup in mid.tuples[:5]:
        mid.emit(tup.values, anchors=[tup])
        mid.ack(tup)
    mid.fail(mid.tuples[5])
    run.run_for(0.1)
    assert run.heard("sink", "execute") == WORDS[:5]
    assert settled(run) == ([0, 1, 2, 3, 4], [5])
    run.run_for(2 * T_S)
    assert settled(run) == ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9])
    after = [note.what for note in run.notes if note.component == "z"]
    assert "emit" not in after[after.index("deactivate") :]


def test_s34_close_and_cleanup_come_last_and_once(start: Start) -> None:
    run = start(chain())
    run.run_until_idle()
    run.close()
    run.close()
    assert life(run, "z")[-2:] == ["deactivate", "close"]
    for component, what in (("z", "close"), ("mid", "cleanup"), ("sink", "cleanup")):
        assert len(run.heard(component, what)) == 1
        assert life(run, component)[-1] == what


def test_s34_a_topology_that_never_ran_is_not_closed(start: Start) -> None:
    """Submitted inactive and killed: nothing was opened, so nothing is closed."""
    run = start(chain())
    run.deactivate()
    run.run_for(1)
    run.close()
    assert run.notes == []


# ---- 35: kill with wait ----


def test_s35_what_is_in_flight_may_end_before_a_kill_is_done(start: Start) -> None:
    """Storm: kill deactivates, waits (the message timeout by default), then ends everything.

    The steps of `heronshim kill --wait`; the verb itself is tested with real processes.
    """
    run = start(
        TopologyBuilder("kill")
        .options(message_timeout_s=T_S, max_spout_pending=20)
        .spout("z", Feed.spec(rows=WORDS * 100))
        .bolt("a", Slow.spec(inputs=["z"]))
    )
    run.run_for(0.3)
    run.deactivate()
    run.run_for(T_S)
    emitted = run.heard("z", "emit")
    assert 0 < len(emitted) < 1000
    assert settled(run) == (sorted(emitted), [])
    run.close()
    assert life(run, "z")[-1] == "close"
    assert len(run.heard("z", "deactivate")) == 1


class Slow(Sink):
    def execute(self, tup: Tuple) -> None:
        self.run.sleep(0.005)
        super().execute(tup)


# ---- 37: ticks ----


class Ticks(Rich):
    """Notes ticks, acks everything, and passes on what it gets."""

    def execute(self, tup: Tuple) -> None:
        if tup.is_tick:
            self.note("tick", tup)
            self.emit(["ticked"], anchors=[tup])
        else:
            super().execute(tup)
            self.emit(tup.values, anchors=[tup])
        self.ack(tup)


def ticking(freq_s: float = 1, bolt: type[Sink] = Ticks, **spec: int) -> TopologyBuilder:
    return (
        TopologyBuilder("ticks")
        .options(message_timeout_s=T_S)
        .spout("z", Feed.spec(rows=[["__tick"], ["x"]]))
        .bolt("a", bolt.spec(inputs=["z"], options={"tick_interval_s": freq_s}, **spec))
        .bolt("b", Sink.spec(inputs={"a": Grouping.global_()}))
    )


def test_s37_ticks_come_at_their_interval(start: Start) -> None:
    """Storm (measured): source __system, stream __tick, task -1, values [1]; 34 in 33.99 s."""
    run = start(ticking())
    run.run_for(34.5)
    ticks = run.heard("a", "tick")
    assert len(ticks) == 34
    for tick in ticks:
        assert (tick.component, tick.stream, tick.task) == ("__system", "__tick", -1)
        assert (tick.values, len(tick), tick[0]) == ([1], 1, 1)
        assert tick.is_tick
    times = run.times_s("a", "tick")
    assert all(0.9 <= later - earlier <= 1.1 for earlier, later in pairwise(times))
    assert not any(tup.is_tick for tup in part(run, "a").tuples)


def test_s37_ticks_are_acked_harmlessly_and_belong_to_no_tree(start: Start) -> None:
    """Storm (measured): acking one is harmless; what is emitted for one is not tracked."""
    run = start(ticking())
    run.run_for(3.5)
    assert settled(run) == ([0, 1], [])
    assert run.errors() == []
    assert Counter(values[0] for values in run.heard("b", "execute")) == {
        "__tick": 1, "x": 1, "ticked": 3,
    }  # fmt: skip
    assert run.pending == 0


class FailsTicks(Rich):
    """Fails its ticks, or raises at them."""

    def execute(self, tup: Tuple) -> None:
        if tup.is_tick:
            self.note("tick")
            self.fail(tup)
            self.reset_timeout(tup)
        else:
            super().execute(tup)
            self.ack(tup)


def test_s37_a_failed_tick_is_nothing(start: Start) -> None:
    run = start(ticking(bolt=FailsTicks))
    run.run_for(3.5)
    assert len(run.heard("a", "tick")) == 3
    assert settled(run) == ([0, 1], [])
    assert (run.errors(), run.restarts) == ([], [])


class BasicTicks(Sink):
    """An auto-acking bolt that counts ticks."""

    outputs = ["word"]

    def execute(self, tup: Tuple) -> None:
        if tup.is_tick:
            self.note("tick")
            self.emit(["ticked"])
        else:
            super().execute(tup)


def test_s37_each_task_has_its_ticks_and_other_components_none(start: Start) -> None:
    """Storm: a component's own conf; spouts and bolts that did not ask get none."""
    run = start(ticking(bolt=BasicTicks, parallelism=2, tasks=3))
    run.run_for(2.5)
    assert Counter(note.task for note in run.notes if note.what == "tick") == {1: 2, 2: 2, 3: 2}
    assert Counter(values[0] for values in run.heard("b", "execute")) == {"ticked": 6}
    assert settled(run) == ([0, 1], [])


def test_s37_ticks_come_while_the_topology_is_deactivated(start: Start) -> None:
    run = start(ticking())
    run.run_for(1.5)
    run.deactivate()
    run.run_for(3)
    assert len(run.heard("a", "tick")) == 4


def test_s37_ticks_come_between_the_tuples_of_a_busy_bolt(start: Start) -> None:
    """They do not wait behind what is queued. Storm puts them into the same queue."""
    run = start(
        TopologyBuilder("ticks")
        .options(max_spout_pending=0)
        .spout("z", Feed.spec(rows=WORDS * 100))
        .bolt("a", SlowTicks.spec(inputs=["z"], options={"tick_interval_s": 0.1}))
    )
    run.run_until_idle()
    ticks = run.times_s("a", "tick")
    assert 40 <= len(ticks) <= 51, "5 s of work"
    assert max(later - earlier for earlier, later in pairwise(ticks)) < 0.25


class SlowTicks(Sink):
    def execute(self, tup: Tuple) -> None:
        if tup.is_tick:
            self.note("tick")
        else:
            self.run.sleep(0.005)


def test_s37_ticks_that_fall_due_together_come_once(start: Start) -> None:
    """Differs: Storm queues a tick each interval; here an execute of 10 s misses 9 of 10."""
    run = start(ticking(bolt=BlocksOnce))
    run.run_for(0.5)
    assert run.now_s >= 10
    before = len(run.heard("a", "tick"))
    run.run_for(0.5)
    assert len(run.heard("a", "tick")) <= before + 1 <= 2
    run.run_for(5)
    assert 5 <= len(run.heard("a", "tick")) <= 7


class BlocksOnce(Sink):
    outputs = ["word"]

    def execute(self, tup: Tuple) -> None:
        if tup.is_tick:
            self.note("tick")
        elif tup[0] == "x":
            self.run.sleep(10)


def test_s37_fractions_of_a_second(start: Start) -> None:
    """Differs: Storm's topology.tick.tuple.freq.secs is a whole number."""
    run = start(ticking(0.25))
    run.run_for(2.1)
    assert [tick.values for tick in run.heard("a", "tick")] == [[0.25]] * 8


# ---- 38: next_tuple that emits nothing, next_tuple that blocks ----


class Rarely(Feed):
    """Emits at every hundredth call."""

    calls = 0

    def next_tuple(self) -> None:
        self.calls += 1
        if self.calls % 100 == 0:
            super().next_tuple()


def test_s38_a_spout_that_emits_nothing_is_called_again(start: Start) -> None:
    """Storm: the wait strategy pauses (1 ms at first) and calls again; acks come meanwhile."""
    run = start(chain(feed=Rarely))
    run.until(lambda: settled(run) == (ALL, []), limit_s=300)
    calls = part(run, "z").calls
    assert calls >= 1000
    assert calls / run.now_s <= 1100, "1 ms between two calls that emit nothing"


class BlocksInNextTuple(Feed):
    """Its third call takes long; tuples 0 and 1 are acked in that time."""

    def next_tuple(self) -> None:
        number = len(self.returned)
        if number == 2 and self.waiting:
            self.note("blocks")
            self.run.sleep(2)
            self.note("goes on")
        super().next_tuple()


def test_s38_a_blocking_next_tuple_holds_back_acks(start: Start) -> None:
    """Storm: ack and fail come on the executor's thread, between calls of nextTuple."""
    run = start(chain(feed=BlocksInNextTuple, mid=Relays, sink=Acks))
    run.run_until_idle()
    whats = [note.what for note in run.notes if note.component == "z"]
    begin, end = whats.index("blocks"), whats.index("goes on")
    assert end == begin + 1, "nothing else is called in between"
    assert settled(run) == (ALL, [])


class CalledWithin(Feed):
    """Says when ack or fail is called inside next_tuple."""

    inside = False

    def next_tuple(self) -> None:
        self.inside = True
        super().next_tuple()
        self.inside = False

    def ack(self, id: int) -> None:
        super().ack(id)
        assert not self.inside


def test_s38_acks_come_between_calls(start: Start) -> None:
    """With tracking an ack never comes inside a call, whatever settles at once."""
    run = start(TopologyBuilder("acks").spout("z", CalledWithin.spec(rows=WORDS)))
    run.run_until_idle()
    assert settled(run) == (ALL, [])
    assert run.errors() == []
