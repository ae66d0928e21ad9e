"""A Python instance process: one socket to its stream manager, the author's code in one thread.

The author's thread drives the socket between calls. A call that lasts longer than the watcher's
look is covered by the watcher thread, which takes the socket over under the IO lock: batches
leave on age, heartbeats go out, outcomes come in. (An IO thread that carried all frames was
starved by the GIL: 5.8k frames/s against 1,144k.)
"""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import sys
import threading
import time
import traceback
from random import Random, SystemRandom
from typing import TYPE_CHECKING

from heronshim.core.io.child import ChildStart
from heronshim.core.io.dealer_link import DealerLink, LinkEvent, LinkEventKind, LinkState
from heronshim.core.io.logs import log_event
from heronshim.core.io.surroundings import Surroundings
from heronshim.core.io.usage import Increments, cpu_time_us, rss_bytes
from heronshim.core.stream.frame import TUPLE_KINDS
from heronshim.core.stream.link import Hello, Role
from heronshim.errors import ErrorCode, HeronshimError, LocalProtocolError, RemoteProtocolError
from heronshim.instance.clock import Clock
from heronshim.instance.component_loader import load_component
from heronshim.instance.identity import Identity
from heronshim.instance.runtime import InstanceRuntime, UserCodeFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from heronshim.core.io.dealer_link import ReceivedFrame
    from heronshim.core.plan.physical import ProcessPlan

WATCH_S = 0.002
"""Between two looks of the watcher while the author's code runs (measured: 0.5 % of a core)."""
WATCH_IDLE_S = 0.02
"""Between two looks while the main thread waits for frames."""
FRAMES_PER_TURN = 64
"""Frames read between two calls of the author's code."""
BAD_FRAME_TELL_NS = 1_000_000_000
"""Between two lines about bad frames; those between them are only counted."""
IDLE_MS_MAX = 200
"""Longest wait for a frame: a stop is noticed at once, by its signal."""
GC_THRESHOLDS = (100_000, 20, 100)
"""A batch makes hundreds of lists at once; Python's default of 700 collected at each (measured:
559 -> 390 ns a tuple in a spout, 553 -> 399 ns in a bolt)."""


