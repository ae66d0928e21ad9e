"""Where the streams of one task go: one route a stream, made when the task opens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heronshim.api.components import CustomGrouping
from heronshim.core.plan.topology import GroupingKind
from heronshim.core.stream.grouping import ConstantChooser, FieldsChooser, make_chooser
from heronshim.errors import TopologyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from random import Random

    from heronshim.api.context import Context
    from heronshim.core.plan.physical import PhysicalPlan
    from heronshim.core.plan.topology import Component, InputStream, OutputStream
    from heronshim.core.stream.grouping import Chooser

_ONE_COPY = frozenset(
    {
        GroupingKind.SHUFFLE, GroupingKind.FIELDS, GroupingKind.GLOBAL, GroupingKind.NONE,
        GroupingKind.LOCAL_OR_SHUFFLE, GroupingKind.PARTIAL_KEY,
    }
)  # fmt: skip
"""Groupings that give exactly one task."""


@dataclass(frozen=True, slots=True)
class Route:
    """One stream of one emitting task."""

    stream: str
    fields: tuple[str, ...]
    direct: bool
    choose: Callable[[Sequence[Any]], tuple[int, ...]]
    """Tasks of all consumers, in the order of consumer ids."""
    single: bool
    """Whether each tuple goes to exactly one task: one consumer, a grouping of one copy."""
    constant: tuple[int, ...] | None
    """The tasks when they are the same for every tuple and `single`."""
    key_index: int | None
    """Position of the only field that chooses the task, when `single`."""
    ordered: bool
    """Whether a consumer takes other streams of this component too: their order is kept."""
    direct_tasks: frozenset[int]
    """Tasks that subscribe with direct grouping."""

    @property
    def short(self) -> bool:
        """Whether emits may take the short path: one copy, whose batch is its target's only one."""
        return self.single and not self.ordered


def make_routes(
    plan: PhysicalPlan,
    context: Context,
    rng: Random,
    load: Callable[[str, Mapping[str, object]], object],
) -> dict[str, Route]:
    """Return the routes of one task: stream -> route."""
    component = plan.topology.component(context.component_id)
    return {output.id: _route(plan, context, output, rng, load) for output in component.outputs}


def _route(
    plan: PhysicalPlan,
    context: Context,
    output: OutputStream,
    rng: Random,
    load: Callable[[str, Mapping[str, object]], object],
) -> Route:
    consumers = plan.topology.consumers(context.component_id, output.id)
    direct = {
        task
        for consumer, item in consumers
        if item.grouping.kind is GroupingKind.DIRECT
        for task in context.component_tasks[consumer.id]
    }
    choosers = [
        _chooser(context, output, consumer.id, item, rng, load)
        for consumer, item in consumers
        if item.grouping.kind is not GroupingKind.DIRECT
    ]
    kinds = [item.grouping.kind for _, item in consumers]
    single = len(kinds) == 1 and kinds[0] in _ONE_COPY
    only = choosers[0] if single else None
    return Route(
        output.id,
        output.fields,
        output.direct,
        only or _together(choosers),
        single,
        only.tasks if isinstance(only, ConstantChooser) else None,
        only.index if isinstance(only, FieldsChooser) else None,
        any(_takes_several(consumer, context.component_id) for consumer, _ in consumers),
        frozenset(direct),
    )


def _takes_several(consumer: Component, source: str) -> bool:
    return sum(item.component == source for item in consumer.inputs) > 1


def _chooser(
    context: Context,
    output: OutputStream,
    consumer: str,
    item: InputStream,
    rng: Random,
    load: Callable[[str, Mapping[str, object]], object],
) -> Chooser:
    tasks = context.component_tasks[consumer]
    rule = None
    if item.grouping.kind is GroupingKind.CUSTOM:
        custom = load(item.grouping.object, item.grouping.arguments)
        if not isinstance(custom, CustomGrouping):
            raise TopologyError([f'"{consumer}": {item.grouping.object} is not a CustomGrouping'])
        custom.prepare(context, context.component_id, output.id, tasks)
        rule = custom.choose_tasks
    return make_chooser(
        item.grouping,
        output.fields,
        tasks,
        rng=rng,
        local_tasks=context.container_tasks,
        custom=rule,
    )


def _together(choosers: list[Chooser]) -> Chooser:
    """Join the choices of several consumers."""
    if len(choosers) == 1:
        return choosers[0]

    def choose(values: Sequence[Any]) -> tuple[int, ...]:
        return tuple([task for chooser in choosers for task in chooser(values)])

    return choose
