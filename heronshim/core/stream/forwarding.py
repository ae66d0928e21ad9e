"""A stream manager's routing: frames by destination task, held back by credit. Pure.

The payload is never looked into. Data frames wait in a queue per task while the task has not
joined or its next hop has granted no credit, and the CreditReceiver of this hop bounds them;
outcomes only while it has not joined, and OUTCOMES_WAITING_BYTES_MAX bounds them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from heronshim.core.plan.topology import METRICSMGR_TASK
from heronshim.core.stream.credit import CreditReceiver, CreditSender, check_need
from heronshim.core.stream.frame import METRICS_BYTES_MAX, Kind, frame_cost_bytes
from heronshim.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

OUTCOMES_WAITING_BYTES_MAX = 32 << 20
"""Outcomes that wait for tasks that have not joined, as frames cost: some million of them."""
EARLY_TASKS_MAX = 100_000
"""Tasks of one link that credit is asked for before a plan names them."""
METRICS_WAITING_BYTES_MAX = 1 << 20
"""Metrics that wait for the metrics manager; the oldest are dropped beyond (design: 1 MB)."""


class Waiting(NamedTuple):
    """A frame that cannot go on yet."""

    kind: int
    source: int
    payload: Any
    frame_bytes: int
    link: int
    """Link it came on, to give its credit back; 0 for outcomes."""


class Forwarder:
    """Routes frames between links, which are small integers of the shell's.

    Links to the stream managers of other containers are negative.

    `send(link, kind, destination, source, payload)` sends at once and returns False when the link
    is gone or full. `sizeof(payload)` gives bytes.
    """

    def __init__(
        self,
        send: Callable[[int, int, int, int, Any], bool],
        sizeof: Callable[[Any], int] = len,
    ) -> None:
        self._send = send
        self._sizeof = sizeof
        self._links: dict[int, int] = {}
        self._queues: dict[int, deque[Waiting]] = {}
        self._metrics: deque[tuple[int, Any]] = deque()
        self._metrics_bytes = 0
        self._known: frozenset[int] = frozenset()
        self._early_requests: dict[int, dict[int, int]] = {}
        """Credit asked for before a plan named the tasks: link -> task -> bytes. Nobody asks
        twice."""
        self._refused: set[int] = set()
        self._cycles: dict[int, int] = {}
        self._round_links: set[tuple[int, int]] = set()
        """(link, cycle) of links that brought tuples which go round."""
        self.receiver = CreditReceiver(may_pass=self._may_pass, goes_first=self._goes_first)
        self.sender = CreditSender()
        self.wanted: dict[int, dict[int, int]] = {}
        """Credit to ask for: link -> task -> bytes that wait."""
        self.forwarded_bytes = 0
        self.forwarded_frames = 0
        self._outcomes_bytes = 0
        self.outcomes_dropped_count = 0
        self.unknown_task_count = 0
        """Frames for tasks that the plan does not have, dropped."""
        self.metrics_dropped_count = 0
        self.send_refused_count = 0
        """Frames that a bound link did not take: it is ending, or full, which credit excludes."""

    def set_tasks(
        self, tasks: Iterable[int], now_ns: int = 0, cycles: Mapping[int, int] | None = None
    ) -> None:
        """Take the tasks of a plan; frames for others are dropped, credit asked for is given.

        `cycles`: for each task on a cycle of the logical plan a number of that cycle.
        """
        self._known = frozenset(tasks)
        self._cycles = dict(cycles or {})
        early, self._early_requests = self._early_requests, {}
        for link, asked in early.items():
            self.on_credit_request(link, asked.items(), now_ns)

    def bind(self, task: int, link: int, now_ns: int = 0) -> None:
        """Reach a task by a link from now on; credit of an older link is void."""
        if self._links.get(task) == link:
            return
        self._links[task] = link
        self.sender.reset(task)
        if task == METRICSMGR_TASK:
            self._drain_metrics()
        else:
            self._drain(task, now_ns)
            self.receiver.serve(task, now_ns)

    def unbind(self, link: int) -> None:
        """A link ended: its tasks have not joined any more, its credit comes back."""
        for task in [task for task, bound in self._links.items() if bound == link]:
            del self._links[task]
            self.sender.reset(task)
        self.receiver.on_sender_gone(link)
        self.wanted.pop(link, None)
        self._early_requests.pop(link, None)
        self._round_links = {known for known in self._round_links if known[0] != link}

    def joined(self, task: int) -> bool:
        """Return whether a task can be reached."""
        return task in self._links

    def on_data(
        self,
        link: int,
        kind: int,
        destination: int,
        source: int,
        payload: Any,
        now_ns: int,
    ) -> None:
        """Forward a data frame or barrier that came on `link`, or let it wait.

        Raises:
            RemoteProtocolError: its sender had no credit for it.
        """
        if destination not in self._known:
            self.unknown_task_count += 1
            return
        frame_bytes = self._sizeof(payload)
        cost_bytes = frame_cost_bytes(frame_bytes)
        self.receiver.on_frame(link, destination, frame_bytes, now_ns)
        if self._cycles:
            cycle = self._cycles.get(destination)
            if cycle is not None and cycle == self._cycles.get(source):
                self._round_links.add((link, cycle))
        queue = self._queues.get(destination)
        may_go = not queue and self.sender.may_send(destination, cost_bytes)
        if may_go and self._try(destination, kind, source, payload):
            self.sender.spend(destination, cost_bytes)
            self.forwarded_bytes += cost_bytes
            self.receiver.on_consumed(link, destination, frame_bytes, now_ns)
            return
        if queue is None:
            queue = self._queues[destination] = deque()
        queue.append(Waiting(kind, source, payload, frame_bytes, link))
        self._ask(destination)

    def on_outcomes(self, destination: int, source: int, payload: Any) -> None:
        """Forward outcomes; they spend no credit.

        Those that wait are bounded all the same: a sender that breaks the rules may make as many
        as it likes. What is dropped fails by its timeout.
        """
        if destination not in self._known:
            self.unknown_task_count += 1
            return
        queue = self._queues.get(destination)
        if queue or not self._try(destination, Kind.OUTCOMES, source, payload):
            held_bytes = frame_cost_bytes(self._sizeof(payload))
            if self._outcomes_bytes + held_bytes > OUTCOMES_WAITING_BYTES_MAX:
                self.outcomes_dropped_count += 1
                return
            self._outcomes_bytes += held_bytes
            if queue is None:
                queue = self._queues[destination] = deque()
            queue.append(Waiting(Kind.OUTCOMES, source, payload, 0, 0))

    def on_metrics(self, source: int, payload: Any) -> None:
        """Hand a report to the container's metrics manager, or keep it for a while."""
        if self._sizeof(payload) > METRICS_BYTES_MAX:
            self.metrics_dropped_count += 1
            return
        target = self._links.get(METRICSMGR_TASK)
        if target is not None and self._send(
            target, Kind.METRICS, METRICSMGR_TASK, source, payload
        ):
            return
        self._metrics.append((source, payload))
        self._metrics_bytes += self._sizeof(payload)
        while self._metrics_bytes > METRICS_WAITING_BYTES_MAX:
            _, dropped = self._metrics.popleft()
            self._metrics_bytes -= self._sizeof(dropped)
            self.metrics_dropped_count += 1

    def on_credit(self, link: int, grants: Iterable[tuple[int, int]], now_ns: int) -> None:
        """The next hop granted (task, bytes) for tasks behind `link`: send what waits.

        Raises:
            RemoteProtocolError: it is more than any frame may cost.
        """
        for task, grant_bytes in grants:
            if self._links.get(task) == link:
                self.sender.granted(task, grant_bytes)
                self._drain(task, now_ns)
                self.receiver.serve(task, now_ns)

    def on_credit_request(self, link: int, needs: Iterable[tuple[int, int]], now_ns: int) -> None:
        """A sender has too little credit for its next frames: (task, bytes of the frame).

        A peer may know a newer plan than this side.

        Raises:
            RemoteProtocolError: no frame may cost so much, or no plan has so many tasks.
        """
        for task, need_bytes in needs:
            if task in self._known:
                self.receiver.on_request(link, task, need_bytes, now_ns)
            else:
                check_need(task, need_bytes)
                early = self._early_requests.setdefault(link, {})
                if len(early) >= EARLY_TASKS_MAX:
                    msg = f"credit was asked for {len(early)} tasks that no plan has, and more"
                    raise RemoteProtocolError(msg)
                early[task] = need_bytes

    def retry(self, now_ns: int) -> None:
        """Send again what live links did not take. Call it once a turn."""
        if self._refused:
            refused, self._refused = self._refused, set()
            for task in refused:
                self._drain(task, now_ns)
        if self._metrics:
            self._drain_metrics()

    def queued_bytes(self) -> int:
        """Bytes of data frames that wait here."""
        return self.receiver.total_queued_bytes()

    def queues(self) -> dict[int, int]:
        """Return how many frames wait for each task that any wait for."""
        return {task: len(queue) for task, queue in self._queues.items() if queue}

    def counts(self) -> dict[str, int]:
        """Return what was counted since the start, by the names of metrics."""
        return {
            "forwarded_bytes": self.forwarded_bytes,
            "forwarded_frame_count": self.forwarded_frames,
            "unknown_task_count": self.unknown_task_count,
            "metrics_dropped_count": self.metrics_dropped_count,
            "outcomes_dropped_count": self.outcomes_dropped_count,
            "send_refused_count": self.send_refused_count,
        }

    def take_grants(self) -> dict[int, dict[int, int]]:
        """Return and forget credit to grant: link -> task -> bytes."""
        return self.receiver.take_grants()

    def _drain(self, task: int, now_ns: int = 0) -> None:
        """Send what waits for a task as far as credit goes; outcomes need none."""
        queue = self._queues.get(task)
        if not queue or task not in self._links:
            return
        while queue:
            frame = queue[0]
            cost_bytes = frame_cost_bytes(frame.frame_bytes)
            if frame.kind != Kind.OUTCOMES and not self.sender.may_send(task, cost_bytes):
                break
            if not self._try(task, frame.kind, frame.source, frame.payload):
                return
            queue.popleft()
            if frame.kind == Kind.OUTCOMES:
                self._outcomes_bytes -= frame_cost_bytes(self._sizeof(frame.payload))
            else:
                self.sender.spend(task, cost_bytes)
                self.forwarded_bytes += cost_bytes
                self.receiver.on_consumed(frame.link, task, frame.frame_bytes, now_ns)
        if queue:
            self._ask(task)

    def _try(self, task: int, kind: int, source: int, payload: Any) -> bool:
        """Send to a task's link, if it has one; what is refused is due again at `retry`."""
        target = self._links.get(task)
        if target is None:
            return False
        if self._send(target, kind, task, source, payload):
            self.forwarded_frames += 1
            return True
        self.send_refused_count += 1
        self._refused.add(task)
        return False

    def _ask(self, task: int) -> None:
        """Ask for credit for the first frame that waits for a task."""
        need_bytes = frame_cost_bytes(self._queues[task][0].frame_bytes)
        if not self.sender.may_send(task, need_bytes):
            self._want(task, need_bytes)

    def _want(self, task: int, need_bytes: int) -> None:
        target = self._links.get(task)
        if target is not None and self.sender.ask(task):
            self.wanted.setdefault(target, {})[task] = need_bytes

    def _may_pass(self, task: int, need_bytes: int) -> bool:
        """Return whether a frame beyond the window may come for a task.

        One for another container comes when it can go on at once: large frames wait at their
        source or in the container they are for, whose tasks bound how many there are.
        """
        target = self._links.get(task)
        if target is None:
            return False
        if target >= 0 or self.sender.may_send(task, need_bytes):
            return True
        self._want(task, need_bytes)
        return False

    def _goes_first(self, link: int, task: int) -> bool:
        return (link, self._cycles.get(task)) in self._round_links

    def _drain_metrics(self) -> None:
        target = self._links.get(METRICSMGR_TASK)
        while self._metrics and target is not None:
            source, payload = self._metrics[0]
            if not self._send(target, Kind.METRICS, METRICSMGR_TASK, source, payload):
                return
            self._metrics.popleft()
            self._metrics_bytes -= self._sizeof(payload)
