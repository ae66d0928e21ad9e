"""LocalTopology: whole topologies on the engine's own classes, with a virtual clock."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from heronshim.api import Bolt, FailTuple, Grouping, Spout, Topology, TopologyBuilder
from heronshim.errors import ConfigError, DeadlineError, NotFoundError, TopologyError
from heronshim.testing import FixedTuple, LocalTopology, complete_topology, read_tuples


class Numbers(Spout):
    outputs = ["n"]

    def __init__(self, count, reliable=True):
        self.count = count
        self.reliable = reliable
        self.n = 0
        self.heard = []
        self.states = []

    def open(self, config, context):
        self.states.append("open")

    def activate(self):
        self.states.append("activate")

    def deactivate(self):
        self.states.append("deactivate")

    def close(self):
        self.states.append("close")

    def next_tuple(self):
        if self.n < self.count:
            self.n += 1
            self.emit([self.n], id=self.n if self.reliable else None)

    def ack(self, id):
        self.heard.append(("ack", id))

    def fail(self, id):
        self.heard.append(("fail", id))


class Endless(Numbers):
    def __init__(self):
        super().__init__(1 << 60, reliable=False)


class Pass(Bolt):
    outputs = ["n"]

    def execute(self, tup):
        self.emit([tup["n"]])


class Twice(Bolt):
    outputs = ["n"]

    def execute(self, tup):
        self.emit([tup["n"]])
        self.emit([-tup["n"]])


class Picky(Bolt):
    """Fails multiples of 3, raises on multiples of 5, never acks multiples of 7."""

    outputs = ["n"]
    auto_ack = False

    def execute(self, tup):
        n = tup["n"]
        if n % 3 == 0:
            raise FailTuple
        if n % 5 == 0:
            raise ValueError(f"five {n}")
        if n % 7:
            self.ack(tup)


class Ticking(Bolt):
    outputs = ["ticks"]

    def prepare(self, config, context):
        self.ticks = 0
        self.emit([-1])

    def execute(self, tup):
        if tup.is_tick:
            self.ticks += 1
            self.emit([self.ticks])


class FailsToOpen(Bolt):
    def prepare(self, config, context):
        raise OSError("no such disk")

    def execute(self, tup):
        pass


class ByModule(Topology):
    options = {"containers": 2, "message_timeout_s": 5}

    numbers = Numbers.spec(count=20)
    picky = Picky.spec(inputs=[numbers], parallelism=3)


def chain(count: int = 100, **options: Any) -> TopologyBuilder:
    return (
        TopologyBuilder("chain")
        .options(**options)
        .spout("numbers", Numbers.spec(count=count))
        .bolt("twice", Twice.spec(inputs=["numbers"], parallelism=2))
        .bolt("sink", Pass.spec(inputs={"twice": Grouping.fields("n")}, parallelism=3))
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("containers", [1, 3])
@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
def test_every_tuple_arrives_once_and_is_acked_once(
    seed: int, containers: int, delivery: str
) -> None:
    with LocalTopology(chain(containers=containers, delivery=delivery), seed=seed) as local:
        local.run_until_idle()
        expected = Counter(range(-100, 101)) - Counter([0])
        assert Counter(n for (n,) in local.emitted("sink")) == expected
        assert local.executed("numbers") == []
        assert Counter(n for (n,) in local.executed("sink")) == expected
        assert sorted(local.acked("numbers")) == list(range(1, 101))
        (spout,) = local.objects("numbers")
        assert sorted(spout.heard) == [("ack", n) for n in range(1, 101)]
        assert local.pending == 0
        assert local.counts("sink")["execute_count/twice/default"] == 200


def test_same_seed_same_run_other_seed_other_order() -> None:
    def run(seed: int) -> list[list[Any]]:
        with LocalTopology(chain(containers=2), seed=seed) as local:
            local.run_until_idle()
            return local.emitted("sink")

    assert run(1) == run(1)
    assert len({str(run(seed)) for seed in range(4)}) > 1


def test_fails_errors_and_timeouts_reach_the_spout() -> None:
    """A tuple fails by FailTuple, by an exception (reported), or by its timeout."""
    with LocalTopology(ByModule) as local:
        local.run_until_idle()
        threes = {3, 6, 9, 12, 15, 18}
        fives = {5, 10, 20}
        assert set(local.failed("numbers")) == threes | fives
        assert set(local.acked("numbers")) == set(range(1, 21)) - threes - fives - {7, 14}
        assert {error.message for error in local.errors("picky")} == {
            f"ValueError: five {n}" for n in fives
        }
        assert "Picky" not in local.errors("picky")[0].message
        assert "test_local_topology.py" in local.errors()[0].detail
        assert local.pending == 2
        local.run_for(4.9)
        assert local.pending == 2
        # Storm fails a tree between one and two timeouts.
        local.run_for(5.2)
        assert local.pending == 0
        assert set(local.failed("numbers")) == threes | fives | {7, 14}
        assert Counter(local.failed("numbers"))[7] == 1


def test_advance_jumps_over_a_timeout() -> None:
    with LocalTopology(ByModule) as local:
        local.run_until_idle()
        before_s = local.now_s
        local.advance(11)
        assert local.now_s > before_s + 11
        assert local.pending == 0


def test_ticks_come_with_virtual_time() -> None:
    builder = TopologyBuilder("ticks").spout("numbers", Numbers.spec(count=0))
    builder.bolt("ticking", Ticking.spec(inputs=["numbers"], options={"tick_interval_s": 2}))
    with LocalTopology(builder) as local:
        local.run_until_idle()
        assert local.emitted("ticking") == [[-1]]
        local.run_for(7)
        assert local.emitted("ticking") == [[-1], [1], [2], [3]]
        # A machine that slept gets one tick, not all that it missed.
        local.advance(10)
        assert local.emitted("ticking")[4:] == [[4]]


def test_a_spout_without_end_runs_for_a_while() -> None:
    builder = TopologyBuilder("endless").spout("numbers", Endless.spec())
    builder.bolt("sink", Pass.spec(inputs=["numbers"]))
    with LocalTopology(builder, call_cost_us=100) as local:
        local.run_for(0.5)
        assert local.now_s == pytest.approx(0.5, abs=0.1)
        assert 1000 < len(local.emitted("numbers")) <= 5000
        with pytest.raises(DeadlineError, match=r"still busy after 0\.2 s of virtual time"):
            local.run_until_idle(limit_s=0.2)


def test_deactivated_spouts_are_not_called() -> None:
    with LocalTopology(chain(count=10)) as local:
        local.deactivate()
        local.run_until_idle()
        assert local.emitted("numbers") == []
        local.activate()
        local.run_until_idle()
        assert len(local.emitted("numbers")) == 10
        local.deactivate()
        local.run_until_idle()
        (spout,) = local.objects("numbers")
    local.close()
    assert spout.states == ["open", "activate", "deactivate", "close"]


def test_pending_never_exceeds_its_limit() -> None:
    builder = TopologyBuilder("held").options(max_spout_pending=10, message_timeout_s=1)
    builder.spout("numbers", Numbers.spec(count=100))
    builder.bolt("held", NeverAcks.spec(inputs=["numbers"]))
    with LocalTopology(builder) as local:
        local.run_until_idle()
        assert local.pending == 10
        assert len(local.emitted("numbers")) == 10
        local.run_for(2.5)
        assert len(local.emitted("numbers")) > 10
        assert local.pending <= 10


class NeverAcks(Bolt):
    auto_ack = False

    def execute(self, tup):
        pass


def test_on_user_exception_restart_starts_the_process_again() -> None:
    """Storm's rule: the process dies, its tuple in hand is left to the timeout."""
    builder = TopologyBuilder("restart").options(on_user_exception="restart", message_timeout_s=2)
    builder.spout("numbers", Numbers.spec(count=12))
    builder.bolt("picky", RaisesOnce.spec(inputs=["numbers"]))
    with LocalTopology(builder) as local:
        local.run_until_idle()
        ((process, error),) = local.restarts
        assert process == "picky-2"
        assert isinstance(error, ZeroDivisionError)
        local.run_for(5)
        assert local.pending == 0
        assert sorted(local.acked("numbers") + local.failed("numbers")) == list(range(1, 13))
        assert 6 in local.failed("numbers")
        assert len(local.objects("picky")) == 1


