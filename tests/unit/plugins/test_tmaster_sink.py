"""The sink finds the leader in the state manager, follows it, and drops what it cannot send."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from heronshim.core.codec.link import decode_hello
from heronshim.core.codec.metrics import metrics_from_bytes
from heronshim.core.io.child import ChildStart
from heronshim.core.io.state_layout import TopologyNodes
from heronshim.core.io.tokens import token_matches
from heronshim.core.master.metrics_store import MetricsStore
from heronshim.core.plan.records import TMasterLocation
from heronshim.core.plugins.file_state import FileStateManager
from heronshim.core.plugins.tmaster_sink import TMasterSink, engine_options
from heronshim.core.spi.events import EventRecord
from heronshim.core.spi.metrics_sink import MetricsRecord
from heronshim.core.spi.scheduler import Launch
from heronshim.core.stream.frame import Kind
from heronshim.core.stream.link import Role
from heronshim.errors import ConfigError, SinkError, StateError

SECRET = bytes(32)
DEADLINE_S = 60.0
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
    state = TopologyNodes(manager, "words")

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


class Listener:
    """A scripted TMaster that keeps what it is told as a real one does."""

    def __init__(self, router) -> None:
        self.router = router
        self.store = MetricsStore()
        self.records: list[MetricsRecord] = []
        self._seen = 0

    def read(self) -> None:
        self.router.read()
        for frame in self.router.heard[self._seen :]:
            self._seen += 1
            if frame.kind == Kind.METRICS:
                self.records.append(metrics_from_bytes(frame.payload, "words"))
                self.store.add(self.records[-1], 0)

    def cpu_time_us(self) -> float:
        return sum(item.sums["cpu_time_us"] for item in self.store.snapshot(0, 0).processes)


def flush_until(sink: TMasterSink, listener: Listener, done: Callable[[], object]) -> None:
    """Let both take their turns."""
    end = time.monotonic() + DEADLINE_S
    while not done():
        if time.monotonic() > end:
            pytest.fail(f"after {DEADLINE_S} s it has {listener.records}")
        sink.flush()
        listener.read()
        time.sleep(0.001)


@pytest.fixture
def listener(make_router) -> Listener:
    return Listener(make_router())


def joined(sink: TMasterSink, listener: Listener) -> None:
    """Send one record and wait until it came."""
    sink.process(RECORD)
    flush_until(sink, listener, lambda: listener.records)


def test_record_reaches_the_leader_from_a_link_of_the_sinks_own(sink, options, leader, listener):
    leader(listener.router.endpoint)
    sink.open("words", 3, options)
    joined(sink, listener)
    sink.process(RECORD)
    flush_until(sink, listener, lambda: len(listener.records) == 2)
    assert listener.records[1] == RECORD
    hello = decode_hello(listener.router.of_kind(Kind.HELLO)[-1].payload)
    assert (hello.role, hello.process, hello.container) == (Role.METRICSMGR, "tmaster-sink-3", 3)
    assert token_matches(SECRET, "words-1", hello.process, 8, hello.token)


def test_records_without_a_leader_are_summed_up_for_the_first_one(sink, options, leader, listener):
    sink.open("words", 3, options)
    for _ in range(50):
        sink.process(RECORD)
        sink.flush()
    leader(listener.router.endpoint)
    flush_until(sink, listener, lambda: listener.records)
    (told,) = listener.records
    assert (told.sums["cpu_time_us"], told.interval_ms) == (200, 0)


def test_new_leader_is_told_all_totals_once(sink, options, leader, listener, make_router):
    leader(listener.router.endpoint)
    sink.open("words", 3, options)
    joined(sink, listener)
    sink.process(RECORD)
    flush_until(sink, listener, lambda: len(listener.records) == 2)
    second = Listener(make_router())
    leader(second.router.endpoint)
    flush_until(sink, second, lambda: second.records)
    sink.process(RECORD)
    flush_until(sink, second, lambda: len(second.records) == 2)
    assert second.cpu_time_us() == 12
    assert second.records[1] == RECORD


def test_new_leader_at_the_same_endpoint_is_told_all_totals(
    sink, options, leader, listener, make_router
):
    leader(listener.router.endpoint)
    sink.open("words", 3, options)
    joined(sink, listener)
    listener.router.close()
    sink.process(RECORD)
    leader(listener.router.endpoint)
    second = Listener(make_router(listener.router.endpoint))
    flush_until(sink, second, lambda: second.records)
    assert second.cpu_time_us() == 8


def test_leader_whose_link_broke_is_told_what_it_missed_and_no_more(
    sink, options, leader, listener, make_router
):
    leader(listener.router.endpoint)
    sink.open("words", 3, options)
    joined(sink, listener)
    listener.router.close()
    # The same leader listens again, on a new socket.
    listener.router = make_router(listener.router.endpoint)
    listener._seen = 0
    flush_until(sink, listener, lambda: not sink._link.up)
    for _ in range(3):
        sink.process(RECORD)
    flush_until(sink, listener, lambda: listener.cpu_time_us() >= 16)
    sink.process(RECORD)
    flush_until(sink, listener, lambda: len(listener.records) == 3)
    assert listener.cpu_time_us() == 20


def test_new_leader_is_told_the_history(sink, options, leader, listener, make_router):
    began = EventRecord("stmgr-3.1.000001", 5, "back_pressure_begun", "stmgr-3", 3, task=1)
    ended = replace(began, id="stmgr-3.1.000002", time_ms=9, kind="back_pressure_ended")
    leader(listener.router.endpoint)
    sink.open("words", 3, options)
    sink.process(replace(RECORD, events=(began,)))
    flush_until(sink, listener, lambda: listener.store.events.since() == (began,))
    second = Listener(make_router())
    leader(second.router.endpoint)
    sink.process(replace(RECORD, events=(ended,)))
    flush_until(sink, second, lambda: second.store.events.since() == (began, ended))


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
