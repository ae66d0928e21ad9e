"""The gateway's Cluster: what the verbs of the command line do, for many callers at once."""

from __future__ import annotations

import tempfile
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from heronshim.cli.engine import Engine
from heronshim.cli.master import ask
from heronshim.cli.progress import Steps
from heronshim.cli.removal import remove_topology
from heronshim.cli.submission import submit
from heronshim.core.io.logs import log_event
from heronshim.core.master.messages import CommandKind
from heronshim.core.plan.physical import TopologyState
from heronshim.errors import HeronshimError, NotFoundError
from heronshim.instance.loader import LoadedTopology
from heronshim.storm.cluster import TopologyFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.core.master.messages import CommandReply, MetricsSnapshot
    from heronshim.core.plan.topology import Topology
    from heronshim.core.spi.metrics_sink import ErrorRecord


KEPT_FILES_MAX = 32
KEPT_BYTES_MAX = 1 << 20
"""Of one file: what a client's message holds by default."""


class EngineCluster:
    """See `heronshim.storm.cluster.Cluster`. Each call has a session of its own: an Engine is for
    one thread."""

    def __init__(self) -> None:
        self._fetching = threading.Lock()
        self._kept: dict[tuple[str, str], bytes] = {}
        """Files of packages, by URI and path: what is asked for again and again. They never
        change."""

    def names(self) -> list[str]:
        """Return the names of all topologies, ascending."""
        with Engine.open() as engine:
            return engine.names()

    def facts(self, name: str) -> TopologyFacts:
        """Return what the state manager has."""
        with Engine.open() as engine:
            running = engine.find(name)
            physical = running.state.physical_plan()
            return TopologyFacts(running.record, running.topology, running.packing_plan, physical)

    def submit(self, topology: Topology, files: Mapping[str, Path], *, active: bool) -> None:
        """Start a topology whole or not at all."""
        state = TopologyState.ACTIVE if active else TopologyState.INACTIVE
        with Engine.open() as engine:
            loaded = LoadedTopology(topology, dict(files), ())
            submit(engine, loaded, Steps(quiet=True), state)

    def switch(self, name: str, *, active: bool) -> None:
        """Activate or deactivate a topology."""
        kind = CommandKind.ACTIVATE if active else CommandKind.DEACTIVATE
        with Engine.open() as engine:
            ask(engine.find(name), kind)

    def kill(self, name: str, topology_id: str) -> None:
        """Remove a topology at once, unless it has another id; an empty id is any."""
        with Engine.open() as engine:
            remove_topology(engine, name, Steps(quiet=True), 0.0, topology_id)

    def metrics(self, name: str) -> MetricsSnapshot | None:
        """Return what tasks count; None while nobody answers."""
        reply = self._asked(name, CommandKind.METRICS)
        return reply.metrics if reply else None

    def errors(self, name: str) -> tuple[ErrorRecord, ...]:
        """Return errors of user code; none while nobody answers."""
        reply = self._asked(name, CommandKind.ERRORS)
        return reply.errors if reply else ()

    def package_file(self, name: str, path: str) -> bytes:
        """Return a file of the package; raises NotFoundError."""
        with Engine.open() as engine:
            uri = engine.find(name).record.package_uri
            # A package may have 1 GiB: no two copies of it at one time.
            with self._fetching:
                found = self._kept.get((uri, path))
                if found is None:
                    found = _fetched(engine, name, uri, path)
                    self._keep((uri, path), found)
        return found

    def _keep(self, key: tuple[str, str], content: bytes) -> None:
        if len(content) <= KEPT_BYTES_MAX:
            if len(self._kept) >= KEPT_FILES_MAX:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = content

    def _asked(self, name: str, kind: CommandKind) -> CommandReply | None:
        try:
            with Engine.open() as engine:
                return ask(engine.find(name), kind)
        except HeronshimError as error:
            log_event("WARNING", "tmaster_silent", topology=name, cause=error)
            return None


def _fetched(engine: Engine, name: str, uri: str, path: str) -> bytes:
    """Return a file of a package as the uploader has it."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "package.zip"
        engine.uploader().fetch(uri, package)
        try:
            with zipfile.ZipFile(package) as archive:
                return archive.read(path)
        except (KeyError, zipfile.BadZipFile) as error:
            msg = f'topology "{name}" did not come from a Storm client: no {path}'
            raise NotFoundError(msg) from error
