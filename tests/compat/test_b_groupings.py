"""Storm's semantics, section B: groupings, and what `emit` returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest

from heronshim.api import (
    Context,
    CustomGrouping,
    Grouping,
    Stream,
    StreamRef,
    TopologyBuilder,
    Tuple,
)
from heronshim.errors import TopologyError
from heronshim.instance.loader import load_definition
from tests.compat.conftest import Feed, Pass, Run, Sink

pytestmark = pytest.mark.compat

Start = Callable[..., Run]


def words(count: int) -> list[list[str]]:
    return [[f"word{number}"] for number in range(count)]


def one_consumer(
    grouping: Grouping, rows: list[Any], tasks: int = 4, **spec: Any
) -> TopologyBuilder:
    """A spout "z" (the highest task) and a bolt "a" (tasks from 1)."""
    return (
        TopologyBuilder("grouping")
        .spout("z", Feed.spec(rows=rows, **spec))
        .bolt("a", Sink.spec(inputs={"z": grouping}, parallelism=tasks))
    )


def values_by_task(run: Run, component: str = "a") -> list[list[Any]]:
    """What each task of a component got, by ascending task id."""
    return [[tup.values for tup in part.tuples] for part in run.objects(component)]


def check_returned(run: Run, component: str = "a", spout: str = "z") -> None:
    """What emit returned is where the tuples arrived."""
    (feed,) = run.objects(spout)
    expected: dict[int, list[Any]] = {task: [] for task in run.task_ids(component)}
    for row, tasks in zip(feed.rows, feed.returned, strict=True):
        for task in tasks:
            if task in expected:
                expected[task].append(row)
    assert values_by_task(run, component) == list(expected.values())


# ---- 10: shuffle ----


@pytest.mark.parametrize("count", [4, 5, 400, 403])
def test_s10_shuffle_gives_even_shares(start: Start, count: int) -> None:
    """Storm without load-awareness: a random permutation, round and round, so shares differ by 1.

    Differs: the default of Storm is load-aware; heronshim's shuffle is always the even one.
    """
    run = start(one_consumer(Grouping.shuffle(), words(count)))
    run.run_until_idle()
    shares = [len(part.tuples) for part in run.objects("a")]
    assert sum(shares) == count
    assert max(shares) - min(shares) <= 1
    check_returned(run)


def test_s10_shuffle_goes_round_one_permutation(start: Start) -> None:
    """Storm's ShuffleGrouping: every `tasks` tuples in a row go to different tasks."""
    orders = set()
    for seed in range(8):
        run = start(one_consumer(Grouping.shuffle(), words(40)), seed=seed)
        run.run_until_idle()
        tasks = [task for (task,) in run.objects("z")[0].returned]
        orders.add(tuple(tasks[:4]))
        assert tasks == tasks[:4] * 10
        assert sorted(tasks[:4]) == [1, 2, 3, 4]
    assert len(orders) > 1


def test_s10_each_emitting_task_has_shares_of_its_own(start: Start) -> None:
    """Storm: a grouping object belongs to one emitting task."""
    run = start(one_consumer(Grouping.shuffle(), words(40), parallelism=3))
    run.run_until_idle()
    sources = Counter(
        (part.context.task_id, tup.task) for part in run.objects("a") for tup in part.tuples
    )
    assert set(sources.values()) == {10}
    assert len(sources) == 12


def test_s10_a_single_task_gets_everything(start: Start) -> None:
    run = start(one_consumer(Grouping.shuffle(), words(30), tasks=1))
    run.run_until_idle()
    assert values_by_task(run) == [words(30)]
    assert run.objects("z")[0].returned == [[1]] * 30


# ---- 11: fields ----

JAVA_HASHES: list[tuple[list[Any], int]] = [
    (["hello"], 31 + 99162322),
    (["Aa"], 31 + 2112),
    (["BB"], 31 + 2112),
    ([""], 31),
    ([None], 31),
    ([True], 31 + 1231),
    ([False], 31 + 1237),
    ([7], 31 + 7),
    ([-1], 31 + 0),
    ([1 << 32], 31 + 1),
    ([b"\x01\xff"], 31 + (31 * (31 * 1 + 1) - 1)),
    ([[1, 2]], 31 + 31 * (31 * 1 + 1) + 2),
    ([["a", None]], 31 + 31 * (31 * 1 + 97) + 0),
    ([{"a": 1}], 31 + (97 ^ 1)),
    ([1.0], 31 + 0x3FF00000),
    (["é€😀"], 31 + ((233 * 31 + 0x20AC) * 31 + 0xD83D) * 31 + 0xDE00),
]
"""Arrays.deepHashCode of one selected value, worked out from the JDK's documentation.

An integer is a Long: Storm hashes Integer(-1) to -1 and Long(-1) to 0, and heronshim's own
topologies know Longs only.
"""


