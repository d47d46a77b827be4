from typing import Any

import numpy as np
import pytest

from tissuetrace.stats.classification import (
    accuracy,
    at_threshold,
    auc,
    balanced_accuracy,
    false_positive_rate,
    sensitivity,
    specificity,
)
from tissuetrace.stats.intervals import cluster_interval, paired_interval


def cells(*, subjects: int, seed: int, per_subject: int = 12) -> tuple[Any, Any, Any]:
    """Scores with a strong effect of the subject, the same for both labels."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(subjects), per_subject)
    labels = groups % 2
    effect = rng.normal(size=subjects)[groups]
    return labels, effect + rng.normal(size=len(groups)), groups


def spread(labels: Any, scores: Any, weights: Any = None) -> float:
    """Difference of the mean score of both classes, whose truth is zero here."""
    weights = np.ones(len(labels)) if weights is None else weights
    one, two = weights * labels, weights * (1 - labels)
    return float((one @ scores) / one.sum() - (two @ scores) / two.sum())


def test_without_groups_the_error_of_a_share_is_the_binomial_one() -> None:
    rng = np.random.default_rng(5)
    scores, labels = rng.uniform(size=400), np.ones(400, dtype=np.int64)
    share = float((scores >= 0.5).mean())

    found = cluster_interval(sensitivity, labels, scores, np.arange(400), draws=4000, seed=0)

    assert found.value == share
    assert found.se == pytest.approx(np.sqrt(share * (1 - share) / 399), rel=0.04)
    assert found.high - found.value == pytest.approx(1.966 * found.se, rel=1e-3)
    assert found.groups == 400


def test_with_four_groups_the_error_is_that_of_a_mean_of_four_and_reaches_as_far() -> None:
    shares = np.array([0.3, 0.5, 0.5, 0.7])  # called right in each group of ten
    groups = np.repeat(np.arange(4), 10)
    scores = (np.tile(np.arange(10), 4) < 10 * shares[groups]).astype(float)
    labels = np.ones(40, dtype=np.int64)

    found = cluster_interval(sensitivity, labels, scores, groups, draws=20_000, seed=0)

    assert found.value == 0.5
    assert found.se == pytest.approx(shares.std(ddof=1) / 2, rel=0.02)
    assert found.value - found.low == pytest.approx(min(0.5, 3.1824 * found.se), rel=1e-3)


def test_cells_copied_within_subjects_do_not_narrow_the_interval() -> None:
    labels, scores, groups = cells(subjects=20, seed=1, per_subject=5)
    once = cluster_interval(auc, labels, scores, groups, draws=300, seed=0)

    copied = [np.tile(values, 10) for values in (labels, scores, groups)]
    tenfold = cluster_interval(auc, copied[0], copied[1], copied[2], draws=300, seed=0)

    assert tenfold.se == pytest.approx(once.se, rel=1e-9)


def test_no_draw_lacks_a_class_where_one_subject_in_ten_is_positive() -> None:
    def classes(labels: Any, scores: Any, weights: Any = None) -> float:
        del scores
        return float(len(np.unique(labels if weights is None else labels[weights > 0])))

    groups = np.repeat(np.arange(20), 3)
    labels = (groups < 2).astype(np.int64)

    found = cluster_interval(
        classes, labels, np.zeros(60), groups, draws=500, seed=0, bounds=(0.0, 9.0)
    )

    assert (found.value, found.se) == (2.0, 0.0)


def test_the_ends_stay_inside_the_range_of_the_measure() -> None:
    labels, _, groups = cells(subjects=8, seed=2)
    scores = np.where(np.arange(96) < 12, 1 - labels, labels).astype(float)

    found = cluster_interval(accuracy, labels, scores, groups, draws=200, seed=0)

    assert found.high == 1.0
    assert 0.0 < found.low < found.value < 1.0


def test_names_of_groups_and_order_of_items_do_not_matter() -> None:
    labels, scores, groups = cells(subjects=12, seed=3)
    shuffled = np.random.default_rng(0).permutation(len(labels))
    names = np.array([f"g{group:02d}" for group in groups])

    plain = cluster_interval(auc, labels, scores, groups, draws=100, seed=4)
    other = cluster_interval(
        auc, labels[shuffled], scores[shuffled], names[shuffled], draws=100, seed=4
    )

    assert other == plain


def test_one_group_gives_a_value_without_an_interval() -> None:
    found = cluster_interval(
        accuracy, np.array([1, 1]), np.array([0.9, 0.1]), np.zeros(2), draws=10, seed=0
    )

    assert found.value == 0.5
    assert np.isnan([found.low, found.high, found.se]).all()


def test_a_model_against_itself_differs_by_nothing() -> None:
    labels, scores, groups = cells(subjects=12, seed=6)

    found = paired_interval(auc, labels, scores, scores, groups, draws=50, seed=0)

    assert (found.value, found.low, found.high, found.se) == (0.0, 0.0, 0.0, 0.0)


def test_a_spread_that_one_group_cannot_show_is_unknown_and_not_0() -> None:
    groups = np.repeat(np.arange(5), 4)
    labels = (groups > 0).astype(np.int64)  # one group of normal cells
    scores = np.random.default_rng(4).uniform(size=20)

    found = cluster_interval(false_positive_rate, labels, scores, groups, draws=50, seed=0)

    assert np.isfinite(found.value)
    assert np.isnan([found.low, found.high]).all()


def test_a_paired_interval_is_narrower_than_its_parts_where_models_share_their_errors() -> None:
    labels, scores, groups = cells(subjects=20, seed=8)
    second = scores + 0.1 * np.random.default_rng(1).normal(size=len(scores))

    alone = cluster_interval(auc, labels, scores, groups, draws=200, seed=0)
    paired = paired_interval(auc, labels, scores, second, groups, draws=200, seed=0)

    assert paired.se < alone.se / 3
    assert paired.value == pytest.approx(auc(labels, scores) - auc(labels, second))


def test_more_than_one_draw_is_needed() -> None:
    labels, scores, groups = cells(subjects=4, seed=0)

    with pytest.raises(ValueError, match="1 draws"):
        cluster_interval(auc, labels, scores, groups, draws=1, seed=0)


def test_a_planted_null_is_called_in_at_most_seventeen_of_two_hundred() -> None:
    # 17 is the 97.5 % bound of a binomial count of 200 whose true chance is 5 %
    found = [
        cluster_interval(
            spread, *cells(subjects=40, seed=seed), draws=200, seed=seed, bounds=(-9.0, 9.0)
        )
        for seed in range(200)
    ]

    false_alarms = sum(interval.low > 0 or interval.high < 0 for interval in found)
    assert 2 <= false_alarms <= 17


def unlike(negative: int, positive: int, *, seed: int) -> tuple[Any, Any, Any]:
    """Scores as in `cells`, with as many groups of each label as are asked for."""
    rng = np.random.default_rng(seed)
    count = negative + positive
    groups = np.repeat(np.arange(count), 12)
    scores = rng.normal(size=count)[groups] + rng.normal(size=len(groups))
    return (groups >= negative).astype(np.int64), scores, groups


# Bounds are the 97.5 % quantiles of a binomial count of 200: at 40 groups of a true chance of 5 %,
# as promised; at a dozen of 8 %, as a spread estimated from four groups cannot be exact.
@pytest.mark.parametrize(
    ("measure", "negative", "positive", "most"),
    [
        (at_threshold(specificity, 0.0), 4, 7, 24),
        (auc, 6, 6, 24),
        (auc, 20, 20, 17),
        (at_threshold(specificity, 0.0), 20, 20, 17),
    ],
    ids=["specificity of 4", "auc of 12", "auc of 40", "specificity of 20"],
)
def test_a_planted_truth_of_one_half_is_missed_in_few_of_two_hundred(
    measure: Any, negative: int, positive: int, most: int
) -> None:
    found = [
        cluster_interval(measure, *unlike(negative, positive, seed=seed), draws=200, seed=seed)
        for seed in range(200)
    ]

    assert sum(not interval.low <= 0.5 <= interval.high for interval in found) <= most


def test_groups_of_a_label_that_the_measure_does_not_read_change_nothing() -> None:
    labels, scores, groups = unlike(4, 7, seed=3)
    normal = labels == 0
    measure = at_threshold(specificity, 0.0)

    both = cluster_interval(measure, labels, scores, groups, draws=4000, seed=0)
    alone = cluster_interval(
        measure, labels[normal], scores[normal], groups[normal], draws=4000, seed=0
    )

    assert both.groups == alone.groups == 4
    assert both.se == pytest.approx(alone.se, rel=1e-9)
    assert both.low == pytest.approx(alone.low, rel=1e-9)


def test_a_specificity_of_one_still_rests_on_the_normal_groups() -> None:
    labels, _, groups = unlike(4, 7, seed=3)

    found = cluster_interval(specificity, labels, labels.astype(float), groups, draws=50, seed=0)

    assert (found.value, found.se, found.groups) == (1.0, 0.0, 4)


def test_degrees_of_freedom_are_those_of_the_label_that_makes_the_spread() -> None:
    labels, scores, groups = unlike(3, 30, seed=4)
    even = np.where(labels == 1, np.arange(len(labels)) % 2, scores)  # ALL groups all agree
    measure = at_threshold(balanced_accuracy, 0.5)

    found = cluster_interval(measure, labels, even, groups, draws=200, seed=0, bounds=(-9.0, 9.0))

    assert found.groups == 33
    assert found.value - found.low == pytest.approx(4.3027 * found.se, rel=1e-4)  # t of 2


def test_an_auc_against_one_normal_group_has_no_interval() -> None:
    labels, scores, groups = unlike(1, 7, seed=5)

    found = cluster_interval(auc, labels, scores, groups, draws=50, seed=0)
    of_positives = cluster_interval(
        at_threshold(sensitivity, 0.0), labels, scores, groups, draws=50, seed=0
    )

    assert np.isfinite(found.value)
    assert np.isnan([found.low, found.high, found.se]).all()
    assert of_positives.low < of_positives.value < of_positives.high


def test_a_paired_difference_of_specificities_rests_on_the_normal_groups() -> None:
    labels, scores, groups = unlike(4, 7, seed=6)
    second = scores + np.random.default_rng(1).normal(size=len(scores))

    found = paired_interval(
        at_threshold(specificity, 0.0), labels, scores, second, groups, draws=200, seed=0
    )

    assert found.groups == 4
    assert found.value - found.low == pytest.approx(3.1824 * found.se, rel=1e-4)
