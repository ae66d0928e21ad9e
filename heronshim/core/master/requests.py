"""Commands in hand and those answered lately, so that a repeated request is not done again."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from heronshim.core.master.events import SendReply

if TYPE_CHECKING:
    from heronshim.core.master.messages import CommandReply

REMEMBERED_REQUESTS_MAX = 1000
"""Answered requests that are remembered; the oldest is forgotten first."""
PENDING_REQUESTS_MAX = 1000
"""Commands in hand; above it new ones are refused."""


class Requests:
    """Knows by request id which link waits for an answer and which answers were given."""

    def __init__(self) -> None:
        self._pending: dict[str, int] = {}
        self._answers: OrderedDict[str, CommandReply] = OrderedDict()
        self._epochs: dict[str, int] = {}
        """Epoch of the plan whose storing answers a pending request; 0 until it is built."""

    @property
    def full(self) -> bool:
        """Whether no more can be taken in hand."""
        return len(self._pending) >= PENDING_REQUESTS_MAX

    def repeated(self, request_id: str, link: int) -> list[SendReply] | None:
        """Return what a repeated request gets, which is nothing yet when it is in hand.

        None when the request is new. The newest link is the one that is answered.
        """
        if request_id in self._answers:
            return [SendReply(link, self._answers[request_id])]
        if request_id in self._pending:
            self._pending[request_id] = link
            return []
        return None

    def begin(self, request_id: str, link: int, *, waits_for_plan: bool = False) -> None:
        """Take a new request in hand; `waits_for_plan`: the next plan's storing answers it."""
        self._pending[request_id] = link
        if waits_for_plan:
            self._epochs[request_id] = 0

    def plan_built(self, plan_epoch: int) -> None:
        """The plan that requests wait for has this epoch."""
        for request_id, epoch in self._epochs.items():
            if epoch == 0:
                self._epochs[request_id] = plan_epoch

    def answered_by(self, plan_epoch: int) -> list[str]:
        """Return the requests that the storing of this epoch answers, oldest first."""
        return [id_ for id_, epoch in self._epochs.items() if 0 < epoch <= plan_epoch]

    def answer(self, reply: CommandReply) -> list[SendReply]:
        """Answer a request in hand and remember it; nothing for one that is not in hand."""
        link = self._pending.pop(reply.request_id, None)
        self._epochs.pop(reply.request_id, None)
        if link is None:
            return []
        self._answers[reply.request_id] = reply
        if len(self._answers) > REMEMBERED_REQUESTS_MAX:
            self._answers.popitem(last=False)
        return [SendReply(link, reply)]

    def check_invariants(self) -> None:
        """Assert what always holds."""
        assert len(self._answers) <= REMEMBERED_REQUESTS_MAX
        assert len(self._pending) <= PENDING_REQUESTS_MAX
        assert not set(self._pending) & set(self._answers)
        assert set(self._epochs) <= set(self._pending)