@pytest.mark.parametrize("tasks", [2, 3, 7])
def test_s11_fields_choose_javas_task(start: Start, tasks: int) -> None:
    """Storm: floorMod(Arrays.deepHashCode(selected values), tasks) over the sorted tasks."""
    rows = [row for row, _ in JAVA_HASHES] * 2
    run = start(one_consumer(Grouping.fields("word"), rows, tasks))
    run.run_until_idle()
    expected = [[1 + int(java_int(number) % tasks)] for _, number in JAVA_HASHES]
    assert run.objects("z")[0].returned == expected * 2
    check_returned(run)
    assert sorted(run.heard("z", "ack")) == list(range(len(rows)))


def java_int(number: int) -> int:
    """The low 32 bits as Java's int."""
    return (number + (1 << 31)) % (1 << 32) - (1 << 31)


def test_s11_equal_values_meet_in_one_task_whoever_emits_them(start: Start) -> None:
    """Storm: same value, same task, for ever: from every emitter and in every container."""
    run = start(
        TopologyBuilder("fields")
        .options(containers=2)
        .spout("z", Feed.spec(rows=words(50) * 3, parallelism=3))
        .bolt("again", Pass.spec(inputs=["z"], parallelism=2))
        .bolt("a", Sink.spec(inputs={"again": Grouping.fields("word")}, parallelism=4))
    )
    run.run_until_idle()
    homes: dict[str, set[int]] = {}
    for task, rows in zip(run.task_ids("a"), values_by_task(run), strict=True):
        for (word,) in rows:
            homes.setdefault(word, set()).add(task)
    assert len(homes) == 50
    assert {len(tasks) for tasks in homes.values()} == {1}
    assert len({task for tasks in homes.values() for task in tasks}) == 4
    assert sum(map(len, values_by_task(run))) == 450


def test_s11_a_null_key_goes_to_one_task(start: Start) -> None:
    """Storm (measured): null is delivered as null, also where it is the fields-grouping key."""
    run = start(one_consumer(Grouping.fields("word"), [[None]] * 20))
    run.run_until_idle()
    assert [rows for rows in values_by_task(run) if rows] == [[[None]] * 20]
    assert run.heard("z", "ack") == list(range(20))


def test_s11_values_of_other_types_are_other_keys(start: Start) -> None:
    """1, 1.0 and True are equal in Python and three keys in Java."""
    rows = [[1], [1.0], [True]] * 5
    run = start(one_consumer(Grouping.fields("word"), rows, tasks=101))
    run.run_until_idle()
    tasks = [task for (task,) in run.objects("z")[0].returned]
    assert tasks == tasks[:3] * 5
    assert len(set(tasks)) == 3


class ThreeFields(Feed):
    outputs = ["a", "b", "c"]


def test_s11_several_fields_in_the_groupings_order(start: Start) -> None:
    """Storm: the values are selected in the order that the grouping names, others do not count."""
    rows = [["x", "y", number] for number in range(5)] + [["y", "x", number] for number in range(5)]
    names = {"ab": ("a", "b"), "ba": ("b", "a")}
    topology = TopologyBuilder("fields").spout("z", ThreeFields.spec(rows=rows))
    for component, fields in names.items():
        topology.bolt(component, Sink.spec(inputs={"z": Grouping.fields(*fields)}, parallelism=7))
    run = start(topology)
    run.run_until_idle()
    xy = (31 * (31 + ord("x")) + ord("y")) % 7
    yx = (31 * (31 + ord("y")) + ord("x")) % 7
    assert xy != yx
    # Tasks 1-7 are ab's, 8-14 ba's; both consumers get every tuple.
    assert run.objects("z")[0].returned == [[1 + xy, 8 + yx]] * 5 + [[1 + yx, 8 + xy]] * 5


class Key:
    pass


