"""The fault matrix: which fault happens to whom, and why some never happen to some.

Each cell that applies is a named test in tests/system/faults; `make recovery` measures them.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.faults.cluster import wait_until
from heronshim.core.io.process_identity import is_alive, send_signal

if TYPE_CHECKING:
    from bench.faults.cluster import Cluster
    from heronshim.core.io.process_identity import ProcessIdentity

PROCESSES = {
    "source": "source-7",
    "fan": "fan-3",
    "count": "count-1",
    "sink": "sink-5",
    "stmgr": "stmgr-1",
    "metricsmgr": "metricsmgr-1",
    "supervisor": "supervisor-1",
    "tmaster": "tmaster",
    "tmaster-supervisor": "supervisor-0",
    "launcher": "launcher",
}
"""Victims by the names that cells use: a process of the ledger topology for each."""
INSTANCES = ("source", "fan", "count", "sink")
NO_DATA = ("metricsmgr", "tmaster", "tmaster-supervisor", "launcher")
"""No tuple passes through these: without them no tree fails and none is replayed."""
CHILDREN = {
    "supervisor": ("stmgr-1", "metricsmgr-1", "source-7", "fan-3", "count-1", "sink-5"),
    "tmaster-supervisor": ("tmaster", "metricsmgr-0"),
}
"""Who dies with a victim."""
TWO_AT_ONCE = (
    ("source", "sink"),
    ("fan", "stmgr"),
    ("count", "tmaster"),
    ("stmgr", "tmaster"),
    ("stmgr", "metricsmgr"),
    ("supervisor", "tmaster"),
    ("supervisor", "launcher"),
    ("supervisor", "tmaster-supervisor"),
    ("tmaster", "launcher"),
)
PAUSE_S = 5.0
AWAKE_S = 1.0
PROCESS_FAULTS = ("kill", "pause")
"""Faults of one process; each victim has a cell or a reason for each."""
FAULTS = ("kill", "kill two", "pause")
EXCLUDED: dict[tuple[str, str], str] = {}
"""(fault, victim) -> why there is no such cell."""


@dataclass(frozen=True)
class Cell:
    """One fault and whom it befalls."""

    fault: str
    victims: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name in tables, and of the test."""
        return f"{self.fault} {'+'.join(self.victims)}"

    @property
    def processes(self) -> tuple[str, ...]:
        """The processes that are meant."""
        return tuple(PROCESSES[victim] for victim in self.victims)

    @property
    def restarts(self) -> set[str]:
        """Processes that are others afterwards."""
        if self.fault == "pause":
            return set()
        return {*self.processes, *(c for v in self.victims for c in CHILDREN.get(v, ()))}

    @property
    def spares_data(self) -> bool:
        """Whether no tree may fail."""
        return set(self.victims) <= set(NO_DATA)

    def inject(self, cluster: Cluster) -> None:
        """Make it happen; returns when it is over, except that nobody is back yet."""
        {"kill": kill, "kill two": kill, "pause": pause}[self.fault](cluster, *self.processes)


def cells(fault: str) -> list[Cell]:
    """Return the cells of one fault."""
    if fault == "kill two":
        return [Cell(fault, pair) for pair in TWO_AT_ONCE]
    return [Cell(fault, (name,)) for name in PROCESSES if (fault, name) not in EXCLUDED]


def all_cells() -> list[Cell]:
    """Return the whole matrix."""
    return [cell for fault in FAULTS for cell in cells(fault)]


def kill(cluster: Cluster, *names: str) -> None:
    """SIGKILL processes, as nearly at once as can be, and see that they are gone."""
    victims = _signal(cluster, names, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, victims)), f"the end of {names}")


def pause(cluster: Cluster, *names: str) -> None:
    """SIGSTOP processes and let them go on PAUSE_S later."""
    victims = _signal(cluster, names, signal.SIGSTOP)
    time.sleep(PAUSE_S)
    for victim in victims:
        send_signal(victim, signal.SIGCONT)
    # Whoever finds that it was thought dead ends now, in this cell.
    time.sleep(AWAKE_S)


def _signal(
    cluster: Cluster, names: tuple[str, ...], number: signal.Signals
) -> list[ProcessIdentity]:
    processes = cluster.processes()
    victims = [processes[name] for name in names]
    for name, victim in zip(names, victims, strict=True):
        assert send_signal(victim, number), f"{name} was gone before"
    return victims
