"""Three minutes of faults by chance; any number of minutes by `make soak`."""

from __future__ import annotations

import secrets

import pytest

from bench.faults.soak import soak

MINUTES = 3.0


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("audit_folder")
def test_nothing_is_lost_whatever_happens() -> None:
    """The seed and each deed are printed; `make soak SEED=n` repeats them."""
    assert soak(MINUTES, secrets.randbelow(1_000_000), print) == []
