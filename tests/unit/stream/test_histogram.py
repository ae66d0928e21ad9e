"""Bucket b counts whole microseconds v with floor(4 * log2(v + 1)) = b (metrics.proto)."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heronshim.core.stream.histogram import (
    BUCKET_MAX,
    Histogram,
    bucket,
    bucket_low_us,
    merged,
    quantile,
)

values = st.one_of(st.integers(0, 5000), st.integers(0, 1 << 62))


@pytest.mark.parametrize(
    ("value_us", "expected"),
    [(0, 0), (1, 4), (2, 6), (3, 8), (4, 9), (7, 12), (999, 39), (1_000_000, 79), (-5, 0)],
)
def test_bucket_of_known_values(value_us, expected):
    assert bucket(value_us) == expected


@given(values)
def test_bucket_is_the_floor_of_the_exact_logarithm(value_us):
    with localcontext() as context:
        context.prec = 60
        exact = 4 * Decimal(value_us + 1).ln() / Decimal(2).ln()
        assert bucket(value_us) == int(exact + Decimal("1e-50"))


@given(values)
def test_value_lies_in_its_bucket(value_us):
    index = bucket(value_us)
    assert bucket_low_us(index) <= value_us * (1 + 1e-12)
    assert value_us <= bucket_low_us(index + 1) * (1 + 1e-12)


def test_values_beyond_the_range_are_counted_at_its_ends():
    histogram = Histogram()
    for value_us in (-1, -(1 << 70), 1 << 70):
        histogram.add(value_us)
    assert histogram.counts() == {0: 2, BUCKET_MAX: 1}


@given(st.lists(values), st.lists(values))
def test_merge_counts_as_if_all_were_added_to_one(left, right):
    one, other, both = Histogram(), Histogram(), Histogram()
    for value_us in left:
        one.add(value_us)
        both.add(value_us)
    for value_us in right:
        other.add(value_us)
        both.add(value_us)
    assert merged([one.counts(), other.counts()]) == both.counts()
    one.merge(other.take())
    assert one.counts() == both.counts()
    assert other.counts() == {}


@given(st.lists(st.integers(0, 1 << 40), min_size=1), st.floats(0, 1))
def test_quantile_is_within_a_bucket_of_the_true_one(sample, fraction):
    histogram = Histogram()
    for value_us in sample:
        histogram.add(value_us)
    found = histogram.quantile(fraction)
    rank = max(1, -int(-fraction * len(sample) // 1))
    true = sorted(sample)[min(rank, len(sample)) - 1]
    assert found is not None
    assert bucket_low_us(bucket(true)) * (1 - 1e-9) <= found
    assert found <= bucket_low_us(bucket(true) + 1) * (1 + 1e-9)


@given(st.dictionaries(st.integers(0, BUCKET_MAX), st.integers(1, 1 << 50), min_size=1))
def test_quantiles_do_not_descend(counts):
    found = [quantile(counts, fraction / 20) for fraction in range(21)]
    assert found == sorted(found)


def test_quantile_of_nothing_is_none():
    assert Histogram().quantile(0.5) is None
    assert quantile({3: 0}, 0.5) is None


def test_weighted_values_count_as_often_as_they_weigh():
    histogram = Histogram()
    histogram.add_weighted(10, 3)
    assert histogram.counts() == {bucket(10): 3}
