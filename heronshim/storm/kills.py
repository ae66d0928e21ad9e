"""Topologies that were killed and wait for their open trees, as Storm lets them. Thread-safe."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heronshim.core.io.logs import log_event
from heronshim.errors import HeronshimError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from heronshim.storm.cluster import Cluster

Key = tuple[str, str]
"""A topology's name and id: the name may be another's once this one is gone."""


@dataclass(slots=True, eq=False)
class _Kill:
    thread: threading.Thread
    until_s: float
    """When it is removed, on the monotonic clock."""


class Kills:
    """All kills that have begun; each has a thread until its topology is gone."""

    def __init__(self, cluster: Cluster, now_s: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._now_s = now_s
        self._changed = threading.Condition()
        self._kills: dict[Key, _Kill] = {}
        self._closing = False

    def begin(self, name: str, topology_id: str, wait_s: float) -> None:
        """Remove a topology after `wait_s`, and let its spouts stop until then; does not block.

        `topology_id` is empty for one whose state does not say it. Of several kills of one
        topology the shortest wait counts.

        Raises:
            RuntimeError: there can be no more threads; nothing has begun.
        """
        key = name, topology_id
        until_s = self._now_s() + wait_s
        with self._changed:
            kill = self._kills.get(key)
            if kill is not None:
                kill.until_s = min(kill.until_s, until_s)
                self._changed.notify_all()
                return
            thread = threading.Thread(target=self._remove, args=(key, wait_s), name=f"kill-{name}")
            self._kills[key] = _Kill(thread, until_s)
            try:
                thread.start()
            except RuntimeError:
                del self._kills[key]
                raise
        log_event("INFO", "topology_kill_begun", topology=name, wait_s=wait_s)

    def __contains__(self, key: Key) -> bool:
        """Whether a topology is being killed."""
        with self._changed:
            return key in self._kills

    def close(self) -> None:
        """Finish all kills, without waiting for open trees any longer."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            threads = [kill.thread for kill in self._kills.values()]
        for thread in threads:
            thread.join()

    def _remove(self, key: Key, wait_s: float) -> None:
        name, topology_id = key
        try:
            if wait_s:
                self._deactivate(name)
                self._wait(key)
            self._cluster.kill(name, topology_id)
            log_event("INFO", "topology_killed", topology=name)
        except NotFoundError:
            log_event("INFO", "topology_gone", topology=name)
        except HeronshimError as error:
            log_event("ERROR", "topology_kill_failed", topology=name, cause=error)
        finally:
            with self._changed:
                del self._kills[key]

    def _deactivate(self, name: str) -> None:
        """Stop the spouts; a topology whose TMaster does not answer is removed all the same."""
        try:
            self._cluster.switch(name, active=False)
        except HeronshimError as error:
            log_event("WARNING", "topology_not_deactivated", topology=name, cause=error)

    def _wait(self, key: Key) -> None:
        with self._changed:
            while not self._closing:
                left_s = self._kills[key].until_s - self._now_s()
                if left_s <= 0:
                    return
                self._changed.wait(left_s)
