"""Who on the links of one ROUTER is silent: each process there heartbeats every 200 ms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heronshim.core.io.heartbeats import Beat
from heronshim.core.io.logs import log_event
from heronshim.core.plan.topology import METRICSMGR_TASK
from heronshim.core.stream.link import Role
from heronshim.core.stream.liveness import Liveness, Turn

if TYPE_CHECKING:
    from heronshim.core.io.router_links import RouterLinks
    from heronshim.core.stream.link import Hello

NS_PER_MS = 1_000_000


class LinkLiveness:
    """Suspects who is silent, and tells the supervisor who is not. Ends no link."""

    def __init__(self, links: RouterLinks, limit_ns: int) -> None:
        """Look at the links of a ROUTER; who replaces the silent has the same limit."""
        self._links = links
        self._liveness: Liveness[str] = Liveness(limit_ns)
        self._looked_ns = 0
        self._ever: set[str] = set()

    @property
    def suspected(self) -> tuple[str, ...]:
        """Process ids, ascending."""
        return tuple(sorted(self._liveness.suspected))

    def look(self, now_ns: int) -> Beat:
        """Judge all processes that have a link; return what the supervisor is to be told.

        To be called every LOOK_NS, after the frames that have come were read.
        """
        links = [link for link in self._links.links() if _is_process(link.hello)]
        for process in set(self._liveness.keys()) - {link.hello.process for link in links}:
            self._liveness.forget(process)
        for link in links:
            self._liveness.heard(link.hello.process, link.heard_ns)
        for change in self._liveness.look(now_ns):
            level = "INFO" if change.turn is Turn.ANSWERS else "WARNING"
            silent_ms = change.silent_ns // NS_PER_MS
            log_event(level, f"link_{change.turn}", process=change.key, silent_ms=silent_ms)
        heard = tuple(
            (link.hello.process, link.hello.incarnation)
            for link in links
            if link.heard_ns > self._looked_ns
        )
        self._looked_ns = now_ns
        return Beat(heard, self.suspected)

    def gauges(self) -> dict[str, float]:
        """Return how many are suspected, and for each that ever was whether it is now."""
        suspected = self._liveness.suspected
        self._ever.update(suspected)
        return {
            "suspected_process_count": float(len(suspected)),
            **{f"suspected/{process}": float(process in suspected) for process in self._ever},
        }


def _is_process(hello: Hello) -> bool:
    """Return whether a link stands for its process; clients and sinks come and go as they like."""
    if hello.role is Role.METRICSMGR:
        return hello.tasks == (METRICSMGR_TASK,)
    return hello.role is not Role.CLIENT