class EmitsObject(Feed):
    def next_tuple(self) -> None:
        if self.waiting:
            self.waiting = []
            try:
                self.emit([Key()], id=0)
            except Exception as error:  # noqa: BLE001 - what it is, is the question
                self.note("raised", f"{type(error).__name__}: {error}")


def test_s11_a_key_that_cannot_be_grouped_by_is_an_error(start: Start) -> None:
    """Storm: any object has a hashCode. Differs: values are those that all languages know."""
    run = start(
        TopologyBuilder("fields")
        .spout("z", EmitsObject.spec(rows=[[]]))
        .bolt("a", Sink.spec(inputs={"z": Grouping.fields("word")}, parallelism=2))
    )
    run.run_until_idle()
    (raised,) = run.heard("z", "raised")
    assert raised.startswith("ValueEncodingError: a value of type Key cannot be grouped by")
    assert run.heard("a", "execute") == []


# ---- 12, 13, 14 ----


def test_s12_global_goes_to_the_lowest_task(start: Start) -> None:
    run = start(one_consumer(Grouping.global_(), words(20), parallelism=2))
    run.run_until_idle()
    assert [len(rows) for rows in values_by_task(run)] == [40, 0, 0, 0]
    assert run.objects("z")[0].returned == [[1]] * 20


def test_s13_all_goes_to_every_task_in_task_order(start: Start) -> None:
    run = start(one_consumer(Grouping.all(), words(20)))
    run.run_until_idle()
    assert values_by_task(run) == [words(20)] * 4
    assert run.objects("z")[0].returned == [[1, 2, 3, 4]] * 20
    assert sorted(run.heard("z", "ack")) == list(range(20))


def test_s14_none_is_uniformly_random(start: Start) -> None:
    """Storm: NoneGrouper draws a task for each tuple; nothing makes shares even."""
    run = start(one_consumer(Grouping.none(), words(2000)))
    run.run_until_idle()
    shares = [len(part.tuples) for part in run.objects("a")]
    # 500 expected, standard deviation 19: six of them are allowed; the seed is fixed anyway.
    assert all(384 <= share <= 616 for share in shares)
    tasks = [task for (task,) in run.objects("z")[0].returned]
    pairs = Counter(pairwise(tasks))
    assert len(pairs) == 16, "no permutation: a task may follow itself"
    check_returned(run)


# ---- 15: direct ----


class Directs(Feed):
    """Emits directly: rows are (task, values)."""

    outputs = {"default": ["word"], "there": Stream(["word"], direct=True)}

    def next_tuple(self) -> None:
        while self.waiting:
            number = self.waiting.pop(0)
            task, values = self.rows[number]
            self.returned.append(list(self.emit_direct(task, values, stream="there", id=number)))


def directs(rows: list[Any]) -> TopologyBuilder:
    return (
        TopologyBuilder("direct")
        .spout("z", Directs.spec(rows=rows))
        .bolt("a", Sink.spec(inputs={StreamRef("z", "there"): Grouping.direct()}, parallelism=3))
        .bolt("other", Sink.spec(inputs=["z"]))
    )


def test_s15_direct_goes_to_the_task_named(start: Start) -> None:
    rows = [[task, [f"{task}-{number}"]] for number in range(5) for task in (3, 1, 2)]
    run = start(directs(rows))
    run.run_until_idle()
    assert values_by_task(run) == [[[f"{task}-{n}"] for n in range(5)] for task in (1, 2, 3)]
    assert run.objects("z")[0].returned == [[task] for task, _ in rows]
    assert sorted(run.heard("z", "ack")) == list(range(15))


class WrongDirect(Feed):
    outputs = {"default": ["word"], "there": Stream(["word"], direct=True)}

    def next_tuple(self) -> None:
        tries: list[Callable[[], object]] = [
            lambda: self.emit(["x"], stream="there", id=1),
            lambda: self.emit_direct(1, ["x"], id=2),
            lambda: self.emit_direct(1, ["x"], stream="their", id=3),
        ]
        while self.waiting:
            try:
                tries[self.waiting.pop(0)]()
            except ValueError as error:
                self.note("raised", str(error))


