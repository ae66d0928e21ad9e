"""Physical plans of a few components, for tests of routing and of losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heronshim.core.plan.physical import (
    PhysicalContainer,
    PhysicalPlan,
    ProcessPlan,
    Resources,
    TopologyState,
)
from heronshim.core.plan.topology import (
    Component,
    ComponentKind,
    Grouping,
    GroupingKind,
    InputStream,
    OutputStream,
    Topology,
)

SHUFFLE = Grouping(GroupingKind.SHUFFLE)


def component(id_: str, sources: Sequence[str] = ()) -> Component:
    """Return a bolt, or a spout when it has no sources."""
    return Component(
        id_,
        ComponentKind.BOLT if sources else ComponentKind.SPOUT,
        "module:Class",
        inputs=tuple(InputStream(source, "default", SHUFFLE) for source in sources),
        outputs=(OutputStream("default", ("word",)),),
    )


def placed(
    edges: Mapping[str, Sequence[str]], containers: Sequence[Mapping[str, Sequence[int]]]
) -> PhysicalPlan:
    """Return a plan: `edges` gives the sources of each component, `containers` its tasks in each.

    Each task has a process of its own, named "<component>-<task>".
    """
    topology = Topology("t", tuple(component(id_, edges[id_]) for id_ in sorted(edges)), "t-1")
    return PhysicalPlan(
        1,
        1,
        topology,
        tuple(
            PhysicalContainer(
                number,
                "host",
                f"ipc://{number}",
                1,
                1,
                tuple(
                    ProcessPlan(f"{id_}-{task}", id_, ((task,),), Resources())
                    for id_, tasks in content.items()
                    for task in tasks
                ),
            )
            for number, content in enumerate(containers, 1)
        ),
        TopologyState.ACTIVE,
    )
