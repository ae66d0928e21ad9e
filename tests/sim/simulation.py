"""One seed, one run: `simulate(seed)` raises SimulationFailed, or says what happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

import pytest

from heronshim.core.io import logs, usage
from tests.sim.cluster import START_NS, Cluster, S
from tests.sim.faults import Faults, random_shape
from tests.sim.ledger import Violation

SETTLE_NS = 20 * S
"""Virtual time after the last fault within which every number must be acked."""


class SimulationFailed(AssertionError):
    """Names the seed, and how to see what led to it."""


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    seed: int
    kinds: tuple[str, ...]
    virtual_s: float
    executed: int
    retries: int
    frames: int


def simulate(seed: int, story: list[str] | None = None) -> Result:
    """Run one seed; `story` receives a line for each thing that happens."""
    rng = Random(seed)
    shape = random_shape(rng)
    cluster = Cluster(rng.getrandbits(64), shape, story)
    with quiet_machine(cluster):
        faults = Faults(cluster)
        try:
            _run(cluster, faults)
        except Exception as error:
            what = str(error) if isinstance(error, Violation) else f"{cluster.running}: {error!r}"
            msg = f"seed {seed}: {what}\nto see what led to it: make sim ARGS='--story {seed}'"
            raise SimulationFailed(msg) from error
        finally:
            cluster.close()
    return Result(
        seed,
        tuple(faults.kinds),
        (cluster.now_ns - START_NS) / S,
        cluster.ledger.executed,
        sum(cluster.ledger.attempts.values()) - len(cluster.ledger.attempts),
        cluster.net.sent_frames,
    )


def _run(cluster: Cluster, faults: Faults) -> None:
    ledger = cluster.ledger
    cluster.run(faults.end_ns)
    faults.stop()
    end_ns = cluster.now_ns + SETTLE_NS
    if not cluster.run(end_ns, ledger.done):
        missing = sorted(ledger.all_numbers() - ledger.acked)
        cluster.violated(f"not settled {SETTLE_NS // S} s after the last fault: {missing}")
    # What a process that is gone had acked may be on its way once more.
    if not cluster.run(end_ns, lambda: not cluster.pending()):
        cluster.violated(f"all is acked, but {cluster.pending()} trees are open")


class _NothingUsed:
    """Stands for the module `resource`: a look at what was used took 2 ms."""

    RUSAGE_SELF = 0
    ru_utime = ru_stime = 0.0

    def getrusage(self, _who: int) -> _NothingUsed:
        return self

    def getpagesize(self) -> int:
        return 4096


@contextmanager
def quiet_machine(cluster: Cluster) -> Iterator[None]:
    """Let what processes log be part of the story; what they use of the machine is nothing."""

    def line(_level: str, event: str, **fields: object) -> str:
        if cluster.telling:
            fields.pop("pid", None)
            words = " ".join(f"{name}={value}" for name, value in fields.items())
            cluster.note(f"    {cluster.running}: {event} {words}")
        return ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "event_line", line)
        patch.setattr(usage, "resource", _NothingUsed())
        yield
