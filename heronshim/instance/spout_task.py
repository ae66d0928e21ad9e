"""One spout task: calls the author's next_tuple, opens trees, hands outcomes back."""

from __future__ import annotations

from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from heronshim.api.components import Spout
from heronshim.core.stream.ack_tracker import EPOCHS_PER_TIMEOUT, UNHEARD, AckTracker
from heronshim.core.stream.fail_fast import FailFast
from heronshim.core.stream.histogram import bucket
from heronshim.instance.collector import SpoutCollector
from heronshim.instance.outbox import FIRST_ROWS_MAX, ROWS_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from random import Random

    from numpy.typing import NDArray

    from heronshim.api.context import Context
    from heronshim.errors import ValueEncodingError
    from heronshim.instance.clock import Clock
    from heronshim.instance.meter import TaskMeter
    from heronshim.instance.outbox import Outbox
    from heronshim.instance.routes import Route
    from heronshim.wire.v1.data_pb2 import Outcomes

BURST_MAX = 2048
"""Calls of next_tuple between two looks at the socket."""
BURST_NS = 400_000
"""About how long a burst may take, so that control frames wait no longer."""
PENDING_PARTS = 2
"""Batches that share the limit of pending trees, for each target: one is filled, one executed.
(Measured: 3 cost a seventh more CPU a tuple with two spouts and two bolts.)"""
NS_PER_US = 1000


