"""A stream manager and a topology master as processes that attacks of one module share.

After each test `undisturbed` shows that the well-behaved peers kept their links and went on, and
that the process did not grow.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from heronshim.core.codec.records import tmaster_location_to_bytes
from heronshim.core.io.child import ChildStart
from heronshim.core.io.sockets import router
from heronshim.core.io.state_layout import TopologyNodes
from heronshim.core.io.tokens import process_token
from heronshim.core.plan.records import ExecutionState, TMasterLocation
from heronshim.core.plugins.file_state import FileStateManager
from heronshim.core.spi.scheduler import Launch
from tests.input.peers import (
    GROWTH_BYTES_MAX,
    SECRET,
    TOPOLOGY_ID,
    Daemon,
    Peers,
    StmgrPeers,
    packing,
    topology,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("in")
    secret = made / "secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET.hex())
    (made / "state").mkdir(mode=0o700)
    return made


@pytest.fixture(scope="module")
def launch(folder: Path) -> Launch:
    return Launch(
        topology="words",
        topology_id=TOPOLOGY_ID,
        work_dir=str(folder),
        socket_dir=str(folder),
        secret_path=str(folder / "secret"),
        python=sys.executable,
        state_manager="file",
        state_options={"root": str(folder / "state")},
    )


@pytest.fixture(scope="module")
def state(launch: Launch) -> Iterator[TopologyNodes]:
    manager = FileStateManager(launch.state_options)
    nodes = TopologyNodes(manager, "words")
    nodes.create(topology(), packing(), ExecutionState("words", TOPOLOGY_ID, 1, "me", "local"))
    yield nodes
    manager.close()


@pytest.fixture(scope="module")
def stmgr(folder: Path, launch: Launch, state: TopologyNodes) -> Iterator[Daemon]:
    """A stream manager with its peers, `peers`."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    master = router(context)
    master.bind(f"ipc://{folder}/m")
    # Of no session, so that nobody has to renew it.
    location = TMasterLocation("here", f"ipc://{folder}/m", os.getpid(), 1)
    state._manager.put("/topologies/words/tmaster", tmaster_location_to_bytes(location))
    start = ChildStart(
        launch, 1, "stmgr-1", 1, process_token(SECRET, TOPOLOGY_ID, "stmgr-1", 1),
        f"ipc://{folder}/s", packing().containers[0],
    )  # fmt: skip
    daemon = Daemon(folder, [sys.executable, "-m", "heronshim.core.daemons.stmgr"], start)
    daemon.peers = peers = StmgrPeers(daemon, master)
    try:
        peers.wait(lambda: peers.done > 10, "the first exchanges")
        yield daemon
    finally:
        peers.close()
        daemon.stop()
        context.destroy(linger=0)


@pytest.fixture
def undisturbed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check after a test that the daemon of the module and its good peers went on."""
    daemon: Daemon = request.getfixturevalue(request.module.DAEMON)
    peers: Peers = daemon.peers
    daemon.reset_peak()
    base_bytes = daemon.peak_bytes()
    yield
    at_end = peers.done
    peers.wait(lambda: peers.done > at_end + 10, "exchanges after the attack")
    assert peers.ended == []
    growth = daemon.peak_bytes() - base_bytes
    assert growth <= GROWTH_BYTES_MAX, f"the process grew by {growth >> 20} MB"
