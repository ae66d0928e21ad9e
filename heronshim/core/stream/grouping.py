"""Grouping rules: which tasks of a consumer get a tuple. Storm's, chosen in the emitting task.

`make_chooser` returns a function of a tuple's values. Each returns one of a few tuples made once,
so that a choice allocates nothing. Where even the call is too dear, an emitting instance may use
what three of the classes expose: `ConstantChooser.tasks`, `CycleChooser.advance`, and
`FieldsChooser.index` with `FieldsChooser.memo`.

Sources: Storm 2.x GrouperFactory, ShuffleGrouping, FieldsGrouper, PartialKeyGrouping.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from heronshim.core.plan.topology import Grouping, GroupingKind
from heronshim.core.stream.field_hash import (
    MEMO_ENTRIES_MAX,
    MEMO_LENGTH_MAX,
    bytes_hash,
    task_index,
    value_hash,
)
from heronshim.errors import LocalProtocolError

if TYPE_CHECKING:
    from random import Random

Tasks = tuple[int, ...]
Chooser = Callable[[Sequence[Any]], Tasks]
"""From the values of a tuple to the tasks that get it, in the order of emit's result."""
CustomRule = Callable[[Sequence[Any]], Iterable[int]]
"""An author's rule: none, one or several of the target tasks."""


class ConstantChooser:
    """The same tasks for every tuple."""

    __slots__ = ("tasks",)

    def __init__(self, tasks: Tasks) -> None:
        self.tasks = tasks
        """What each call returns."""

    def __call__(self, values: Sequence[Any]) -> Tasks:
        """Return `tasks`."""
        return self.tasks


class CycleChooser:
    """One random order of the tasks, round and round: after any n tuples shares differ by <= 1."""

    __slots__ = ("advance",)

    def __init__(self, tasks: Tasks, rng: Random) -> None:
        order = [(task,) for task in tasks]
        rng.shuffle(order)
        self.advance: Callable[[], Tasks] = cycle(order).__next__
        """Return the next choice; the same as a call, without an argument."""

    def __call__(self, values: Sequence[Any]) -> Tasks:
        """Return the next task."""
        return self.advance()


Key = TypeVar("Key", bound=str | int | bytes)


class FieldsMemo(dict[Key, Tasks]):
    """The task of each value met so far; `memo[value]` works out what is missing.

    One memo holds values of one exact type and is asked for no other: a dict takes 1, True and
    1.0 for one key. At MEMO_ENTRIES_MAX values it is emptied, which costs one hash for each again.
    """

    __slots__ = ("_singles",)

    def __init__(self, tasks: Tasks) -> None:
        super().__init__()
        self._singles = [(task,) for task in tasks]

    def __missing__(self, value: Key) -> Tasks:
        """Return the task of a value that is not held, and hold it unless it is long."""
        chosen = self._singles[task_index((value,), len(self._singles))]
        if isinstance(value, int) or len(value) <= MEMO_LENGTH_MAX:
            if len(self) >= MEMO_ENTRIES_MAX:
                self.clear()
            self[value] = chosen
        return chosen


class FieldsChooser:
    """Fields grouping on one field: equal values go to one task.

    To save the call, an emitting instance may write

        value = values[chooser.index]
        tasks = chooser.memo[value] if type(value) is str else chooser(values)
    """

    __slots__ = ("_memos", "_singles", "index", "memo")

    def __init__(self, index: int, tasks: Tasks) -> None:
        self.index = index
        """Position of the field in the stream."""
        self.memo: FieldsMemo[str] = FieldsMemo(tasks)
        """Text to its task."""
        self._memos: dict[type, FieldsMemo[Any]] = {
            str: self.memo,
            int: FieldsMemo[int](tasks),
            bytes: FieldsMemo[bytes](tasks),
        }
        self._singles = [(task,) for task in tasks]

    def __call__(self, values: Sequence[Any]) -> Tasks:
        """Return the task of the field's value.

        Raises:
            ValueEncodingError: the value cannot be grouped by.
        """
        value = values[self.index]
        memo = self._memos.get(type(value))
        if memo is not None:
            return memo[value]
        return self._singles[task_index((value,), len(self._singles))]


def make_chooser(
    grouping: Grouping,
    stream_fields: Sequence[str],
    target_tasks: Collection[int],
    *,
    rng: Random,
    local_tasks: Collection[int] = (),
    custom: CustomRule | None = None,
) -> Chooser:
    """Return the rule of one consumer of one stream, for one emitting task.

    `target_tasks` are the consumer's, at least one, in any order; `stream_fields` the stream's;
    `local_tasks` those in the emitter's container, for local-or-shuffle; `custom` the author's
    rule for GroupingKind.CUSTOM. The chooser has state: make one for each emitting task.

    Raises:
        LocalProtocolError: the grouping does not fit the stream, which validation excludes.
    """
    tasks = tuple(sorted(target_tasks))
    if not tasks:
        msg = f"a {grouping.kind} grouping has no target task"
        raise LocalProtocolError(msg)
    match grouping.kind:
        case GroupingKind.SHUFFLE:
            return _cycle(tasks, rng)
        case GroupingKind.LOCAL_OR_SHUFFLE:
            near = tuple(task for task in tasks if task in local_tasks)
            return _cycle(near or tasks, rng)
        case GroupingKind.ALL:
            return ConstantChooser(tasks)
        case GroupingKind.GLOBAL:
            return ConstantChooser(tasks[:1])
        case GroupingKind.NONE:
            return _uniform(tasks, rng)
        case GroupingKind.FIELDS:
            return _fields(_positions(grouping, stream_fields), tasks)
        case GroupingKind.PARTIAL_KEY:
            return _partial_key(_positions(grouping, stream_fields), tasks)
        case GroupingKind.DIRECT:
            return _refuse_regular_emit
        case GroupingKind.CUSTOM:
            if custom is None:
                msg = f'the custom grouping "{grouping.object}" was not loaded'
                raise LocalProtocolError(msg)
            return _custom(custom, grouping.object, tasks)


