"""Who starts a TMaster again when all that could have done so died with it."""

from __future__ import annotations

import signal

import pytest

from bench.faults.cluster import Cluster
from heronshim.core.io.process_identity import send_signal, wait_ended
from tests.system.faults.conftest import LIGHT

pytestmark = [pytest.mark.system, pytest.mark.slow]
DEADLINE_S = 60.0


@pytest.mark.parametrize("verb", ["deactivate", "metrics"])
def test_any_command_starts_a_tmaster_that_nobody_else_would(verb: str) -> None:
    """Its supervisor would, and the launcher would start that one."""
    with Cluster(LIGHT) as cluster:
        cluster.start()
        found = cluster.processes()
        victims = [found[name] for name in ("launcher", "supervisor-0", "tmaster")]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for victim in victims:
                send_signal(victim, number)
        for victim in victims:
            assert wait_ended(victim, DEADLINE_S)
        cluster.cli(verb, cluster.topology)
        cluster.cli("activate", cluster.topology)
        assert cluster.finish() == []
