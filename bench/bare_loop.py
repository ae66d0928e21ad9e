"""The limit: the same frames through the same stream manager, without the rest of an instance.

A bare instance process speaks the contract itself: link, credit, outcomes, and batches that close
at the rows and bytes that an instance's do. For each tuple it makes one no-op Python call on each
side, no more: no emit, no choice of a task, no tuple object, no count. Rows are encoded and decoded
with msgspec, and for at-least-once the same tracker opens and settles a tree for each row (at most
5,000 open), and the bolt echoes the batch's columns. Everything around it (supervisor, stream
manager, metrics manager, TMaster) is the real thing: the local scheduler starts this module in
place of `heronshim.instance.main`.
"""

from __future__ import annotations

import gc
import sys
import time
from itertools import cycle, repeat
from pathlib import Path
from random import SystemRandom

import numpy as np
import zmq

from bench.topologies import start_sampling, word_list
from heronshim.config import TopologyOptions
from heronshim.core.codec.data import (
    decode_batch,
    decode_outcomes,
    encode_batch,
    encode_outcomes,
    pack_rows,
)
from heronshim.core.codec.link import (
    decode_credit,
    decode_credit_request,
    encode_credit,
    encode_credit_request,
)
from heronshim.core.codec.plan import physical_plan_from_bytes
from heronshim.core.io.child import ChildStart
from heronshim.core.io.dealer_link import DealerLink, ReceivedFrame
from heronshim.core.io.logs import setup_daemon
from heronshim.core.plan.physical import PhysicalPlan
from heronshim.core.stream.ack_tracker import AckTracker
from heronshim.core.stream.credit import CreditReceiver, CreditSender
from heronshim.core.stream.frame import Kind, frame_cost_bytes
from heronshim.core.stream.link import Hello, Role
from heronshim.instance.main import GC_THRESHOLDS
from heronshim.instance.spout_task import PENDING_PARTS

PENDING_MAX = TopologyOptions().max_spout_pending
FRAMES_PER_TURN = 64


def no_op(_: object = None) -> None:
    """Stand for the author's code."""


class BareInstance:
    """One task: what it is follows from the component's name."""

    def __init__(self, start: ChildStart) -> None:
        self._poller = zmq.Poller()
        plan = start.plan
        assert plan is not None
        (self.task,) = next(item for item in plan.processes if item.id == start.process).tasks
        hello = Hello(
            start.launch.topology_id,
            Role.INSTANCE,
            start.process,
            start.incarnation,
            0,
            start.token,
            (self.task,),
        )
        self._link = DealerLink(zmq.Context(), hello, self._poller)
        self._link.connect(start.endpoint, time.monotonic_ns())
        self._is_spout = start.component == "words"
        self._plan: PhysicalPlan | None = None
        self._tracked = True
        self._credit = CreditSender()
        self._receiver = CreditReceiver()
        self._executed = 0
        rng = SystemRandom()
        self._tracker = AckTracker(self.task, rng, 2 * PENDING_MAX)
        self._rows = [[word] for word in word_list()]
        self._ids: list[int] = []
        self._targets = cycle((0,))
        self._waiting: tuple[int, bytes] | None = None

    def run(self) -> None:
        """Loop until SIGTERM."""
        stop = setup_daemon()
        while not stop.requested:
            now_ns = time.monotonic_ns()
            self._link.tick(now_ns)
            busy = False
            for _ in range(FRAMES_PER_TURN):
                frame = self._link.receive(now_ns)
                if frame is None:
                    break
                busy = True
                self._on_frame(frame, now_ns)
            self._link.take_events()
            if self._is_spout and self._plan is not None:
                busy |= self._emit(now_ns)
            grants = self._receiver.take_grants()
            if grants:
                self._link.send(Kind.CREDIT, encode_credit(grants[0]))
            if not busy:
                if self._link.socket is None:
                    time.sleep(0.01)
                else:
                    self._poller.poll(1)

    def _on_frame(self, frame: ReceivedFrame, now_ns: int) -> None:
        payload = frame.payload.buffer
        if frame.kind == Kind.DATA:
            self._execute(frame, payload, now_ns)
        elif frame.kind == Kind.OUTCOMES:
            outcomes = decode_outcomes(payload)
            roots = np.frombuffer(outcomes.roots, np.uint64)
            xors = np.frombuffer(outcomes.xors, np.uint64)
            self._tracker.settle(roots, xors, b"", distinct=True, now_us=now_ns // 1000)
        elif frame.kind == Kind.CREDIT:
            for task, grant_bytes in decode_credit(payload):
                self._credit.granted(task, grant_bytes)
        elif frame.kind == Kind.CREDIT_REQUEST:
            for task, need_bytes in decode_credit_request(payload):
                self._receiver.on_request(0, task, need_bytes, now_ns)
        elif frame.kind == Kind.PLAN:
            self._plan = plan = physical_plan_from_bytes(bytes(payload))
            self._tracked = plan.topology.options.get("delivery") == "at_least_once"
            targets = plan.component_tasks()["count"]
            self._targets = cycle(targets)
            options = TopologyOptions()
            row_bytes = len(pack_rows(self._rows)) // len(self._rows)
            rows = min(options.batch_rows, options.batch_bytes // row_bytes)
            if self._tracked:
                rows = min(rows, PENDING_MAX // (PENDING_PARTS * len(targets)))
            self._rows = self._rows[:rows]
            self._ids = list(range(rows))

    def _execute(self, frame: ReceivedFrame, payload: memoryview, now_ns: int) -> None:
        self._receiver.on_frame(0, self.task, len(payload), now_ns)
        batch, rows = decode_batch(payload)
        for row in rows:
            no_op(row)
        self._executed += len(rows)
        if batch.roots:
            echo = encode_outcomes(b"", batch.roots, batch.edges, distinct=True)
            self._link.send(Kind.OUTCOMES, echo, frame.source, self.task)
        self._receiver.on_consumed(0, self.task, len(payload), now_ns)

    def _emit(self, now_ns: int) -> bool:
        if self._waiting is None:
            if self._tracked and self._tracker.open_count > PENDING_MAX - len(self._ids):
                return False
            for _ in repeat(None, len(self._ids)):
                no_op()
            blob = pack_rows(self._rows)
            roots = edges = b""
            if self._tracked:
                root_column, edge_column = self._tracker.open(self._ids, now_ns // 1000)
                roots, edges = root_column.tobytes(), edge_column.tobytes()
            payload = encode_batch("words", "default", len(self._ids), blob, b"", roots, edges)
            self._waiting = next(self._targets), payload
        task, payload = self._waiting
        cost_bytes = frame_cost_bytes(len(payload))
        if not self._credit.may_send(task, cost_bytes):
            if self._credit.ask(task):
                request = encode_credit_request({task: cost_bytes})
                self._link.send(Kind.CREDIT_REQUEST, request)
            return False
        self._credit.spend(task, cost_bytes)
        self._link.send(Kind.DATA, payload, task, self.task)
        self._waiting = None
        return True

    def sample_into(self, folder: Path) -> None:
        """Write counts of executed rows as the topology's bolt does."""
        if not self._is_spout:
            start_sampling(folder / f"count-{self.task}.txt", lambda: self._executed)


def main() -> None:
    """Read the start line from standard input and run."""
    gc.set_threshold(*GC_THRESHOLDS)
    folder = Path(sys.argv[1])
    instance = BareInstance(ChildStart.read(sys.stdin.buffer))
    instance.sample_into(folder)
    instance.run()


if __name__ == "__main__":
    main()
