"""Rows on their way out: batches by size, what waits for credit, rows that cannot be written."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heronshim.core.codec.data import decode_batch
from heronshim.core.stream.ack_tracker import FAIL, AckTracker
from heronshim.core.stream.frame import Kind
from heronshim.instance.outbox import (
    BATCH_BYTES_LIMIT,
    FIRST_ROWS_MAX,
    HELD_US,
    SLOW_US,
    OpenBatch,
    Outbox,
    edge_source,
    tracked_count,
)
from tests.unit.instance.loop import column

SOURCE, TARGET, OTHER = 3, 7, 8


class Owner:
    """Keeps what could not be written."""

    def __init__(self) -> None:
        self.faults: list[tuple[str, list[Any], Any]] = []

    def on_unwritable(self, error: Exception, ids: Any, roots: Any) -> None:
        self.faults.append((str(error), list(ids), roots))


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def outbox() -> Outbox:
    outbox = Outbox(500, 32768)
    for task in (TARGET, OTHER):
        outbox.on_credit(task, 1 << 26, 0)
    return outbox


def open_batch(
    outbox: Outbox, owner: Owner, target: int = TARGET, *, known: bool = True, **kind: Any
) -> OpenBatch:
    """`known`: the target took many rows lately."""
    fields = ("word", "count")
    batch = outbox.open_batch(
        OpenBatch(owner, "line", "default", fields, SOURCE, target, **kind)  # type: ignore[arg-type]
    )
    if known:
        batch.to.pace.took(1 << 20, 0)
    return batch


def sent_rows(outbox: Outbox, target: int = TARGET) -> list[list[Any]]:
    """Return the rows of all frames to a target, and forget the frames."""
    rows = []
    for kind, task, source, payload in outbox.frames:
        assert (kind, source) == (Kind.DATA, SOURCE)
        if task == target:
            rows += decode_batch(payload)[1]
    outbox.frames = [frame for frame in outbox.frames if frame[1] != target]
    return rows


class TestBatches:
    def test_flush_makes_one_frame_of_each_batch(self, outbox, owner):
        open_batch(outbox, owner).rows.extend([["a", 1], ["b", 2]])
        open_batch(outbox, owner, OTHER).rows.append(["c", 3])
        outbox.flush(0)
        assert [(kind, task) for kind, task, _, _ in outbox.frames] == [
            (Kind.DATA, TARGET),
            (Kind.DATA, OTHER),
        ]
        batch, rows = decode_batch(outbox.frames[0][3])
        assert (batch.component, batch.stream, batch.row_count) == ("line", "default", 2)
        assert rows == [["a", 1], ["b", 2]]
        assert outbox.open_rows() == 0
        assert outbox.emitted_rows == 3

    def test_only_full_batches_leave_when_asked_so(self, outbox, owner):
        full, other = open_batch(outbox, owner), open_batch(outbox, owner, OTHER)
        full.rows.extend([["a", 1]] * FIRST_ROWS_MAX)
        other.rows.append(["b", 1])
        outbox.flush(0, only_full=True)
        assert len(sent_rows(outbox)) == FIRST_ROWS_MAX
        assert outbox.open_rows() == 1

    @pytest.mark.parametrize(("size", "expected"), [(1, 500), (320, 100), (100_000, 1)])
    def test_batches_take_as_many_rows_as_fit_their_bytes(self, outbox, owner, size, expected):
        batch = open_batch(outbox, owner)
        batch.rows.extend([["x" * size, 1]] * 10)
        outbox.flush(0)
        assert batch.rows_max == pytest.approx(expected, rel=0.05)

    def test_tuples_and_named_tuples_are_rows(self, outbox, owner):
        class Row(NamedTuple):
            word: str
            count: int

        open_batch(outbox, owner).rows.extend([("a", 1), Row("b", 2), ["c", 3]])
        outbox.flush(0)
        assert len(outbox.frames) == 1
        assert sent_rows(outbox) == [["a", 1], ["b", 2], ["c", 3]]


class TestColumns:
    def test_trees_open_when_their_rows_leave(self, outbox, owner):
        tracker = AckTracker(SOURCE, Random(1))
        batch = open_batch(outbox, owner, tracker=tracker)
        batch.rows.extend([["a", 1], ["b", 2]])
        batch.ids.extend(["id a", "id b"])
        assert tracker.open_count == 0
        outbox.flush(0)
        assert tracker.open_count == 2
        message, _ = decode_batch(outbox.frames[0][3])
        assert list(message.root_counts) == []
        assert [tracker.is_open(root) for root in column(message.roots)] == [True, True]

    def test_rows_without_an_id_have_no_pair(self, outbox, owner):
        tracker = AckTracker(SOURCE, Random(1))
        batch = open_batch(outbox, owner, tracker=tracker)
        batch.rows.extend([["a", 1], ["b", 2], ["c", 3]])
        batch.ids.extend([None, 0, None])
        outbox.flush(0)
        message, _ = decode_batch(outbox.frames[0][3])
        assert list(message.root_counts) == [0, 1, 0]
        assert len(column(message.roots)) == len(column(message.edges)) == 1
        batch.rows.append(["d", 4])
        batch.ids.append(None)
        outbox.flush(0)
        message, _ = decode_batch(outbox.frames[1][3])
        assert (list(message.root_counts), message.roots, message.edges) == ([], b"", b"")

    def test_row_whose_id_is_not_there_yet_waits(self, outbox, owner):
        """Another thread may flush between the append of a row and that of its id."""
        batch = open_batch(outbox, owner, tracker=AckTracker(SOURCE, Random(1)))
        batch.rows.extend([["a", 1], ["b", 2]])
        batch.ids.append("id a")
        outbox.flush(0)
        assert sent_rows(outbox) == [["a", 1]]
        batch.ids.append("id b")
        outbox.flush(0)
        assert sent_rows(outbox) == [["b", 2]]

    @pytest.mark.parametrize(
        ("rows", "counts", "roots", "edges"),
        [
            ([(11, 1), (12, 2)], [], [11, 12], [1, 2]),
            ([(0, 0), (0, 0)], [], [], []),
            ([(0, 0), (12, 2)], [0, 1], [12], [2]),
            ([((11, 12), (1, 2)), (13, 3), (0, 0)], [2, 1, 0], [11, 12, 13], [1, 2, 3]),
            ([(tuple(range(1, 301)), tuple(range(300)))], [300], [*range(1, 301)], [*range(300)]),
        ],
        ids=["one each", "none", "some", "several", "300 of one row"],
    )
    def test_pairs_of_rows_become_columns(self, outbox, owner, rows, counts, roots, edges):
        batch = open_batch(outbox, owner, paired=True)
        batch.rows.extend([(["a", 1], root, edge) for root, edge in rows])
        outbox.flush(0)
        message, values = decode_batch(outbox.frames[0][3])
        assert values == [["a", 1]] * len(rows)
        assert list(message.root_counts) == counts
        assert column(message.roots) == roots
        assert column(message.edges) == edges

    def test_ids_are_counted_by_what_they_are_not_by_what_they_equal(self):
        class Odd:
            def __eq__(self, other: object) -> bool:
                raise ValueError

            __hash__ = None  # type: ignore[assignment]

        assert tracked_count([None, 0, False, "", (), Odd(), None]) == 5


class TestUnwritable:
    @pytest.mark.parametrize(
        ("bad", "named"),
        [
            (object(), "object"),
            (1 << 64, "2**64"),
            ("\ud800", "surrogates"),
            (1j, "complex"),
        ],
        ids=["object", "int", "text", "complex"],
    )
    def test_only_the_row_with_the_value_fails_by_name(self, outbox, owner, bad, named):
        batch = open_batch(outbox, owner, tracker=AckTracker(SOURCE, Random(1)))
        batch.rows.extend([["a", 1], ["b", [bad]], ["c", 3]])
        batch.ids.extend(["id a", "id b", "id c"])
        outbox.flush(0)
        assert sent_rows(outbox) == [["a", 1], ["c", 3]]
        ((message, ids, _),) = owner.faults
        assert ids == ["id b"]
        assert 'component "line", stream "default", field "count"' in message
        assert named in message

    def test_value_beyond_the_declared_fields_is_named_by_position(self, outbox, owner):
        open_batch(outbox, owner).rows.append(["a", 1, object()])
        outbox.flush(0)
        assert 'field "#2"' in owner.faults[0][0]

    @pytest.mark.parametrize("row", ["text", 5, None, {"word": "a"}], ids=repr)
    def test_row_that_is_no_list_fails_by_type(self, outbox, owner, row):
        open_batch(outbox, owner).rows.extend([["a", 1], row])
        outbox.flush(0)
        assert sent_rows(outbox) == [["a", 1]]
        assert f"a row is a {type(row).__name__}; emit a list" in owner.faults[0][0]

    def test_roots_of_a_pair_row_are_named_to_its_owner(self, outbox, owner):
        open_batch(outbox, owner, paired=True).rows.extend(
            [([object()], (11, 12), (1, 2)), (["a", 1], 13, 3)]
        )
        outbox.flush(0)
        assert [roots for _, _, roots in owner.faults] == [(11, 12)]
        message, _ = decode_batch(outbox.frames[0][3])
        assert column(message.roots) == [13]

    def test_row_over_the_limit_fails_and_the_others_are_split(self, outbox, owner):
        large = bytes(BATCH_BYTES_LIMIT // 2 + 1)
        open_batch(outbox, owner).rows.extend(
            [[large, 1], [large, 2], [bytes(BATCH_BYTES_LIMIT), 3], ["small", 4]]
        )
        outbox.flush(0)
        assert len(outbox.frames) == 3
        assert [row[1] for row in sent_rows(outbox)] == [1, 2, 4]
        assert f"is over {BATCH_BYTES_LIMIT}" in owner.faults[0][0]


class TestCredit:
    def test_rows_wait_in_order_until_credit_comes(self, owner):
        outbox = Outbox(500, 32768)
        batch = open_batch(outbox, owner)
        for number in range(3):
            batch.rows.append(["a", number])
            outbox.flush(0)
        assert outbox.frames == []
        assert outbox.wanted == {TARGET: 1024}
        assert outbox.waiting_bytes() > 0
        outbox.on_credit(TARGET, 1023, 0)
        assert outbox.frames == [], "a frame goes when there is credit for all of it"
        outbox.on_credit(TARGET, 1, 0)
        assert [row[1] for row in sent_rows(outbox)] == [0]
        outbox.flush(0)
        outbox.on_credit(TARGET, 1024, 0)
        assert [row[1] for row in sent_rows(outbox)] == [1, 2], "they waited in their batch"
        assert outbox.waiting_bytes() == 0

    def test_one_frame_is_made_of_what_waits_so_that_its_size_can_be_told(self, owner):
        outbox = Outbox(500, 32768)
        batch = open_batch(outbox, owner, tracker=AckTracker(SOURCE, Random(1)))
        for number in range(3):
            batch.rows.append(["x" * 5000, number])
            batch.ids.append(number)
        outbox.flush(0)
        assert 15_000 < outbox.wanted[TARGET] < 15_300
        assert (len(batch.rows), batch.sealed_rows, batch.sealed_ids) == (0, 3, 3)
        outbox.on_credit(TARGET, outbox.wanted[TARGET], 0)
        assert [row[1] for row in sent_rows(outbox)] == [0, 1, 2]
        assert 0 <= outbox.credit.credit[TARGET] < 300, "what was asked for was enough, just so"
        assert (batch.sealed_rows, batch.sealed_ids) == (0, 0)

    def test_trees_open_when_their_rows_leave_not_when_they_wait(self, owner):
        """So no tree times out for having waited in its spout's process."""
        outbox = Outbox(500, 32768)
        tracker = AckTracker(SOURCE, Random(1))
        batch = open_batch(outbox, owner, tracker=tracker)
        batch.rows.append(["a", 1])
        batch.ids.append(1)
        outbox.flush(0)
        assert (tracker.open_count, batch.sealed_ids) == (0, 1)
        outbox.on_credit(TARGET, 1024, 10_000_000)
        assert (tracker.open_count, batch.sealed_ids) == (1, 0)
        root = np.array(column(decode_batch(outbox.frames[0][3])[0].roots), np.uint64)
        edge = np.array(column(decode_batch(outbox.frames[0][3])[0].edges), np.uint64)
        settled = tracker.settle(root, edge, b"", distinct=True, now_us=10_000_005)
        assert settled.acked_us.tolist() == [5]

    def test_unknown_target_gets_one_row_then_more_with_each_frame(self, owner):
        outbox = Outbox(500, 32768)
        outbox.on_credit(TARGET, 1 << 26, 0)
        batch = open_batch(outbox, owner, known=False)
        batch.rows.extend([["a", number] for number in range(100)])
        outbox.flush(0)
        sizes = [len(decode_batch(payload)[1]) for _, _, _, payload in outbox.frames]
        assert sizes[:9] == [1] * 8 + [2]
        assert sizes[:-1] == sorted(sizes[:-1])
        assert sum(sizes) == 100

    def test_frame_holds_no_more_than_part_of_a_second_of_work(self, owner):
        outbox = Outbox(500, 32768)
        batch = open_batch(outbox, owner, known=False)
        sizes = []
        for step in range(100):
            # The target takes 100 rows a second, and grants a frame when it has executed one.
            batch.rows.extend([["a", step]] * 30)
            outbox.flush(step * 100_000)
            outbox.on_credit(TARGET, 1024, step * 100_000)
            sizes += [len(decode_batch(payload)[1]) for _, _, _, payload in outbox.frames]
            outbox.frames.clear()
        assert max(sizes) <= 10

    def test_batch_closes_at_the_credit_left(self, owner):
        outbox = Outbox(500, 32768)
        outbox.on_credit(TARGET, 40_000, 0)
        batch = open_batch(outbox, owner)
        for _ in range(2):
            batch.rows.extend([["x" * 1000, 1]] * 30)
            outbox.flush(0)
        sizes = [len(decode_batch(payload)[1]) for _, _, _, payload in outbox.frames]
        assert sizes[0] == 30
        assert sum(sizes) >= 37
        assert outbox.credit.credit[TARGET] < 2000

    def test_frame_without_credit_holds_no_other_target_up(self, owner):
        outbox = Outbox(500, 32768)
        outbox.on_credit(OTHER, 5000, 0)
        open_batch(outbox, owner).rows.append(["a", 1])
        open_batch(outbox, owner, OTHER).rows.append(["b", 2])
        outbox.flush(0)
        assert sent_rows(outbox, OTHER) == [["b", 2]]

    def test_closed_batch_leaves_before_what_comes_after_it(self, owner):
        """Order between the streams of one edge: what is closed keeps its place without credit."""
        outbox = Outbox(500, 32768)
        first, second = open_batch(outbox, owner), open_batch(outbox, owner)
        for number in range(0, 6, 2):
            first.rows.append(["a", number])
            outbox.close_batch(first, 0)
            second.rows.append(["b", number + 1])
            outbox.close_batch(second, 0)
        outbox.on_credit(TARGET, 1 << 20, 0)
        assert [row[1] for row in sent_rows(outbox)] == [0, 1, 2, 3, 4, 5]

    def test_task_is_held_while_more_than_a_frame_waits(self, owner):
        outbox = Outbox(500, 32768)
        batch = open_batch(outbox, owner, known=False)
        batch.rows.append(["a", 1])
        outbox.flush(0)
        assert not outbox.holds(SOURCE, 0)
        batch.rows.append(["a", 2])
        assert outbox.holds(SOURCE, 0)
        assert not outbox.holds(SOURCE + 1, 0), "another task of the process is not"
        outbox.on_credit(TARGET, 2048, 0)
        assert not outbox.holds(SOURCE, 0)

    def test_what_waits_on_an_edge_of_a_cycle_holds_nobody(self, owner):
        outbox = Outbox(500, 32768, {SOURCE: 0, TARGET: 0, OTHER: 1})
        around, out = open_batch(outbox, owner), open_batch(outbox, owner, OTHER, known=False)
        around.rows.extend([["a", 1]] * 5000)
        outbox.flush(0)
        assert not outbox.holds(SOURCE, 0)
        out.rows.extend([["a", 1]] * 2)
        outbox.flush(0)
        assert outbox.holds(SOURCE, 0), "out of the cycle it does"

    def test_bursts_for_a_task_that_held_its_sources_back_are_small(self, owner):
        outbox = Outbox(500, 32768)
        batch = open_batch(outbox, owner, known=False)
        batch.rows.extend([["a", 1]] * 3)
        outbox.flush(0)
        assert outbox.holds(SOURCE, 1)
        assert outbox.burst_max(5) == 500, "credit may just be on its way"
        assert outbox.holds(SOURCE, 1 + HELD_US)
        assert outbox.burst_max(1 + HELD_US) == 1
        assert outbox.burst_max(2 + HELD_US + SLOW_US) == 500

    def test_new_link_begins_without_credit_and_frames_that_never_left_are_charged_again(
        self, outbox, owner
    ):
        batch = open_batch(outbox, owner)
        for number in range(2):
            batch.rows.append(["a", number])
            outbox.flush(0)
        assert len(outbox.frames) == 2
        outbox.on_new_link()
        assert outbox.frames == []
        assert outbox.wanted.keys() == {TARGET}
        batch.rows.append(["a", 2])
        outbox.flush(0)
        assert outbox.frames == []
        outbox.on_credit(TARGET, 5000, 0)
        assert [row[1] for row in sent_rows(outbox)] == [0, 1]
        outbox.flush(0)
        assert [row[1] for row in sent_rows(outbox)] == [2]
        assert outbox.waiting_bytes() == 0