def test_s15_emit_and_emit_direct_are_not_mixed_up(start: Start) -> None:
    """Storm: "Cannot do regular emit to direct stream"; emitDirect to a regular grouping raises."""
    run = start(
        TopologyBuilder("direct")
        .spout("z", WrongDirect.spec(rows=[[], [], []]))
        .bolt(
            "a",
            Sink.spec(inputs={"z": Grouping.shuffle(), StreamRef("z", "there"): Grouping.direct()}),
        )
    )
    run.run_until_idle()
    assert run.heard("z", "raised") == [
        'Cannot do regular emit to direct stream "there" of "z"; use emit_direct',
        'Cannot emitDirect to stream "default" of "z": it is not declared direct; use emit',
        'Unknown stream ID: their; "z" declares: default, there. Did you mean "there"?',
    ]
    assert run.heard("a", "execute") == []
    assert run.pending == 0


def test_s15_emit_direct_to_a_task_that_does_not_subscribe_returns_no_task(start: Start) -> None:
    """Storm: nothing is sent; `other` (task 4) subscribes to another stream, 5 is the spout."""
    run = start(directs([[4, ["x"]], [5, ["x"]], [99, ["x"]], [1, ["y"]]]))
    run.run_until_idle()
    assert run.objects("z")[0].returned == [[], [], [], [1]]
    assert values_by_task(run) == [[["y"]], [], []]
    assert run.heard("other", "execute") == []
    assert sorted(run.heard("z", "ack")) == [0, 1, 2, 3]


def test_s15_direct_grouping_belongs_to_direct_streams() -> None:
    """Storm finds a wrong pair at the first emit. Differs: it is refused when it is submitted."""
    wrong = (
        TopologyBuilder("direct")
        .spout("z", Directs.spec())
        .bolt("a", Sink.spec(inputs={StreamRef("z", "there"): Grouping.shuffle()}))
        .bolt("b", Sink.spec(inputs={"z": Grouping.direct()}))
    )
    with pytest.raises(TopologyError) as caught:
        wrong.build()
    first, second = caught.value.problems
    assert 'stream "there" of "z" is a direct stream; take it with direct grouping' in first
    assert 'direct grouping: stream "default" of "z" is not a direct stream' in second


# ---- 16: local or shuffle ----


def by_container(run: Run, component: str) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for part in run.objects(component):
        found.setdefault(part.context.container_id, set()).add(part.context.task_id)
    return found


def test_s16_local_or_shuffle_stays_in_the_container(start: Start) -> None:
    """Storm: only tasks of the emitter's worker, in even shares, if there are any."""
    run = start(
        TopologyBuilder("local")
        .options(containers=2)
        .spout("z", Feed.spec(rows=words(40), parallelism=2))
        .bolt("a", Sink.spec(inputs={"z": Grouping.local_or_shuffle()}, parallelism=4))
    )
    run.run_until_idle()
    homes = by_container(run, "a")
    assert len(homes) == 2
    for feed in run.objects("z"):
        shares = Counter(task for (task,) in feed.returned)
        local = homes[feed.context.container_id]
        assert set(shares) == local
        assert max(shares.values()) - min(shares.values()) <= 1
    assert sorted(run.heard("z", "ack")) == sorted([*range(40)] * 2)


def test_s16_local_or_shuffle_is_shuffle_without_local_tasks(start: Start) -> None:
    """Storm: no task in the emitter's worker, so all tasks, in even shares."""
    run = start(
        TopologyBuilder("local")
        .options(containers=4)
        .spout("z", Feed.spec(rows=words(40)))
        .bolt("a", Sink.spec(inputs={"z": Grouping.local_or_shuffle()}, parallelism=3))
    )
    run.run_until_idle()
    (feed,) = run.objects("z")
    assert feed.context.container_id not in by_container(run, "a")
    shares = Counter(task for (task,) in feed.returned)
    assert sorted(shares.values()) == [13, 13, 14]


# ---- 17: partial key ----


def test_s17_a_key_goes_to_at_most_two_tasks_less_loaded_first(start: Start) -> None:
    """Storm's PartialKeyGrouping: two candidates by the key's hash, the less used one is taken."""
    rows = [["hot"]] * 300 + words(60) * 5
    run = start(one_consumer(Grouping.partial_key("word"), rows, tasks=6))
    run.run_until_idle()
    tasks: dict[str, set[int]] = {}
    used: Counter[int] = Counter()
    hot: Counter[int] = Counter()
    seen: list[tuple[int, set[int], dict[int, int]]] = []
    for (word,), (task,) in zip(rows, run.objects("z")[0].returned, strict=True):
        tasks.setdefault(word, set()).add(task)
        seen.append((task, tasks[word], dict(used)))
        used[task] += 1
        hot[task] += word == "hot"
    assert max(map(len, tasks.values())) == 2
    assert sorted(+hot)[:2] == sorted(tasks["hot"])
    assert max(hot.values()) - min((+hot).values()) <= 1, "one hot key is divided evenly"
    for task, candidates, before in seen:
        assert all(before.get(task, 0) <= before.get(other, 0) for other in candidates)
    assert len(used) == 6
    check_returned(run)


