"""Errors and deaths are grouped by cause; a death's cause is how it ended and where in the code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heronshim.core.master.error_groups import Place, frames_of, group_errors
from heronshim.core.spi.events import EventKind, EventRecord
from heronshim.core.spi.metrics_sink import ErrorRecord

TRACEBACK = """Traceback (most recent call last):
  File "/x/heronshim/instance/bolt_task.py", line 262, in _run_chunk
    self._execute_rows(work, rows)
  File "/h/container-1/package/app/words.py", line 16, in execute
    return json.loads(tup[0])
  File "/usr/lib/python3.11/json/decoder.py", line 355, in raw_decode
    raise JSONDecodeError
json.decoder.JSONDecodeError: Expecting value
"""
CRASH = """Fatal Python error: Segmentation fault

Thread 0x00007fcb40f986c0 (most recent call first):
  File "/x/heronshim/instance/main.py", line 214 in _cover
  File "/usr/lib/python3.11/threading.py", line 975 in run

Current thread 0x00007fcb433a12c0 (most recent call first):
  File "/usr/lib/python3.11/ctypes/__init__.py", line 519 in string_at
  File "/h/container-1/package/words.py", line 21 in execute
  File "/x/heronshim/instance/main.py", line 106 in run

Extension modules: zmq (total: 3)
"""
ERROR = ErrorRecord(9, 1, "split", "KeyError: 'x'", TRACEBACK, 3, "f1", 4, "Tuple", "split-1", "h1")
DIED = EventRecord(
    "supervisor-1.1.000001",
    20,
    EventKind.PROCESS_DIED,
    "count-3",
    1,
    "h1",
    "count",
    3,
    "killed by SIGSEGV",
    CRASH,
    {"pid": 7.0, "signal": 11.0},
)


def died(number: int, **changes: object) -> EventRecord:
    return replace(DIED, id=f"supervisor-1.1.{number:06d}", time_ms=20 + number, **changes)


def test_errors_of_one_fingerprint_are_a_group():
    other = replace(ERROR, task=2, time_ms=12, count=2, first_ms=0, process="split-2", host="h2")
    (group,) = group_errors([ERROR, other])
    assert (group.count, group.first_ms, group.last_ms, group.task) == (5, 4, 12, 2)
    assert (group.tasks, group.processes, group.hosts) == (
        (1, 2),
        ("split-1", "split-2"),
        ("h1", "h2"),
    )
    assert not group.is_death


def test_place_is_the_innermost_one_of_the_author():
    (group,) = group_errors([ERROR])
    assert str(group.place) == "app/words.py:16 in execute"
    (group,) = group_errors([replace(ERROR, detail=TRACEBACK.replace("/package/", "/lib/"))])
    assert str(group.place) == "json/decoder.py:355 in raw_decode"
    assert group_errors([replace(ERROR, detail="")])[0].place is None


def test_frames_of_a_crash_are_those_of_the_thread_that_crashed():
    assert frames_of(CRASH)[-2:] == [
        Place("/h/container-1/package/words.py", 21, "execute"),
        Place("/usr/lib/python3.11/ctypes/__init__.py", 519, "string_at"),
    ]
    assert len(frames_of(CRASH)) == 3


def test_deaths_are_grouped_and_come_with_cause_and_place():
    events = [
        DIED,
        died(1, process="count-4", task=4, host="h2", detail=CRASH.replace("container-1", "c-2")),
        died(2, kind=EventKind.PROCESS_REPLACED),
        died(3, kind=EventKind.PROCESS_STOPPED),
    ]
    error, death = sorted(group_errors([ERROR], events), key=lambda group: group.is_death)
    assert error.component == "split"
    assert (death.component, death.message) == ("count", "process died: killed by SIGSEGV")
    assert (death.count, death.first_ms, death.last_ms) == (2, 20, 21)
    assert (death.tasks, death.hosts) == ((3, 4), ("h1", "h2"))
    assert str(death.place) == "words.py:21 in execute"


@pytest.mark.parametrize(
    "changes",
    [
        {"component": "split"},
        {"cause": "killed by SIGKILL"},
        {"detail": CRASH.replace("line 21", "line 22")},
        {"detail": ""},
        {"kind": EventKind.PROCESS_NOT_STARTED},
    ],
)
def test_death_of_another_cause_is_another_group(changes):
    assert len(group_errors([], [DIED, died(1, **changes)])) == 2


def test_exit_codes_are_told_apart_and_amounts_of_memory_are_not():
    exits = [died(n, cause=f"exit {n}", numbers={"exit_code": n}, detail="") for n in (1, 7)]
    assert len(group_errors([], exits)) == 2
    strikes = [
        died(
            n,
            cause=f"killed at its memory limit, it held {n}",
            detail=CRASH.replace("line 21", f"line {n}"),
            numbers={"memory_limit_bytes": 9.0},
        )
        for n in (111, 222)
    ]
    assert len(group_errors([], strikes)) == 1


def test_deaths_of_stream_managers_of_two_containers_have_one_cause():
    events = [died(n, process=f"stmgr-{n}", component="", task=0, detail="") for n in (1, 2)]
    (group,) = group_errors([], events)
    assert (group.component, group.tasks, group.processes) == ("", (), ("stmgr-1", "stmgr-2"))
