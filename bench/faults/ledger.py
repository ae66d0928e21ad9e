"""A topology that writes down what happened, so that a checker can say what was lost.

    source --shuffle--> fan --fields(key)--> count --shuffle--> sink

Source task i of n emits the ids i, i+n, i+2n, ... and emits again what failed. Each id becomes
COPIES rows; row number id * COPIES + copy, key row % KEYS. The count task of a key gives each row
the number of rows it has seen of that key. Parameters come from the environment of
`heronshim submit`; components in other languages write the same files into LEDGER_FOLDER:

source-<task>   24-byte records, little-endian u64: kind (EMIT, ACK, FAIL, GIVE_UP), id, time.
                EMIT is written before the tuple leaves.
sink-<task>     40-byte records of u64: row, key, count, life of the count task, time. Written
                before the row is acked.
lives           a line "<component> <task> <pid> <time>" whenever a task has opened, and
                "<component> <task> <pid> <time> first" at its first tuple (sources: first emit).
breaks          a line for each tuple that came out of order; empty when all is well.
end             made by whoever wants sources to emit no new ids.
orders          "<what> <numbers>" for a fan that does wrong (UnrulyFan); made by whoever wants it.
poison          lines of ids that sources may give up; as above.

Times are CLOCK_MONOTONIC nanoseconds, which all processes of a host share.
"""

from __future__ import annotations

import heapq
import os
import random
import struct
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heronshim.api import Bolt, Context, Grouping, Spout, Topology, Tuple

COPIES = 3
EXIT_CODE = 13
HOARD_BYTES = 1 << 20
HOARD_S = 3.0
RETRY_S = 2.0
KEYS = 64
EMIT, ACK, FAIL, GIVE_UP = 1, 2, 3, 4
SOURCE_RECORD = struct.Struct("<QQQ")
SINK_RECORD = struct.Struct("<QQQQQ")
BURST_S = 0.05
"""A source emits what is due this often, in one go. A tuple at a time costs a frame a tuple: 500
ids a second took 1.9 of two cores, and who starts again had nothing to start with. What was due
for longer is never emitted, so that a rate is a rate."""
TAIL_RECORDS = 200_000
"""What a source reads of its file after its death. An open id was emitted, again if it failed,
within one message timeout, so the end of the file has it; a soak's whole file takes seconds."""
LOOK_S = 0.1
"""Between two looks for the file `end`."""


