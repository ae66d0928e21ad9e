"""Metrics sink that sends every record to the topology master; entry point "tmaster".

It has a link of its own to whoever leads now, so a slow TMaster holds nothing but this sink. It
is made by a container's metrics manager, which fills in its options.

The TMaster keeps totals in memory, so this sink keeps its container's too: a new leader is told
all of them first, and one whose link broke what it missed. Counts so outlive the TMaster.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from typing import TYPE_CHECKING

import zmq

from heronshim.core.codec.metrics import metrics_to_bytes
from heronshim.core.io.dealer_link import DealerLink
from heronshim.core.io.state_layout import TopologyNodes
from heronshim.core.io.tokens import process_token, read_secret
from heronshim.core.master.metrics_store import MetricsStore
from heronshim.core.plugins.plugin_options import refuse_unknown, required, whole_number
from heronshim.core.spi.registry import STATE_MANAGERS, load
from heronshim.core.stream.frame import Kind
from heronshim.core.stream.link import Hello, Role
from heronshim.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.core.io.child import ChildStart
    from heronshim.core.plan.records import TMasterLocation
    from heronshim.core.spi.metrics_sink import MetricsRecord
    from heronshim.core.spi.state_manager import StateManager

_PLUGIN = 'metrics sink "tmaster"'
_OPTIONS = ("topology_id", "secret_path", "state_manager", "state_options", "incarnation")


def engine_options(start: ChildStart) -> dict[str, str]:
    """Return the options of this sink for the metrics manager that was started so."""
    launch = start.launch
    return {
        "topology_id": launch.topology_id,
        "secret_path": launch.secret_path,
        "state_manager": launch.state_manager,
        "state_options": json.dumps(launch.state_options),
        "incarnation": str(start.incarnation),
    }


class TMasterSink:
    """The MetricsSink behind `heronshim top`. Options: see `engine_options`; none is a user's."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._poller = zmq.Poller()
        self._manager: StateManager | None = None
        self._state: TopologyNodes | None = None
        self._link: DealerLink | None = None
        self._leader_epoch = 0
        """Of the leader at the other end of the link; 0 while that is not known."""
        self._attempt = 0
        """The link's attempt that `_leader_epoch` is of."""
        self._told_epoch = 0
        """Of the leader that was told everything but what is in `_late` and `_missed`."""
        self._totals = MetricsStore()
        self._missed = MetricsStore()
        self._missing = False
        """Whether anything is in `_missed`."""
        self._late: deque[MetricsRecord] = deque()
        """What is to be told before any new record; at most one for each process."""

    def open(self, topology: str, container: int, options: Mapping[str, str]) -> None:
        """See `MetricsSink.open`. Connects as soon as the TMaster's place is known.

        Raises:
            ConfigError: an option is unknown, missing or wrong.
            StateError: the secret or the state manager cannot be read.
        """
        refuse_unknown(_PLUGIN, options, _OPTIONS)
        texts = {name: required(_PLUGIN, options, name, "a value") for name in _OPTIONS}
        incarnation = whole_number(_PLUGIN, options, "incarnation", 1, (1, 1 << 62))
        process = f"tmaster-sink-{container}"
        secret = read_secret(texts["secret_path"])
        hello = Hello(
            topology_id=texts["topology_id"],
            role=Role.METRICSMGR,
            process=process,
            incarnation=incarnation,
            attempt=0,
            token=process_token(secret, texts["topology_id"], process, incarnation),
            pid=os.getpid(),
            container=container,
        )
        self._manager = load(STATE_MANAGERS, texts["state_manager"])(
            json.loads(texts["state_options"])
        )
        self._context = zmq.Context()
        self._link = DealerLink(self._context, hello, self._poller)
        self._state = TopologyNodes(self._manager, topology)
        self._state.watch_tmaster(self._follow)

    def process(self, record: MetricsRecord) -> None:
        """See `MetricsSink.process`. What cannot be sent now is summed up and sent later.

        Raises:
            SinkError: the sink is not open.
        """
        if self._link is None:
            msg = f"{_PLUGIN} is not open"
            raise SinkError(msg)
        now_ns = time.monotonic_ns()
        if self._late or not self._leader_epoch or not self._send(record):
            self._missed.add(record, now_ns)
            self._missing = True
        self._totals.add(record, now_ns)

    def flush(self) -> None:
        """See `MetricsSink.flush`: keeps the link alive, follows the leader, tells it all."""
        self._turn()

    def close(self) -> None:
        """See `MetricsSink.close`."""
        if self._link is not None:
            self._link.close("stopped", time.monotonic_ns())
        if self._manager is not None:
            self._manager.close()
        if self._context is not None:
            self._context.term()
        self._link = self._manager = self._state = self._context = None

    def _turn(self) -> None:
        """Do what is due on the link and in the state manager, and tell what the leader missed."""
        if self._link is None or self._manager is None:
            return
        self._manager.poll()
        now_ns = time.monotonic_ns()
        self._link.tick(now_ns)
        while self._link.receive(now_ns) is not None:
            pass
        self._link.take_events()
        if not self._link.up or self._link.attempt != self._attempt:
            self._leader_epoch = 0
            self._attempt = self._link.attempt
        if self._link.up and not self._leader_epoch:
            self._leader_epoch = self._find_leader_epoch(self._link.endpoint)
        if self._leader_epoch:
            self._catch_up()

    def _find_leader_epoch(self, endpoint: str) -> int:
        """Return the epoch of the leader at the other end; 0 while that cannot be said.

        A TMaster writes its place before it listens, so what is read after the link came up is
        not older than who answered.
        """
        location = None if self._state is None else self._state.tmaster()
        return location.leader_epoch if location and location.endpoint == endpoint else 0

    def _catch_up(self) -> None:
        """Tell a new leader all totals, and the same one what it missed."""
        if self._leader_epoch != self._told_epoch:
            self._told_epoch = self._leader_epoch
            self._late = deque(self._totals.catch_up())
        elif self._missing and not self._late:
            self._late = deque(self._missed.catch_up(self._totals))
        else:
            self._send_late()
            return
        self._missed = MetricsStore()
        self._missing = False
        self._send_late()

    def _send_late(self) -> None:
        while self._late and self._send(self._late[0]):
            self._late.popleft()

    def _send(self, record: MetricsRecord) -> bool:
        return self._link is not None and self._link.send(Kind.METRICS, metrics_to_bytes(record))

    def _follow(self, location: TMasterLocation | None) -> None:
        """Go where the leader is; while there is none, the old link ends by itself."""
        if location is not None and self._link is not None:
            self._link.connect(location.endpoint, time.monotonic_ns())
