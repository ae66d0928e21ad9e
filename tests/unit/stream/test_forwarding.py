"""A stream manager's routing: by destination, in order, held back by credit, nothing lost."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from heronshim.core.plan.topology import METRICSMGR_TASK
from heronshim.core.stream.credit import WINDOW_BYTES_MAX, CreditReceiver, CreditSender
from heronshim.core.stream.forwarding import METRICS_WAITING_BYTES_MAX, Forwarder
from heronshim.core.stream.frame import Kind, frame_cost_bytes
from heronshim.errors import RemoteProtocolError

SOURCE_LINK, LINK, OTHER_LINK = 1, 2, 3
TASK, SPOUT = 5, 9


class Links:
    """What a Forwarder sends to; a link may be full."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int, int, int, bytes]] = []
        self.full: set[int] = set()

    def send(self, link: int, kind: int, destination: int, source: int, payload: bytes) -> bool:
        if link in self.full:
            return False
        self.sent.append((link, kind, destination, source, payload))
        return True

    def payloads(self, link: int) -> list[bytes]:
        return [frame[4] for frame in self.sent if frame[0] == link]


@pytest.fixture
def links() -> Links:
    return Links()


@pytest.fixture
def forwarder(links: Links) -> Forwarder:
    forwarder = Forwarder(links.send)
    forwarder.set_tasks([TASK, SPOUT])
    return forwarder


def data(forwarder: Forwarder, *payloads: bytes, task: int = TASK, source: int = 1) -> None:
    for payload in payloads:
        forwarder.on_data(SOURCE_LINK, Kind.DATA, task, source, payload, 0)


def test_credit_asked_for_before_the_plan_came_is_granted_with_the_plan(links):
    forwarder = Forwarder(links.send)
    forwarder.on_credit_request(SOURCE_LINK, [(TASK, 1024)], 0)
    assert forwarder.take_grants() == {}
    forwarder.set_tasks([TASK, SPOUT], 1)
    assert forwarder.take_grants()[SOURCE_LINK][TASK] > 0
    forwarder.set_tasks([TASK, SPOUT], 2)
    assert forwarder.take_grants() == {}


def test_credit_asked_for_before_the_plan_came_is_judged_at_once(links):
    """A plan that comes later must find nothing that it cannot take."""
    forwarder = Forwarder(links.send)
    with pytest.raises(RemoteProtocolError, match="a frame has at most"):
        forwarder.on_credit_request(SOURCE_LINK, [(TASK, (64 << 20) + 1)], 0)
    forwarder.set_tasks([TASK])
    assert forwarder.take_grants() == {}


def test_outcomes_for_a_task_that_has_not_joined_are_bounded(forwarder, links):
    for _ in range(40):
        forwarder.on_outcomes(SPOUT, TASK, bytes(1 << 20))
    assert forwarder.outcomes_dropped_count == 8
    forwarder.bind(SPOUT, 7)
    assert len(links.payloads(7)) == 32
    forwarder.unbind(7)
    forwarder.on_outcomes(SPOUT, TASK, bytes(1 << 20))
    assert forwarder.outcomes_dropped_count == 8


def test_a_link_that_ended_before_the_plan_came_is_granted_nothing(links):
    forwarder = Forwarder(links.send)
    forwarder.on_credit_request(SOURCE_LINK, [(TASK, 1024)], 0)
    forwarder.unbind(SOURCE_LINK)
    forwarder.set_tasks([TASK, SPOUT], 1)
    assert forwarder.take_grants() == {}


def test_data_goes_on_at_once_while_there_is_credit(forwarder, links):
    forwarder.bind(TASK, LINK)
    forwarder.on_credit(LINK, [(TASK, 10_000)], 0)
    data(forwarder, b"a", b"b")
    assert links.sent == [(LINK, Kind.DATA, TASK, 1, b"a"), (LINK, Kind.DATA, TASK, 1, b"b")]
    assert forwarder.queued_bytes() == 0
    assert (forwarder.forwarded_frames, forwarder.forwarded_bytes) == (2, 2048)


