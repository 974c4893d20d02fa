import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from worker.jobs.reports.figures import EXACT_VALUES, RELATIVE_ERROR, Sketch

values = st.lists(st.integers(0, 10**10), min_size=1, max_size=300)
quantiles = st.sampled_from([0.0, 0.07, 0.5, 0.9, 0.99, 1.0])


def a_sketch(values):
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


def exact(values, quantile):
    """By the nearest rank."""
    return sorted(values)[max(1, math.ceil(round(quantile * len(values), 6))) - 1]


def many(values):
    """A sketch of so many values that it has them in buckets."""
    return values * (EXACT_VALUES // len(values) + 1)


@given(values, quantiles)
@example(list(range(100)), 0.07)
@example([0, 0, 1], 0.99)
def test_a_quantile_of_few_values_is_exact(values, quantile):
    assert a_sketch(values).quantiles(quantile)[0] == exact(values, quantile)


def test_the_median_of_equal_values_among_others_is_that_value():
    assert a_sketch([200_000, *[214_000] * 4_000, 230_000]).quantiles(0.5)[0] == 214_000


@given(values, quantiles)
@settings(max_examples=30)
@example([0, 0, 1], 0.99)
def test_a_quantile_of_many_values_is_within_one_percent_of_the_exact_one(values, quantile):
    values = many(values)

    estimate = a_sketch(values).quantiles(quantile)[0]

    assert estimate == pytest.approx(exact(values, quantile), rel=RELATIVE_ERROR * 1.0001)


@pytest.mark.parametrize("sizes", [(1, EXACT_VALUES), (EXACT_VALUES, 1), (9_000, 9_000)])
def test_sketches_that_together_hold_too_many_values_are_no_longer_exact(sizes):
    one, other = (list(range(size)) for size in sizes)
    merged = a_sketch(one)
    merged.merge(a_sketch(other))

    assert not merged.is_exact
    assert a_sketch(range(EXACT_VALUES)).is_exact
    assert merged.buckets == a_sketch(one + other).buckets
    assert merged.zeros == 2
    assert merged.quantiles(0.9)[0] == a_sketch(one + other).quantiles(0.9)[0]


@given(values, values, quantiles)
def test_two_sketches_add_up_to_the_sketch_of_all(one, other, quantile):
    merged = a_sketch(one)
    merged.merge(a_sketch(other))

    assert merged.quantiles(quantile)[0] == a_sketch(one + other).quantiles(quantile)[0]


def test_the_quantile_of_one_value_is_that_value():
    assert a_sketch([123_456]).quantiles(0.99)[0] == 123_456


def test_no_values_have_a_quantile_of_zero():
    assert Sketch().quantiles(0.5)[0] == 0


def test_the_buckets_of_a_hundred_thousand_values_are_few():
    assert len(a_sketch(range(1, 100_001)).buckets) < 600


def test_a_negative_value_is_refused():
    with pytest.raises(ValueError, match="negative"):
        Sketch().add(-1)
