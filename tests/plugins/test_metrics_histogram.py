"""The histogram of latencies: what is read from it is never further from the truth than it says."""

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamorm.plugins.metrics.histogram import ERROR_BOUND, Histogram, Series, bucket_of, middle_of

DURATIONS = st.floats(min_value=1e-9, max_value=1e6)


@given(DURATIONS)
def test_a_duration_is_off_by_at_most_the_bound(seconds):
    assert ERROR_BOUND < 0.01
    assert abs(middle_of(bucket_of(seconds)) - seconds) <= ERROR_BOUND * seconds * (1 + 1e-12)


@given(st.lists(DURATIONS, min_size=2, max_size=50))
def test_buckets_are_in_the_order_of_durations(durations):
    buckets = [bucket_of(seconds) for seconds in sorted(durations)]
    assert buckets == sorted(buckets)


@given(st.lists(DURATIONS, min_size=1, max_size=300), st.floats(min_value=0.001, max_value=0.999))
def test_percentiles_are_those_of_the_durations(durations, share):
    series = Series()
    for seconds in durations:
        series.append(seconds)
    histogram = series.fold()
    exact = sorted(durations)[max(1, ceil(share * len(durations))) - 1]
    assert histogram.percentile(share) == pytest.approx(exact, rel=ERROR_BOUND * (1 + 1e-9))
    assert histogram.mean == pytest.approx(sum(durations) / len(durations))
    assert histogram.count == len(durations)
    assert list(series) == []


@given(st.lists(DURATIONS, max_size=50), st.lists(DURATIONS, max_size=50))
def test_two_together_are_one(some, others):
    whole, parts = Histogram(), (Histogram(), Histogram())
    whole.add(some + others)
    parts[0].add(some)
    parts[1].add(others)
    merged = Histogram(parts)
    assert (merged.count, dict(merged.buckets)) == (whole.count, dict(whole.buckets))


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-12])
def test_what_no_clock_tells_is_nothing(seconds):
    assert middle_of(bucket_of(seconds)) == 0.0


def test_an_empty_one():
    assert Histogram().percentile(0.5) == Histogram().mean == 0.0
