"""The soak sees processes that grow."""

from __future__ import annotations

import pytest

from bench.faults.soak import SPARE_DESCRIPTORS, SPARE_MB, Life


def life(rss_mb: list[float], descriptors: list[int]) -> Life:
    found = Life(0.0)
    for number, (held, opened) in enumerate(zip(rss_mb, descriptors, strict=True)):
        found.at_s.append(20.0 + number)
        found.rss_mb.append(held)
        found.descriptors.append(opened)
    return found


@pytest.mark.parametrize(
    "rss_mb",
    [[30.0] * 9, [30.0, 90.0, 30.0, 30.0], [30.0, 31.0, 31.0, 32.0, 30.0 + SPARE_MB]],
)
def test_what_is_given_back_is_no_growth(rss_mb: list[float]) -> None:
    assert life(rss_mb, [20] * len(rss_mb)).problem() == ""


def test_growth_is_told_with_its_slope() -> None:
    grown = life([30.0, 40.0, 50.0, 60.0, 70.0], [20] * 5)
    assert grown.problem() == "grew from 30 to 50 MB (36000 MB/h)"


def test_more_and_more_descriptors_are_told() -> None:
    more = [20 + SPARE_DESCRIPTORS * number for number in range(5)]
    assert "had 20 descriptors open, then 84" in life([30.0] * 5, more).problem()
