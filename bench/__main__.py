"""`make bench`: word count against the bare loop, alternating; latency at fixed rates."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from bench import backpressure
from bench.measure import Case, Run, machine, run_case, summary, write_between

RESULTS = Path(__file__).with_name("results")
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- figures begin -->", "<!-- figures end -->"


def cases(*, quick: bool) -> list[Case]:
    """Return the rows."""
    modes = ("at_most_once", "at_least_once")
    if quick:
        return [Case("at_least_once", 1, 1)]
    full = [Case(mode, c, pairs) for mode in modes for c in (1, 2) for pairs in (1, 2)]
    return full + [Case("at_least_once", 1, 1, rate) for rate in (1_000, 10_000, 50_000)]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run everything, ours and the bare loop in turn."""
    rows = []
    for case in cases(quick=options.quick):
        if options.only not in case.name:
            continue
        ours: list[Run] = []
        bare: list[Run] = []
        for turn in range(options.runs):
            print(f"{case.name}: run {turn + 1} of {options.runs}", file=sys.stderr, flush=True)
            times = {"warm_s": options.warm, "window_s": options.window}
            ours.append(run_case(case, bare=False, **times))
            if not case.rate:
                bare.append(run_case(case, bare=True, **times))
        rows.append(summary(case, ours, bare))
        print(line(rows[-1]), flush=True)
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "runs": options.runs,
        "warm_s": options.warm,
        "window_s": options.window,
        "rows": rows,
    }


def line(row: dict[str, Any]) -> str:
    """Return one row for a person."""
    text = f"{row['name']}: {row['tuples_per_s']['median']:,.0f} tuples/s"
    if row["ratio"]:
        ratio = row["ratio"]
        text += (
            f", bare loop {row['bare_tuples_per_s']['median']:,.0f}, "
            f"ratio {ratio['median']:.2f} ({ratio['min']:.2f}..{ratio['max']:.2f})"
        )
    if row["p50_us"]:
        text += f", p50 {row['p50_us'] / 1000:.2f} ms, p99 {row['p99_us'] / 1000:.2f} ms"
    return f"{text}, stream manager {row['stmgr_cpu_share']:.0%} of CPU"


def tables(result: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    facts = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    lines = [
        f"{result['time']}: {facts}. {result['runs']} runs a row, window {result['window_s']:g} s "
        f"after {result['warm_s']:g} s.",
        "",
        "| case | tuples/s median (min..max) | bare loop | ratio, pair by pair | CPU s per "
        "million: spout, bolt, stmgr, rest | stmgr's share | MB: spout, bolt, stmgr, rest | "
        "first tuple s | foreign cores |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    paced = []
    for row in result["rows"]:
        cpu = ", ".join(f"{value:.2f}" for value in row["cpu_s_per_million"].values())
        memory = ", ".join(f"{value:.0f}" for value in row["rss_mb"].values())
        foreign = f"{min(row['foreign_cores']):.2f}..{max(row['foreign_cores']):.2f}"
        if not row["ratio"]:
            paced.append(
                f"| {row['name']} | {row['tuples_per_s']['median']:,.0f} | "
                f"{row['p50_us'] / 1000:.2f} | {row['p99_us'] / 1000:.2f} | {cpu} | {foreign} |"
            )
            continue
        rate, bare, ratio = row["tuples_per_s"], row["bare_tuples_per_s"], row["ratio"]
        lines.append(
            f"| {row['name']} | {rate['median']:,.0f} ({rate['min']:,.0f}..{rate['max']:,.0f}) | "
            f"{bare['median']:,.0f} | {ratio['median']:.2f} ({ratio['min']:.2f}.."
            f"{ratio['max']:.2f}) | {cpu} | {row['stmgr_cpu_share']:.0%} | {memory} | "
            f"{row['first_tuple_s']['median']:.1f} | {foreign} |"
        )
    if paced:
        lines += [
            "",
            "| case | tuples/s | complete p50 ms | p99 ms | CPU s per million: spout, bolt, stmgr, "
            "rest | foreign cores |",
            "| --- | --- | --- | --- | --- | --- |",
            *paced,
        ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, store."""
    if sys.argv[1:2] == ["backpressure"]:
        backpressure.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one row, once: a smoke run")
    parser.add_argument("--only", default="", help='rows whose name contains this, as "at 10"')
    parser.add_argument("--runs", type=int, default=3, help="runs a row (default 3)")
    parser.add_argument("--warm", type=float, default=3.0, help="seconds before the window")
    parser.add_argument("--window", type=float, default=5.0, help="seconds that count")
    parser.add_argument("--write-docs", action="store_true", help="write docs/benchmarks.md too")
    options = parser.parse_args()
    if options.quick:
        options.runs, options.warm, options.window = 1, 1.0, 1.0
    result = measure(options)
    if options.quick or options.only:
        return
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{result['time'].replace(':', '')}.json"
    file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"stored in {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}")
    if options.write_docs:
        write_between(PAGE, BEGIN, END, tables(result))


if __name__ == "__main__":
    main()
