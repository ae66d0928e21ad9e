"""Frames that vanish on links which live on, and processes that wake after they were replaced.

With real processes and the ledger of the fault matrix. Trees time out after ten minutes only: what
fails sooner fails because the loss was noticed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest

from bench.faults.cell import wait_settled
from bench.faults.cluster import Cluster, wait_until
from bench.faults.ledger import ACK, FAIL
from heronshim.core.io.child import ChildStart
from heronshim.core.io.process_identity import ProcessIdentity, is_alive, send_signal
from tests.system.relay import INBOUND, OUTBOUND, Relay

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(600)]
PENDING = 2
"""So few that a source reaches its limit before rows that wait for lost credit hold it back."""
LOAD = {"LEDGER_PER_S": "500", "LEDGER_TIMEOUT_S": "600"}
DETACHED = Path(__file__).with_name("detached.py")
MODULES = {
    "python": "heronshim.instance.main",
    "stmgr": "heronshim.core.daemons.stmgr",
    "metricsmgr": "heronshim.core.daemons.metricsmgr",
}


@pytest.fixture(autouse=True)
def _nothing_left(audit_folder: Path) -> None:
    """Clusters have homes of their own and look after them."""


def total(cluster: Cluster, name: str) -> float:
    """Return a count over all tasks and processes, in the reports so far."""
    metrics = cluster.cli("metrics", cluster.topology)
    found = [*metrics["tasks"], *metrics["processes"]]
    return sum(one["sums"].get(name, 0.0) for one in found)


def wait_acks(cluster: Cluster) -> None:
    """Wait for acks of what is emitted from now on."""
    now_ns = time.monotonic_ns()
    wait_until(lambda: len(cluster.ledger().of(ACK, now_ns)) > 20, "acks")


def wait_replaced(cluster: Cluster, name: str, old: ProcessIdentity) -> None:
    wait_until(lambda: cluster.processes().get(name, old) != old, f"the next {name}")


def check_ends_well(cluster: Cluster, may_come_twice: Collection[int] = ()) -> None:
    """Everything is acked, once, and nothing is lost or left; nothing had to time out."""
    assert total(cluster, "timeout_count") == 0
    assert cluster.finish() == []
    acked, times = np.unique(cluster.ledger().of(ACK), return_counts=True)
    assert set(acked[times > 1].tolist()) <= set(may_come_twice)


@pytest.mark.parametrize(
    ("process", "direction", "container"),
    [
        ("source-7", INBOUND, 1),
        ("fan-3", OUTBOUND, 1),
        ("fan-3", INBOUND, 1),
        ("stmgr-1", INBOUND, 2),
    ],
    ids=["from the spout", "to a bolt", "from a bolt", "between stream managers"],
)
def test_the_last_frames_are_lost_while_pending_is_full(
    process: str, direction: str, container: int
) -> None:
    """All that the source may have open is stuck, so no frame follows: a heartbeat tells."""
    with Cluster({**LOAD, "LEDGER_PENDING": str(PENDING)}) as cluster:
        cluster.start()
        stmgr = cluster.processes()[f"stmgr-{container}"]
        start = ChildStart.from_json(Path(f"/proc/{stmgr.pid}/fd/0").read_bytes())
        relay = Relay(Path(start.endpoint.removeprefix("ipc://")), cluster.base / "behind")
        try:
            old = cluster.processes()[process]
            assert send_signal(old, signal.SIGKILL)
            wait_replaced(cluster, process, old)
            wait_until(lambda: process in relay.relayed, f"{process} at the relay")
            # What the kill has cost fails before.
            wait_settled(cluster, {}, time.monotonic_ns())
            failed = len(cluster.ledger().of(FAIL))
            relay.lose(process, direction)
            wait_until(lambda: is_stuck(cluster), "a source that waits, its limit reached")
            assert len(cluster.ledger().of(FAIL)) == failed, "nothing told of the loss yet"
            relay.lose_no_more()
            wait_until(lambda: len(cluster.ledger().of(FAIL)) > failed, "failures")
            wait_acks(cluster)
            wait_until(lambda: total(cluster, "trees_failed_on_loss"), "the count of them")
            events = cluster.cli("events", cluster.topology, "--kind", "loss_noticed")["events"]
            assert any("never came" in event["cause"] for event in events), events
            check_ends_well(cluster)
        finally:
            relay.close()


def is_stuck(cluster: Cluster) -> bool:
    """Return whether source-7, whose ids are even, has had the same ids open for a while."""

    def even_open() -> list[int]:
        return [id_ for id_ in cluster.ledger().open_ids().tolist() if id_ % 2 == 0]

    before = even_open()
    time.sleep(1)
    return len(before) >= PENDING and before == even_open()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("python", "source-7"),
        ("python", "fan-3"),
        ("python", "sink-5"),
        ("stmgr", "stmgr-1"),
        ("metricsmgr", "metricsmgr-1"),
    ],
)
def test_a_process_that_wakes_after_it_was_replaced_changes_nothing(kind: str, name: str) -> None:
    """Its supervisor kills a wrapper and cannot reach the process itself."""
    with Cluster({**LOAD, "LEDGER_LIVENESS_S": "8"}) as cluster:
        command = [sys.executable, str(DETACHED), sys.executable, "-P", "-m", MODULES[kind]]
        commands = json.dumps({kind: command})
        (cluster.home / "config.yaml").write_text(
            f"scheduler_options:\n  commands: '{commands}'\n", encoding="utf-8"
        )
        cluster.start()
        old = cluster.processes()[name]
        assert os.getsid(old.pid) == old.pid, "it is apart from its supervisor"
        assert send_signal(old, signal.SIGSTOP)
        stat = Path(f"/proc/{old.pid}/stat")
        wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "its stop")
        # Acks that were on their way to a source it reads when it wakes, before it knows anything.
        on_the_way = cluster.ledger().open_ids().tolist() if name == "source-7" else []
        wait_replaced(cluster, name, old)
        wait_acks(cluster)
        assert is_alive(old)
        refused = total(cluster, "refused_hello_count")
        assert send_signal(old, signal.SIGCONT)
        wait_until(lambda: not is_alive(old), "the end of the old one")
        wait_until(lambda: total(cluster, "refused_hello_count") > refused, "its refusal")
        # Where the new one listens, others still find it.
        other = cluster.processes()["count-1"]
        assert send_signal(other, signal.SIGKILL)
        wait_replaced(cluster, "count-1", other)
        wait_acks(cluster)
        check_ends_well(cluster, on_the_way)
