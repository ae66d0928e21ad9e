"""Credit counts bytes, hop by hop: what is granted bounds what waits, and nobody starves.

Rule: design 3.7. A random run plays senders, wires with delay and a consumer against the
bookkeeping that must hold in each step.
"""

from __future__ import annotations

from collections import defaultdict, deque
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from heronshim.core.stream.credit import (
    HISTORY_NS,
    POOL_BYTES,
    WINDOW_BYTES_FIRST,
    WINDOW_BYTES_MAX,
    WINDOW_BYTES_MIN,
    CreditReceiver,
    CreditSender,
)
from heronshim.core.stream.frame import FRAME_COST_MIN_BYTES, frame_cost_bytes

MB = 1 << 20
A, B = 1, 2
TASK = 5


@pytest.mark.parametrize(
    ("payload", "cost"),
    [(0, 1024), (1, 1024), (1024, 1024), (1025, 1025), (40_000, 40_000)],
)
def test_frame_costs_its_bytes_and_at_least_a_kib(payload, cost):
    assert frame_cost_bytes(payload) == cost
    assert FRAME_COST_MIN_BYTES == 1024


class TestSender:
    def test_nothing_may_be_sent_before_a_grant(self):
        sender = CreditSender()
        assert not sender.may_send(TASK)
        sender.granted(TASK, 1)
        assert sender.may_send(TASK)

    def test_one_frame_may_overdraw_and_the_next_waits(self):
        sender = CreditSender()
        sender.granted(TASK, 100)
        sender.spend(TASK, 5000)
        assert sender.credit[TASK] == -4900
        assert not sender.may_send(TASK)
        sender.granted(TASK, 4900)
        assert not sender.may_send(TASK)
        sender.granted(TASK, 1)
        assert sender.may_send(TASK)

    def test_it_asks_once_until_credit_comes(self):
        sender = CreditSender()
        assert sender.ask(TASK)
        assert not sender.ask(TASK)
        sender.granted(TASK, 10)
        assert sender.ask(TASK)

    def test_tasks_do_not_share_credit(self):
        sender = CreditSender()
        sender.granted(TASK, 10)
        assert not sender.may_send(TASK + 1)

    def test_new_link_begins_without_credit_and_may_ask_again(self):
        sender = CreditSender()
        sender.granted(TASK, 10)
        sender.ask(TASK)
        sender.reset(TASK)
        assert not sender.may_send(TASK)
        assert sender.ask(TASK)


