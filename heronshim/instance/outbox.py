"""Rows on their way out: open batches by destination, then frames that wait for credit.

The author's thread only appends to lists, one append a row that makes it whole, so the watcher
thread may flush while the author's code runs (ARCHITECTURE.md, D5). `flush` itself is called under
the instance's IO lock.
"""

from __future__ import annotations

from array import array
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from heronshim import native
from heronshim.core.codec.data import (
    ENCODING_ERRORS,
    encode_batch,
    pack_rows,
    unwritable_error,
)
from heronshim.core.stream.credit import CreditSender
from heronshim.core.stream.frame import FRAME_COST_MIN_BYTES, Kind, frame_cost_bytes
from heronshim.core.stream.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from heronshim.core.stream.ack_tracker import AckTracker
    from heronshim.errors import ValueEncodingError

BATCH_BYTES_LIMIT = 32 << 20
"""A batch over this is split; a single row over this fails. Half of the largest frame."""
ROWS_LIMIT = 65_535
"""Rows of the largest batch."""
FIRST_ROWS_MAX = 64
"""Rows of the first batch of a stream, before its row size is known."""
PAIR_BYTES = 16
"""Of a row's root and edge."""
BATCH_HEAD_BYTES = 64
"""Keys and lengths of a batch's fields, at most."""
HELD_US = 10_000
"""A task that holds its sources back for as long is slow; less is the way of credit there and back.
"""
SLOW_US = 2_000_000
"""How long that is remembered."""

Frame = tuple[Kind, int, int, bytes]
"""(kind, destination task, source task, payload)."""
Columns = tuple["Sequence[int]", bytes, bytes]
"""(root counts, roots, edges) as in data.proto."""


class Owner(Protocol):
    """The task that rows come from."""

    def on_unwritable(self, error: ValueEncodingError, ids: Sequence[Any], roots: Any) -> None:
        """A row was left out: its message id (spouts) or its roots (bolts) must fail."""


