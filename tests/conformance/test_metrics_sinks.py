"""The metrics sinks of this project keep the contract of the SPI."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from heronshim.core.plugins.file_sink import FileSink
from heronshim.core.plugins.prometheus_sink import PrometheusSink
from heronshim.core.spi.metrics_sink import MetricsSink
from heronshim.testing.conformance.metrics_sink import MetricsSinkSuite


class TestFileSink(MetricsSinkSuite):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "metrics"

    def make(self) -> MetricsSink:
        return FileSink()

    def options(self) -> Mapping[str, str]:
        return {"folder": str(self.folder)}


class TestPrometheusSink(MetricsSinkSuite):
    def make(self) -> MetricsSink:
        return PrometheusSink()
