"""Losses with real processes: what was lost fails soon, not at its timeout of 30 s."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from tests.system.test_topologies import LEDGER, Cli, _pid_of, cli, total, wait_for

__all__ = ["cli"]
pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.mark.parametrize("victim", ["twice", "stmgr-1"])
def test_trees_of_a_killed_process_fail_before_their_timeout(cli: Cli, victim: str) -> None:
    cli("submit", f"{LEDGER}:Endless")
    wait_for(cli, "Endless", lambda m: total(m, "source", "ack_count") > 0)
    os.kill(_pid_of(victim), signal.SIGKILL)

    def noticed(metrics: Any) -> bool:
        return total(metrics, "source", "loss_notice_count") > 0

    metrics = wait_for(cli, "Endless", noticed)
    assert total(metrics, "source", "timeout_count") == 0
    seen = total(metrics, "source", "ack_count")
    wait_for(cli, "Endless", lambda m: total(m, "source", "ack_count") > seen)
    cli("kill", "Endless", "--yes", "--wait", "0")
