"""Who may connect to a stream manager, and for which tasks each may send."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heronshim.core.plan.topology import METRICSMGR_TASK
from heronshim.core.stream.link import Hello, Role
from heronshim.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping


def sources_of(hello: Hello, peer_tasks: Mapping[int, tuple[int, ...]]) -> frozenset[int] | None:
    """Return the tasks whose frames may come from whoever said this hello; None: not known yet.

    An instance sends those of its own tasks, another stream manager passes on those of its
    container; `peer_tasks` has them of each container of the plan but this one, which has no peer
    here, and is empty before the first plan.
    """
    if hello.role is Role.STMGR:
        return frozenset(peer_tasks.get(hello.container, ())) if peer_tasks else None
    return frozenset(hello.tasks)


def admit(
    hello: Hello, container: int, local: Mapping[str, tuple[int, ...]]
) -> tuple[ErrorCode, str] | None:
    """Judge a hello whose token is right: None, or why it is refused.

    An instance (`local` has the tasks of each) or metrics manager of this container, or a peer.
    """
    if hello.role is Role.INSTANCE:
        tasks = local.get(hello.process)
        if tasks is None:
            return ErrorCode.TASK, f'container {container} has no "{hello.process}"'
        if hello.tasks != tasks:
            return ErrorCode.TASK, f'"{hello.process}" has tasks {tasks}, not {hello.tasks}'
        return None
    if hello.role is Role.METRICSMGR and hello.tasks == (METRICSMGR_TASK,):
        fits = hello.process == f"metricsmgr-{container}"
    else:
        peer = f"stmgr-{hello.container}"
        fits = hello.role is Role.STMGR and not hello.tasks and hello.process == peer
    if fits:
        return None
    role = hello.role.name.lower()
    message = f'"{hello.process}", a {role} with {len(hello.tasks)} tasks, has no place here'
    return ErrorCode.TASK, message