def partial_key_candidates(key_hashes: Sequence[int], task_count: int) -> tuple[int, int]:
    """Return the positions of a key's two tasks among ascending task ids.

    `key_hashes` are the fields' hashes (int32). They are different unless there is one task only.
    Source: Storm's RandomTwoTaskAssignmentCreator, a java.util.Random seeded by the key.
    """
    # Storm seeds with Arrays.hashCode of the hashes written one after another, big-endian.
    key = b"".join([number.to_bytes(4, "big", signed=True) for number in key_hashes])
    state = (bytes_hash(key) ^ 0x5DEECE66D) & _STATE_MASK
    state, first = _next_below(state, task_count)
    _, second = _next_below(state, task_count)
    return first, (second + 1) % task_count if second == first else second


def _cycle(tasks: Tasks, rng: Random) -> Chooser:
    return CycleChooser(tasks, rng) if len(tasks) > 1 else ConstantChooser(tasks)


def _uniform(tasks: Tasks, rng: Random) -> Chooser:
    """Storm's none grouping: a uniformly random task for each tuple."""
    singles = [(task,) for task in tasks]
    count = len(singles)
    draw = rng.random

    def choose(values: Sequence[Any]) -> Tasks:
        return singles[int(draw() * count)]

    return choose if count > 1 else ConstantChooser(tasks)


def _fields(positions: list[int], tasks: Tasks) -> Chooser:
    if len(tasks) == 1:
        return ConstantChooser(tasks)
    if len(positions) == 1:
        return FieldsChooser(positions[0], tasks)
    singles = [(task,) for task in tasks]
    count = len(singles)

    def choose(values: Sequence[Any]) -> Tasks:
        return singles[task_index([values[position] for position in positions], count)]

    return choose


def _partial_key(positions: list[int], tasks: Tasks) -> Chooser:
    """Storm's partial-key grouping: of a key's two tasks the one that this emitter used less."""
    if len(tasks) == 1:
        return ConstantChooser(tasks)
    singles = [(task,) for task in tasks]
    count = len(singles)
    used = [0] * count
    candidates: dict[tuple[int, ...], tuple[int, int]] = {}

    def choose(values: Sequence[Any]) -> Tasks:
        hashes = tuple([value_hash(values[position]) for position in positions])
        pair = candidates.get(hashes)
        if pair is None:
            pair = partial_key_candidates(hashes, count)
            if len(candidates) >= MEMO_ENTRIES_MAX:
                candidates.clear()
            candidates[hashes] = pair
        first, second = pair
        chosen = first if used[first] <= used[second] else second
        used[chosen] += 1
        return singles[chosen]

    return choose


def _custom(rule: CustomRule, name: str, tasks: Tasks) -> Chooser:
    """An author's rule, held to its targets; equal numbers of other types become task ids."""
    known = {task: task for task in tasks}

    def wrong(result: object) -> ValueError:
        targets = ", ".join(map(str, tasks))
        return ValueError(
            f'the custom grouping "{name}" returned {result!r}; expected a list of some of its '
            f"target tasks {targets}"
        )

    def choose(values: Sequence[Any]) -> Tasks:
        result = rule(values)
        if not isinstance(result, Iterable):
            raise wrong(result)
        chosen = list(result)
        try:
            return tuple([known[task] for task in chosen])
        except (KeyError, TypeError):
            raise wrong(chosen) from None

    return choose


def _refuse_regular_emit(values: Sequence[Any]) -> NoReturn:
    msg = "emit cannot be used on a direct stream; use emit_direct with the receiving task"
    raise ValueError(msg)


def _positions(grouping: Grouping, stream_fields: Sequence[str]) -> list[int]:
    """Return the positions of the grouping's fields in the stream."""
    if not grouping.fields or not set(grouping.fields) <= set(stream_fields):
        msg = (
            f"a {grouping.kind} grouping by fields {list(grouping.fields)} does not fit a stream "
            f"with fields {list(stream_fields)}"
        )
        raise LocalProtocolError(msg)
    return [stream_fields.index(name) for name in grouping.fields]


_STATE_MASK = (1 << 48) - 1


def _next_below(state: int, bound: int) -> tuple[int, int]:
    """Return the next state and java.util.Random.nextInt(bound): see its specification."""
    while True:
        state = (state * 0x5DEECE66D + 0xB) & _STATE_MASK
        bits = state >> 17
        if bound & -bound == bound:
            return state, (bound * bits) >> 31
        number = bits % bound
        if bits - number + bound - 1 < 1 << 31:
            return state, number
