"""`make fuzz`: breeds inputs for each reader of bytes from outside, and keeps what is new."""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.fuzz.fuzzer import Failure, fuzz, smallest
from tests.fuzz.targets import CORPUS, TARGETS, Target, first_inputs, read_inputs, write_inputs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=float, default=30, help="for each target (30)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    words = parser.parse_args()
    unknown = sorted({*words.targets} - {*TARGETS})
    if unknown:
        parser.error(f"unknown {', '.join(unknown)}; there are: {', '.join(TARGETS)}")
    sys.stdout.write(f"seed {words.seed}, {words.seconds:g} s for each target\n")
    chosen = [TARGETS[name] for name in words.targets or TARGETS]
    return max(run(target, words.seconds, words.seed) for target in chosen)


def run(target: Target, seconds: float, seed: int) -> int:
    """Fuzz one target and write its corpus; return the exit code."""
    path = CORPUS / target.file
    kept = read_inputs(path)
    try:
        found = fuzz(
            target, [*first_inputs(), *kept], seconds, random.Random(f"{seed} {target.name}")
        )
        small = smallest(target, [*found, *kept])
    except Failure as failure:
        write_inputs(path, [*kept, failure.data])
        sys.stdout.write(
            f"FAILED {failure}\n    saved in {path}: make test fails until it is mended\n"
        )
        return 1
    write_inputs(path, small)
    new = len({*small} - {*kept})
    sys.stdout.write(f"{target.name:<18} {len(small):>4} inputs kept, {new} of them new\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
