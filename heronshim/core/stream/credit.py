"""Back pressure by bytes, hop by hop: who may send how much to which task.

All senders to one destination task share its window: what that task consumed in the last two
seconds, at most WINDOW_BYTES_MAX and at least WINDOW_BYTES_MIN, so that a slow task cannot make
its hop hold more than about two seconds of its work. All windows of a process come out of one
pool, divided evenly. A frame may overdraw: a sender with any credit may send one frame of any
size, so credit never falls below minus the largest frame. A sender that asks and has nothing here
gets one frame through even when others hold everything. (ARCHITECTURE.md, D4.)
"""

from __future__ import annotations

from dataclasses import dataclass, field

WINDOW_BYTES_MAX = 1 << 20
"""Measured: more gained no throughput on 2 cores."""
WINDOW_BYTES_MIN = 64 << 10
"""Two full batches, so that a task just started is not held back by its own short history."""
WINDOW_BYTES_FIRST = 256 << 10
"""Window of a destination that has no history yet."""
POOL_BYTES = 32 << 20
"""All windows of one process together."""
HISTORY_NS = 2_000_000_000
"""The window follows what was consumed in this time."""


class CreditSender:
    """What this process may still send to each destination task on one hop."""

    __slots__ = ("_asked", "credit")

    def __init__(self) -> None:
        self.credit: dict[int, int] = {}
        """Bytes left by task; a frame may be sent while it is positive."""
        self._asked: set[int] = set()

    def may_send(self, task: int) -> bool:
        """Return whether one more frame may go to `task`."""
        return self.credit.get(task, 0) > 0

    def spend(self, task: int, cost_bytes: int) -> None:
        """A frame was sent."""
        self.credit[task] -= cost_bytes

    def ask(self, task: int) -> bool:
        """Return whether a CreditRequest is due: once until credit comes."""
        if task in self._asked:
            return False
        self._asked.add(task)
        return True

    def granted(self, task: int, grant_bytes: int) -> None:
        """Credit came."""
        self.credit[task] = self.credit.get(task, 0) + grant_bytes
        self._asked.discard(task)

    def reset(self, task: int) -> None:
        """The link to `task` is a new one: nothing is granted on it yet."""
        self.credit.pop(task, None)
        self._asked.discard(task)


@dataclass(slots=True)
class _Sender:
    outstanding: int = 0
    """Granted and not yet arrived; negative after an overdraw."""
    queued: int = 0
    """Arrived and not yet consumed."""
    hungry: bool = False


@dataclass(slots=True)
class _Destination:
    window: int = WINDOW_BYTES_FIRST
    queued: int = 0
    outstanding: int = 0
    consumed: int = 0
    consumed_before: int = 0
    history_ns: int = 0
    senders: dict[int, _Sender] = field(default_factory=dict)


class CreditReceiver:
    """Grants credit to senders (small integers that name links) for the tasks behind this hop."""

    def __init__(self, pool_bytes: int = POOL_BYTES) -> None:
        self._pool_bytes = pool_bytes
        self._held_bytes = 0
        self._destinations: dict[int, _Destination] = {}
        self._grants: dict[int, dict[int, int]] = {}

    def on_request(self, sender: int, task: int, now_ns: int) -> None:
        """A sender without credit asks."""
        destination = self._destination(task, now_ns)
        destination.senders.setdefault(sender, _Sender()).hungry = True
        self._serve(task, destination, sender)

    def on_frame(self, sender: int, task: int, cost_bytes: int, now_ns: int) -> None:
        """A frame arrived and waits."""
        destination = self._destination(task, now_ns)
        state = destination.senders.get(sender)
        if state is None:
            state = destination.senders[sender] = _Sender()
        state.outstanding -= cost_bytes
        state.queued += cost_bytes
        destination.outstanding -= cost_bytes
        destination.queued += cost_bytes

    def on_consumed(self, sender: int, task: int, cost_bytes: int, now_ns: int) -> None:
        """A frame went on to the next hop, or was executed."""
        destination = self._destination(task, now_ns)
        destination.queued -= cost_bytes
        destination.consumed += cost_bytes
        self._held_bytes -= cost_bytes
        if now_ns - destination.history_ns >= HISTORY_NS // 2:
            self._resize(destination, now_ns)
        state = destination.senders.get(sender)
        if state is not None:
            state.queued -= cost_bytes
            self._serve(task, destination, sender)
        for other, waiting in destination.senders.items():
            if waiting.hungry and other != sender:
                self._serve(task, destination, other)

    def on_sender_gone(self, sender: int) -> None:
        """A link ended: what it was granted comes back; what it had queued stays."""
        for destination in self._destinations.values():
            state = destination.senders.pop(sender, None)
            if state is not None:
                destination.outstanding -= state.outstanding
                self._held_bytes -= state.outstanding
        self._grants.pop(sender, None)

    def take_grants(self) -> dict[int, dict[int, int]]:
        """Return and forget the grants to send: sender -> task -> bytes."""
        grants, self._grants = self._grants, {}
        return grants

    def queued_bytes(self, task: int) -> int:
        """Bytes that arrived for `task` and wait here."""
        destination = self._destinations.get(task)
        return destination.queued if destination else 0

    def total_queued_bytes(self) -> int:
        """Bytes that wait here for all tasks."""
        return sum(destination.queued for destination in self._destinations.values())

    def held_bytes(self) -> int:
        """Bytes that wait here or may still come by what was granted."""
        return self._held_bytes

    def check_invariants(self) -> None:
        """Assert that the sums of senders equal their destination's."""
        for destination in self._destinations.values():
            known = sum(state.outstanding for state in destination.senders.values())
            assert known == destination.outstanding
            assert destination.queued >= 0
        every = self._destinations.values()
        assert self._held_bytes == sum(each.outstanding + each.queued for each in every)

    def _destination(self, task: int, now_ns: int) -> _Destination:
        destination = self._destinations.get(task)
        if destination is None:
            destination = self._destinations[task] = _Destination(history_ns=now_ns)
        return destination

    def _resize(self, destination: _Destination, now_ns: int) -> None:
        """Take what was consumed in the last one to two seconds as the new window."""
        consumed = destination.consumed + destination.consumed_before
        elapsed = now_ns - destination.history_ns + HISTORY_NS // 2
        per_history = consumed * HISTORY_NS // max(elapsed, 1)
        share = self._pool_bytes // max(1, len(self._destinations))
        destination.window = max(
            min(WINDOW_BYTES_MIN, share), min(WINDOW_BYTES_MAX, per_history, share)
        )
        destination.consumed_before = destination.consumed
        destination.consumed = 0
        destination.history_ns = now_ns

    def _serve(self, task: int, destination: _Destination, sender: int) -> None:
        state = destination.senders[sender]
        window = min(destination.window, self._pool_bytes // len(self._destinations))
        share = window // len(destination.senders)
        wanted = share - max(state.outstanding, 0) - state.queued
        free = window - max(destination.outstanding, 0) - destination.queued
        free = min(free, self._pool_bytes - self._held_bytes)
        grant = min(wanted, free) - min(state.outstanding, 0)
        if grant < share // 4 and not (state.hungry and grant > 0):
            # Holders that fell silent may keep the window: one frame goes through all the same,
            # so that a sender with nothing here is never starved.
            if not (state.hungry and state.outstanding <= 0 and state.queued <= 0):
                return
            grant = 1 - state.outstanding
        state.outstanding += grant
        destination.outstanding += grant
        self._held_bytes += grant
        state.hungry = False
        tasks = self._grants.setdefault(sender, {})
        tasks[task] = tasks.get(task, 0) + grant
