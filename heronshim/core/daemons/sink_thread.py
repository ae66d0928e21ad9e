"""One metrics sink with its own thread and bounded queue, so that a slow one holds no other."""

from __future__ import annotations

import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from heronshim.core.io.logs import log_event
from heronshim.errors import ConfigError, HeronshimError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heronshim.core.spi.metrics_sink import MetricsRecord, MetricsSink

QUEUE_RECORDS_MAX = 1000
"""Records that wait for a sink: above it the oldest is dropped and counted."""
FLUSH_INTERVAL_S = 0.2
"""A sink is flushed this often; the contract asks for a second."""
REOPEN_PAUSE_S = 1.0
"""Between two attempts to open a sink."""


class SinkThread:
    """Feeds one sink. `put` and the counts belong to the owner's thread."""

    def __init__(
        self,
        name: str,
        sink: MetricsSink,
        topology: str,
        container: int,
        options: Mapping[str, str],
        queue_records_max: int = QUEUE_RECORDS_MAX,
    ) -> None:
        self.name = name
        self._sink = sink
        self._arguments = (topology, container, options)
        self._queue_max = queue_records_max
        self._queue: deque[MetricsRecord] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._dropped_count = 0
        self._error_count = 0
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)
        self._thread.start()

    @property
    def dropped_count(self) -> int:
        """Records that never reached the sink: the queue was full, or it refused them."""
        return self._dropped_count

    @property
    def error_count(self) -> int:
        """Calls of the sink that failed."""
        return self._error_count

    def put(self, record: MetricsRecord) -> None:
        """Queue a record; never blocks."""
        with self._changed:
            if len(self._queue) >= self._queue_max:
                self._queue.popleft()
                self._dropped_count += 1
            self._queue.append(record)
            self._changed.notify()

    def ask_to_stop(self) -> None:
        """Let the thread hand over what waits and close the sink; does not block."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; return whether it ended. One that hangs is left behind."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        if not self._open():
            return
        flush_at = time.monotonic() + FLUSH_INTERVAL_S
        while True:
            with self._changed:
                if not self._queue and not self._stopping:
                    self._changed.wait(max(0.0, flush_at - time.monotonic()))
                record = self._queue.popleft() if self._queue else None
                done = self._stopping and record is None
            if record is not None and not self._guarded(partial(self._sink.process, record)):
                with self._changed:
                    self._dropped_count += 1
            if done or time.monotonic() >= flush_at:
                self._guarded(self._sink.flush)
                flush_at = time.monotonic() + FLUSH_INTERVAL_S
            if done:
                self._guarded(self._sink.close)
                return

    def _open(self) -> bool:
        """Open the sink, again and again if need be; False when it cannot be used at all."""
        while True:
            try:
                self._sink.open(*self._arguments)
            except ConfigError as error:
                log_event("ERROR", "sink_unusable", sink=self.name, error=error)
                self._error_count += 1
                return False
            except Exception as error:  # noqa: BLE001 - a plugin's bug must not end the thread
                self._error_count += 1
                log_event("WARNING", "sink_not_opened", sink=self.name, error=error)
            else:
                return True
            with self._changed:
                if self._stopping or self._changed.wait_for(lambda: self._stopping, REOPEN_PAUSE_S):
                    return False

    def _guarded(self, call: Callable[[], None]) -> bool:
        """Call the sink; return whether it did not fail."""
        try:
            call()
        except Exception as error:  # noqa: BLE001 - a plugin's bug must not end the thread
            if self._error_count == 0 or not isinstance(error, HeronshimError):
                log_event("WARNING", "sink_failed", sink=self.name, error=error)
            self._error_count += 1
            return False
        return True
