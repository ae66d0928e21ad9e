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
    CREDIT_BYTES_MAX,
    HISTORY_NS,
    KEEPS_UP_NS,
    POOL_BYTES,
    WINDOW_BYTES_MAX,
    CreditReceiver,
    CreditSender,
)
from heronshim.core.stream.frame import FRAME_COST_MIN_BYTES, frame_cost_bytes
from heronshim.errors import ErrorCode, RemoteProtocolError

MB = 1 << 20
A, B = 1, 2
TASK = 5
SMALL = FRAME_COST_MIN_BYTES


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
        assert not sender.may_send(TASK, SMALL)
        sender.granted(TASK, SMALL)
        assert sender.may_send(TASK, SMALL)

    def test_a_frame_goes_only_when_there_is_credit_for_all_of_it(self):
        sender = CreditSender()
        sender.granted(TASK, 4999)
        assert not sender.may_send(TASK, 5000)
        sender.granted(TASK, 1)
        assert sender.may_send(TASK, 5000)
        sender.spend(TASK, 5000)
        assert sender.credit[TASK] == 0

    def test_it_asks_once_until_credit_comes(self):
        sender = CreditSender()
        assert sender.ask(TASK)
        assert not sender.ask(TASK)
        sender.granted(TASK, 10)
        assert sender.ask(TASK)

    def test_tasks_do_not_share_credit(self):
        sender = CreditSender()
        sender.granted(TASK, 5000)
        assert not sender.may_send(TASK + 1, SMALL)

    def test_new_link_begins_without_credit_and_may_ask_again(self):
        sender = CreditSender()
        sender.granted(TASK, 5000)
        sender.ask(TASK)
        sender.reset(TASK)
        assert not sender.may_send(TASK, SMALL)
        assert sender.ask(TASK)


def pump(receiver: CreditReceiver, sender: int, frame_bytes: int, times: int, now_ns: int) -> int:
    """Ask, send and consume frames one by one; return the credit that is left in the end."""
    cost = frame_cost_bytes(frame_bytes)
    for _ in range(times):
        if credit_of(receiver, sender) < cost:
            receiver.on_request(sender, TASK, cost, now_ns)
        assert credit_of(receiver, sender) >= cost
        receiver.on_frame(sender, TASK, frame_bytes, now_ns)
        receiver.on_consumed(sender, TASK, frame_bytes, now_ns)
    receiver.check_invariants()
    return credit_of(receiver, sender)


def credit_of(receiver: CreditReceiver, sender: int) -> int:
    destination = receiver._destinations.get(TASK)
    state = destination and destination.senders.get(sender)
    return state.outstanding if state else 0


