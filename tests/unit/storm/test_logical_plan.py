"""A topology of Storm becomes ours: Storm's checks, normalisation, numbers, defaults."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heronshim.config import TopologyOptions, parse_options
from heronshim.core.plan.task_ids import first_task_ids, phantom_task_ids
from heronshim.core.plan.topology import ComponentKind, Dialect, Grouping, GroupingKind, Language
from heronshim.storm.config_values import parse_conf
from heronshim.storm.errors import InvalidTopologyError
from heronshim.storm.logical_plan import StormPlan, logical_plan
from heronshim.storm.normalization import normalize_conf, normalize_topology
from heronshim.storm.thrift_codec import Structure, struct_from_bytes, struct_to_bytes
from heronshim.storm.validation import check_name, check_topology
from tests.unit.storm.structures import STRUCTS, common, storm_topology, structures

SHUFFLE: Structure = {"shuffle": {}}


def planned(structure: Structure, conf: dict[str, Any] | None = None) -> StormPlan:
    """What Nimbus makes of a submit."""
    check_topology(structure, conf or {})
    whole = normalize_conf(conf or {}, structure)
    return logical_plan("words", "words-1-2", normalize_topology(whole, structure), whole)


def words(**conf: Any) -> StormPlan:
    structure = storm_topology(
        {"spout": common(hint=5)},
        {
            "split": common(("spout", "default", SHUFFLE), hint=8),
            "count": common(("split", "default", {"fields": ["word"]}), hint=12),
        },
    )
    return planned(structure, {key.replace("_", "."): value for key, value in conf.items()})


def test_s01_word_count_is_numbered_as_in_storm() -> None:
    topology = words().topology
    assert phantom_task_ids(topology) == {"__acker": (1,)}
    assert first_task_ids(topology) == {
        "count": tuple(range(2, 14)),
        "split": tuple(range(14, 22)),
        "spout": tuple(range(22, 27)),
    }
    assert topology.dialect is Dialect.STORM
    assert topology.id == "words-1-2"
    assert {component.language for component in topology.components} == {Language.JAVA}
    assert topology.component("spout").kind is ComponentKind.SPOUT


def test_s01_storms_own_components_take_numbers() -> None:
    topology = planned(
        storm_topology({"A": common(), "spout": common()}),
        {
            "topology.workers": 2,
            "topology.eventlogger.executors": 1,
            "topology.metrics.consumer.register": [
                {"class": "x.Y", "parallelism.hint": 2},
                {"class": "x.Y"},
            ],
        },
    ).topology
    assert first_task_ids(topology) == {"A": (1,), "spout": (8,)}
    assert phantom_task_ids(topology) == {
        "__acker": (2, 3),
        "__eventlogger": (4,),
        "__metrics_x.Y": (5, 6),
        "__metrics_x.Y#2": (7,),
    }


@pytest.mark.parametrize(
    ("conf", "own", "hint", "tasks", "executors"),
    [
        ({}, {}, None, 1, 1),
        ({}, {"topology.tasks": 6}, 2, 6, 2),
        ({}, {"topology.tasks": 2}, 6, 2, 2),
        ({"topology.max.task.parallelism": 3}, {}, 5, 3, 3),
        ({"topology.max.task.parallelism": 3}, {"topology.max.task.parallelism": 4}, 5, 4, 4),
        ({"topology.max.task.parallelism": 3}, {"topology.tasks": 2}, 5, 2, 2),
        ({}, {"topology.tasks": "7"}, 1, 7, 1),
    ],
)
def test_s02_tasks_and_executors(
    conf: dict[str, Any], own: dict[str, Any], hint: int | None, tasks: int, executors: int
) -> None:
    structure = storm_topology({"spout": common(hint=hint, conf=json.dumps(own))})
    component = planned(structure, conf).topology.component("spout")
    assert (component.task_count, component.parallelism) == (tasks, executors)
    normalized = normalize_topology(conf, structure)
    found = json.loads(normalized["spouts"]["spout"]["common"]["json_conf"])
    assert found == {**own, "topology.tasks": tasks}


def test_s03_kryo_registrations_add_up_and_the_topology_wins() -> None:
    own = {"topology.kryo.register": ["a.B", {"c.D": "c.Own"}], "topology.kryo.decorators": ["x"]}
    structure = storm_topology({"spout": common(conf=json.dumps(own))})
    conf = {
        "topology.kryo.register": [{"c.D": "c.Topology"}, "e.F"],
        "topology.kryo.decorators": ["y", "x"],
    }
    found = normalize_conf(conf, structure)
    assert found["topology.kryo.register"] == {"a.B": None, "c.D": "c.Topology", "e.F": None}
    assert found["topology.kryo.decorators"] == ["x", "y"]


@pytest.mark.parametrize(
    "name", ["words", "my topology", "wörter", "-", "a" * 128, "名前", "a=b", "<x>"]
)
def test_s04_names_that_storm_allows(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "a/b", "a.b", "a:b", "a\\b", "../x", "a\0/b", "x/" * 9999])
def test_s04_names_that_storm_refuses(name: str) -> None:
    with pytest.raises(InvalidTopologyError, match=r"is not valid. It can't be null and it must"):
        check_name(name)


ONE = {"spout": common()}


@pytest.mark.parametrize(
    ("spouts", "bolts", "message"),
    [
        ({"__a": common()}, {}, "__a is not a valid component id."),
        ({"a": common(__s={"output_fields": [], "direct": False})}, {}, "__s is not a valid stre"),
        ({"spout": common()}, {"spout": common()}, "Duplicate component ids: [spout]"),
        ({"spout": common(("spout", "default", SHUFFLE))}, {}, "May not declare inputs for a sp"),
        ({"spout": common(hint=0, conf='{"topology.tasks":1}')}, {}, "Number of executors must "),
        (ONE, {"b": common(("x", "default", SHUFFLE))}, "Component: [b] subscribes from non-ex"),
        (ONE, {"b": common(("spout", "x", SHUFFLE))}, "Component: [b] subscribes from non-exis"),
        (ONE, {"b": common(("spout", "default", {"fields": ["x"]}))}, "Component: [b] subscribe"),
        ({"spout": common(conf="{")}, {}, "The configuration of component [spout] cannot be re"),
        ({"spout": common(conf="[1]")}, {}, "The configuration of component [spout] is a JSON l"),
        ({"spout": common(conf="[" * 99999)}, {}, "The configuration of component [spout] cann"),
        ({"spout": common(conf='{"topology.tasks":1.5}')}, {}, "Config topology.tasks is 1.5; e"),
        ({"spout": common(conf='{"topology.debug":1}')}, {}, "Config topology.debug is 1; expec"),
        ({"spout": common(conf='{"a":NaN}')}, {}, "The configuration of component [spout] canno"),
        ({"spout": common(hint=0)}, {}, 'component "spout": parallelism must be at least 1'),
        ({"spout": common(hint=-3)}, {}, "Number of executors must be greater than 0"),
        ({"a/b": common()}, {}, "component id 'a/b': it contains \"/\""),
    ],
)
def test_s05_what_cannot_run_is_refused(
    spouts: dict[str, Structure], bolts: dict[str, Structure], message: str
) -> None:
    with pytest.raises(InvalidTopologyError) as caught:
        planned(storm_topology(spouts, bolts))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("number", ["1e999", "-1e999"])
def test_a_number_beyond_all_is_not_read_as_infinite(number: str) -> None:
    with pytest.raises(InvalidTopologyError, match=rf"^It cannot be read: {number} is beyond all"):
        parse_conf(f'{{"a":[{number}]}}', "It")


def test_s05_a_topology_without_spouts_is_refused() -> None:
    structure = {**storm_topology(), "spouts": {}}
    with pytest.raises(InvalidTopologyError, match="it has no spout"):
        planned(structure)


def test_shell_components_and_state_spouts_are_refused_by_name() -> None:
    structure = storm_topology(ONE, {"b": common(("spout", "default", SHUFFLE))})
    shell = {"execution_command": "python3", "script": "b.py"}
    structure["bolts"]["b"]["bolt_object"] = {"shell": shell}
    with pytest.raises(InvalidTopologyError, match=r"\[b\] is a shell component \(python3 b.py\)"):
        planned(structure)


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"topology.workers": "two"}, "Config topology.workers is 'two'; expected a whole number"),
        ({"topology.workers": 1 << 31}, "Config topology.workers is 2147483648; expected"),
        ({"topology.workers": -1}, "Config topology.workers is -1; expected at least 1"),
        ({"topology.workers": 0}, "Config topology.workers is 0; expected at least 1"),
        (
            {"topology.workers": 0, "topology.acker.executors": 1},
            "Config topology.workers is 0; expected at least 1",
        ),
        ({"topology.acker.executors": -1}, "Config topology.acker.executors is -1; expected at l"),
        (
            {"topology.ras.acker.executors.per.worker": -1},
            "Config topology.ras.acker.executors.per.worker is -1; expected at least 0",
        ),
        ({"topology.eventlogger.executors": -1}, "Config topology.eventlogger.executors is -1; e"),
        ({"topology.workers": True}, "Config topology.workers is True; expected"),
        ({"topology.max.spout.pending": 0}, "Config topology.max.spout.pending is 0; expected"),
        ({"topology.message.timeout.secs": 0}, 'topology "words": option "message_timeout_s" mus'),
        ({"topology.kryo.register": "a"}, "Config topology.kryo.register must be a list"),
        ({"topology.metrics.consumer.register": ["a"]}, "Config topology.metrics.consumer.regist"),
        ({"topology.acker.executors": 70_000}, 'topology "words": it has 70025 tasks'),
    ],
)
def test_wrong_values_name_their_key(conf: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidTopologyError) as caught:
        words(**{key.replace(".", "_"): value for key, value in conf.items()})
    assert str(caught.value).startswith(message)


def test_defaults_are_storms() -> None:
    options = parse_options(TopologyOptions, words().topology.options)
    assert options.delivery == "at_least_once"
    assert (options.message_timeout_s, options.max_spout_pending, options.containers) == (30, 0, 1)
    assert (options.on_user_exception, options.spout_wait_ms) == ("restart", 1)
    assert (options.error_report_max, options.error_report_interval_s) == (5, 10)
    assert options.fail_fast is None


def test_options_follow_the_configuration() -> None:
    topology = words(
        topology_workers=3,
        topology_acker_executors=0,
        topology_message_timeout_secs=7,
        topology_enable_message_timeouts=False,
        topology_max_spout_pending=20,
    ).topology
    options = parse_options(TopologyOptions, topology.options)
    assert options.delivery == "at_most_once"
    assert (options.message_timeout_s, options.max_spout_pending, options.containers) == (7, 20, 3)
    assert not options.message_timeouts
    assert topology.phantoms == {}


def test_more_workers_than_executors_leave_some_empty() -> None:
    plan = planned(storm_topology(), {"topology.workers": 9})
    assert plan.topology.options["containers"] == 1
    assert plan.topology.phantoms == {"__acker": 9}


@pytest.mark.parametrize("limit", [1 << 25, (1 << 31) - 1])
def test_a_limit_beyond_all_trees_is_none(limit: int) -> None:
    assert words(topology_max_spout_pending=limit).topology.options["max_spout_pending"] == 0


def test_a_cycle_bounds_pending_and_says_so() -> None:
    loop = common(("spout", "default", SHUFFLE), ("loop", "default", SHUFFLE))
    plan = planned(storm_topology(ONE, {"loop": loop}))
    assert plan.topology.options["max_spout_pending"] == 5000
    assert any("topology.max.spout.pending is 5000" in warning for warning in plan.warnings)


def test_a_cycle_bounds_spouts_whose_own_limit_is_none() -> None:
    loop = common(("spout", "default", SHUFFLE), ("loop", "default", SHUFFLE))
    spouts = {
        "spout": common(conf='{"topology.max.spout.pending":2147483647}'),
        "other": common(conf='{"topology.max.spout.pending":4}'),
    }
    for conf, whole in (({}, 5000), ({"topology.max.spout.pending": 7}, 7)):
        plan = planned(storm_topology(spouts, {"loop": loop}), conf)
        topology = plan.topology
        assert topology.options["max_spout_pending"] == whole
        assert topology.component("spout").options["max_spout_pending"] == 5000
        assert topology.component("other").options["max_spout_pending"] == 4
        assert any("topology.max.spout.pending is 5000" in warning for warning in plan.warnings)
    straight = planned(storm_topology(spouts)).topology
    assert straight.component("spout").options["max_spout_pending"] == 0


class Compared(str):
    """An id that counts how often ids are compared."""

    __slots__ = ()
    __hash__ = str.__hash__
    times = 0

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return str.__eq__(self, other)


def test_ids_are_not_compared_each_with_each() -> None:
    """A message has room for 15,000 of them."""
    check_topology(storm_topology({Compared(number): common() for number in range(1000)}), {})
    assert Compared.times < 10_000


def test_components_have_their_own_configuration() -> None:
    own = '{"topology.tick.tuple.freq.secs":3,"topology.debug":true}'
    bolt = common(("spout", "default", SHUFFLE), conf=own)
    spout = common(conf='{"topology.max.spout.pending":4,"topology.tick.tuple.freq.secs":3}')
    topology = planned(storm_topology({"spout": spout}, {"bolt": bolt})).topology
    assert topology.component("bolt").options == {
        "process": "container",
        "debug": True,
        "tick_interval_s": 3.0,
    }
    assert topology.component("spout").options == {"process": "container", "max_spout_pending": 4}


@pytest.mark.parametrize(
    ("grouping", "expected"),
    [
        ({"fields": ["word"]}, Grouping(GroupingKind.FIELDS, ("word",))),
        ({"fields": []}, Grouping(GroupingKind.GLOBAL)),
        ({"all": {}}, Grouping(GroupingKind.ALL)),
        ({"none": {}}, Grouping(GroupingKind.NONE)),
        ({"local_or_shuffle": {}}, Grouping(GroupingKind.LOCAL_OR_SHUFFLE)),
        ({"custom_serialized": b"x"}, Grouping(GroupingKind.CUSTOM, object="stormcode.ser")),
        (
            {"custom_object": {"full_class_name": "a.B", "args_list": []}},
            Grouping(GroupingKind.CUSTOM, object="a.B"),
        ),
    ],
)
def test_groupings(grouping: Structure, expected: Grouping) -> None:
    structure = storm_topology(ONE, {"bolt": common(("spout", "default", grouping))})
    [found] = planned(structure).topology.component("bolt").inputs
    assert found.grouping == expected


def test_direct_streams_and_java_objects() -> None:
    spout = common(there={"output_fields": ["a", "b"], "direct": True})
    structure = storm_topology(
        {"spout": spout}, {"bolt": common(("spout", "there", {"direct": {}}))}
    )
    made = {"full_class_name": "com.acme.Bolt", "args_list": [{"int_arg": 1}]}
    structure["bolts"]["bolt"]["bolt_object"] = {"java_object": made}
    bolt = planned(structure).topology.component("bolt")
    assert bolt.object == "com.acme.Bolt"
    assert bolt.inputs[0].grouping == Grouping(GroupingKind.DIRECT)


def test_keys_without_effect_are_named_once() -> None:
    spout = common(conf='{"topology.component.cpu.pcore.percent":10}')
    plan = planned(
        storm_topology({"spout": spout}),
        {
            "topology.scheduler.strategy": "x",
            "topology.kryo.factory": "y",
            "my.own": 1,
            "topology.workers": 1,
        },
    )
    assert "topology.component.cpu.pcore.percent, topology.scheduler.strategy" in plan.warnings[0]
    assert "kryo" not in plan.warnings[0]
    assert "my.own" not in plan.warnings[0]


@given(structures(STRUCTS["StormTopology"]), st.dictionaries(st.text(max_size=5), st.integers()))
def test_any_structure_is_planned_or_refused(structure: Structure, conf: dict[str, Any]) -> None:
    try:
        planned(structure, conf)
        written = struct_to_bytes(normalize_topology(conf, structure), STRUCTS["StormTopology"])
    except InvalidTopologyError:
        return
    struct_from_bytes(written, STRUCTS["StormTopology"], "again")
