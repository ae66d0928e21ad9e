"""Scheduler calls run in their order in a thread; each is answered, whatever it raises."""

from __future__ import annotations

import select
import threading
import time

import pytest

from heronshim.core.daemons import scheduler_thread
from heronshim.core.daemons.scheduler_thread import SchedulerThread
from heronshim.core.master.events import (
    AddContainers,
    ContainersAdded,
    ContainersNotAdded,
    RestartAnswered,
    RestartContainers,
)
from heronshim.core.spi.scheduler import Launch
from heronshim.errors import SchedulerError

DEADLINE_S = 20.0
LAUNCH = Launch("words", "words-1", "/w", "/s", "/secret", "python", "file")


class ScriptedScheduler:
    def __init__(self) -> None:
        self.calls = []
        self.looks = []
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def add_containers(self, plans, launch) -> None:
        self._called("add", plans, launch)

    def restart(self, ids, request_id) -> None:
        self._called("restart", ids, request_id)

    def status(self) -> list:
        self.looks.append(1)
        if self.error:
            raise self.error
        return []

    def _called(self, *call: object) -> None:
        self.gate.wait(DEADLINE_S)
        self.calls.append(call)
        if self.error:
            raise self.error


@pytest.fixture
def scheduler():
    return ScriptedScheduler()


@pytest.fixture
def thread(scheduler):
    thread = SchedulerThread(scheduler, LAUNCH)
    yield thread
    scheduler.gate.set()
    thread.stop()


def answers(thread: SchedulerThread, count: int) -> list:
    found = []
    end = time.monotonic() + DEADLINE_S
    while len(found) < count:
        left_s = end - time.monotonic()
        assert left_s > 0, f"only {found} came"
        select.select([thread], [], [], left_s)
        found += thread.take_answers()
    return found


def test_orders_are_carried_out_and_answered_in_order(thread, scheduler):
    thread.order(AddContainers(()))
    thread.order(RestartContainers("r1", (1, 2)))
    assert answers(thread, 2) == [ContainersAdded(), RestartAnswered("r1")]
    assert scheduler.calls == [("add", (), LAUNCH), ("restart", (1, 2), "r1")]
    assert thread.take_answers() == []


@pytest.mark.parametrize(
    ("error", "cause"),
    [(SchedulerError("no launcher"), "no launcher"), (KeyError("x"), "KeyError: 'x'")],
)
def test_failure_is_an_answer_and_the_thread_goes_on(thread, scheduler, error, cause):
    scheduler.error = error
    thread.order(AddContainers(()))
    thread.order(RestartContainers("r1", (1,)))
    assert answers(thread, 2) == [ContainersNotAdded(cause), RestartAnswered("r1", cause)]
    scheduler.error = None
    thread.order(AddContainers(()))
    assert answers(thread, 1) == [ContainersAdded()]


def test_orders_beyond_the_limit_fail_at_once(scheduler, monkeypatch):
    monkeypatch.setattr(scheduler_thread, "ORDERS_MAX", 1)
    scheduler.gate.clear()
    thread = SchedulerThread(scheduler, LAUNCH)
    for number in range(4):
        thread.order(RestartContainers(f"r{number}", (1,)))
    refused = answers(thread, 2)
    assert all("over 1 orders wait" in answer.cause for answer in refused)
    scheduler.gate.set()
    assert len(answers(thread, 4 - len(refused))) == 4 - len(refused)
    thread.stop()


@pytest.mark.parametrize("error", [None, SchedulerError("no launcher"), KeyError("x")])
def test_without_orders_it_looks_after_the_scheduler_again_and_again(scheduler, monkeypatch, error):
    monkeypatch.setattr(scheduler_thread, "LOOK_S", 0.001)
    scheduler.error = error
    thread = SchedulerThread(scheduler, LAUNCH)
    end = time.monotonic() + DEADLINE_S
    while len(scheduler.looks) < 3:
        assert time.monotonic() < end
        time.sleep(0.001)
    scheduler.error = None
    thread.order(AddContainers(()))
    assert answers(thread, 1) == [ContainersAdded()]
    thread.stop()
