"""Percentiles from buckets against percentiles from the sorted data."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.actors.latency import RELATIVE_ERROR, SMALLEST_MS, LatencyHistogram, bucket_of, middle_of

LATENCIES = st.floats(SMALLEST_MS, 36_000_000)
ROUNDING = 1e-9


def histogram_of(values: list[float]) -> LatencyHistogram:
    return LatencyHistogram(Counter(map(bucket_of, values)), max(values))


@given(LATENCIES)
def test_a_bucket_stands_for_its_values_within_the_stated_error(value: float) -> None:
    assert abs(middle_of(bucket_of(value)) - value) <= max(value * RELATIVE_ERROR * (1 + ROUNDING), SMALLEST_MS)


@given(st.lists(LATENCIES, min_size=1), st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_that_of_the_sorted_data_within_the_stated_error(values: list[float], fraction: float) -> None:
    true = sorted(values)[math.ceil(fraction * len(values)) - 1]
    found = histogram_of(values).percentile(fraction)
    assert found is not None
    assert abs(found - true) <= max(true * RELATIVE_ERROR * (1 + ROUNDING), SMALLEST_MS)


@given(st.lists(LATENCIES, min_size=1))
def test_no_percentile_is_above_the_longest_latency(values: list[float]) -> None:
    assert max(values) >= (histogram_of(values).percentile(1.0) or 0.0)


def test_there_are_no_percentiles_before_the_first_latency() -> None:
    assert None is LatencyHistogram({}, None).percentile(0.5)


def test_no_time_at_all_is_counted_as_nothing() -> None:
    assert 0.0 == histogram_of([0.0, 0.0]).percentile(0.5)


def test_ten_hours_take_as_many_buckets_as_the_docstring_says() -> None:
    assert 1216 == bucket_of(36_000_000)
