"""Losses with real processes: what was lost fails soon, not at its timeout of 30 s."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.system.test_topologies import LEDGER, Cli, _pid_of, cli, total, wait_for

__all__ = ["cli"]
DEADLINE_S = 60
pytestmark = [pytest.mark.system, pytest.mark.slow]


def kill_with_tuples_in_hand(pid: int) -> None:
    """A process that keeps up may have none just then: it is stopped for a moment before."""
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1)
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("victim", ["twice", "stmgr-1"])
def test_trees_of_a_killed_process_fail_before_their_timeout(cli: Cli, victim: str) -> None:
    cli("submit", f"{LEDGER}:Endless")
    wait_for(cli, "Endless", lambda m: total(m, "source", "ack_count") > 0)
    kill_with_tuples_in_hand(_pid_of(victim))

    def failed(metrics: Any) -> bool:
        return total(metrics, "source", "trees_failed_on_loss") > 0

    metrics = wait_for(cli, "Endless", failed)
    assert total(metrics, "source", "loss_notice_count") > 0
    assert total(metrics, "source", "timeout_count") == 0
    seen = total(metrics, "source", "ack_count")
    wait_for(cli, "Endless", lambda m: total(m, "source", "ack_count") > seen)
    cli("kill", "Endless", "--yes", "--wait", "0")


def test_a_loss_is_noticed_without_a_tmaster(cli: Cli) -> None:
    """The supervisor of container 0 is stopped, so that its TMaster stays dead meanwhile."""
    cli("submit", f"{LEDGER}:Endless")
    wait_for(cli, "Endless", lambda m: total(m, "source", "ack_count") > 0)
    tmaster = _pid_of("tmaster")
    supervisor = int(Path(f"/proc/{tmaster}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(supervisor, signal.SIGSTOP)
    try:
        os.kill(tmaster, signal.SIGKILL)
        kill_with_tuples_in_hand(_pid_of("stmgr-1"))
        end = time.monotonic() + DEADLINE_S
        home = Path(os.environ["HERONSHIM_HOME"])
        # The log is made at the first line.
        while "event=trees_failed_on_loss" not in "".join(
            log.read_text() for log in home.glob("topologies/*/container-1/logs/source-*.log")
        ):
            assert time.monotonic() < end, "no tree failed on the loss"
            time.sleep(0.1)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    metrics = wait_for(cli, "Endless", lambda m: total(m, "source", "ack_count") > 0)
    assert total(metrics, "source", "timeout_count") == 0
    cli("kill", "Endless", "--yes", "--wait", "0")
