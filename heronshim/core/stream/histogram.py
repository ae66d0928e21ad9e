"""Latency histograms that every process can add up: four buckets for each doubling.

Bucket b counts whole microseconds v with floor(4 * log2(v + 1)) = b. That floor equals the bit
length of (v + 1)^4, less one, so no language's rounding can move a value over a border. A bucket
is at most 19 % wide, which is the error of a quantile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BUCKET_MAX = 255
"""Highest bucket; it holds everything from 2^63.75 microseconds on."""
_VALUE_US_MAX = (1 << 64) - 2


def bucket(value_us: int) -> int:
    """Return the bucket of a whole number of microseconds; negative ones count as 0."""
    if value_us <= 0:
        return 0
    square = min(value_us, _VALUE_US_MAX) + 1
    square *= square
    return (square * square).bit_length() - 1


def bucket_low_us(index: int) -> float:
    """Return where a bucket begins, in microseconds; it ends where the next begins."""
    return float(2.0 ** (index / 4) - 1)


class Histogram:
    """Counts by bucket. One thread at a time."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts = [0] * (BUCKET_MAX + 1)

    def add(self, value_us: int) -> None:
        """Count one value in microseconds. Called for each tuple, so it does the least."""
        if 0 <= value_us <= _VALUE_US_MAX:
            square = value_us + 1
            square *= square
            self._counts[(square * square).bit_length() - 1] += 1
        else:
            self._counts[bucket(value_us)] += 1

    def add_weighted(self, value_us: int, weight: int) -> None:
        """Count `weight` values of the same microseconds."""
        self._counts[bucket(value_us)] += weight

    def merge(self, counts: Mapping[int, int]) -> None:
        """Add counts by bucket, each bucket from 0 to BUCKET_MAX."""
        own = self._counts
        for index, count in counts.items():
            own[index] += count

    def counts(self) -> dict[int, int]:
        """Return the buckets that hold anything, ascending."""
        return {index: count for index, count in enumerate(self._counts) if count}

    def take(self) -> dict[int, int]:
        """Return what `counts` does and begin again from zero."""
        taken = self.counts()
        for index in taken:
            self._counts[index] = 0
        return taken

    def quantile(self, fraction: float) -> float | None:
        """Return the value in microseconds below which `fraction` (0 to 1) lies; see `quantile`."""
        return quantile(self.counts(), fraction)


COUNT_MAX = (1 << 64) - 1
"""What a count's field on the wire holds."""


def merged(parts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Return the sum of several counts by bucket, ascending."""
    total: dict[int, int] = {}
    for part in parts:
        for index, count in part.items():
            total[index] = min(total.get(index, 0) + count, COUNT_MAX)
    return dict(sorted(total.items()))


def quantile(counts: Mapping[int, int], fraction: float) -> float | None:
    """Return the value in microseconds below which `fraction` (0 to 1) of the counts lies.

    Within its bucket the value is interpolated linearly. None when nothing was counted.
    """
    total = sum(counts.values())
    if total == 0:
        return None
    rank = min(max(fraction, 0.0), 1.0) * total
    low = 0.0
    high = 0.0
    before = 0
    for index in sorted(counts):
        count = counts[index]
        if not count:
            continue
        low, high = bucket_low_us(index), bucket_low_us(index + 1)
        if before + count >= rank:
            return low + (high - low) * (rank - before) / count
        before += count
    return high
