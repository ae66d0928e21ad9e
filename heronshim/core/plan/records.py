"""Records kept in the state manager beside the plans."""

from __future__ import annotations

from dataclasses import dataclass

from heronshim.core.plan.physical import TopologyState


@dataclass(frozen=True, slots=True)
class ExecutionState:
    """The record of a submit."""

    name: str
    """Topology name."""
    id: str
    """Topology id: name, dash, submit time."""
    submit_time_s: int
    """Unix seconds."""
    user: str
    """Who submitted it."""
    scheduler: str
    """Scheduler's entry point name."""
    package_uri: str = ""
    """Where the uploader put the package; empty when there is none."""
    package_sha256: str = ""
    """Hex digest of the package."""
    version: str = ""
    """heronshim version that submitted it."""
    initial_state: TopologyState = TopologyState.ACTIVE
    """Whether spouts start active."""


@dataclass(frozen=True, slots=True)
class TMasterLocation:
    """Where the topology master listens; its node lives as long as its session."""

    host: str
    """For people."""
    endpoint: str
    """ZeroMQ endpoint."""
    pid: int
    """Process id."""
    leader_epoch: int = 0
    """Fencing number; 0 when the writer does not know it yet."""
