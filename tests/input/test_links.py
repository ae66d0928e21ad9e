"""What stream managers and TMasters alike do with frames and hellos that are wrong."""

from __future__ import annotations

import pytest

from heronshim.core.codec.link import encode_bye, encode_hello
from heronshim.core.io.sockets import FRAME_BYTES_MAX
from heronshim.core.stream.frame import CONTROL_BYTES_MAX, Kind
from heronshim.core.stream.link import Bye
from heronshim.errors import ErrorCode
from tests.input.bombs import BOMBS
from tests.input.peers import Daemon, head, hello_of

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("undisturbed")]
DAEMON = "daemon"


def test_hello_cut_at_every_byte_is_refused(daemon: Daemon) -> None:
    whole = encode_hello(hello_of(daemon.rogue))
    before = daemon.peers.sums.get("refused_hello_count", 0)
    for length in range(len(whole)):
        code, message = daemon.refusal(head(Kind.HELLO, 0), whole[:length])
        assert code in (ErrorCode.MALFORMED, ErrorCode.TOKEN, ErrorCode.VERSION,
                        ErrorCode.TOPOLOGY, ErrorCode.TASK), length  # fmt: skip
        assert message
    daemon.counted("refused_hello_count", before + len(whole))


def test_every_kind_before_a_hello_is_refused(daemon: Daemon) -> None:
    before = daemon.peers.sums.get("stale_frame_count", 0)
    for kind in range(256):
        if kind != Kind.HELLO:
            assert daemon.refusal(head(kind), b"x")[0] is ErrorCode.NO_HELLO
    daemon.counted("stale_frame_count", before + 255)


@pytest.mark.parametrize("size", [*range(24), 25, 48, 1000])
def test_header_of_another_size_is_malformed(daemon: Daemon, size: int) -> None:
    header = (head(Kind.CREDIT) * 50)[:size]
    assert daemon.refusal(header, b"x")[0] is ErrorCode.MALFORMED
    assert daemon.attack(daemon.rogue, [header, b"x"]) is ErrorCode.MALFORMED


@pytest.mark.parametrize("count", [1, 3, 4, 1000, 100_000])
def test_frame_of_another_number_of_parts_is_malformed(daemon: Daemon, count: int) -> None:
    parts = [head(Kind.CREDIT)] + [b"x"] * (count - 1)
    assert daemon.refusal(*parts)[0] is ErrorCode.MALFORMED
    assert daemon.attack(daemon.rogue, parts) is ErrorCode.MALFORMED


@pytest.mark.parametrize("version", [0, 2, 255])
def test_future_and_past_versions_are_named(daemon: Daemon, version: int) -> None:
    code, message = daemon.refusal(head(Kind.HELLO, 0, version=version), b"")
    assert code is ErrorCode.VERSION
    assert f"protocol version {version} is not supported; this side speaks 1" in message
    assert (
        daemon.attack(daemon.rogue, [head(Kind.CREDIT, version=version), b""]) is ErrorCode.VERSION
    )
    if version != 255:
        assert daemon.refused(protocol_version=version) is ErrorCode.VERSION


def test_hello_on_a_link_that_has_one_ends_it(daemon: Daemon) -> None:
    again = encode_hello(hello_of(daemon.rogue, attempt=daemon.attempts + 2))
    assert daemon.attack(daemon.rogue, [head(Kind.HELLO, 0), again]) is ErrorCode.KIND
    daemon.attempts += 1


def test_frame_over_all_limits_ends_its_link(daemon: Daemon) -> None:
    ends = daemon.log().count(f"event=link_ended process={daemon.rogue}")
    daemon.attempts += 1
    peer = daemon.peer()
    hello = hello_of(daemon.rogue, attempt=daemon.attempts)
    peer.send_multipart([head(Kind.HELLO, 0), encode_hello(hello)])
    assert peer.recv_multipart()[0] == head(Kind.HELLO_ACK)
    peer.send_multipart([head(Kind.DATA), bytes(FRAME_BYTES_MAX + 1)])
    daemon.peers.wait(
        lambda: daemon.log().count(f"event=link_ended process={daemon.rogue}") > ends,
        "the link's end",
    )
    peer.close(0)


def test_token_is_good_for_one_attempt_and_no_older_incarnation(daemon: Daemon) -> None:
    process = daemon.rogue.replace("3", "4")
    assert daemon.attack(process, incarnation=7) is None
    for incarnation, attempt in ((7, daemon.attempts), (7, 0), (6, 1 << 31), (0, 1)):
        code = daemon.refused(process=process, incarnation=incarnation, attempt=attempt)
        assert code is ErrorCode.STALE_INCARNATION
    assert daemon.attack(process, incarnation=7) is None
    assert daemon.attack(process, incarnation=8) is None
    code = daemon.refused(process=process, incarnation=7)
    assert code is ErrorCode.STALE_INCARNATION


def test_token_is_spent_by_a_bye(daemon: Daemon) -> None:
    process = daemon.rogue.replace("3", "5")
    code = daemon.attack(process, [head(Kind.BYE), encode_bye(Bye(0, 0, "done"))])
    assert code is ErrorCode.NO_HELLO
    assert daemon.refused(process=process) is ErrorCode.STALE_INCARNATION
    assert daemon.attack(process, incarnation=2) is None


@pytest.mark.parametrize("bomb", BOMBS)
def test_bomb_for_a_hello_is_refused(daemon: Daemon, bomb: str) -> None:
    payload = BOMBS[bomb]
    assert len(payload) <= CONTROL_BYTES_MAX
    code, message = daemon.refusal(head(Kind.HELLO, 0), payload)
    assert code is not ErrorCode.UNSPECIFIED
    assert 0 < len(message) < 1000


@pytest.mark.parametrize("size", [CONTROL_BYTES_MAX + 1, FRAME_BYTES_MAX])
def test_hello_over_its_limit_is_too_large(daemon: Daemon, size: int) -> None:
    assert daemon.refusal(head(Kind.HELLO, 0), bytes(size))[0] is ErrorCode.TOO_LARGE
