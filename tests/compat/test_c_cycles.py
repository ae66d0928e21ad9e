"""Storm's semantics, section C: the limit of open trees where tuples go round (29, 30)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from heronshim.api import TopologyBuilder, Tuple
from tests.compat.conftest import Feed, Run, Sink

pytestmark = pytest.mark.compat

Start = Callable[..., Run]


def many(count: int) -> list[list[Any]]:
    return [[f"w{number}"] for number in range(count)]


class Forever(Sink):
    outputs = ["word"]

    def execute(self, tup: Tuple) -> None:
        self.run.sleep(0.001)
        self.emit(tup.values)


class Twice(Sink):
    outputs = ["word"]

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        if not tup[0].endswith("!"):
            self.emit([tup[0] + "!"])


class TwiceByHand(Twice):
    auto_ack = False


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
@pytest.mark.parametrize("reliable", [False, True])
def test_s30_max_pending_holds_for_spouts_that_feed_a_cycle(
    start: Start, delivery: str, reliable: bool
) -> None:
    """In both delivery modes and without ids; the author hears of what has an id, as elsewhere.

    Differs: Storm leaves a loop without ackers unbounded. The loop below never ends, so that all
    that may pend does.
    """

    run = start(
        TopologyBuilder("loop")
        .options(delivery=delivery, max_spout_pending=7, message_timeout_s=1000)
        .spout("z", Feed.spec(rows=many(100), reliable=reliable))
        .bolt("a", Forever.spec(inputs=["z", "a"]))
    )
    run.run_for(3)
    assert run.pending == 7
    acks = list(range(7)) if reliable and delivery == "at_most_once" else []
    assert run.heard("z", "ack") == acks
    assert run.heard("z", "fail") == []


@pytest.mark.parametrize("bolt", [Twice, TwiceByHand])
def test_s30_a_cycle_at_most_once_completes_its_trees_without_the_author(
    start: Start, bolt: type[Twice]
) -> None:
    """Who asked for no acks need not ack: all goes through, though only 3 may pend."""

    run = start(
        TopologyBuilder("loop")
        .options(delivery="at_most_once", max_spout_pending=3, message_timeout_s=1000)
        .spout("z", Feed.spec(rows=many(100), reliable=False))
        .bolt("a", bolt.spec(inputs=["z", "a"]))
    )
    run.run_until_idle()
    assert len(run.heard("a", "execute")) == 200
    assert run.pending == 0
    assert run.heard("z", "ack") == run.heard("z", "fail") == []
