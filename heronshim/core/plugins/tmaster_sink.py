"""Metrics sink that sends every record to the topology master; entry point "tmaster".

It has a link of its own to whoever leads now, so a slow TMaster holds nothing but this sink. It
is made by a container's metrics manager, which fills in its options.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import zmq

from heronshim.core.codec.metrics import metrics_to_bytes
from heronshim.core.io.dealer_link import DealerLink
from heronshim.core.io.state_layout import TopologyState
from heronshim.core.io.tokens import process_token, read_secret
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

JOIN_WAIT_MS = 300
"""How long a record waits for a link before it is dropped: one hello and its answer."""
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
        self._link: DealerLink | None = None

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
        TopologyState(self._manager, topology).watch_tmaster(self._follow)

    def process(self, record: MetricsRecord) -> None:
        """See `MetricsSink.process`.

        Raises:
            SinkError: there is no link to a TMaster.
        """
        link = self._link
        if link is None:
            msg = f"{_PLUGIN} is not open"
            raise SinkError(msg)
        end_ns = time.monotonic_ns() + JOIN_WAIT_MS * 1_000_000
        self._turn()
        while not link.up and (left_ns := end_ns - time.monotonic_ns()) > 0:
            wait_ns = min(left_ns, link.next_deadline_ns() - time.monotonic_ns())
            self._poller.poll(max(0, wait_ns // 1_000_000 + 1))
            self._turn()
        if not link.send(Kind.METRICS, metrics_to_bytes(record)):
            where = f"{link.endpoint}: {link.failure}" if link.endpoint else "none is known"
            msg = f"{_PLUGIN}: no link to the TMaster ({where})"
            raise SinkError(msg)

    def flush(self) -> None:
        """See `MetricsSink.flush`: keeps the link alive and follows a new TMaster."""
        self._turn()

    def close(self) -> None:
        """See `MetricsSink.close`."""
        if self._link is not None:
            self._link.close("stopped", time.monotonic_ns())
        if self._manager is not None:
            self._manager.close()
        if self._context is not None:
            self._context.term()
        self._link = self._manager = self._context = None

    def _turn(self) -> None:
        """Do what is due on the link and in the state manager."""
        if self._link is None or self._manager is None:
            return
        self._manager.poll()
        now_ns = time.monotonic_ns()
        self._link.tick(now_ns)
        while self._link.receive(now_ns) is not None:
            pass
        self._link.take_events()

    def _follow(self, location: TMasterLocation | None) -> None:
        """Go where the leader is; while there is none, the old link ends by itself."""
        if location is not None and self._link is not None:
            self._link.connect(location.endpoint, time.monotonic_ns())
