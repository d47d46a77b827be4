"""The interval of a mean over retrainings."""

import numpy as np
import pytest
from scipy import stats

from tissuetrace.stats.retrainings import mean_interval


@pytest.mark.parametrize("count", [2, 3, 8])
def test_the_interval_is_that_of_students_t(count: int) -> None:
    values = np.random.default_rng(count).normal(0.9, 0.02, count)

    found = mean_interval(values)

    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert found.value == pytest.approx(values.mean())
    assert found.retrainings == count


def test_eight_retrainings_have_the_half_width_of_the_published_formula() -> None:
    values = np.array([0.0, 1.0] * 4)

    found = mean_interval(values)

    assert found.high - found.value == pytest.approx(2.3646 * np.sqrt(2 / 7) / np.sqrt(8), abs=1e-4)


def test_one_retraining_has_a_value_and_no_interval() -> None:
    found = mean_interval(np.array([0.93]))

    assert (found.value, found.retrainings) == (0.93, 1)
    assert np.isnan([found.low, found.high]).all()


def test_a_retraining_without_a_value_is_left_out() -> None:
    with_gap = mean_interval(np.array([0.5, np.nan, 0.7, 0.6]))

    assert with_gap == mean_interval(np.array([0.5, 0.7, 0.6]))


def test_no_value_at_all_gives_no_number() -> None:
    found = mean_interval(np.array([np.nan, np.nan]))

    assert np.isnan([found.value, found.low, found.high]).all()
    assert found.retrainings == 0