class RaisesOnce(Bolt):
    raised = False

    def execute(self, tup):
        if tup["n"] == 6 and not RaisesOnce.raised:
            RaisesOnce.raised = True
            raise ZeroDivisionError


def test_a_fault_in_prepare_is_raised_to_the_test() -> None:
    builder = TopologyBuilder("wrong").spout("numbers", Numbers.spec(count=1))
    builder.bolt("bolt", FailsToOpen.spec(inputs=["numbers"]))
    local = LocalTopology(builder)
    with pytest.raises(OSError, match="no such disk"):
        local.run_until_idle()


def test_wrong_names_are_said_with_the_nearest() -> None:
    with LocalTopology(chain()) as local:
        with pytest.raises(NotFoundError, match=r'no component "numbrs".*Did you mean "numbers"'):
            local.emitted("numbrs")
        with pytest.raises(NotFoundError, match='"twice" has no stream "errors"; it has: default'):
            local.emitted("twice", "errors")


def test_wrong_topologies_do_not_start() -> None:
    with pytest.raises(TopologyError, match=r"test_local_topology.py:\d+: .*unknown component"):
        LocalTopology(TopologyBuilder("wrong").bolt("b", Pass.spec(inputs=["nothing"])))
    with pytest.raises(ConfigError, match="container"):
        LocalTopology(chain(containers=50))


def test_complete_topology_replaces_spouts_and_waits_for_all_tuples() -> None:
    """Storm's Testing.completeTopology, readTuples and FixedTuple."""
    done = complete_topology(chain().build(), {"numbers": [[1], FixedTuple([2]), (3,)]}, seed=3)
    assert read_tuples(done, "numbers") == [[1], [2], [3]]
    assert sorted(read_tuples(done, "sink")) == [[-3], [-2], [-1], [1], [2], [3]]
    assert sorted(done.acked("numbers")) == [1, 2, 3]


def test_complete_topology_waits_for_timeouts() -> None:
    done = complete_topology(ByModule, {"numbers": [[7], [8], [9]]})
    assert done.acked("numbers") == [2]
    assert sorted(done.failed("numbers")) == [1, 3]


def test_complete_topology_says_what_does_not_fit() -> None:
    with pytest.raises(NotFoundError, match=r'no spout "nmbers".*Did you mean "numbers"'):
        complete_topology(ByModule, {"nmbers": []})
    with pytest.raises(DeadlineError, match="neither acked nor failed"):
        complete_topology(ByModule, {"numbers": [[7]]}, limit_s=2)
