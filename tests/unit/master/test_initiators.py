"""Initiators of back pressure, read from the gauges of the stream managers."""

from __future__ import annotations

from heronshim.core.master.initiators import (
    ACTIVE_S,
    Initiator,
    initiator_name,
    initiator_text,
    initiators,
)
from heronshim.core.master.messages import MetricsSnapshot
from heronshim.core.spi.metrics_sink import MetricsRecord


def test_initiators_of_all_containers_the_longest_first():
    gauges = [
        {initiator_name(ACTIVE_S, "sink", 4): 2.5, "rss_bytes": 1.0},
        {initiator_name(ACTIVE_S, "a/b", 7): 9.0, f"{ACTIVE_S}/": 1.0, f"{ACTIVE_S}/x/y": 1.0},
    ]
    processes = tuple(
        MetricsRecord("t", f"stmgr-{number}", number, 0, 1000, 1, 1, gauges=values)
        for number, values in enumerate(gauges, 1)
    )
    found = initiators(MetricsSnapshot(0, (), processes))
    assert found == [Initiator("a/b", 7, 9.0), Initiator("sink", 4, 2.5)]
    assert initiator_text(found[1]) == "back pressure: sink (task 4) for 2.5 s"
