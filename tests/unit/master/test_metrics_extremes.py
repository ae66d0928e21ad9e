"""Reports of impossible numbers: the store takes or drops them, and answers all the same."""

from __future__ import annotations

import math

import pytest

from heronshim.core.codec.master import reply_to_bytes
from heronshim.core.codec.metrics import metrics_from_bytes, metrics_to_bytes
from heronshim.core.master.messages import CommandReply
from heronshim.core.master.metrics_store import RESTART_COUNT, MetricsStore
from heronshim.wire.v1 import metrics_pb2 as wire

U32, U64 = (1 << 32) - 1, (1 << 64) - 1
VALUES = (math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, -1.0, 1e18)


@pytest.mark.parametrize("value", VALUES)
def test_no_number_of_a_report_ends_the_store(value: float) -> None:
    message = wire.MetricsReport(process="p", container=U32, time_ms=U64, incarnation=U64, pid=U32)
    task = message.tasks.add(task=5, component="c")
    task.histograms.add(name="wait_us", buckets=[0, 255], counts=[U64, U64])
    for target in (message, task):
        for merge in (1, 2, 3):
            for name in (RESTART_COUNT, "a"):
                target.values.add(name=name, value=value, merge=merge)
    store = MetricsStore()
    for number, interval_ms in enumerate((0, 1, U32, 0, 1000), 1):
        message.interval_ms = interval_ms
        store.add(metrics_from_bytes(message.SerializeToString(), "t"), number * 10**9)
        snapshot = store.snapshot(number * 10**9, U64)
        assert reply_to_bytes(CommandReply("r", True, metrics=snapshot))
        assert all(metrics_to_bytes(record) for record in store.catch_up())
