import numpy as np
import pytest

from tissuetrace.stats.signed_rank import signed_rank


def test_five_patients_that_all_rise_have_two_chances_in_thirty_two() -> None:
    assert signed_rank(np.array([0.1, 0.2, 0.3, 0.4, 0.5])) == pytest.approx(2 / 32)


def test_one_small_fall_among_six_is_counted_by_its_rank() -> None:
    # rank sum 1 of the falls: 2 of 64 sign patterns reach it, on either side
    differences = np.array([-0.01, 0.2, 0.3, 0.4, 0.5, 0.6])

    assert signed_rank(differences) == pytest.approx(4 / 64)
    assert signed_rank(-differences) == pytest.approx(4 / 64)


def test_pairs_without_a_difference_or_a_value_are_left_out() -> None:
    moved = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    others = np.array([0.0, np.nan, 0.0])

    assert signed_rank(np.concatenate([others, moved])) == pytest.approx(signed_rank(moved))


def test_rounding_is_no_difference() -> None:
    assert signed_rank(np.array([0.1 + 0.2 - 0.3, 0.3 - 0.1 - 0.2])) == 1.0


def test_no_difference_at_all_is_no_evidence_and_no_pair_no_test() -> None:
    assert signed_rank(np.zeros(4)) == 1.0
    assert np.isnan(signed_rank(np.array([np.nan])))