class TestReceiver:
    def test_pair_holds_no_credit_until_it_asks(self):
        receiver = CreditReceiver()
        assert receiver.take_grants() == {}
        receiver.on_request(A, TASK, 0)
        assert receiver.take_grants() == {A: {TASK: WINDOW_BYTES_FIRST}}
        assert receiver.take_grants() == {}

    def test_consumed_bytes_are_granted_again(self):
        receiver = CreditReceiver()
        receiver.on_request(A, TASK, 0)
        receiver.take_grants()
        receiver.on_frame(A, TASK, 200_000, 0)
        assert receiver.queued_bytes(TASK) == receiver.total_queued_bytes() == 200_000
        assert receiver.take_grants() == {}
        receiver.on_consumed(A, TASK, 200_000, 0)
        assert receiver.take_grants() == {A: {TASK: 200_000}}

    def test_senders_to_one_task_share_its_window(self):
        receiver = CreditReceiver()
        receiver.on_request(A, TASK, 0)
        receiver.on_request(B, TASK, 0)
        grants = receiver.take_grants()
        assert grants[A][TASK] == WINDOW_BYTES_FIRST
        assert grants[B][TASK] == 1, "the window is out, but one frame goes through"
        receiver.on_frame(A, TASK, WINDOW_BYTES_FIRST, 0)
        receiver.on_frame(B, TASK, 1024, 0)
        receiver.on_request(A, TASK, 0)
        receiver.on_request(B, TASK, 0)
        receiver.take_grants()
        receiver.on_consumed(A, TASK, WINDOW_BYTES_FIRST, 0)
        grants = receiver.take_grants()
        assert grants[A][TASK] == WINDOW_BYTES_FIRST // 2
        assert grants[B][TASK] > WINDOW_BYTES_FIRST // 4

    def test_sender_that_asks_is_served_though_another_holds_all_and_is_silent(self):
        receiver = CreditReceiver()
        receiver.on_request(A, TASK, 0)
        receiver.take_grants()
        for _ in range(3):
            receiver.on_request(B, TASK, 0)
            assert receiver.take_grants()[B][TASK] > 0
            receiver.on_frame(B, TASK, 30_000, 0)
            receiver.on_consumed(B, TASK, 30_000, 0)

    def test_overdraw_is_made_good_before_more_is_granted(self):
        receiver = CreditReceiver()
        receiver.on_request(A, TASK, 0)
        granted = receiver.take_grants()[A][TASK]
        receiver.on_frame(A, TASK, granted + 3 * MB, 0)
        receiver.on_request(A, TASK, 0)
        assert receiver.take_grants() == {}, "its own frames wait here"
        receiver.on_consumed(A, TASK, granted + 3 * MB, 0)
        assert receiver.take_grants()[A][TASK] == 3 * MB + WINDOW_BYTES_FIRST

    def test_window_grows_with_what_is_consumed_up_to_its_largest(self):
        receiver = CreditReceiver()
        assert self._steady(receiver, 2 * MB) == WINDOW_BYTES_MAX

    def test_window_of_a_slow_task_is_what_it_consumed_in_two_seconds(self):
        receiver = CreditReceiver()
        assert WINDOW_BYTES_MIN < self._steady(receiver, 50_000) <= 210_000

    def test_window_of_a_very_slow_task_holds_two_batches(self):
        receiver = CreditReceiver()
        assert self._steady(receiver, 2000) == WINDOW_BYTES_MIN

    def _steady(self, receiver: CreditReceiver, bytes_per_step: int) -> int:
        """Consume for 10 s, a step each half second; return what may be on its way in the end."""
        receiver.on_request(A, TASK, 0)
        for step in range(20):
            now_ns = step * HISTORY_NS // 4
            receiver.on_frame(A, TASK, bytes_per_step, now_ns)
            receiver.on_consumed(A, TASK, bytes_per_step, now_ns)
        credit = receiver.take_grants()[A][TASK] - 20 * bytes_per_step
        # What was granted under the larger first window is used up before the smaller one shows.
        now_ns = 5 * HISTORY_NS
        while credit > 0:
            receiver.on_frame(A, TASK, 1024, now_ns)
            receiver.on_consumed(A, TASK, 1024, now_ns)
            credit -= 1024
            grant = receiver.take_grants().get(A, {}).get(TASK, 0)
            if grant:
                return credit + grant
        receiver.on_request(A, TASK, now_ns)
        return credit + receiver.take_grants()[A][TASK]

    def test_windows_of_all_tasks_come_out_of_one_pool(self):
        receiver = CreditReceiver(pool_bytes=MB)
        for task in range(200):
            receiver.on_request(A, task, 0)
        granted = receiver.take_grants()[A]
        assert len(granted) == 200
        assert sum(granted.values()) <= MB + 200
        assert receiver.held_bytes() == sum(granted.values())
        receiver.check_invariants()

    def test_slow_task_cannot_drain_the_pool(self):
        receiver = CreditReceiver(pool_bytes=MB)
        receiver.on_request(A, 1, 0)
        granted = receiver.take_grants()[A][1]
        receiver.on_frame(A, 1, granted, 0)
        receiver.on_request(A, 1, 0)
        receiver.on_request(A, 2, 0)
        assert receiver.take_grants() == {A: {2: WINDOW_BYTES_FIRST}}

    def test_default_pool_holds_the_windows_of_32_fast_tasks(self):
        assert POOL_BYTES == 32 * WINDOW_BYTES_MAX

    def test_grant_of_a_sender_that_is_gone_comes_back(self):
        receiver = CreditReceiver()
        receiver.on_request(A, TASK, 0)
        receiver.take_grants()
        receiver.on_frame(A, TASK, 100_000, 0)
        receiver.on_sender_gone(A)
        receiver.check_invariants()
        assert receiver.queued_bytes(TASK) == 100_000
        receiver.on_request(B, TASK, 0)
        assert receiver.take_grants() == {B: {TASK: WINDOW_BYTES_FIRST - 100_000}}
        receiver.on_consumed(A, TASK, 100_000, 0)
        assert receiver.queued_bytes(TASK) == 0
        receiver.check_invariants()

    def test_grant_not_yet_sent_to_a_sender_that_is_gone_is_forgotten(self):
        receiver = CreditReceiver()
        receiver.on_request(A, TASK, 0)
        receiver.on_sender_gone(A)
        assert receiver.take_grants() == {}
        assert receiver.held_bytes() == 0


SENDERS = 4
TASKS = (5, 6, 7)
FRAME_BYTES_MAX = 150_000
SMALL_POOL = 300_000


