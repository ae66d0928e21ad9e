"""The topology as a graph: cycles, and what lies upstream or downstream of what.

Inputs from components that the topology lacks are left out; validation reports them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heronshim.core.plan.topology import ComponentKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from heronshim.core.plan.topology import Topology


def cycle_components(topology: Topology) -> frozenset[str]:
    """Return the components from which a tuple's descendants can come back to them."""
    return frozenset(component for cycle in cycles(topology) for component in cycle)


def cycles(topology: Topology) -> list[tuple[str, ...]]:
    """Return the strongly connected components that hold a cycle, self-loops included.

    Ids within one ascend; the list ascends by first id. Source: Tarjan 1972, without recursion.
    """
    edges = _sources(topology)
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[tuple[str, ...]] = []
    for root in edges:
        if root in order:
            continue
        work = [(root, iter(edges[root]))]
        order[root] = low[root] = len(order)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, following = work[-1]
            for other in following:
                if other not in order:
                    order[other] = low[other] = len(order)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(edges[other])))
                    break
                if other in on_stack:
                    low[node] = min(low[node], order[other])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == order[node]:
                    members = _pop_through(node, stack, on_stack)
                    if len(members) > 1 or node in edges[node]:
                        found.append(tuple(sorted(members)))
    return sorted(found)


def cycle_feeders(topology: Topology) -> frozenset[str]:
    """Return the spouts whose tuples, or descendants of them, can reach a cycle."""
    on_cycle = cycle_components(topology)
    return frozenset(
        component.id
        for component in topology.components
        if component.kind is ComponentKind.SPOUT
        and not on_cycle.isdisjoint(downstream_of(topology, component.id))
    )


def upstream_of(topology: Topology, component: str) -> frozenset[str]:
    """Return all components whose tuples, or descendants of them, can reach `component`.

    It is among them only when it is part of a cycle.
    """
    return _closure([component], _sources(topology))


def downstream_of(topology: Topology, component: str) -> frozenset[str]:
    """Return all components that tuples of `component`, or descendants of them, can reach.

    It is among them only when it is part of a cycle.
    """
    return _closure([component], _consumers(topology))


def unreachable_components(topology: Topology) -> list[str]:
    """Return the bolts that no spout's tuples can reach, ascending."""
    consumers = _consumers(topology)
    spouts = [item.id for item in topology.components if item.kind is ComponentKind.SPOUT]
    return sorted(consumers.keys() - _closure(spouts, consumers) - set(spouts))


def _sources(topology: Topology) -> dict[str, list[str]]:
    """Return the known source components of each component, ascending."""
    known = {component.id for component in topology.components}
    return {
        component.id: sorted({item.component for item in component.inputs} & known)
        for component in topology.components
    }


def _consumers(topology: Topology) -> dict[str, list[str]]:
    """Return the consumer components of each component, ascending."""
    consumers: dict[str, list[str]] = {component.id: [] for component in topology.components}
    for consumer, sources in _sources(topology).items():
        for source in sources:
            consumers[source].append(consumer)
    return consumers


def _closure(start: Iterable[str], edges: Mapping[str, Iterable[str]]) -> frozenset[str]:
    """Return all that can be reached from `start` by one edge or more."""
    reached: set[str] = set()
    waiting = list(start)
    while waiting:
        fresh = set(edges.get(waiting.pop(), ())) - reached
        reached |= fresh
        waiting.extend(fresh)
    return frozenset(reached)


def _pop_through(node: str, stack: list[str], on_stack: set[str]) -> list[str]:
    """Take from the stack down to `node` and return what was taken."""
    members = []
    while True:
        member = stack.pop()
        on_stack.discard(member)
        members.append(member)
        if member == node:
            return members
