"""`make soak`: a random nemesis against a ledger topology, for as long as one wants.

It kills, stops, starves, restarts and misleads whatever it likes, also what is just coming back.
Every so often it rests: then all that was emitted before must be acked, and no process may be
there twice. At the end the ledger is checked, and that no process grew or opened more and more.
The seed decides what happens; when it happens depends on the machine as well.
"""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from bench.faults import injection
from bench.faults.cell import wait_settled
from bench.faults.cluster import Hung, wait_until
from bench.faults.ledger import ACK, EMIT, FAIL
from bench.faults.matrix import PROCESSES
from bench.faults.rigs import own_clocks
from heronshim.core.io.process_identity import send_signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.faults.cluster import Cluster
    from heronshim.core.io.process_identity import ProcessIdentity

LOAD = {"LEDGER_PER_S": "500", "LEDGER_UNRULY": "1"}
PAUSE_S_MAX = 4.0
"""Longest time between two deeds."""
STOP_S_MAX = 6.0
REST_S = 45.0
"""Time between two rests."""
SETTLE_S_MAX = 240.0
"""Only guards against hanging: back-off may have grown to seconds at several processes."""
CLOCK_S_MAX = 100_000
YOUNG_S = 20.0
"""A process has its caches by then; what it holds later counts as growth."""
SPARE_MB = 12.0
"""How much a process may swing."""
SLOPE_PERCENT_PER_H = 1.0
SPARE_DESCRIPTORS = 16
"""Links that come and go while somebody is looking."""


@dataclass
class Life:
    """What one process used, from when it was YOUNG_S old."""

    born_s: float
    at_s: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)

    def look(self, identity: ProcessIdentity, now_s: float) -> None:
        """Take a sample of a process that lives."""
        if now_s - self.born_s < YOUNG_S:
            return
        try:
            pages = int(Path(f"/proc/{identity.pid}/statm").read_text().split()[1])
            descriptors = len(list(Path(f"/proc/{identity.pid}/fd").iterdir()))
        except OSError:
            return
        self.at_s.append(now_s)
        self.rss_mb.append(pages * 4096 / 1e6)
        self.descriptors.append(descriptors)

    def problem(self) -> str:
        """Return how it grew too much, or an empty string."""
        if len(self.at_s) < 3:
            return ""
        hours = (self.at_s[-1] - self.at_s[0]) / 3600
        # The smallest of the last samples: what it cannot give back.
        held_mb = min(self.rss_mb[-3:])
        allowed_mb = SPARE_MB + self.rss_mb[0] * SLOPE_PERCENT_PER_H / 100 * hours
        if held_mb - self.rss_mb[0] > allowed_mb:
            slope = np.polyfit(self.at_s, self.rss_mb, 1)[0] * 3600
            return f"grew from {self.rss_mb[0]:.0f} to {held_mb:.0f} MB ({slope:.0f} MB/h)"
        if min(self.descriptors[-3:]) - self.descriptors[0] > SPARE_DESCRIPTORS:
            return f"had {self.descriptors[0]} descriptors open, then {self.descriptors[-1]}"
        return ""


