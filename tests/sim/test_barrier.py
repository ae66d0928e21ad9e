"""Two sources send through one stream manager to one task; one of them is blocked for a while.

The hops are the engine's own (Forwarder, credit on both ends); only the order of events is random.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any

import pytest

from heronshim.core.stream.barrier import Aligned, Barrier, BarrierAligner
from heronshim.core.stream.credit import CreditReceiver, CreditSender
from heronshim.core.stream.forwarding import Forwarder
from heronshim.core.stream.frame import Kind

TASK, TASK_LINK = 9, 3
SOURCES = (1, 2)
"""Source tasks; each has a link of its number."""
ITEM_BYTES = 2000
ITEMS, CHECKPOINTS = 40, 3
STEPS_MAX = 4_000


class Run:
    """`early_credit`: what is held gives its credit back when it is held, not when it runs."""

    def __init__(self, seed: int, *, early_credit: bool = True, held_bytes_max: int = 1 << 20):
        self.rng = Random(seed)
        self.now_ns = 0
        self._early_credit = early_credit
        self.sent: dict[int, deque[Any]] = {}
        self.cuts: dict[tuple[int, int], int] = {}
        for source in SOURCES:
            self.sent[source] = self._items(source)
        self.senders = {source: CreditSender() for source in SOURCES}
        self.forwarder = Forwarder(self._send, lambda _item: ITEM_BYTES)
        self.forwarder.set_tasks([TASK])
        self.forwarder.bind(TASK, TASK_LINK)
        self.receiver = CreditReceiver()
        self.inbox: deque[tuple[int, Any]] = deque()
        self.aligner: BarrierAligner[Any] = BarrierAligner(SOURCES, held_bytes_max)
        self.executed = dict.fromkeys(SOURCES, 0)
        self.aligned: list[int] = []
        self.blocked_steps = self.rng.choice((0, 200, 800))

    def _items(self, source: int) -> deque[Any]:
        places = sorted(self.rng.sample(range(ITEMS + 1), CHECKPOINTS))
        items: deque[Any] = deque()
        for number in range(ITEMS + 1):
            if number in places:
                checkpoint = places.index(number) + 1
                self.cuts[source, checkpoint] = number
                items.append(Barrier(0, checkpoint))
            if number < ITEMS:
                items.append(number + 1)
        return items

    def go(self) -> bool:
        """Run until all is executed; return False at a standstill."""
        for step in range(STEPS_MAX):
            self.now_ns += 200_000
            actor = self.rng.randrange(4)
            if actor in SOURCES and not (actor == 2 and step < self.blocked_steps):
                self._emit(actor)
            elif actor == 3:
                self._take()
            self._carry_credit()
            self.aligner.check_invariants()
            if not self.inbox and not any(self.sent.values()) and not self.forwarder.queues():
                return True
        return False

    def _emit(self, source: int) -> None:
        items, credit = self.sent[source], self.senders[source]
        if not items:
            return
        if not credit.may_send(TASK, ITEM_BYTES):
            if credit.ask(TASK):
                self.forwarder.on_credit_request(source, [(TASK, ITEM_BYTES)], self.now_ns)
            return
        item = items.popleft()
        credit.spend(TASK, ITEM_BYTES)
        kind = Kind.BARRIER if isinstance(item, Barrier) else Kind.DATA
        self.forwarder.on_data(source, kind, TASK, source, item, self.now_ns)

    def _send(self, _link: int, _kind: int, _task: int, source: int, item: Any) -> bool:
        self.receiver.on_frame(1, TASK, ITEM_BYTES, self.now_ns)
        self.inbox.append((source, item))
        return True

    def _take(self) -> None:
        """The task's instance takes the next frame."""
        if not self.inbox:
            return
        source, item = self.inbox.popleft()
        if isinstance(item, Barrier):
            todo = self.aligner.on_barrier(source, item)
            self._consumed()
        else:
            todo = self.aligner.on_data(source, (source, item), ITEM_BYTES)
            if self._early_credit:
                self._consumed()
        for one in todo:
            self._execute(one)

    def _execute(self, item: Any) -> None:
        if isinstance(item, Aligned):
            checkpoint = item.barrier.checkpoint
            cut = {source: self.cuts[source, checkpoint] for source in SOURCES}
            assert self.executed == cut, "the cut is consistent"
            self.aligned.append(checkpoint)
            return
        source, number = item
        assert number == self.executed[source] + 1, "order within a source"
        self.executed[source] = number
        if not self._early_credit:
            self._consumed()

    def _consumed(self) -> None:
        self.receiver.on_consumed(1, TASK, ITEM_BYTES, self.now_ns)

    def _carry_credit(self) -> None:
        for link, grants in self.forwarder.take_grants().items():
            self.senders[link].granted(TASK, grants[TASK])
        for grants in self.receiver.take_grants().values():
            self.forwarder.on_credit(TASK_LINK, grants.items(), self.now_ns)
        wanted, self.forwarder.wanted = self.forwarder.wanted, {}
        for tasks in wanted.values():
            self.receiver.on_request(1, TASK, tasks[TASK], self.now_ns)


@pytest.mark.parametrize("first", range(0, 100, 50))
def test_every_checkpoint_aligns_though_one_source_is_blocked(first: int) -> None:
    for seed in range(first, first + 50):
        run = Run(seed)
        assert run.go(), f"seed {seed} stands still: {run.executed}"
        assert run.executed == dict.fromkeys(SOURCES, ITEMS), seed
        assert run.aligned == [1, 2, 3], seed


def test_held_data_that_keeps_its_credit_keeps_the_other_barrier_out() -> None:
    """Why credit goes back when data is held: all senders share the task's window and queue."""
    ended = [Run(seed, early_credit=False).go() for seed in range(8)]
    assert not all(ended)


def test_checkpoint_over_the_limit_is_given_up_and_all_data_runs() -> None:
    abandoned = 0
    for seed in range(20):
        run = Run(seed, held_bytes_max=3 * ITEM_BYTES)
        assert run.go(), f"seed {seed} stands still: {run.executed}"
        assert run.executed == dict.fromkeys(SOURCES, ITEMS), seed
        assert run.aligner.abandoned_count or len(run.aligned) == CHECKPOINTS, seed
        abandoned += run.aligner.abandoned_count
    assert abandoned
