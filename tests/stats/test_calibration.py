import numpy as np
import pytest

from tissuetrace.stats.calibration import calibration_table, expected_calibration_error


def test_bins_hold_equal_counts_and_their_own_means() -> None:
    probabilities = np.array([0.1, 0.2, 0.3, 0.6, 0.8, 1.0])
    labels = np.array([0, 0, 1, 0, 1, 1])

    table = calibration_table(labels, probabilities, bins=2)

    assert table.items.tolist() == [3, 3]
    assert table.probability == pytest.approx([0.2, 0.8])
    assert table.observed == pytest.approx([1 / 3, 2 / 3])
    assert expected_calibration_error(labels, probabilities, bins=2) == pytest.approx(2 / 15)


def test_items_of_one_probability_share_a_bin_in_any_order() -> None:
    probabilities = np.repeat([0.2, 0.7], [9, 3])
    labels = np.array([1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0])
    shuffled = np.random.default_rng(0).permutation(12)

    plain = calibration_table(labels, probabilities, bins=4)
    other = calibration_table(labels[shuffled], probabilities[shuffled], bins=4)

    assert plain.items.tolist() == other.items.tolist() == [9, 3]
    assert other.observed.tolist() == plain.observed.tolist()


def test_the_truth_itself_is_calibrated_and_half_sure_of_all_is_off_by_the_prevalence() -> None:
    labels = np.array([0, 0, 0, 1])

    assert expected_calibration_error(labels, labels.astype(float), bins=2) == 0.0
    assert expected_calibration_error(labels, np.full(4, 0.5), bins=3) == pytest.approx(0.25)


def test_large_bins_weigh_more() -> None:
    probabilities = np.array([0.0] * 6 + [0.5] * 2)
    labels = np.array([0] * 6 + [1] * 2)

    assert expected_calibration_error(labels, probabilities, bins=2) == pytest.approx(0.125)


def test_no_item_and_no_bin_are_refused() -> None:
    with pytest.raises(ValueError, match="0 items"):
        calibration_table(np.array([], dtype=np.int64), np.array([]), bins=3)
    with pytest.raises(ValueError, match="0 bins"):
        calibration_table(np.array([1]), np.array([0.5]), bins=0)
