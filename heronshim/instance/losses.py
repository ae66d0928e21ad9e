"""Losses that one instance process sees itself or hears of. Called under the IO lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heronshim.core.codec.link import (
    decode_loss_notice,
    decode_loss_notice_ack,
    encode_loss_notice,
    encode_loss_notice_ack,
)
from heronshim.core.plan.graph import downstream_of
from heronshim.core.plan.topology import Dialect
from heronshim.core.spi.events import EventKind
from heronshim.core.stream.frame import Kind
from heronshim.core.stream.loss import (
    CAUSE_CHARACTERS_MAX,
    LossNotice,
    LossReach,
    NoticeQueue,
    SeenNotices,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heronshim.config import TopologyOptions
    from heronshim.core.plan.physical import PhysicalPlan
    from heronshim.core.plan.topology import Topology
    from heronshim.core.stream.event_buffer import EventBuffer
    from heronshim.instance.outbox import Frame
    from heronshim.instance.spout_task import SpoutTask

LOSS_KINDS = (Kind.LOSS_NOTICE, Kind.LOSS_NOTICE_ACK)
TOLD_MAX, TOLD_NS = 20, 1_000_000_000
"""Notices that are logged within this time: a broken stream manager may make many."""
_STMGR = 0
"""The one target of an instance's notices."""


class InstanceLosses:
    """Own spouts hear of a loss at once; the stream manager until it acknowledges the notice."""

    def __init__(
        self, process: str, incarnation: int, tasks: Iterable[int], events: EventBuffer
    ) -> None:
        self._events = events
        self._prefix = f"{process}/{incarnation}"
        self._tasks = tuple(tasks)
        self._numbers = 0
        self._seen = SeenNotices()
        self._queue: NoticeQueue[int] = NoticeQueue()
        self._acks: list[Frame] = []
        self._told = self._told_since_ns = 0
        self._reach: LossReach | None = None
        self.spouts: list[SpoutTask] = []
        """The process's spout tasks, once they are open: there are no trees before."""
        self.log: list[tuple[str, dict[str, object]]] = []
        """(event, fields) for the process's log, since the owner last cleared this list."""

    def set_plan(self, plan: PhysicalPlan) -> None:
        """Know who sends to whom."""
        self._reach = LossReach(plan)

    def on_link_lost(self, cause: str, now_ns: int) -> None:
        """Frames of the link are lost, or it ended without a bye that says they came."""
        if self._reach is None:
            # Before the first plan nothing was sent.
            return
        self._numbers += 1
        sources, destinations = self._reach.users_of(self._tasks)
        notice = LossNotice(f"{self._prefix}/{self._numbers}", sources, destinations, cause)
        self._seen.is_new(notice.id)
        self._queue.add(_STMGR, notice)
        self._apply(notice, self._reach, now_ns)

    def on_frame(self, kind: int, payload: bytes | memoryview, now_ns: int) -> None:
        """Take a frame of LOSS_KINDS.

        Raises:
            RemoteProtocolError: it is damaged.
        """
        if kind == Kind.LOSS_NOTICE:
            self.on_notice(payload, now_ns)
        else:
            self.on_ack(payload)

    def on_notice(self, payload: bytes | memoryview, now_ns: int) -> None:
        """Acknowledge each copy of a notice of the stream manager, apply the first.

        Raises:
            RemoteProtocolError: it is damaged.
        """
        notice = decode_loss_notice(payload)
        self._acks.append((Kind.LOSS_NOTICE_ACK, 0, 0, encode_loss_notice_ack(notice.id)))
        if self._seen.is_new(notice.id) and self._reach is not None:
            self._apply(notice, self._reach, now_ns)

    def on_ack(self, payload: bytes | memoryview) -> None:
        """The stream manager has a notice.

        Raises:
            RemoteProtocolError: it is damaged.
        """
        self._queue.acknowledged(_STMGR, decode_loss_notice_ack(payload))

    def on_new_link(self) -> None:
        """Send at once what the stream manager has not acknowledged."""
        self._queue.reached(_STMGR)

    def on_time(self, now_ns: int) -> None:
        """Let spouts fail what is due, and note which trees a loss made fail."""
        for task in self.spouts:
            task.on_time(now_ns)
            for cause, trees in task.loss_failures:
                kind = EventKind.TREES_FAILED_ON_LOSS
                self.log.append((kind, {"task": task.task, "trees": trees, "cause": cause}))
                self._events.add(
                    kind,
                    component=task.context.component_id,
                    task=task.task,
                    cause=cause,
                    numbers={"trees": trees},
                )
            task.loss_failures.clear()

    def take_frames(self, now_ns: int) -> list[Frame]:
        """Return acknowledgements, and the notices that are due."""
        if not (self._acks or self._queue):
            return []
        frames, self._acks = self._acks, []
        for _, notice in self._queue.take_due(now_ns):
            frames.append((Kind.LOSS_NOTICE, 0, 0, encode_loss_notice(notice)))
        return frames

    def _apply(self, notice: LossNotice, reach: LossReach, now_ns: int) -> None:
        if now_ns - self._told_since_ns >= TOLD_NS:
            self._told_since_ns, self._told = now_ns, 0
        self._told += 1
        if self._told <= TOLD_MAX:
            cause = notice.cause[:CAUSE_CHARACTERS_MAX]
            self.log.append((EventKind.LOSS_NOTICED, {"id": notice.id, "cause": cause}))
        hit = reach.spout_tasks(notice)
        for task in self.spouts:
            if task.task in hit:
                task.on_loss(notice.cause, now_ns)


def fails_fast(topology: Topology, spout: str, options: TopologyOptions) -> bool:
    """Return whether trees of a spout may fail before their timeout when a loss is seen.

    Topologies of Storm and Heron know timeouts only. A bolt downstream that holds tuples keeps
    trees open that nothing happened to.
    """
    wanted = options.fail_fast
    if wanted is None:
        wanted = topology.dialect is Dialect.HERONSHIM
    return wanted and not any(
        topology.component(component).options.get("holds_tuples")
        for component in downstream_of(topology, spout)
    )
