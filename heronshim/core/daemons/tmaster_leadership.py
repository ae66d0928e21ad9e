"""How a TMaster's process becomes the leader, one at a time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import zmq

from heronshim.config import TopologyOptions, parse_options
from heronshim.core.io.event_file import EVENTS_FILE, append_event
from heronshim.core.io.heartbeats import Beat, HeartbeatWriter
from heronshim.core.io.logs import log_event, wall_ms
from heronshim.core.io.work_folder import container_folder
from heronshim.core.plan.records import TMasterLocation
from heronshim.core.spi.events import EventKind
from heronshim.core.stream.event_buffer import EventBuffer
from heronshim.errors import HeronshimError

if TYPE_CHECKING:
    from heronshim.core.io.child import ChildStart
    from heronshim.core.io.logs import StopRequest
    from heronshim.core.io.state_layout import TopologyNodes
    from heronshim.core.spi.state_manager import Leadership, StateManager

LEADER_RETRY_MS = 100
UNREADABLE_RETRY_MS = 1000
"""Between two looks at state that cannot be read: a person has to mend it."""


def wait_for_leadership(
    state: TopologyNodes, manager: StateManager, start: ChildStart, stop: StopRequest
) -> Leadership | None:
    """Block until this process is the leader; None when it was asked to stop before.

    While what submit wrote cannot be read this process waits and leads nothing: it would only
    end, and its supervisor start it again for ever. What is wrong is told once, in its log and in
    the container's history.
    """
    heartbeat = HeartbeatWriter(start.heartbeat)
    location = TMasterLocation(host=os.uname().nodename, endpoint=start.endpoint, pid=os.getpid())
    trouble = _Trouble(start)
    waiting = False
    poller = zmq.Poller()
    poller.register(stop.fileno(), zmq.POLLIN)
    while not stop.requested:
        heartbeat.write(Beat())
        try:
            manager.poll()
            parse_options(TopologyOptions, state.submitted().topology.options)
            leadership = state.become_tmaster(location)
        except HeronshimError as error:
            trouble.tell(error)
            poller.poll(UNREADABLE_RETRY_MS)
            continue
        if leadership is not None:
            log_event("INFO", "leader", epoch=leadership.epoch, endpoint=start.endpoint)
            return leadership
        if not waiting:
            waiting = True
            log_event("INFO", "leader_elsewhere", endpoint=start.endpoint)
        poller.poll(LEADER_RETRY_MS)
    return None


class _Trouble:
    """Tells why a TMaster cannot begin, each cause once until it changes."""

    def __init__(self, start: ChildStart) -> None:
        self._start = start
        self._events = container_folder(start.launch.work_dir, start.container) / EVENTS_FILE
        # The leader numbers its events from 1, so these must have another reporter.
        reporter = f"{start.process}-waiting"
        self._buffer = EventBuffer(reporter, start.container, start.incarnation, wall_ms)
        self._told = ""

    def tell(self, error: HeronshimError) -> None:
        """Say what is wrong and what to do."""
        if str(error) == self._told:
            return
        self._told = str(error)
        topology = self._start.launch.topology
        cause = (
            f"{error}. It waits until that is mended and then goes on by itself; or kill topology "
            f'"{topology}" and submit it again'
        )
        event = self._buffer.add(EventKind.TMASTER_WAITS, process=self._start.process, cause=cause)
        self._buffer.take()
        if event is not None:
            append_event(self._events, event)
        log_event("ERROR", "tmaster_waits", cause=cause)
