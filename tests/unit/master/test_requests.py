"""A repeated request is answered again; what is remembered is bounded."""

from __future__ import annotations

from heronshim.core.master.events import SendReply
from heronshim.core.master.messages import CommandReply
from heronshim.core.master.requests import (
    PENDING_REQUESTS_MAX,
    REMEMBERED_REQUESTS_MAX,
    Requests,
)


def done(request_id: str) -> CommandReply:
    return CommandReply(request_id, ok=True)


def test_oldest_answer_is_forgotten_first():
    requests = Requests()
    for number in range(REMEMBERED_REQUESTS_MAX + 1):
        requests.begin(str(number), 1)
        requests.answer(done(str(number)))
        requests.check_invariants()
    assert requests.repeated("0", 2) is None
    assert requests.repeated("1", 2) == [SendReply(2, done("1"))]


def test_no_more_is_taken_in_hand_than_the_limit():
    requests = Requests()
    for number in range(PENDING_REQUESTS_MAX):
        assert not requests.full
        requests.begin(str(number), 1)
    assert requests.full
    requests.answer(done("5"))
    assert not requests.full


def test_answer_to_what_is_not_in_hand_goes_nowhere():
    requests = Requests()
    assert requests.answer(done("x")) == []
    assert requests.repeated("x", 1) is None


def test_plan_answers_only_what_waited_when_it_was_built():
    requests = Requests()
    requests.begin("before", 1, waits_for_plan=True)
    requests.plan_built(7)
    requests.begin("after", 1, waits_for_plan=True)
    requests.begin("other", 1)
    assert requests.answered_by(6) == []
    assert requests.answered_by(7) == ["before"]
    requests.plan_built(8)
    assert requests.answered_by(8) == ["before", "after"]