class SpoutTask:
    """Runs in the author's thread, except `on_outcomes`, `on_loss`, `on_time` (IO lock held)."""

    def __init__(
        self,
        spout: Spout,
        context: Context,
        meter: TaskMeter,
        outbox: Outbox,
        *,
        tracked: bool,
        bounded: bool = False,
        pending_max: int,
        timeout_s: float | None,
        fail_fast: bool,
        rng: Random,
        fatal: Callable[[BaseException], None],
        clock: Clock,
        io_lock: AbstractContextManager[Any],
    ) -> None:
        self.spout = spout
        self.context = context
        self.meter = meter
        self.task = context.task_id
        self._outbox = outbox
        self._pending_max = pending_max
        self._fatal = fatal
        self._clock = clock
        self.clock_ns = clock.now_ns
        self.io_lock = io_lock
        self._calls_ack = type(spout).ack is not Spout.ack
        self.calls_ack_at_emit = not tracked and self._calls_ack
        self._calls_fail = type(spout).fail is not Spout.fail
        self._acked: deque[tuple[list[Any], NDArray[np.int64]]] = deque()
        self._failed: deque[list[Any]] = deque()
        self._burst = 1
        self._emits_per_call = 1
        self.active = False
        self.tracker = AckTracker(self.task, rng, min(max(pending_max, 64), 1 << 16) + BURST_MAX)
        self._bounded = bounded
        self.collector = SpoutCollector(self, outbox, tracked=tracked, bounded=bounded)
        self._rotate_ns = int(timeout_s * 1e9 / EPOCHS_PER_TIMEOUT) if timeout_s else 0
        self._next_rotation_ns = 0
        self._fail_fast = FailFast(
            enabled=fail_fast and tracked, timeout_us=int(timeout_s * 1e6) if timeout_s else None
        )
        self.loss_failures: list[tuple[str, int]] = []
        """(cause, trees) of trees failed on a loss since the owner last cleared this list."""

    def open(self, routes: dict[str, Route]) -> None:
        """Bind the collector and call the author's open."""
        self.collector.bind(routes)
        self.spout.open(self.context.config, self.context)
        self.collector.rebind_hooks()

    def set_active(self, *, active: bool) -> None:
        """Call activate or deactivate when the state changes."""
        if active == self.active:
            return
        self.active = active
        if active:
            self.spout.activate()
        else:
            self.spout.deactivate()

    def pending(self) -> int:
        """Open trees and tracked rows that are not flushed."""
        return self.tracker.open_count + self.collector.unflushed_tracked()

    def rows_limit(self, batches: int) -> int:
        """Rows of one of so many batches: several are on their way before trees limit the spout."""
        if not self._pending_max:
            return ROWS_LIMIT
        return max(FIRST_ROWS_MAX, self._pending_max // (PENDING_PARTS * batches))

    def step(self, now_ns: int, *, may_emit: bool) -> bool:
        """Deliver outcomes, then call next_tuple; return whether anything happened."""
        settled = bool(self._acked or self._failed)
        if settled:
            self._deliver()
        if not (self.active and may_emit):
            return settled
        return self._emit_burst(now_ns) or settled

    def on_outcomes(self, outcomes: Outcomes, now_ns: int) -> None:
        """Apply outcomes that came from the network."""
        roots = np.frombuffer(outcomes.roots, np.uint64)
        xors = np.frombuffer(outcomes.xors, np.uint64)
        now_us = now_ns // NS_PER_US
        settled = self.tracker.settle(
            roots, xors, outcomes.kinds, distinct=outcomes.distinct, now_us=now_us
        )
        if settled.acked:
            marked_until_us = self._fail_fast.marked_until_us()
            if marked_until_us is not None:
                marked = np.count_nonzero(now_us - settled.acked_us <= marked_until_us)
                self.meter.add("trees_completed_after_loss", int(marked))
            self._on_acked(settled.acked, settled.acked_us)
        if settled.failed:
            self.on_failed(settled.failed)

    def on_loss(self, cause: str, now_ns: int) -> None:
        """Tuples may be gone: the trees that are open now have a grace to complete."""
        self.meter.add("loss_notice_count", 1)
        if self.tracker.open_count:
            latency_us = self.meter.complete_latency_us(0.99)
            self._fail_fast.on_notice(cause, now_ns // NS_PER_US, latency_us)

    def on_time(self, now_ns: int) -> None:
        """Fail what is due: trees hit by a loss after their grace, others after their timeout."""
        now_us = now_ns // NS_PER_US
        while (mark := self._fail_fast.take_due(now_us)) is not None:
            hit = self.tracker.fail_open_since(mark.until_us)
            if hit:
                self.meter.add("trees_failed_on_loss", len(hit))
                self.loss_failures.append((mark.cause, len(hit)))
                self.on_failed(hit)
        self._rotate(now_ns)

    def _rotate(self, now_ns: int) -> None:
        """Begin a new epoch when it is due: trees open for too long fail."""
        if not self._rotate_ns:
            return
        if self._next_rotation_ns == 0:
            self._next_rotation_ns = now_ns + self._rotate_ns
        while now_ns >= self._next_rotation_ns:
            self._next_rotation_ns += self._rotate_ns
            timed_out = self.tracker.rotate()
            if timed_out:
                self.meter.add("timeout_count", len(timed_out))
                self.on_failed(timed_out)

    def next_deadline_ns(self) -> int:
        """When on_time is due next; 0 = never."""
        if not self.tracker.open_count:
            return 0
        grace_end_ns = (self._fail_fast.next_deadline_us() or 0) * NS_PER_US
        return min([due for due in (grace_end_ns, self._next_rotation_ns) if due], default=0)

    def on_empty_trees(self, ids: list[Any]) -> None:
        """Reliable emits without a consumer are acked at once (Storm)."""
        self._on_acked(ids, np.zeros(len(ids), np.int64))

    def on_untracked_id(self, id_: Any) -> None:
        """Without tracking a tuple with an id is acked at emit (Storm with ackers = 0)."""
        self.meter.add("ack_count", 1)
        if self._calls_ack or self.context.hooks:
            self._guard(self.spout.ack, id_)
        for hook in self.context.hooks:
            hook.spout_ack(id_, 0.0)

    def on_untracked_ids(self, count: int) -> None:
        """As many tuples with an id were acked at emit, of which the author hears nothing."""
        self.meter.add("ack_count", count)

    def open_copies(self, id_: Any, copies: int) -> tuple[int, list[int]]:
        """Open one tree with several copies; return its root and an edge for each copy.

        Under the IO lock of the instance: the tracker is shared with the network side.
        """
        with self.io_lock:
            return self.tracker.open_copies(id_, copies, self.clock_ns() // NS_PER_US)

    def on_failed(self, ids: list[Any]) -> None:
        """Trees failed; the author hears of it in the next step."""
        if self._bounded:
            ids = [id_ for id_ in ids if id_ is not UNHEARD]
        if ids:
            self._failed.append(ids)

    def on_unwritable(self, error: ValueEncodingError, ids: Sequence[Any], roots: Any) -> None:
        """A row was left out at flush: report it and fail its tree."""
        self.report(error)
        known = [id_ for id_ in ids if id_ is not None]
        if roots:
            column = np.array([roots], np.uint64)
            known += self.tracker.settle(column, column, b"\x01", distinct=True, now_us=0).failed
        if known:
            self.on_failed(known)

    def report(self, error: BaseException | str) -> None:
        """Report an error without failing anything."""
        now_ns = self.clock_ns()
        self.meter.error(error, now_ns, self._clock.wall_ms())

    def close(self) -> None:
        """Call the author's close."""
        self.spout.close()
        for hook in self.context.hooks:
            hook.cleanup()

    def _on_acked(self, ids: list[Any], times_us: NDArray[np.int64]) -> None:
        if self._bounded and any(id_ is UNHEARD for id_ in ids):
            heard = [position for position, id_ in enumerate(ids) if id_ is not UNHEARD]
            if not heard:
                return
            ids, times_us = [ids[position] for position in heard], times_us[heard]
        self.meter.add_completed(len(ids), _buckets(times_us))
        if self._calls_ack or self.context.hooks:
            self._acked.append((ids, times_us))

    def _deliver(self) -> None:
        """Call the author's ack and fail for all that settled."""
        hooks = self.context.hooks
        while self._acked:
            ids, times_us = self._acked.popleft()
            ack = self.spout.ack
            for position, id_ in enumerate(ids):
                self._guard(ack, id_)
                for hook in hooks:
                    hook.spout_ack(id_, float(times_us[position]) / 1000)
        while self._failed:
            ids = self._failed.popleft()
            self.meter.add("fail_count", len(ids))
            for id_ in ids:
                if self._calls_fail:
                    self._guard(self.spout.fail, id_)
                for hook in hooks:
                    hook.spout_fail(id_, 0.0)

    def _guard(self, call: Callable[[Any], None], argument: Any) -> None:
        try:
            call(argument)
        except Exception as error:  # noqa: BLE001 - the author's code may raise anything
            self._fatal_or_report(error)

    def _fatal_or_report(self, error: BaseException) -> None:
        self.report(error)
        self._fatal(error)

    def _emit_burst(self, now_ns: int) -> bool:
        calls = self._burst
        if self._pending_max:
            left = self._pending_max - self.pending()
            if left <= 0:
                return False
            # More than one emit a call may overshoot the limit by one call's, as in Storm.
            calls = 1 if self._emits_per_call > 1 else min(calls, left)
        outbox, collector = self._outbox, self.collector
        calls = min(calls, outbox.burst_max(now_ns // NS_PER_US))
        before = outbox.emitted_rows + outbox.open_rows() + collector.emitted_elsewhere
        next_tuple = self.spout.next_tuple
        try:
            for _ in repeat(None, calls):
                next_tuple()
        except Exception as error:  # noqa: BLE001 - the author's code may raise anything
            self._fatal_or_report(error)
        emitted = outbox.emitted_rows + outbox.open_rows() + collector.emitted_elsewhere - before
        elapsed_ns = self.clock_ns() - now_ns
        self.meter.add("next_tuple_count", calls)
        self.meter.add("busy_time_us", elapsed_ns // NS_PER_US)
        if emitted > calls:
            self._emits_per_call = -(-emitted // calls)
        if emitted < calls or elapsed_ns > 2 * BURST_NS:
            self._burst = max(1, calls // 4)
        elif elapsed_ns < BURST_NS and calls == self._burst:
            self._burst = min(BURST_MAX, self._burst * 2)
        return emitted > 0


def _buckets(times_us: NDArray[np.int64]) -> dict[int, int]:
    """Return histogram counts by bucket, as core.stream.histogram numbers them."""
    first = int(times_us[0])
    if first == times_us[-1] and (times_us == first).all():
        # Trees of one batch were opened at one time, so most batches of acks are one value.
        return {bucket(first): len(times_us)}
    numbers = np.floor(4 * np.log2(np.maximum(times_us, 0) + 1)).astype(np.int64)
    counts = np.bincount(numbers)
    return {int(index): int(counts[index]) for index in np.flatnonzero(counts)}
