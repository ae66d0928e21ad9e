"""Storm's rules for a topology, and ours; all problems at once, each with what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heronshim.core.plan.topology import (
    Component,
    ComponentKind,
    Grouping,
    GroupingKind,
    InputStream,
    OutputStream,
    SourceLine,
    Topology,
)
from heronshim.core.plan.validation import validate

SHUFFLE = Grouping(GroupingKind.SHUFFLE)
LINE = SourceLine("words.py", 7)


def spout(component_id: str = "lines", **changes) -> Component:
    component = Component(
        component_id,
        ComponentKind.SPOUT,
        "words:Lines",
        outputs=(OutputStream("default", ("line", "number")),),
    )
    return replace(component, **changes)


def bolt(component_id: str = "split", *inputs: InputStream, **changes) -> Component:
    component = Component(
        component_id,
        ComponentKind.BOLT,
        "words:Split",
        outputs=(OutputStream("default", ("word",)),),
        inputs=inputs or (InputStream("lines", "default", SHUFFLE),),
    )
    return replace(component, **changes)


def topology(*components: Component, **changes) -> Topology:
    return replace(Topology("words", components), **changes)


def take(grouping: Grouping = SHUFFLE, component: str = "lines", stream: str = "default"):
    return InputStream(component, stream, grouping)


def fields(*names: str, kind: GroupingKind = GroupingKind.FIELDS) -> Grouping:
    return Grouping(kind, names)


def problems(*components: Component, **changes) -> list[str]:
    found, _ = validate(topology(*components, **changes))
    return found


def test_a_right_topology_has_neither_problems_nor_warnings() -> None:
    right = topology(
        spout(parallelism=2, tasks=4, options={"max_spout_pending": 10}),
        bolt("split", take(fields("line", "number"))),
        bolt("count", take(component="split"), take(Grouping(GroupingKind.ALL))),
        options={"containers": 2},
        user_config={"rate": 1.5},
    )
    assert validate(right) == ([], [])


CASES = [
    (
        "no spout",
        topology(bolt("a", take(component="a"))),
        'topology "words": it has no spout; add a component that makes tuples',
    ),
    (
        "spout with inputs",
        topology(spout(inputs=(take(component="lines"),))),
        'component "lines": it is a spout and has inputs; remove them or make it a bolt',
    ),
    (
        "bolt without inputs",
        topology(spout(), replace(bolt(), inputs=())),
        'component "split": it is a bolt without inputs; say which streams it takes',
    ),
    (
        "unknown component",
        topology(spout(), bolt("split", take(component="line"))),
        'component "split": it takes from the unknown component "line"; known: "lines", '
        '"split". Did you mean "lines"?',
    ),
    (
        "unknown stream",
        topology(spout(), bolt("split", take(stream="defalt"))),
        'component "split": "lines" declares no stream "defalt"; it declares: "default". '
        'Did you mean "default"?',
    ),
    (
        "no stream at all",
        topology(spout(outputs=()), bolt()),
        'component "split": "lines" declares no stream "default"; it declares: none.',
    ),
    (
        "missing field",
        topology(spout(), bolt("split", take(fields("lin")))),
        'component "split": fields grouping: stream "default" of "lines" has no field "lin"; '
        'it has: "line", "number". Did you mean "line"?',
    ),
    (
        "no field",
        topology(spout(), bolt("split", take(fields(kind=GroupingKind.PARTIAL_KEY)))),
        'component "split": partial-key grouping names no field; stream "default" of "lines" '
        'has: "line", "number"',
    ),
    (
        "direct grouping of a stream that is not",
        topology(spout(), bolt("split", take(Grouping(GroupingKind.DIRECT)))),
        'component "split": direct grouping: stream "default" of "lines" is not a direct stream; '
        "declare it as direct or choose another grouping",
    ),
    (
        "another grouping of a direct stream",
        topology(spout(outputs=(OutputStream("default", ("line",), direct=True),)), bolt()),
        'component "split": stream "default" of "lines" is a direct stream; take it with direct '
        "grouping",
    ),
    (
        "custom grouping without a class",
        topology(spout(), bolt("split", take(Grouping(GroupingKind.CUSTOM)))),
        'component "split": custom grouping of stream "default" of "lines" names no class; say '
        "what chooses the tasks",
    ),
    (
        "custom grouping with an argument that cannot be stored",
        topology(
            spout(),
            bolt(
                "split",
                take(Grouping(GroupingKind.CUSTOM, object="m:G", arguments={"n": 1 << 70})),
            ),
        ),
        'component "split": arguments of the grouping of stream "default" of "lines"["n"]: the '
        "integer 0x400000000000000000 does not fit into 64 bits; write it as text",
    ),
    (
        "twice the same stream",
        topology(spout(), bolt("split", take(), take(fields("line")))),
        'component "split" takes stream "default" of "lines" 2 times; keep one grouping',
    ),
    (
        "reserved id",
        topology(spout("__lines")),
        "component id '__lines': \"__\" begins the engine's own ids; rename it",
    ),
    (
        "id that cannot name a file",
        topology(spout("in/lines")),
        'component id \'in/lines\': it contains "/"; it names files, so use "-" or "_"',
    ),
    (
        "hidden file",
        topology(spout(".lines")),
        "component id '.lines': it begins with \".\"; it names files, so rename it",
    ),
    (
        "empty id",
        topology(spout("")),
        "component id '': it is empty; give it a name",
    ),
    (
        "duplicate id",
        topology(spout(), spout(object="other:Lines")),
        'component "lines" is declared 2 times; give each an id of its own',
    ),
    (
        "no class",
        topology(spout(object="")),
        'component "lines": it names no class; say what its instances load',
    ),
    (
        "no executor",
        topology(spout(parallelism=0)),
        'component "lines": parallelism must be at least 1, not 0',
    ),
    (
        "fewer tasks than executors",
        topology(spout(parallelism=3, tasks=2)),
        'component "lines": tasks is 2, lower than parallelism, 3: set tasks to at least 3 or '
        "lower parallelism",
    ),
    (
        "too many tasks",
        topology(spout(parallelism=65_536)),
        'topology "words": it has 65536 tasks; at most 65535 are possible: lower parallelism',
    ),
    (
        "duplicate stream",
        topology(spout(outputs=(OutputStream("s", ("a",)), OutputStream("s", ("b",))))),
        'component "lines": stream "s" is declared 2 times; declare it once',
    ),
    (
        "duplicate field",
        topology(spout(outputs=(OutputStream("s", ("a", "b", "a")),))),
        'component "lines": stream "s" names the field "a" 2 times; give each field its own name',
    ),
    (
        "empty field",
        topology(spout(outputs=(OutputStream("s", ("a", "")),))),
        'component "lines": stream "s" has a field without a name',
    ),
    (
        "reserved stream",
        topology(spout(outputs=(OutputStream("__s", ("a",)),))),
        'component "lines": stream "__s" begins with "__", which the engine keeps; rename it',
    ),
    (
        "unprintable stream",
        topology(spout(outputs=(OutputStream("a\nb", ("a",)),))),
        "component \"lines\": the stream id 'a\\nb' must be printable text",
    ),
    (
        "unknown option of the topology",
        topology(spout(), options={"container": 2}),
        'topology "words": unknown option "container". Did you mean "containers"?',
    ),
    (
        "wrong option of a component",
        topology(spout(options={"cpu": "two"})),
        'component "lines": option "cpu" must be a number, not \'two\'',
    ),
    (
        "argument that cannot be stored",
        topology(spout(arguments={"files": [open]})),
        'component "lines": arguments["files"][0]: a builtin_function_or_method cannot be stored; '
        "expected null, true or false, a 64-bit integer, a float, text, bytes, a list or a map "
        "with text keys",
    ),
    (
        "configuration with a key that is not text",
        topology(spout(), user_config={"rates": {1: 2}}),
        'topology "words": config["rates"]: the key 1 is an int; write it as text',
    ),
    (
        "component configuration that is not Unicode",
        topology(spout(user_config={"name": "\ud800"})),
        'component "lines": config["name"]: the text is not valid Unicode (a lone surrogate)',
    ),
]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [case[1:] for case in CASES],
    ids=[case[0].replace(" ", "-") for case in CASES],
)
def test_s05_each_problem_says_what_and_what_to_do(wrong: Topology, expected: str) -> None:
    assert validate(wrong)[0] == [expected]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "it is empty; give it a name"),
        ("  ", "it is empty; give it a name"),
        ("a/b", 'it contains "/"; use letters, digits, "-" and "_"'),
        ("a.b", 'it contains "."; use letters, digits, "-" and "_"'),
        ("a:b", 'it contains ":"; use letters, digits, "-" and "_"'),
        ("a\\b", 'it contains "\\"; use letters, digits, "-" and "_"'),
        ("a\0b", "it contains control or unprintable characters; remove them"),
        ("\ud800", "it contains control or unprintable characters; remove them"),
        ("a" * 129, "it has 129 characters (129 bytes in UTF-8); at most 128 characters and"),
        ("\u65e5" * 100, "it has 100 characters (300 bytes in UTF-8); at most 128 characters and"),
    ],
)
def test_s04_topology_names(name: str, expected: str) -> None:
    (line,) = problems(spout(), name=name)
    assert line.startswith(f"topology name {name!r}: {expected}")


def test_s04_the_longest_name_and_any_letters_are_fine() -> None:
    for name in ("a" * 128, "\u65e5" * 66, "word count_2-b"):
        assert problems(spout(), name=name) == []


def test_all_problems_come_at_once_each_with_its_own_line() -> None:
    found = problems(
        spout(source=LINE, parallelism=0, options={"cpu": -1, "rammb": 5}),
        bolt(
            "split",
            replace(take(fields("lin")), source=SourceLine("words.py", 12)),
            take(component="nobody"),
            source=SourceLine("words.py", 9),
        ),
        name="a.b",
    )
    assert [line.split(": ")[0] for line in found] == [
        "topology name 'a.b'",
        "words.py:7",
        "words.py:7",
        "words.py:7",
        "words.py:12",
        "words.py:9",
    ]


def test_s20_cycles_only_warn_and_name_their_components() -> None:
    looped = topology(
        spout(),
        bolt("a", take(), take(component="b"), source=LINE),
        bolt("b", take(component="a")),
        bolt("self", take(component="b"), take(component="self")),
    )
    found, warnings = validate(looped)
    assert found == []
    end = "; tuples must leave it, or spouts will wait at max_spout_pending"
    assert warnings == [
        f'words.py:7: components "a", "b" form a cycle{end}',
        f'component "self" consumes its own output{end}',
    ]


def test_unreachable_components_only_warn() -> None:
    island = topology(spout(), bolt("a", take(component="b")), bolt("b", take(component="a")))
    found, warnings = validate(island)
    assert found == []
    assert warnings[1:] == [
        f'component "{name}": no spout reaches it, so it gets no tuples' for name in "ab"
    ]


def test_options_without_effect_only_warn() -> None:
    found, warnings = validate(
        topology(
            spout(options={"tick_interval_s": 1}),
            bolt(options={"max_spout_pending": 1}),
            options={"packing": "first_fit_decreasing", "containers": 2},
        )
    )
    assert found == []
    assert warnings == [
        'topology "words": option "containers" has no effect with packing first_fit_decreasing; '
        "container_cpu, container_ram_mb and container_disk_mb decide",
        'component "lines": option "tick_interval_s" has no effect on a spout',
        'component "split": option "max_spout_pending" has no effect on a bolt',
    ]
