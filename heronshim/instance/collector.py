"""What an author's `emit`, `ack` and `fail` do: choose tasks, append rows, note outcomes.

The default stream with one consumer, one copy a tuple and a fields or shuffle grouping has a path
of its own; all else takes the general one. Both give the same rows (tests/unit/instance).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heronshim import native
from heronshim.api.tuple import Tuple
from heronshim.core.plan.topology import DEFAULT_STREAM
from heronshim.core.stream.ack_tracker import UNHEARD
from heronshim.core.stream.field_hash import may_be_kept
from heronshim.errors import nearest
from heronshim.instance.outbox import OpenBatch, edge_source, tracked_count
from heronshim.instance.stream_order import StreamOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from heronshim.api.hooks import TaskHook
    from heronshim.instance.bolt_task import BoltTask
    from heronshim.instance.outbox import Outbox
    from heronshim.instance.routes import Route
    from heronshim.instance.spout_task import SpoutTask


class _Streams:
    """Routes of one task and one open batch for each (stream, target)."""

    def __init__(
        self, owner: SpoutTask | BoltTask, outbox: Outbox, routes: dict[str, Route]
    ) -> None:
        self.owner = owner
        self.outbox = outbox
        self.routes = routes
        self.order = StreamOrder(owner, outbox)
        self._batches: dict[tuple[str, int], OpenBatch] = {}
        self._reported: dict[tuple[str, int], int] = {}
        self._emitted_elsewhere: dict[str, int] = {}

    def take_counts(self) -> dict[str, int]:
        """Return and forget emits since the last report: stream -> count. IO lock held."""
        # Copies, and totals that only grow: the author's thread may emit meanwhile.
        totals = {
            key: batch.emitted + len(batch.rows)
            for key, batch in list(self._batches.items())
            if self.routes[key[0]].single
        }
        totals |= {(stream, 0): total for stream, total in list(self._emitted_elsewhere.items())}
        counts: dict[str, int] = {}
        for key, total in totals.items():
            counts[key[0]] = counts.get(key[0], 0) + total - self._reported.get(key, 0)
            self._reported[key] = total
        return counts

    def count_emit(self, route: Route, tasks: tuple[int, ...]) -> None:
        """Count an emit that `take_counts` cannot see from rows."""
        if not route.single or not tasks:
            known = self._emitted_elsewhere
            known[route.stream] = known.get(route.stream, 0) + 1

    def route(self, stream: str, values: Sequence[Any], *, direct: bool) -> Route:
        """Return the route of a stream.

        Raises:
            ValueError: it is not declared, or declared direct and used otherwise.
            TypeError: the values are not a list or tuple.
        """
        if not isinstance(values, (list, tuple)):
            msg = f"emit takes a list or tuple of values, not {type(values).__name__}"
            raise TypeError(msg)
        route = self.routes.get(stream)
        component = self.owner.context.component_id
        if route is None:
            known = ", ".join(self.routes) or "none"
            msg = (
                f'Unknown stream ID: {stream}; "{component}" declares: {known}.'
                f"{nearest(stream, self.routes)}"
            )
            raise ValueError(msg)
        if route.direct != direct:
            msg = (
                f'Cannot do regular emit to direct stream "{stream}" of "{component}"; '
                "use emit_direct"
                if route.direct
                else f'Cannot emitDirect to stream "{stream}" of "{component}": it is not declared '
                "direct; use emit"
            )
            raise ValueError(msg)
        return route

    def batch(self, route: Route, target: int, **kind: Any) -> OpenBatch:
        """Return the open batch of a stream for a target, to append a row at once."""
        key = (route.stream, target)
        batch = self._batches.get(key)
        if batch is None:
            context = self.owner.context
            batch = self._batches[key] = self.outbox.open_batch(
                OpenBatch(
                    self.owner, context.component_id, route.stream, route.fields,
                    context.task_id, target, **kind,
                )
            )  # fmt: skip
        if route.ordered:
            self.order.turn_to(batch)
        return batch


class SpoutCollector:
    """Binds `emit` and its like to one spout."""

    def __init__(
        self, task: SpoutTask, outbox: Outbox, *, tracked: bool, bounded: bool = False
    ) -> None:
        """`bounded`: all tuples have trees, also those of which the author hears nothing."""
        self._task, self._outbox = task, outbox
        self._heard, self._bounded = tracked, bounded
        self._tracked = tracked or bounded
        self._tracked_batches: list[OpenBatch] = []
        self._streams = _Streams(task, outbox, {})
        self.emitted_elsewhere = 0
        """Emits that made no row: nobody consumes the stream."""

    def bind(self, routes: dict[str, Route]) -> None:
        """Give the spout its methods; called once, before the author's open."""
        self._streams = _Streams(self._task, self._outbox, routes)
        spout: Any = self._task.spout
        spout.emit = self._fast_emit() or self._emit
        spout.emit_direct = self._emit_direct
        spout.report_error = self._task.report
        self.rebind_hooks()

    def rebind_hooks(self) -> None:
        """With hooks every emit takes the general path, which calls them."""
        if self._task.context.hooks:
            spout: Any = self._task.spout
            spout.emit = self._emit

    def unflushed_tracked(self) -> int:
        """Tracked rows that have not left: their trees are not open yet."""
        return sum([tracked_count(one.ids) + one.sealed_ids for one in self._tracked_batches])

    def take_emit_counts(self) -> dict[str, int]:
        """Return emits since the last report: stream -> count."""
        return self._streams.take_counts()

    def _fast_emit(self) -> Any:
        """Return emit for a default stream with one copy a tuple, or None."""
        route = self._streams.routes.get(DEFAULT_STREAM)
        if route is None or not route.short:
            return None
        general, batch_of = self._emit, self._single_batch
        if self._task.calls_ack_at_emit or self._bounded:
            return None
        if route.key_index is None:
            return self._fast_emit_unkeyed(route)
        index = route.key_index
        memo: dict[str, Any] = {}

        def emit_keyed(
            values: Sequence[Any],
            *,
            id: Any = None,  # noqa: A002
            stream: str = DEFAULT_STREAM,
        ) -> Sequence[int]:
            if stream is DEFAULT_STREAM:
                try:
                    rows, ids, tasks = memo[values[index]]
                except (KeyError, TypeError, IndexError):
                    pass
                else:
                    rows.append(values)
                    ids.append(id)
                    return tasks  # type: ignore[no-any-return]
            tasks = tuple(general(values, id=id, stream=stream))
            if stream == DEFAULT_STREAM and may_be_kept(memo, values[index]):
                memo[values[index]] = batch_of(route, tasks[0]).entry
            return tasks

        if native.MODULE is not None:
            return native.MODULE.SpoutEmit(emit_keyed, memo, index)
        return emit_keyed

    def _fast_emit_unkeyed(self, route: Route) -> Any:
        """Return emit where the values do not matter for the task, or matter to `choose` alone."""
        general, choose = self._emit, route.choose
        by_tasks: dict[tuple[int, ...], Any] = {}
        if route.constant is not None:
            entry = self._single_batch(route, route.constant[0]).entry
            rows, ids, tasks = entry

            def emit_constant(
                values: Sequence[Any],
                *,
                id: Any = None,  # noqa: A002
                stream: str = DEFAULT_STREAM,
            ) -> Sequence[int]:
                if stream is not DEFAULT_STREAM:
                    return general(values, id=id, stream=stream)
                rows.append(values)
                ids.append(id)
                return tasks

            if native.MODULE is not None:
                return native.MODULE.SpoutEmit(emit_constant, entry, -1)
            return emit_constant

        def emit_chosen(
            values: Sequence[Any],
            *,
            id: Any = None,  # noqa: A002
            stream: str = DEFAULT_STREAM,
        ) -> Sequence[int]:
            if stream is not DEFAULT_STREAM:
                return general(values, id=id, stream=stream)
            tasks = choose(values)
            try:
                rows, ids, _ = by_tasks[tasks]
            except KeyError:
                by_tasks[tasks] = self._single_batch(route, tasks[0]).entry
                rows, ids, _ = by_tasks[tasks]
            rows.append(values)
            ids.append(id)
            return tasks

        return emit_chosen

    def _single_batch(self, route: Route, target: int) -> OpenBatch:
        if not self._tracked:
            return self._streams.batch(route, target, count_ids=self._task.on_untracked_ids)
        batch = self._streams.batch(route, target, tracker=self._task.tracker)
        if batch not in self._tracked_batches:
            self._tracked_batches.append(batch)
            limit = self._task.rows_limit(len(self._tracked_batches))
            for each in self._tracked_batches:
                each.rows_limit = limit
        return batch

    def _emit(
        self,
        values: Sequence[Any],
        *,
        id: Any = None,  # noqa: A002
        stream: str = DEFAULT_STREAM,
    ) -> Sequence[int]:
        route = self._streams.route(stream, values, direct=False)
        return self._send(route, route.choose(values), values, id)

    def _emit_direct(
        self,
        task: int,
        values: Sequence[Any],
        *,
        id: Any = None,  # noqa: A002
        stream: str = DEFAULT_STREAM,
    ) -> Sequence[int]:
        route = self._streams.route(stream, values, direct=True)
        tasks = (task,) if task in route.direct_tasks else ()
        return self._send(route, tasks, values, id)

    def _send(
        self, route: Route, tasks: tuple[int, ...], values: Sequence[Any], id_: Any
    ) -> tuple[int, ...]:
        context = self._task.context
        if self._heard and id_ is not None and not tasks:
            self._task.on_empty_trees([id_])
        elif not self._heard and id_ is not None:
            self._task.on_untracked_id(id_)
        if self._bounded and (id_ is None or not self._heard):
            id_ = UNHEARD
        if not tasks:
            self.emitted_elsewhere += 1
        elif route.ordered:
            with self._streams.order.lock:
                self._append(route, tasks, values, id_)
        else:
            self._append(route, tasks, values, id_)
        self._streams.count_emit(route, tasks)
        for hook in context.hooks:
            hook.emit(values, route.stream, tasks)
        return tasks

    def _append(
        self, route: Route, tasks: tuple[int, ...], values: Sequence[Any], id_: Any
    ) -> None:
        """Append a row for each task; of several copies all edges are drawn before any leaves."""
        if route.single:
            batch = self._single_batch(route, tasks[0])
            batch.rows.append(values)
            if self._tracked:
                batch.ids.append(id_)
            return
        if not self._tracked:
            for task in tasks:
                self._streams.batch(route, task).rows.append(values)
            return
        root = 0
        edges = [0] * len(tasks)
        if id_ is not None:
            root, edges = self._task.open_copies(id_, len(tasks))
        for task, edge in zip(tasks, edges, strict=True):
            self._streams.batch(route, task, paired=True).rows.append((values, root, edge))