def test_data_waits_for_credit_which_is_asked_for_once(forwarder, links):
    forwarder.bind(TASK, LINK)
    data(forwarder, b"a", b"b")
    assert links.sent == []
    assert forwarder.wanted == {LINK: {TASK: 1024}}
    assert forwarder.queued_bytes() == 2048
    forwarder.on_credit(LINK, [(TASK, 1024)], 0)
    assert links.payloads(LINK) == [b"a"]
    forwarder.on_credit(LINK, [(TASK, 5000)], 0)
    assert links.payloads(LINK) == [b"a", b"b"]


def test_data_waits_for_a_task_that_has_not_joined(forwarder, links):
    data(forwarder, b"a")
    assert forwarder.wanted == {}
    assert forwarder.queues() == {TASK: 1}
    forwarder.bind(TASK, LINK)
    assert forwarder.joined(TASK)
    assert forwarder.wanted == {LINK: {TASK: 1024}}
    forwarder.on_credit(LINK, [(TASK, 5000)], 0)
    assert links.payloads(LINK) == [b"a"]
    assert forwarder.queues() == {}


def test_barrier_keeps_its_place_behind_data(forwarder, links):
    data(forwarder, b"a")
    forwarder.on_data(SOURCE_LINK, Kind.BARRIER, TASK, 1, b"barrier", 0)
    data(forwarder, b"b")
    forwarder.bind(TASK, LINK)
    forwarder.on_credit(LINK, [(TASK, 50_000)], 0)
    assert [(kind, payload) for _, kind, _, _, payload in links.sent] == [
        (Kind.DATA, b"a"),
        (Kind.BARRIER, b"barrier"),
        (Kind.DATA, b"b"),
    ]


def test_frame_for_a_task_that_the_plan_lacks_is_dropped_and_counted(forwarder, links):
    data(forwarder, b"a", task=77)
    forwarder.on_outcomes(78, 1, b"o")
    forwarder.on_credit_request(SOURCE_LINK, [(77, 1024)], 0)
    assert forwarder.unknown_task_count == 2
    assert links.sent == []
    assert forwarder.queued_bytes() == 0
    assert forwarder.take_grants() == {}


def test_outcomes_need_no_credit(forwarder, links):
    forwarder.bind(SPOUT, LINK)
    forwarder.on_outcomes(SPOUT, TASK, b"o")
    assert links.sent == [(LINK, Kind.OUTCOMES, SPOUT, TASK, b"o")]


def test_outcomes_wait_for_a_spout_that_has_not_joined(forwarder, links):
    forwarder.on_outcomes(SPOUT, TASK, b"one")
    forwarder.on_outcomes(SPOUT, TASK, b"two")
    forwarder.bind(SPOUT, LINK)
    assert links.payloads(LINK) == [b"one", b"two"]


def test_outcomes_that_a_full_link_refused_go_at_the_retry_in_order(forwarder, links):
    forwarder.bind(SPOUT, LINK)
    links.full.add(LINK)
    forwarder.on_outcomes(SPOUT, TASK, b"one")
    links.full.clear()
    forwarder.on_outcomes(SPOUT, TASK, b"two")
    assert links.sent == []
    forwarder.retry(0)
    assert links.payloads(LINK) == [b"one", b"two"]
    assert forwarder.send_refused_count == 1


def test_data_that_a_link_refused_goes_at_the_retry_and_is_counted(forwarder, links):
    forwarder.bind(TASK, LINK)
    forwarder.on_credit(LINK, [(TASK, 10_000)], 0)
    links.full.add(LINK)
    data(forwarder, b"a", b"b")
    assert forwarder.send_refused_count == 1
    forwarder.retry(0)
    assert forwarder.send_refused_count == 2
    links.full.clear()
    forwarder.retry(0)
    assert links.payloads(LINK) == [b"a", b"b"]
    assert forwarder.queued_bytes() == 0


