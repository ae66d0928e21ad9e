"""Events as people read them: words, colours, numbers with units, and nothing that acts."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from heronshim.cli.event_words import details, number_text, what, who
from heronshim.cli.events import WHAT_WIDTH, EventPrinter, event_value
from heronshim.core.spi.events import EventKind, EventRecord

DIED = EventRecord(
    id="supervisor-1.5.000001",
    time_ms=1_700_000_000_000,
    kind=EventKind.PROCESS_DIED,
    process="count-3",
    container=1,
    host="h",
    component="count",
    task=3,
    cause="killed by SIGSEGV",
    detail="Fatal Python error\n  File \x1b[31m\r\n",
    numbers={"signal": 11.0, "pid": 4711.0, "lived_s": 12.25, "cpu_time_us": 5.0},
)


@pytest.mark.parametrize("kind", EventKind)
def test_each_kind_has_words_that_fit_the_column(kind: EventKind) -> None:
    words, _ = what(EventRecord("1", 1, kind))
    assert words
    assert "_" not in words
    assert len(words) <= WHAT_WIDTH


def test_details_are_the_cause_and_the_numbers_that_tell_something() -> None:
    assert details(DIED) == "killed by SIGSEGV, pid 4711, lived 12.2 s"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("restart_in_s", 0.1, "next start in 0.1 s"),
        ("trees", 12345.0, "12,345 trees"),
        ("queue_bytes", 3 << 20, "queue 3.0 MiB"),
        ("silent_ms", 2500.0, "silent 2,500.0 ms"),
        ("window_us", 2500.0, "window 2.5 ms"),
        ("sinks", 2.0, "sinks 2"),
        ("share", 0.125, "share 0.125"),
        ("incarnation", 4.0, ""),
    ],
)
def test_number_is_told_with_its_unit(name: str, value: float, text: str) -> None:
    assert number_text(name, value) == text


def test_task_is_named_where_the_process_does_not_name_it() -> None:
    assert who(DIED) == "count-3"
    assert who(EventRecord("1", 1, "k", "stmgr-1", task=3)) == "stmgr-1 task 3"


def test_printed_lines_stand_under_their_heads(capsys: pytest.CaptureFixture[str]) -> None:
    died = replace(DIED, time_ms=time.time_ns() // 1_000_000 - 3_600_000 * 2)
    show = EventPrinter([died], full=True, ages=True)
    show(died)
    head, line, *detail = capsys.readouterr().out.splitlines()
    for word, column in (("AGE", "2 h"), ("PROCESS", "count-3"), ("EVENT", "died"),
                         ("DETAILS", "killed by")):  # fmt: skip
        assert line.index(column, head.index(word)) == head.index(word)
    assert detail == ["    Fatal Python error", "      File \\x1b[31m"]


def test_texts_of_others_cannot_act_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = EventRecord(
        "1", 1, "\x1b[2Jk", "p\x07[red]\u202e", cause="a\nb\r[/]", detail="\x9b2J[bold]",
        numbers={"\x1b": 1.0},
    )  # fmt: skip
    EventPrinter([hostile], full=True, ages=True)(hostile)
    out = capsys.readouterr().out
    assert out.isascii()
    assert [line for line in out.splitlines() if not line.isprintable()] == []
    assert "p\\x07[red]\\u202e" in out
    assert "[bold]" in out


def test_event_of_another_day_shows_its_date(capsys: pytest.CaptureFixture[str]) -> None:
    old = EventRecord("1", 1_700_000_000_000, EventKind.LEADER_TAKEN, "tmaster")
    EventPrinter([old], full=False, ages=True)(old)
    assert capsys.readouterr().out.splitlines()[1].startswith("2023-11-1")


def test_what_does_not_apply_is_null_in_json() -> None:
    value = event_value(EventRecord("1", 1, EventKind.LEADER_TAKEN, "tmaster"))
    assert (value["task"], value["component"], value["host"]) == (None, None, None)
    assert value["process"] == "tmaster"
    assert event_value(DIED)["task"] == 3
