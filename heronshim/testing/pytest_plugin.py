"""Fixtures for authors' tests; pytest finds them by the entry point "heronshim"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heronshim.testing.local_topology import LocalTopology
    from heronshim.testing.run_bolt import BoltRun, SpoutRun

# pytest imports this module in every project of an interpreter that has heronshim installed, so
# the fixtures import what they need themselves.


@pytest.fixture
def run_bolt() -> Callable[..., BoltRun]:
    """`heronshim.testing.run_bolt`: run one bolt on tuples."""
    from heronshim.testing.run_bolt import run_bolt  # noqa: PLC0415

    return run_bolt


@pytest.fixture
def run_spout() -> Callable[..., SpoutRun]:
    """`heronshim.testing.run_spout`: call one spout some times."""
    from heronshim.testing.run_bolt import run_spout  # noqa: PLC0415

    return run_spout


@pytest.fixture
def local_topology() -> Iterator[Callable[..., LocalTopology]]:
    """Make a `heronshim.testing.LocalTopology`; it is closed after the test."""
    from heronshim.testing.local_topology import LocalTopology  # noqa: PLC0415

    made: list[LocalTopology] = []

    def make(*arguments: Any, **keywords: Any) -> LocalTopology:
        made.append(LocalTopology(*arguments, **keywords))
        return made[-1]

    yield make
    for topology in made:
        topology.close()
