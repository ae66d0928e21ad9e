"""Back pressure by bytes, hop by hop: who may send how much to which task.

All senders to one destination task share its window: what that task consumed in the last half
second, at most WINDOW_BYTES_MAX and at least one small frame, so a slow task's hop never holds more
than about half a second of its work, and a task of which nothing is known yet gets one frame. A
window grows as fast as its task consumes: twice with each exchange. All windows of a process come
out of one pool, divided evenly.

A frame goes when its sender holds credit for all of it. A sender without enough says how large its
next frame is and stands in line; a frame over the window goes when nothing waits for its
destination, one at a time. So no hop holds more than the pool and one frame for each destination,
and one more for each sender that was stopped with credit for one; nobody in line starves.
(ARCHITECTURE.md, D4.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heronshim.core.stream.frame import (
    FRAME_BYTES_MAX,
    FRAME_COST_MIN_BYTES,
    frame_cost_bytes,
)
from heronshim.errors import ErrorCode, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_BYTES_MAX = 1 << 20
"""Measured: more gained no throughput on 2 cores."""
POOL_BYTES = 32 << 20
"""All windows of one process together."""
HISTORY_NS = 500_000_000
"""A window is what was consumed in this time, or in the same time before."""
KEEPS_UP_NS = 50_000_000
"""A task whose frames are gone sooner keeps up: each sender may have some on the way."""
OVERDRAFT_BYTES_MAX = WINDOW_BYTES_MAX
"""What a sender may send to a task without credit before it is refused, while the pool is not
full. An honest one never does; one that miscounts by a frame loses no tuples for it."""
CREDIT_BYTES_MAX = WINDOW_BYTES_MAX + FRAME_BYTES_MAX
"""Most credit that a sender may hold for one task."""
FRAMES_AHEAD = 2
"""Smallest frames that each sender may have on the way to a task that keeps up."""


class CreditSender:
    """What this process may still send to each destination task on one hop."""

    __slots__ = ("_asked", "credit")

    def __init__(self) -> None:
        self.credit: dict[int, int] = {}
        """Bytes left by task; never negative."""
        self._asked: set[int] = set()

    def may_send(self, task: int, cost_bytes: int) -> bool:
        """Return whether a frame of that cost may go to `task`."""
        return self.credit.get(task, 0) >= cost_bytes

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
        """Credit came.

        Raises:
            RemoteProtocolError: it is more than a window and the largest frame: sent, it would
                fill the memory of whoever grants it without reading.
        """
        total = self.credit.get(task, 0) + grant_bytes
        if total > CREDIT_BYTES_MAX:
            msg = f"credit for task {task} is {total} bytes; at most {CREDIT_BYTES_MAX} make sense"
            raise RemoteProtocolError(msg)
        self.credit[task] = total
        self._asked.discard(task)

    def reset(self, task: int) -> None:
        """The link to `task` is a new one: nothing is granted on it yet."""
        self.credit.pop(task, None)
        self._asked.discard(task)


@dataclass(slots=True)
class _Sender:
    outstanding: int = 0
    """Granted and not yet arrived; negative only when the sender broke the rule."""
    queued: int = 0
    """Arrived and not yet consumed."""
    need: int = 0
    """Cost of the frame that it stands in line for; 0 = it does not."""
    period: int = 0
    """When it was last heard of."""


@dataclass(slots=True)
class _Destination:
    queued: int = 0
    outstanding: int = 0
    consumed: int = 0
    """Payload bytes in this period."""
    consumed_before: int = 0
    """In the period before."""
    period: int = 0
    busy_since_ns: int = 0
    """When something began to wait here."""
    keeps_up: bool = False
    """Whether what came last did not wait for long."""
    sharers: int = 0
    """Senders heard of in this period or the one before."""
    extra: int | None = None
    """The sender that was granted a frame beyond the window which has not arrived."""
    extra_period: int = 0
    """When it was granted."""
    extra_bytes: int = 0
    """Granted beyond the window since nothing waited here."""
    senders: dict[int, _Sender] = field(default_factory=dict)
    line: dict[int, None] = field(default_factory=dict)
    """Senders that wait for credit, in turn."""
    first_line: dict[int, None] = field(default_factory=dict)
    """Those of a cycle that the destination belongs to: served before the others."""
    goes_round: bool = False
    """Whether any such sender is known: it has the window to itself, others the rest."""


def check_need(task: int, need_bytes: int) -> None:
    """Check the cost of a frame that credit is asked for.

    Raises:
        RemoteProtocolError: no frame may cost so much.
    """
    if need_bytes > FRAME_BYTES_MAX:
        msg = (
            f"credit of {need_bytes} bytes was asked for a frame to task {task}; "
            f"a frame has at most {FRAME_BYTES_MAX}"
        )
        raise RemoteProtocolError(msg, ErrorCode.TOO_LARGE)


class CreditReceiver:
    """Grants credit to senders (small integers that name links) for the tasks behind this hop."""

    def __init__(
        self,
        pool_bytes: int = POOL_BYTES,
        may_pass: Callable[[int, int], bool] = lambda _task, _bytes: True,
        goes_first: Callable[[int, int], bool] = lambda _sender, _task: False,
    ) -> None:
        """Two questions to the owner.

        `may_pass(task, bytes)`: may a frame beyond the window be asked for now?
        `goes_first(sender, task)`: does the sender belong to a cycle through the task? What goes
        round must drain before new tuples enter.
        """
        self._pool_bytes = pool_bytes
        self._may_pass = may_pass
        self._goes_first = goes_first
        self._held_bytes = 0
        self._extra_bytes = 0
        self._destinations: dict[int, _Destination] = {}
        self._grants: dict[int, dict[int, int]] = {}

    def on_request(self, sender: int, task: int, need_bytes: int, now_ns: int) -> None:
        """A sender has not enough credit for its next frame, which costs `need_bytes`.

        Raises:
            RemoteProtocolError: no frame may cost so much.
        """
        check_need(task, need_bytes)
        destination = self._destination(task, now_ns)
        state = self._sender(destination, sender)
        state.need = max(need_bytes, FRAME_COST_MIN_BYTES)
        if self._goes_first(sender, task):
            destination.goes_round = True
            destination.first_line[sender] = None
        else:
            destination.line[sender] = None
        self._serve_line(task, destination)

    def on_frame(self, sender: int, task: int, frame_bytes: int, now_ns: int) -> None:
        """A frame arrived and waits.

        Raises:
            RemoteProtocolError: its sender had far too little credit for it; nothing is kept.
        """
        destination = self._destination(task, now_ns)
        state = self._sender(destination, sender)
        cost_bytes = frame_cost_bytes(frame_bytes)
        if cost_bytes > state.outstanding and not self._may_overdraw(
            state.outstanding - cost_bytes
        ):
            msg = (
                f"a frame to task {task} costs {cost_bytes} bytes of credit; of what was granted "
                f"{state.outstanding} are left, and at most {OVERDRAFT_BYTES_MAX} may be overdrawn"
            )
            raise RemoteProtocolError(msg, ErrorCode.CREDIT)
        if not destination.queued:
            destination.busy_since_ns = now_ns
        if destination.extra == sender:
            destination.extra = None
        state.outstanding -= cost_bytes
        state.queued += cost_bytes
        destination.outstanding -= cost_bytes
        destination.queued += cost_bytes

    def on_consumed(self, sender: int, task: int, frame_bytes: int, now_ns: int) -> None:
        """A frame went on to the next hop, or was executed."""
        destination = self._destination(task, now_ns)
        cost_bytes = frame_cost_bytes(frame_bytes)
        destination.queued -= cost_bytes
        destination.consumed += frame_bytes
        self._held_bytes -= cost_bytes
        waited_ns = now_ns - destination.busy_since_ns
        if not destination.queued or waited_ns >= KEEPS_UP_NS:
            destination.keeps_up = waited_ns < KEEPS_UP_NS
        if not destination.queued and destination.extra is None:
            self._note_extra(destination, 0)
        state = destination.senders.get(sender)
        if state is not None:
            state.queued -= cost_bytes
        if destination.line or destination.first_line:
            self._serve_line(task, destination)
        elif state is not None:
            self._grant_ahead(task, destination, sender, state)

    def serve(self, task: int, now_ns: int) -> None:
        """What `may_pass` says of a task may have changed: look at its line again."""
        destination = self._destinations.get(task)
        if destination is not None and (destination.line or destination.first_line):
            self._serve_line(task, self._destination(task, now_ns))

    def look(self, now_ns: int) -> None:
        """Look at all lines again: whoever blocks them may have been idle for a while."""
        for task, destination in self._destinations.items():
            if destination.line or destination.first_line:
                self._serve_line(task, self._destination(task, now_ns))

    def on_sender_gone(self, sender: int) -> None:
        """A link ended: what it was granted comes back; what it had queued stays."""
        self._grants.pop(sender, None)
        for task, destination in self._destinations.items():
            destination.line.pop(sender, None)
            destination.first_line.pop(sender, None)
            if destination.extra == sender:
                destination.extra = None
                self._note_extra(destination, 0)
            state = destination.senders.pop(sender, None)
            if state is not None:
                destination.sharers -= state.period >= destination.period - 1
                destination.outstanding -= state.outstanding
                self._held_bytes -= state.outstanding
            self._serve_line(task, destination)

    def take_grants(self) -> dict[int, dict[int, int]]:
        """Return and forget the grants to send: sender -> task -> bytes."""
        grants, self._grants = self._grants, {}
        return grants

    def queued_bytes(self, task: int) -> int:
        """Credit that is bound in frames which arrived for `task` and wait here."""
        destination = self._destinations.get(task)
        return destination.queued if destination else 0

    def total_queued_bytes(self) -> int:
        """The same for all tasks."""
        return sum(destination.queued for destination in self._destinations.values())

    def held_bytes(self) -> int:
        """Bytes that wait here or may still come by what was granted."""
        return self._held_bytes

    def is_full(self, task: int) -> bool:
        """Return whether something waits here for `task`, or in line at a sender."""
        destination = self._destinations.get(task)
        return destination is not None and bool(
            destination.queued or destination.line or destination.first_line
        )

    def waits(self, sender: int) -> bool:
        """Return whether a sender stands in line for any task, but one of its own cycle."""
        return any(sender in destination.line for destination in self._destinations.values())

    def check_invariants(self) -> None:
        """Assert that the sums of senders equal their destination's."""
        for destination in self._destinations.values():
            known = sum(state.outstanding for state in destination.senders.values())
            assert known == destination.outstanding
            assert destination.queued >= 0
            in_line = {*destination.line, *destination.first_line}
            assert len(in_line) == len(destination.line) + len(destination.first_line)
            needy = {sender for sender, state in destination.senders.items() if state.need}
            assert in_line == needy
            recent = [
                state
                for state in destination.senders.values()
                if state.period >= destination.period - 1
            ]
            assert destination.sharers == len(recent)
        every = self._destinations.values()
        assert self._extra_bytes == sum(each.extra_bytes for each in every)
        assert self._held_bytes == sum(each.outstanding + each.queued for each in every)

    def _destination(self, task: int, now_ns: int) -> _Destination:
        """Return a destination, with its history brought up to now."""
        period = now_ns // HISTORY_NS
        destination = self._destinations.get(task)
        if destination is None:
            destination = self._destinations[task] = _Destination(period=period)
        elif period > destination.period:
            one_on = period == destination.period + 1
            destination.consumed_before = destination.consumed if one_on else 0
            destination.consumed = 0
            destination.period = period
            destination.sharers = sum(
                state.period >= period - 1 for state in destination.senders.values()
            )
        return destination

    def _sender(self, destination: _Destination, sender: int) -> _Sender:
        """Return a sender that was just heard of."""
        state = destination.senders.get(sender)
        if state is None:
            state = destination.senders[sender] = _Sender(period=destination.period)
            destination.sharers += 1
        elif state.period != destination.period:
            destination.sharers += state.period < destination.period - 1
            state.period = destination.period
        return state

    def _window(self, destination: _Destination) -> int:
        """Return the bytes that may wait or be on the way for a destination."""
        frames_min = FRAMES_AHEAD * destination.sharers if destination.keeps_up else 1
        recent = max(destination.consumed, destination.consumed_before)
        window = max(frames_min * FRAME_COST_MIN_BYTES, min(WINDOW_BYTES_MAX, recent))
        return min(window, max(FRAME_COST_MIN_BYTES, self._pool_bytes // len(self._destinations)))

    def _share(self, destination: _Destination, window: int, *, goes_first: bool) -> int:
        return window if goes_first else window // max(1, destination.sharers)

    def _room(self, destination: _Destination, window: int) -> int:
        in_use = max(destination.outstanding, 0) + destination.queued
        return min(window - in_use, self._pool_bytes + self._extra_bytes - self._held_bytes)

    def _serve_line(self, task: int, destination: _Destination) -> None:
        """Serve those who wait in turn, until one must go on waiting."""
        while (sender := _next_in_line(destination)) is not None:
            state = destination.senders[sender]
            grant = self._grant_in_turn(task, destination, sender, state)
            if grant is None:
                return
            destination.first_line.pop(sender, None)
            destination.line.pop(sender, None)
            state.need = 0
            if grant:
                self._grant(task, destination, sender, state, grant)

    def _grant_in_turn(
        self, task: int, destination: _Destination, sender: int, state: _Sender
    ) -> int | None:
        """Return what the next in line gets; 0 when what is on its way is enough; None: it waits.

        While much waits here a quarter of its share is worth a grant, less is not.
        """
        missing = state.need - state.outstanding
        if missing <= 0:
            return 0
        window = self._window(destination)
        room = self._room(destination, window)
        share = self._share(destination, window, goes_first=sender in destination.first_line)
        if room >= missing and (room >= share // 4 or not destination.queued):
            own = max(state.outstanding, 0) + state.queued
            return max(missing, min(room, share - own))
        nothing_else = not destination.queued and (
            destination.extra in (None, sender) or _is_idle(destination, destination.extra)
        )
        if nothing_else and self._may_pass(task, state.need):
            destination.extra = sender
            destination.extra_period = destination.period
            self._note_extra(destination, destination.extra_bytes + missing)
            return missing
        return None

    def _may_overdraw(self, left_bytes: int) -> bool:
        return left_bytes >= -OVERDRAFT_BYTES_MAX and self.total_queued_bytes() <= self._pool_bytes

    def _note_extra(self, destination: _Destination, extra_bytes: int) -> None:
        """What goes beyond a window takes nothing from the pool, which is for all the others."""
        self._extra_bytes += extra_bytes - destination.extra_bytes
        destination.extra_bytes = extra_bytes

    def _grant_ahead(
        self, task: int, destination: _Destination, sender: int, state: _Sender
    ) -> None:
        """Give a sender, unasked, what became free of its share when it is worth a frame."""
        goes_first = destination.goes_round and self._goes_first(sender, task)
        if destination.goes_round and not goes_first:
            return
        window = self._window(destination)
        share = self._share(destination, window, goes_first=goes_first)
        own = max(state.outstanding, 0) + state.queued
        grant = min(share - own, self._room(destination, window))
        if grant >= max(share // 4, FRAME_COST_MIN_BYTES):
            self._grant(task, destination, sender, state, grant)

    def _grant(
        self, task: int, destination: _Destination, sender: int, state: _Sender, grant: int
    ) -> None:
        state.outstanding += grant
        destination.outstanding += grant
        self._held_bytes += grant
        tasks = self._grants.setdefault(sender, {})
        tasks[task] = tasks.get(task, 0) + grant


def _next_in_line(destination: _Destination) -> int | None:
    """Return who is served next.

    A sender that was granted a frame beyond the window and needs more for it comes first: all
    others wait for that frame.
    """
    extra = destination.extra
    if extra in destination.line or extra in destination.first_line:
        return extra
    return next(iter(destination.first_line or destination.line), None)


def _is_idle(destination: _Destination, sender: int | None) -> bool:
    """Return whether the sender with credit for a frame has let a whole period pass since.

    It asked on behalf of another one that needs it no more, or it is stopped.
    """
    state = destination.senders.get(sender) if sender is not None else None
    if state is None:
        return True
    return max(state.period, destination.extra_period) < destination.period - 1