# ---- 18: custom ----


class Recorded(CustomGrouping):
    """Keeps its calls; rows say what to return."""

    made: list[Recorded] = []

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.prepared: list[Any] = []
        Recorded.made.append(self)

    def prepare(
        self, context: Context | None, component: str, stream: str, tasks: Sequence[int]
    ) -> None:
        assert context is not None
        self.tasks = tasks
        self.prepared.append((context.task_id, component, stream, list(tasks)))

    def choose_tasks(self, values: Sequence[Any]) -> Sequence[int]:
        positions = values[0]
        return [self.tasks[position] for position in positions]


def test_s18_custom_groupings_choose_none_one_or_several(start: Start) -> None:
    """Storm: CustomStreamGrouping.prepare once for each emitting task with sorted targets."""
    Recorded.made.clear()
    rows = [[[]], [[1]], [[0, 2]], [[2, 0, 1]], [[1, 1]]]
    run = start(
        TopologyBuilder("custom")
        .spout("z", Feed.spec(rows=rows, parallelism=2))
        .bolt("a", Sink.spec(inputs={"z": Grouping.custom(Recorded, kind="x")}, parallelism=3))
    )
    run.run_until_idle()
    assert sorted(made.prepared[0] for made in Recorded.made) == [
        (task, "z", "default", [1, 2, 3]) for task in (4, 5)
    ]
    assert [len(made.prepared) for made in Recorded.made] == [1, 1]
    assert {made.kind for made in Recorded.made} == {"x"}
    for feed in run.objects("z"):
        assert feed.returned == [[], [2], [1, 3], [3, 1, 2], [2, 2]]
    assert [len(rows) for rows in values_by_task(run)] == [4, 8, 4]
    # A tree of no copy is acked at once, one of two copies to one task when both are.
    assert sorted(run.heard("z", "ack")) == sorted([0, 1, 2, 3, 4] * 2)


class Stray(CustomGrouping):
    def choose_tasks(self, values: Sequence[Any]) -> Sequence[int]:
        return [1, 99]


class EmitsOnce(Feed):
    def next_tuple(self) -> None:
        if self.waiting:
            self.waiting = []
            try:
                self.emit(["x"], id=0)
            except ValueError as error:
                self.note("raised", str(error))


def test_s18_a_custom_grouping_names_its_own_targets_only(start: Start) -> None:
    """Storm sends to any task id. Differs: another consumer's task is an error at emit."""
    run = start(
        TopologyBuilder("custom")
        .spout("z", EmitsOnce.spec(rows=[[]]))
        .bolt("a", Sink.spec(inputs={"z": Grouping.custom(Stray)}, parallelism=2))
    )
    run.run_until_idle()
    (raised,) = run.heard("z", "raised")
    assert "returned [1, 99]; expected a list of some of its target tasks 1, 2" in raised
    assert run.heard("a", "execute") == []
    assert run.pending == 0


# ---- 19: several consumers ----


def test_s19_each_consumer_gets_the_stream_by_its_own_grouping(start: Start) -> None:
    """Storm: emit returns the tasks of all consumers, one after another."""
    run = start(
        TopologyBuilder("several")
        .spout("z", Feed.spec(rows=words(24)))
        .bolt("all", Sink.spec(inputs={"z": Grouping.all()}, parallelism=2))
        .bolt("fields", Sink.spec(inputs={"z": Grouping.fields("word")}, parallelism=3))
        .bolt("global", Sink.spec(inputs={"z": Grouping.global_()}, parallelism=2))
        .bolt("shuffle", Sink.spec(inputs={"z": Grouping.shuffle()}, parallelism=4))
    )
    run.run_until_idle()
    returned = run.objects("z")[0].returned
    assert {tuple(tasks[:2]) for tasks in returned} == {(1, 2)}
    assert {tasks[2] for tasks in returned} == {3, 4, 5}
    assert {tasks[3] for tasks in returned} == {6}
    assert Counter(tasks[4] for tasks in returned) == {8: 6, 9: 6, 10: 6, 11: 6}
    assert {len(tasks) for tasks in returned} == {5}
    for component in ("all", "fields", "global", "shuffle"):
        check_returned(run, component)
    assert sorted(run.heard("z", "ack")) == list(range(24))


