"""The packings of this project keep the contract of the SPI."""

from __future__ import annotations

from heronshim.core.plan.first_fit import FirstFitDecreasingPacking
from heronshim.core.plan.resource_compliant import ResourceCompliantPacking
from heronshim.core.plan.round_robin import RoundRobinPacking
from heronshim.core.spi.packing import Packing
from heronshim.testing.conformance.packing import PackingSuite


class TestRoundRobin(PackingSuite):
    def make(self) -> Packing:
        return RoundRobinPacking()


class TestResourceCompliant(PackingSuite):
    def make(self) -> Packing:
        return ResourceCompliantPacking()


class TestFirstFitDecreasing(PackingSuite):
    def make(self) -> Packing:
        return FirstFitDecreasingPacking()
