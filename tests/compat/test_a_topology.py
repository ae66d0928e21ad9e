"""Storm's semantics, section A: topologies, ids, configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from heronshim.api import Bolt, Context, Grouping, Spout, StreamRef, TopologyBuilder, Tuple
from heronshim.errors import TopologyError
from tests.compat.conftest import Feed, Pass, Rich, Run, Sink

pytestmark = pytest.mark.compat

Start = Callable[..., Run]


def problems_of(builder: TopologyBuilder) -> list[str]:
    """What validation says."""
    with pytest.raises(TopologyError) as caught:
        builder.build()
    return list(caught.value.problems)


# ---- 1: task ids ----


def test_s01_task_ids_follow_the_sorted_component_ids(start: Start) -> None:
    """Storm: StormCommon.stormTaskInfo sorts ids as strings ("Count" before "count") and counts on.

    Differs: `__acker` has no tasks, as the spouts' instances track trees; ids begin with the
    author's first component.
    """
    run = start(
        TopologyBuilder("ids")
        .spout("word", Feed.spec(parallelism=2))
        .bolt("split", Pass.spec(inputs=["word"], parallelism=3))
        .bolt("Count", Sink.spec(inputs=["split"], parallelism=1, tasks=4))
        .bolt("count", Sink.spec(inputs=["split"]))
        .bolt("count10", Sink.spec(inputs=["split"]))
        .bolt("count9", Sink.spec(inputs=["split"]))
    )
    run.run_until_idle()
    names = ("Count", "count", "count10", "count9", "split", "word")
    assert {name: run.task_ids(name) for name in names} == {
        "Count": [1, 2, 3, 4],
        "count": [5],
        "count10": [6],
        "count9": [7],
        "split": [8, 9, 10],
        "word": [11, 12],
    }


def test_s01_task_ids_do_not_depend_on_containers(start: Start) -> None:
    """Storm: ids come from the topology alone, never from the assignment."""
    topology = (
        TopologyBuilder("ids")
        .options(containers=3)
        .spout("b", Feed.spec(parallelism=2))
        .bolt("a", Sink.spec(inputs=["b"], parallelism=3))
    )
    run = start(topology)
    run.run_until_idle()
    assert (run.task_ids("a"), run.task_ids("b")) == ([1, 2, 3], [4, 5])
    assert len({part.context.container_id for part in run.objects("a")}) > 1


# ---- 2: tasks and executors ----


class SharesExecutor(Sink):
    """Says in the data of its executor that it is there."""

    def prepare(self, config: Mapping[str, Any], context: Context) -> None:
        super().prepare(config, context)
        context.executor_data.setdefault("tasks", []).append(context.task_id)


def test_s02_tasks_default_to_parallelism_and_that_to_one(start: Start) -> None:
    """Storm: tasks = parallelism hint unless setNumTasks; no hint = 1."""
    run = start(
        TopologyBuilder("tasks")
        .spout("a", Feed.spec())
        .bolt("b", SharesExecutor.spec(inputs=["a"], parallelism=3))
    )
    run.run_until_idle()
    assert (run.task_ids("a"), run.task_ids("b")) == ([1], [2, 3, 4])
    assert [part.context.executor_data["tasks"] for part in run.objects("b")] == [[2], [3], [4]]


def test_s02_tasks_beyond_parallelism_share_executors(start: Start) -> None:
    """Storm: 5 tasks in 2 executors are [1-3] and [4-5]; an executor's tasks run one by one."""
    rows = [[str(number)] for number in range(50)]
    run = start(
        TopologyBuilder("tasks")
        .spout("z", Feed.spec(rows=rows))
        .bolt("a", SharesExecutor.spec(inputs=["z"], parallelism=2, tasks=5))
    )
    run.run_until_idle()
    shared = [part.context.executor_data for part in run.objects("a")]
    assert [data["tasks"] for data in shared] == [[1, 2, 3]] * 3 + [[4, 5]] * 2
    assert shared[0] is shared[2]
    assert shared[2] is not shared[3]
    assert [len(part.tuples) for part in run.objects("a")] == [10] * 5
    assert sorted(run.heard("z", "ack")) == list(range(50))


def test_s02_fewer_tasks_than_executors_are_refused() -> None:
    """Differs: Storm runs as many executors as there are tasks; here the author hears of it.

    Storm's cap `topology.max.task.parallelism` does not exist in heronshim's own topologies.
    """
    builder = TopologyBuilder("tasks").spout("a", Feed.spec(parallelism=3, tasks=2))
    assert any("tasks is 2, lower than parallelism, 3" in line for line in problems_of(builder))


# ---- 3: configuration ----