class BoltCollector:
    """Binds `emit`, `ack` and their like to one bolt."""

    def __init__(self, task: BoltTask, outbox: Outbox, rng: Random, *, tracked: bool) -> None:
        self._task = task
        self._outbox = outbox
        self._tracked = tracked
        self._draw_edge = edge_source(rng.randbytes)
        self._streams = _Streams(task, outbox, {})
        self._auto_anchor = task.auto_anchor

    def bind(self, routes: dict[str, Route]) -> None:
        """Give the bolt its methods; called once, before the author's prepare."""
        self._streams = _Streams(self._task, self._outbox, routes)
        bolt: Any = self._task.bolt
        bolt.emit = self._fast_emit() or self._emit
        bolt.emit_direct = self._emit_direct
        bolt.ack = self._task.mark_acked
        bolt.fail = self._task.mark_failed
        bolt.reset_timeout = self._task.mark_reset
        bolt.report_error = self._task.report
        self.rebind_hooks()

    def rebind_hooks(self) -> None:
        """With hooks every emit and ack takes the general path, which calls them."""
        hooks = self._task.context.hooks
        if hooks:
            bolt: Any = self._task.bolt
            bolt.emit = self._emit
            if not self._task.auto_ack:
                bolt.ack = _hooked(self._task.mark_acked, hooks, "bolt_ack")
            bolt.fail = _hooked(self._task.mark_failed, hooks, "bolt_fail")

    def take_emit_counts(self) -> dict[str, int]:
        """Return emits since the last report: stream -> count."""
        return self._streams.take_counts()

    def _fast_emit(self) -> Any:
        """Return emit for a default stream with one copy a tuple and a key, or None."""
        route = self._streams.routes.get(DEFAULT_STREAM)
        if route is None or not route.short or route.key_index is None:
            return None
        index, general, task = route.key_index, self._emit, self._task
        memo: dict[str, Any] = {}
        draw_edge = self._draw_edge
        tracked, auto_anchor = self._tracked, self._auto_anchor
        batch_of = self._batch

        def emit_keyed(
            values: Sequence[Any],
            *,
            stream: str = DEFAULT_STREAM,
            anchors: Sequence[Tuple] | None = None,
        ) -> Sequence[int]:
            if anchors is not None or stream is not DEFAULT_STREAM:
                return general(values, stream=stream, anchors=anchors)
            try:
                rows, _, tasks = memo[values[index]]
            except (KeyError, TypeError, IndexError):
                tasks = general(values, stream=stream, anchors=anchors)
                if may_be_kept(memo, values[index]):
                    memo[values[index]] = batch_of(route, tasks[0]).entry
                return tasks
            if not tracked:
                rows.append(values)
                return tasks  # type: ignore[no-any-return]
            anchor = task.current
            if not auto_anchor or anchor is None:
                rows.append((values, 0, 0))
                return tasks  # type: ignore[no-any-return]
            source = anchor._source  # noqa: SLF001 - the engine's own field
            roots = source.roots
            if roots is None:
                rows.append((values, 0, 0))
                return tasks  # type: ignore[no-any-return]
            row = anchor._row  # noqa: SLF001 - the engine's own field
            root = roots[row]
            if root.__class__ is not int or not root:
                rows.append((values, *self._pairs((anchor,))))
                return tasks  # type: ignore[no-any-return]
            edge = draw_edge()
            children = source.children
            if children is None:
                children = source.children = [0] * len(roots)
            children[row] ^= edge
            rows.append((values, root, edge))
            return tasks  # type: ignore[no-any-return]

        if native.MODULE is not None:
            return native.MODULE.BoltEmit(
                emit_keyed, memo, index, task, draw_edge, tracked, auto_anchor
            )
        return emit_keyed

    def _batch(self, route: Route, target: int) -> OpenBatch:
        return self._streams.batch(route, target, paired=self._tracked)

    def _emit(
        self,
        values: Sequence[Any],
        *,
        stream: str = DEFAULT_STREAM,
        anchors: Sequence[Tuple] | None = None,
    ) -> Sequence[int]:
        route = self._streams.route(stream, values, direct=False)
        return self._send(route, route.choose(values), values, anchors)

    def _emit_direct(
        self,
        task: int,
        values: Sequence[Any],
        *,
        stream: str = DEFAULT_STREAM,
        anchors: Sequence[Tuple] | None = None,
    ) -> Sequence[int]:
        route = self._streams.route(stream, values, direct=True)
        tasks = (task,) if task in route.direct_tasks else ()
        return self._send(route, tasks, values, anchors)

    def _send(
        self,
        route: Route,
        tasks: tuple[int, ...],
        values: Sequence[Any],
        anchors: Sequence[Tuple] | None,
    ) -> tuple[int, ...]:
        if anchors is None:
            current = self._task.current
            anchors = (current,) if self._auto_anchor and current is not None else ()
        if route.ordered:
            with self._streams.order.lock:
                self._append(route, tasks, values, anchors)
        else:
            self._append(route, tasks, values, anchors)
        self._streams.count_emit(route, tasks)
        for hook in self._task.context.hooks:
            hook.emit(values, route.stream, tasks)
        return tasks

    def _append(
        self,
        route: Route,
        tasks: tuple[int, ...],
        values: Sequence[Any],
        anchors: Sequence[Tuple],
    ) -> None:
        for task in tasks:
            rows = self._batch(route, task).rows
            rows.append((values, *self._pairs(anchors)) if self._tracked else values)

    def _pairs(self, anchors: Sequence[Tuple]) -> tuple[Any, Any]:
        """Draw one fresh edge per anchor for one copy; return its roots and edges.

        The edge goes into the anchor's own ack value and into the pair of each of its roots, as
        Storm's MessageId does: one edge per copy would complete a tree falsely when two anchors
        share a root.
        """
        pairs: dict[int, int] = {}
        for anchor in anchors:
            source, row = anchor._source, anchor._row  # noqa: SLF001 - the engine's own fields
            roots = source.roots[row] if source.roots is not None else 0
            if not roots:
                continue
            edge = self._draw_edge()
            if source.children is None:
                source.children = [0] * len(source.roots)
            source.children[row] ^= edge
            for root in roots if isinstance(roots, tuple) else (roots,):
                pairs[root] = pairs.get(root, 0) ^ edge
        if not pairs:
            return 0, 0
        if len(pairs) == 1:
            return next(iter(pairs.items()))
        return tuple(pairs), tuple(pairs.values())


def _hooked(
    call: Callable[[Tuple], None], hooks: list[TaskHook], method: str
) -> Callable[[Tuple], None]:
    def hooked(tup: Tuple) -> None:
        call(tup)
        for hook in hooks:
            getattr(hook, method)(tup)

    return hooked
