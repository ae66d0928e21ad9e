"""Packing and repacking: everything placed once, limits kept, and what stays does not move."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heronshim.config import MIB
from heronshim.core.plan.first_fit import FirstFitDecreasingPacking
from heronshim.core.plan.physical import PackingPlan, Resources
from heronshim.core.plan.resource_compliant import ResourceCompliantPacking
from heronshim.core.plan.resources import OVERHEAD
from heronshim.core.plan.round_robin import RoundRobinPacking
from heronshim.core.plan.task_ids import TASK_ID_MAX, first_task_ids
from heronshim.core.plan.topology import Component, ComponentKind, Topology
from heronshim.core.spi import registry
from heronshim.errors import ConfigError

ALGORITHMS = {
    "round_robin": RoundRobinPacking,
    "resource_compliant": ResourceCompliantPacking,
    "first_fit_decreasing": FirstFitDecreasingPacking,
}
every_algorithm = pytest.mark.parametrize("name", ALGORITHMS)


def component(component_id: str, parallelism: int = 1, tasks: int | None = None, **options):
    return Component(
        component_id,
        ComponentKind.BOLT,
        "m:C",
        parallelism=parallelism,
        tasks=tasks,
        options=options,
    )


def topology(*components: Component, **options) -> Topology:
    return Topology("words", components, options=options)


def places(plan: PackingPlan) -> dict[int, tuple[str, int]]:
    """Return (component, container) of each task."""
    return {
        task: (process.component, container.id)
        for container in plan.containers
        for process in container.processes
        for task in process.tasks
    }


def executors(plan: PackingPlan) -> dict[tuple[int, ...], int]:
    """Return the container of each executor."""
    return {
        executor: container.id
        for container in plan.containers
        for process in container.processes
        for executor in process.executors
    }


def check(plan: PackingPlan, declared: Topology) -> None:
    """Check what holds for every plan."""
    ids = [container.id for container in plan.containers]
    assert ids == sorted(set(ids))
    assert ids[0] >= 1
    processes = [process for container in plan.containers for process in container.processes]
    assert len({process.id for process in processes}) == len(processes)
    tasks = [task for process in processes for task in process.tasks]
    assert len(set(tasks)) == len(tasks)
    assert plan.highest_task >= max(tasks)
    options = {item.id: item.options for item in declared.components}
    for process in processes:
        assert process.id == f"{process.component}-{process.tasks[0]}"
        assert process.tasks == tuple(task for executor in process.executors for task in executor)
        one = options[process.component].get("process", "executor") == "executor"
        assert len(process.executors) == 1 or not one
        each = options[process.component].get("ram_mb", 1024)
        assert process.required.ram_bytes == len(process.executors) * each * MIB
    for container in plan.containers:
        assert container.processes
        used = sum((process.required for process in container.processes), OVERHEAD)
        padding = declared.options.get("container_padding_percent", 10)
        expected = used.ram_bytes * (1 + padding / 100)
        assert container.required.ram_bytes == pytest.approx(expected, abs=2)
        assert container.required.cpu == pytest.approx(used.cpu * (1 + padding / 100), abs=1e-3)


components_of = st.lists(
    st.builds(
        lambda parallelism, more, ram, cpu, process: {
            "parallelism": parallelism,
            "tasks": parallelism + more,
            "ram_mb": ram,
            "cpu": cpu,
            "process": process,
        },
        st.integers(1, 5),
        st.integers(0, 3),
        st.sampled_from([100, 1024, 3000]),
        st.sampled_from([0.1, 0.3, 1, 2]),
        st.sampled_from(["executor", "container"]),
    ),
    min_size=1,
    max_size=5,
)


def build(rows: list[dict], **options) -> Topology:
    return topology(*(component("abcde"[i], **row) for i, row in enumerate(rows)), **options)


@every_algorithm
def test_numbers_of_phantoms_are_not_given_to_added_tasks(name: str) -> None:
    declared = replace(topology(component("A"), component("B")), phantoms={"__acker": 3})
    plan = ALGORITHMS[name]().pack(declared)
    check(plan, declared)
    assert plan.highest_task == 5


@every_algorithm
def test_the_entry_point_is_the_class_and_the_plan_names_it(name: str) -> None:
    assert registry.load(registry.PACKINGS, name) is ALGORITHMS[name]
    plan = ALGORITHMS[name]().pack(topology(component("a")))
    assert (plan.algorithm, plan.version, plan.highest_task) == (name, 1, 1)


@given(components_of, st.integers(1, 4), st.sampled_from(list(ALGORITHMS)))
def test_every_task_is_placed_once(rows: list[dict], containers: int, name: str) -> None:
    declared = build(rows)
    count = min(containers, sum(row["parallelism"] for row in rows))
    declared = replace(declared, options={"containers": count})
    plan = ALGORITHMS[name]().pack(declared)
    check(plan, declared)
    expected = {task: item for item, tasks in first_task_ids(declared).items() for task in tasks}
    assert {task: item for task, (item, _) in places(plan).items()} == expected
    if name != "first_fit_decreasing":
        assert len(plan.containers) == count
        sizes = [
            sum(len(process.executors) for process in container.processes)
            for container in plan.containers
        ]
        assert max(sizes) - min(sizes) <= 1
    assert ALGORITHMS[name]().pack(declared) == plan


@given(components_of, st.sampled_from(["resource_compliant", "first_fit_decreasing"]))
def test_limits_are_kept_by_opening_containers(rows: list[dict], name: str) -> None:
    limits = {"container_cpu": 4.5, "container_ram_mb": 4000, "container_disk_mb": 6000}
    declared = build(rows, **limits)
    plan = ALGORITHMS[name]().pack(declared)
    check(plan, declared)
    limit = Resources(4.5, 4000 * MIB, 6000 * MIB)
    assert all(container.required.fits(limit) for container in plan.containers)


@given(
    components_of,
    st.lists(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 8)), max_size=4),
    st.sampled_from(list(ALGORITHMS)),
)
def test_repacking_moves_nothing_that_stays(
    rows: list[dict], changes: list[dict[str, int]], name: str
) -> None:
    declared = build(rows)
    packing = ALGORITHMS[name]()
    plan = packing.pack(declared)
    ever = places(plan)
    for change in changes:
        counts = {item: count for item, count in change.items() if item <= "abcde"[len(rows) - 1]}
        before, old = places(plan), plan
        plan = packing.repack(declared, plan, counts)
        check(plan, declared)
        assert plan.version == old.version + 1
        after = places(plan)
        for item in "abcde"[: len(rows)]:
            was = sorted(task for task, (owner, _) in before.items() if owner == item)
            now = sorted(task for task, (owner, _) in after.items() if owner == item)
            assert len(now) == counts.get(item, len(was))
            kept = min(len(was), len(now))
            assert now[:kept] == was[:kept]
        for task in before.keys() & after.keys():
            assert after[task] == before[task]
        for task in after.keys() - before.keys():
            assert task not in ever
        for executor, container in executors(old).items():
            left = tuple(task for task in executor if task in after)
            assert not left or executors(plan)[left] == container
        ever |= after


def test_round_robin_deals_by_component_and_task() -> None:
    """Heron's example: container 1 holds tasks 1 and 3, container 2 task 2."""
    plan = RoundRobinPacking().pack(
        topology(component("sentence", 2), component("count", 1), containers=2)
    )
    assert executors(plan) == {(1,): 1, (2,): 2, (3,): 1}
    assert [process.id for process in plan.containers[0].processes] == ["count-1", "sentence-3"]


