"""Task ids and executors are Storm's (semantics 1 and 2)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.plan.task_ids import (
    changed_task_ids,
    first_task_ids,
    phantom_task_ids,
    split_into_executors,
)
from heronshim.core.plan.topology import Component, ComponentKind, Topology


def component(component_id: str, parallelism: int, tasks: int | None = None) -> Component:
    kind = ComponentKind.BOLT
    return Component(component_id, kind, "m:C", parallelism=parallelism, tasks=tasks)


def test_s01_ids_follow_sorted_component_ids_from_1() -> None:
    """Storm's word count: `__acker` 1, `count` 2-13, `split` 14-21, `spout` 22-26."""
    components = (
        component("spout", 5),
        component("split", 8),
        component("__acker", 1),
        component("count", 12),
    )
    found = first_task_ids(Topology("words", components))
    assert list(found) == ["__acker", "count", "split", "spout"]
    assert found["__acker"] == (1,)
    assert found["count"] == tuple(range(2, 14))
    assert found["split"] == tuple(range(14, 22))
    assert found["spout"] == tuple(range(22, 27))


def test_s01_phantoms_take_numbers_and_are_no_components() -> None:
    topology = Topology(
        "words",
        (component("spout", 5), component("A", 2), component("count", 12), component("split", 8)),
        phantoms={"__acker": 1, "__metrics_x": 2},
    )
    found = first_task_ids(topology)
    assert list(found) == ["A", "count", "split", "spout"]
    assert (found["A"], found["count"], found["spout"][-1]) == ((1, 2), tuple(range(6, 18)), 30)
    assert phantom_task_ids(topology) == {"__acker": (3,), "__metrics_x": (4, 5)}


def test_s01_ids_sort_as_text_by_code_point() -> None:
    components = (component("b", 1), component("a10", 1), component("a9", 1), component("B", 1))
    found = first_task_ids(Topology("t", components))
    assert found == {"B": (1,), "a10": (2,), "a9": (3,), "b": (4,)}


def test_s02_tasks_default_to_parallelism_and_may_exceed_it() -> None:
    found = first_task_ids(Topology("t", (component("a", 2), component("b", 2, tasks=5))))
    assert found == {"a": (1, 2), "b": (3, 4, 5, 6, 7)}


def test_s02_executors_split_tasks_like_partition_fixed() -> None:
    """The examples of Storm's Utils.partitionFixed."""
    assert split_into_executors([1, 2, 3], 5) == ((1,), (2,), (3,))
    assert split_into_executors(range(1, 10), 5) == ((1, 2), (3, 4), (5, 6), (7, 8), (9,))
    assert split_into_executors(range(1, 11), 3) == ((1, 2, 3, 4), (5, 6, 7), (8, 9, 10))


@given(st.integers(1, 60), st.integers(1, 60))
def test_executors_are_contiguous_and_even(task_count: int, executor_count: int) -> None:
    tasks = tuple(range(7, 7 + task_count))
    executors = split_into_executors(tasks, executor_count)
    assert len(executors) == min(task_count, executor_count)
    assert tuple(task for executor in executors for task in executor) == tasks
    sizes = [len(executor) for executor in executors]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1


def test_added_tasks_get_higher_ids_and_removed_ones_are_the_highest() -> None:
    current = {"a": (1, 2), "b": (3, 4, 5), "c": (6,)}
    found = changed_task_ids(current, {"a": 4, "b": 1}, highest_used=6)
    assert found == {"a": (1, 2, 7, 8), "b": (3,), "c": (6,)}


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(1, 6)), max_size=6))
def test_no_task_id_is_ever_given_twice(changes: list[dict[str, int]]) -> None:
    tasks = {"a": (1,), "b": (2, 3), "c": (4,)}
    highest = 4
    owners = {task: name for name, ids in tasks.items() for task in ids}
    for counts in changes:
        before = tasks
        tasks = changed_task_ids(before, counts, highest)
        for name, ids in tasks.items():
            assert len(ids) == counts.get(name, len(before[name]))
            assert list(ids) == sorted(set(ids))
            kept = min(len(ids), len(before[name]))
            assert ids[:kept] == before[name][:kept]
            for task in ids[kept:]:
                assert task not in owners
                owners[task] = name
        highest = max(owners)
