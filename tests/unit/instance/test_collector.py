"""What emit does: both paths give the same rows, tasks and trees; wrong uses are named."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heronshim.api import CustomGrouping, Spout, TaskHook, Tuple
from heronshim.core.plan.topology import Grouping, GroupingKind
from heronshim.core.stream.frame import Kind
from tests.unit.instance.loop import (
    ALL,
    SHUFFLE,
    Feed,
    Hold,
    Loop,
    Take,
    bolt,
    column,
    fields,
    output,
    spout,
)

DIRECT = Grouping(GroupingKind.DIRECT)


class HookedFeed(Feed):
    """A hook forces every emit on the general path."""

    def open(self, config: Mapping[str, Any], context: Any) -> None:
        Feed.open(self, config, context)
        context.add_hook(TaskHook())


class MuteFeed(Spout):
    """Does not want to hear of acks, so that its emits are short in both delivery modes."""

    open = Feed.open
    next_tuple = Feed.next_tuple


class HookedMuteFeed(MuteFeed):
    open = HookedFeed.open


class Relay(Take):
    """Emits each tuple again."""

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        self.tasks = [*getattr(self, "tasks", ()), tuple(self.emit(tup.values))]


class HookedRelay(Relay):
    def prepare(self, config: Mapping[str, Any], context: Any) -> None:
        super().prepare(config, context)
        context.add_hook(TaskHook())


class EvenTasks(CustomGrouping):
    """Sends to no task, to one twice, or to all."""

    def prepare(self, context: Any, component: str, stream: str, tasks: Any) -> None:
        self.tasks = tasks

    def choose_tasks(self, values: Any) -> Any:
        length = len(str(values[0]))
        return [[], [self.tasks[0]] * 2, self.tasks][length % 3]


GROUPINGS = {
    "shuffle": SHUFFLE,
    "fields": fields("word"),
    "two fields": fields("word", "count"),
    "global": Grouping(GroupingKind.GLOBAL),
    "none": Grouping(GroupingKind.NONE),
    "local or shuffle": Grouping(GroupingKind.LOCAL_OR_SHUFFLE),
    "partial key": Grouping(GroupingKind.PARTIAL_KEY, ("word",)),
    "all": ALL,
    "custom": Grouping(GroupingKind.CUSTOM, object="even"),
}
KEYS = st.one_of(
    st.sampled_from(["a", "b", "c", "word"]),
    st.integers(-3, 3),
    st.booleans(),
    st.none(),
    st.text(max_size=3),
    st.just("long" * 100),
)
ROWS = st.lists(
    st.tuples(
        st.tuples(KEYS, st.integers(0, 3)).map(list) | st.tuples(KEYS, st.integers(0, 3)),
        st.sampled_from([None, "id", 0]),
    ),
    max_size=40,
)


def ran(feed: type, relay: type, grouping: Grouping, rows: Any, **options: Any) -> Loop:
    """Run rows through spout, relay and sink, with `grouping` on both edges."""
    out = output("word", "count")
    loop = Loop(
        [
            spout("s", out),
            bolt("b", {"s": grouping}, out, parallelism=3),
            bolt("c", {"b": grouping}, parallelism=2),
        ],
        {"s": feed, "b": relay, "c": Take, "even": EvenTasks},
        **options,
    )
    loop.open()
    loop.feed(rows)
    loop.run()
    return loop


def rows_sent(loop: Loop) -> dict[tuple[int, int], list[Any]]:
    """Return all rows by (source, destination), each with the number of its pairs."""
    found = defaultdict(list)
    for frame in loop.of_kind(Kind.DATA):
        counts = map(len, frame.pairs)
        found[frame.source, frame.destination] += zip(frame.rows, counts, strict=True)
    return found


@pytest.mark.parametrize(
    ("feed", "hooked", "delivery"),
    [
        (Feed, HookedFeed, "at_least_once"),
        (Feed, HookedFeed, "at_most_once"),
        (MuteFeed, HookedMuteFeed, "at_most_once"),
    ],
    ids=["at least once", "at most once", "at most once and mute"],
)
@pytest.mark.parametrize("name", GROUPINGS)
@given(rows=ROWS)
@settings(deadline=None, max_examples=8)
def test_short_and_general_paths_give_the_same_rows(name, feed, hooked, delivery, rows):
    short = ran(feed, Relay, GROUPINGS[name], rows, delivery=delivery)
    general = ran(hooked, HookedRelay, GROUPINGS[name], rows, delivery=delivery)
    assert rows_sent(short) == rows_sent(general)
    assert short.one("s").tasks == general.one("s").tasks
    assert short.one("s").acked == general.one("s").acked
    for component in ("s", "b"):
        assert short.counts(component)["emit_count/default"] == len(
            [task for made in short.made[component] for task in getattr(made, "tasks", ())]
        )
        names = ["emit_count/default", "ack_count"]
        one, other = short.counts(component), general.counts(component)
        assert [one[key] for key in names] == [other[key] for key in names]
    tracked = [id_ for _, id_ in rows if id_ is not None]
    assert short.counts("s")["ack_count"] == len(tracked)
    if feed is Feed:
        assert sorted(map(str, short.one("s").acked)) == sorted(map(str, tracked))
    assert short.one("s").failed == []
    assert short.pending() == 0


@pytest.mark.parametrize("name", ["shuffle", "fields", "all", "custom"])
@given(rows=ROWS)
@settings(deadline=None, max_examples=10)
def test_at_most_once_sends_the_same_rows_without_pairs(name, rows):
    tracked = ran(Feed, Relay, GROUPINGS[name], rows)
    untracked = ran(Feed, Relay, GROUPINGS[name], rows, delivery="at_most_once")
    bare = {key: [row for row, _ in sent] for key, sent in rows_sent(tracked).items()}
    assert {key: [row for row, _ in sent] for key, sent in rows_sent(untracked).items()} == bare
    assert all(not pairs for sent in rows_sent(untracked).values() for _, pairs in sent)
    assert untracked.of_kind(Kind.OUTCOMES) == []


def test_each_copy_of_a_tracked_tuple_has_a_fresh_edge_and_the_same_root():
    loop = Loop([spout("s"), bolt("b", {"s": ALL}, parallelism=3)], {"s": Feed, "b": Hold})
    loop.open()
    loop.feed([(["a"], 1), (["b"], 2)])
    loop.run()
    pairs = [pair for frame in loop.of_kind(Kind.DATA) for row in frame.pairs for pair in row]
    assert len(pairs) == len(set(pairs)) == 6
    assert len({edge for _, edge in pairs}) == 6
    assert len({root for root, _ in pairs}) == 2


def test_custom_grouping_that_names_a_task_twice_sends_two_copies_and_the_tree_completes():
    class Twice(CustomGrouping):
        def prepare(self, context: Any, component: str, stream: str, tasks: Any) -> None:
            self.tasks = tasks

        def choose_tasks(self, values: Any) -> Any:
            return [self.tasks[0]] * 2

    loop = Loop(
        [spout("s"), bolt("b", {"s": Grouping(GroupingKind.CUSTOM, object="twice")})],
        {"s": Feed, "b": Take, "twice": Twice},
    )
    loop.open()
    loop.feed([(["a"], 1)])
    loop.run()
    assert loop.one("s").tasks == [(1, 1)]
    assert loop.one("b").rows == [["a"], ["a"]]
    assert loop.one("s").acked == [1]


class TestWrongEmits:
    @pytest.fixture
    def loop(self) -> Loop:
        out = (output(), output("n", stream="side", direct=True))
        loop = Loop(
            [
                spout("s", *out),
                bolt("b", {"s": SHUFFLE, "s/side": DIRECT}, *out),
                bolt("c", {"b": SHUFFLE, "b/side": DIRECT}),
            ],
            {"s": Feed, "b": Hold, "c": Take},
        )
        loop.open()
        return loop

    @pytest.mark.parametrize("component", ["s", "b"])
    @pytest.mark.parametrize(
        ("call", "error", "message"),
        [
            (lambda o: o.emit(["a"], stream="sied"), ValueError, 'sied.*Did you mean "side"'),
            (lambda o: o.emit(["a"], stream="side"), ValueError, "Cannot do regular emit"),
            (lambda o: o.emit_direct(1, ["a"]), ValueError, "not declared direct"),
            (lambda o: o.emit_direct(1, "a", stream="side"), TypeError, "not str"),
        ],
        ids=["unknown stream", "regular on direct", "direct on regular", "text"],
    )
    def test_wrong_use_is_an_error_that_says_what(self, loop, component, call, error, message):
        with pytest.raises(error, match=message):
            call(loop.one(component))

    @pytest.mark.parametrize("component", ["s", "b"])
    def test_direct_emit_to_a_task_that_does_not_subscribe_sends_nothing(self, loop, component):
        assert tuple(loop.one(component).emit_direct(99, [1], stream="side")) == ()

    def test_direct_emit_reaches_its_task(self, loop):
        (task,) = loop.tasks["b"]
        feed = loop.one("s")
        assert tuple(feed.emit_direct(task, [7], id="id", stream="side")) == (task,)
        loop.run()
        (tup,) = loop.one("b").got
        assert (tup.values, tup.stream, tup.fields) == ([7], "side", ("n",))
        loop.one("b").ack(tup)
        loop.run()
        assert feed.acked == ["id"]

    def test_direct_emit_to_nobody_is_acked_at_once(self, loop):
        loop.one("s").emit_direct(99, [1], id="id", stream="side")
        loop.run()
        assert loop.one("s").acked == ["id"]


def test_emit_before_open_says_so():
    with pytest.raises(RuntimeError, match="before the engine opened"):
        Feed().emit(["a"])


def test_stream_without_a_consumer_acks_at_once_and_is_counted():
    loop = Loop(
        [spout("s"), spout("t"), bolt("b", {"t": SHUFFLE})], {"s": Feed, "t": Feed, "b": Take}
    )
    loop.open()
    loop.feed([(["a"], 1), (["b"], None)])
    loop.run()
    assert loop.one("s").tasks == [(), ()]
    assert loop.one("s").acked == [1]
    assert loop.of_kind(Kind.DATA) == []
    assert loop.counts("s")["emit_count/default"] == 2


def test_two_consumers_get_independent_shares_and_emit_names_all_tasks():
    loop = Loop(
        [
            spout("s"),
            bolt("b", {"s": ALL}, parallelism=2),
            bolt("c", {"s": fields("word")}, parallelism=2),
        ],
        {"s": Feed, "b": Take, "c": Take},
    )
    loop.open()
    loop.feed([(["a"], 1), (["a"], 2)])
    loop.run()
    first, second = loop.one("s").tasks
    assert first == second
    assert first[:2] == loop.tasks["b"]
    assert first[2:][0] in loop.tasks["c"]
    assert sorted(loop.one("s").acked) == [1, 2]
    assert loop.counts("s")["emit_count/default"] == 2


class Hears(TaskHook):
    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def emit(self, values: Any, stream: str, tasks: Any) -> None:
        self.heard.append(("emit", list(values), stream, tuple(tasks)))

    def spout_ack(self, message_id: Any, latency_ms: float) -> None:
        self.heard.append(("spout_ack", message_id))

    def spout_fail(self, message_id: Any, latency_ms: float) -> None:
        self.heard.append(("spout_fail", message_id))

    def bolt_execute(self, tup: Tuple, latency_ms: float) -> None:
        self.heard.append(("bolt_execute", tup[0]))

    def bolt_ack(self, tup: Tuple) -> None:
        self.heard.append(("bolt_ack", tup[0]))

    def bolt_fail(self, tup: Tuple) -> None:
        self.heard.append(("bolt_fail", tup[0]))

    def cleanup(self) -> None:
        self.heard.append(("cleanup",))


def test_hooks_hear_every_event_in_order():
    hooks: dict[str, Hears] = {}

    class HearingFeed(Feed):
        def open(self, config: Mapping[str, Any], context: Any) -> None:
            super().open(config, context)
            hooks["s"] = Hears()
            context.add_hook(hooks["s"])

    class HearingBolt(Take):
        def prepare(self, config: Mapping[str, Any], context: Any) -> None:
            super().prepare(config, context)
            hooks["b"] = Hears()
            context.add_hook(hooks["b"])

        def execute(self, tup: Tuple) -> None:
            super().execute(tup)
            if tup[0] == "bad":
                self.fail(tup)

    loop = Loop([spout("s"), bolt("b", {"s": SHUFFLE})], {"s": HearingFeed, "b": HearingBolt})
    loop.open()
    loop.feed([(["good"], 1), (["bad"], 2)])
    loop.run()
    for runtime in loop.runtimes.values():
        runtime.close()
    assert hooks["s"].heard == [
        ("emit", ["good"], "default", (1,)),
        ("emit", ["bad"], "default", (1,)),
        ("spout_ack", 1),
        ("spout_fail", 2),
        ("cleanup",),
    ]
    assert hooks["b"].heard == [
        ("bolt_execute", "good"),
        ("bolt_ack", "good"),
        ("bolt_fail", "bad"),
        ("bolt_execute", "bad"),
        ("cleanup",),
    ]


def test_keys_are_remembered_without_bound_in_neither_number_nor_length():
    """Fields grouping keeps tasks of short texts only; all go where the hash says all the same."""
    loop = Loop(
        [spout("s"), bolt("b", {"s": fields("word")}, parallelism=2)], {"s": Feed, "b": Take}
    )
    loop.open()
    long = "x" * 10_000
    loop.feed([([long], None)] * 3 + [(["short"], None)] * 3)
    loop.run()
    assert len(set(loop.one("s").tasks[:3])) == len(set(loop.one("s").tasks[3:])) == 1
    (memo,) = [
        cell.cell_contents
        for cell in inspect.unwrap(loop.one("s").emit).__closure__
        if isinstance(cell.cell_contents, dict)
    ]
    assert list(memo) == ["short"]


def test_columns_helper_reads_little_endian():
    assert column(bytes([1, 0, 0, 0, 0, 0, 0, 0])) == [1]
