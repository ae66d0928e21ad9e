"""How heronshim's metrics are called in Prometheus. Pure.

A metric "emit_count/default" of a task becomes heronshim_emit_total{stream="default"}: what
follows a slash is a label, times are in seconds, sums are counters that end in _total. Metrics
of a process have the prefix heronshim_process_.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_LABELS: dict[str, tuple[str, ...]] = {
    "emit_count": ("stream",),
    "execute_count": ("source", "stream"),
    "frame_count": ("kind",),
    "suspected": ("suspect",),
    "user": ("name",),
}
"""Names of what follows the slashes."""
_OTHER_LABELS = ("key",)
_UNITS = (("_us", "_seconds", 1e-6), ("_ms", "_seconds", 1e-3), ("_count", "", 1.0))
"""Ending of ours, ending of Prometheus, factor. A counter's _total says that it counts."""
_UNFIT = re.compile(r"[^a-zA-Z0-9_]")


class Kind(StrEnum):
    """How values of one interval become one value."""

    SUM = "sum"
    GAUGE = "gauge"
    MAXIMUM = "maximum"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Series:
    """Where a metric goes: name of the family without _total, its own labels, factor."""

    family: str
    labels: tuple[tuple[str, str], ...]
    factor: float


def series(name: str, kind: Kind, *, process: bool) -> Series:
    """Return the series of a metric of a task, or of a process if `process`."""
    base, slash, rest = name.partition("/")
    keys = _LABELS.get(base, _OTHER_LABELS) if slash else ()
    # A lone surrogate in one label would keep the server from encoding any.
    rest = rest.encode(errors="replace").decode()
    texts = rest.split("/", len(keys) - 1) if keys else []
    texts += [""] * (len(keys) - len(texts))
    stem, factor = base, 1.0
    for ending, unit, scale in _UNITS:
        if base.endswith(ending) and base != ending:
            stem, factor = base.removesuffix(ending) + unit, scale
            break
    stem = _UNFIT.sub("_", stem)
    prefix = "heronshim_process_" if process else "heronshim_"
    suffix = "_max" if kind == Kind.MAXIMUM else ""
    return Series(f"{prefix}{stem}{suffix}", tuple(zip(keys, texts, strict=True)), factor)
