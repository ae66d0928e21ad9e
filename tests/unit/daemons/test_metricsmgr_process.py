"""A metrics manager process between a scripted stream manager and real sinks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from heronshim.core.codec.link import decode_hello
from heronshim.core.codec.metrics import metrics_from_bytes, metrics_to_bytes
from heronshim.core.io.child import ChildStart
from heronshim.core.io.event_file import EVENTS_FILE, EventFile
from heronshim.core.io.state_layout import TopologyNodes
from heronshim.core.io.tokens import process_token
from heronshim.core.plan.records import TMasterLocation
from heronshim.core.plan.topology import METRICSMGR_TASK
from heronshim.core.plugins.file_state import FileStateManager
from heronshim.core.spi.events import EventRecord
from heronshim.core.spi.metrics_sink import MetricsRecord, TaskRecord
from heronshim.core.spi.scheduler import Launch
from heronshim.core.stream.frame import Kind
from heronshim.core.stream.link import Role

pytestmark = pytest.mark.system

HOST = os.uname().nodename
SECRET = bytes(32)
DEADLINE_S = 90.0


class Installation:
    """A container's folder, its scripted stream manager and its metrics manager's process."""

    def __init__(self, folder: Path, make_router) -> None:
        self.folder = folder
        self.stmgr = make_router()
        secret = folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET.hex())
        (folder / "state").mkdir(mode=0o700)
        self.launch = Launch(
            topology="words",
            topology_id="words-1",
            work_dir=str(folder),
            socket_dir=str(folder),
            secret_path=str(secret),
            python=sys.executable,
            state_manager="file",
            state_options={"root": str(folder / "state")},
            sinks=("nowhere", "file", "tmaster"),
            sink_options={"file": {"folder": str(folder / "metrics")}},
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        token = process_token(SECRET, "words-1", "metricsmgr-2", 4)
        start = ChildStart(self.launch, 2, "metricsmgr-2", 4, token, self.stmgr.endpoint, None)
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "heronshim.core.daemons.metricsmgr"],
                stdin=subprocess.PIPE,
                stderr=log,
            )
        self.process.stdin.write(start.to_json().encode())
        self.process.stdin.close()

    def peer(self) -> bytes:
        """Wait until the manager's newest link is up; return the router's name of it.

        A hello is not enough: on a loaded machine the manager may have given that link up.
        """
        self.until(self._is_up, "the link")
        return self.stmgr.of_kind(Kind.HELLO)[-1].peer

    def _is_up(self) -> bool:
        hellos = self.stmgr.of_kind(Kind.HELLO)
        return bool(hellos) and any(
            frame.peer == hellos[-1].peer and frame.kind != Kind.HELLO
            for frame in reversed(self.stmgr.heard)
        )

    def send(self, record: MetricsRecord) -> None:
        self.stmgr.send(self.peer(), Kind.METRICS, metrics_to_bytes(record), METRICSMGR_TASK)

    def lines(self) -> list[dict]:
        """Return what the file sink wrote."""
        path = self.folder / "metrics" / "words-2.jsonl"
        # A line that is being written has no end yet.
        whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
        return [json.loads(line) for line in whole.splitlines()]

    def written(self, process: str) -> list[dict]:
        self.stmgr.read()
        return [line for line in self.lines() if line["process"] == process]

    def until(self, done: Callable[[], object], what: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while not done():
            if time.monotonic() > end:
                log = (self.folder / "log").read_text()
                pytest.fail(f"waited {DEADLINE_S} s for {what}\n{log}")
            time.sleep(0.005)


@pytest.fixture
def installed(tmp_path, make_router) -> Iterator[Installation]:
    installation = Installation(tmp_path, make_router)
    yield installation
    if installation.process is not None:
        installation.process.kill()
        installation.process.wait()


def record(number: int) -> MetricsRecord:
    task = TaskRecord(1, "line", {"ack_count": 2.0}, histograms={"complete_latency_us": {4: 1}})
    return MetricsRecord("words", "line-1", 2, number, 1000, 1, 1, (task,))


def test_reports_reach_the_sinks_in_order_and_a_missing_sink_is_named(installed):
    installed.start()
    hello = decode_hello((installed.peer(), installed.stmgr.of_kind(Kind.HELLO)[-1])[1].payload)
    assert (hello.role, hello.tasks, hello.process) == (Role.METRICSMGR, (-2,), "metricsmgr-2")
    for number in range(5):
        installed.send(record(number))
    installed.until(lambda: len(installed.written("line-1")) == 5, "the reports")
    assert [line["time_ms"] for line in installed.written("line-1")] == [0, 1, 2, 3, 4]
    installed.until(lambda: installed.written("metricsmgr-2"), "its own report")
    own = installed.written("metricsmgr-2")[0]
    assert own["sums"]["sink_dropped_count/file"] == 0
    assert own["gauges"]["rss_bytes"] > 0
    log = (installed.folder / "log").read_text()
    assert "event=sink_unusable sink=nowhere" in log
    assert "prometheus" in log


def test_unreadable_report_is_counted_and_the_next_one_comes(installed):
    installed.start()
    for kind, payload in ((Kind.METRICS, b"\xff"), (Kind.DATA, b""), (99, b"")):
        installed.stmgr.send(installed.peer(), kind, payload, METRICSMGR_TASK)
    installed.send(record(1))
    installed.until(lambda: installed.written("line-1"), "the good report")
    installed.until(
        lambda: sum(
            line["sums"]["bad_frame_count"] for line in installed.written("metricsmgr-2")
        ) == 3,
        "the count",
    )  # fmt: skip


def test_manager_comes_again_when_its_stmgr_was_restarted(installed, make_router):
    installed.start()
    installed.send(record(1))
    installed.until(lambda: installed.written("line-1"), "the first report")
    installed.stmgr.close()
    installed.stmgr = make_router(installed.stmgr.endpoint)
    installed.send(record(2))
    installed.until(lambda: len(installed.written("line-1")) == 2, "the second report")
    assert decode_hello(installed.stmgr.of_kind(Kind.HELLO)[-1].payload).attempt > 1


def test_tmaster_that_is_found_late_gets_reports_and_held_no_other_sink(installed, make_router):
    installed.start()
    installed.send(record(1))
    installed.until(lambda: installed.written("line-1"), "the file sink without a TMaster")
    tmaster = make_router()
    manager = FileStateManager(installed.launch.state_options)
    TopologyNodes(manager, "words").become_tmaster(TMasterLocation("host", tmaster.endpoint, 1))

    def arrived() -> list[str]:
        installed.stmgr.read()
        frames = tmaster.of_kind(Kind.METRICS)
        return [metrics_from_bytes(frame.payload, "words").process for frame in frames]

    installed.until(lambda: "metricsmgr-2" in arrived(), "a report to the TMaster")
    installed.send(record(2))
    installed.until(lambda: "line-1" in arrived(), "the report of an instance")
    manager.close()


def test_history_is_kept_and_told_again_after_its_own_death(installed):
    folder = installed.folder / "container-2"
    folder.mkdir()
    died = EventRecord("supervisor-2.1.000001", 5, "process_died", "line-1", 2, cause="exit 3")
    begun = EventRecord("line-1.1.000001", 6, "back_pressure_begun", task=1)

    def told() -> list[tuple[str, str, int, bool]]:
        return [
            (event["id"], event["process"], event["container"], event["host"] == HOST)
            for process in ("line-1", "metricsmgr-2")
            for line in installed.written(process)
            for event in line["events"]
        ]

    both = [(died.id, "line-1", 2, True), (begun.id, "line-1", 2, True)]
    installed.start()
    installed.send(replace(record(1), events=(begun,)))
    EventFile(folder / EVENTS_FILE).write([died])
    installed.until(lambda: sorted(told()) == sorted(both), "both events")
    installed.process.kill()
    installed.process.wait()
    installed.start()
    installed.until(lambda: sorted(told()) == sorted(both * 2), "both events again")
    later = replace(died, id="supervisor-2.1.000002")
    EventFile(folder / EVENTS_FILE).write([later])
    installed.until(lambda: (later.id, "line-1", 2, True) in told(), "the event that came later")
    assert len(told()) == 5


def test_sigterm_ends_in_good_order_and_leaves_no_gap(installed):
    installed.start()
    for number in range(200):
        installed.send(record(number))
    installed.until(lambda: installed.written("line-1"), "the first report")
    installed.process.terminate()
    assert installed.process.wait(DEADLINE_S) == 0
    numbers = [line["time_ms"] for line in installed.written("line-1")]
    assert numbers == list(range(len(numbers)))
    assert "event=metricsmgr_stopped" in (installed.folder / "log").read_text()
