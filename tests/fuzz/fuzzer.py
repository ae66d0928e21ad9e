"""Searches for inputs that a reader does not bear, led by the lines of ours that they reach.

Inputs are bred from those that reached something new: a line of heronshim's, or another message.
(atheris does it by instrumentation: 62 MB in the environment, for some versions of Python only,
and it sees as little of protobuf's C as a line tracer does.)
"""

from __future__ import annotations

import random
import re
import resource
import sys
import time
from collections.abc import Iterable
from types import FrameType
from typing import Any

import heronshim
from tests.fuzz.targets import Target

OURS = heronshim.__path__[0]
CPU_S_MAX = 1.0
GROWTH_BYTES_MAX = 256 << 20
MESSAGE_CHARACTERS_MAX = 5000
INPUT_BYTES_MAX = 4096
CORPUS_BYTES_MAX = 4096
"""Of one target's inputs that are kept; written in hex it is twice as much."""
NUMBERS = [0, 1, 127, 128, 255, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1]
Features = frozenset[Any]


class Failure(Exception):
    """An input that a reader does not bear; `data` is it."""

    def __init__(self, target: Target, data: bytes, why: str) -> None:
        super().__init__(f"{target.name}: {why}\n    input: {data.hex()}")
        self.data = data


def check(target: Target, data: bytes) -> str:
    """Let a reader read; return what it says of the input, with numbers and names taken out.

    Raises:
        Failure: it raises something else than its refusal, or takes too much time or memory.
    """
    began_s, began_kb = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    message = "read"
    try:
        target.read(data)
    except target.refusals as error:
        message = str(error)
    except BaseException as error:
        raise Failure(target, data, f"{type(error).__name__}: {error}") from error
    used_s = time.process_time() - began_s
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - began_kb) << 10
    if used_s > CPU_S_MAX:
        raise Failure(target, data, f"took {used_s:.1f} s of CPU")
    if grown > GROWTH_BYTES_MAX:
        raise Failure(target, data, f"took {grown >> 20} MB")
    if not 0 < len(message) < MESSAGE_CHARACTERS_MAX:
        raise Failure(target, data, f"has a message of {len(message)} characters")
    return re.sub(r"""'[^']*'|"[^"]*"|\d+|0x[0-9a-f]+""", "_", message)[:100]


def features(target: Target, data: bytes) -> Features:
    """Return what an input reaches: lines of ours, and a message; raises Failure."""
    lines: set[Any] = set()

    def on_line(frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            lines.add((frame.f_code.co_name, frame.f_code.co_firstlineno, frame.f_lineno))
        return on_line

    def on_call(frame: FrameType, _event: str, _: object) -> Any:
        return on_line if frame.f_code.co_filename.startswith(OURS) else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        message = check(target, data)
    finally:
        sys.settrace(before)
    return frozenset({*lines, message})


def smallest(target: Target, inputs: Iterable[bytes]) -> list[bytes]:
    """Return few and short ones of the inputs that reach what all of them do, within limits."""
    known: set[Any] = set()
    kept: list[bytes] = []
    for data in sorted(set(inputs), key=lambda data: (len(data), data)):
        found = features(target, data)
        if found <= known or sum(map(len, kept)) + len(data) > CORPUS_BYTES_MAX:
            continue
        known |= found
        kept.append(data)
    return kept


def mutant(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Return a changed input; pieces may come from the other one."""
    out = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(8):
            case 0 if out:
                out[at % len(out)] ^= 1 << rng.randrange(8)
            case 1:
                out[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 2:
                del out[at : at + rng.randrange(1, 9)]
            case 3:
                out[at:at] = b"\xff" * rng.randrange(1, 12)
            case 4:
                out += out[:at]
            case 5:
                out[at : at + rng.randrange(9)] = _varint(rng.choice(NUMBERS))
            case 6:
                # A field of a message, with a length that may lie.
                tag = _varint(rng.randrange(1, 20) << 3 | rng.choice((0, 2)))
                out[at:at] = tag + _varint(rng.choice((1, 2, 5, rng.choice(NUMBERS))))
            case _:
                start = rng.randrange(len(other) + 1)
                out[at:] = other[start : start + rng.randrange(200)]
    return bytes(out[:INPUT_BYTES_MAX])


def fuzz(target: Target, seeds: list[bytes], seconds: float, rng: random.Random) -> list[bytes]:
    """Breed inputs from the seeds for so long; return all that reached something new.

    Raises:
        Failure: an input was found that the reader does not bear.
    """
    known: set[Any] = set()
    new: list[bytes] = []
    for data in seeds:
        found = features(target, data)
        if not found <= known:
            known |= found
            new.append(data)
    # Whole messages are worth breeding from, whether or not one before reached as much.
    pool = [*seeds]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(100):
            data = mutant(rng, rng.choice(pool), rng.choice(pool))
            found = features(target, data)
            if not found <= known:
                known |= found
                pool.append(data)
                new.append(data)
    return new


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])