class TestReceiver:
    def test_pair_holds_no_credit_until_it_asks(self):
        receiver = CreditReceiver()
        assert receiver.take_grants() == {}
        receiver.on_request(A, TASK, SMALL, 0)
        assert receiver.take_grants() == {A: {TASK: SMALL}}
        assert receiver.take_grants() == {}

    def test_a_task_of_which_nothing_is_known_gets_one_frame(self):
        receiver = CreditReceiver()
        receiver.on_request(A, TASK, SMALL, 0)
        receiver.on_request(B, TASK, SMALL, 0)
        assert receiver.take_grants() == {A: {TASK: SMALL}, B: {TASK: SMALL}}, "B's is beyond it"
        receiver.on_frame(A, TASK, SMALL, 0)
        receiver.on_frame(B, TASK, SMALL, 0)
        receiver.on_request(A, TASK, SMALL, 0)
        assert receiver.take_grants() == {}

    def test_what_is_consumed_is_granted_again_unasked(self):
        receiver = CreditReceiver()
        receiver.on_request(A, TASK, SMALL, 0)
        receiver.take_grants()
        receiver.on_frame(A, TASK, SMALL, 0)
        assert receiver.queued_bytes(TASK) == receiver.total_queued_bytes() == SMALL
        assert receiver.take_grants() == {}
        receiver.on_consumed(A, TASK, SMALL, 0)
        assert receiver.take_grants()[A][TASK] >= SMALL

    def test_window_doubles_with_each_exchange(self):
        """So a fast task has a full window after about ten exchanges, not after seconds."""
        receiver = CreditReceiver()
        frame_bytes = 100
        for _ in range(12):
            credit = pump(receiver, A, frame_bytes, 1, 0)
            frame_bytes = max(frame_bytes, credit)
        assert frame_bytes == WINDOW_BYTES_MAX

    def test_senders_to_one_task_share_its_window(self):
        receiver = CreditReceiver()
        pump(receiver, A, 100_000, 20, 0)
        for _ in range(40):
            for sender in (A, B):
                pump(receiver, sender, 50_000, 1, 0)
        for sender in (A, B):
            assert WINDOW_BYTES_MAX // 4 <= credit_of(receiver, sender) <= WINDOW_BYTES_MAX // 2

    def test_sender_that_asks_is_served_though_another_holds_all_and_is_silent(self):
        receiver = CreditReceiver()
        receiver.on_request(A, TASK, SMALL, 0)
        receiver.take_grants()
        for number in range(1, 4):
            now_ns = 5 * number * HISTORY_NS
            receiver.on_request(B, TASK, 30_000, now_ns)
            assert credit_of(receiver, B) == 30_000
            receiver.on_frame(B, TASK, 30_000, now_ns)
            receiver.on_consumed(B, TASK, 30_000, now_ns + 4 * HISTORY_NS)

    def test_frame_over_the_window_goes_when_nothing_waits_and_in_turn(self):
        receiver = CreditReceiver()
        large = 5 * MB
        for sender in (A, B):
            receiver.on_request(sender, TASK, large, 0)
        assert receiver.take_grants() == {A: {TASK: large}}
        receiver.on_frame(A, TASK, large, 0)
        receiver.on_request(A, TASK, large, 0)
        assert receiver.take_grants() == {}
        receiver.on_consumed(A, TASK, large, 0)
        assert receiver.take_grants() == {B: {TASK: large}}, "A stands behind B now"

    def test_who_needs_more_for_a_frame_over_the_window_does_not_wait_for_itself(self):
        receiver = CreditReceiver()
        receiver.on_request(A, TASK, 5 * MB, 0)
        receiver.on_request(B, TASK, 5 * MB, 0)
        assert receiver.take_grants() == {A: {TASK: 5 * MB}}
        receiver.on_request(A, TASK, 6 * MB, 0)
        assert receiver.take_grants() == {A: {TASK: MB}}

    def test_who_does_not_send_what_it_got_beyond_the_window_blocks_others_for_a_second(self):
        receiver = CreditReceiver()
        receiver.on_request(A, TASK, 5 * MB, 0)
        receiver.on_request(B, TASK, 5 * MB, 0)
        assert receiver.take_grants() == {A: {TASK: 5 * MB}}
        receiver.look(2 * HISTORY_NS - 1)
        assert receiver.take_grants() == {}
        receiver.look(2 * HISTORY_NS)
        assert receiver.take_grants() == {B: {TASK: 5 * MB}}
        receiver.on_frame(B, TASK, 5 * MB, 2 * HISTORY_NS)
        receiver.on_frame(A, TASK, 5 * MB, 2 * HISTORY_NS)
        for sender in (B, A):
            receiver.on_consumed(sender, TASK, 5 * MB, 2 * HISTORY_NS)
        receiver.check_invariants()
        assert receiver.held_bytes() == credit_of(receiver, A) + credit_of(receiver, B)

    def test_frame_over_the_window_waits_for_what_it_may_pass(self):
        passes = []
        receiver = CreditReceiver(may_pass=lambda *asked: asked in passes)
        receiver.on_request(A, TASK, 5 * MB, 0)
        assert receiver.take_grants() == {}
        passes.append((TASK, 5 * MB))
        receiver.serve(TASK, 0)
        assert receiver.take_grants() == {A: {TASK: 5 * MB}}

    def test_sender_whose_next_frame_turns_out_larger_may_ask_for_more(self):
        receiver = CreditReceiver()
        receiver.on_request(A, TASK, 30_000, 0)
        receiver.on_request(A, TASK, 40_000, 0)
        assert receiver.take_grants() == {A: {TASK: 40_000}}

    def test_more_than_was_granted_is_made_good_before_more_is(self):
        """A sender that breaks the rule harms itself only."""
        receiver = CreditReceiver()
        receiver.on_frame(A, TASK, MB, 0)
        receiver.on_request(A, TASK, SMALL, 0)
        assert receiver.take_grants() == {}, "its own frame waits here"
        receiver.on_consumed(A, TASK, MB, 0)
        assert receiver.take_grants()[A][TASK] >= MB + SMALL

    def test_data_without_credit_is_refused_beyond_a_window(self):
        receiver = CreditReceiver()
        receiver.on_frame(A, TASK, MB, 0)
        with pytest.raises(RemoteProtocolError, match="costs 1024 bytes of credit") as caught:
            receiver.on_frame(A, TASK, SMALL, 0)
        assert caught.value.code is ErrorCode.CREDIT
        assert receiver.total_queued_bytes() == MB
        receiver.check_invariants()

    def test_data_without_credit_is_refused_once_the_pool_is_full(self):
        receiver = CreditReceiver(pool_bytes=2 * MB)
        for sender in range(3):
            receiver.on_frame(sender, TASK, MB, 0)
        with pytest.raises(RemoteProtocolError):
            receiver.on_frame(9, TASK + 1, SMALL, 0)
        receiver.on_consumed(0, TASK, MB, 0)
        receiver.on_frame(9, TASK + 1, SMALL, 0)
        receiver.check_invariants()

    def test_credit_for_more_than_a_frame_is_not_asked_for(self):
        with pytest.raises(RemoteProtocolError, match="a frame has at most"):
            CreditReceiver().on_request(A, TASK, (64 << 20) + 1, 0)

    def test_credit_that_no_frame_needs_is_refused(self):
        sender = CreditSender()
        sender.granted(TASK, CREDIT_BYTES_MAX)
        with pytest.raises(RemoteProtocolError, match="make sense"):
            sender.granted(TASK, 1)
        assert sender.credit == {TASK: CREDIT_BYTES_MAX}

    @pytest.mark.parametrize(
        ("per_period", "window"),
        [(2 * MB, WINDOW_BYTES_MAX), (200_000, 200_000), (3000, 3000), (10, 2 * SMALL)],
    )
    def test_window_is_what_was_consumed_in_half_a_second(self, per_period, window):
        receiver = CreditReceiver()
        for step in range(20):
            pump(receiver, A, per_period // 4, 1, step * HISTORY_NS // 4)
        now_ns = 5 * HISTORY_NS
        assert receiver._window(receiver._destination(TASK, now_ns)) == window

    def test_a_task_that_does_not_keep_up_gets_one_frame(self):
        """Else each of its senders had minutes of work on the way to it."""
        receiver = CreditReceiver()
        receiver.on_request(A, TASK, SMALL, 0)
        receiver.on_frame(A, TASK, 10, 0)
        receiver.on_consumed(A, TASK, 10, KEEPS_UP_NS)
        assert receiver._window(receiver._destination(TASK, KEEPS_UP_NS)) == SMALL

    def test_window_is_forgotten_after_a_second_of_silence(self):
        receiver = CreditReceiver()
        pump(receiver, A, 100_000, 20, 0)
        now_ns = 2 * HISTORY_NS
        assert receiver._window(receiver._destination(TASK, now_ns)) <= 2 * SMALL

    def test_windows_of_all_tasks_come_out_of_one_pool(self):
        receiver = CreditReceiver(pool_bytes=MB)
        for task in range(200):
            receiver.on_frame(A, task, 100_000, 0)
            receiver.on_consumed(A, task, 100_000, 0)
        held = receiver.held_bytes()
        assert held <= MB + 200 * SMALL
        receiver.check_invariants()

    def test_slow_tasks_with_large_frames_cannot_drain_the_pool(self):
        receiver = CreditReceiver(pool_bytes=MB)
        for task in range(10, 15):
            receiver.on_request(A, task, MB, 0)
            receiver.on_frame(A, task, MB, 0)
        assert receiver.held_bytes() == 5 * MB
        receiver.take_grants()
        assert pump(receiver, B, 20_000, 10, 0) >= 100_000

    def test_default_pool_holds_the_windows_of_32_fast_tasks(self):
        assert POOL_BYTES == 32 * WINDOW_BYTES_MAX

    def test_grant_of_a_sender_that_is_gone_comes_back(self):
        receiver = CreditReceiver()
        receiver.on_request(A, TASK, 100_000, 0)
        receiver.on_request(B, TASK, 100_000, 0)
        assert receiver.take_grants() == {A: {TASK: 100_000}}
        receiver.on_sender_gone(A)
        receiver.check_invariants()
        assert receiver.take_grants() == {B: {TASK: 100_000}}

    def test_what_a_sender_that_is_gone_had_queued_stays(self):
        receiver = CreditReceiver()
        receiver.on_request(A, TASK, 100_000, 0)
        receiver.take_grants()
        receiver.on_frame(A, TASK, 100_000, 0)
        receiver.on_sender_gone(A)
        assert receiver.queued_bytes(TASK) == 100_000
        receiver.on_request(B, TASK, 100_000, 0)
        assert receiver.take_grants() == {}
        receiver.on_consumed(A, TASK, 100_000, 0)
        assert receiver.take_grants() == {B: {TASK: 100_000}}
        receiver.check_invariants()

    def test_grant_not_yet_sent_to_a_sender_that_is_gone_is_forgotten(self):
        receiver = CreditReceiver()
        receiver.on_request(A, TASK, SMALL, 0)
        receiver.on_sender_gone(A)
        assert receiver.take_grants() == {}
        assert receiver.held_bytes() == 0

    def test_full_is_who_waits_and_who_has_something_wait(self):
        receiver = CreditReceiver()
        receiver.on_request(A, TASK, 5 * MB, 0)
        assert not receiver.is_full(TASK)
        receiver.on_request(B, TASK, SMALL, 0)
        assert receiver.is_full(TASK)
        assert (receiver.waits(A), receiver.waits(B)) == (False, True)
        receiver.on_frame(A, TASK, 5 * MB, 0)
        receiver.on_consumed(A, TASK, 5 * MB, 0)
        assert not receiver.waits(B)


SENDERS = 4
TASKS = (5, 6, 7)
FRAME_BYTES_MAX = 150_000
SMALL_POOL = 300_000


class HopMachine(RuleBasedStateMachine):
    """One hop: senders with wires both ways, a receiver, a consumer of its queues."""

    @initialize(
        seed=st.integers(0, 999),
        pool=st.sampled_from([SMALL_POOL, POOL_BYTES]),
        stopped=st.booleans(),
    )
    def start(self, seed: int, pool: int, stopped: bool) -> None:
        self.random = Random(seed)
        self.pool = pool
        self.frames_beyond = SENDERS if stopped else 1
        """Only senders that may be stopped can each hold credit for a frame beyond the window."""
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
            self.waiting[number, task].append(size)
        self._send(number, task)

    @rule(sender=st.integers(0, SENDERS - 1), count=st.integers(1, 20))
    def carry(self, sender: int, count: int) -> None:
        """The receiver reads what a sender sent, in order."""
        number = self.numbers[sender]
        for _ in range(min(count, len(self.wires[number]))):
            what, task, size = self.wires[number].popleft()
            if what == "ask":
                self.receiver.on_request(number, task, frame_cost_bytes(size), self.now_ns)
            else:
                self.receiver.on_frame(number, task, size, self.now_ns)
                self.queues[task].append((number, size))

    @rule(task=st.sampled_from(TASKS), count=st.integers(1, 20))
    def consume(self, task: int, count: int) -> None:
        for _ in range(min(count, len(self.queues[task]))):
            number, size = self.queues[task].popleft()
            self.receiver.on_consumed(number, task, size, self.now_ns)

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
        if self.frames_beyond == 1:
            self.give()
            for sender in range(SENDERS):
                self.carry_back(sender)
                self.carry(sender, 1000)
        self.now_ns += int(seconds * 1e9)

    @rule()
    def look(self) -> None:
        self.receiver.look(self.now_ns)

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
        while queue and sender.may_send(task, cost := frame_cost_bytes(queue[0])):
            sender.spend(task, cost)
            self.wires[number].append(("frame", task, queue.popleft()))
        if queue and sender.ask(task):
            self.wires[number].append(("ask", task, queue[0]))

    @invariant()
    def bookkeeping_agrees(self) -> None:
        self.receiver.check_invariants()
        for task in TASKS:
            queued = sum(frame_cost_bytes(size) for _, size in self.queues[task])
            assert self.receiver.queued_bytes(task) == queued
        for sender in self.senders.values():
            assert all(credit >= 0 for credit in sender.credit.values())

    @invariant()
    def what_is_granted_is_somewhere(self) -> None:
        """Both ends agree on each pair: credit + both wires = what the receiver has granted."""
        waiting = self.receiver._grants
        for task, destination in self.receiver._destinations.items():
            for number, state in destination.senders.items():
                there = self.senders[number].credit.get(task, 0)
                there += sum(
                    frame_cost_bytes(size)
                    for what, other, size in self.wires[number]
                    if (what, other) == ("frame", task)
                )
                there += sum(grant for t, grant in self.back[number] if t == task)
                there += waiting.get(number, {}).get(task, 0)
                assert there == state.outstanding

    @invariant()
    def memory_is_bounded(self) -> None:
        """A window and one frame for each task; the pool and one frame for each, over all.

        What is granted beyond the window while a sender is stopped comes on top.
        """
        beyond = self.frames_beyond * FRAME_BYTES_MAX
        for task in TASKS:
            destination = self.receiver._destinations.get(task)
            if destination is not None:
                held = destination.queued + max(destination.outstanding, 0)
                assert held <= WINDOW_BYTES_MAX + beyond
        assert self.receiver.held_bytes() <= self.pool + len(TASKS) * beyond


TestHop = HopMachine.TestCase
TestHop.settings = settings(deadline=None, max_examples=60)
