"""Incarnations and restart waits: numbers that only grow."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.io.backoff import FIRST_NS, MAX_NS, RESET_NS, RestartBackoff
from heronshim.core.io.incarnation import IncarnationCounter
from heronshim.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path


def test_incarnations_grow_over_supervisor_restarts(tmp_path: Path) -> None:
    path = tmp_path / "incarnation"
    first = IncarnationCounter(path)
    assert [first.next(), first.next()] == [1, 2]
    assert IncarnationCounter(path).next() == 3


@pytest.mark.parametrize(
    "content", [b"", b"x", b"-5", b"7\n", b"9" * 30, b"\xff\xfe", b"7 00000000\n", b"7" * 10_000]
)
def test_damaged_counter_goes_on_above_all_earlier_numbers(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "incarnation"
    path.write_bytes(content)
    number = IncarnationCounter(path).next()
    assert number > 1_000_000_000
    assert IncarnationCounter(path).next() == number + 1


def test_no_cut_or_flipped_counter_gives_a_number_twice(tmp_path: Path) -> None:
    path = tmp_path / "incarnation"
    counter = IncarnationCounter(path)
    last = [counter.next() for _ in range(91)][-1]
    whole = path.read_bytes()
    flipped = [
        whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
        for at in range(len(whole))
        for bit in range(8)
    ]
    for content in [*(whole[:length] for length in range(len(whole))), *flipped]:
        path.write_bytes(content)
        assert IncarnationCounter(path).next() > last


def test_counter_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "incarnation")
    with pytest.raises(StateError, match="is no regular file; remove it"):
        IncarnationCounter(tmp_path / "incarnation")


def test_counter_that_cannot_be_stored_gives_no_number(tmp_path: Path) -> None:
    counter = IncarnationCounter(tmp_path / "gone" / "incarnation")
    with pytest.raises(StateError, match="cannot be written"):
        counter.next()


def test_waits_double_up_to_the_longest() -> None:
    backoff = RestartBackoff()
    waits = [backoff.next_ns(0) for _ in range(8)]
    assert waits == [min(FIRST_NS << number, MAX_NS) for number in range(8)]


@given(st.lists(st.integers(0, 2 * RESET_NS)))
def test_wait_starts_over_after_a_long_life(lives: list[int]) -> None:
    backoff = RestartBackoff()
    for lived_ns in lives:
        before = backoff.waited_ns
        wait = backoff.next_ns(lived_ns)
        assert FIRST_NS <= wait <= MAX_NS
        assert wait == FIRST_NS if lived_ns >= RESET_NS else wait >= before
