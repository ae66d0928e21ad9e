"""One cell of the matrix: data flows, a fault happens, and what the ledger says of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.faults.cluster import DEADLINE_S, wait_until
from bench.faults.ledger import FAIL
from bench.faults.records import NS, SUSTAINED_NS, problems, sizes

if TYPE_CHECKING:
    from bench.faults.cluster import Cluster
    from bench.faults.matrix import Cell
    from bench.faults.records import Ledger
    from heronshim.core.io.process_identity import ProcessIdentity

STEADY_S = 3.0
"""How long data flows before a fault; the rate before is counted over it."""
WATCH_S = 1.0 + SUSTAINED_NS / NS
"""How long data flows after all is back, so that the rate is seen to be back."""
GAP_MIN_S = 0.2
"""A shorter silence of a sink is none: sources emit every 0.05 s, hosts are busy."""
POLL_S = 0.1


@dataclass
class Outcome:
    """What one run of a cell showed. Seconds count from the fault."""

    cell: str
    first_tuple_s: float = 0.0
    """To the first tuple of the last task that was restarted, or to the end of the silence."""
    back_s: float | None = None
    """To 95 % of the rate before; None: never while it was watched."""
    gap_s: float = 0.0
    """Longest silence at any one sink."""
    rate_before: float = 0.0
    """Rows per second at the sinks."""
    trees_failed: int = 0
    duplicates: int = 0
    """Ids of which a row came twice."""
    pending: int = 0
    """Ids that were open at some moment between the fault and the recovery."""
    restarted: list[str] = field(default_factory=list)
    """Processes that are others than before."""
    rss_peak_mb: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """What at-least-once delivery does not allow."""


def run_cell(
    cluster: Cluster,
    cell: Cell,
    *,
    steady_s: float = STEADY_S,
    watch_s: float = WATCH_S,
) -> Outcome:
    """Let data flow, inject a fault, wait until all that was emitted before its end is acked.

    Raises:
        Hung: the topology did not come back.
    """
    cluster.broken = True
    wait_settled(cluster, sizes(cluster.ledger_folder), time.monotonic_ns())
    begin, before = sizes(cluster.ledger_folder), cluster.processes()
    steady_ns = time.monotonic_ns()
    time.sleep(steady_s)
    fault_ms, fault_ns = time.time_ns() // 1_000_000, time.monotonic_ns()
    cell.inject(cluster)
    wait_until(lambda: before.keys() <= cluster.processes().keys(), f"{cell.name}: all processes")
    wait_settled(cluster, begin, time.monotonic_ns())
    for wanted in cell.shows:
        wait_until(partial(_is_shown, cluster, wanted, fault_ms), f"{wanted} to be shown")
    time.sleep(watch_s)
    cluster.broken = False
    return _outcome(cluster, cell.name, cluster.ledger(begin), before, (steady_ns, fault_ns))


def _is_shown(cluster: Cluster, wanted: tuple[str, ...], since_ms: int) -> bool:
    """Return whether a verb lists something that is newer and holds all words."""
    verb, *words = wanted
    items = cluster.cli(verb, cluster.topology)[verb]
    texts = [json.dumps(item) for item in items if item["time_ms"] >= since_ms]
    return any(all(word in text for word in words) for text in texts)


def wait_settled(
    cluster: Cluster, begin: dict[str, int], before_ns: int, deadline_s: float = DEADLINE_S
) -> None:
    """Wait until rows arrive and all ids that were emitted before are settled.

    Looks at what was written from where `sizes` was when it gave `begin`.
    """

    def settled() -> bool:
        time.sleep(POLL_S)
        ledger = cluster.ledger(begin)
        flows = len(ledger.sink_ns) > 0 and int(ledger.sink_ns[-1]) > before_ns
        return flows and not len(ledger.open_ids(before_ns))

    wait_until(settled, "rows, and acks of all that was open", deadline_s)


def _outcome(
    cluster: Cluster,
    name: str,
    ledger: Ledger,
    before: dict[str, ProcessIdentity],
    times_ns: tuple[int, int],
) -> Outcome:
    """Say what the records of one cell show. `times_ns`: when it began, and the fault."""
    steady_ns, fault_ns = times_ns
    now_ns = time.monotonic_ns()
    after = cluster.processes()
    rate = ledger.rate(steady_ns, fault_ns)
    back_ns = ledger.back_at(fault_ns, rate, now_ns)
    gap_begin_ns, gap_end_ns = ledger.gap(fault_ns, now_ns)
    gap_s = (gap_end_ns - gap_begin_ns) / NS
    firsts = [life.first_ns for life in ledger.task_lives if life.opened_ns > fault_ns]
    if gap_s > GAP_MIN_S:
        firsts.append(gap_end_ns)
    first_ns = max([fault_ns, *firsts])
    end_ns = max(first_ns, back_ns or now_ns)
    return Outcome(
        cell=name,
        first_tuple_s=(first_ns - fault_ns) / NS,
        back_s=None if back_ns is None else (back_ns - fault_ns) / NS,
        gap_s=gap_s,
        rate_before=rate,
        trees_failed=len(ledger.of(FAIL, fault_ns)),
        duplicates=len(ledger.repeated(fault_ns)),
        pending=ledger.open_during(fault_ns, end_ns),
        restarted=sorted(key for key in before if after.get(key) != before[key]),
        rss_peak_mb={key: peak for key, item in after.items() if (peak := _peak_mb(item.pid))},
        problems=problems(ledger, whole=False),
    )


def _peak_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