def test_s03_component_config_goes_over_the_topologys(start: Start) -> None:
    """Storm: json_conf is merged over the topology's conf, key by key, for that component only."""
    run = start(
        TopologyBuilder("config")
        .config({"colour": "red", "size": 1, "nested": {"x": 1}})
        .spout("a", Feed.spec(config={"colour": "blue"}))
        .bolt("b", Sink.spec(inputs=["a"], config={"nested": {"y": 2}, "own": [1, 2]}))
        .bolt("c", Sink.spec(inputs=["a"]))
    )
    run.run_until_idle()
    configs = {name: dict(run.objects(name)[0].config) for name in "abc"}
    assert configs == {
        "a": {"colour": "blue", "size": 1, "nested": {"x": 1}},
        "b": {"colour": "red", "size": 1, "nested": {"y": 2}, "own": [1, 2]},
        "c": {"colour": "red", "size": 1, "nested": {"x": 1}},
    }
    assert run.objects("b")[0].context.config == configs["b"]


def test_s03_components_may_set_only_some_engine_options() -> None:
    """Storm: a component may set debug, max pending, tick and its like, not what is the topology's.

    Differs: Storm ignores other keys; here each is named.
    """
    builder = (
        TopologyBuilder("config")
        .spout("a", Feed.spec(options={"max_spout_pending": 7, "debug": True}))
        .bolt("b", Sink.spec(inputs=["a"], options={"message_timeout_s": 5, "containers": 2}))
    )
    found = problems_of(builder)
    assert len(found) == 2
    for option in ("containers", "message_timeout_s"):
        assert any('component "b"' in line and f'"{option}"' in line for line in found), found


# ---- 4: names and ids ----


@pytest.mark.parametrize("name", ["word-count", "Word_Count2", "mot compté", "x" * 128])
def test_s04_topology_names_that_storm_takes(name: str) -> None:
    """Storm: Utils.validateTopologyBlobStoreMap/validateTopologyName ban only / . : and \\."""
    assert TopologyBuilder(name).spout("a", Feed.spec()).build().name == name


@pytest.mark.parametrize("name", ["a/b", "a.b", "a:b", "a\\b", "", "   "])
def test_s04_topology_names_that_storm_refuses(name: str) -> None:
    """That a name is refused while it runs and free after kill is in tests/system."""
    assert problems_of(TopologyBuilder(name).spout("a", Feed.spec()))


# ---- 5: validation ----


def base() -> TopologyBuilder:
    return TopologyBuilder("wrong").spout("lines", Feed.spec())


