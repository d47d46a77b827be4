import numpy as np
import pytest

from tissuetrace.stats.agreement import rank_correlation


def test_only_the_order_matters() -> None:
    values = np.array([3.0, 1.0, 2.0, 5.0])

    assert rank_correlation(values, np.exp(values)) == pytest.approx(1.0)
    assert rank_correlation(values, -(values**3)) == pytest.approx(-1.0)


def test_tied_values_take_their_mean_rank() -> None:
    # ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5
    found = rank_correlation(np.array([1.0, 2, 2, 3]), np.array([1.0, 2, 3, 4]))

    assert found == pytest.approx(4.5 / np.sqrt(4.5 * 5))


def test_a_constant_agrees_with_nothing() -> None:
    assert np.isnan(rank_correlation(np.ones(3), np.arange(3.0)))


def test_lengths_must_fit() -> None:
    with pytest.raises((ValueError, TypeError), match="item"):  # or the shape check
        rank_correlation(np.arange(3.0), np.arange(2.0))
