"""Kills processes of the demonstration while it counts: what `demo --chaos` does."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from heronshim.core.io.process_identity import identify, send_signal
from heronshim.core.io.processes import has_mark
from heronshim.core.master.messages import CommandKind
from heronshim.demo.chaos import Chaos, Kill, Role, Sample, running_pid
from heronshim.demo.tally import read_tally
from heronshim.errors import DeadlineError

if TYPE_CHECKING:
    from types import TracebackType

    from heronshim.cli.engine import Running
    from heronshim.core.io.control_client import ControlClient
    from heronshim.core.spi.events import EventRecord

AT = (0.25, 0.5, 0.75)
"""Share of the lines acked before each kill."""
SAMPLE_S = 0.02
SAMPLES_MAX = 15_000
"""Five minutes."""
ASK_TIMEOUT_S = 1.0
PENDING_WAIT_S = 5.0
"""So long a kill waits for a moment with something pending."""


class TallySampler:
    """Reads the spout's tally again and again in a thread of its own, until it is left."""

    def __init__(self, results: str) -> None:
        self._results = results
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tally", daemon=True)

    def __enter__(self) -> TallySampler:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def samples(self) -> list[Sample]:
        """Return the samples so far, oldest first."""
        while True:
            try:
                return list(self._samples)
            except RuntimeError:
                # The thread appended meanwhile.
                continue

    def now(self) -> Sample:
        """Read the tally at this moment."""
        tally = read_tally(self._results)
        return Sample(time.time_ns() // 1_000_000, tally.acked, tally.failed, tally.open)

    def _run(self) -> None:
        while not self._stopping.wait(SAMPLE_S):
            self._samples.append(self.now())


class ChaosRun:
    """Kills the victims of one run of the demonstration when they are due. One thread."""

    def __init__(self, running: Running, sampler: TallySampler, lines: int) -> None:
        self._running = running
        self._sampler = sampler
        self.chaos = Chaos(_victims(running), lines)
        self._history: list[EventRecord] = []

    def tally(self) -> Sample:
        """Return how far the spout is."""
        return self._sampler.now()

    def turn(self, client: ControlClient) -> None:
        """Do what is due: kill a victim, or see what became of the last one."""
        self._take_history(client)
        self.chaos.look(self._history, self._sampler.samples())
        kill = self.chaos.due(self._sampler.now())
        if kill is not None:
            self._kill(kill)

    def finish(self, client: ControlClient, timeout_s: float) -> None:
        """Wait until the last victim is back, or nothing more is to be expected."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and not all(kill.is_done for kill in self.chaos.kills):
            self.turn(client)
            time.sleep(SAMPLE_S)

    def _kill(self, kill: Kill) -> None:
        pid = running_pid(self._history, kill.process)
        identity = identify(pid)
        # A process id may belong to somebody else by now.
        mark = f"@{self._running.engine.work_dir(self._running.name)}"
        if identity is None or not has_mark(pid, mark):
            self.chaos.killed(kill, 0, self._sampler.now())
            return
        sample = self._sampler.now()
        end = time.monotonic() + PENDING_WAIT_S
        while not sample.open and time.monotonic() < end:
            time.sleep(0.001)
            sample = self._sampler.now()
        killed = send_signal(identity, signal.SIGKILL)
        self.chaos.killed(kill, pid if killed else 0, sample)

    def _take_history(self, client: ControlClient) -> None:
        """Ask for the history; while no TMaster answers there is none."""
        try:
            reply = client.ask(CommandKind.EVENTS, ASK_TIMEOUT_S)
        except DeadlineError:
            return
        self._history = list(reply.events)


def _victims(running: Running) -> list[Kill]:
    """Return who is to die: of the bolts only a splitting one, since those that count hold state.

    The stream manager is one without the spout, if there is one.
    """
    processes = [
        (container.id, process)
        for container in running.packing_plan.containers
        for process in container.processes
    ]
    splitting = next(process.id for _, process in processes if process.component == "split")
    with_spout = {id_ for id_, process in processes if process.component == "lines"}
    containers = sorted({id_ for id_, _ in processes}, key=lambda id_: (id_ in with_spout, id_))
    names = (
        (Role.INSTANCE, splitting),
        (Role.STMGR, f"stmgr-{containers[0]}"),
        (Role.TMASTER, "tmaster"),
    )
    return [Kill(role, name, at) for (role, name), at in zip(names, AT, strict=True)]


def kill_value(kill: Kill) -> dict[str, Any]:
    """Return a kill as JSON shows it."""
    joined_s = (kill.joined_ms - kill.killed_ms) / 1000 if kill.joined_ms else None
    return {
        "role": str(kill.role),
        "process": kill.process,
        "at": kill.at,
        "was_running": kill.was_running,
        "pid_before": kill.pid_before or None,
        "pid_after": kill.pid_after or None,
        "pending": kill.pending,
        "trees_failed": kill.trees_failed,
        "seconds_to_join": joined_s,
        "seconds_to_recover": kill.recovery_s,
    }
