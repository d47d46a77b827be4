import numpy as np
import pytest
from scipy.stats import t

from tissuetrace.stats.patient_medians import (
    group_medians,
    median_change_interval,
    median_interval,
    weighted_medians,
)


def once(values: np.ndarray) -> np.ndarray:
    return np.zeros(len(values), dtype=np.int64)


@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_equal_weights_give_the_plain_median(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)

    found = weighted_medians(values, np.full((1, count), 24 / 23))

    assert found == pytest.approx([np.median(values)])


def test_a_weight_counts_a_value_as_often() -> None:
    values = np.array([3.0, 1.0, 2.0])

    found = weighted_medians(values, np.array([[3.0, 1.0, 1.0], [1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]))

    # of 1 2 3 3 3, of 2 3, and of nothing
    np.testing.assert_array_equal(found, [3.0, 2.5, np.nan])


def test_a_patient_speaks_by_the_median_of_each_retraining_then_of_all() -> None:
    values = np.array([1.0, 2.0, 9.0, 5.0, 7.0, np.nan])
    groups = np.array([0, 0, 0, 0, 2, 1])
    repeats = np.array([0, 0, 0, 1, 0, 0])

    found = group_medians(values, groups, repeats, count=4)

    np.testing.assert_array_equal(found, [3.5, np.nan, 7.0, np.nan])


def test_the_interval_is_that_of_resampled_patients_not_patches() -> None:
    rng = np.random.default_rng(0)
    patient = rng.normal(size=40)
    groups = np.repeat(np.arange(40), 25)
    values = patient[groups] + 1e-3 * rng.normal(size=1000)

    found = median_interval(values, groups, once(values), draws=2000, seed=1)

    # the median of 40 normal values has a standard error of about √(π/2) / √40
    assert found.groups == 40
    assert found.se == pytest.approx(np.sqrt(np.pi / 2 / 40), rel=0.35)
    assert found.high - found.value == pytest.approx(t.ppf(0.975, 39) * found.se)


def test_a_retraining_draws_the_same_patients_as_the_others() -> None:
    values = np.random.default_rng(3).normal(size=12)
    groups = np.arange(12)
    twice = np.repeat([0, 1], 12)

    one = median_interval(values, groups, once(values), draws=200, seed=0)
    two = median_interval(np.tile(values, 2), np.tile(groups, 2), twice, draws=200, seed=0)

    assert two == one


def test_a_change_that_is_the_same_everywhere_is_sure() -> None:
    before = np.random.default_rng(5).uniform(size=30)
    groups = np.repeat(np.arange(10), 3)

    found = median_change_interval(before, before + 0.25, groups, draws=100, seed=0)

    assert found.value == pytest.approx(0.25)
    assert found.high - found.low == pytest.approx(0, abs=1e-9)


def test_one_patient_or_none_tells_no_spread() -> None:
    one = median_interval(np.ones(3), once(np.ones(3)), once(np.ones(3)), draws=10, seed=0)
    none = median_interval(np.full(2, np.nan), np.arange(2), np.arange(2), draws=10, seed=0)

    assert (one.value, one.groups) == (1.0, 1)
    assert np.isnan([one.low, one.high, none.value, none.low]).all()
