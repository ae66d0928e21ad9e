"""What a history says of processes: restarts and their causes."""

from __future__ import annotations

from heronshim.core.master.process_facts import ProcessFacts, process_facts
from heronshim.core.spi.events import EventKind, EventRecord


def event(
    kind: EventKind, time_ms: int, process: str = "count-3", pid: int = 0, **changes: object
) -> EventRecord:
    numbers = {"pid": float(pid)} if pid else {}
    return EventRecord(f"{time_ms}", time_ms, kind, process, 1, numbers=numbers, **changes)


STARTED = event(EventKind.PROCESS_STARTED, 10, pid=5)
DIED = event(EventKind.PROCESS_DIED, 20, pid=5, cause="exit 7")
REPLACED = event(EventKind.PROCESS_REPLACED, 30, pid=6)


def test_process_that_never_died_has_no_end():
    facts = process_facts([STARTED])
    assert facts["count-3"] == ProcessFacts(pid=5, started_ms=10, container=1)
    assert set(facts) == {"count-3"}


def test_replaced_process_runs_and_its_last_end_is_known():
    facts = process_facts([STARTED, DIED, REPLACED])
    assert facts["count-3"] == ProcessFacts(6, 30, 1, 20, "exit 7", 1)


def test_process_that_is_dead_has_no_pid():
    assert process_facts([STARTED, DIED])["count-3"] == ProcessFacts(0, 10, 0, 20, "exit 7", 1)


def test_death_of_a_container_ends_its_processes_and_no_others():
    facts = process_facts(
        [
            STARTED,
            event(EventKind.PROCESS_STARTED, 11, "stmgr-1", 7),
            event(EventKind.PROCESS_STOPPED, 12, "stmgr-1", 7, cause="stopped, exit 0"),
            EventRecord("x", 13, EventKind.PROCESS_STARTED, "count-4", 2, numbers={"pid": 8.0}),
            event(EventKind.CONTAINER_DIED, 20, "supervisor-1", cause="killed by SIGKILL"),
            event(EventKind.PROCESS_STARTED, 30, pid=9),
        ]
    )
    assert facts["count-3"] == ProcessFacts(
        9, 30, 1, 20, "its container died: killed by SIGKILL", 1
    )
    assert facts["stmgr-1"].cause == "stopped, exit 0"
    assert facts["count-4"].pid == 8


def test_end_without_a_start_in_the_history_is_known():
    """The beginning of a long history is gone."""
    assert process_facts([DIED, REPLACED])["count-3"] == ProcessFacts(6, 30, 1, 20, "exit 7", 1)
