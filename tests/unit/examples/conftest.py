"""Topologies of the examples folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from heronshim.instance.loader import load_definition

if TYPE_CHECKING:
    from collections.abc import Callable

    from heronshim.core.plan.topology import Topology

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Topology]:
    """Load an example by its file's stem; its module can be imported while the test runs."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def load(stem: str) -> Topology:
        return load_definition(str(EXAMPLES / f"{stem}.py")).definition

    return load
