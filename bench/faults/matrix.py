"""The fault matrix: which fault happens to whom, what follows, and why some never happen to some.

Each cell that applies is a named test in tests/system/faults; `make recovery` measures them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from bench.faults import injection, rigs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bench.faults.cluster import Cluster

PROCESSES = {
    "source": "source-7",
    "fan": "fan-3",
    "count": "count-1",
    "sink": "sink-5",
    "stmgr": "stmgr-1",
    "metricsmgr": "metricsmgr-1",
    "supervisor": "supervisor-1",
    "tmaster": "tmaster",
    "tmaster-supervisor": "supervisor-0",
    "launcher": "launcher",
}
"""Victims by the names that cells use: a process of the ledger topology for each."""
INSTANCES = ("source", "fan", "count", "sink")
NO_DATA = ("metricsmgr", "tmaster", "tmaster-supervisor", "launcher")
"""No tuple passes through these: without them no tree fails and none is replayed."""
CHILDREN = {
    "supervisor": ("stmgr-1", "metricsmgr-1", "source-7", "fan-3", "count-1", "sink-5"),
    "tmaster-supervisor": ("tmaster", "metricsmgr-0"),
}
"""Who dies with a victim."""
TWO_AT_ONCE = (
    ("source", "sink"),
    ("fan", "stmgr"),
    ("count", "tmaster"),
    ("stmgr", "tmaster"),
    ("stmgr", "metricsmgr"),
    ("supervisor", "tmaster"),
    ("supervisor", "launcher"),
    ("supervisor", "tmaster-supervisor"),
    ("tmaster", "launcher"),
)
HOSTS = ("container", "tmaster-container")
"""Victims of what befalls a host: containers 1 and 0. The launcher reads no wall clock but for
its log and history."""
DISKS = ("logs", "work", "state")
DAY_S, HOUR_S = 86_400, 3600
FAULTS = {
    "kill": tuple(PROCESSES),
    "kill two": tuple("+".join(pair) for pair in TWO_AT_ONCE),
    "pause": tuple(PROCESSES),
    "silence": tuple(PROCESSES),
    "disk full": DISKS,
    "descriptors": tuple(PROCESSES),
    "processes": tuple(PROCESSES),
    "memory": tuple(PROCESSES),
    "clock a day ahead": HOSTS,
    "clock an hour back": HOSTS,
    "poison raises": tuple(PROCESSES),
    "poison exits": tuple(PROCESSES),
}
"""All faults, and whom each could befall."""
_SAME_CODE = "all instances run their author's code by the same code: the fan stands for them"
_NO_AUTHOR = "no author's code runs in it"
EXCLUDED = {
    **{("descriptors", name): _SAME_CODE for name in ("source", "count", "sink")},
    **{("processes", name): _SAME_CODE for name in ("source", "count", "sink")},
    **{("memory", name): _SAME_CODE for name in ("source", "count", "sink")},
    **{
        (fault, name): _SAME_CODE if name in INSTANCES else _NO_AUTHOR
        for fault in ("poison raises", "poison exits")
        for name in PROCESSES
        if name != "fan"
    },
    **{
        ("memory", name): "a limit is one of a component; no engine process has one"
        for name in PROCESSES
        if name not in INSTANCES
    },
    **{
        ("processes", name): "it starts neither processes nor threads once it runs"
        for name in ("stmgr", "metricsmgr")
    },
    ("descriptors", "tmaster-supervisor"): "runs the same code as supervisor",
    ("processes", "tmaster-supervisor"): "runs the same code as supervisor",
}
"""(fault, victim) -> why there is no such cell."""


@dataclass(frozen=True)
class Cell:
    """One fault, whom it befalls, and what follows from it."""

    fault: str
    victim: str
    inject: Callable[[Cluster], None] = field(compare=False)
    """Makes it happen; returns when it is over, except that nobody need be back."""
    rig: str = "plain"
    restarts: frozenset[str] = frozenset()
    """Processes that are others afterwards."""
    may_restart: frozenset[str] = frozenset()
    """Processes that may be others as well."""
    spares_data: bool = False
    """Whether no tree may fail."""
    shows: tuple[tuple[str, ...], ...] = ()
    """What a user sees: verb, then words that all stand in one thing that it lists."""

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"{self.fault} {self.victim}"


def all_cells() -> list[Cell]:
    """Return the whole matrix, in the order of FAULTS."""
    found: list[Cell] = []
    for make in (_kills, _pauses, _silences, _full_disks, _shortages, _memory, _clocks, _poisons):
        found += make()
    return found


def cells(*faults: str) -> list[Cell]:
    """Return the cells of some faults."""
    return [cell for cell in all_cells() if cell.fault in faults]


def _kills() -> Iterable[Cell]:
    for victims in [(name,) for name in PROCESSES] + list(TWO_AT_ONCE):
        processes = [PROCESSES[name] for name in victims]
        dead = {*processes, *(child for name in victims for child in CHILDREN.get(name, ()))}
        yield Cell(
            "kill" if len(victims) == 1 else "kill two",
            "+".join(victims),
            partial(_kill, names=processes),
            restarts=frozenset(dead),
            spares_data=set(victims) <= set(NO_DATA),
            shows=tuple(_death(process) for process in processes if process != "launcher"),
        )


def _death(process: str) -> tuple[str, str, str]:
    is_supervisor = process.startswith("supervisor")
    return ("events", "container_died" if is_supervisor else "process_died", process)


def _kill(cluster: Cluster, names: list[str]) -> None:
    injection.kill(cluster, *names)


def _pauses() -> Iterable[Cell]:
    for name, process in PROCESSES.items():
        yield Cell(
            "pause",
            name,
            lambda cluster, process=process: injection.pause(cluster, process),
            spares_data=name in NO_DATA,
        )


def _silences() -> Iterable[Cell]:
    for name, process in PROCESSES.items():
        yield Cell(
            "silence",
            name,
            lambda cluster, process=process: injection.silence(cluster, process),
            rig="impatient",
            restarts=frozenset({process, *CHILDREN.get(name, ())}),
            spares_data=name in NO_DATA,
        )


def _full_disks() -> Iterable[Cell]:
    folders: dict[str, Callable[[Cluster], object]] = {
        "logs": rigs.logs_folder,
        "work": lambda cluster: cluster.home / "topologies",
        "state": lambda cluster: cluster.home / "state",
    }
    dies = {"logs": "fan-3", "work": "fan-4", "state": "stmgr-1"}
    full = ("events", "disk_full", "No space left")
    alerts = {"logs": full, "work": full, "state": ("events", "plan_not_stored", "No space left")}
    for disk in DISKS:
        yield Cell(
            "disk full",
            disk,
            lambda cluster, disk=disk: injection.fill_disk(
                cluster, folders[disk](cluster), dies[disk]
            ),
            rig="small disks",
            restarts=frozenset({dies[disk]}),
            shows=(alerts[disk],),
        )


def _shortages() -> Iterable[Cell]:
    """A process can open, or start, nothing new while another one that it serves is killed."""
    dies = {
        "stmgr": "fan-3",
        "metricsmgr": "stmgr-1",
        "supervisor": "fan-3",
        "tmaster": "stmgr-1",
        "launcher": "supervisor-2",
    }
    with_it = {"supervisor-2": _container(2)}
    for name, other in dies.items():
        process = PROCESSES[name]
        yield Cell(
            "descriptors",
            name,
            lambda cluster, process=process, other=other: injection.without_descriptors(
                cluster, process, other
            ),
            restarts=frozenset({other, *with_it.get(other, ())}),
        )
    yield Cell("descriptors", "fan", _fan_hoards_descriptors, rig="unruly", shows=_errors("files"))
    dies = {"supervisor": "fan-3", "tmaster": "launcher", "launcher": "supervisor-2"}
    for name, other in dies.items():
        process = PROCESSES[name]
        yield Cell(
            "processes",
            name,
            lambda cluster, process=process, other=other: injection.without_processes(
                cluster, process, other
            ),
            restarts=frozenset({other, *with_it.get(other, ())}),
        )
    yield Cell("processes", "fan", _fan_hoards_threads, rig="unruly", shows=_errors("thread"))


def _container(number: int) -> tuple[str, ...]:
    instances = ("count-2", "fan-4", "sink-6", "source-8")
    return (f"stmgr-{number}", f"metricsmgr-{number}", *instances)


def _errors(word: str) -> tuple[tuple[str, ...], ...]:
    return (("errors", "fan", word),)


def _fan_hoards_descriptors(cluster: Cluster) -> None:
    injection.hoard_descriptors(cluster, PROCESSES["fan"], lambda: _reported(cluster, "files"))


def _fan_hoards_threads(cluster: Cluster) -> None:
    with injection.no_new_tasks(cluster.processes()[PROCESSES["fan"]].pid):
        injection.order(cluster, "threads 3", lambda: _reported(cluster, "thread"))


def _reported(cluster: Cluster, word: str) -> bool:
    return any(
        word in item["message"] for item in cluster.cli("errors", cluster.topology)["errors"]
    )


def _memory() -> Iterable[Cell]:
    yield Cell(
        "memory",
        "fan",
        _fan_eats_memory,
        rig="unruly",
        restarts=frozenset({PROCESSES["fan"]}),
        shows=(("events", "process_died", PROCESSES["fan"], "memory limit"),),
    )


def _fan_eats_memory(cluster: Cluster) -> None:
    fan = cluster.processes()[PROCESSES["fan"]]
    injection.order(cluster, "memory 3", lambda: not injection.is_alive(fan))


def _clocks() -> Iterable[Cell]:
    for fault, offset_s in (("clock a day ahead", DAY_S), ("clock an hour back", -HOUR_S)):
        for number, name, process in (
            (1, "container", "stmgr-1"),
            (0, "tmaster-container", "tmaster"),
        ):
            yield Cell(
                fault,
                name,
                partial(injection.set_clock, container=number, process=process, offset_s=offset_s),
                rig="own clocks",
                spares_data=True,
            )


def _poisons() -> Iterable[Cell]:
    yield Cell(
        "poison raises",
        "fan",
        partial(injection.poison, what="raise", count=5),
        rig="poison",
        shows=_errors("poison"),
    )
    yield Cell(
        "poison exits",
        "fan",
        partial(injection.poison, what="exit", count=1),
        rig="poison",
        # Whichever of the two gets it, at each attempt.
        may_restart=frozenset({"fan-3", "fan-4"}),
        shows=(("events", "process_died", "fan", "exit 13"),),
    )
