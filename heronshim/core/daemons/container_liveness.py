"""Whom a container's supervisor suspects, and whom it has to replace. Opens nothing.

The container's witness, its stream manager or TMaster, writes signs of life to the supervisor;
all others have links to the witness, which says whom of them it heard. They are judged only when
the witness speaks: its own silence is not theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heronshim.core.stream.liveness import LOOK_NS, Change, Liveness

if TYPE_CHECKING:
    from heronshim.core.io.heartbeats import Beat


class ContainerLiveness:
    """Judges the processes of one container."""

    def __init__(self, witness: str, limit_ns: int) -> None:
        """Take the witness's process id and the silence after which a process is replaced."""
        self._witness = witness
        self._witness_liveness: Liveness[str] = Liveness(limit_ns)
        self._others: Liveness[str] = Liveness(limit_ns)
        self._incarnations: dict[str, int] = {}
        self._look_ns = 0

    @property
    def suspected(self) -> tuple[str, ...]:
        """Process ids, ascending."""
        return tuple(sorted([*self._witness_liveness.suspected, *self._others.suspected]))

    def started(self, process: str, incarnation: int, now_ns: int) -> None:
        """Watch a process that has just been started."""
        self._incarnations[process] = incarnation
        self._of(process).expect(process, now_ns)

    def ended(self, process: str) -> None:
        """Watch a process no more."""
        self._incarnations.pop(process, None)
        self._of(process).forget(process)

    def beat(self, beat: Beat, now_ns: int) -> list[Change[str]]:
        """Take a sign of life of the witness; return what changed."""
        self._witness_liveness.heard(self._witness, now_ns)
        if beat.heard is None:
            return []
        for process, incarnation in beat.heard:
            # An older one that was stopped may still have its link: it does not stand for this one.
            if self._incarnations.get(process) == incarnation and process != self._witness:
                self._others.heard(process, now_ns)
        return self._others.look(now_ns)

    def look(self, now_ns: int) -> list[Change[str]]:
        """Judge the witness; return what changed. Due at `next_look_ns`."""
        if now_ns < self._look_ns:
            return []
        self._look_ns = now_ns + LOOK_NS
        return self._witness_liveness.look(now_ns)

    def next_look_ns(self) -> int:
        """Return when `look` has something to do."""
        return self._look_ns

    def _of(self, process: str) -> Liveness[str]:
        return self._witness_liveness if process == self._witness else self._others