def test_credit_of_an_ended_link_is_void(forwarder, links):
    forwarder.bind(TASK, LINK)
    forwarder.on_credit(LINK, [(TASK, 100_000)], 0)
    forwarder.unbind(LINK)
    assert not forwarder.joined(TASK)
    data(forwarder, b"a")
    forwarder.bind(TASK, OTHER_LINK)
    assert links.sent == []
    assert forwarder.wanted == {OTHER_LINK: {TASK: 1024}}
    forwarder.on_credit(OTHER_LINK, [(TASK, 1024)], 0)
    assert links.payloads(OTHER_LINK) == [b"a"]


def test_link_cannot_grant_credit_for_a_task_that_is_not_behind_it(forwarder, links):
    forwarder.on_credit(LINK, [(TASK, 5000)], 0)
    data(forwarder, b"a")
    forwarder.bind(TASK, OTHER_LINK)
    forwarder.on_credit(LINK, [(TASK, 5000)], 0)
    assert links.sent == []


def test_request_of_credit_that_was_not_sent_yet_dies_with_its_link(forwarder):
    forwarder.bind(TASK, LINK)
    data(forwarder, b"a")
    forwarder.unbind(LINK)
    assert forwarder.wanted == {}


def test_newer_link_of_a_task_takes_over_though_the_older_ends_later(forwarder, links):
    forwarder.bind(TASK, LINK)
    forwarder.on_credit(LINK, [(TASK, 5000)], 0)
    forwarder.bind(TASK, OTHER_LINK)
    forwarder.unbind(LINK)
    assert forwarder.joined(TASK)
    data(forwarder, b"too early")
    assert links.sent == []
    forwarder.on_credit(OTHER_LINK, [(TASK, 1024)], 0)
    assert links.payloads(OTHER_LINK) == [b"too early"]


def test_end_of_an_older_link_leaves_the_newer_one_alone(forwarder, links):
    forwarder.bind(TASK, LINK)
    forwarder.bind(TASK, OTHER_LINK)
    forwarder.unbind(LINK)
    forwarder.on_credit(OTHER_LINK, [(TASK, 1024)], 0)
    data(forwarder, b"a")
    assert links.payloads(OTHER_LINK) == [b"a"]


def test_second_bind_of_the_same_link_keeps_its_credit(forwarder, links):
    forwarder.bind(TASK, LINK)
    forwarder.on_credit(LINK, [(TASK, 1024)], 0)
    forwarder.bind(TASK, LINK)
    data(forwarder, b"a")
    assert links.payloads(LINK) == [b"a"]


def test_sender_gets_credit_back_when_its_frames_went_on(forwarder):
    forwarder.on_credit_request(SOURCE_LINK, [(TASK, 1024)], 0)
    granted = forwarder.take_grants()[SOURCE_LINK][TASK]
    data(forwarder, bytes(granted))
    assert forwarder.take_grants() == {}
    forwarder.bind(TASK, LINK)
    forwarder.on_credit(LINK, [(TASK, granted)], 0)
    assert forwarder.take_grants() == {SOURCE_LINK: {TASK: 2 * granted}}


LARGE = 5_000_000


def test_a_frame_over_the_window_comes_when_nothing_waits_for_its_task(forwarder):
    forwarder.bind(TASK, LINK)
    forwarder.on_credit_request(SOURCE_LINK, [(TASK, LARGE)], 0)
    assert forwarder.take_grants() == {SOURCE_LINK: {TASK: LARGE}}
    forwarder.on_credit_request(22, [(TASK, LARGE)], 0)
    assert forwarder.take_grants() == {}, "one at a time"
    data(forwarder, bytes(LARGE))
    assert forwarder.take_grants() == {}
    forwarder.on_credit(LINK, [(TASK, LARGE)], 0)
    assert forwarder.take_grants() == {22: {TASK: LARGE}}


