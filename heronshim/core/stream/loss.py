"""Loss is told to the spouts whose trees it may have hit. Pure, and needs no TMaster.

Whoever sees a gap, a dead link or a dead instance makes one notice: the tasks whose tuples may be
lost (`sources`) and those that tuples or outcomes were for (`destinations`). The stream manager of
every spout task concerned gets it, and hands it to the spout; both hops repeat it until it is
acknowledged.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

from heronshim.core.plan.graph import upstream_of
from heronshim.core.plan.topology import ComponentKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from heronshim.core.plan.physical import PhysicalPlan

REPEAT_NS = 200_000_000
"""Between two sends of one notice: that of a link heartbeat, within which a dead link is seen."""
NOTICES_MAX = 64
"""Notices that wait for one target; beyond, two become one that names the tasks of both."""
IDS_MAX = 4096
"""Ids remembered to know a repeated notice."""
CAUSE_CHARACTERS_MAX = 500
Target = TypeVar("Target")


@dataclass(frozen=True, slots=True)
class LossNotice:
    """Tuples may be gone. `id` is unique; repeated notices of one loss carry one id."""

    id: str
    sources: tuple[int, ...]
    """Tasks whose tuples may be lost, ascending."""
    destinations: tuple[int, ...]
    """Tasks that tuples or outcomes were for, ascending."""
    cause: str

    def joined_with(self, other: LossNotice) -> LossNotice:
        """Return a notice of both losses under the id of `other`."""
        return replace(
            other,
            sources=_ascending((*self.sources, *other.sources)),
            destinations=_ascending((*self.destinations, *other.destinations)),
            cause=joined_cause(self.cause, other.cause),
        )


class LossReach:
    """What one physical plan says about who is hit by a loss."""

    def __init__(self, plan: PhysicalPlan) -> None:
        self._topology = plan.topology
        self._component = {task: component for task, _, component, _ in plan.placements()}
        self._tasks = plan.component_tasks()
        self._spouts = {
            item.id for item in plan.topology.components if item.kind is ComponentKind.SPOUT
        }

    @cached_property
    def _producers(self) -> dict[str, frozenset[str]]:
        """Components by consumer."""
        return {
            item.id: frozenset(source.component for source in item.inputs)
            for item in self._topology.components
        }

    @cached_property
    def _upstream_spouts(self) -> dict[str, frozenset[str]]:
        """Spouts whose trees a component's tuples belong to; a spout is its own."""
        return {
            item.id: upstream_of(self._topology, item.id) & self._spouts
            | ({item.id} & self._spouts)
            for item in self._topology.components
        }

    def users(
        self, senders: Iterable[int], receivers: Iterable[int]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return (sources, destinations) of a link from some tasks to others.

        Sources are the senders with a consumer among the receivers; destinations those consumers,
        and the spouts that get outcomes from a sender. Tasks that the plan lacks are left out.
        """
        senders_of = self._by_component(senders)
        receivers_of = self._by_component(receivers)
        sources: list[int] = []
        destinations: list[int] = []
        for consumer, tasks in receivers_of.items():
            feeding = senders_of.keys() & self._producers[consumer]
            for component in feeding:
                sources += senders_of[component]
            outcomes = consumer in self._spouts and any(
                consumer in self._upstream_spouts[component]
                for component in senders_of
                if component != consumer
            )
            if feeding or outcomes:
                destinations += tasks
        return _ascending(sources), _ascending(destinations)

    def users_of(self, tasks: Iterable[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return (sources, destinations) of the link, both ways, of a process with these tasks."""
        own = tuple(tasks)
        sources, destinations = self.users(own, self._component)
        sources_in, destinations_in = self.users(self._component, own)
        return (
            _ascending((*sources, *sources_in)),
            _ascending((*destinations, *destinations_in)),
        )

    def spout_tasks(self, notice: LossNotice) -> frozenset[int]:
        """Return the spout tasks that are among the destinations, or a source or upstream of one.

        Of a spout that is itself a source only the tasks named; of one upstream all tasks.
        """
        component = self._component
        told = {
            task
            for task in (*notice.sources, *notice.destinations)
            if component.get(task) in self._spouts
        }
        bolts = {component[task] for task in notice.sources if task in component} - self._spouts
        for spout in frozenset().union(*(self._upstream_spouts[bolt] for bolt in bolts)):
            told.update(self._tasks[spout])
        return frozenset(told)

    def _by_component(self, tasks: Iterable[int]) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for task in tasks:
            component = self._component.get(task)
            if component is not None:
                found.setdefault(component, []).append(task)
        return found


@dataclass(slots=True)
class _Waiting:
    notice: LossNotice
    due_ns: int = 0


class NoticeQueue(Generic[Target]):
    """Notices on their way to targets, each sent again until its target acknowledges it."""

    def __init__(self) -> None:
        self._waiting: dict[Target, dict[str, _Waiting]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, target: Target, notice: LossNotice) -> None:
        """Send a notice from now on; one that has too many before it joins the newest of them."""
        waiting = self._waiting.setdefault(target, {})
        if len(waiting) >= NOTICES_MAX:
            _, newest = waiting.popitem()
            notice = newest.notice.joined_with(notice)
        waiting[notice.id] = _Waiting(notice)

    def acknowledged(self, target: Target, id_: str) -> None:
        """The target has a notice; an unknown id is an ack that came twice."""
        waiting = self._waiting.get(target)
        if waiting is not None and waiting.pop(id_, None) is not None and not waiting:
            del self._waiting[target]

    def reached(self, target: Target) -> None:
        """The target can be reached anew: what waits for it is due at once."""
        for item in self._waiting.get(target, {}).values():
            item.due_ns = 0

    def keep(self, targets: Collection[Target]) -> None:
        """Give up what waits for any other target."""
        for target in [target for target in self._waiting if target not in targets]:
            del self._waiting[target]

    def take_due(self, now_ns: int) -> list[tuple[Target, LossNotice]]:
        """Return what is to be sent now; it is due again after REPEAT_NS."""
        due = []
        for target, waiting in self._waiting.items():
            for item in waiting.values():
                if now_ns >= item.due_ns:
                    item.due_ns = now_ns + REPEAT_NS
                    due.append((target, item.notice))
        return due

    def next_deadline_ns(self) -> int | None:
        """Return when something is due; None while nothing waits."""
        return min(
            (item.due_ns for waiting in self._waiting.values() for item in waiting.values()),
            default=None,
        )

    def waiting(self, target: Target) -> list[LossNotice]:
        """Return what waits for a target, in order."""
        return [item.notice for item in self._waiting.get(target, {}).values()]


class SeenNotices:
    """Which notices were taken already: the newest IDS_MAX ids."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def is_new(self, id_: str) -> bool:
        """Remember an id and return whether it was not known."""
        if id_ in self._ids:
            self._ids.move_to_end(id_)
            return False
        self._ids[id_] = None
        if len(self._ids) > IDS_MAX:
            self._ids.popitem(last=False)
        return True


class LossDesk:
    """A stream manager's part: makes notices and passes on those that it gets, each once.

    Targets are containers (integers) and instance processes of its own container (text). What it
    hears before it has a plan is kept until one names the tasks.
    """

    def __init__(self, container: int, process: str, incarnation: int) -> None:
        self._container = container
        self._prefix = f"{process}/{incarnation}"
        self._numbers = 0
        self._seen = SeenNotices()
        self._early: list[tuple[LossNotice, bool]] = []
        self._reach: LossReach | None = None
        self._home: dict[int, tuple[int, str]] = {}
        self.queue: NoticeQueue[int | str] = NoticeQueue()
        """Notices that wait for their targets."""
        self.notice_count = 0
        """Losses that were seen here or by instances of this container."""

    def set_plan(self, plan: PhysicalPlan) -> None:
        """Take a plan; notices for containers and processes that it drops are given up."""
        self._reach = LossReach(plan)
        self._home = {task: (home, process.id) for task, home, _, process in plan.placements()}
        targets: set[int | str] = set()
        for home, process in self._home.values():
            targets.add(process if home == self._container else home)
        self.queue.keep(targets)
        early, self._early = self._early, []
        for notice, to_peers in early:
            self._pass_on(notice, self._reach, to_peers=to_peers)

    def on_process_lost(self, process: str, tasks: Iterable[int], cause: str) -> LossNotice | None:
        """The link of an instance with these tasks ended or lost frames; both ways are meant.

        The instance itself is not told: it saw the end too, or is dead and its trees with it.
        """
        if self._reach is None:
            return None
        return self._lost(*self._reach.users_of(tasks), cause, but=process)

    def on_link_lost(
        self, senders: Iterable[int], receivers: Iterable[int], cause: str
    ) -> LossNotice | None:
        """One direction of a link between two containers ended or lost frames."""
        if self._reach is None:
            return None
        return self._lost(*self._reach.users(senders, receivers), cause)

    def on_notice(self, notice: LossNotice, process: str | None) -> bool:
        """Take a notice of a local instance, or of a peer (`process` None); False if known already.

        A peer tells all stream managers itself, so its notice goes to local spouts only.
        """
        if not self._seen.is_new(notice.id):
            return False
        to_peers = process is not None
        self.notice_count += to_peers
        if self._reach is not None:
            self._pass_on(notice, self._reach, to_peers=to_peers, but=process)
            return True
        if len(self._early) >= NOTICES_MAX:
            newest, told_peers = self._early.pop()
            notice, to_peers = newest.joined_with(notice), to_peers or told_peers
        self._early.append((notice, to_peers))
        return True

    def tasks_of(self, container: int) -> tuple[int, ...]:
        """Return the tasks of a container, ascending; none without a plan."""
        return _ascending(task for task, (home, _) in self._home.items() if home == container)

    def _lost(
        self,
        sources: tuple[int, ...],
        destinations: tuple[int, ...],
        cause: str,
        but: str | None = None,
    ) -> LossNotice | None:
        if self._reach is None or not destinations:
            return None
        self._numbers += 1
        self.notice_count += 1
        id_ = f"{self._prefix}/{self._numbers}"
        notice = LossNotice(id_, sources, destinations, cause[:CAUSE_CHARACTERS_MAX])
        self._seen.is_new(id_)
        self._pass_on(notice, self._reach, to_peers=True, but=but)
        return notice

    def _pass_on(
        self, notice: LossNotice, reach: LossReach, *, to_peers: bool, but: str | None = None
    ) -> None:
        """Send a notice to all whom it concerns, except a process that knows already."""
        targets: set[int | str] = set()
        for task in reach.spout_tasks(notice):
            home, process = self._home[task]
            if home != self._container:
                targets.update((home,) if to_peers else ())
            elif process != but:
                targets.add(process)
        for target in sorted(targets, key=str):
            self.queue.add(target, notice)


def joined_cause(first: str, second: str) -> str:
    """Return one text for the causes of two losses."""
    joined = first if second in first else f"{first}; {second}"
    return joined[:CAUSE_CHARACTERS_MAX]


def _ascending(tasks: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(tasks)))
