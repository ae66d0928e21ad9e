"""Who slows whom: the task that begins back pressure, how long, and who heard of it. Pure.

Rules:
1. An initiator is a task whose input is full while its own output flows. One whose output waits is
   held back itself: the initiator is further on.
2. It begins after BEGIN_LOOKS looks in a row and ends after END_LOOKS, so that it does not flap.
3. It is announced when it begins, every REPEAT_NS while it lasts, and when it ends. Who heard it
   forgets it after LEASE_NS, or with the link it came on: a lost announcement, or an announcer
   that died, leaves nobody waiting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

LOOK_NS = 100_000_000
"""Between two looks."""
BEGIN_LOOKS = 5
END_LOOKS = 5
REPEAT_NS = 500_000_000
LEASE_NS = 2_000_000_000
NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class BackPressure:
    """What is announced of an initiator."""

    task: int
    active: bool
    """Whether it lasts; False once, when it ends."""
    duration_ms: int
    """Since it began."""


@dataclass(slots=True)
class _Watched:
    looks: int = 0
    """Looks in a row that say that it should begin, or end."""
    since_ns: int = 0
    """When it began; 0 while it is no initiator."""
    announced_ns: int = 0
    total_ns: int = 0
    """How long it was one, all times together, those that are over."""


class InitiatorWatch:
    """Decides which of a stream manager's own tasks are initiators."""

    def __init__(self) -> None:
        self._tasks: dict[int, _Watched] = {}

    def look(
        self, now_ns: int, joined: Collection[int], full: Collection[int], held: Collection[int]
    ) -> list[BackPressure]:
        """Take what is seen now, LOOK_NS after the last look; return what to announce.

        `joined`: tasks of this container that are there; `full`: tasks whose input waits here;
        `held`: tasks whose output waits for credit. One that is gone is no initiator any more.
        """
        said = []
        for task in {*joined, *self._tasks}:
            watched = self._tasks.setdefault(task, _Watched())
            pressing = task in joined and task in full and task not in held
            if watched.since_ns:
                watched.looks = 0 if pressing else watched.looks + 1
                over = task not in joined or watched.looks >= END_LOOKS
                if over or now_ns - watched.announced_ns >= REPEAT_NS:
                    said.append(self._say(task, watched, now_ns, active=not over))
            else:
                watched.looks = watched.looks + 1 if pressing else 0
                if watched.looks >= BEGIN_LOOKS:
                    watched.since_ns = now_ns - BEGIN_LOOKS * LOOK_NS
                    watched.looks = 0
                    said.append(self._say(task, watched, now_ns, active=True))
        return said

    def active_ns(self, now_ns: int) -> dict[int, int]:
        """Return for each initiator how long it has been one."""
        return {
            task: now_ns - watched.since_ns
            for task, watched in self._tasks.items()
            if watched.since_ns
        }

    def total_ns(self, now_ns: int) -> dict[int, int]:
        """Return for each task that ever was an initiator how long, all times together."""
        active = self.active_ns(now_ns)
        return {
            task: total
            for task, watched in self._tasks.items()
            if (total := watched.total_ns + active.get(task, 0))
        }

    def _say(self, task: int, watched: _Watched, now_ns: int, *, active: bool) -> BackPressure:
        duration_ns = now_ns - watched.since_ns
        watched.announced_ns = now_ns
        if not active:
            watched.total_ns += duration_ns
            watched.since_ns = watched.looks = 0
        return BackPressure(task, active, duration_ns // NS_PER_MS)


LEASES_MAX = 1000
"""Announcements that are kept; more of them pause nobody more."""


class PressureLeases:
    """Initiators that others announced, until they end, are not repeated, or their link ends."""

    def __init__(self) -> None:
        self._until_ns: dict[tuple[int, int], int] = {}

    def hear(self, link: int, said: BackPressure, now_ns: int) -> None:
        """An announcement came on a link (a small integer)."""
        if len(self._until_ns) >= LEASES_MAX:
            live = self._until_ns.items()
            self._until_ns = {key: until_ns for key, until_ns in live if until_ns > now_ns}
        if not said.active:
            self._until_ns.pop((link, said.task), None)
        elif (link, said.task) in self._until_ns or len(self._until_ns) < LEASES_MAX:
            self._until_ns[link, said.task] = now_ns + LEASE_NS

    def on_link_ended(self, link: int) -> list[int]:
        """What its holder announced dies with a link; return those tasks."""
        keys = [key for key in self._until_ns if key[0] == link]
        for key in keys:
            del self._until_ns[key]
        return [task for _, task in keys]

    def any_active(self, now_ns: int) -> bool:
        """Return whether any initiator is known now."""
        if not self._until_ns:
            return False
        return any(until_ns > now_ns for until_ns in self._until_ns.values())
