"""Conformance suite of the Scheduler SPI."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from heronshim.core.plan.physical import ContainerPlan, ProcessPlan, Resources
from heronshim.errors import HeronshimError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heronshim.core.spi.scheduler import ContainerStatus, Launch, Scheduler

DEADLINE_S = 60.0
"""How long the scheduler's containers may take to come, go or change before a test fails."""


class SchedulerSuite:
    """Override `launch`, `make` and `left`; override `break_container` too if a test can.

    The containers need not do useful work: whatever the launch's commands run will do, as long
    as it runs until it is stopped.
    """

    def launch(self) -> Launch:
        """Return the launch of the test's topology, the same at each call of one test.

        Nothing of the topology runs at the test's start.
        """
        raise NotImplementedError

    def make(self, launch: Launch) -> Scheduler:
        """Return a new scheduler for a topology; all for one topology see the same containers."""
        raise NotImplementedError

    def left(self, launch: Launch) -> list[str]:
        """Return what there is of a topology: processes, jobs, files, sockets, by name."""
        raise NotImplementedError

    def break_container(self, status: ContainerStatus) -> None:
        """Make a running container end as by a fault, without a call to the scheduler."""
        pytest.skip(f"this suite cannot break container {status.id}")

    @pytest.fixture(autouse=True)
    def _kill_topology(self) -> Iterator[None]:
        yield
        self.open().kill()

    def open(self) -> Scheduler:
        """Return a new scheduler for the test's topology."""
        return self.make(self.launch())

    def plan(self, container: int, tasks: int = 1) -> ContainerPlan:
        """Return a container's plan with one process per task."""
        required = Resources(0.1, 64 << 20, 0)
        return ContainerPlan(
            container,
            tuple(
                ProcessPlan(f"count-{task}", "count", ((task,),), required)
                for task in range(container * 1000 + 1, container * 1000 + 1 + tasks)
            ),
            required,
        )

    def eventually(self, done: Callable[[], object], what: str) -> None:
        """Wait until `done` returns something true; fail after DEADLINE_S."""
        end = time.monotonic() + DEADLINE_S
        while not done():
            assert time.monotonic() < end, f"not within {DEADLINE_S} s: {what}"
            time.sleep(0.02)

    def running(self) -> dict[int, ContainerStatus]:
        """Return the containers that run, by id."""
        return {status.id: status for status in self.open().status() if status.running}

    def start(self, *plans: ContainerPlan) -> Scheduler:
        """Start container 0 and others, and wait until they run."""
        scheduler = self.open()
        scheduler.start_master(self.launch())
        scheduler.add_containers(plans, self.launch())
        wanted = {0, *(plan.id for plan in plans)}
        self.eventually(lambda: set(self.running()) == wanted, f"containers {wanted} run")
        return scheduler

    # Starting.

    def test_status_before_anything_was_started_is_empty(self) -> None:
        assert self.open().status() == []

    def test_start_master_starts_container_zero(self) -> None:
        self.start()
        status = self.running()[0]
        assert status.restarts == 0

    def test_start_master_twice_starts_once(self) -> None:
        scheduler = self.start()
        pid = self.running()[0].pid
        scheduler.start_master(self.launch())
        self.open().start_master(self.launch())
        assert [(item.id, item.pid, item.restarts) for item in scheduler.status()] == [(0, pid, 0)]

    def test_add_containers_starts_them(self) -> None:
        scheduler = self.start(self.plan(1), self.plan(2))
        assert [status.id for status in scheduler.status()] == [0, 1, 2]

    def test_add_of_a_running_container_with_the_same_plan_leaves_it_alone(self) -> None:
        scheduler = self.start(self.plan(1))
        before = self.running()[1]
        scheduler.add_containers([self.plan(1), self.plan(2)], self.launch())
        self.eventually(lambda: 2 in self.running(), "container 2 runs")
        assert self.running()[1] == before

    def test_add_of_a_running_container_with_another_plan_restarts_it(self) -> None:
        scheduler = self.start(self.plan(1))
        before = self.running()[1]
        scheduler.add_containers([self.plan(1, tasks=2)], self.launch())
        self.eventually(lambda: self._is_restarted(before), "container 1 runs anew")

    def test_add_of_no_container_does_nothing(self) -> None:
        scheduler = self.start()
        scheduler.add_containers([], self.launch())
        assert [status.id for status in scheduler.status()] == [0]

    # Stopping.

    def test_remove_stops_a_container_for_good(self) -> None:
        scheduler = self.start(self.plan(1), self.plan(2))
        kept = self.running()[2]
        scheduler.remove_containers([1])
        self.eventually(lambda: set(self.running()) == {0, 2}, "container 1 is gone")
        self.eventually(lambda: len(scheduler.status()) == 2, "container 1 is forgotten")
        assert self.running()[2] == kept

    def test_remove_twice_or_of_an_unknown_container_does_nothing(self) -> None:
        scheduler = self.start(self.plan(1))
        scheduler.remove_containers([1, 77])
        scheduler.remove_containers([1])
        self.eventually(lambda: set(self.running()) == {0}, "container 1 is gone")

    def test_removed_container_can_be_added_again(self) -> None:
        scheduler = self.start(self.plan(1))
        before = self.running()[1]
        scheduler.remove_containers([1])
        scheduler.add_containers([self.plan(1)], self.launch())
        self.eventually(lambda: 1 in self.running(), "container 1 runs again")
        self.eventually(lambda: self.running()[1].pid != before.pid, "with a new supervisor")

    # Restarting.

    def test_restart_starts_the_named_container_anew(self) -> None:
        scheduler = self.start(self.plan(1), self.plan(2))
        before = self.running()
        scheduler.restart([1])
        self.eventually(lambda: self._is_restarted(before[1]), "container 1 runs anew")
        assert {number: self.running()[number] for number in (0, 2)} == {
            number: before[number] for number in (0, 2)
        }

    def test_restart_of_none_restarts_all_but_container_zero(self) -> None:
        scheduler = self.start(self.plan(1), self.plan(2))
        before = self.running()
        scheduler.restart([])
        for number in (1, 2):
            self.eventually(
                lambda number=number: self._is_restarted(before[number]),  # type: ignore[misc]
                f"container {number} runs anew",
            )
        assert self.running()[0] == before[0]

    def test_restart_that_is_repeated_with_its_request_id_is_done_once(self) -> None:
        scheduler = self.start(self.plan(1))
        before = self.running()[1]
        scheduler.restart([1], "a1b2")
        self.eventually(lambda: self._is_restarted(before), "container 1 runs anew")
        after = self.running()[1]
        scheduler.restart([1], "a1b2")
        self.open().restart([1], "a1b2")
        # Whatever was done for them comes before this.
        scheduler.add_containers([self.plan(2)], self.launch())
        self.eventually(lambda: 2 in self.running(), "container 2 runs")
        assert self.running()[1] == after
        self.open().restart([1], "a1b3")
        self.eventually(lambda: self._is_restarted(after), "container 1 runs anew for another")

    def test_restart_of_an_unknown_container_is_refused(self) -> None:
        scheduler = self.start(self.plan(1))
        before = self.running()
        with pytest.raises(HeronshimError, match="77"):
            scheduler.restart([1, 77])
        assert self.running() == before

    def test_container_that_breaks_is_started_again_and_the_cause_is_told(self) -> None:
        self.start(self.plan(1))
        before = self.running()[1]
        self.break_container(before)
        self.eventually(lambda: self._is_restarted(before), "container 1 runs anew")
        assert self.running()[1].cause

    def _is_restarted(self, before: ContainerStatus) -> bool:
        now = self.running().get(before.id)
        return now is not None and now.restarts > before.restarts and now.pid != before.pid

    # Killing.

    def test_kill_leaves_nothing(self) -> None:
        scheduler = self.start(self.plan(1), self.plan(2))
        assert self.left(self.launch())
        scheduler.kill()
        assert self.left(self.launch()) == []
        assert scheduler.status() == []

    def test_kill_right_after_the_orders_leaves_nothing(self) -> None:
        scheduler = self.open()
        scheduler.start_master(self.launch())
        scheduler.add_containers([self.plan(1), self.plan(2)], self.launch())
        scheduler.kill()
        assert self.left(self.launch()) == []

    def test_kill_twice_or_of_nothing_does_nothing(self) -> None:
        scheduler = self.open()
        scheduler.kill()
        self.start(self.plan(1))
        self.open().kill()
        scheduler.kill()
        assert self.left(self.launch()) == []

    def test_orders_after_a_kill_are_refused(self) -> None:
        scheduler = self.start(self.plan(1))
        scheduler.kill()
        with pytest.raises(HeronshimError):
            scheduler.add_containers([self.plan(1)], self.launch())
        with pytest.raises(HeronshimError):
            scheduler.restart([1])
        assert self.left(self.launch()) == []
