"""Topologies as classes and by builder give the same logical plans."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from heronshim.api import (
    Bolt,
    CustomGrouping,
    Grouping,
    Spout,
    Stream,
    StreamRef,
    Topology,
    TopologyBuilder,
)
from heronshim.core.plan.topology import (
    ComponentKind,
    GroupingKind,
    InputStream,
    OutputStream,
    SourceLine,
)
from heronshim.core.plan.topology import Grouping as Rule
from heronshim.errors import TopologyError

HERE = str(Path(__file__))
MODULE = __name__


class Lines(Spout):
    outputs = {
        "default": ["line"],
        "errors": Stream(["reason"]),
        "parts": Stream(["p"], direct=True),
    }

    def __init__(self, path="x", name="y"):
        self.path = path

    def next_tuple(self):
        pass


class Count(Bolt):
    outputs = ["word", "count"]

    def execute(self, tup):
        pass


class Odd(CustomGrouping):
    def __init__(self, size=1):
        self.size = size

    def choose_tasks(self, values):
        return []


class Base(Topology):
    options = {"containers": 2}
    config = {"any.key": [1, {"a": None}]}

    lines = Lines.spec(parallelism=2, tasks=4, path="x.txt", args={"name": "n"})
    count = Count.spec(
        inputs={
            lines: Grouping.fields("line"),
            lines["errors"]: Grouping.custom(Odd, size=2),
            StreamRef("lines", "parts"): Grouping.direct(),
        },
        options={"tick_interval_s": 1},
        config={"b": 2},
        outputs=["total"],
    )


LINES_AT = next(
    number for number, text in enumerate(Path(HERE).read_text().splitlines(), 1)
    if text.startswith("    lines = Lines.spec(parallelism=2")
)  # fmt: skip


def test_class_style_gives_the_whole_plan() -> None:
    plan = Base.definition()
    assert plan.name == "Base"
    assert plan.options == {"containers": 2}
    assert plan.user_config == {"any.key": [1, {"a": None}]}
    count, lines = plan.components
    assert (count.id, count.kind, count.object) == ("count", ComponentKind.BOLT, f"{MODULE}:Count")
    assert (lines.parallelism, lines.tasks) == (2, 4)
    assert lines.arguments == {"path": "x.txt", "name": "n"}
    assert lines.outputs == (
        OutputStream("default", ("line",)),
        OutputStream("errors", ("reason",)),
        OutputStream("parts", ("p",), direct=True),
    )
    assert lines.source == SourceLine(HERE, LINES_AT)
    assert count.outputs == (OutputStream("default", ("total",)),)
    assert (count.options, count.user_config) == ({"tick_interval_s": 1}, {"b": 2})
    assert count.inputs == (
        InputStream("lines", "default", Rule(GroupingKind.FIELDS, ("line",)), at(3)),
        InputStream(
            "lines", "errors", Rule(GroupingKind.CUSTOM, (), f"{MODULE}:Odd", {"size": 2}), at(4)
        ),
        InputStream("lines", "parts", Rule(GroupingKind.DIRECT), at(5)),
    )


def at(below: int) -> SourceLine:
    return SourceLine(HERE, LINES_AT + below)


def test_definition_can_be_renamed() -> None:
    class Named(Base, name="word-count"):
        pass

    assert Base.definition("other").name == "other"
    assert Named.definition().name == "word-count"


def test_subclass_adds_and_replaces_components() -> None:
    class More(Base):
        config = {"more": True}
        lines = Lines.spec(path="z.txt")
        last = Count.spec(inputs=[Base.count, lines], name="the-last")

    plan = More.definition()
    assert [component.id for component in plan.components] == ["count", "lines", "the-last"]
    assert plan.component("lines").arguments == {"path": "z.txt"}
    assert [item.component for item in plan.component("count").inputs] == ["lines"] * 3
    assert plan.options == {"containers": 2}
    assert plan.user_config == {"more": True}


@pytest.mark.parametrize(
    ("grouping", "rule"),
    [
        (Grouping.shuffle(), Rule(GroupingKind.SHUFFLE)),
        (Grouping.fields("line"), Rule(GroupingKind.FIELDS, ("line",))),
        (Grouping.all(), Rule(GroupingKind.ALL)),
        (Grouping.global_(), Rule(GroupingKind.GLOBAL)),
        (Grouping.none(), Rule(GroupingKind.NONE)),
        (Grouping.local_or_shuffle(), Rule(GroupingKind.LOCAL_OR_SHUFFLE)),
        (Grouping.partial_key("line"), Rule(GroupingKind.PARTIAL_KEY, ("line",))),
        (Grouping.custom(Odd), Rule(GroupingKind.CUSTOM, (), f"{MODULE}:Odd")),
    ],
    ids=repr,
)
def test_groupings_become_rules(grouping: Grouping, rule: Rule) -> None:
    builder = TopologyBuilder("t").spout("lines", Lines.spec())
    plan = builder.bolt("count", Count.spec(inputs={"lines": grouping})).build()
    assert plan.components[0].inputs[0].grouping == rule


def test_builder_and_class_agree() -> None:
    lines = Lines.spec(path="x.txt")
    built = (
        TopologyBuilder("agree")
        .options(containers=2)
        .options(max_spout_pending=5)
        .config({"a": 1})
        .config({"b": 2})
        .spout("lines", lines)
        .bolt("count", Count.spec(inputs=[lines]))
        .build()
    )

    class Agree(Topology, name="agree"):
        options = {"containers": 2, "max_spout_pending": 5}
        config = {"a": 1, "b": 2}
        lines = Lines.spec(path="x.txt")
        count = Count.spec(inputs=[lines])

    other = Agree.definition()
    assert (built.name, built.options, built.user_config) == (
        other.name, other.options, other.user_config,
    )  # fmt: skip
    for mine, theirs in zip(built.components, other.components, strict=True):
        assert (mine.id, mine.object, mine.arguments, mine.outputs) == (
            theirs.id, theirs.object, theirs.arguments, theirs.outputs,
        )  # fmt: skip


def test_specs_are_not_iterable() -> None:
    with pytest.raises(TypeError, match="not iterable"):
        list(Lines.spec())  # type: ignore[call-overload]


def test_all_problems_come_at_once_with_their_lines() -> None:
    class Wrong(Topology):
        lines = Lines.spec(
            parallelism=0,
            pth="x",
        )
        count = Count.spec(inputs={lines: Grouping.fields("lien")})

    with pytest.raises(TopologyError) as caught:
        Wrong.definition()
    zero, unknown, field = caught.value.problems
    assert zero.startswith(f"{HERE}:")
    assert "parallelism must be at least 1, not 0" in zero
    assert 'Did you mean "path"?' in unknown
    assert line_of(unknown) == line_of(zero) + 1
    assert 'Did you mean "line"?' in field


def line_of(problem: str) -> int:
    return int(problem.removeprefix(f"{HERE}:").partition(":")[0])


def test_class_of_the_running_script_is_named_by_its_file(tmp_path: Path) -> None:
    script = tmp_path / "my_script.py"
    script.write_text(
        "from heronshim.api import Spout, Topology\n"
        "class Numbers(Spout):\n    outputs = ['n']\n    def next_tuple(self): pass\n"
        "class T(Topology):\n    numbers = Numbers.spec()\n"
        "print(T.definition().components[0].object)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "my_script:Numbers\n"


def test_api_imports_little() -> None:
    """Instances import the API: neither numpy nor the command line's libraries may come along."""
    heavy = {"numpy", "typer", "rich", "zmq", "google", "asyncio", "subprocess"}
    code = f"import sys, heronshim.api; print(*{heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []


class Window(Count):
    holds_tuples = True


def test_class_of_a_bolt_says_that_it_holds_tuples_and_the_options_may_say_otherwise():
    builder = TopologyBuilder("t").spout("lines", Lines.spec())
    builder.bolt("window", Window.spec(inputs=["lines"]))
    builder.bolt("plain", Window.spec(inputs=["lines"], options={"holds_tuples": False}))
    topology = builder.build()
    assert topology.component("window").options == {"holds_tuples": True}
    assert topology.component("plain").options == {"holds_tuples": False}