WRONG: dict[str, tuple[Callable[[], TopologyBuilder], str]] = {
    "no spout": (
        lambda: TopologyBuilder("wrong").bolt("b", Pass.spec(inputs=["b"])),
        "it has no spout",
    ),
    "unknown component": (
        lambda: base().bolt("b", Sink.spec(inputs=["line"])),
        'it takes from the unknown component "line"; known: "b", "lines". Did you mean "lines"?',
    ),
    "unknown stream": (
        lambda: base().bolt("b", Sink.spec(inputs=[StreamRef("lines", "errors")])),
        '"lines" declares no stream "errors"; it declares: "default"',
    ),
    "missing field": (
        lambda: base().bolt("b", Sink.spec(inputs={"lines": Grouping.fields("wrod")})),
        'stream "default" of "lines" has no field "wrod"; it has: "word". Did you mean "word"?',
    ),
    "reserved id": (
        lambda: base().bolt("__b", Sink.spec(inputs=["lines"])),
        '"__" begins the engine\'s own ids',
    ),
    "reserved stream": (
        lambda: TopologyBuilder("wrong").spout("a", Feed.spec(outputs={"__tick": ["x"]})),
        'begins with "__"',
    ),
    "id used twice": (
        lambda: base().bolt("lines", Sink.spec(inputs=["lines"])),
        '"lines"',
    ),
    "no executors": (
        lambda: base().bolt("b", Sink.spec(inputs=["lines"], parallelism=0, tasks=2)),
        "parallelism must be at least 1, not 0",
    ),
    "stream declared with a field twice": (
        lambda: TopologyBuilder("wrong").spout("a", Feed.spec(outputs=["x", "x"])),
        'names the field "x" 2 times',
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_s05_wrong_topologies_are_refused(case: str) -> None:
    """Storm: InvalidTopologyException from StormCommon.validateBasic/Structure, one at a time.

    Differs: all problems are told at once; a bolt without inputs is refused too.
    """
    build, expected = WRONG[case]
    found = problems_of(build())
    assert any(expected in line for line in found), found


def test_s05_a_spout_takes_no_inputs() -> None:
    """Storm: "May not declare inputs for a spout"; here `spec` of a spout has no such keyword."""
    with pytest.raises(TopologyError, match="inputs"):
        base().spout("b", Feed.spec(inputs=["lines"])).build()


# ---- 6: fields, widths and undeclared streams ----


class TwoFields(Feed):
    outputs = ["word", "count"]


def test_s06_values_by_name_and_by_index(start: Start) -> None:
    """Storm: Tuple.getValue, getValueByField, select, getFields, size."""
    run = start(
        TopologyBuilder("fields")
        .spout("a", TwoFields.spec(rows=[["x", 1]]))
        .bolt("b", Sink.spec(inputs=["a"]))
    )
    run.run_until_idle()
    (tup,) = run.objects("b")[0].tuples
    assert (tup[0], tup[1], tup["word"], tup["count"]) == ("x", 1, "x", 1)
    assert (tup.fields, len(tup), tup.values) == (("word", "count"), 2, ["x", 1])
    assert tup.select(["count", "word"]) == [1, "x"]
    assert (tup.component, tup.stream, tup.task) == ("a", "default", run.task_ids("a")[0])
    with pytest.raises(KeyError, match='stream "default" of "a" has no field "wrod"'):
        tup["wrod"]
    with pytest.raises(IndexError):
        tup[2]


def test_s06_a_wrong_width_is_no_error(start: Start) -> None:
    """Storm (measured): the check is on in local mode only; the tuple arrives as it was emitted."""
    run = start(
        TopologyBuilder("width")
        .spout("a", TwoFields.spec(rows=[["x", 1, "more"], ["y"]]))
        .bolt("b", Sink.spec(inputs=["a"]))
    )
    run.run_until_idle()
    assert run.heard("b", "execute") == [["x", 1, "more"], ["y"]]
    assert run.heard("a", "ack") == [0, 1]
    with pytest.raises(IndexError):
        run.objects("b")[0].tuples[1]["count"]


class Undeclared(Feed):
    """Emits to a stream that it does not declare and keeps what that raised."""

    def next_tuple(self) -> None:
        try:
            self.emit(["x"], stream="nosuch", id=1)
        except ValueError as error:
            self.note("raised", str(error))


class UndeclaredBolt(Sink):
    outputs = {"default": ["word"], "errors": ["text"]}

    def execute(self, tup: Tuple) -> None:
        try:
            self.emit(tup.values, stream="error")
        except ValueError as error:
            self.note("raised", str(error))


def test_s06_an_emit_to_an_undeclared_stream_raises(start: Start) -> None:
    """Storm: IllegalArgumentException("Unknown stream ID: nosuch") out of emit."""
    run = start(TopologyBuilder("stream").spout("a", Undeclared.spec()))
    run.run_for(0.01)
    assert run.heard("a", "raised")[0] == 'Unknown stream ID: nosuch; "a" declares: default.'
    assert run.pending == 0
    run = start(
        TopologyBuilder("stream")
        .spout("a", Feed.spec(rows=[["x"]]))
        .bolt("b", UndeclaredBolt.spec(inputs=["a"]))
    )
    run.run_until_idle()
    assert run.heard("b", "raised") == [
        'Unknown stream ID: error; "b" declares: default, errors. Did you mean "errors"?'
    ]


class EmitsOther(Feed):
    """Emits what is no list of values: ids 0 to 3."""

    def next_tuple(self) -> None:
        for number in self.waiting:
            try:
                self.emit(("word", {"word": "x"}, 7, None)[number], id=number)  # type: ignore[arg-type]
            except TypeError as error:
                self.note("raised", number)
                self.note("text", str(error))
        self.waiting = []


def test_s06_values_are_a_list_or_a_tuple(start: Start) -> None:
    """Storm: emit takes a java.util.List, so text or a map does not compile.

    Here emit raises, or, where its short path does not look, the row is reported and its tree
    fails when its batch leaves. Nothing arrives.
    """
    run = start(
        TopologyBuilder("values")
        .spout("a", EmitsOther.spec(rows=[[]] * 4))
        .bolt("b", Sink.spec(inputs=["a"]))
    )
    run.run_until_idle()
    assert run.heard("b", "execute") == []
    assert sorted(run.heard("a", "raised") + run.heard("a", "fail")) == [0, 1, 2, 3]
    expected = "emit takes a list or tuple of values, not "
    assert all(text.startswith(expected) for text in run.heard("a", "text"))
    reported = [error.message for error in run.errors("a")]
    assert len(reported) == len(run.heard("a", "fail"))
    assert all("emit a list of values" in message for message in reported)
    assert run.pending == 0


# ---- 7: context ----


def test_s07_context_tells_ids_neighbours_and_streams(start: Start) -> None:
    """Storm: TopologyContext.getThis..., getComponentTasks, getSources, getTargets, getWorker..."""
    words = Grouping.fields("word")
    run = start(
        TopologyBuilder("context")
        .options(containers=2)
        .config({"colour": "red"})
        .spout("lines", Feed.spec(parallelism=2, outputs={"default": ["word"], "rare": ["x", "y"]}))
        .bolt("split", Pass.spec(inputs=["lines"], parallelism=2))
        .bolt(
            "sink", Sink.spec(inputs={"split": words, StreamRef("lines", "rare"): Grouping.all()})
        )
    )
    run.run_until_idle()
    sink, (first, second) = run.objects("sink")[0].context, run.objects("lines")
    assert (sink.task_id, sink.component_id, sink.task_index) == (3, "sink", 0)
    assert (first.context.task_index, second.context.task_index) == (0, 1)
    assert dict(sink.component_tasks) == {"lines": (1, 2), "sink": (3,), "split": (4, 5)}
    assert [sink.component_of(task) for task in (1, 2, 3, 4, 5)] == [
        "lines", "lines", "sink", "split", "split",
    ]  # fmt: skip
    with pytest.raises(KeyError):
        sink.component_of(6)
    assert first.context.streams() == ("default", "rare")
    assert sink.streams("split") == ("default",)
    assert sink.fields("lines", "rare") == ("x", "y")
    assert {key: rule.kind.value for key, rule in sink.sources().items()} == {
        ("split", "default"): "fields",
        ("lines", "rare"): "all",
    }
    assert {
        stream: {consumer: rule.kind.value for consumer, rule in consumers.items()}
        for stream, consumers in first.context.targets().items()
    } == {"default": {"split": "shuffle"}, "rare": {"sink": "all"}}
    assert sink.sources()["split", "default"].fields == ("word",)
    assert sink.config["colour"] == "red"


def test_s07_context_knows_the_tasks_of_its_container(start: Start) -> None:
    """Storm: getThisWorkerTasks; each task is in exactly one."""
    run = start(
        TopologyBuilder("context")
        .options(containers=2)
        .spout("a", Feed.spec(parallelism=2))
        .bolt("b", Sink.spec(inputs=["a"], parallelism=3))
    )
    run.run_until_idle()
    seen: dict[int, tuple[int, ...]] = {}
    for part in run.objects("a") + run.objects("b"):
        context = part.context
        assert context.task_id in context.container_tasks
        assert seen.setdefault(context.container_id, context.container_tasks) == (
            context.container_tasks
        )
    assert sorted(task for tasks in seen.values() for task in tasks) == [1, 2, 3, 4, 5]
    assert len(seen) == 2


def test_s07_scopes_of_shared_data(start: Start) -> None:
    """Storm: task data is a task's, executor data an executor's, shared resources a worker's.

    Differs: resources are shared by a process, which holds one executor by default.
    """
    run = start(
        TopologyBuilder("scopes")
        .spout("z", Feed.spec())
        .bolt(
            "one", Sink.spec(inputs=["z"], parallelism=2, tasks=3, options={"process": "container"})
        )
        .bolt("two", Sink.spec(inputs=["z"], parallelism=2))
    )
    run.run_until_idle()
    a, b, c = (part.context for part in run.objects("one"))
    assert a.executor_data is b.executor_data is not c.executor_data
    assert len({id(context.task_data) for context in (a, b, c)}) == 3
    assert a.resources is c.resources
    d, e = (part.context for part in run.objects("two"))
    assert d.resources is not e.resources


# ---- 8: submitted inactive ----


def test_s08_an_inactive_topology_opens_nothing_before_it_is_activated(start: Start) -> None:
    """Storm: an executor waits for activation before it opens or prepares its tasks."""
    run = start(
        TopologyBuilder("inactive")
        .spout("a", Feed.spec(rows=[["x"], ["y"]]))
        .bolt("b", Sink.spec(inputs=["a"], options={"tick_interval_s": 1}))
    )
    run.deactivate()
    run.run_for(10)
    assert run.notes == []
    run.activate()
    run.run_for(0.5)
    assert [note.what for note in run.notes if note.component == "a"][:3] == [
        "open", "activate", "emit",
    ]  # fmt: skip
    assert run.heard("b", "execute") == [["x"], ["y"]]
    assert run.heard("a", "ack") == [0, 1]


# ---- the harness itself ----


def test_components_used_here_are_what_they_say() -> None:
    """Pass acks and anchors by itself, Rich does neither: the tests of section C depend on it."""
    assert (Pass.auto_ack, Pass.auto_anchor) == (Bolt.auto_ack, Bolt.auto_anchor) == (True, True)
    assert (Rich.auto_ack, Rich.auto_anchor) == (False, False)
    assert issubclass(Feed, Spout)