def test_first_fit_decreasing_takes_the_largest_first() -> None:
    declared = topology(
        component("a", 3, ram_mb=500),
        component("b", 2, ram_mb=2000),
        container_ram_mb=3100,
        container_padding_percent=0,
    )
    plan = FirstFitDecreasingPacking().pack(declared)
    assert executors(plan) == {(4,): 1, (5,): 2, (1,): 1, (2,): 2, (3,): 3}


def test_first_fit_without_a_limit_holds_four_default_executors() -> None:
    plan = FirstFitDecreasingPacking().pack(topology(component("a", 9)))
    assert [len(container.processes) for container in plan.containers] == [4, 4, 1]


def test_process_container_puts_all_executors_of_a_container_into_one_process() -> None:
    plan = RoundRobinPacking().pack(
        topology(component("a", 2, tasks=3, process="container"), component("b", 2), containers=1)
    )
    (container,) = plan.containers
    assert [(process.id, process.executors) for process in container.processes] == [
        ("a-1", ((1, 2), (3,))),
        ("b-4", ((4,),)),
        ("b-5", ((5,),)),
    ]
    assert container.processes[0].required == Resources(2.0, 2048 * MIB, 2048 * MIB)


def test_a_container_needs_its_processes_its_overhead_and_padding() -> None:
    plan = RoundRobinPacking().pack(
        topology(component("a", cpu=0.5, ram_mb=200, disk_mb=10), container_padding_percent=50)
    )
    assert plan.containers[0].required == Resources(
        2.4, (200 + 256 + 128) * MIB * 3 // 2, (10 + 1024) * MIB * 3 // 2
    )


def test_fractions_of_cores_that_just_fit_do_fit() -> None:
    declared = topology(component("a", 3, cpu=0.1), container_cpu=1.4, container_padding_percent=0)
    assert len(RoundRobinPacking().pack(declared).containers) == 1


