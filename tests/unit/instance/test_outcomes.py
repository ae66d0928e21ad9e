"""Outcomes on their way to spouts: acks of one root combined, order kept against fails."""

from __future__ import annotations

import pytest

from heronshim.core.codec.data import decode_outcomes
from heronshim.core.stream.frame import Kind
from heronshim.instance.outcomes import ACK, FAIL, RESET, OutcomeBuffer, of_one_task
from tests.unit.instance.loop import column

BOLT = 9
TASK_SHIFT = 48


def root(task: int, number: int) -> int:
    return (task << TASK_SHIFT) | number


def pack(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(8, "little") for number in numbers)


@pytest.fixture
def buffer() -> OutcomeBuffer:
    return OutcomeBuffer(BOLT)


def taken(buffer: OutcomeBuffer) -> list[tuple[int, list[tuple[int, int, int]]]]:
    """Return (destination, [(kind, root, xor)]) of each frame."""
    frames = []
    for kind, destination, source, payload in buffer.take():
        assert (kind, source) == (Kind.OUTCOMES, BOLT)
        outcomes = decode_outcomes(payload)
        roots = column(outcomes.roots)
        assert not outcomes.distinct or len(set(roots)) == len(roots)
        kinds = outcomes.kinds or bytes(len(roots))
        frames.append((destination, list(zip(kinds, roots, column(outcomes.xors), strict=True))))
    return frames


def test_acks_of_one_root_are_combined(buffer):
    buffer.ack(root(1, 5), 0b0011)
    buffer.ack(root(1, 6), 1)
    buffer.ack(root(1, 5), 0b0110)
    assert taken(buffer) == [(1, [(ACK, root(1, 5), 0b0101), (ACK, root(1, 6), 1)])]
    assert taken(buffer) == []


def test_each_spout_task_gets_its_own(buffer):
    buffer.ack(root(2, 5), 1)
    buffer.ack(root(1, 5), 2)
    buffer.ack(root(2, 6), 3)
    assert taken(buffer) == [
        (2, [(ACK, root(2, 5), 1), (ACK, root(2, 6), 3)]),
        (1, [(ACK, root(1, 5), 2)]),
    ]


def test_highest_task_has_its_sign_bit_as_a_number():
    buffer = OutcomeBuffer(BOLT)
    buffer.ack(root(0xFFFF, 5), 1)
    assert taken(buffer)[0][0] == 0xFFFF


def test_acks_before_a_fail_go_before_it(buffer):
    buffer.ack(root(1, 5), 1)
    buffer.fail(root(1, 5))
    buffer.ack(root(1, 6), 2)
    assert [outcome for _, part in taken(buffer) for outcome in part] == [
        (ACK, root(1, 5), 1),
        (FAIL, root(1, 5), 0),
        (ACK, root(1, 6), 2),
    ]


def test_reset_is_an_outcome_of_its_own(buffer):
    buffer.reset_timeout(root(3, 5))
    assert taken(buffer) == [(3, [(RESET, root(3, 5), 0)])]


def test_second_ack_of_one_tuple_is_not_combined_to_nothing(buffer):
    """The first may complete the tree (Storm 21c: the second is then silent)."""
    buffer.ack(root(1, 5), 7)
    buffer.ack(root(1, 5), 7)
    assert [part for _, part in taken(buffer)] == [
        [(ACK, root(1, 5), 7)],
        [(ACK, root(1, 5), 7)],
    ]


def test_echo_is_the_batch_column_behind_what_came_before(buffer):
    buffer.ack(root(2, 1), 9)
    buffer.echo(pack(root(2, 5), root(2, 6)), pack(1, 2), distinct=True)
    assert taken(buffer) == [
        (2, [(ACK, root(2, 1), 9)]),
        (2, [(ACK, root(2, 5), 1), (ACK, root(2, 6), 2)]),
    ]


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [((1,), True), ((1, 1), True), ((1, 2), False), ((1, 257), False), ((1, 1, 2), False)],
)
def test_column_of_one_task_is_known_from_its_bytes(tasks, expected):
    numbers = [root(task, 0xFFFFFF + position) for position, task in enumerate(tasks)]
    assert of_one_task(pack(*numbers)) is expected