def test_edges_are_never_zero_and_never_end():
    blocks = iter([0, 7, 0, 9])

    def random_bytes(count: int) -> bytes:
        return next(blocks).to_bytes(8, "little") * (count // 8)

    draw = edge_source(random_bytes)
    assert [draw() for _ in range(1025)] == [7] * 1024 + [9]


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    """Let threads meet in as many places as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("frequent_switches")
@pytest.mark.parametrize("kind", ["untracked", "tracked", "paired"])
def test_flush_while_another_thread_emits_loses_nothing(outbox, owner, kind):
    """The author's thread only appends; the watcher flushes (the module's own promise)."""
    tracker = AckTracker(SOURCE, Random(1))
    batch = open_batch(
        outbox,
        owner,
        tracker=tracker if kind == "tracked" else None,
        paired=kind == "paired",
    )
    count = 20_000

    def emit() -> None:
        for number in range(count):
            row = ["a", number]
            batch.rows.append((row, number + 1, number + 2) if kind == "paired" else row)
            if kind == "tracked":
                batch.ids.append(number)

    author = threading.Thread(target=emit)
    author.start()
    while author.is_alive():
        outbox.flush(0)
    author.join()
    outbox.flush(0)
    roots = []
    numbers = []
    for _, _, _, payload in outbox.frames:
        message, rows = decode_batch(payload)
        numbers += [row[1] for row in rows]
        roots += column(message.roots)
    assert numbers == list(range(count))
    assert batch.emitted == outbox.emitted_rows == count
    if kind == "paired":
        assert roots == [number + 1 for number in numbers]
    if kind == "tracked":
        assert tracker.open_count == len(set(roots)) == count
        found = np.array(roots, np.uint64)
        settled = tracker.settle(found, found, bytes([FAIL]) * count, distinct=True, now_us=0)
        assert settled.failed == numbers


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(st.lists(VALUES, max_size=4), min_size=1, max_size=30), st.integers(1, 9))
@settings(deadline=None, max_examples=60)
def test_rows_arrive_as_they_were_however_they_are_cut(rows, batch_rows):
    outbox = Outbox(batch_rows, 200)
    outbox.on_credit(TARGET, 1 << 26, 0)
    owner = Owner()
    batch = open_batch(outbox, owner)
    for row in rows:
        batch.rows.append(row)
        outbox.flush(0, only_full=True)
    outbox.flush(0)
    assert sent_rows(outbox) == rows
    assert owner.faults == []