@pytest.mark.parametrize("name", ["round_robin", "resource_compliant"])
def test_more_containers_than_executors_is_refused(name: str) -> None:
    expected = (
        'option "containers" is 3, but topology "words" has 2 executors '
        r"\(the sum of parallelism\); set it to at most 2"
    )
    with pytest.raises(ConfigError, match=expected):
        ALGORITHMS[name]().pack(topology(component("a", 2, tasks=8), containers=3))


@every_algorithm
def test_an_executor_too_large_for_any_container_is_refused_with_numbers(name: str) -> None:
    declared = topology(
        component("a", ram_mb=1000), component("b", ram_mb=100), container_ram_mb=1500
    )
    expected = (
        'component "a": a container with one executor of it needs 1522.4 MB of memory '
        "(container_ram_mb is 1500), with stream manager, metrics manager and 10 % padding; raise "
        "the limit or lower what the component asks for"
    )
    with pytest.raises(ConfigError) as caught:
        ALGORITHMS[name]().pack(declared)
    assert str(caught.value) == expected


def test_first_fit_says_where_its_default_limit_comes_from() -> None:
    with pytest.raises(ConfigError, match=r"with no container_. option first_fit_decreasing lets"):
        FirstFitDecreasingPacking().pack(topology(component("a", ram_mb=9000)))


def test_round_robin_refuses_a_container_above_a_limit_with_numbers() -> None:
    declared = topology(component("a", 3), component("b", 1), containers=2, container_cpu=3)
    with pytest.raises(ConfigError) as caught:
        RoundRobinPacking().pack(declared)
    assert str(caught.value).splitlines() == [
        f"container {number} of 2 would need 3.41 cores (container_cpu is 3), with stream "
        "manager, metrics manager and 10 % padding"
        for number in (1, 2)
    ] + ['raise the limit or "containers", or use packing resource_compliant']


def test_repacking_round_robin_refuses_when_no_container_has_room() -> None:
    declared = topology(component("a", 2), containers=2, container_cpu=2.5)
    packing = RoundRobinPacking()
    plan = packing.pack(declared)
    with pytest.raises(ConfigError, match=r"container 1 would need 3\.41 cores") as caught:
        packing.repack(declared, plan, {"a": 3})
    assert "raise the limit" in str(caught.value)


@pytest.mark.parametrize("name", ["resource_compliant", "first_fit_decreasing"])
def test_repacking_opens_a_container_when_none_has_room(name: str) -> None:
    declared = topology(component("a", 2), containers=2, container_cpu=2.5)
    packing = ALGORITHMS[name]()
    plan = packing.repack(declared, packing.pack(declared), {"a": 3})
    assert executors(plan) == {(1,): 1, (2,): 2, (3,): 3}


def test_repacking_adds_executors_as_large_as_at_the_start() -> None:
    declared = topology(component("a", 2, tasks=4), containers=1)
    packing = RoundRobinPacking()
    plan = packing.repack(declared, packing.pack(declared), {"a": 7})
    assert list(executors(plan)) == [(1, 2), (3, 4), (5, 6), (7,)]


def test_a_container_left_empty_goes_and_its_task_ids_are_not_used_again() -> None:
    declared = topology(component("a", 3), containers=3)
    packing = RoundRobinPacking()
    plan = packing.repack(declared, packing.pack(declared), {"a": 1})
    assert [container.id for container in plan.containers] == [1]
    plan = packing.repack(declared, plan, {"a": 2})
    assert executors(plan) == {(1,): 1, (4,): 1}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"splt": 2}, 'unknown component "splt". Did you mean "split"?'),
        ({"split": 0}, 'component "split" needs at least 1 task, not 0'),
        ({"split": TASK_ID_MAX + 1}, "task id 65536 would be needed; at most 65535 are possible"),
    ],
)
def test_wrong_task_counts_are_refused(counts: dict[str, int], expected: str) -> None:
    declared = topology(component("split"))
    packing = RoundRobinPacking()
    with pytest.raises(ConfigError) as caught:
        packing.repack(declared, packing.pack(declared), counts)
    assert str(caught.value).startswith(expected)


def test_a_plan_of_another_topology_is_refused() -> None:
    packing = RoundRobinPacking()
    plan = packing.pack(topology(component("a"), component("b")))
    with pytest.raises(ConfigError, match='"b" is in the packing plan but not in topology "words"'):
        packing.repack(topology(component("a")), plan, {})


@every_algorithm
def test_wrong_options_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="containers"):
        ALGORITHMS[name]().pack(topology(component("a"), container=1))