class Writer:
    """Appends to the files of a ledger. What it wrote outlives the process."""

    def __init__(self, folder: str, context: Context) -> None:
        self.folder = Path(folder)
        self.task = context.task_id
        self.who = f"{context.component_id} {context.task_id} {os.getpid()}"
        self.life = time.monotonic_ns()
        self._lives = self.open("lives")
        self._breaks = self.open("breaks")
        self._newest: dict[int, tuple[int, int]] = {}
        self._began = False
        self._line(self._lives, f"{self.who} {self.life}")

    def open(self, name: str) -> int:
        return os.open(self.folder / name, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def began(self) -> None:
        """Note the first tuple of this life."""
        if not self._began:
            self._began = True
            self._line(self._lives, f"{self.who} {time.monotonic_ns()} first")

    def check_order(self, tup: Tuple, life: int, number: int) -> None:
        """What one life of a task sent comes in its order, and nothing of it after a later life."""
        newest = self._newest.get(tup.task, (0, 0))
        if (life, number) <= newest:
            self._line(self._breaks, f"{self.who} from {tup.task}: {life} {number} after {newest}")
        else:
            self._newest[tup.task] = life, number

    @staticmethod
    def _line(file: int, line: str) -> None:
        os.write(file, line.encode() + b"\n")


class Source(Spout):
    """Replays what failed, and after its own death all that its file does not call acked."""

    outputs = ("id", "life", "number")

    def __init__(self, folder: str, per_s: float, attempts: int = 0) -> None:
        """`attempts` at an id before it is given up, RETRY_S apart; 0 = for ever, at once."""
        self._folder = folder
        self._per_s = per_s
        self._attempts = attempts

    def open(self, config: Mapping[str, Any], context: Context) -> None:
        self._writer = Writer(self._folder, context)
        tasks = context.component_tasks[context.component_id]
        self._step = len(tasks)
        self._next = context.task_index
        self._again: deque[int] = deque()
        self._later: list[tuple[float, int]] = []
        self._failures: dict[int, int] = {}
        self._number = 0
        self._resume(self._writer.folder / f"source-{context.task_id}")
        self._file = self._writer.open(f"source-{context.task_id}")
        self._tokens, self._then_s = 0.0, time.monotonic()
        self._ended, self._look_s = False, 0.0

    def _resume(self, file: Path) -> None:
        if not file.exists():
            return
        size = SOURCE_RECORD.size
        with file.open("rb") as records:
            records.seek(max(0, file.stat().st_size // size - TAIL_RECORDS) * size)
            data = records.read()
        open_ids: dict[int, None] = {}
        for kind, id_, _ in SOURCE_RECORD.iter_unpack(data[: len(data) // size * size]):
            if kind == EMIT:
                open_ids[id_] = None
                self._next = max(self._next, id_ + self._step)
            elif kind in (ACK, GIVE_UP):
                open_ids.pop(id_, None)
        self._again.extend(open_ids)

    def next_tuple(self) -> None:
        now_s = time.monotonic()
        if self._tokens < 1:
            if now_s < self._then_s + BURST_S:
                return
            # At most two bursts' worth.
            self._tokens += min(now_s - self._then_s, 2 * BURST_S) * self._per_s
            self._then_s = now_s
        if self._later and self._later[0][0] <= now_s:
            self._again.append(heapq.heappop(self._later)[1])
        if self._again:
            id_ = self._again.popleft()
        elif self._is_ended(now_s):
            return
        else:
            id_, self._next = self._next, self._next + self._step
        self._tokens -= 1
        self._number += 1
        self._write(EMIT, id_)
        self._writer.began()
        self.emit([id_, self._writer.life, self._number], id=id_)

    def _is_ended(self, now_s: float) -> bool:
        if not self._ended and now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            self._ended = (self._writer.folder / "end").exists()
        return self._ended

    def ack(self, id: int) -> None:
        self._failures.pop(id, None)
        self._write(ACK, id)

    def fail(self, id: int) -> None:
        self._write(FAIL, id)
        if self._attempts:
            self._failures[id] = self._failures.get(id, 0) + 1
            if self._failures[id] >= self._attempts:
                self._write(GIVE_UP, id)
                return
            # Apart from those that failed with it: one of them may be why.
            due_s = time.monotonic() + random.uniform(0, RETRY_S)
            heapq.heappush(self._later, (due_s, id))
            return
        self._again.append(id)

    def _write(self, kind: int, id_: int) -> None:
        os.write(self._file, SOURCE_RECORD.pack(kind, id_, time.monotonic_ns()))


class Fan(Bolt):
    """Makes COPIES rows of each id."""

    outputs = ("row", "key", "life", "number")

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        self._writer = Writer(self._folder, context)
        self._number = 0

    def execute(self, tup: Tuple) -> None:
        writer = self._writer
        writer.began()
        id_, life, number = tup.values
        writer.check_order(tup, life, number)
        for row in range(id_ * COPIES, (id_ + 1) * COPIES):
            self._number += 1
            self.emit([row, row % KEYS, writer.life, self._number])


class UnrulyFan(Fan):
    """Does what the file `orders` says, as an author's code with a fault would.

    memory, descriptors, threads: the named tasks take more and more of them. raise, exit: any
    task raises, or ends its process, at the named ids.
    """

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        super().prepare(config, context)
        self._what, self._numbers, self._look_s = "", frozenset[int](), 0.0
        self._hoard: list[Any] = []

    def execute(self, tup: Tuple) -> None:
        what = self._order()
        hit = tup["id"] in self._numbers
        if what == "memory":
            self._hoard.append(b"x" * HOARD_BYTES)
        elif what == "descriptors":
            self._hoard.append(os.fdopen(os.open(os.devnull, os.O_RDONLY)))
        elif what == "threads":
            thread = threading.Thread(target=time.sleep, args=(HOARD_S,), daemon=True)
            thread.start()
        elif what == "raise" and hit:
            msg = f"poison {tup['id']}"
            raise ValueError(msg)
        elif what == "exit" and hit:
            os._exit(EXIT_CODE)
        else:
            self._hoard.clear()
        super().execute(tup)

    def _order(self) -> str:
        """Return what is ordered; of what has tasks only if ours is among them."""
        now_s = time.monotonic()
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            try:
                what, *numbers = (self._writer.folder / "orders").read_text().split()
            except (FileNotFoundError, ValueError):
                what, numbers = "", []
            self._numbers = frozenset(map(int, numbers))
            mine = what in ("raise", "exit") or self._writer.task in self._numbers
            self._what = what if mine else ""
        return self._what


class Count(Bolt):
    """Counts the rows of each key."""

    outputs = ("row", "key", "count", "life", "number")

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        self._writer = Writer(self._folder, context)
        self._counts: dict[int, int] = {}
        self._number = 0

    def execute(self, tup: Tuple) -> None:
        writer = self._writer
        writer.began()
        row, key, life, number = tup.values
        writer.check_order(tup, life, number)
        count = self._counts[key] = self._counts.get(key, 0) + 1
        self._number += 1
        self.emit([row, key, count, writer.life, self._number])


class Sink(Bolt):
    """Writes each row down."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        self._writer = Writer(self._folder, context)
        self._file = self._writer.open(f"sink-{context.task_id}")

    def execute(self, tup: Tuple) -> None:
        writer = self._writer
        writer.began()
        row, key, count, life, number = tup.values
        writer.check_order(tup, life, number)
        os.write(self._file, SINK_RECORD.pack(row, key, count, life, time.monotonic_ns()))


FOLDER = os.environ.get("LEDGER_FOLDER", "")
PER_S = float(os.environ.get("LEDGER_PER_S", "2000"))
LIVENESS_S = float(os.environ.get("LEDGER_LIVENESS_S", "30"))
PENDING = int(os.environ.get("LEDGER_PENDING", "5000"))
TIMEOUT_S = float(os.environ.get("LEDGER_TIMEOUT_S", "30"))
ATTEMPTS = int(os.environ.get("LEDGER_ATTEMPTS", "0"))
UNRULY = bool(os.environ.get("LEDGER_UNRULY"))
SOURCES = 2


class Ledger(Topology):
    """Two containers; each component's tasks are spread over both."""

    options = {
        "containers": 2,
        "liveness_limit_s": LIVENESS_S,
        "max_spout_pending": PENDING,
        "message_timeout_s": TIMEOUT_S,
    }
    source = Source.spec(
        parallelism=SOURCES,
        args={"folder": FOLDER, "per_s": PER_S / SOURCES, "attempts": ATTEMPTS},
    )
    fan = (UnrulyFan if UNRULY else Fan).spec(
        parallelism=2, inputs=[source], args={"folder": FOLDER}, options={"ram_mb": 200.0}
    )
    count = Count.spec(parallelism=2, inputs={fan: Grouping.fields("key")}, args={"folder": FOLDER})
    sink = Sink.spec(parallelism=2, inputs=[count], args={"folder": FOLDER})