def test_a_frame_over_the_window_does_not_come_for_a_task_that_has_not_joined(forwarder):
    forwarder.on_credit_request(SOURCE_LINK, [(TASK, LARGE)], 0)
    assert forwarder.take_grants() == {}
    forwarder.bind(TASK, LINK)
    assert forwarder.take_grants() == {SOURCE_LINK: {TASK: LARGE}}


def test_a_frame_over_the_window_for_another_container_comes_when_it_can_go_on(forwarder, links):
    forwarder.bind(TASK, -2)
    forwarder.on_credit_request(SOURCE_LINK, [(TASK, LARGE)], 0)
    assert forwarder.take_grants() == {}
    assert forwarder.wanted == {-2: {TASK: LARGE}}
    forwarder.on_credit(-2, [(TASK, LARGE)], 0)
    assert forwarder.take_grants() == {SOURCE_LINK: {TASK: LARGE}}
    data(forwarder, bytes(LARGE))
    assert len(links.payloads(-2)) == 1
    assert forwarder.queued_bytes() == 0


def test_what_goes_round_is_let_in_before_what_is_new(forwarder):
    """Tuples of a cycle drain before new ones enter: else a slow cycle holds all that may pend."""
    first, second, rounds = 21, 22, 23
    forwarder.set_tasks([TASK, SPOUT], 0, {TASK: 0})
    forwarder.bind(TASK, LINK)
    forwarder.on_data(rounds, Kind.DATA, TASK, TASK, b"round", 0)
    forwarder.on_data(first, Kind.DATA, TASK, SPOUT, b"new", 0)
    for link in (first, second, rounds):
        forwarder.on_credit_request(link, [(TASK, LARGE)], 0)
    served = []
    for _ in range(3):
        forwarder.on_credit(LINK, [(TASK, LARGE + 2048)], 0)
        (link,) = [
            link for link, grants in forwarder.take_grants().items() if grants[TASK] >= LARGE
        ]
        served.append(link)
        forwarder.on_data(link, Kind.DATA, TASK, SPOUT, bytes(LARGE), 0)
    assert served == [rounds, first, second]


class TestMetrics:
    def test_report_goes_to_the_metrics_manager(self, forwarder, links):
        forwarder.bind(METRICSMGR_TASK, LINK)
        forwarder.on_metrics(4, b"m")
        assert links.sent == [(LINK, Kind.METRICS, METRICSMGR_TASK, 4, b"m")]

    def test_reports_wait_for_the_metrics_manager_in_order(self, forwarder, links):
        forwarder.on_metrics(4, b"one")
        forwarder.on_metrics(5, b"two")
        forwarder.bind(METRICSMGR_TASK, LINK)
        assert links.payloads(LINK) == [b"one", b"two"]
        assert forwarder.metrics_dropped_count == 0

    def test_at_most_one_megabyte_waits_and_the_oldest_is_dropped(self, forwarder, links):
        size = METRICS_WAITING_BYTES_MAX // 4
        reports = [bytes([number]) * size for number in range(6)]
        for report in reports:
            forwarder.on_metrics(1, report)
        assert forwarder.metrics_dropped_count == 2
        forwarder.bind(METRICSMGR_TASK, LINK)
        assert links.payloads(LINK) == reports[2:]

    def test_report_larger_than_all_that_may_wait_is_dropped(self, forwarder, links):
        forwarder.on_metrics(1, bytes(METRICS_WAITING_BYTES_MAX + 1))
        forwarder.on_metrics(1, b"small")
        forwarder.bind(METRICSMGR_TASK, LINK)
        assert links.payloads(LINK) == [b"small"]
        assert forwarder.metrics_dropped_count == 1

    def test_report_that_a_full_link_refused_goes_at_the_retry(self, forwarder, links):
        forwarder.bind(METRICSMGR_TASK, LINK)
        links.full.add(LINK)
        forwarder.on_metrics(1, b"m")
        links.full.clear()
        forwarder.retry(0)
        assert links.payloads(LINK) == [b"m"]

    def test_end_of_the_metrics_manager_holds_nothing_else_up(self, forwarder, links):
        forwarder.bind(METRICSMGR_TASK, OTHER_LINK)
        forwarder.bind(TASK, LINK)
        forwarder.on_credit(LINK, [(TASK, 1024)], 0)
        forwarder.unbind(OTHER_LINK)
        forwarder.on_metrics(1, b"m")
        data(forwarder, b"a")
        assert links.payloads(LINK) == [b"a"]


