"""One bolt task: executes batches row by row and acks them.

Rows are acked in the order of a batch as long as the author leaves acks to the engine; a batch
without children whose roots belong to one spout task is acked by echoing its columns.
"""

from __future__ import annotations

from array import array
from collections import deque
from itertools import count, islice, repeat
from operator import length_hint
from typing import TYPE_CHECKING, Any

from heronshim import native
from heronshim.api.components import FailTuple
from heronshim.api.tuple import Source, Tuple
from heronshim.core.plan.topology import SYSTEM_COMPONENT, SYSTEM_TASK, TICK_STREAM
from heronshim.instance.collector import BoltCollector
from heronshim.instance.outcomes import OutcomeBuffer, of_one_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager
    from random import Random

    from heronshim.api.components import Bolt
    from heronshim.api.context import Context
    from heronshim.core.codec.data import Rows
    from heronshim.errors import ValueEncodingError
    from heronshim.instance.clock import Clock
    from heronshim.instance.meter import TaskMeter
    from heronshim.instance.outbox import Frame, Outbox
    from heronshim.instance.routes import Route
    from heronshim.wire.v1.data_pb2 import DataBatch

CHUNK_NS = 400_000
"""About how long rows may be executed between two looks at the socket."""
FEW_ROWS = 4
FEW_ROWS_NS = 8_000_000
"""Up to so few rows may take so long together. A look after code that waits costs 0.1 ms: a bolt of
1.5 ms a row, flooded, kept 90 % of its capacity and keeps 98 %. What is due meanwhile the watcher
sends."""
NS_PER_US = 1000
STOPPED = "execute raised StopIteration"
_ACK, _FAIL, _RESET = "ack", "fail", "reset"


class _Work:
    """A batch in execution."""

    __slots__ = (
        "edges",
        "failed",
        "frame_bytes",
        "link",
        "noted",
        "roots",
        "row_count",
        "rows",
        "rows_iter",
        "source",
        "tuples",
    )  # fmt: skip

    def __init__(self, source: Source, rows: Rows, link: int, frame_bytes: int) -> None:
        self.source = source
        self.rows = rows
        self.row_count = len(rows)
        self.rows_iter: Any
        """What is not begun yet, by its length hint."""
        self.tuples: Any
        if isinstance(rows, list):
            self.rows_iter = iter(rows)
            self.tuples = map(Tuple, self.rows_iter, repeat(source), count())
        else:
            self.rows_iter = self.tuples = rows.tuples(source)
        self.link = link
        self.frame_bytes = frame_bytes
        self.roots = b""
        """Root column as it came, while it can be echoed; else empty."""
        self.edges = b""
        self.noted = 0
        """Rows below this are settled."""
        self.failed: set[int] = set()
        """Rows whose execute raised, or that the author failed: not acked with the others."""

    def begun(self) -> int:
        """Rows that execute was called for."""
        return self.row_count - length_hint(self.rows_iter)

    def in_hand(self) -> Tuple:
        """Return the tuple of the newest row that execute was called for."""
        row = self.begun() - 1
        values = self.rows[row] if isinstance(self.rows, list) else self.tuples.in_hand
        return Tuple(values, self.source, row)


