"""Rows on their way out: open batches by destination, then frames that wait for credit.

The author's thread only appends to lists, one append a row that makes it whole, so the watcher
thread may flush while the author's code runs (ARCHITECTURE.md, D5). `flush` itself is called under
the instance's IO lock.
"""

from __future__ import annotations

from array import array
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from heronshim.core.codec.data import (
    ENCODING_ERRORS,
    encode_batch,
    pack_rows,
    unwritable_error,
)
from heronshim.core.stream.credit import CreditSender
from heronshim.core.stream.frame import Kind, frame_cost_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from heronshim.core.stream.ack_tracker import AckTracker
    from heronshim.errors import ValueEncodingError

BATCH_BYTES_LIMIT = 32 << 20
"""A batch over this is split; a single row over this fails. Half of the largest frame."""
ROWS_LIMIT = 65_535
"""Rows of the largest batch."""
FIRST_ROWS_MAX = 64
"""Rows of the first batch of a stream, before its row size is known."""

Frame = tuple[Kind, int, int, bytes]
"""(kind, destination task, source task, payload)."""
Columns = tuple["Iterable[int]", bytes, bytes]
"""(root counts, roots, edges) as in data.proto."""


class Owner(Protocol):
    """The task that rows come from."""

    def on_unwritable(self, error: ValueEncodingError, ids: Sequence[Any], roots: Any) -> None:
        """A row was left out: its message id (spouts) or its roots (bolts) must fail."""


class OpenBatch:
    """Rows of one stream from one task to one task.

    Three kinds: untracked (`rows` holds values; a spout's `ids` go to `count_ids` at flush), a
    spout's single-copy rows (`ids` beside `rows`; trees open at flush) and rows with pairs (`rows`
    holds (values, roots, edges)).
    """

    __slots__ = (
        "component", "count_ids", "emitted", "fields", "ids", "owner", "paired", "rows",
        "rows_limit", "rows_max", "source", "stream", "target", "tracker",
    )  # fmt: skip

    def __init__(
        self,
        owner: Owner,
        component: str,
        stream: str,
        fields: tuple[str, ...],
        source: int,
        target: int,
        *,
        tracker: AckTracker | None = None,
        paired: bool = False,
        count_ids: Callable[[int], None] | None = None,
    ) -> None:
        self.owner = owner
        self.component = component
        self.stream = stream
        self.fields = fields
        self.source = source
        self.target = target
        self.tracker = tracker
        self.paired = paired
        self.count_ids = count_ids
        self.rows: list[Any] = []
        self.ids: list[Any] = []
        self.rows_max = FIRST_ROWS_MAX
        """Rows that close it, by the size of the rows before."""
        self.rows_limit = ROWS_LIMIT
        """Rows that close it whatever their size."""
        self.emitted = 0
        """Rows that left."""


