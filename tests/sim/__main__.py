"""`make sim`: many seeds on all cores, or what happens in one (`--story SEED`)."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import sys
import time

from tests.sim.simulation import SimulationFailed, simulate

BLOCK = 100
"""Seeds that a worker runs at a time."""


def run_block(first: int, count: int) -> list[str]:
    """Run seeds one after another; return what failed."""
    failures = []
    gc.disable()
    try:
        for seed in range(first, first + count):
            try:
                simulate(seed)
            except SimulationFailed as error:
                failures.append(str(error))
            if seed % 25 == 0:
                gc.collect()
    finally:
        gc.enable()
    return failures


def run_many(first: int, count: int) -> int:
    """Run seeds on all cores; print failures as they come; return how many there were."""
    begun = time.monotonic()
    blocks = [
        (start, min(BLOCK, first + count - start)) for start in range(first, first + count, BLOCK)
    ]
    failed = done = 0
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for failures in pool.imap_unordered(_run, blocks):
            done += 1
            failed += len(failures)
            for failure in failures:
                print(failure, flush=True)  # noqa: T201
            if sys.stderr.isatty():
                print(f"\r{done * BLOCK} of {count} seeds", end="", file=sys.stderr)  # noqa: T201
    print(f"{count} seeds from {first}: {failed} failed, {time.monotonic() - begun:.0f} s")  # noqa: T201
    return failed


def _run(block: tuple[int, int]) -> list[str]:
    return run_block(*block)


def tell(seed: int) -> int:
    """Print all that happens in one seed; return 1 when it fails."""
    story: list[str] = []
    try:
        end: object = simulate(seed, story)
    except SimulationFailed as error:
        end = error
    print("\n".join(story))  # noqa: T201
    print(end)  # noqa: T201
    return int(isinstance(end, SimulationFailed))


def main() -> int:
    parser = argparse.ArgumentParser(prog="make sim")
    parser.add_argument("--story", type=int, metavar="SEED", help="print what happens in one seed")
    parser.add_argument("--first", type=int, default=0, help="first seed (0)")
    parser.add_argument("--count", type=int, default=20_000, help="how many seeds (20000)")
    given = parser.parse_args()
    if given.story is not None:
        return tell(given.story)
    return int(run_many(given.first, given.count) > 0)


if __name__ == "__main__":
    sys.exit(main())
