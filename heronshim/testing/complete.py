"""Runs a topology on given tuples until all are done: Storm's Testing.completeTopology."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from heronshim.api.components import Spout
from heronshim.config import TopologyOptions, parse_options
from heronshim.core.plan.topology import DEFAULT_STREAM, ComponentKind
from heronshim.errors import DeadlineError, NotFoundError, nearest
from heronshim.testing.local_topology import LocalTopology, as_definition
from heronshim.testing.tuples import FixedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heronshim.api.context import Context
    from heronshim.api.topology import Topology, TopologyBuilder
    from heronshim.core.plan.topology import Topology as Definition


class FixedTupleSpout(Spout):
    """Emits given tuples once, each with its position as message id (Storm's class)."""

    def __init__(self, tuples: Sequence[Sequence[Any]]) -> None:
        """`tuples` are pairs of stream and values."""
        self._tuples = tuples
        self._next = 0
        self.settled = 0
        """How many were acked or failed."""

    @property
    def completed(self) -> bool:
        """Whether every tuple was acked or failed."""
        return self.settled == len(self._tuples)

    def open(self, config: Mapping[str, Any], context: Context) -> None:
        """Keep the gauge that ends a run."""
        self._exhausted = context.gauge("source_exhausted")

    def next_tuple(self) -> None:
        """Emit the next tuple."""
        if self._next < len(self._tuples):
            stream, values = self._tuples[self._next]
            self._next += 1
            self.emit(values, id=self._next, stream=stream)
        else:
            self._exhausted.set(1)

    def ack(self, id: int) -> None:  # noqa: A002 - the name is the API's
        """One more is done."""
        self.settled += 1

    def fail(self, id: int) -> None:  # noqa: A002 - the name is the API's
        """One more is done."""
        self.settled += 1


def complete_topology(
    topology: Definition | type[Topology] | TopologyBuilder,
    mock_sources: Mapping[str, Sequence[FixedTuple | Sequence[Any]]],
    *,
    seed: int = 0,
    limit_s: float | None = None,
) -> LocalTopology:
    """Run a topology whose spouts emit given tuples; return it, closed, when all are done.

    `mock_sources` holds for each spout to be replaced what it emits: values for the default
    stream, or FixedTuple. A replaced spout has one task. All other spouts run as they are.

    Raises:
        NotFoundError: `mock_sources` names no spout of the topology.
        DeadlineError: after `limit_s` of virtual time (default: ten message timeouts) some tuple
            is neither acked nor failed.
        TopologyError: the topology is wrong.
    """
    definition = as_definition(topology)
    local = LocalTopology(_with_sources(definition, mock_sources), seed=seed)
    options = parse_options(TopologyOptions, definition.options)
    limit = 10 * options.message_timeout_s if limit_s is None else limit_s
    try:
        local.run_until_idle(limit)
        while not _completed(local, mock_sources):
            if local.now_s > limit:
                msg = f"after {limit:g} s of virtual time some tuples are neither acked nor failed"
                raise DeadlineError(msg)
            local.run_for(min(1.0, limit / 10))
    finally:
        local.close()
    return local


def read_tuples(
    completed: LocalTopology, component: str, stream: str = DEFAULT_STREAM
) -> list[list[Any]]:
    """Return the values that a component emitted on a stream, in order (Storm's readTuples)."""
    return completed.emitted(component, stream)


def _with_sources(
    definition: Definition, sources: Mapping[str, Sequence[FixedTuple | Sequence[Any]]]
) -> Definition:
    spouts = [item.id for item in definition.components if item.kind is ComponentKind.SPOUT]
    for name in sources:
        if name not in spouts:
            known = ", ".join(spouts)
            msg = f'there is no spout "{name}"; known: {known}.{nearest(name, spouts)}'
            raise NotFoundError(msg)
    return replace(
        definition,
        components=tuple(
            replace(
                item,
                object=f"{__name__}:{FixedTupleSpout.__name__}",
                arguments={"tuples": [_pair(given) for given in sources[item.id]]},
                parallelism=1,
                tasks=None,
            )
            if item.id in sources
            else item
            for item in definition.components
        ),
    )


def _pair(given: FixedTuple | Sequence[Any]) -> list[Any]:
    if isinstance(given, FixedTuple):
        return [given.stream, list(given.values)]
    return [DEFAULT_STREAM, list(given)]


def _completed(local: LocalTopology, sources: Mapping[str, object]) -> bool:
    return all(spout.completed for name in sources for spout in local.objects(name))
