"""`make recovery`: every cell of the fault matrix, several times, and docs/recovery.md.

Each round runs all cells one after another on a topology of its own, so that what one cell left
behind weighs on no cell more than once.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.faults.cell import Outcome, run_cell
from bench.faults.matrix import Cell, all_cells
from bench.faults.rigs import RIGS
from bench.measure import machine, spread, write_between

RESULTS = Path(__file__).parents[1] / "results"
PAGE = Path(__file__).parents[2] / "docs" / "recovery.md"
BEGIN, END = "<!-- table begin -->", "<!-- table end -->"
PER_S = 2000
"""Ids a second, each of three rows: 14,000 tuples a second pass the bolts, and two cores have
room to start processes beside them."""
LOAD = {"LEDGER_PER_S": str(PER_S)}
SECONDS = {"first_tuple_s": "first tuple s", "back_s": "95 % of the rate s", "gap_s": "gap s"}
COUNTS = {"trees_failed": "trees failed", "duplicates": "ids twice"}
NEVER_S = float("inf")


def measure(cells: list[Cell], runs: int) -> dict[str, list[Outcome]]:
    """Run all cells `runs` times, those of one rig after another on one topology."""
    found: dict[str, list[Outcome]] = {cell.name: [] for cell in cells}
    for turn in range(runs):
        print(f"run {turn + 1} of {runs}", file=sys.stderr, flush=True)
        for rig, start in RIGS.items():
            mine = [cell for cell in cells if cell.rig == rig]
            if not mine:
                continue
            with start(LOAD) as cluster:
                for cell in mine:
                    outcome = run_cell(cluster, cell)
                    found[cell.name].append(outcome)
                    print(line(outcome), file=sys.stderr, flush=True)
                wrong = cluster.finish()
            if wrong:
                msg = f"run {turn + 1} of rig {rig}: {wrong}"
                raise RuntimeError(msg)
    return found


def line(outcome: Outcome) -> str:
    """Return one outcome for a person."""
    back = "never" if outcome.back_s is None else f"{outcome.back_s:.2f} s"
    text = (
        f"{outcome.cell}: first tuple {outcome.first_tuple_s:.2f} s, 95 % {back}, longest gap "
        f"{outcome.gap_s:.2f} s, {outcome.trees_failed} trees failed, {outcome.duplicates} twice"
    )
    return f"{text}: {outcome.problems}" if outcome.problems else text


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    """Return one cell's figures."""
    values = [asdict(outcome) for outcome in outcomes]
    return {
        name: spread([NEVER_S if run[name] is None else run[name] for run in values])
        for name in (*SECONDS, *COUNTS)
    }


def table(result: dict[str, Any]) -> str:
    """Return the figures as Markdown: min / median / max."""
    facts = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    names = list((SECONDS | COUNTS).values())
    lines = [
        f"{result['time']}: {facts}. {result['runs']} runs a row; smallest / median / largest.",
        "",
        f"| fault | {' | '.join(names)} |",
        f"| --- |{' --- |' * len(names)}",
    ]
    for cell, row in result["cells"].items():
        seconds = [_three(row["summary"][name], ".1f") for name in SECONDS]
        counts = [_three(row["summary"][name], ",.0f") for name in COUNTS]
        lines.append(f"| {cell} | {' | '.join(seconds + counts)} |")
    return "\n".join(lines)


def _three(values: dict[str, float], form: str) -> str:
    ordered = [values[name] for name in ("min", "median", "max")]
    shown = ["never" if value == NEVER_S else format(value, form) for value in ordered]
    return shown[0] if len(set(shown)) == 1 else " / ".join(shown)


def main() -> None:
    """Measure, print, store, write the page."""
    parser = argparse.ArgumentParser(prog="make recovery", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each cell (default 5)")
    parser.add_argument("--only", default="", help='cells whose name contains this, as "kill s"')
    options = parser.parse_args()
    cells = [cell for cell in all_cells() if options.only in cell.name]
    found = measure(cells, options.runs)
    result = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "runs": options.runs,
        "ids_per_s": PER_S,
        "cells": {
            name: {"summary": summary(outcomes), "runs": [asdict(item) for item in outcomes]}
            for name, outcomes in found.items()
        },
    }
    print(table(result))
    if options.only:
        return
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{result['time'].replace(':', '')}-recovery.json"
    file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    write_between(PAGE, BEGIN, END, table(result))
    print(f"stored in {file} and {PAGE}")


if __name__ == "__main__":
    main()
