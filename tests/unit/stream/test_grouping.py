"""Grouping rules against Storm's definitions (semantics 10 to 18)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.plan.topology import Grouping, GroupingKind
from heronshim.core.stream import grouping as module
from heronshim.core.stream.field_hash import MEMO_LENGTH_MAX, task_index, value_hash
from heronshim.core.stream.grouping import (
    ConstantChooser,
    CycleChooser,
    FieldsChooser,
    make_chooser,
    partial_key_candidates,
)
from heronshim.errors import LocalProtocolError

VECTORS = Path(__file__).parents[2] / "vectors" / "field_hash.json"
STREAM = ("user", "word", "count")
task_sets = st.sets(st.integers(1, 200), min_size=1, max_size=12)
texts = st.sampled_from(["a", "b", "the", "of", "\u65e5\u672c", ""])


def chooser(kind: GroupingKind, tasks: set[int], *fields: str, seed: int = 1, **more):
    return make_chooser(Grouping(kind, fields), STREAM, tasks, rng=Random(seed), **more)


@given(task_sets, st.integers(0, 60), st.integers())
def test_s10_shuffle_is_a_permutation_cycle(tasks: set[int], count: int, seed: int) -> None:
    choose = chooser(GroupingKind.SHUFFLE, tasks, seed=seed)
    got = [choose(()) for _ in range(count + len(tasks))]
    assert all(len(one) == 1 for one in got)
    assert {task for (task,) in got} == tasks
    shares = Counter(task for (task,) in got[count:])
    assert set(shares.values()) == {1}
    assert got[len(tasks) :] == got[:count]


def test_s10_shuffle_order_is_random() -> None:
    orders = set()
    for seed in range(50):
        choose = chooser(GroupingKind.SHUFFLE, {1, 2, 3}, seed=seed)
        orders.add(tuple(choose(()) for _ in range(3)))
    assert len(orders) == 6


@given(task_sets, texts)
def test_s11_one_field_goes_to_storms_task(tasks: set[int], word: str) -> None:
    choose = chooser(GroupingKind.FIELDS, tasks, "word")
    expected = (sorted(tasks)[task_index([word], len(tasks))],)
    assert [choose(["u", word, 1]) for _ in range(3)] == [expected] * 3
    assert chooser(GroupingKind.FIELDS, tasks, "word")((None, word, None)) == expected


@given(task_sets, texts, texts)
def test_s11_several_fields_hash_in_the_groupings_order(
    tasks: set[int], user: str, word: str
) -> None:
    choose = chooser(GroupingKind.FIELDS, tasks, "word", "user")
    expected = (sorted(tasks)[task_index([word, user], len(tasks))],)
    assert choose([user, word, 9]) == choose([user, word, 8]) == expected


@given(st.lists(st.one_of(texts, st.integers(), st.booleans(), st.floats(), st.binary())))
def test_s11_memo_never_mixes_types(values: list) -> None:
    tasks = (3, 5, 8, 9)
    choose = chooser(GroupingKind.FIELDS, set(tasks), "user")
    assert isinstance(choose, FieldsChooser)
    for value in [*values, *values]:
        assert choose([value]) == (tasks[task_index([value], 4)],)
        if type(value) is str:
            assert choose.memo[value] == choose([value])
    assert all(type(key) is str for key in choose.memo)


def test_s11_derived_text_goes_where_its_text_goes() -> None:
    class Loud(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = str.__hash__

    choose = chooser(GroupingKind.FIELDS, set(range(1, 100)), "user")
    assert choose([Loud("the")]) == choose(["the"])
    assert choose.index == 0
    assert [type(key) for key in choose.memo] == [str]


def test_memo_is_bounded_in_entries_and_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMO_ENTRIES_MAX", 10)
    choose = chooser(GroupingKind.FIELDS, {1, 2, 3}, "user")
    sizes = []
    for number in range(100):
        assert choose([str(number)]) == (1 + task_index([str(number)], 3),)
        sizes.append(len(choose.memo))
    assert max(sizes) == 10
    choose.memo.clear()
    assert choose(["x" * (MEMO_LENGTH_MAX + 1)]) == choose(["x" * (MEMO_LENGTH_MAX + 1)])
    assert not choose.memo


@given(task_sets)
def test_s12_global_goes_to_the_lowest_task(tasks: set[int]) -> None:
    assert chooser(GroupingKind.GLOBAL, tasks)(["x"]) == (min(tasks),)


@given(task_sets)
def test_s13_all_goes_to_every_task_in_order(tasks: set[int]) -> None:
    assert chooser(GroupingKind.ALL, tasks)(["x"]) == tuple(sorted(tasks))


def test_s14_none_is_uniform() -> None:
    choose = chooser(GroupingKind.NONE, {4, 6, 7})
    shares = Counter(choose(()) for _ in range(9000))
    assert set(shares) == {(4,), (6,), (7,)}
    assert min(shares.values()) > 2700, "five standard deviations below a third is 2776"


def test_s15_direct_refuses_a_regular_emit() -> None:
    with pytest.raises(ValueError, match="use emit_direct with the receiving task"):
        chooser(GroupingKind.DIRECT, {1, 2})(["x"])


@given(task_sets, st.sets(st.integers(1, 200)))
def test_s16_local_or_shuffle_keeps_to_local_tasks_if_any(tasks: set[int], local: set[int]) -> None:
    choose = chooser(GroupingKind.LOCAL_OR_SHUFFLE, tasks, local_tasks=local)
    expected = (tasks & local) or tasks
    assert Counter(choose(()) for _ in range(3 * len(expected))) == {
        (task,): 3 for task in expected
    }


def test_s17_candidates_are_storms() -> None:
    compared = 0
    for vector in json.loads(VECTORS.read_text())["partial_key"]:
        numbers = [item for item in vector["values"]["value"] if item["class"] == "Long"]
        if len(numbers) != len(vector["values"]["value"]):
            continue
        hashes = [value_hash(int(item["value"])) for item in numbers]
        for count, pair in vector["candidates"].items():
            assert list(partial_key_candidates(hashes, int(count))) == pair
            compared += 1
    assert compared > 100


@given(task_sets, st.lists(st.tuples(texts, texts), max_size=60))
def test_s17_partial_key_takes_the_less_used_of_two(
    tasks: set[int], rows: list[tuple[str, str]]
) -> None:
    choose = chooser(GroupingKind.PARTIAL_KEY, tasks, "user", "word")
    ordered = sorted(tasks)
    used = dict.fromkeys(ordered, 0)
    for row in rows:
        first, second = (
            ordered[position]
            for position in partial_key_candidates(
                [value_hash(row[0]), value_hash(row[1])], len(tasks)
            )
        )
        assert first != second or len(tasks) == 1
        expected = second if used[second] < used[first] else first
        assert choose(row) == (expected,)
        used[expected] += 1


def test_s17_a_hot_key_is_split_evenly_over_two_tasks() -> None:
    choose = chooser(GroupingKind.PARTIAL_KEY, set(range(1, 11)), "word")
    shares = Counter(choose(["u", "hot"]) for _ in range(1000))
    assert sorted(shares.values()) == [500, 500]


def test_s18_custom_may_choose_none_one_or_several() -> None:
    answers = iter([[], [7], (9, 7), {9}, (task for task in (7, 9)), [7.0]])
    choose = chooser(GroupingKind.CUSTOM, {7, 9}, custom=lambda values: next(answers))
    got = [choose(["x"]) for _ in range(6)]
    assert got == [(), (7,), (9, 7), (9,), (7, 9), (7,)]
    assert all(type(task) is int for tasks in got for task in tasks)


@pytest.mark.parametrize("answer", [[8], None, 7, [[7]], ["7"], [None]])
def test_s18_custom_is_held_to_its_targets(answer: object) -> None:
    grouping = Grouping(GroupingKind.CUSTOM, object="app.rules:Rule")
    choose = make_chooser(grouping, STREAM, {7, 9}, rng=Random(1), custom=lambda values: answer)
    with pytest.raises(ValueError, match=r'"app.rules:Rule" returned .* target tasks 7, 9'):
        choose(["x"])


def test_s18_an_error_of_the_authors_rule_reaches_the_caller_unchanged() -> None:
    def rule(values):
        yield 7
        raise TypeError("the author's own")

    choose = chooser(GroupingKind.CUSTOM, {7}, custom=rule)
    with pytest.raises(TypeError, match="the author's own"):
        choose(["x"])


@pytest.mark.parametrize(
    "kind",
    [kind for kind in GroupingKind if kind not in (GroupingKind.DIRECT, GroupingKind.CUSTOM)],
)
def test_a_single_target_always_gets_it(kind: GroupingKind) -> None:
    choose = chooser(kind, {5}, "word")
    assert isinstance(choose, ConstantChooser)
    assert choose(["u", "w", 1]) == choose.tasks == (5,)


def test_the_hooks_for_inlining_choose_as_the_call_does() -> None:
    shuffle = chooser(GroupingKind.SHUFFLE, {1, 2, 3}, seed=4)
    twin = chooser(GroupingKind.SHUFFLE, {1, 2, 3}, seed=4)
    assert isinstance(shuffle, CycleChooser)
    assert [shuffle.advance() for _ in range(7)] == [twin(()) for _ in range(7)]


@pytest.mark.parametrize(
    ("grouping", "tasks", "expected"),
    [
        (Grouping(GroupingKind.SHUFFLE), (), "no target task"),
        (Grouping(GroupingKind.FIELDS), (1,), r"fields \[\] does not fit"),
        (Grouping(GroupingKind.PARTIAL_KEY, ("wrd",)), (1,), "wrd"),
        (Grouping(GroupingKind.CUSTOM, object="a:B"), (1,), '"a:B" was not loaded'),
    ],
)
def test_what_validation_excludes_is_our_bug(
    grouping: Grouping, tasks: tuple[int, ...], expected: str
) -> None:
    with pytest.raises(LocalProtocolError, match=expected):
        make_chooser(grouping, STREAM, tasks, rng=Random(1))