TASKS = (5, 6)
SPOUTS = (9,)
SOURCES = (1, 2, 3)
FRAME_BYTES_MAX = 60_000


class RoutingMachine(RuleBasedStateMachine):
    """Sources send within their credit, links come and go, may be full, and grant credit.

    Each frame is numbered by (source, destination): what arrives on a destination's links, in
    the order of the links, must be those numbers without a gap.
    """

    @initialize(seed=st.integers(0, 999))
    def start(self, seed: int) -> None:
        self.random = Random(seed)
        self.now_ns = 0
        self.links = Links()
        self.forwarder = Forwarder(self._receive)
        self.forwarder.set_tasks((*TASKS, *SPOUTS))
        self.credit = {source: CreditSender() for source in SOURCES}
        self.waiting: dict[tuple[int, int], deque[bytes]] = defaultdict(deque)
        self.made: Counter[tuple[int, int, int]] = Counter()
        self.got: Counter[tuple[int, int, int]] = Counter()
        self.bound: dict[int, int] = {}
        self.receivers: dict[int, CreditReceiver] = {}
        self.uneaten: dict[int, deque[tuple[int, int]]] = defaultdict(deque)
        self.link_numbers = 100
        self.unknown = 0

    def _receive(self, link: int, kind: int, task: int, source: int, payload: bytes) -> bool:
        assert self.bound[task] == link, "a frame on a link that does not lead to its task"
        if link in self.links.full:
            return False
        key = (kind, source, task)
        number = int.from_bytes(payload[:8], "little")
        assert number == self.got[key], "out of order, lost or twice"
        self.got[key] += 1
        if kind == Kind.DATA:
            self.receivers[link].on_frame(0, task, len(payload), self.now_ns)
            self.uneaten[link].append((task, len(payload)))
        return True

    def _payload(self, kind: int, source: int, task: int, size: int) -> bytes:
        key = (kind, source, task)
        number = self.made[key]
        self.made[key] += 1
        return number.to_bytes(8, "little") + bytes(size)

    @rule(source=st.sampled_from(SOURCES), task=st.sampled_from(TASKS), count=st.integers(1, 8))
    def emit(self, source: int, task: int, count: int) -> None:
        for _ in range(count):
            size = self.random.choice([0, 2000, 30_000, FRAME_BYTES_MAX - 8])
            self.waiting[source, task].append(self._payload(Kind.DATA, source, task, size))
        self._send(source, task)

    def _send(self, source: int, task: int) -> None:
        queue, credit = self.waiting[source, task], self.credit[source]
        while queue and credit.may_send(task, cost := frame_cost_bytes(len(queue[0]))):
            credit.spend(task, cost)
            payload = queue.popleft()
            self.forwarder.on_data(source, Kind.DATA, task, source, payload, self.now_ns)
        if queue and credit.ask(task):
            needs = [(task, frame_cost_bytes(len(queue[0])))]
            self.forwarder.on_credit_request(source, needs, self.now_ns)

    @rule(source=st.sampled_from(TASKS), task=st.sampled_from(SPOUTS))
    def outcome(self, source: int, task: int) -> None:
        self.forwarder.on_outcomes(task, source, self._payload(Kind.OUTCOMES, source, task, 3))

    @rule()
    def stray(self) -> None:
        self.forwarder.on_data(1, Kind.DATA, 1234, 1, b"", self.now_ns)
        self.unknown += 1

    @rule(task=st.sampled_from((*TASKS, *SPOUTS)))
    def join(self, task: int) -> None:
        """A task's next link: the older one, if any, ends before or after."""
        older = self.bound.get(task)
        if older is not None and self.random.random() < 0.5:
            self._end(older)
            older = None
        self.link_numbers += 1
        # A task in another container has a negative link.
        link = self.bound[task] = self.link_numbers * self.random.choice([1, -1])
        self.receivers[link] = CreditReceiver()
        self.forwarder.bind(task, link)
        if older is not None:
            self._end(older)

    @rule(task=st.sampled_from((*TASKS, *SPOUTS)))
    def leave(self, task: int) -> None:
        if task in self.bound:
            self._end(self.bound[task])

    def _end(self, link: int) -> None:
        self.bound = {task: bound for task, bound in self.bound.items() if bound != link}
        self.links.full.discard(link)
        self.forwarder.unbind(link)

    @rule(task=st.sampled_from((*TASKS, *SPOUTS)))
    def fill(self, task: int) -> None:
        if task in self.bound:
            self.links.full.add(self.bound[task])

    @rule()
    def empty(self) -> None:
        self.links.full.clear()

    @rule(source=st.sampled_from(SOURCES), task=st.sampled_from(TASKS), spout=st.booleans())
    def hiccup(self, source: int, task: int, spout: bool) -> None:
        """A link is full for one frame only: the next one must not overtake it."""
        self.fill(SPOUTS[0] if spout else task)
        for _ in range(2):
            if spout:
                self.outcome(task, SPOUTS[0])
            else:
                self.emit(source, task, 1)
            self.links.full.clear()

    @rule(count=st.integers(1, 10))
    def turn(self, count: int) -> None:
        """One turn of the shell: retry, requests to the next hop, its grants, ours."""
        self.now_ns += 100_000_000
        self.forwarder.retry(self.now_ns)
        wanted, self.forwarder.wanted = self.forwarder.wanted, {}
        for link, tasks in wanted.items():
            for task, need_bytes in tasks.items():
                assert 1024 <= need_bytes <= FRAME_BYTES_MAX
                self.receivers[link].on_request(0, task, need_bytes, self.now_ns)
        for link in sorted(self.bound.values()):
            for _ in range(min(count, len(self.uneaten[link]))):
                task, frame_bytes = self.uneaten[link].popleft()
                self.receivers[link].on_consumed(0, task, frame_bytes, self.now_ns)
            for grants in self.receivers[link].take_grants().values():
                self.forwarder.on_credit(link, grants.items(), self.now_ns)
        for source, grants in self.forwarder.take_grants().items():
            for task, grant in grants.items():
                self.credit[source].granted(task, grant)
                self._send(source, task)

    @rule()
    def run_dry(self) -> None:
        """With every task joined and its link free, everything arrives."""
        self.links.full.clear()
        for task in (*TASKS, *SPOUTS):
            if task not in self.bound:
                self.join(task)
        for _ in range(500):
            self.turn(1000)
            if not any(self.waiting.values()) and not self.forwarder.queues():
                assert self.got == self.made
                return
        raise AssertionError("frames are stuck")

    @invariant()
    def credit_bounds_what_waits(self) -> None:
        self.forwarder.receiver.check_invariants()
        for task in TASKS:
            queued = self.forwarder.receiver.queued_bytes(task)
            assert queued <= WINDOW_BYTES_MAX + FRAME_BYTES_MAX
            in_queue = sum(
                self.made[Kind.DATA, source, task]
                - self.got[Kind.DATA, source, task]
                - len(self.waiting[source, task])
                for source in SOURCES
            )
            assert self.forwarder.queues().get(task, 0) == in_queue
        assert self.forwarder.unknown_task_count == self.unknown


TestRouting = RoutingMachine.TestCase
TestRouting.settings = settings(deadline=None, max_examples=60)
