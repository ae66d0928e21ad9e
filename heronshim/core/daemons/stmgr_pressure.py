"""A stream manager's part in back pressure: finds initiators, announces them, has spouts pause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heronshim.core.codec.link import decode_back_pressure, encode_back_pressure
from heronshim.core.io.logs import log_event
from heronshim.core.master.initiators import ACTIVE_S, TIME_US, initiator_name
from heronshim.core.plan.topology import ComponentKind
from heronshim.core.spi.events import EventKind
from heronshim.core.stream.backpressure import BackPressure, InitiatorWatch, PressureLeases
from heronshim.core.stream.frame import Kind
from heronshim.core.stream.link import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from heronshim.core.io.dealer_link import DealerLink
    from heronshim.core.io.router_links import InboundLink
    from heronshim.core.plan.physical import PhysicalPlan
    from heronshim.core.stream.credit import CreditReceiver
    from heronshim.core.stream.event_buffer import EventBuffer


class StmgrPressure:
    """Owned by a StreamManager, which tells it of its links, its plan and the time."""

    def __init__(
        self,
        receiver: CreditReceiver,
        events: EventBuffer,
        links: Callable[[], Collection[InboundLink]],
        peers: Callable[[], Collection[DealerLink]],
        tell_instance: Callable[[InboundLink, bytes], object],
    ) -> None:
        """`links` gives the links of this container, `peers` those to other stream managers."""
        self._receiver = receiver
        self._events = events
        self._links = links
        self._peers = peers
        self._tell_instance = tell_instance
        self._initiators = InitiatorWatch()
        self._heard = PressureLeases()
        """Initiators of other containers."""
        self._components: dict[int, str] = {}
        self._pausing: frozenset[int] = frozenset()
        """The spouts' tasks, where the topology says that all of them pause."""

    def set_plan(self, plan: PhysicalPlan) -> None:
        """Take a plan."""
        self._components = {task: component for task, _, component, _ in plan.placements()}
        spouts = {item.id for item in plan.topology.components if item.kind is ComponentKind.SPOUT}
        pause = plan.topology.options.get("backpressure") == "topology"
        self._pausing = frozenset(
            task for task, component in self._components.items() if pause and component in spouts
        )

    def look(self, now_ns: int) -> None:
        """Find who slows its sources down, and tell everybody. Call it every LOOK_NS."""
        receiver = self._receiver
        receiver.look(now_ns)
        joined = {
            task: link.number
            for link in self._links()
            if link.hello.role is Role.INSTANCE
            for task in link.hello.tasks
        }
        full = {task for task in joined if receiver.is_full(task)}
        held = {task for task in full if receiver.waits(joined[task])}
        lasting = self._initiators.active_ns(now_ns)
        for said in self._initiators.look(now_ns, joined, full, held):
            if said.active is not (said.task in lasting):
                self._note(said)
            payload = encode_back_pressure(said)
            for peer in self._peers():
                peer.send(Kind.BACK_PRESSURE, payload)
            self._tell_spouts(said)

    def hear(self, link: int, payload: bytes | memoryview, now_ns: int) -> None:
        """Take what the stream manager of another container announces.

        Raises:
            RemoteProtocolError: it cannot be read.
        """
        said = decode_back_pressure(payload)
        self._heard.hear(link, said, now_ns)
        self._tell_spouts(said)

    def on_link_ended(self, link: int) -> None:
        """What came on a link dies with it: nobody waits for the rest of the lease."""
        for task in self._heard.on_link_ended(link):
            self._tell_spouts(BackPressure(task, active=False, duration_ms=0))

    def sums(self, now_ns: int) -> dict[str, int]:
        """Return how long each task was an initiator so far, by metric name."""
        return {
            initiator_name(TIME_US, self._components.get(task, ""), task): total_ns // 1000
            for task, total_ns in self._initiators.total_ns(now_ns).items()
        }

    def gauges(self, now_ns: int) -> dict[str, float]:
        """Return for each initiator of now how long it has been one, by metric name."""
        return {
            initiator_name(ACTIVE_S, self._components.get(task, ""), task): active_ns / 1e9
            for task, active_ns in self._initiators.active_ns(now_ns).items()
        }

    def _tell_spouts(self, said: BackPressure) -> None:
        """Where all spouts of the topology pause, tell this container's; a pause is a lease."""
        if not self._pausing:
            return
        payload = encode_back_pressure(said)
        for link in self._links():
            if link.hello.role is Role.INSTANCE and not self._pausing.isdisjoint(link.hello.tasks):
                self._tell_instance(link, payload)

    def _note(self, said: BackPressure) -> None:
        kind = EventKind.BACK_PRESSURE_BEGUN if said.active else EventKind.BACK_PRESSURE_ENDED
        component = self._components.get(said.task, "")
        numbers = {} if said.active else {"lasted_s": said.duration_ms / 1000}
        log_event("INFO", kind.value, component=component, task=said.task, **numbers)
        self._events.add(kind, component=component, task=said.task, numbers=numbers)
