"""Values as a few words for people."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from heronshim.core.plan.topology import GroupingKind

if TYPE_CHECKING:
    from heronshim.core.plan.topology import Grouping


def grouping_text(grouping: Grouping) -> str:
    """Return a grouping in a few words, such as "fields(word)"."""
    kind = str(grouping.kind).replace("_", "-")
    if grouping.kind is GroupingKind.CUSTOM:
        return f"custom({grouping.object})"
    return f"{kind}({', '.join(grouping.fields)})" if grouping.fields else kind


def age(submit_time_s: int | None) -> str:
    """Return how long ago a Unix time was; "-" for None."""
    if submit_time_s is None:
        return "-"
    seconds = max(0, int(time.time()) - submit_time_s)
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
