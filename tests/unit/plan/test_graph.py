"""Cycles and reachability against plain definitions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.plan.graph import (
    cycle_components,
    cycles,
    unreachable_components,
    upstream_of,
)
from heronshim.core.plan.topology import (
    Component,
    ComponentKind,
    Grouping,
    GroupingKind,
    InputStream,
    Topology,
)

SHUFFLE = Grouping(GroupingKind.SHUFFLE)


def graph(edges: set[tuple[str, str]], nodes: str, spouts: str = "") -> Topology:
    """Make a topology whose edges go from source to consumer."""
    return Topology(
        "t",
        tuple(
            Component(
                node,
                ComponentKind.SPOUT if node in spouts else ComponentKind.BOLT,
                "m:C",
                inputs=tuple(
                    InputStream(source, "default", SHUFFLE)
                    for source, consumer in sorted(edges)
                    if consumer == node
                ),
            )
            for node in nodes
        ),
    )


def reach(edges: set[tuple[str, str]], start: str) -> set[str]:
    """Return what can be reached by one edge or more, by repeated widening."""
    reached: set[str] = set()
    while True:
        wider = {end for begin, end in edges if begin == start or begin in reached}
        if wider == reached:
            return reached
        reached = wider


NODES = "abcdef"
edge_sets = st.sets(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), max_size=14)


@given(edge_sets)
def test_a_component_is_in_a_cycle_when_it_reaches_itself(edges: set[tuple[str, str]]) -> None:
    topology = graph(edges, NODES)
    expected = {node for node in NODES if node in reach(edges, node)}
    assert cycle_components(topology) == expected
    groups = {
        tuple(sorted(other for other in reach(edges, node) if node in reach(edges, other)))
        for node in expected
    }
    assert cycles(topology) == sorted(groups)


@given(edge_sets, st.sampled_from(NODES))
def test_upstream_is_all_that_reaches(edges: set[tuple[str, str]], node: str) -> None:
    expected = {other for other in NODES if node in reach(edges, other)}
    assert upstream_of(graph(edges, NODES), node) == expected


@given(edge_sets, st.sets(st.sampled_from(NODES)))
def test_unreachable_is_what_no_spout_reaches(
    edges: set[tuple[str, str]], spouts: set[str]
) -> None:
    fed = set().union(*(reach(edges, spout) for spout in spouts))
    topology = graph(edges, NODES, "".join(spouts))
    assert unreachable_components(topology) == sorted(set(NODES) - fed - spouts)


def test_unknown_sources_are_left_out() -> None:
    topology = graph({("zz", "a"), ("a", "b")}, "ab")
    assert upstream_of(topology, "b") == {"a"}
    assert cycle_components(topology) == frozenset()


def test_a_chain_longer_than_pythons_stack_is_no_problem() -> None:
    names = [f"n{number:05}" for number in range(3000)]
    components = tuple(
        Component(
            name,
            ComponentKind.BOLT,
            "m:C",
            inputs=(InputStream(names[number - 1], "default", SHUFFLE),),
        )
        for number, name in enumerate(names)
    )
    assert len(cycle_components(Topology("t", components))) == 3000
