"""Each sink has its own thread and bounded queue: a slow one holds no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from heronshim.core.daemons import sink_thread
from heronshim.core.daemons.sink_thread import SinkThread
from heronshim.core.spi.metrics_sink import MetricsRecord
from heronshim.errors import ConfigError, SinkError

DEADLINE_S = 20.0


def until(done: Callable[[], object], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not done():
        if time.monotonic() > end:
            pytest.fail(f"waited {DEADLINE_S} s for {what}")
        time.sleep(0.002)


class ScriptedSink:
    """Does what its fields say and notes what it was given."""

    def __init__(self) -> None:
        self.open_errors: list[Exception] = []
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.opened: list[tuple] = []
        self.records: list[int] = []
        self.flushes = 0
        self.closed = 0

    def open(self, topology, container, options) -> None:
        if self.open_errors:
            raise self.open_errors.pop(0)
        self.opened.append((topology, container, dict(options)))

    def process(self, record) -> None:
        self.gate.wait(DEADLINE_S)
        if self.error:
            raise self.error
        self.records.append(record.time_ms)

    def flush(self) -> None:
        self.flushes += 1

    def close(self) -> None:
        self.closed += 1


def record(number: int) -> MetricsRecord:
    return MetricsRecord("words", "line-1", 1, number, 1000, 1, 1)


@pytest.fixture
def start():
    """Makes sink threads that end with the test."""
    made = []

    def make(sink: ScriptedSink, **changes: object) -> SinkThread:
        thread = SinkThread("scripted", sink, "words", 3, {"a": "b"}, **changes)
        made.append((sink, thread))
        return thread

    yield make
    for sink, thread in made:
        sink.gate.set()
        thread.ask_to_stop()
        assert thread.join(DEADLINE_S)


def test_sink_is_opened_fed_in_order_flushed_and_closed(start):
    sink = ScriptedSink()
    thread = start(sink)
    for number in range(50):
        thread.put(record(number))
    until(lambda: len(sink.records) == 50, "the records")
    until(lambda: sink.flushes >= 2, "flushes without records")
    thread.ask_to_stop()
    assert thread.join(DEADLINE_S)
    assert sink.records == list(range(50))
    assert sink.opened == [("words", 3, {"a": "b"})]
    assert sink.closed == 1
    assert (thread.dropped_count, thread.error_count) == (0, 0)


def test_what_waits_is_handed_over_before_the_end(start):
    sink = ScriptedSink()
    sink.gate.clear()
    thread = start(sink)
    for number in range(5):
        thread.put(record(number))
    thread.ask_to_stop()
    sink.gate.set()
    assert thread.join(DEADLINE_S)
    assert sink.records == [0, 1, 2, 3, 4]


def test_slow_sink_loses_its_oldest_records_and_holds_no_other(start):
    slow, quick = ScriptedSink(), ScriptedSink()
    slow.gate.clear()
    slow_thread, quick_thread = start(slow, queue_records_max=10), start(quick)
    for number in range(100):
        slow_thread.put(record(number))
        quick_thread.put(record(number))
    until(lambda: len(quick.records) == 100, "the quick sink")
    assert slow.records == []
    slow.gate.set()
    until(lambda: slow.records and slow.records[-1] == 99, "the slow sink")
    assert slow.records[-10:] == list(range(90, 100))
    assert len(slow.records) + slow_thread.dropped_count == 100
    assert quick_thread.dropped_count == 0


@pytest.mark.parametrize("error", [SinkError("full"), ValueError("a plugin's bug")])
def test_record_that_a_sink_refuses_is_counted_and_the_next_one_comes(start, error):
    sink = ScriptedSink()
    sink.error = error
    thread = start(sink)
    thread.put(record(1))
    until(lambda: thread.error_count, "the failure")
    until(lambda: thread.dropped_count == 1, "the count")
    sink.error = None
    thread.put(record(2))
    until(lambda: sink.records == [2], "the next record")


def test_sink_that_cannot_be_opened_is_opened_again(start, monkeypatch):
    monkeypatch.setattr(sink_thread, "REOPEN_PAUSE_S", 0.01)
    sink = ScriptedSink()
    sink.open_errors = [SinkError("not there"), OSError("not yet")]
    thread = start(sink)
    thread.put(record(1))
    until(lambda: sink.records == [1], "the record")
    assert thread.error_count == 2


def test_sink_with_wrong_options_is_given_up_and_what_comes_is_bounded(start, capsys):
    sink = ScriptedSink()
    sink.open_errors = [ConfigError('unknown option "a"')]
    thread = start(sink, queue_records_max=10)
    assert thread.join(DEADLINE_S)
    for number in range(15):
        thread.put(record(number))
    assert thread.dropped_count == 5
    assert 'event=sink_unusable sink=scripted error="unknown option' in capsys.readouterr().err
