"""The checker of the fault matrix sees what it is there to see."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.faults.ledger import (
    ACK,
    COPIES,
    EMIT,
    FAIL,
    GIVE_UP,
    KEYS,
    SINK_RECORD,
    SOURCE_RECORD,
)
from bench.faults.records import NS, RATE_STEP_NS, Ledger, problems, sizes

LIFE = 5


class Book:
    """Writes a ledger by hand; time passes by a second a record."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_s = 0

    def source(self, kind: int, id_: int, task: int = 7) -> None:
        self.now_s += 1
        self._append(f"source-{task}", SOURCE_RECORD.pack(kind, id_, self.now_s * NS))

    def sink(self, row: int, count: int, key: int | None = None, task: int = 5) -> None:
        self.now_s += 1
        key = row % KEYS if key is None else key
        self._append(f"sink-{task}", SINK_RECORD.pack(row, key, count, LIFE, self.now_s * NS))

    def whole(self, id_: int, count: int = 1) -> None:
        """All rows of an id, and its ack."""
        self.source(EMIT, id_)
        for row in range(id_ * COPIES, (id_ + 1) * COPIES):
            self.sink(row, count)
        self.source(ACK, id_)

    def read(self) -> Ledger:
        return Ledger.read(self.folder)

    def _append(self, name: str, data: bytes) -> None:
        with (self.folder / name).open("ab") as file:
            file.write(data)


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


def test_a_ledger_without_faults_has_no_problems(book: Book) -> None:
    book.whole(0)
    book.whole(1)
    assert problems(book.read(), whole=True) == []
    assert len(book.read().open_ids()) == 0
    assert len(book.read().repeated()) == 0


def test_an_empty_ledger_has_no_problems(book: Book) -> None:
    assert problems(book.read(), whole=True) == []
    assert book.read().gap(0, NS) == (0, 0)


def test_a_row_that_was_acked_and_never_came_is_lost(book: Book) -> None:
    book.source(EMIT, 0)
    book.sink(0, 1)
    book.sink(2, 1)
    book.source(ACK, 0)
    assert book.read().lost().tolist() == [1]
    assert "1 rows lost" in problems(book.read(), whole=True)[0]


def test_an_open_id_is_not_lost_but_open(book: Book) -> None:
    book.source(EMIT, 4)
    book.source(FAIL, 4)
    book.source(EMIT, 6)
    book.source(GIVE_UP, 6)
    (book.folder / "poison").write_text("6\n")
    assert problems(book.read(), whole=True) == []
    assert book.read().open_ids().tolist() == [4]
    assert book.read().open_ids(before_ns=NS).tolist() == []


def test_only_poison_may_be_given_up(book: Book) -> None:
    book.source(EMIT, 6)
    book.source(GIVE_UP, 6)
    assert "1 ids given up that were no poison" in problems(book.read(), whole=True)[0]


def test_a_row_of_an_id_that_nobody_emitted_is_invented(book: Book) -> None:
    book.sink(9 * COPIES, 1)
    assert "1 ids invented" in problems(book.read(), whole=True)[0]
    assert problems(book.read(), whole=False) == []


@pytest.mark.parametrize(("row", "count", "key"), [(0, 0, None), (0, 1, 3), (KEYS, 1, None)])
def test_wrong_counts_are_seen(book: Book, row: int, count: int, key: int | None) -> None:
    """A count of nothing, a row of another's key, a count that was given before."""
    book.whole(0)
    book.source(EMIT, row // COPIES)
    book.sink(row, count, key)
    assert "1 counts are wrong" in problems(book.read(), whole=True)


def test_order_breaks_are_told(book: Book) -> None:
    (book.folder / "breaks").write_text("fan 3 99 from 7: 5 1 after (5, 2)\n")
    assert "1 tuples out of order" in problems(book.read(), whole=True)[0]


def test_repeated_rows_count_by_id_and_by_time(book: Book) -> None:
    book.whole(0)
    then_ns = book.now_s * NS + 1
    book.sink(0, 2)
    book.sink(1, 2)
    assert book.read().repeated().tolist() == [0]
    assert book.read().repeated(then_ns).tolist() == [0]
    assert book.read().repeated(0, then_ns).tolist() == []


def test_open_during_counts_each_id_once_and_only_while_it_was_open(book: Book) -> None:
    book.whole(0)
    book.source(EMIT, 1)
    begin_ns = book.now_s * NS + 1
    book.source(EMIT, 2)
    book.source(FAIL, 1)
    book.source(EMIT, 1)
    end_ns = book.now_s * NS + 1
    book.source(EMIT, 3)
    assert book.read().open_during(begin_ns, end_ns) == 2


def test_the_longest_silence_is_that_of_one_sink_though_another_goes_on(book: Book) -> None:
    book.sink(0, 1, task=5)
    for row in range(1, 5):
        book.sink(row, 1, task=6)
    book.sink(5, 1, task=5)
    assert book.read().gap(0, 9 * NS) == (NS, 6 * NS)


def test_a_rate_is_back_when_it_lasts(book: Book) -> None:
    """10 rows a second, none from 5 s to 8 s, a burst of a second, none, then 10 again."""
    records = b""
    for tenth in range(200):
        rows = 0 if 50 <= tenth < 80 or 90 <= tenth < 100 else 1
        for _ in range(rows):
            records += SINK_RECORD.pack(tenth, 0, 1, LIFE, tenth * NS // 10)
    (book.folder / "sink-5").write_bytes(records)
    ledger = book.read()
    assert ledger.rate(0, 5 * NS) == 10
    assert ledger.back_at(5 * NS, 10.0, 20 * NS) == 10 * NS - RATE_STEP_NS
    assert ledger.back_at(5 * NS, 10.0, 9 * NS) is None


def test_reading_goes_on_at_a_whole_record(book: Book) -> None:
    book.whole(0)
    with (book.folder / "source-7").open("ab") as file:
        file.write(b"half")
    begin = sizes(book.folder)
    assert len(Ledger.read(book.folder, begin).ids) == 0
    assert len(Ledger.read(book.folder, begin).rows) == 0
    assert len(book.read().ids) == 2
