"""How a TMaster's process becomes the leader, one at a time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import zmq

from heronshim.core.io.heartbeats import Beat, HeartbeatWriter
from heronshim.core.io.logs import log_event
from heronshim.core.plan.records import TMasterLocation

if TYPE_CHECKING:
    from heronshim.core.io.child import ChildStart
    from heronshim.core.io.logs import StopRequest
    from heronshim.core.io.state_layout import TopologyNodes
    from heronshim.core.spi.state_manager import Leadership, StateManager

LEADER_RETRY_MS = 100


def wait_for_leadership(
    state: TopologyNodes, manager: StateManager, start: ChildStart, stop: StopRequest
) -> Leadership | None:
    """Block until this process is the leader; None when it was asked to stop before."""
    heartbeat = HeartbeatWriter(start.heartbeat)
    location = TMasterLocation(host=os.uname().nodename, endpoint=start.endpoint, pid=os.getpid())
    waiting = False
    poller = zmq.Poller()
    poller.register(stop.fileno(), zmq.POLLIN)
    while not stop.requested:
        heartbeat.write(Beat())
        leadership = state.become_tmaster(location)
        if leadership is not None:
            log_event("INFO", "leader", epoch=leadership.epoch, endpoint=start.endpoint)
            return leadership
        if not waiting:
            waiting = True
            log_event("INFO", "leader_elsewhere", location=state.tmaster())
        poller.poll(LEADER_RETRY_MS)
        manager.poll()
    return None
