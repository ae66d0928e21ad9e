"""Nothing that authors or peers wrote acts on a terminal or forges a line, in any output."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heronshim.cli.output import json_text, note, print_error, print_json, print_line, print_table
from heronshim.core.io.logs import event_line

HOSTILE = [
    "\n2026-01-01T00:00:00.000Z INFO event=forged",
    "\r\x1b[2J\x1b]0;title\x07",
    "\x9b31m", "\x7f", "\x85next", "\u2028line\u2029paragraph",
    "\u202eright to left\u2066isolate\u200fmark\ufeff\U000e0001",
    'event=x level="ERROR" \\', "\0", "\ud800",
]  # fmt: skip
texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(),
    st.text(st.characters(categories=["Cc", "Cf", "Co", "Cn", "Z"])),
)


def harmless(text: str, line_ends: int) -> None:
    """Check that text is printable but for so many line ends."""
    assert text.count("\n") == line_ends
    assert text.replace("\n", "").isprintable(), ascii(text)


@given(texts, texts)
def test_a_logged_word_stays_within_its_line(first: str, second: str) -> None:
    harmless(event_line("INFO", first, name=second), 1)


def printed(call: Any) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        call()
    return out.getvalue(), err.getvalue()


@given(texts, texts)
def test_a_printed_word_stays_within_its_line(first: str, second: str) -> None:
    harmless(printed(lambda: print_line(first.replace("\t", "")))[0], 1)
    harmless(printed(lambda: note(first.replace("\t", "")))[1], 1)
    rows = [[first.replace("\t", ""), 1], [second.replace("\t", ""), 2]]
    harmless(printed(lambda: print_table(["name", "count"], rows))[0], 3)


@given(texts)
def test_an_error_begins_no_line_of_its_own(text: str) -> None:
    _, err = printed(lambda: print_error(text.replace("\t", ""), exit_code=1, as_json=False))
    first, *others = err.splitlines()
    assert first.startswith("heronshim: ")
    assert all(line.startswith("           ") for line in others)
    assert err.replace("\n", "").isprintable(), ascii(err)
    harmless(printed(lambda: print_error(text, exit_code=1, as_json=True))[1], 1)


@given(st.recursive(texts | st.integers() | st.none(),
                    lambda inner: st.lists(inner) | st.dictionaries(texts, inner)))  # fmt: skip
def test_json_is_printable_and_says_the_same(value: Any) -> None:
    text = json_text(value)
    harmless(text, 0)
    assert json.loads(text) == value
    shown = printed(lambda: print_json(value))[0]
    assert shown.replace("\n", "").isprintable()
    assert json.loads(shown) == value


@pytest.mark.parametrize("text", HOSTILE)
def test_known_attacks(text: str) -> None:
    harmless(event_line("ERROR", "x", cause=text), 1)
    harmless(json_text({text: text}), 0)
