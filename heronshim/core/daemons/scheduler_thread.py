"""Runs scheduler calls in a thread of their own, because they block.

Between orders it asks the scheduler for its status: one that runs on this host and died is
started again by that, and starts again what died meanwhile.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING

from heronshim.core.io.logs import log_event
from heronshim.core.master.events import (
    AddContainers,
    ContainersAdded,
    ContainersNotAdded,
    RestartAnswered,
    RestartContainers,
)
from heronshim.errors import HeronshimError

if TYPE_CHECKING:
    from heronshim.core.spi.scheduler import Launch, Scheduler

ORDERS_MAX = 1000
"""Orders that may wait; a further one fails at once."""
STOP_WAIT_S = 1.0
"""A thread that hangs in a call is left behind after this."""
LOOK_S = 1.0
"""Between two questions for the status while there are no orders; one takes a millisecond."""

Order = AddContainers | RestartContainers
Answer = ContainersAdded | ContainersNotAdded | RestartAnswered


class SchedulerThread:
    """Takes orders and gives answers in the same order; its descriptor wakes a poll."""

    def __init__(self, scheduler: Scheduler, launch: Launch) -> None:
        self._scheduler = scheduler
        self._launch = launch
        self._orders: Queue[Order | None] = Queue(ORDERS_MAX)
        self._answers: deque[Answer] = deque()
        self._trouble = ""
        """Why the last question for the status failed."""
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """Return a descriptor that is readable when there are answers."""
        return self._wake

    def order(self, order: Order) -> None:
        """Queue an order; never blocks."""
        try:
            self._orders.put_nowait(order)
        except Full:
            self._answer(_failed(order, f"over {ORDERS_MAX} orders wait for the scheduler"))

    def take_answers(self) -> list[Answer]:
        """Return answers that have come."""
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return []
        answers = []
        while self._answers:
            answers.append(self._answers.popleft())
        return answers

    def stop(self) -> None:
        """End the thread after the order in hand; blocks for STOP_WAIT_S at most."""
        try:
            self._orders.put_nowait(None)
        except Full:
            return
        self._thread.join(STOP_WAIT_S)

    def _run(self) -> None:
        while True:
            try:
                order = self._orders.get(timeout=LOOK_S)
            except Empty:
                self._look()
                continue
            if order is None:
                return
            try:
                self._answer(self._carry_out(order))
            except HeronshimError as error:
                self._answer(_failed(order, str(error)))
            except Exception as error:  # noqa: BLE001 - a plugin's bug must not end the thread
                self._answer(_failed(order, f"{type(error).__name__}: {error}"))

    def _look(self) -> None:
        try:
            self._scheduler.status()
            trouble = ""
        except Exception as error:  # noqa: BLE001 - a plugin's bug must not end the thread
            trouble = str(error)
        if trouble != self._trouble:
            level = "WARNING" if trouble else "INFO"
            log_event(level, "scheduler_status", cause=trouble or "it answers again")
            self._trouble = trouble

    def _carry_out(self, order: Order) -> Answer:
        if isinstance(order, AddContainers):
            self._scheduler.add_containers(order.plans, self._launch)
            return ContainersAdded()
        # Its own id: an earlier leader may have ordered the same for the same command.
        self._scheduler.restart(order.ids, order.request_id)
        return RestartAnswered(order.request_id)

    def _answer(self, answer: Answer) -> None:
        self._answers.append(answer)
        os.eventfd_write(self._wake, 1)


def _failed(order: Order, cause: str) -> Answer:
    if isinstance(order, AddContainers):
        return ContainersNotAdded(cause)
    return RestartAnswered(order.request_id, cause)
