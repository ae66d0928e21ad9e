"""Errors as people and programs read them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from heronshim.cli.errors import error_lines, group_value
from heronshim.core.master.error_groups import group_errors
from heronshim.core.spi.events import EventKind, EventRecord
from heronshim.core.spi.metrics_sink import ErrorRecord

ERROR = ErrorRecord(
    time_ms=1_700_000_060_000,
    task=3,
    component="count",
    message="KeyError: 'x'\nsecond line",
    detail='Traceback\n  File "/h/package/words.py", line 16, in execute\nKeyError',
    count=1,
    fingerprint="9f86d081884c",
    first_ms=1_700_000_000_000,
    in_hand="Tuple(['x'], split:default task 1)",
    process="count-3",
    host="h1",
)


def shown(error: ErrorRecord, *, full: bool = False) -> list[str]:
    (group,) = group_errors([error])
    return [line.plain for line in error_lines(group, full=full)]


def test_group_is_shown_with_all_that_is_known() -> None:
    head, seen, where, in_hand, place, end = shown(replace(ERROR, count=12))
    assert head == "count  KeyError: 'x'"
    assert seen.startswith("  seen  12 times, first 2023-11-1")
    assert where == "  in    task 3; count-3; on h1   [9f86d081884c]"
    assert in_hand == "  tuple Tuple(['x'], split:default task 1)"
    assert place == "  at    words.py:16 in execute"
    assert end == ""
    assert shown(ERROR)[1].startswith("  seen  once, 2023-11-1")


def test_whole_trace_is_shown_when_asked() -> None:
    assert shown(ERROR, full=True)[-4:] == [
        "    Traceback",
        '      File "/h/package/words.py", line 16, in execute',
        "    KeyError",
        "",
    ]


def test_last_lines_are_shown_when_no_place_is_known() -> None:
    event = EventRecord(
        "1", 5, EventKind.PROCESS_DIED, "stmgr-1", 1, "h1", cause="exit 7", detail="a\nb\nc\nd\n"
    )
    (group,) = group_errors([], [event])
    lines = [line.plain for line in error_lines(group, full=False)]
    assert lines[0] == "stmgr-1  process died: exit 7"
    assert lines[-4:] == ["    b", "    c", "    d", ""]


def test_texts_of_others_cannot_act_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = replace(
        ERROR,
        component="\x1b[2J",
        message="a\x07[red]",
        in_hand="\x9b[\u202e",
        host="\r\nheronshim: forged",
        detail="\x1b]0;x\x07",
    )
    console = Console(soft_wrap=True)
    for full in (False, True):
        for line in error_lines(group_errors([hostile])[0], full=full):
            console.print(line)
    out = capsys.readouterr().out
    assert [line for line in out.split("\n") if not line.isprintable()] == []
    assert "[red]" in out


def test_json_keeps_its_shape() -> None:
    value = group_value(group_errors([ERROR])[0])
    assert set(value) == {
        "fingerprint", "component", "message", "count", "first_ms", "time_ms", "task", "tasks",
        "processes", "hosts", "death", "in_hand", "place", "detail",
    }  # fmt: skip
    assert value["place"] == {"file": "words.py", "line": 16, "function": "execute"}
    bare = group_value(group_errors([ErrorRecord(1, 0, "", "m", "", 1, "f")])[0])
    assert [bare[name] for name in ("component", "task", "in_hand", "place")] == [None] * 4
