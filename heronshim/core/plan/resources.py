"""What executors and containers need, and what a container may hold."""

from __future__ import annotations

import math
from dataclasses import dataclass

from heronshim.config import MIB, ComponentOptions, TopologyOptions
from heronshim.core.plan.physical import Resources

STREAM_MANAGER = Resources(cpu=1.0, ram_bytes=256 * MIB, disk_bytes=512 * MIB)
"""One busy interpreter; its windows (32 MB), queues and code; five rotated logs of 100 MB."""
METRICS_MANAGER = Resources(cpu=0.1, ram_bytes=128 * MIB, disk_bytes=512 * MIB)
"""A few records a second from each process; one record queued for each slow sink; its logs."""
OVERHEAD = STREAM_MANAGER + METRICS_MANAGER
"""What each container needs beside its executors."""


def executor_resources(options: ComponentOptions) -> Resources:
    """Return what one executor of a component needs."""
    return Resources(options.cpu, math.ceil(options.ram_mb * MIB), math.ceil(options.disk_mb * MIB))


@dataclass(frozen=True, slots=True)
class ContainerRules:
    """How a container's need follows from its executors', and its limits; a limit of 0 is none."""

    limit: Resources
    padding_percent: float
    note: str = ""
    """Where the limit comes from when no option sets it."""

    @classmethod
    def of(cls, options: TopologyOptions) -> ContainerRules:
        """Return the rules that a topology's options set."""
        limit = Resources(
            options.container_cpu,
            math.floor(options.container_ram_mb * MIB),
            math.floor(options.container_disk_mb * MIB),
        )
        return cls(limit, options.container_padding_percent)

    def required(self, used: Resources) -> Resources:
        """Return what a container needs whose executors need `used`: with overhead and padding.

        Cores are rounded to thousandths, so that sums of fractions compare exactly.
        """
        total = used + OVERHEAD
        return Resources(
            round(total.cpu * (1 + self.padding_percent / 100), 3),
            total.ram_bytes + math.ceil(total.ram_bytes * self.padding_percent / 100),
            total.disk_bytes + math.ceil(total.disk_bytes * self.padding_percent / 100),
        )

    def excess(self, used: Resources) -> list[str]:
        """Return, in words with numbers, each part of the need above its limit."""
        required = self.required(used)
        found = []
        if 0 < self.limit.cpu < required.cpu:
            found.append(f"{required.cpu:.10g} cores (container_cpu is {self.limit.cpu:.10g})")
        for name, option, need, limit in (
            ("memory", "container_ram_mb", required.ram_bytes, self.limit.ram_bytes),
            ("disk", "container_disk_mb", required.disk_bytes, self.limit.disk_bytes),
        ):
            if 0 < limit < need:
                found.append(f"{_megabytes(need)} MB of {name} ({option} is {_megabytes(limit)})")
        return found

    def explained(self, excess: list[str]) -> str:
        """Return `excess` as part of a sentence that says what is counted in."""
        overhead = f"stream manager, metrics manager and {self.padding_percent:g} % padding"
        note = f" ({self.note})" if self.note else ""
        return f"{' and '.join(excess)}, with {overhead}{note}"


def _megabytes(size_bytes: int) -> str:
    """Return a size for people, in thousandths at most."""
    return f"{size_bytes / MIB:.3f}".rstrip("0").rstrip(".")
