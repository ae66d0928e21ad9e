"""What of Storm runs here: one table, for `heronshim compat check` and for docs/storm.md."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How something runs, from best to worst."""

    RUNS = "runs"
    NOTES = "notes"
    """It runs, and something differs."""
    BLOCKED = "blocked"


_ORDER = list(Verdict)


def worst(verdicts: list[Verdict]) -> Verdict:
    """Return the worst; RUNS of none."""
    return max(verdicts, key=_ORDER.index, default=Verdict.RUNS)


@dataclass(frozen=True, slots=True)
class Feature:
    """A row of the table."""

    title: str
    verdict: Verdict = Verdict.RUNS
    differs: str = ""
    """What differs from Storm."""
    todo: str = ""
    """What to do about it."""


_RUNS, _NOTES, _BLOCKED = Verdict
FEATURES: dict[str, Feature] = {
    "rich": Feature("`IRichSpout`, `IRichBolt`"),
    "basic": Feature("`IBasicBolt`"),
    "windowed": Feature("windows (`IWindowedBolt`)"),
    "shell": Feature("`ShellSpout`, `ShellBolt`"),
    "no_script": Feature(
        "a script that is not in the jar",
        _NOTES,
        "the jar has no such file",
        "put it there, unless each host has it",
    ),
    "streams": Feature("Streams API (`StreamBuilder`)"),
    "stateful": Feature("stateful bolts, checkpoints"),
    "state_provider": Feature("`topology.state.provider`"),
    "trident": Feature(
        "Trident",
        _BLOCKED,
        "its coordinator asks for Storm's ZooKeeper, and does not start without",
        "keep it on Storm",
    ),
    "drpc": Feature(
        "DRPC topologies (`DRPCSpout`)",
        _BLOCKED,
        "there is no DRPC server",
        "keep it on Storm",
    ),
    "drpc_client": Feature(
        "`DRPCClient`", _NOTES, "there is no DRPC server", "give it one of Storm's"
    ),
    "local_cluster": Feature(
        "`LocalCluster`, `LocalDRPC`",
        _RUNS,
        "Storm's client does not have it",
        "give main the arguments with which it submits",
    ),
    "task_hooks": Feature("task hooks"),
    "kryo": Feature("classes registered for Kryo"),
    "shared_executor": Feature("`getSharedExecutor`"),
    "metrics_v1": Feature(
        "metrics of the old API (`registerMetric`)",
        _NOTES,
        "accepted and reported nowhere",
        "use registerCounter or registerGauge",
    ),
    "metrics_v2": Feature(
        "meters, timers, histograms and metric sets",
        _NOTES,
        "accepted and reported nowhere; counters and gauges are",
        "use those too",
    ),
    "metrics_consumers": Feature(
        "metrics consumers", _NOTES, "never called", "read heronshim metrics, or use a sink"
    ),
    "event_logger": Feature("event loggers", _NOTES, "nothing is logged", "do without"),
    "worker_hooks": Feature(
        "worker hooks", _NOTES, "never called", "do their work in open and prepare"
    ),
    "credentials": Feature(
        "credentials", _NOTES, "neither taken nor renewed", "have them on each host"
    ),
    "blobs": Feature("blob store", _BLOCKED, "there is none", "put the files into the jar"),
    "no_effect": Feature(
        "keys of configuration without effect", _NOTES, "they change nothing", "do without them"
    ),
    "cycle": Feature(
        "components in a cycle",
        _NOTES,
        "`topology.max.spout.pending` is 5,000 unless set",
        "set it if that is not right",
    ),
    "old_api": Feature(
        "the API before Storm 1 (`backtype.storm`)",
        _BLOCKED,
        "its components are not loaded",
        "build against storm-client 2.8",
    ),
    "api_1": Feature(
        "the API of Storm 1",
        _NOTES,
        "it is run on Storm's client 2.8.3",
        "build against storm-client 2.8 to be sure",
    ),
    "missing": Feature(
        "what Storm's client 2.8.3 does not have",
        _BLOCKED,
        "code that asks for it fails",
        "build against storm-client 2.8 and pack other libraries into the jar",
    ),
    "storms_own": Feature(
        "Storm itself in the jar",
        _NOTES,
        "the client here stands before it",
        "leave it out (scope provided)",
    ),
    "newer_java": Feature(
        "class files of a newer Java",
        _NOTES,
        "they cannot be loaded",
        "set JAVA_HOME to that Java",
    ),
    "damaged": Feature(
        "damaged files in the jar", _NOTES, "they cannot be read", "build the jar anew"
    ),
    "unopened": Feature(
        "an object that cannot be opened",
        _BLOCKED,
        "its task cannot start",
        "see the reason",
    ),
    "goes_on": Feature("a main that goes on after its submit", _RUNS, "the check ended it", ""),
    "main_failed": Feature(
        "a main that fails after its submit", _NOTES, "the topology stays", "see the reason"
    ),
    "refused": Feature("what the gateway refuses", _BLOCKED, "", "see the reason"),
    "no_submit": Feature("a main that submits nothing", _BLOCKED, "", "see the other notes"),
}
"""By the id that reports have."""


def markdown() -> str:
    """Return the table as docs/storm.md has it."""
    lines = ["| what a topology uses | verdict | what differs | what to do |", "| --- " * 4 + "|"]
    lines += [
        f"| {item.title} | {item.verdict} | {item.differs} | {item.todo} |"
        for item in FEATURES.values()
    ]
    return "\n".join(lines) + "\n"
