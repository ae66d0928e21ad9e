"""Carries a stream manager's loss notices over its links; who is told, its LossDesk knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heronshim.core.codec.link import (
    decode_loss_notice,
    decode_loss_notice_ack,
    encode_loss_notice,
    encode_loss_notice_ack,
)
from heronshim.core.io.logs import log_event
from heronshim.core.spi.events import EventKind
from heronshim.core.stream.frame import Kind
from heronshim.core.stream.link import Role
from heronshim.core.stream.loss import LossDesk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.core.io.dealer_link import DealerLink
    from heronshim.core.io.router_links import EndedLink, InboundLink, RouterLinks
    from heronshim.core.plan.physical import PhysicalPlan
    from heronshim.core.stream.event_buffer import EventBuffer
    from heronshim.core.stream.loss import LossNotice


class StmgrLosses:
    """One for each stream manager, beside its Forwarder."""

    def __init__(
        self,
        container: int,
        desk: LossDesk,
        links: RouterLinks,
        peers: Mapping[int, DealerLink],
        events: EventBuffer,
    ) -> None:
        self._container = container
        self._desk = desk
        self._links = links
        self._peers = peers
        self._events = events

    @property
    def notice_count(self) -> int:
        """Losses that were seen here or by instances of this container."""
        return self._desk.notice_count

    def set_plan(self, plan: PhysicalPlan) -> None:
        """Take a plan."""
        self._desk.set_plan(plan)

    def on_link_ended(self, ended: EndedLink) -> None:
        """A link that a peer or an instance had made is no more."""
        if ended.clean:
            return
        hello = ended.link.hello
        cause = f"link of {hello.process} ended: {ended.cause}"
        if hello.role is Role.INSTANCE:
            self._note(self._desk.on_process_lost(hello.process, hello.tasks, cause), hello.process)
        elif hello.role is Role.STMGR:
            desk = self._desk
            senders = desk.tasks_of(hello.container)
            notice = desk.on_link_lost(senders, desk.tasks_of(self._container), cause)
            self._note(notice, hello.process)

    def on_peer_ended(self, container: int, cause: str) -> None:
        """The link on which this stream manager sends to a peer ended uncleanly."""
        desk = self._desk
        notice = desk.on_link_lost(
            desk.tasks_of(self._container),
            desk.tasks_of(container),
            f"link to stmgr-{container} ended: {cause}",
        )
        self._note(notice, f"stmgr-{container}")

    def on_notice(self, link: InboundLink, payload: memoryview) -> None:
        """Take a notice of a peer or of an instance; each copy is acknowledged.

        Raises:
            RemoteProtocolError: it is damaged.
        """
        notice = decode_loss_notice(payload)
        self._links.send(link, Kind.LOSS_NOTICE_ACK, encode_loss_notice_ack(notice.id))
        hello = link.hello
        process = hello.process if hello.role is Role.INSTANCE else None
        if self._desk.on_notice(notice, process) and process is not None:
            self._note(notice, process)

    def on_ack(self, target: int | str, payload: memoryview) -> None:
        """A peer (its container) or an instance (its process) has a notice.

        Raises:
            RemoteProtocolError: it is damaged.
        """
        self._desk.queue.acknowledged(target, decode_loss_notice_ack(payload))

    def on_joined(self, target: int | str) -> None:
        """A peer or an instance can be reached anew."""
        self._desk.queue.reached(target)

    def send_due(self, now_ns: int) -> None:
        """Send what is due. What a link does not take comes again as any notice does."""
        if not self._desk.queue:
            return
        for target, notice in self._desk.queue.take_due(now_ns):
            payload = encode_loss_notice(notice)
            if isinstance(target, int):
                peer = self._peers.get(target)
                if peer is not None:
                    peer.send(Kind.LOSS_NOTICE, payload)
                continue
            link = self._links.of_process(target)
            if link is not None:
                self._links.send(link, Kind.LOSS_NOTICE, payload)

    def _note(self, notice: LossNotice | None, process: str) -> None:
        """Put a loss into the log and among the events, once in the whole topology."""
        if notice is None:
            return
        sources = " ".join(map(str, notice.sources))
        destinations = " ".join(map(str, notice.destinations))
        log_event(
            "WARNING", "loss_noticed", id=notice.id, process=process, cause=notice.cause,
            sources=sources, destinations=destinations,
        )  # fmt: skip
        self._events.add(
            EventKind.LOSS_NOTICED,
            process=process,
            cause=notice.cause,
            detail=f"sources {sources}; destinations {destinations}",
            numbers={"sources": len(notice.sources), "destinations": len(notice.destinations)},
        )
