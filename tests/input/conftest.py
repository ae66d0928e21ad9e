"""A stream manager and a topology master as processes that attacks of one module share.

After each test `undisturbed` shows that the well-behaved peers kept their links and went on, and
that the process did not grow.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import zmq

from heronshim.core.codec.records import tmaster_location_to_bytes
from heronshim.core.io.sockets import router
from heronshim.core.plan.records import TMasterLocation
from tests.input.peers import (
    GROWTH_BYTES_MAX,
    Daemon,
    Installation,
    MasterPeers,
    Peers,
    StmgrPeers,
)


@pytest.fixture(scope="module")
def stmgr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A stream manager with its peers, `peers`."""
    installed = Installation(tmp_path_factory.mktemp("in"))
    folder = installed.folder
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    master = router(context)
    master.bind(f"ipc://{folder}/m")
    # Of no session, so that nobody has to renew it.
    location = TMasterLocation("here", f"ipc://{folder}/m", os.getpid(), 1)
    installed.manager.put("/topologies/words/tmaster", tmaster_location_to_bytes(location))
    daemon = installed.start(1, "stmgr-1", "stmgr")
    daemon.peers = peers = StmgrPeers(daemon, master)
    try:
        peers.wait(lambda: peers.done > 10, "the first exchanges")
        yield daemon
    finally:
        peers.close()
        daemon.stop()
        context.destroy(linger=0)
        installed.manager.close()


@pytest.fixture(scope="module")
def tmaster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A TMaster with its peers, `peers`."""
    installed = Installation(tmp_path_factory.mktemp("in"))
    daemon = installed.start(0, "tmaster", "tmaster")
    daemon.peers = peers = MasterPeers(daemon)
    try:
        peers.wait(lambda: peers.done > 10, "the first exchanges")
        yield daemon
    finally:
        peers.close()
        daemon.stop()
        installed.manager.close()


@pytest.fixture(scope="module", params=["stmgr", "tmaster"])
def daemon(request: pytest.FixtureRequest) -> Daemon:
    """Either of both: what they do alike."""
    found: Daemon = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def undisturbed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check after a test that the daemon under attack and its good peers went on."""
    target: Daemon = request.getfixturevalue(request.module.DAEMON)
    peers: Peers = target.peers
    target.reset_peak()
    base_bytes = target.peak_bytes()
    yield
    at_end = peers.done
    peers.wait(lambda: peers.done > at_end + 10, "exchanges after the attack")
    assert peers.ended == []
    growth = target.peak_bytes() - base_bytes
    assert growth <= GROWTH_BYTES_MAX, f"the process grew by {growth >> 20} MB"
