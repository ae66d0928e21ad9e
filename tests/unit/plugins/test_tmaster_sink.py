"""The sink finds the leader in the state manager, follows it, and drops what it cannot send."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest

from heronshim.core.codec.link import decode_hello
from heronshim.core.codec.metrics import metrics_from_bytes
from heronshim.core.io.child import ChildStart
from heronshim.core.io.state_layout import TopologyState
from heronshim.core.io.tokens import token_matches
from heronshim.core.plan.records import TMasterLocation
from heronshim.core.plugins.file_state import FileStateManager
from heronshim.core.plugins.tmaster_sink import TMasterSink, engine_options
from heronshim.core.spi.metrics_sink import MetricsRecord
from heronshim.core.spi.scheduler import Launch
from heronshim.core.stream.frame import Kind
from heronshim.core.stream.link import Role
from heronshim.errors import ConfigError, SinkError, StateError

SECRET = bytes(32)
DEADLINE_S = 20.0
RECORD = MetricsRecord("words", "line-1", 3, 5, 1000, 1, 1, sums={"cpu_time_us": 4.0})


@pytest.fixture
def options(tmp_path):
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET.hex())
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    launch = Launch(
        "words", "words-1", str(tmp_path), str(tmp_path), str(secret), "python", "file",
        {"root": str(state)},
    )  # fmt: skip
    return engine_options(ChildStart(launch, 3, "metricsmgr-3", 8, "t", "ipc://x", None))


@pytest.fixture
def leader(options):
    """The test is the leader; it may move."""
    manager = FileStateManager(json.loads(options["state_options"]))
    state = TopologyState(manager, "words")

    def lead(endpoint: str) -> None:
        manager.delete("/topologies/words/tmaster")
        assert state.become_tmaster(TMasterLocation("host", endpoint, os.getpid()))

    yield lead
    manager.close()


@pytest.fixture
def sink():
    sink = TMasterSink()
    yield sink
    sink.close()


def feed(sink: TMasterSink, router) -> list[MetricsRecord]:
    """Offer the record until the router has it; return all that it got."""
    end = time.monotonic() + DEADLINE_S
    stop = threading.Event()

    def answer() -> None:
        while not stop.wait(0.002):
            router.read()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        while not any(frame.kind == Kind.METRICS for frame in list(router.heard)):
            if time.monotonic() > end:
                pytest.fail("no record came")
            try:
                sink.process(RECORD)
            except SinkError:
                sink.flush()
    finally:
        stop.set()
        thread.join()
    payloads = [frame.payload for frame in router.heard if frame.kind == Kind.METRICS]
    return [metrics_from_bytes(payload, "words") for payload in payloads]


def test_record_reaches_the_leader_from_a_link_of_the_sinks_own(sink, options, leader, make_router):
    router = make_router()
    leader(router.endpoint)
    sink.open("words", 3, options)
    assert set(map(repr, feed(sink, router))) == {repr(RECORD)}
    hello = decode_hello(router.of_kind(Kind.HELLO)[-1].payload)
    assert (hello.role, hello.process, hello.container) == (Role.METRICSMGR, "tmaster-sink-3", 3)
    assert token_matches(SECRET, "words-1", hello.process, 8, hello.token)


def test_sink_follows_a_new_leader(sink, options, leader, make_router):
    first, second = make_router(), make_router()
    leader(first.endpoint)
    sink.open("words", 3, options)
    feed(sink, first)
    leader(second.endpoint)
    assert feed(sink, second)


def test_record_without_a_leader_is_dropped_with_a_clear_error(sink, options, leader):
    sink.open("words", 3, options)
    with pytest.raises(SinkError, match="no link to the TMaster \\(none is known\\)"):
        sink.process(RECORD)


def test_record_before_open_is_an_error(sink):
    with pytest.raises(SinkError, match="is not open"):
        sink.process(RECORD)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"secret_path": ""}, ConfigError),
        ({"incarnation": "x"}, ConfigError),
        ({"colour": "red"}, ConfigError),
        ({"state_manager": "fil"}, ConfigError),
        ({"secret_path": "/nowhere"}, StateError),
    ],
)
def test_wrong_option_is_refused(sink, options, change, error):
    with pytest.raises(error):
        sink.open("words", 3, options | change)
