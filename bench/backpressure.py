"""`make bench ARGS=backpressure`: what a bolt far too slow keeps of its own capacity, and what its
neighbour on another path keeps of its rate.

Capacity is the share of time that the slow bolt spends in `execute`: what is missing to 100 % it
waited for input though its source floods. The neighbour's rate is measured beside the slow path
and alone, in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.measure import HERONSHIM, machine, spread

ROOT = Path(__file__).parents[1]
FLOODS = ROOT / "tests" / "system" / "topologies" / "floods.py"
RESULTS = Path(__file__).with_name("results")
READY_S = 120.0
SLOW = (
    ("16 B at least once", {"BYTES": "16", "SLOW_S": "0.002"}),
    ("16 B at most once", {"BYTES": "16", "SLOW_S": "0.002", "DELIVERY": "at_most_once"}),
    ("100 B at least once", {"BYTES": "100", "SLOW_S": "0.002"}),
    ("5 MB at least once", {"BYTES": "5000000", "SLOW_S": "2"}),
)


def main(words: list[str] | None = None) -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=backpressure", description=__doc__)
    parser.add_argument("--window", type=float, default=60.0, help="seconds that count")
    parser.add_argument("--warm", type=float, default=5.0, help="seconds before the window")
    parser.add_argument("--runs", type=int, default=2, help="runs of the two paths")
    options = parser.parse_args(words)
    rows = []
    for name, values in SLOW:
        before, after = looks("OneSlow", values, options.warm, options.window)
        busy_us = total(after, "slow", "execute_time_us") - total(before, "slow", "execute_time_us")
        seconds = (after["time_ms"] - before["time_ms"]) / 1000
        rows.append(
            {
                "name": name,
                "capacity_kept": busy_us / 1e6 / seconds,
                "failed": total(after, "source", "fail_count"),
                "stmgr_rss_mb": stmgr_mb(after),
            }
        )
        print(rows[-1], flush=True)
    kept = []
    for _ in range(options.runs):
        rates = {}
        for topology in ("Alone", "TwoPaths"):
            before, after = looks(topology, {"SLOW_S": "0.002"}, options.warm, options.window)
            count = executed(after, "fast") - executed(before, "fast")
            rates[topology] = count / ((after["time_ms"] - before["time_ms"]) / 1000)
        kept.append(rates["TwoPaths"] / rates["Alone"])
        print(rates, kept[-1], flush=True)
    stamp = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime())
    result = {
        "time": stamp,
        "machine": machine(),
        "window_s": options.window,
        "slow": rows,
        "other_path_kept": spread(kept),
        "load": os.getloadavg()[0],
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"backpressure-{stamp}.json"
    file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"stored in {file}")


def looks(
    topology: str, values: dict[str, str], warm_s: float, window_s: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a topology and return its metrics at the begin and at the end of the window."""
    base = Path(tempfile.mkdtemp(prefix="hp-", dir="/tmp"))
    (base / "h").mkdir(mode=0o700)
    (base / "o").mkdir()
    environment = {
        **os.environ,
        "HERONSHIM_HOME": str(base / "h"),
        "HERONSHIM_SOCKET_DIR": str(base / "s"),
        "PYTHONPATH": str(ROOT),
        "FLOOD_FOLDER": str(base / "o"),
        **{f"FLOOD_{name}": value for name, value in values.items()},
    }

    def call(*words: str) -> str:
        return subprocess.run(
            [*HERONSHIM, *words], env=environment, check=True, capture_output=True, text=True
        ).stdout

    try:
        call("submit", f"{FLOODS}:{topology}")
        end = time.monotonic() + READY_S
        while not any((base / "o").glob("*.json")):
            if time.monotonic() > end:
                msg = f"{topology}: no tuple after {READY_S} s"
                raise RuntimeError(msg)
            time.sleep(0.1)
        time.sleep(warm_s)
        before = json.loads(call("metrics", topology, "--json"))
        time.sleep(window_s)
        return before, json.loads(call("metrics", topology, "--json"))
    finally:
        subprocess.run(
            [*HERONSHIM, "kill", topology, "--yes", "--wait", "0"],
            env=environment, check=False, capture_output=True,
        )  # fmt: skip
        shutil.rmtree(base, ignore_errors=True)


def total(metrics: dict[str, Any], component: str, name: str) -> float:
    """Return the sum of a count over a component's tasks."""
    tasks = [task for task in metrics["tasks"] if task["component"] == component]
    return sum(float(task["sums"].get(name, 0.0)) for task in tasks)


def executed(metrics: dict[str, Any], component: str) -> float:
    """Return how many tuples a component has executed."""
    return sum(
        float(value)
        for task in metrics["tasks"]
        if task["component"] == component
        for name, value in task["sums"].items()
        if name.startswith("execute_count/")
    )


def stmgr_mb(metrics: dict[str, Any]) -> float:
    """Return the largest stream manager's memory."""
    found = [item for item in metrics["processes"] if item["process"].startswith("stmgr")]
    return max(float(item["gauges"].get("rss_bytes", 0.0)) for item in found) / 1e6


if __name__ == "__main__":
    main(sys.argv[1:])