class BoltTask:
    """`step` runs in the author's thread; `on_batch` and `take_outcomes` under the IO lock."""

    def __init__(
        self,
        bolt: Bolt,
        context: Context,
        meter: TaskMeter,
        outbox: Outbox,
        *,
        tracked: bool,
        bounded: bool = False,
        tick_s: float | None,
        rng: Random,
        fatal: Callable[[BaseException], None],
        clock: Clock,
        io_lock: AbstractContextManager[Any],
    ) -> None:
        self.bolt = bolt
        self.context = context
        self.meter = meter
        self.task = context.task_id
        self.current: Tuple | None = None
        """The tuple in hand."""
        self.marked: deque[Any] = deque()
        """What the author acked, failed or reset, in order: (kind, tuple, XOR of its children)."""
        self.consumed: deque[tuple[int, int]] = deque()
        """(link, bytes) of batches that were executed: credit to give back."""
        self.io_lock = io_lock
        self._fatal = fatal
        self._clock = clock
        self.clock_ns = clock.now_ns
        self._inbox: deque[tuple[DataBatch, Rows, int, int, int]] = deque()
        self._work: _Work | None = None
        self._chunk_rows = 16
        # Trees that only bound what is under way need nothing of the author.
        self.auto_ack = type(bolt).auto_ack or bounded
        """Whether rows are acked when their execute returns."""
        self.auto_anchor = type(bolt).auto_anchor or bounded
        """Whether what it emits is anchored to the tuple in hand."""
        self._emits = bool(context.topology.component(context.component_id).outputs)
        self._outcomes = OutcomeBuffer(self.task)
        self._finished: deque[_Work] = deque()
        self._executing = False
        self._tick_s = tick_s
        self._next_tick_ns = 0
        self._tracked = tracked
        self.collector = BoltCollector(self, outbox, rng, tracked=tracked)
        self._tick_source = Source(SYSTEM_COMPONENT, SYSTEM_TASK, TICK_STREAM, ("rate_secs",))

    def open(self, routes: dict[str, Route]) -> None:
        """Bind the collector and call the author's prepare."""
        self.collector.bind(routes)
        self.bolt.prepare(self.context.config, self.context)
        self.collector.rebind_hooks()
        if self._tick_s:
            self._next_tick_ns = self.clock_ns() + int(self._tick_s * 1e9)

    def on_batch(
        self, batch: DataBatch, rows: Rows, source_task: int, link: int, frame_bytes: int
    ) -> None:
        """A batch arrived; it is executed in a later step."""
        self._inbox.append((batch, rows, source_task, link, frame_bytes))

    def queued(self) -> bool:
        """Return whether anything waits to be executed."""
        return bool(self._inbox) or self._work is not None

    def next_deadline_ns(self) -> int:
        """When the next tick is due; 0 = never."""
        return self._next_tick_ns

    def step(self, now_ns: int, *, may_take_input: bool) -> bool:
        """Execute about CHUNK_NS worth of rows; return whether anything happened."""
        ticked = self._tick(now_ns)
        if not may_take_input:
            return ticked
        if self._work is None:
            if not self._inbox:
                return ticked
            self._work = self._begin(*self._inbox.popleft())
        self._run_chunk(self._work, now_ns)
        return True

    def mark_acked(self, tup: Tuple) -> None:
        """The author acks a tuple; what it emits for it from now on is not awaited (Storm)."""
        if self.auto_ack:
            return
        children = tup._source.children  # noqa: SLF001 - the engine's own field
        self.marked.append((_ACK, tup, children[tup._row] if children is not None else 0))  # noqa: SLF001

    def mark_failed(self, tup: Tuple) -> None:
        """The author fails a tuple."""
        work = self._work
        if work is not None and tup._source is work.source:  # noqa: SLF001 - the engine's own field
            self._know_roots(work)
            work.failed.add(tup._row)  # noqa: SLF001
        self.marked.append((_FAIL, tup, 0))

    def mark_reset(self, tup: Tuple) -> None:
        """The author gives a tuple's tree its timeout again."""
        work = self._work
        if work is not None and tup._source is work.source:  # noqa: SLF001 - the engine's own field
            self._know_roots(work)
        self.marked.append((_RESET, tup, 0))

    def take_outcomes(self) -> list[Frame]:
        """Return the outcomes of all rows settled so far, also of a batch in execution."""
        while self._finished:
            work = self._finished.popleft()
            self._settle_rows(work, work.row_count)
        current = self._work
        if current is not None:
            # The row in hand is not settled before execute returns.
            self._settle_rows(current, current.begun() - (1 if self._executing else 0))
        while self.marked:
            self._settle_marked(self.marked.popleft())
        return self._outcomes.take()

    def on_unwritable(self, error: ValueEncodingError, ids: Sequence[Any], roots: Any) -> None:
        """A row was left out at flush: report it and fail its trees."""
        self.meter.error(error, self.clock_ns(), self._clock.wall_ms())
        for root in roots if isinstance(roots, tuple) else (roots,) if roots else ():
            self._outcomes.fail(root)

    def report(self, error: BaseException | str) -> None:
        """Report an error with the tuple in hand, failing nothing."""
        now_ns = self.clock_ns()
        in_hand = repr(self.current)[:500] if self.current is not None else ""
        self.meter.error(error, now_ns, self._clock.wall_ms(), in_hand)

    def close(self) -> None:
        """Call the author's cleanup."""
        self.bolt.cleanup()
        for hook in self.context.hooks:
            hook.cleanup()

    def _tick(self, now_ns: int) -> bool:
        if not self._next_tick_ns or now_ns < self._next_tick_ns or self._tick_s is None:
            return False
        interval_ns = int(self._tick_s * 1e9)
        self._next_tick_ns += interval_ns * (1 + (now_ns - self._next_tick_ns) // interval_ns)
        interval = int(self._tick_s) if self._tick_s == int(self._tick_s) else self._tick_s
        tick = Tuple([interval], self._tick_source, 0)
        self.meter.add(f"execute_count/{SYSTEM_COMPONENT}/{TICK_STREAM}", 1)
        self.current = tick
        try:
            self.bolt.execute(tick)
        except FailTuple:
            pass
        except Exception as error:  # noqa: BLE001 - the author's code may raise anything
            self.report(error)
            self._fatal(error)
        self.current = None
        return True

    def _begin(
        self, batch: DataBatch, rows: Rows, source_task: int, link: int, frame_bytes: int
    ) -> _Work:
        """Prepare a batch for execution; roots become Python numbers only where they are used."""
        fields = self._field_names(batch.component, batch.stream)
        source = Source(batch.component, source_task, batch.stream, fields)
        work = _Work(source, rows, link, frame_bytes)
        if not batch.roots:
            return work
        if not batch.root_counts and of_one_task(batch.roots):
            work.roots, work.edges = batch.roots, batch.edges
        if self._emits or not self.auto_ack or not work.roots:
            source.roots = array("Q", batch.roots).tolist()
            source.edges = array("Q", batch.edges).tolist()
            if batch.root_counts:
                source.roots = _by_row(source.roots, batch.root_counts)
                source.edges = _by_row(source.edges, batch.root_counts)
        return work

    def _field_names(self, component: str, stream: str) -> tuple[str, ...]:
        try:
            return self.context.fields(component, stream)
        except KeyError:
            return ()

    def _run_chunk(self, work: _Work, now_ns: int) -> None:
        """Execute about CHUNK_NS worth of a batch; a row that raises is failed and left behind."""
        rows = self._chunk_rows
        before = work.begun()
        self._executing = True
        try:
            self._execute_rows(work, rows)
        except Exception as error:  # noqa: BLE001 - the author's code may raise anything
            self._on_raised(work, error)
        self._executing = False
        self.current = None
        done = work.begun() - before
        if work.begun() >= work.row_count:
            self._finished.append(work)
            self._work = None
            self.consumed.append((work.link, work.frame_bytes))
        elapsed_ns = self.clock_ns() - now_ns
        if elapsed_ns > (2 * CHUNK_NS if rows > FEW_ROWS else FEW_ROWS_NS):
            self._chunk_rows = max(1, rows // 2)
        elif elapsed_ns < (CHUNK_NS if 2 * rows > FEW_ROWS else FEW_ROWS_NS // 2) and done == rows:
            self._chunk_rows = min(65_536, rows * 2)
        self._measure(work.source, done, elapsed_ns // NS_PER_US)

    def _execute_rows(self, work: _Work, rows: int) -> None:
        execute, tuples = self.bolt.execute, work.tuples
        if self.context.hooks:
            for tup in islice(tuples, rows):
                self.current = tup
                begun_ns = self.clock_ns()
                execute(tup)
                for hook in self.context.hooks:
                    hook.bolt_execute(tup, (self.clock_ns() - begun_ns) / 1e6)
                    if self.auto_ack and tup._row not in work.failed:  # noqa: SLF001
                        hook.bolt_ack(tup)
        elif native.MODULE is not None and not isinstance(work.rows, list):
            try:
                native.MODULE.execute_rows(execute, tuples, rows, self if self._emits else None)
            except StopIteration:
                if self._emits:
                    raise
                raise RuntimeError(STOPPED) from None
        elif self._emits:
            for tup in islice(tuples, rows):
                self.current = tup
                execute(tup)
        else:
            due = min(rows, length_hint(work.rows_iter))
            if len(list(map(execute, islice(tuples, rows)))) < due:
                # map takes an author's StopIteration for the end of its input.
                raise RuntimeError(STOPPED)

    def _on_raised(self, work: _Work, error: Exception) -> None:
        row = work.begun() - 1
        self._know_roots(work)
        work.failed.add(row)
        tup = work.in_hand()
        if not isinstance(error, FailTuple):
            self.current = tup
            self.report(error)
            self._fatal(error)
        self.marked.append((_FAIL, tup, 0))
        for hook in self.context.hooks:
            hook.bolt_fail(tup)

    def _know_roots(self, work: _Work) -> None:
        """Make numbers of a batch's columns, which are echoed as they came where all goes well.

        Before a row is noted as failed: from then on the batch is settled row by row.
        """
        source = work.source
        if source.roots is None and work.roots:
            source.edges = array("Q", work.edges).tolist()
            source.roots = array("Q", work.roots).tolist()

    def _measure(self, source: Source, rows: int, elapsed_us: int) -> None:
        name = f"execute_count/{source.component}/{source.stream}"
        self.meter.add_executed(name, rows, elapsed_us)

    def _settle_rows(self, work: _Work, end: int) -> None:
        """Ack the rows from `work.noted` to `end`, but for those that raised."""
        start, work.noted = work.noted, max(work.noted, end)
        if not self.auto_ack or end <= start:
            return
        rows: Sequence[int] = range(start, end)
        if work.failed:
            rows = [row for row in rows if row not in work.failed]
        self.meter.add("ack_count", len(rows))
        source = work.source
        children = source.children
        if work.roots and children is None and not work.failed:
            span = slice(8 * start, 8 * end)
            roots = work.roots[span]
            first = int.from_bytes(roots[6:8], "little")
            self._outcomes.echo(roots, work.edges[span], distinct=first == source.task)
            return
        if source.roots is None:
            return
        for row in rows:
            self._ack_row(source, row, children[row] if children is not None else 0)

    def _settle_marked(self, mark: Any) -> None:
        """Apply what the author did with one tuple."""
        kind, tup, child = mark
        source = tup._source  # noqa: SLF001 - the engine's own field
        if kind == _ACK:
            self.meter.add("ack_count", 1)
            if source.roots is not None:
                self._ack_row(source, tup._row, child)  # noqa: SLF001
            return
        if kind == _FAIL:
            self.meter.add("fail_count", 1)
        roots = source.roots[tup._row] if source.roots is not None else 0  # noqa: SLF001
        for root in roots if isinstance(roots, tuple) else (roots,) if roots else ():
            if kind == _FAIL:
                self._outcomes.fail(root)
            else:
                self._outcomes.reset_timeout(root)

    def _ack_row(self, source: Source, row: int, child: int) -> None:
        """XOR the row's edges and those of its children into its trees."""
        root, edge = source.roots[row], source.edges[row]
        if root.__class__ is int:
            if root:
                self._outcomes.ack(root, edge ^ child)
            return
        for one_root, one_edge in zip(root, edge, strict=True):
            self._outcomes.ack(one_root, one_edge ^ child)


def _by_row(column: list[int], counts: Iterable[int]) -> list[Any]:
    """Return per row 0, a number, or a tuple of numbers."""
    rows: list[Any] = []
    start = 0
    for size in counts:
        part = column[start : start + size]
        rows.append(0 if not part else part[0] if size == 1 else tuple(part))
        start += size
    return rows
