import numpy as np
import pytest

from tissuetrace.stats.paired import holm, mcnemar


def test_mcnemar_is_the_two_sided_binomial_of_the_items_that_differ() -> None:
    first = np.array([True] * 9 + [False] * 1 + [True] * 50)
    second = np.array([False] * 9 + [True] * 1 + [True] * 50)

    # 1 of 10 or rarer, both sides: 2 * (1 + 10) / 2**10
    assert mcnemar(first, second) == pytest.approx(22 / 1024)
    assert mcnemar(second, first) == mcnemar(first, second)


def test_models_that_err_on_the_same_items_do_not_differ() -> None:
    right = np.array([True, False, True])

    assert mcnemar(right, right) == 1.0


def test_mcnemar_refuses_items_that_are_not_the_same() -> None:
    with pytest.raises((ValueError, TypeError), match="item"):  # or the shape check
        mcnemar(np.ones(3, dtype=bool), np.ones(2, dtype=bool))


def test_holm_steps_down_and_never_falls_below_a_smaller_p_value() -> None:
    adjusted = holm(np.array([0.04, 0.01, 0.03, 0.005]))

    # sorted: .005*4, .01*3, .03*2, .04*1 raised to the .06 before it
    assert adjusted == pytest.approx([0.06, 0.03, 0.06, 0.02])


def test_holm_stays_within_one_and_takes_no_test_at_all() -> None:
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
    assert holm(np.array([])).tolist() == []