class HopMachine(RuleBasedStateMachine):
    """One hop: senders with wires both ways, a receiver, a consumer of its queues."""

    @initialize(seed=st.integers(0, 999), pool=st.sampled_from([SMALL_POOL, POOL_BYTES]))
    def start(self, seed: int, pool: int) -> None:
        self.random = Random(seed)
        self.pool = pool
        self.now_ns = 0
        self.receiver = CreditReceiver(pool)
        self.numbers = list(range(SENDERS))
        self.next_number = SENDERS
        self.senders = {number: CreditSender() for number in self.numbers}
        self.waiting: dict[tuple[int, int], deque[int]] = defaultdict(deque)
        self.wires: dict[int, deque[tuple[str, int, int]]] = defaultdict(deque)
        self.back: dict[int, deque[tuple[int, int]]] = defaultdict(deque)
        self.queues: dict[int, deque[tuple[int, int]]] = defaultdict(deque)

    @rule(sender=st.integers(0, SENDERS - 1), task=st.sampled_from(TASKS), count=st.integers(1, 9))
    def emit(self, sender: int, task: int, count: int) -> None:
        number = self.numbers[sender]
        for _ in range(count):
            size = self.random.choice([10, 3000, 32_000, FRAME_BYTES_MAX])
            self.waiting[number, task].append(frame_cost_bytes(size))
        self._send(number, task)

    @rule(sender=st.integers(0, SENDERS - 1), count=st.integers(1, 20))
    def carry(self, sender: int, count: int) -> None:
        """The receiver reads what a sender sent, in order."""
        number = self.numbers[sender]
        for _ in range(min(count, len(self.wires[number]))):
            what, task, cost = self.wires[number].popleft()
            if what == "ask":
                self.receiver.on_request(number, task, self.now_ns)
            else:
                self.receiver.on_frame(number, task, cost, self.now_ns)
                self.queues[task].append((number, cost))

    @rule(task=st.sampled_from(TASKS), count=st.integers(1, 20))
    def consume(self, task: int, count: int) -> None:
        for _ in range(min(count, len(self.queues[task]))):
            number, cost = self.queues[task].popleft()
            self.receiver.on_consumed(number, task, cost, self.now_ns)

    @rule()
    def give(self) -> None:
        """Grants are put on the wires back."""
        for number, grants in self.receiver.take_grants().items():
            assert number in self.numbers
            for task, grant in grants.items():
                assert grant > 0
                self.back[number].append((task, grant))

    @rule(sender=st.integers(0, SENDERS - 1))
    def carry_back(self, sender: int) -> None:
        number = self.numbers[sender]
        while self.back[number]:
            task, grant = self.back[number].popleft()
            self.senders[number].granted(task, grant)
            self._send(number, task)

    @rule(seconds=st.floats(0.01, 5))
    def wait(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)

    @rule(sender=st.integers(0, SENDERS - 1))
    def replace(self, sender: int) -> None:
        """A link ends and another takes its place; what it had queued stays to be consumed."""
        number = self.numbers[sender]
        self.receiver.on_sender_gone(number)
        for table in (self.wires, self.back, self.senders):
            table.pop(number, None)  # type: ignore[attr-defined]
        for task in TASKS:
            self.waiting.pop((number, task), None)
        self.numbers[sender] = self.next_number
        self.senders[self.next_number] = CreditSender()
        self.next_number += 1

    @rule()
    def settle_down(self) -> None:
        """When everything is carried and consumed, everything that waited has gone."""
        for _ in range(2000):
            for sender in range(SENDERS):
                self.carry(sender, 1000)
            for task in TASKS:
                self.consume(task, 1000)
            self.give()
            for sender in range(SENDERS):
                self.carry_back(sender)
            if not any(self.waiting.values()) and not any(self.wires.values()):
                return
        raise AssertionError("a sender that asked was starved")

    def _send(self, number: int, task: int) -> None:
        sender, queue = self.senders[number], self.waiting[number, task]
        while queue and sender.may_send(task):
            cost = queue.popleft()
            sender.spend(task, cost)
            self.wires[number].append(("frame", task, cost))
        if queue and sender.ask(task):
            self.wires[number].append(("ask", task, 0))

    @invariant()
    def bookkeeping_agrees(self) -> None:
        self.receiver.check_invariants()
        for task in TASKS:
            queued = sum(cost for _, cost in self.queues[task])
            assert self.receiver.queued_bytes(task) == queued
        for sender in self.senders.values():
            assert all(credit > -FRAME_BYTES_MAX for credit in sender.credit.values())

    @invariant()
    def what_is_granted_is_somewhere(self) -> None:
        """Both ends agree on each pair: credit + both wires = what the receiver has granted."""
        waiting = self.receiver._grants
        for task, destination in self.receiver._destinations.items():
            for number, state in destination.senders.items():
                there = self.senders[number].credit.get(task, 0)
                there += sum(c for what, t, c in self.wires[number] if (what, t) == ("frame", task))
                there += sum(grant for t, grant in self.back[number] if t == task)
                there += waiting.get(number, {}).get(task, 0)
                assert there == state.outstanding

    @invariant()
    def memory_is_bounded(self) -> None:
        """A window or the pool, and one frame for each pair, however slow the consumer is."""
        overdraw = (SENDERS + self.next_number) * (FRAME_BYTES_MAX + 1)
        for task in TASKS:
            destination = self.receiver._destinations.get(task)
            if destination is not None:
                held = destination.queued + max(destination.outstanding, 0)
                assert held <= WINDOW_BYTES_MAX + overdraw
        assert self.receiver.held_bytes() <= self.pool + len(TASKS) * overdraw


TestHop = HopMachine.TestCase
TestHop.settings = settings(deadline=None, max_examples=60)