class InstanceShell:
    """Owns the socket and the two threads."""

    def __init__(
        self,
        start: ChildStart,
        load: Callable[[str, Mapping[str, object]], object],
        rng: Random,
        around: Surroundings,
    ) -> None:
        """`load` makes the author's objects, as `InstanceRuntime` wants it."""
        self._start = start
        self._context, self._poller = around.context, around.poller
        self._now_ns = around.now_ns
        self._lock = threading.Lock()
        self._in_user_code_since_ns = 0
        self._stopping = False
        self._increments = Increments()
        self._bad_frame_count = self._bad_frame_told_ns = 0
        process = _own_process(start)
        self._link = DealerLink(
            self._context,
            Hello(
                topology_id=start.launch.topology_id,
                role=Role.INSTANCE,
                process=start.process,
                incarnation=start.incarnation,
                attempt=0,
                token=start.token,
                tasks=process.tasks,
                pid=os.getpid(),
                container=start.container,
            ),
            self._poller,
            int(start.launch.liveness_limit_s * 1e9),
        )
        self._runtime = InstanceRuntime(
            Identity(
                start.process, start.container, process.executors, start.incarnation, os.getpid()
            ),
            load,
            rng,
            Clock(around.now_ns, around.wall_ms),
            self._lock,
            self._process_values,
        )

    def run(self) -> int:
        """Run until SIGTERM or until the author's code ends the process; return the exit code."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.connect()
        watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)
        watcher.start()
        gc.set_threshold(*GC_THRESHOLDS)
        code = 0
        try:
            self._loop()
        except (UserCodeFailed, HeronshimError) as error:
            log_event("ERROR", "user_code_failed", process=self._start.process, error=str(error))
            code = 1
        self._end()
        return code

    def connect(self) -> None:
        """Begin to connect to the stream manager."""
        self._link.connect(self._start.endpoint, self._now_ns())

    def turn(self) -> bool:
        """Call the author's code, then drive the socket; return whether anything happened.

        Raises:
            UserCodeFailed: the author's code raised and the process shall end.
        """
        now_ns = self._now_ns()
        self._in_user_code_since_ns = now_ns
        happened = self._runtime.step(now_ns)
        self._in_user_code_since_ns = 0
        with self._lock:
            read = self._service(idle=not happened)
        return happened or read

    def _loop(self) -> None:
        opened = False
        while not self._stopping:
            happened = self.turn()
            if not opened and self._runtime.opened:
                opened = True
                gc.freeze()
            if not happened:
                self._wait()

    def _service(self, *, idle: bool) -> bool:
        """Flush, send, read; return whether a frame came. IO lock held."""
        runtime, link = self._runtime, self._link
        now_ns = self._now_ns()
        runtime.flush(now_ns, idle=idle)
        self._send()
        link.tick(now_ns)
        read = False
        for _ in range(FRAMES_PER_TURN):
            frame = link.receive(now_ns)
            # What happened to the link comes before its frames: a new link voids old credit.
            for event in link.take_events():
                self._on_link_event(event, now_ns)
            if frame is None:
                break
            read = True
            try:
                runtime.on_frame(
                    frame.kind, frame.destination, frame.source, frame.payload.buffer, now_ns
                )
            except RemoteProtocolError as error:
                self._on_bad_frame(frame, error, now_ns)
        if read:
            self._send()
        if runtime.losses.log:
            self._write_log()
        return read

    def _on_bad_frame(self, frame: ReceivedFrame, error: RemoteProtocolError, now_ns: int) -> None:
        """Tuples that another task wrote wrongly are lost; any other fault ends the link."""
        self._bad_frame_count += 1
        if now_ns >= self._bad_frame_told_ns:
            self._bad_frame_told_ns = now_ns + BAD_FRAME_TELL_NS
            log_event(
                "ERROR", "bad_frame", process=self._start.process, kind=frame.kind,
                source=frame.source, error=error, count=self._bad_frame_count,
            )  # fmt: skip
        if frame.kind in TUPLE_KINDS and error.code is ErrorCode.MALFORMED:
            cause = f"frame of task {frame.source} could not be read: {error}"
            self._runtime.losses.on_link_lost(cause, now_ns)
        else:
            self._link.give_up(str(error), now_ns)

    def _send(self) -> None:
        """Send what may go; frames wait while the link is down."""
        if not self._link.up:
            return
        for kind, destination, source, payload in self._runtime.take_frames():
            if not self._link.send(kind, payload, destination, source):
                log_event("ERROR", "send_queue_full", process=self._start.process, kind=kind)
                if kind in TUPLE_KINDS:
                    cause = f"send queue of {self._start.process} was full"
                    self._runtime.losses.on_link_lost(cause, self._now_ns())

    def _on_link_event(self, event: LinkEvent, now_ns: int) -> None:
        if event.kind is LinkEventKind.JOINED:
            self._runtime.on_new_link()
            return
        process = self._start.process
        log_event("WARNING", f"link_{event.kind.value}", process=process, cause=event.cause)
        if event.code is ErrorCode.STALE_INCARNATION:
            # Replaced while it was stopped: a stream manager that forgets it must not take it in.
            self._stopping = True
        if event.kind is LinkEventKind.ENDED and not event.clean:
            cause = f"link of {process} ended: {event.cause}"
            self._runtime.losses.on_link_lost(cause, now_ns)

    def _write_log(self) -> None:
        """Log what the runtime has to say."""
        lines, self._runtime.losses.log = self._runtime.losses.log, []
        for event, fields in lines:
            log_event("WARNING", event, process=self._start.process, **fields)

    def wait_ms(self) -> float:
        """Return how long a poll may wait when nothing happened."""
        runtime = self._runtime
        due_ns = min(runtime.next_deadline_ns(), self._link.next_deadline_ns()) - self._now_ns()
        wait_ms = min(IDLE_MS_MAX, max(0, due_ns) / 1e6)
        if runtime.wants_calls():
            wait_ms = min(wait_ms, runtime.options.spout_wait_ms)
        return wait_ms

    def _wait(self) -> None:
        """Wait for a frame or the next deadline; the author's thread holds no lock meanwhile."""
        wait_ms = self.wait_ms()
        if self._link.socket is None:
            # pyzmq returns at once from a poll without sockets.
            time.sleep(wait_ms / 1e3)
        else:
            self._poller.poll(max(1, round(wait_ms)) if wait_ms > 0 else 0)

    def _watch(self) -> None:
        """Run the watcher's thread; a fault of ours there ends the process, as in the main one."""
        try:
            self._cover()
        except BaseException:  # noqa: BLE001 - a thread that dies alone would leave the link silent
            traceback.print_exc()
            # Not by the main thread: it may be in the author's code for ever.
            os._exit(1)

    def _cover(self) -> None:
        """Cover for the main thread while the author's code runs for long."""
        quiet = 0
        while not self._stopping:
            since_ns = self._in_user_code_since_ns
            quiet = 0 if since_ns else quiet + 1
            time.sleep(WATCH_S if quiet < 10 else WATCH_IDLE_S)
            if not since_ns or self._in_user_code_since_ns != since_ns:
                continue
            if self._lock.acquire(blocking=False):
                try:
                    # The call may have ended just before: the main thread may be polling by now.
                    if self._in_user_code_since_ns == since_ns:
                        self._service(idle=True)
                finally:
                    self._lock.release()

    def _process_values(self) -> dict[str, float]:
        totals = {"cpu_time_us": cpu_time_us(), "bad_frame_count": self._bad_frame_count}
        increments = self._increments.take(totals)
        return {**increments, "rss_bytes": float(rss_bytes())}

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _end(self) -> None:
        """Close the author's components, send what is left, say bye."""
        self._stopping = True
        try:
            self._runtime.close()
        except UserCodeFailed as error:
            log_event("ERROR", "close_failed", process=self._start.process, error=str(error))
        with self._lock:
            now_ns = self._now_ns()
            self._runtime.flush(now_ns, idle=True)
            self._runtime.note_unfinished(now_ns)
            self._runtime.report(now_ns, last=True)
            self._send()
            self._link.say_bye("stopped", now_ns)
        self._await_bye()
        self._context.term()

    def _await_bye(self) -> None:
        """Wait until the stream manager has everything, or for as long as it may take."""
        link = self._link
        while link.state is LinkState.CLOSING:
            self._poller.poll(max(0, link.next_deadline_ns() - self._now_ns()) // 1_000_000 + 1)
            now_ns = self._now_ns()
            link.tick(now_ns)
            while link.receive(now_ns) is not None:
                pass
        for event in link.take_events():
            if not event.clean:
                log_event("WARNING", "bye_failed", process=self._start.process, cause=event.cause)


def _own_process(start: ChildStart) -> ProcessPlan:
    for process in start.plan.processes if start.plan else ():
        if process.id == start.process:
            return process
    msg = f'container {start.container} has no process "{start.process}" in its plan'
    raise LocalProtocolError(msg)


def main() -> int:
    """Read the start from standard input and run."""
    # At a memory limit, and for people: where each thread is.
    faulthandler.register(signal.SIGQUIT, all_threads=True)
    try:
        start = ChildStart.read(sys.stdin.buffer)
        shell = InstanceShell(
            start,
            lambda name, arguments: load_component(name, arguments, start.package_dir),
            Random(SystemRandom().getrandbits(128)),  # noqa: S311 - edges need spread, no secrecy
            Surroundings(),
        )
    except HeronshimError as error:
        log_event("ERROR", "bad_start", error=str(error))
        return error.exit_code
    return shell.run()


if __name__ == "__main__":
    sys.exit(main())