class Outbox:
    """All open batches of a process, and what waits for credit."""

    def __init__(self, batch_rows: int, batch_bytes: int) -> None:
        self._batch_rows = batch_rows
        self._batch_bytes = batch_bytes
        self._batches: list[OpenBatch] = []
        self._waiting: dict[int, deque[tuple[int, bytes]]] = {}
        self.credit = CreditSender()
        self.frames: list[Frame] = []
        """To be sent now, in order."""
        self.wanted: dict[int, int] = {}
        """Credit to ask for: task -> bytes that wait."""
        self.waiting_bytes = 0
        """Bytes of frames that have no credit."""
        self.emitted_rows = 0
        """Rows that left open batches since the start."""

    def open_batch(self, batch: OpenBatch) -> OpenBatch:
        """Register a batch; it lives as long as the process."""
        self._batches.append(batch)
        return batch

    def open_rows(self) -> int:
        """Rows in open batches."""
        return sum([len(batch.rows) for batch in self._batches])

    def burst_max(self) -> int:
        """Rows that may be added before the next flush: no batch grows to over twice its size."""
        return min([batch.rows_max for batch in self._batches], default=FIRST_ROWS_MAX)

    def close_batch(self, batch: OpenBatch, now_us: int) -> None:
        """Turn one batch into frames now; nothing happens when it is empty."""
        self._close(batch, now_us)

    def flush(self, now_us: int, *, only_full: bool = False) -> None:
        """Turn open batches into frames."""
        for batch in self._batches:
            count = len(batch.rows)
            if count and (not only_full or count >= batch.rows_max):
                self._close(batch, now_us)

    def on_credit(self, task: int, grant_bytes: int) -> None:
        """Credit came: send what waits for it, in order."""
        self.credit.granted(task, grant_bytes)
        queue = self._waiting.get(task)
        while queue and self.credit.may_send(task):
            source, payload = queue.popleft()
            self.waiting_bytes -= len(payload)
            self.credit.spend(task, frame_cost_bytes(len(payload)))
            self.frames.append((Kind.DATA, task, source, payload))
        if queue and self.credit.ask(task):
            self.wanted[task] = sum(len(payload) for _, payload in queue)

    def on_new_link(self) -> None:
        """All credit belonged to the old link; ask anew for what waits and what never left."""
        self.credit = CreditSender()
        unsent, self.frames = self.frames, []
        for _, task, source, payload in reversed(unsent):
            self._waiting.setdefault(task, deque()).appendleft((source, payload))
            self.waiting_bytes += len(payload)
        self.wanted.clear()
        for task, queue in self._waiting.items():
            if queue and self.credit.ask(task):
                self.wanted[task] = sum(len(payload) for _, payload in queue)

    def _close(self, batch: OpenBatch, now_us: int) -> None:
        """Take the rows that are whole now and send them."""
        if batch.tracker is not None:
            count = len(batch.ids)
            ids = batch.ids[:count]
            del batch.ids[:count]
        else:
            count = len(batch.rows)
            ids = []
        rows = batch.rows[:count]
        del batch.rows[:count]
        if not rows:
            return
        self.emitted_rows += count
        batch.emitted += count
        if batch.ids and batch.count_ids is not None:
            untracked = batch.ids[:]
            del batch.ids[: len(untracked)]
            batch.count_ids(tracked_count(untracked))
        try:
            blob = pack_rows([row[0] for row in rows] if batch.paired else rows)
        except ENCODING_ERRORS:
            blob = b""
        if not blob or len(blob) > BATCH_BYTES_LIMIT or not _all_sequences(batch, rows):
            self._close_one_by_one(batch, rows, ids, now_us)
            return
        fitting_rows = self._batch_bytes * count // len(blob)
        batch.rows_max = max(1, min(self._batch_rows, fitting_rows, batch.rows_limit))
        if batch.tracker is not None:
            counts, roots, edges = _open_trees(batch.tracker, ids, now_us)
        elif batch.paired:
            counts, roots, edges = _pair_columns(rows)
        else:
            counts = roots = edges = b""
        self._send(
            batch.target,
            batch.source,
            encode_batch(batch.component, batch.stream, count, blob, counts, roots, edges),
        )

    def _close_one_by_one(
        self, batch: OpenBatch, rows: list[Any], ids: list[Any], now_us: int
    ) -> None:
        """Some row cannot be written, or all together are too large: send each by itself."""
        for position, row in enumerate(rows):
            values = row[0] if batch.paired else row
            row_ids = ids[position : position + 1]
            blob = b""
            reason = f"a row is a {type(values).__name__}; emit a list of values"
            if isinstance(values, (list, tuple)):
                try:
                    blob = pack_rows([values])
                    reason = f"a row of {len(blob)} bytes is over {BATCH_BYTES_LIMIT}"
                except ENCODING_ERRORS as error:
                    reason = str(error)
            if not blob or len(blob) > BATCH_BYTES_LIMIT:
                fault = unwritable_error(
                    batch.component, batch.stream, values, batch.fields, reason
                )
                batch.owner.on_unwritable(fault, row_ids, row[1] if batch.paired else 0)
                continue
            if batch.tracker is not None:
                columns = _open_trees(batch.tracker, row_ids, now_us)
            else:
                columns = _pair_columns([row]) if batch.paired else (b"", b"", b"")
            payload = encode_batch(batch.component, batch.stream, 1, blob, *columns)
            self._send(batch.target, batch.source, payload)

    def _send(self, task: int, source: int, payload: bytes) -> None:
        queue = self._waiting.get(task)
        if not queue and self.credit.may_send(task):
            self.credit.spend(task, frame_cost_bytes(len(payload)))
            self.frames.append((Kind.DATA, task, source, payload))
            return
        if queue is None:
            queue = self._waiting[task] = deque()
        queue.append((source, payload))
        self.waiting_bytes += len(payload)
        if self.credit.ask(task):
            self.wanted[task] = len(payload)


def _all_sequences(batch: OpenBatch, rows: list[Any]) -> bool:
    """Return whether each row's values are a list or tuple (text would pass as a sequence)."""
    types = {type(row[0]) for row in rows} if batch.paired else set(map(type, rows))
    return types <= {list, tuple} or all(issubclass(found, (list, tuple)) for found in types)


def _open_trees(tracker: AckTracker, ids: list[Any], now_us: int) -> Columns:
    """Open a tree for each id that is not None; return (root_counts, roots, edges)."""
    counts = b""
    if tracked_count(ids) < len(ids):
        counts = bytes(id_ is not None for id_ in ids)
        ids = [id_ for id_ in ids if id_ is not None]
        if not ids:
            return b"", b"", b""
    roots, edges = tracker.open(ids, now_us)
    return counts, roots.tobytes(), edges.tobytes()


def tracked_count(ids: list[Any]) -> int:
    """Return how many message ids are not None; any object may be one, whatever it equals."""
    try:
        if None not in ids:
            return len(ids)
    except Exception:  # noqa: BLE001, S110 - an author's __eq__ may raise anything
        pass
    return sum([id_ is not None for id_ in ids])


def _pair_columns(rows: list[Any]) -> Columns:
    """Return (root_counts, roots, edges) of rows (values, roots, edges).

    `roots` of a row is one root, 0 for none, or a tuple of several; `edges` likewise.
    """
    roots = [row[1] for row in rows]
    edges = [row[2] for row in rows]
    if 0 not in roots and set(map(type, roots)) == {int}:
        return b"", array("Q", roots).tobytes(), array("Q", edges).tobytes()
    if not any(roots):
        return b"", b"", b""
    counts: list[int] = []
    flat_roots: list[int] = []
    flat_edges: list[int] = []
    for root, edge in zip(roots, edges, strict=True):
        if isinstance(root, tuple):
            counts.append(len(root))
            flat_roots += root
            flat_edges += edge
        elif root:
            counts.append(1)
            flat_roots.append(root)
            flat_edges.append(edge)
        else:
            counts.append(0)
    return counts, array("Q", flat_roots).tobytes(), array("Q", flat_edges).tobytes()


def edge_source(random_bytes: Callable[[int], bytes]) -> Callable[[], int]:
    """Return a function that draws fresh random edges, never 0."""
    pool: Iterator[int] = iter(())

    def draw() -> int:
        nonlocal pool
        for edge in pool:
            if edge:
                return edge
        pool = iter(array("Q", random_bytes(8 * 1024)).tolist())
        return draw()

    return draw
