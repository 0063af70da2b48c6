"""Bootstrap intervals against theory."""

import numpy as np
import pytest

from tsg_core.errors import TsgError
from tsg_core.evaluation.statistics import bootstrap_interval, paired_difference, verdict


def test_interval_of_many_values_is_that_of_the_normal_law():
    values = np.random.default_rng(0).normal(3, 2, 400)
    low, high = bootstrap_interval(values, seed=1)
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_interval_covers_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    samples = rng.exponential(size=(12, 300))  # 300 experiments of 12 particles
    low, high = bootstrap_interval(samples, seed=3, n_resamples=1000)
    covered = np.mean((low <= 1) & (1 <= high))
    assert 0.82 < covered < 0.99


def test_each_column_is_an_interval_of_its_own_and_seeds_repeat():
    values = np.random.default_rng(0).random((9, 3, 2)) * [[1], [10], [0]]
    low, high = bootstrap_interval(values, seed=5)
    assert low.shape == high.shape == (3, 2)
    assert (high[1] - low[1] > 3 * (high[0] - low[0])).all()
    np.testing.assert_array_equal(low[2], 0)
    np.testing.assert_array_equal(bootstrap_interval(values, seed=5)[0], low)
    assert (bootstrap_interval(values, seed=6)[0] != low)[:2].all()


def test_equal_values_have_no_width_and_one_value_no_interval():
    assert bootstrap_interval([0.1, 0.1, 0.1], seed=0) == (pytest.approx(0.1), pytest.approx(0.1))
    assert np.isnan(bootstrap_interval([4.0], seed=0)).all()


def test_pairs_resolve_what_the_groups_do_not():
    rng = np.random.default_rng(1)
    common = rng.normal(0, 10, 20)
    a, b = common + 1 + rng.normal(0, 0.5, 20), common
    better = paired_difference(a, b, seed=0)
    assert better.resolved and better.verdict == "higher" and better.n == 20
    assert better.low < better.mean < better.high
    assert paired_difference(b, a, seed=0).verdict == "lower"
    low, high = bootstrap_interval(a, seed=0)
    assert low < b.mean() < high


def test_no_difference_is_not_resolved():
    assert paired_difference([1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 4.0, 3.0], seed=0).verdict == "not resolved"
    assert not paired_difference([2.0], [1.0], seed=0).resolved


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.1, 0.5, "up"), (-0.5, -0.1, "down"), (-0.1, 0.1, "?"), (0.0, 0.1, "?"), (np.nan, np.nan, "?")],
)
def test_a_verdict_needs_an_interval_on_one_side_of_zero(low, high, said):
    assert verdict(low, high, higher="up", lower="down", unresolved="?") == said


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bootstrap_interval([1, np.nan], seed=0), "1 are not finite"),
        (lambda: bootstrap_interval([1, 2], seed=0, confidence=95), "confidence=95"),
        (lambda: paired_difference([1, 2], [1, 2, 3], seed=0), "same length"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(TsgError, match=words):
        call()