class OpenBatch:
    """Rows of one stream from one task to one task.

    Three kinds: untracked (`rows` holds values; a spout's `ids` go to `count_ids` at flush), a
    spout's single-copy rows (`ids` beside `rows`; trees open when they leave) and rows with pairs
    (`rows` holds (values, roots, edges)).
    """

    __slots__ = (
        "component", "count_ids", "emitted", "entry", "fields", "ids", "in_cycle", "owner",
        "paired", "row_bytes", "rows", "rows_limit", "rows_max", "sealed_ids", "sealed_rows",
        "source", "stream", "target", "to", "tracker",
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
        self.entry = (self.rows, self.ids, (target,))
        """What the short path of emit keeps for a key: all keys share it."""
        self.rows_max = FIRST_ROWS_MAX
        """Rows that close it, by the size of the rows before."""
        self.rows_limit = ROWS_LIMIT
        """Rows that close it whatever their size."""
        self.row_bytes = 0
        """Of a row of the last frame."""
        self.emitted = 0
        """Rows that left."""
        self.sealed_rows = 0
        """Rows that left and wait for credit."""
        self.sealed_ids = 0
        """Tuples among them whose trees are not open yet."""
        self.to = Target(target)
        self.in_cycle = False
        """Whether both its tasks lie on one cycle: it holds nobody back."""

    def stuck_rows(self) -> int:
        """Return how many rows wait for credit."""
        return len(self.rows) + self.sealed_rows if self.to.waiting else 0


class Target:
    """All that goes to one task."""

    __slots__ = ("batches", "held_since_us", "pace", "slow_until_us", "task", "waiting")

    def __init__(self, task: int) -> None:
        self.task = task
        self.batches: list[OpenBatch] = []
        self.pace = Pace()
        self.waiting: deque[_Sealed] = deque()
        """What waits for credit, in order; rows stay in their batches behind the first of it."""
        self.held_since_us = 0
        """Since when what waits holds somebody back; 0 = it does not."""
        self.slow_until_us = 0
        """Until when bursts of rows for it are small."""


class _Sealed:
    """Rows as one frame that has not left; a spout's trees open when it does."""

    __slots__ = ("batch", "blob", "bytes_max", "columns", "ids", "payload", "rows")

    def __init__(self, batch: OpenBatch, rows: int, blob: bytes, ids: list[Any]) -> None:
        self.batch = batch
        self.rows = rows
        self.blob = blob
        self.ids = ids
        self.columns: Columns = (b"", b"", b"")
        self.payload = b""
        """Set when it was on its way already."""
        self.bytes_max = 0
        """Of its payload."""


class Outbox:
    """All open batches of a process, and what waits for credit."""

    def __init__(
        self, batch_rows: int, batch_bytes: int, cycles: Mapping[int, int] | None = None
    ) -> None:
        """`cycles`: for each task on a cycle of the logical plan a number of that cycle."""
        self._batch_rows = batch_rows
        self._batch_bytes = batch_bytes
        self._cycles = cycles or {}
        self._batches: list[OpenBatch] = []
        self._targets: dict[int, Target] = {}
        self._short: dict[int, Target] = {}
        """Targets that something waits for."""
        self._slow: set[Target] = set()
        self.credit = CreditSender()
        self.frames: list[Frame] = []
        """To be sent now, in order."""
        self.wanted: dict[int, int] = {}
        """Credit to ask for: task -> cost of the first frame that waits."""
        self.emitted_rows = 0
        """Rows that left open batches since the start."""

    def open_batch(self, batch: OpenBatch) -> OpenBatch:
        """Register a batch; it lives as long as the process."""
        batch.to = self._target(batch.target)
        batch.to.batches.append(batch)
        cycle = self._cycles.get(batch.source)
        batch.in_cycle = cycle is not None and cycle == self._cycles.get(batch.target)
        self._batches.append(batch)
        return batch

    def open_rows(self) -> int:
        """Rows in open batches."""
        return sum([len(batch.rows) for batch in self._batches])

    def has_due(self) -> bool:
        """Return whether a row is in an open batch that nothing but its age keeps."""
        return any(batch.rows and not batch.to.waiting for batch in self._batches)

    def waiting_bytes(self) -> int:
        """Return about how many bytes wait for credit."""
        return sum(
            sum(sealed.bytes_max for sealed in target.waiting)
            + sum(len(batch.rows) * batch.row_bytes for batch in target.batches)
            for target in self._short.values()
        )

    def burst_max(self, now_us: int) -> int:
        """Rows that may be added before the next flush: no batch grows to over twice its size.

        For a task that held its sources back lately, about as many as one frame may hold: what it
        cannot take waits here.
        """
        rows_max = min([batch.rows_max for batch in self._batches], default=FIRST_ROWS_MAX)
        for target in list(self._slow):
            if now_us >= target.slow_until_us:
                self._slow.discard(target)
            else:
                rows_max = min(rows_max, target.pace.rows_max(now_us))
        return rows_max

    def holds(self, source: int, now_us: int) -> bool:
        """Return whether a task must wait: over a frame's worth of what it emitted does.

        What waits on an edge of a cycle that the task is on does not count: it would hold itself.
        """
        held = False
        # A copy: the watcher may send meanwhile.
        for target in list(self._short.values()):
            for batch in target.batches:
                if batch.source != source or batch.in_cycle:
                    continue
                if batch.stuck_rows() > min(2 * batch.rows_max, target.pace.rows_max(now_us)):
                    held = True
                    self._note_held(target, now_us)
        return held

    def close_batch(self, batch: OpenBatch, now_us: int) -> None:
        """Let the rows of one batch leave now, before any other to its target."""
        self._close(batch, now_us, seal=True)

    def flush(self, now_us: int, *, only_full: bool = False) -> None:
        """Let rows of open batches leave as far as credit goes."""
        for batch in self._batches:
            count = len(batch.rows)
            if count and (not only_full or count >= batch.rows_max):
                self._close(batch, now_us)

    def on_credit(self, task: int, grant_bytes: int, now_us: int) -> None:
        """Credit came: send what waits for it, in order.

        Raises:
            RemoteProtocolError: it is more than any frame needs.
        """
        self.credit.granted(task, grant_bytes)
        target = self._short.get(task)
        if target is None:
            return
        while target.waiting:
            if not self._leave(target.waiting[0], now_us):
                self._ask(target)
                return
            sealed = target.waiting.popleft()
            sealed.batch.sealed_rows -= sealed.rows
            sealed.batch.sealed_ids -= tracked_count(sealed.ids)
        del self._short[task]
        target.held_since_us = 0
        # The others' turn comes first, now and then.
        target.batches.append(target.batches.pop(0))
        for batch in target.batches:
            if len(batch.rows) >= min(batch.rows_max, target.pace.rows_max(now_us)):
                self._close(batch, now_us)

    def on_new_link(self) -> None:
        """All credit belonged to the old link; ask anew for what waits and what never left."""
        self.credit = CreditSender()
        unsent, self.frames = self.frames, []
        for _, task, source, payload in reversed(unsent):
            target = self._target(task)
            batch = next(batch for batch in target.batches if batch.source == source)
            sealed = _Sealed(batch, 0, b"", [])
            sealed.payload = payload
            sealed.bytes_max = len(payload)
            target.waiting.appendleft(sealed)
            self._short[task] = target
        self.wanted.clear()
        for target in self._short.values():
            self._ask(target)

    def _target(self, task: int) -> Target:
        target = self._targets.get(task)
        if target is None:
            target = self._targets[task] = Target(task)
        return target

    def _note_held(self, target: Target, now_us: int) -> None:
        if not target.held_since_us:
            target.held_since_us = now_us
        elif now_us - target.held_since_us >= HELD_US:
            target.slow_until_us = now_us + SLOW_US
            self._slow.add(target)

    def _close(self, batch: OpenBatch, now_us: int, *, seal: bool = False) -> None:
        """Let the rows that are whole now leave; they stay while another frame waits for credit.

        `seal`: all of them become frames, which may have to wait.
        """
        if batch.ids and batch.count_ids is not None:
            untracked = batch.ids[:]
            del batch.ids[: len(untracked)]
            batch.count_ids(tracked_count(untracked))
        target = batch.to
        waiting = target.waiting
        count = len(batch.rows if batch.tracker is None else batch.ids)
        while count and (seal or not waiting):
            rows_max = min(count, batch.rows_max, target.pace.rows_max(now_us))
            credit = self.credit.credit.get(target.task, 0)
            if FRAME_COST_MIN_BYTES <= credit < rows_max * batch.row_bytes:
                rows_max = max(1, credit // batch.row_bytes)
            for sealed in self._take(batch, rows_max):
                if waiting or not self._leave(sealed, now_us):
                    waiting.append(sealed)
                    batch.sealed_rows += sealed.rows
                    batch.sealed_ids += tracked_count(sealed.ids)
            count -= rows_max
        if waiting:
            self._short[target.task] = target
            self._ask(target)

    def _take(self, batch: OpenBatch, count: int) -> list[_Sealed]:
        """Take rows out of a batch and make frames of them, as a rule one."""
        ids: list[Any] = []
        if batch.tracker is not None:
            ids = batch.ids[:count]
            del batch.ids[:count]
        rows = batch.rows[:count]
        del batch.rows[:count]
        self.emitted_rows += count
        batch.emitted += count
        try:
            blob = pack_rows([row[0] for row in rows] if batch.paired else rows)
        except ENCODING_ERRORS:
            blob = b""
        if not blob or len(blob) > BATCH_BYTES_LIMIT or not _all_sequences(batch, rows):
            return self._take_one_by_one(batch, rows, ids)
        fitting_rows = self._batch_bytes * count // len(blob)
        batch.rows_max = max(1, min(self._batch_rows, fitting_rows, batch.rows_limit))
        sealed = _sealed(batch, rows, blob, ids)
        batch.row_bytes = sealed.bytes_max // count + 1
        return [sealed]

    def _take_one_by_one(self, batch: OpenBatch, rows: list[Any], ids: list[Any]) -> list[_Sealed]:
        """Some row cannot be written, or all together are too large: send each by itself."""
        made = []
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
            made.append(_sealed(batch, [row], blob, row_ids))
        return made

    def _leave(self, sealed: _Sealed, now_us: int) -> bool:
        """Send a frame if there is credit for it; its trees open now, when their time begins."""
        batch = sealed.batch
        task = batch.target
        if not self.credit.may_send(task, frame_cost_bytes(sealed.bytes_max)):
            return False
        payload = sealed.payload
        if not payload:
            columns = sealed.columns
            if batch.tracker is not None:
                columns = _open_trees(batch.tracker, sealed.ids, now_us)
            payload = encode_batch(
                batch.component, batch.stream, sealed.rows, sealed.blob, *columns
            )
            batch.to.pace.took(sealed.rows, now_us)
        self.credit.spend(task, frame_cost_bytes(len(payload)))
        self.frames.append((Kind.DATA, task, batch.source, payload))
        return True

    def _ask(self, target: Target) -> None:
        if self.credit.ask(target.task):
            self.wanted[target.task] = frame_cost_bytes(target.waiting[0].bytes_max)


def _sealed(batch: OpenBatch, rows: list[Any], blob: bytes, ids: list[Any]) -> _Sealed:
    """Return rows as one frame; of a spout's trees only the size is known."""
    sealed = _Sealed(batch, len(rows), blob, ids)
    columns_bytes = (PAIR_BYTES + 1) * len(ids)
    if batch.paired:
        counts, roots, edges = sealed.columns = _pair_columns(rows)
        columns_bytes = 5 * len(counts) + len(roots) + len(edges)
    names_bytes = 4 * (len(batch.component) + len(batch.stream))
    sealed.bytes_max = len(blob) + columns_bytes + names_bytes + BATCH_HEAD_BYTES
    return sealed


def _all_sequences(batch: OpenBatch, rows: list[Any]) -> bool:
    """Return whether each row's values are a list or tuple (text would pass as a sequence)."""
    if native.MODULE is not None and not batch.paired and native.MODULE.plain_rows(rows):
        return True
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
    if native.MODULE is not None:
        return len(ids) - int(native.MODULE.none_count(ids))
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
    if native.MODULE is not None:
        edges: Callable[[], int] = native.MODULE.EdgeSource(random_bytes)
        return edges
    pool: Iterator[int] = iter(())

    def draw() -> int:
        nonlocal pool
        for edge in pool:
            if edge:
                return edge
        pool = iter(array("Q", random_bytes(8 * 1024)).tolist())
        return draw()

    return draw
