"""Log lines: one event is one printable line, whatever its values hold."""

from __future__ import annotations

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.io.logs import VALUE_CHARACTERS_MAX, log_event, log_value


@given(st.text())
def test_value_is_printable_whatever_it_holds(text: str) -> None:
    """CVE-2021-42010: a value with a line feed forged log lines."""
    assert log_value(text).isprintable()


@given(st.text(), st.text())
def test_different_short_values_are_written_differently(one: str, other: str) -> None:
    assert (log_value(one) == log_value(other)) == (one == other)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("words-1", "words-1"),
        (3, "3"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "x"', '"say \\"x\\""'),
        ("a\nb\tc", '"a\\nb\\tc"'),
        ("\x1b[2J", '"\\u001b[2J"'),
        ("\u202ex", '"\\u202ex"'),
        ("\u2028", '"\\u2028"'),
    ],
)
def test_value_is_quoted_and_escaped(value: object, written: str) -> None:
    assert log_value(value) == written


def test_long_value_is_cut() -> None:
    assert len(log_value("x" * 100_000)) < VALUE_CHARACTERS_MAX + 100


def test_event_is_one_line_with_its_fields_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    log_event("INFO", "child_started", process="count-3", pid=7, note="a\nb")
    line = capsys.readouterr().err
    assert line.endswith(' INFO event=child_started process=count-3 pid=7 note="a\\nb"\n')
    assert line.count("\n") == 1


def test_closed_stream_does_not_end_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    log_event("INFO", "child_started")
