"""Task ids and executors: Storm's numbering, kept through changes of the number of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heronshim.core.plan.topology import Component, Topology

TASK_ID_MAX = 65_535
"""A root holds its spout's task in 16 bits."""


def first_task_ids(topology: Topology) -> dict[str, tuple[int, ...]]:
    """Return the task ids of each component at the start, ascending, by ascending component id."""
    numbered = _numbered(topology)
    return {component.id: numbered[component.id] for component in sorted_components(topology)}


def phantom_task_ids(topology: Topology) -> dict[str, tuple[int, ...]]:
    """Return the task ids of each phantom of a topology, ascending, by ascending id."""
    numbered = _numbered(topology)
    return {phantom: numbered[phantom] for phantom in sorted(topology.phantoms)}


def sorted_components(topology: Topology) -> list[Component]:
    """Return the components by ascending id."""
    return sorted(topology.components, key=lambda item: item.id)


def _numbered(topology: Topology) -> dict[str, tuple[int, ...]]:
    """Number components and phantoms one after another in the order of their ids as text, from 1.

    Source: Storm's StormCommon.stormTaskInfo.
    """
    counts = {component.id: component.task_count for component in topology.components}
    found: dict[str, tuple[int, ...]] = {}
    first = 1
    for name, count in sorted({**topology.phantoms, **counts}.items()):
        found[name] = tuple(range(first, first + count))
        first += count
    return found


def changed_task_ids(
    current: Mapping[str, Sequence[int]], task_counts: Mapping[str, int], highest_used: int
) -> dict[str, tuple[int, ...]]:
    """Return the task ids of each component after a change of how many it has.

    Tasks that stay keep their ids; the highest ids of a component go first; added tasks get ids
    above `highest_used`, by ascending component id, so that none is used twice. Components that
    `task_counts` does not name keep theirs.
    """
    found: dict[str, tuple[int, ...]] = {}
    following = highest_used + 1
    for component in sorted(current.keys() | task_counts.keys()):
        kept = tuple(sorted(current.get(component, ())))
        wanted = task_counts.get(component, len(kept))
        added = max(0, wanted - len(kept))
        found[component] = kept[:wanted] + tuple(range(following, following + added))
        following += added
    return found


def split_into_executors(tasks: Sequence[int], executor_count: int) -> tuple[tuple[int, ...], ...]:
    """Return ascending contiguous ranges of `tasks`, as equal as can be, larger ones first.

    There are `executor_count` of them, or one for each task if that is fewer.
    Source: Storm's Utils.partitionFixed: 1..10 in 3 gives 1-4, 5-7, 8-10.
    """
    base, larger = divmod(len(tasks), executor_count)
    executors = []
    start = 0
    for position in range(min(executor_count, len(tasks))):
        end = start + base + (position < larger)
        executors.append(tuple(tasks[start:end]))
        start = end
    return tuple(executors)