class TwoStreams(Feed):
    outputs = {"default": ["word"], "second": ["word"]}

    def next_tuple(self) -> None:
        while self.waiting:
            number = self.waiting.pop(0)
            self.returned.append(list(self.emit(self.rows[number], id=number)))
            self.returned.append(
                list(self.emit(self.rows[number], id=number + 100, stream="second"))
            )


def test_s19_one_component_takes_several_streams_of_another(start: Start) -> None:
    """Storm: inputs are keyed by (component, stream); each has its grouping, none leaks."""
    run = start(
        TopologyBuilder("streams")
        .spout("z", TwoStreams.spec(rows=words(10)))
        .bolt(
            "a",
            Sink.spec(
                inputs={"z": Grouping.all(), StreamRef("z", "second"): Grouping.global_()},
                parallelism=2,
            ),
        )
        .bolt("b", Sink.spec(inputs=[StreamRef("z", "second")]))
    )
    run.run_until_idle()
    assert run.objects("z")[0].returned == [[1, 2], [1, 3]] * 10
    first, second = run.objects("a")
    assert Counter(tup.stream for tup in first.tuples) == {"default": 10, "second": 10}
    assert Counter(tup.stream for tup in second.tuples) == {"default": 10}
    assert {tup.stream for tup in run.objects("b")[0].tuples} == {"second"}
    assert sorted(run.heard("z", "ack")) == [*range(10), *range(100, 110)]


def test_s19_emit_on_a_stream_that_nobody_takes_returns_no_task(start: Start) -> None:
    """Storm: a declared stream without consumers is no error."""
    run = start(
        TopologyBuilder("streams")
        .spout("z", TwoStreams.spec(rows=words(3)))
        .bolt("a", Sink.spec(inputs=["z"]))
    )
    run.run_until_idle()
    assert run.objects("z")[0].returned == [[1], []] * 3
    assert sorted(run.heard("z", "ack")) == [0, 1, 2, 100, 101, 102]


# ---- 20: cycles ----


class Countdown(Sink):
    """Sends a number less one back until it is 0."""

    outputs = ["left"]

    def execute(self, tup: Tuple) -> None:
        super().execute(tup)
        if tup[0]:
            self.emit([tup[0] - 1])


def test_s20_a_bolt_may_consume_its_own_output(start: Start) -> None:
    """Storm: warned, not refused; the tree ends when the loop does."""
    run = start(
        TopologyBuilder("loop")
        .spout("z", Feed.spec(rows=[[30], [7]]))
        .bolt(
            "a",
            Countdown.spec(
                inputs={"z": Grouping.shuffle(), "a": Grouping.fields("left")}, parallelism=3
            ),
        )
    )
    run.run_until_idle()
    assert Counter(values[0] for values in run.heard("a", "execute")) == Counter(
        [*range(31), *range(8)]
    )
    assert run.heard("z", "ack") == [1, 0]
    last = max(note.at_s for note in run.notes if note.what == "execute")
    assert run.times_s("z", "ack")[1] >= last


def cyclic() -> TopologyBuilder:
    return (
        TopologyBuilder("loop")
        .spout("z", Feed.spec(rows=[[20]]))
        .bolt("a", Countdown.spec(inputs=["z", "b"], parallelism=2))
        .bolt("b", Countdown.spec(inputs=["a"], parallelism=2))
    )


def test_s20_a_cycle_of_components_runs(start: Start) -> None:
    run = start(cyclic())
    run.run_until_idle()
    assert run.heard("a", "execute") == [[n] for n in range(20, -1, -2)]
    assert run.heard("b", "execute") == [[n] for n in range(19, 0, -2)]
    assert run.heard("z", "ack") == [0]


LOOPS = cyclic()
"""For the loader."""


def test_s20_cycles_are_warned_of() -> None:
    """Storm: "Topology contains cycle" in Nimbus' log; here the author reads it at submit."""
    loaded = load_definition(f"{__name__}:LOOPS")
    assert any('"a", "b" form a cycle' in warning for warning in loaded.warnings), loaded.warnings
