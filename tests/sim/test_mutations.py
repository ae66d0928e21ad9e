"""The simulator must not go blind: each fault put into the engine is found within some seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from heronshim.core.io.router_links import RouterLinks
from heronshim.core.stream.ack_tracker import SLOT_MASK, AckTracker
from heronshim.core.stream.credit import CreditReceiver
from heronshim.instance.bolt_task import BoltTask
from heronshim.instance.collector import BoltCollector
from heronshim.instance.outbox import Outbox
from heronshim.instance.spout_task import SpoutTask
from tests.sim.simulation import SimulationFailed, simulate


@dataclass(frozen=True)
class Mutation:
    """A method of the engine, and a wrong one in its place that gets the right one first."""

    name: str
    kind: type
    method: str
    wrong: Callable[..., Any]
    seeds_max: int
    """Several times what it took when it was written (1 to 39)."""


def _every_outcome_is_fresh(_right: Any, tracker: AckTracker, roots: Any, xors: Any) -> Any:
    slots = (roots & np.uint64(SLOT_MASK)).view(np.int64)
    return slots, xors


def _any_incarnation(right: Any, links: RouterLinks, hello: Any) -> Any:
    links._newest.pop(hello.process, None)
    return right(links, hello)


MUTATIONS = [
    Mutation(
        "one edge for all anchors", BoltCollector, "_pairs",
        lambda right, self, anchors: right(self, anchors[:1]), 100,
    ),
    Mutation(
        "children are not awaited", BoltTask, "_ack_row",
        lambda right, self, source, row, _child: right(self, source, row, 0), 100,
    ),
    Mutation("stale outcomes count", AckTracker, "_known", _every_outcome_is_fresh, 400),
    Mutation("trees never time out", AckTracker, "rotate", lambda _right, _self: [], 200),
    Mutation(
        "an ack is told twice", SpoutTask, "_on_acked",
        lambda right, self, ids, times: [right(self, ids, times) for _ in range(2)], 20,
    ),
    Mutation(
        "credit of a link that ended is kept", CreditReceiver, "on_sender_gone",
        lambda _right, _self, _sender: None, 400,
    ),
    Mutation("credit outlives its link", Outbox, "on_new_link", lambda _right, _self: None, 200),
    Mutation("older incarnations join", RouterLinks, "_judge", _any_incarnation, 400),
]  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_fault_in_the_engine_is_found(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    right = getattr(mutation.kind, mutation.method)

    def wrong(self: Any, *given: Any, **named: Any) -> Any:
        return mutation.wrong(right, self, *given, **named)

    monkeypatch.setattr(mutation.kind, mutation.method, wrong)
    assert seeds_until_found(mutation.seeds_max) is not None


def seeds_until_found(seeds_max: int) -> int | None:
    """Run seeds until one fails; return how many it took, None when none did."""
    for seed in range(seeds_max):
        try:
            simulate(seed)
        except SimulationFailed:
            return seed + 1
    return None
