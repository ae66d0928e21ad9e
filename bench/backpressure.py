"""`make bench ARGS=backpressure`: what a bolt far too slow keeps of its own capacity, and what its
neighbour on another path keeps of its rate.

Capacity kept is the share of time that the slow bolt spends in `execute`: what is missing to 100 %
it waited for input though its source floods, or the engine took between two calls. The neighbour's
rate is counted beside the slow path and alone, in turn. Both come from the components' own clocks
and counts, so no report's delay is in them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from bench.faults.cluster import Cluster, wait_until
from bench.measure import machine, spread, write_between

ROOT = Path(__file__).parents[1]
FLOODS = ROOT / "tests" / "system" / "topologies" / "floods.py"
RESULTS = Path(__file__).with_name("results")
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- back pressure begin -->", "<!-- back pressure end -->"
GOAL = 0.95
TIMES = 1000
"""How many times slower than their source emits the slow bolts are."""
SLOW: tuple[tuple[str, dict[str, str]], ...] = (
    ("16 B, at least once", {"BYTES": "16"}),
    ("16 B, at most once", {"BYTES": "16", "DELIVERY": "at_most_once"}),
    ("100 B, at least once", {"BYTES": "100"}),
    # A frame of it takes 2 ms to come.
    ("5 MB, at least once", {"BYTES": "5000000", "SLOW_S": "2"}),
)
OTHER = {"as fast as it can": "inf", "at 200,000/s": "200000"}
"""What the source of the path beside a slow one emits: all that two cores carry, or less."""


@dataclass(frozen=True)
class Window:
    """What one topology did between two looks."""

    executed_per_s: float
    busy_share: float
    """Of the watched bolt's time."""
    failed: int
    """Trees, over the whole run."""
    stmgr_peak_mb: float
    """The largest stream manager's, over the whole run."""


def main(words: list[str] | None = None) -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=backpressure", description=__doc__)
    parser.add_argument("--window", type=float, default=60.0, help="seconds that count")
    parser.add_argument("--warm", type=float, default=5.0, help="seconds before the window")
    parser.add_argument("--runs", type=int, default=2, help="runs of the two paths")
    parser.add_argument("--write-docs", action="store_true", help="write docs/benchmarks.md too")
    options = parser.parse_args(words)
    flood = run("Alone", {}, "fast", options.warm, min(options.window, 10.0)).executed_per_s
    slow_s = f"{TIMES / flood:.6f}"
    print(f"a source floods {flood:,.0f} tuples/s; slow bolts take {slow_s} s for one", flush=True)
    slow = []
    for name, values in SLOW:
        window = run("OneSlow", {"SLOW_S": slow_s, **values}, "slow", options.warm, options.window)
        slow.append({"name": name, **asdict(window)})
        print(f"{name}: {window.busy_share:.1%} of its capacity, {window}", flush=True)
    pairs = []
    for turn, (name, right_per_s) in product(range(options.runs), OTHER.items()):
        rates = {}
        values = {"SLOW_S": slow_s, "RIGHT_PER_S": right_per_s}
        for topology in ("Alone", "TwoPaths"):
            window = run(topology, values, "fast", options.warm, options.window)
            rates[topology] = window.executed_per_s
        pairs.append({"name": name, **rates, "kept": rates["TwoPaths"] / rates["Alone"]})
        print(f"two paths, run {turn + 1} of {options.runs}: {pairs[-1]}", flush=True)
    result = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "warm_s": options.warm,
        "window_s": options.window,
        "flood_per_s": flood,
        "slow": slow,
        "pairs": pairs,
        "other_path_kept": {
            name: spread([pair["kept"] for pair in pairs if pair["name"] == name]) for name in OTHER
        },
        "load": os.getloadavg()[0],
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"backpressure-{result['time'].replace(':', '')}.json"
    file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{table(result)}\n\nstored in {file}")
    if options.write_docs:
        write_between(PAGE, BEGIN, END, table(result))


def run(
    topology: str, values: dict[str, str], component: str, warm_s: float, window_s: float
) -> Window:
    """Run a topology on one container; look at one of its bolts twice."""
    with Cluster({f"FLOOD_{name}": value for name, value in values.items()}, topology) as cluster:
        folder = cluster.ledger_folder
        cluster.environment["FLOOD_FOLDER"] = str(folder)
        cluster.cli("submit", f"{FLOODS}:{topology}")
        wait_until(lambda: counts(folder, component).get("executed"), f"{topology}: a tuple")
        time.sleep(warm_s)
        begin = counts(folder, component)
        time.sleep(window_s)
        end = counts(folder, component)
        elapsed_s = end["at_s"] - begin["at_s"]
        sources = ("source", "left", "right")
        peaks = [peak_mb(item.pid) for name, item in cluster.processes().items() if "stmgr" in name]
        window = Window(
            executed_per_s=(end["executed"] - begin["executed"]) / elapsed_s,
            busy_share=(end.get("busy_us", 0) - begin.get("busy_us", 0)) / 1e6 / elapsed_s,
            failed=sum(int(counts(folder, name).get("failed", 0)) for name in sources),
            stmgr_peak_mb=max(peaks),
        )
        cluster.cli("kill", topology, "--yes", "--wait", "0")
        return window


def counts(folder: Path, component: str) -> dict[str, Any]:
    """Return what the one task of a component has counted, and when; empty before its first."""
    for file in folder.glob(f"{component}-*.json"):
        found: dict[str, Any] = json.loads(file.read_text())
        return found
    return {}


def peak_mb(pid: int) -> float:
    """Return the most memory that a live process ever held."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def table(result: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    facts = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    lines = [
        f"{result['time']}: {facts}. Window {result['window_s']:g} s after {result['warm_s']:g} s. "
        f"A source alone floods {result['flood_per_s']:,.0f} tuples/s, slow bolts are {TIMES:,} "
        f"times slower. Goal: {GOAL:.0%}.",
        "",
        "| slow bolt | of its capacity | tuples/s | trees failed | stream manager's peak MB |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['name']} | {row['busy_share']:.1%} | {row['executed_per_s']:,.1f} | "
        f"{row['failed']} | {row['stmgr_peak_mb']:.0f} |"
        for row in result["slow"]
    ]
    lines += [
        "",
        "| other path | tuples/s alone | beside a slow path | kept |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {pair['name']} | {pair['Alone']:,.0f} | {pair['TwoPaths']:,.0f} | {pair['kept']:.1%} |"
        for pair in sorted(result["pairs"], key=lambda pair: pair["name"])
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
