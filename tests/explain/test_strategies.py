import numpy as np
import pytest

from tissuetrace.explain.strategies import (
    changes_of_medians,
    channel_floors,
    channel_medians,
    perturbed,
    relative_changes,
    sign_agreement,
    tumour_strategy,
)

FREE = np.array([True, True, False])
SD = np.array([2.0, 0.5, 3.0])
LOW = np.zeros(3)


def test_a_relative_change_is_the_change_in_counts_over_the_patchs_own_level() -> None:
    x0 = np.array([[4.0, 1.0, 7.0], [8.0, 2.0, 9.0]])
    delta = np.array([[1.0, -1.0, 0.0], [2.0, 2.0, 0.0]])

    found = relative_changes(delta, x0, sd=SD, floor=LOW, free=FREE)

    np.testing.assert_allclose(found, [[0.5, -0.5, 0.0], [0.5, 0.5, 0.0]])


def test_a_pinned_channel_is_exactly_0_even_at_a_level_of_0() -> None:
    x0 = np.array([[4.0, 1.0, 0.0], [3.0, 1.0, 0.1]])
    floor = np.array([0.0, 0.0, 1.0])

    found = relative_changes(np.zeros((2, 3)), x0, sd=SD, floor=floor, free=FREE)

    assert found[:, 2].tolist() == [0.0, 0.0]


def test_a_level_at_or_below_the_floor_tells_no_relative_change() -> None:
    x0 = np.array([[0.2, 1.0, 1.0], [0.3, 1.0, 1.0]])
    floor = np.array([0.2, 0.0, 0.0])

    found = relative_changes(np.ones((2, 3)), x0, sd=SD, floor=floor, free=FREE)

    assert np.isnan(found[:, 0]).tolist() == [True, False]


def test_the_floor_is_the_first_percentile_of_positive_levels_alone() -> None:
    levels = np.concatenate([np.zeros(100), np.arange(1.0, 102.0)])
    training = np.column_stack([levels, np.zeros(201)])

    # of 1 … 101 the first percentile is 2; with the zeros it would be 0
    assert channel_floors(training).tolist() == [2.0, np.inf]


def test_the_median_leaves_out_patches_that_tell_nothing() -> None:
    relative = np.array([[0.1, np.nan], [np.nan, np.nan], [0.9, np.nan], [0.2, np.nan]])

    found = channel_medians(relative)

    np.testing.assert_array_equal(found, [0.2, np.nan])


def test_the_other_reading_divides_the_median_change_by_the_median_level() -> None:
    x0 = np.array([[1.0, 1.0], [2.0, 0.0], [10.0, 0.0]])
    delta = np.array([[1.0, 1.0], [1.0, 1.0], [3.0, 1.0]])

    found = changes_of_medians(delta, x0, sd=np.array([2.0, 1.0]))

    np.testing.assert_array_equal(found, [1.0, np.nan])  # a median level of 0 divides nothing


def test_a_strategy_is_the_median_of_the_retrainings_not_their_mean() -> None:
    medians = np.array([[0.3, -0.2], [0.4, -0.3], [9.0, -0.4]])

    found = tumour_strategy(medians, aggregate="retrainings", tolerance=0.1, agreement=0.75)

    np.testing.assert_allclose(found.relative, [0.4, -0.3])
    assert found.called.tolist() == [True, True]


def test_the_reading_of_one_model_takes_the_first_that_found_anything() -> None:
    medians = np.array([[np.nan, np.nan], [0.3, -0.05], [0.9, -0.9]])

    found = tumour_strategy(medians, aggregate="one", tolerance=0.1, agreement=1.0)

    np.testing.assert_allclose(found.relative, [0.3, -0.05])
    assert found.called.tolist() == [True, False]


def test_a_channel_is_called_from_the_least_agreement_on_and_above_the_tolerance() -> None:
    medians = np.array(
        [
            [0.5, 0.5, 0.1, 0.0],
            [0.5, 0.5, 0.1, 0.0],
            [0.5, -0.5, 0.1, 0.0],
            [-0.5, -0.1, 0.1, 0.0],
        ]
    )

    found = tumour_strategy(medians, aggregate="retrainings", tolerance=0.1, agreement=0.75)

    assert found.agreement.tolist() == [0.75, 0.5, 1.0, 0.0]
    assert found.called.tolist() == [True, False, False, False]
    assert found.applied.tolist() == [0.5, 0.0, 0.0, 0.0]


def test_a_retraining_without_a_word_on_a_channel_agrees_with_nobody() -> None:
    medians = np.array([[0.5, 0.5], [np.nan, np.nan], [0.4, np.nan], [0.6, np.nan]])

    found = tumour_strategy(medians, aggregate="retrainings", tolerance=0.1, agreement=0.75)
    first = tumour_strategy(medians, aggregate="one", tolerance=0.1, agreement=0.75)

    assert found.agreement.tolist() == [0.75, 0.25]
    assert found.called.tolist() == [True, False]
    assert first.called.tolist() == [True, True]


def test_a_channel_that_nobody_tells_is_not_called() -> None:
    medians = np.array([[np.nan, 0.5], [np.nan, 0.5]])

    found = tumour_strategy(medians, aggregate="retrainings", tolerance=0.0, agreement=0.5)

    assert found.called.tolist() == [False, True]
    assert found.applied.tolist() == [0.0, 0.5]


def test_a_strategy_scales_each_channel_and_stops_at_the_box() -> None:
    x = np.array([[2.0, 4.0, 0.1], [4.0, 4.0, 0.7]])
    relative = np.array([0.5, -0.25, 0.0])
    upper = np.array([5.0, 9.0, 0.5])

    changed, held = perturbed(x, relative, upper=upper)

    np.testing.assert_array_equal(changed, [[3.0, 3.0, 0.1], [5.0, 3.0, 0.7]])
    assert held.tolist() == [[False, False, False], [True, False, False]]


def test_a_patch_above_the_box_stays_where_it_was_and_may_fall() -> None:
    x = np.array([[8.0, 8.0]])

    changed, held = perturbed(x, np.array([0.5, -0.25]), upper=np.array([5.0, 5.0]))

    assert changed.tolist() == [[8.0, 6.0]]
    assert held.tolist() == [[True, False]]


def test_no_channel_falls_below_zero() -> None:
    changed, held = perturbed(np.array([[2.0]]), np.array([-1.5]), upper=np.array([5.0]))

    assert changed.tolist() == [[0.0]]
    assert held.tolist() == [[True]]


@pytest.mark.parametrize("scale", [1e-3, 1e6])
def test_the_unit_of_counts_does_not_matter(scale: float) -> None:
    rng = np.random.default_rng(7)
    x0, delta = rng.uniform(1, 9, (20, 3)), rng.normal(size=(20, 3))

    rescaled = relative_changes(delta, x0 * scale, sd=SD * scale, floor=LOW, free=FREE)

    np.testing.assert_allclose(
        rescaled, relative_changes(delta, x0, sd=SD, floor=LOW, free=FREE), rtol=1e-12
    )


def test_signs_agree_where_both_raise_lower_or_leave_alone() -> None:
    first = np.array([0.5, -0.5, 0.05, 0.2, np.nan])
    second = np.array([0.2, 0.5, -0.02, 0.05, 0.5])

    assert sign_agreement(first, second, tolerance=0.1) == 0.5
    assert np.isnan(sign_agreement(first[4:], second[4:], tolerance=0.1))
