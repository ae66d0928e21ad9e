"""Sequences per link and direction: a gap is loss, a number seen already is a duplicate."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heronshim.core.codec.link import decode_hello, encode_hello
from heronshim.core.stream.link import Hello, Role, SequenceWatch
from heronshim.errors import ErrorCode, RemoteProtocolError
from heronshim.wire.v1 import link_pb2

HELLO = Hello("words-1", Role.INSTANCE, "count-3", 17, 2, "ab" * 32, (3, 4), 4711, 1)


def test_frames_in_order_miss_nothing():
    watch = SequenceWatch()
    assert [watch.missing(number) for number in (1, 2, 3)] == [0, 0, 0]
    assert watch.last == 3


def test_gap_is_as_large_as_what_never_came():
    watch = SequenceWatch()
    assert watch.missing(4) == 3
    assert watch.missing(5) == 0


@pytest.mark.parametrize("again", [1, 2, 3])
def test_number_seen_already_is_a_duplicate(again):
    watch = SequenceWatch()
    watch.missing(3)
    assert watch.missing(again) == -1
    assert watch.missing(4) == 0


def test_heartbeat_shows_that_the_last_frames_were_lost():
    watch = SequenceWatch()
    watch.missing(5)
    assert watch.behind(5) == 0
    assert watch.behind(8) == 3
    assert watch.behind(2) == 0


@given(st.sets(st.integers(1, 60)))
@settings(deadline=None)
def test_gaps_and_the_last_heartbeat_add_up_to_what_was_lost(arrived):
    watch = SequenceWatch()
    lost = sum(watch.missing(number) for number in sorted(arrived)) + watch.behind(60)
    assert lost == 60 - len(arrived)


def test_link_may_go_on_only_while_each_number_follows():
    watch = SequenceWatch()
    for number in (1, 2):
        watch.take(number)
    watch.check(1)
    with pytest.raises(RemoteProtocolError, match="1 frame before frame 4 never came"):
        watch.take(4)
    with pytest.raises(RemoteProtocolError, match="frame 4 came again, or late, after frame 4"):
        watch.take(4)
    watch.take(5)
    with pytest.raises(RemoteProtocolError, match="2 frames up to frame 6 never came"):
        watch.check(6)
    assert watch.lost == 3


def test_hello_comes_back_as_it_was():
    assert decode_hello(encode_hello(HELLO)) == HELLO


def test_roles_are_those_of_the_contract():
    wire = {name.removeprefix("ROLE_"): number for name, number in link_pb2.Role.items()}
    assert wire == {"UNSPECIFIED": 0, **{role.name: role.value for role in Role}}


@pytest.mark.parametrize(
    ("payload", "named"),
    [(b"\xff", "Hello"), (b"", "Hello.role"), (link_pb2.Hello(role=9).SerializeToString(), "9")],  # type: ignore[arg-type]
)
def test_damaged_hello_is_the_peers_fault(payload, named):
    with pytest.raises(RemoteProtocolError, match=named) as caught:
        decode_hello(payload)
    assert caught.value.code is ErrorCode.MALFORMED
