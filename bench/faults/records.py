"""Reads a ledger (see bench.faults.ledger) and says what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.faults.ledger import (
    ACK,
    COPIES,
    EMIT,
    GIVE_UP,
    KEYS,
    SINK_RECORD,
    SOURCE_RECORD,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

NS = 1_000_000_000
RATE_WINDOW_NS = NS
"""A rate is counted over this long."""
SUSTAINED_NS = 3 * NS
"""And is back only if it is, on average, for this long."""
RATE_STEP_NS = 50_000_000
RATE_SHARE = 0.95


class Life(NamedTuple):
    """One life of a task, from its open to its end."""

    component: str
    task: int
    pid: int
    opened_ns: int
    first_ns: int
    """When it met its first tuple; 0 = never."""


@dataclass(frozen=True)
class Ledger:
    """All records at one time, ascending in time."""

    kinds: NDArray[np.uint64]
    ids: NDArray[np.uint64]
    source_ns: NDArray[np.uint64]
    rows: NDArray[np.uint64]
    keys: NDArray[np.uint64]
    counts: NDArray[np.uint64]
    lives: NDArray[np.uint64]
    """Life of the count task that sent the row."""
    sink_ns: NDArray[np.uint64]
    sink_tasks: NDArray[np.uint64]
    breaks: list[str]
    task_lives: list[Life]
    poison: NDArray[np.uint64]
    """Ids that sources may give up."""

    @classmethod
    def read(cls, folder: Path, begin: Mapping[str, int] | None = None) -> Ledger:
        """Read what was written so far, from where `sizes` was when it gave `begin`.

        A record that is half written is left out.
        """
        begin = begin or {}
        # Sources first: a row of an id that was acked by then is in a sink's file already.
        source = _columns(sorted(folder.glob("source-*")), begin, 3, 2)[:3]
        sink = _columns(sorted(folder.glob("sink-*")), begin, 5, 4)
        breaks = _tail(folder / "breaks", begin).decode().splitlines()
        lives = _lives(_tail(folder / "lives", {}).decode())
        poison = np.array(_tail(folder / "poison", {}).split(), np.uint64)
        return cls(*source, *sink, breaks, lives, poison)

    def of(self, kind: int, begin_ns: int = 0, end_ns: int = 1 << 63) -> NDArray[np.uint64]:
        """Return the ids of one kind of a source's records in a time."""
        return self.ids[
            (self.kinds == kind) & (self.source_ns >= begin_ns) & (self.source_ns < end_ns)
        ]

    def lost(self) -> NDArray[np.uint64]:
        """Return rows that no sink has though their id was acked, which must never be.

        Only of ids that were emitted in the part that was read: their rows came later.
        """
        settled = np.intersect1d(self.of(ACK), self.of(EMIT))
        wanted = (settled[:, None] * COPIES + np.arange(COPIES, dtype=np.uint64)).ravel()
        return np.setdiff1d(wanted, self.rows)

    def open_ids(self, before_ns: int = 1 << 63) -> NDArray[np.uint64]:
        """Return ids emitted before a time that are neither acked nor given up by now."""
        done = np.concatenate([self.of(ACK), self.of(GIVE_UP)])
        return np.setdiff1d(self.of(EMIT, 0, before_ns), done)

    def invented(self) -> NDArray[np.uint64]:
        """Return ids of rows at the sinks that nobody emitted, once the topology has ended."""
        return np.setdiff1d(np.unique(self.rows // np.uint64(COPIES)), self.of(EMIT))

    def wrong_counts(self) -> int:
        """Return how many rows show a count that is wrong.

        A life of a count task counts each of its keys 1, 2, 3, ...: what arrives of it has no
        count twice, and a row of another's key would not be its.
        """
        wrong = int(np.count_nonzero(self.keys != self.rows % np.uint64(KEYS)))
        wrong += int(np.count_nonzero(self.counts == 0))
        seen = np.stack([self.lives, self.keys, self.counts], axis=1)
        return wrong + len(seen) - len(np.unique(seen, axis=0))

    def repeated(self, begin_ns: int = 0, end_ns: int = 1 << 63) -> NDArray[np.uint64]:
        """Return ids of which a row came once more in a time, each id once."""
        rows = self.rows[: int(np.searchsorted(self.sink_ns, np.uint64(end_ns)))]
        _, first = np.unique(rows, return_index=True)
        again = np.ones(len(rows), bool)
        again[first] = False
        again[: int(np.searchsorted(self.sink_ns, np.uint64(begin_ns)))] = False
        return np.unique(rows[again] // np.uint64(COPIES))

    def open_during(self, begin_ns: int, end_ns: int) -> int:
        """Return how many ids were open at some moment of a time."""
        by_id = np.argsort(self.ids, kind="stable")
        ids, kinds, times = self.ids[by_id], self.kinds[by_id], self.source_ns[by_id]
        until = np.full(len(ids), np.iinfo(np.uint64).max)
        until[:-1][ids[1:] == ids[:-1]] = times[1:][ids[1:] == ids[:-1]]
        opened = (kinds == EMIT) & (times < np.uint64(end_ns)) & (until > np.uint64(begin_ns))
        return len(np.unique(ids[opened]))

    def rate(self, begin_ns: int, end_ns: int) -> float:
        """Return rows per second at the sinks."""
        begin, end = np.searchsorted(self.sink_ns, np.array([begin_ns, end_ns], np.uint64))
        return float(end - begin) * NS / (end_ns - begin_ns)

    def gap(self, begin_ns: int, end_ns: int) -> tuple[int, int]:
        """Return the longest time without a row at any one sink: (from, to) in ns."""
        longest = begin_ns, begin_ns
        for task in np.unique(self.sink_tasks):
            times = self.sink_ns[self.sink_tasks == task]
            begin, end = np.searchsorted(times, np.array([begin_ns, end_ns], np.uint64))
            times = times[max(0, int(begin) - 1) : int(end) + 1].astype(np.int64)
            if len(times) > 1:
                place = int(np.argmax(np.diff(times)))
                found = int(times[place]), int(times[place + 1])
                longest = max(longest, found, key=lambda gap: gap[1] - gap[0])
        return longest

    def back_at(self, fault_ns: int, rate: float, end_ns: int) -> int | None:
        """Return when the sinks' rate was back at RATE_SHARE of `rate`; None: not by `end_ns`."""
        for begin_ns in range(fault_ns, end_ns - SUSTAINED_NS + 1, RATE_STEP_NS):
            if (
                self.rate(begin_ns, begin_ns + RATE_WINDOW_NS) >= RATE_SHARE * rate
                and self.rate(begin_ns, begin_ns + SUSTAINED_NS) >= RATE_SHARE * rate
            ):
                return begin_ns
        return None


def problems(ledger: Ledger, *, whole: bool) -> list[str]:
    """Return what at-least-once delivery never allows, whatever died."""
    found = []
    wrong = {"rows lost": ledger.lost(), "ids invented": ledger.invented() if whole else []}
    for name, values in wrong.items():
        if len(values):
            found.append(f"{len(values)} {name}, such as {list(values[:5])}")
    healthy = np.setdiff1d(ledger.of(GIVE_UP), ledger.poison)
    if len(healthy):
        found.append(f"{len(healthy)} ids given up that were no poison, such as {healthy[:5]}")
    wrong_counts = ledger.wrong_counts()
    if wrong_counts:
        found.append(f"{wrong_counts} counts are wrong")
    if ledger.breaks:
        found.append(f"{len(ledger.breaks)} tuples out of order, such as {ledger.breaks[:3]}")
    return found


def sizes(folder: Path) -> dict[str, int]:
    """Return where the files of a ledger end now, at a whole record."""
    widths = {"source": SOURCE_RECORD.size, "sink": SINK_RECORD.size}
    found = {}
    for file in folder.iterdir():
        width = widths.get(file.name.partition("-")[0], 1)
        found[file.name] = file.stat().st_size // width * width
    return found


def _tail(file: Path, begin: Mapping[str, int]) -> bytes:
    if not file.exists():
        return b""
    with file.open("rb") as records:
        records.seek(begin.get(file.name, 0))
        return records.read()


def _columns(
    files: list[Path], begin: Mapping[str, int], width: int, time_column: int
) -> list[NDArray[np.uint64]]:
    """Return the columns of all files, ascending in time, and each record's task at the end."""
    tables = []
    for file in files:
        data = _tail(file, begin)
        whole = data[: len(data) // (8 * width) * (8 * width)]
        table = np.frombuffer(whole, "<u8").reshape(-1, width)
        task = np.full((len(table), 1), int(file.name.partition("-")[2]), np.uint64)
        tables.append(np.concatenate([table, task], axis=1))
    if not tables:
        return [np.zeros(0, np.uint64)] * (width + 1)
    table = np.concatenate(tables)
    table = table[np.argsort(table[:, time_column], kind="stable")]
    return [np.ascontiguousarray(table[:, number]) for number in range(width + 1)]


def _lives(text: str) -> list[Life]:
    found: dict[tuple[str, int, int], Life] = {}
    for line in text.splitlines():
        component, task, pid, time_ns, *first = line.split()
        key = component, int(task), int(pid)
        if first:
            found[key] = found[key]._replace(first_ns=int(time_ns))
        else:
            found[key] = Life(*key, int(time_ns), 0)
    return list(found.values())
