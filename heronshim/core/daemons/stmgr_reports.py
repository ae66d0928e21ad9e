"""What a stream manager tells its TMaster of itself."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from heronshim.core.codec.master import heartbeat_to_bytes, register_to_bytes
from heronshim.core.master.messages import StmgrHeartbeat, StmgrRegister
from heronshim.core.stream.link import Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from heronshim.core.io.child import ChildStart
    from heronshim.core.io.dealer_link import DealerLink
    from heronshim.core.io.router_links import InboundLink
    from heronshim.core.plan.physical import PhysicalPlan


def register_payload(start: ChildStart, plan: PhysicalPlan | None) -> bytes:
    """Return the payload of a register frame: who this is, and the plan it works by."""
    register = StmgrRegister(
        container=start.container,
        host=socket.gethostname(),
        peer_endpoint=start.endpoint,
        pid=os.getpid(),
        incarnation=start.incarnation,
        plan_epoch=plan.plan_epoch if plan else 0,
        leader_epoch=plan.leader_epoch if plan else 0,
    )
    return register_to_bytes(register)


def heartbeat_payload(
    container: int,
    plan: PhysicalPlan | None,
    inbound: Iterable[InboundLink],
    peers: Mapping[int, DealerLink],
    suspected: tuple[str, ...],
) -> bytes:
    """Return the payload of a heartbeat: who has joined here, and which peers are reached."""
    tasks = (
        task for link in inbound if link.hello.role is Role.INSTANCE for task in link.hello.tasks
    )
    beat = StmgrHeartbeat(
        container=container,
        plan_epoch=plan.plan_epoch if plan else 0,
        joined_tasks=tuple(sorted(tasks)),
        connected_containers=tuple(sorted(number for number, peer in peers.items() if peer.up)),
        suspected_processes=suspected,
    )
    return heartbeat_to_bytes(beat)