class Soak:
    """One run: what is done, what is seen."""

    def __init__(self, cluster: Cluster, seed: int, say: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._random = Random(seed)
        self._begun_s = time.monotonic()
        self._say_line = say
        self._lives: dict[tuple[str, ProcessIdentity], Life] = {}
        self._deeds: dict[Callable[[], None], int] = {
            self._kill: 10,
            self._stop: 4,
            self._kill_while_stopped: 2,
            self._starve: 2,
            self._forbid_starts: 2,
            self._misbehave: 2,
            self._set_clock: 1,
            self._restart: 1,
            self._deactivate: 1,
        }
        self.problems: list[str] = []

    def run(self, minutes: float) -> None:
        """Do what the nemesis does for that long, then let all come to rest."""
        end_s = self._begun_s + minutes * 60
        rest_s = self._begun_s + REST_S
        while time.monotonic() < end_s:
            time.sleep(self._random.uniform(0, PAUSE_S_MAX))
            (deed,) = self._random.choices(list(self._deeds), list(self._deeds.values()))
            try:
                deed()
            except (ProcessLookupError, FileNotFoundError) as error:
                self._say(f"  it was gone: {error}")
            self._look()
            if rest_s <= time.monotonic() < end_s:
                self._rest()
                rest_s = time.monotonic() + REST_S
        self._rest()
        grown = {name: life.problem() for (name, _), life in self._lives.items()}
        self.problems += [f"{name} {problem}" for name, problem in grown.items() if problem]

    def _say(self, what: str) -> None:
        self._say_line(f"{time.monotonic() - self._begun_s:7.1f} s  {what}")

    def _look(self) -> None:
        now_s = time.monotonic()
        for key in self._cluster.all_processes():
            self._lives.setdefault(key, Life(now_s)).look(key[1], now_s)

    def _rest(self) -> None:
        """Everything is there once, and all that was open is acked."""
        cluster = self._cluster
        before_ns = time.monotonic_ns()
        # Who looks brings a launcher back that died together with the TMaster's supervisor.
        self._command("describe")
        wait_until(self._is_whole, "each process to be there once", SETTLE_S_MAX)
        wait_settled(cluster, {}, before_ns, SETTLE_S_MAX)
        ledger = cluster.ledger()
        self._say(f"at rest: {len(ledger.of(ACK)):,} acked, {len(ledger.of(FAIL)):,} failed")
        self._look()

    def _is_whole(self) -> bool:
        names = sorted(name for name, _ in self._cluster.all_processes())
        return names == sorted(set(names)) and set(PROCESSES.values()) <= set(names)

    # ---- deeds ----

    def _some(self, least: int = 1, most: int = 1) -> dict[str, ProcessIdentity]:
        """Return processes that live now, chosen by chance. Sorted, so that the seed decides."""
        found = self._cluster.processes()
        count = min(self._random.randint(least, most), len(found))
        return {name: found[name] for name in self._random.sample(sorted(found), count)}

    def _kill(self) -> None:
        victims = self._some(1, self._random.choice([1, 1, 1, 2, 4]))
        self._say(f"kill {' '.join(victims)}")
        for victim in victims.values():
            send_signal(victim, signal.SIGKILL)

    def _stop(self) -> None:
        victims = self._some(1, 2)
        seconds = self._random.uniform(0, STOP_S_MAX)
        self._say(f"stop {' '.join(victims)} for {seconds:.1f} s")
        with injection.stopped(victims.values()):
            time.sleep(seconds)

    def _kill_while_stopped(self) -> None:
        victims = self._some(1, 2)
        seconds = self._random.uniform(0, STOP_S_MAX)
        self._say(f"stop {' '.join(victims)} for {seconds:.1f} s, and meanwhile")
        with injection.stopped(victims.values()):
            self._kill()
            time.sleep(seconds)

    def _starve(self) -> None:
        ((name, victim),) = self._some().items()
        self._say(f"no new descriptors for {name}, and meanwhile")
        with injection.no_new_descriptors(victim.pid):
            self._kill()
            time.sleep(injection.SHORTAGE_S)

    def _forbid_starts(self) -> None:
        ((name, victim),) = self._some().items()
        self._say(f"no new threads or processes for {name}, and meanwhile")
        with injection.no_new_tasks(victim.pid):
            self._kill()
            time.sleep(injection.SHORTAGE_S)

    def _misbehave(self) -> None:
        newest = int(self._cluster.ledger().of(EMIT).max())
        soon = " ".join(str(newest + self._random.randint(1, 2000)) for _ in range(3))
        what = self._random.choice(["memory 3", "memory 4", f"raise {soon}", f"exit {soon}"])
        self._say(f"fans do: {what}")
        with injection.orders(self._cluster, what):
            time.sleep(injection.SHORTAGE_S)

    def _set_clock(self) -> None:
        container = self._random.randint(0, 2)
        offset_s = self._random.randint(-CLOCK_S_MAX, CLOCK_S_MAX)
        self._say(f"clock of container {container} off by {offset_s} s")
        file = self._cluster.work_dir / f"container-{container}" / "clock"
        file.write_text(str(offset_s))

    def _restart(self) -> None:
        container = self._random.randint(0, 2)
        self._command("restart", "--yes", "--container", str(container))

    def _deactivate(self) -> None:
        self._command("deactivate")
        time.sleep(self._random.uniform(0, PAUSE_S_MAX))
        while not self._command("activate"):
            time.sleep(1)

    def _command(self, verb: str, *words: str) -> bool:
        """Give an order; it may be refused, as its TMaster may be dead."""
        self._say(f"heronshim {verb} {' '.join(words)}")
        try:
            self._cluster.cli(verb, self._cluster.topology, *words)
        except RuntimeError as error:
            self._say(f"  {error}")
            return False
        return True


def soak(minutes: float, seed: int, say: Callable[[str], None]) -> list[str]:
    """Run for some minutes; return what was wrong."""
    say(f"make soak MINUTES={minutes:g} SEED={seed}")
    with own_clocks(LOAD) as cluster:
        run = Soak(cluster, seed, say)
        try:
            run.run(minutes)
        except Hung as error:
            return [*run.problems, str(error)]
        return [*run.problems, *cluster.finish()]


def main() -> int:
    """Soak, print, return an exit code."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    options = parser.parse_args()
    wrong = soak(options.minutes, options.seed, lambda line: print(line, flush=True))
    print("\n".join(wrong) or "all is well")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
