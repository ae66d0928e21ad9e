"""A Nimbus that starts nothing: it checks and plans what is submitted, and keeps it."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heronshim.core.io.packages import pack
from heronshim.errors import HeronshimError, NotFoundError
from heronshim.storm.config_values import parse_conf
from heronshim.storm.nimbus import Nimbus
from heronshim.storm.server import SUBMITTING_METHODS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heronshim.core.master.messages import MetricsSnapshot
    from heronshim.core.plan.topology import Topology
    from heronshim.core.spi.metrics_sink import ErrorRecord
    from heronshim.storm.cluster import TopologyFacts
    from heronshim.storm.thrift_codec import Structure
    from heronshim.storm.uploads import Uploads


@dataclass(frozen=True, slots=True)
class Submission:
    """What one submit brought."""

    name: str
    structure: Structure
    """The StormTopology, as it came."""
    conf: Mapping[str, Any]
    plan: Topology | None
    """None when it was refused."""
    refusal: str = ""


@dataclass(eq=False)
class RecordingCluster:
    """See `heronshim.storm.cluster.Cluster`. It takes what a real one takes, and runs nothing."""

    folder: Path
    """Of ours, for packages; they are removed again."""
    plans: dict[str, Topology] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Return the names of what was taken."""
        return sorted(self.plans)

    def facts(self, name: str) -> TopologyFacts:
        """Raise NotFoundError: nothing runs."""
        msg = f"{name} was recorded, and does not run"
        raise NotFoundError(msg)

    def submit(self, topology: Topology, files: Mapping[str, Path], *, active: bool) -> None:
        """Pack it, as that refuses names of files, and keep the plan."""
        del active
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            pack(files, Path(folder) / "package")
        self.plans[topology.name] = topology

    def switch(self, name: str, *, active: bool) -> None:
        """Raise NotFoundError."""
        self.facts(name)

    def kill(self, name: str, topology_id: str) -> None:
        """Raise NotFoundError."""
        del topology_id
        self.facts(name)

    def metrics(self, name: str) -> MetricsSnapshot | None:
        """Return None: nobody answers."""
        del name
        return None

    def errors(self, name: str) -> tuple[ErrorRecord, ...]:
        """Return none: nobody answers."""
        del name
        return ()

    def package_file(self, name: str, path: str) -> bytes:
        """Raise NotFoundError."""
        msg = f"{name} was recorded: there is no {path}"
        raise NotFoundError(msg)


class RecordingNimbus(Nimbus):
    """Keeps each submit with its refusal, if it was refused."""

    def __init__(self, cluster: RecordingCluster, uploads: Uploads, host: str, port: int) -> None:
        """See `Nimbus`."""
        super().__init__(cluster, uploads, host, port)
        self._recording = cluster
        self.submissions: list[Submission] = []
        self.last_submit_s = 0.0
        """When the last one was answered, on the monotonic clock."""

    def call(self, method: str, arguments: Structure) -> Any:
        """Return what Nimbus answers; see `Nimbus.call`."""
        if method not in SUBMITTING_METHODS:
            return super().call(method, arguments)
        refusal = ""
        try:
            return super().call(method, arguments)
        except HeronshimError as error:
            refusal = str(error)
            raise
        finally:
            self._keep(arguments, refusal)

    def _keep(self, call: Structure, refusal: str) -> None:
        try:
            conf = parse_conf(call["jsonConf"], "")
        except HeronshimError:
            # The refusal says so.
            conf = {}
        plan = None if refusal else self._recording.plans.get(call["name"])
        found = Submission(call["name"], call["topology"], conf, plan, refusal)
        self.submissions.append(found)
        self.last_submit_s = time.monotonic()
