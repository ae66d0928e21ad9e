"""Values as a few words for people."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from heronshim.core.plan.topology import GroupingKind
from heronshim.errors import ConfigError

if TYPE_CHECKING:
    from heronshim.core.plan.topology import Grouping

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def grouping_text(grouping: Grouping) -> str:
    """Return a grouping in a few words, such as "fields(word)"."""
    kind = str(grouping.kind).replace("_", "-")
    if grouping.kind is GroupingKind.CUSTOM:
        return f"custom({grouping.object})"
    return f"{kind}({', '.join(grouping.fields)})" if grouping.fields else kind


def since_moment(since: str) -> datetime:
    """Return the time that `--since` means, such as that of five minutes ago for "5m".

    Raises:
        ConfigError: it is no duration.
    """
    match = _DURATION.fullmatch(since)
    if match is None:
        msg = f'--since must be a number with s, m, h or d, such as 5m, not "{since}"'
        raise ConfigError(msg)
    try:
        return datetime.now(UTC) - timedelta(seconds=float(match[1]) * _SECONDS[match[2]])
    except OverflowError as error:
        msg = f"--since {since} lies before all time; give fewer"
        raise ConfigError(msg) from error


def age(time_s: int | None) -> str:
    """Return how long ago a Unix time was; "-" for None."""
    if time_s is None:
        return "-"
    seconds = max(0, int(time.time()) - time_s)
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
