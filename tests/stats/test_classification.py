from typing import Any

import numpy as np
import pytest

from tissuetrace.stats import classification as measures

LABELS = np.array([0, 0, 0, 1, 1, 1, 1, 0])
SCORES = np.array([0.1, 0.5, 0.8, 0.5, 0.9, 0.4, 0.7, 0.2])


def drawn(seed: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 200)
    scores = np.clip(0.5 + 0.2 * (labels - 0.5) + 0.3 * rng.normal(size=200), 0, 1).round(1)
    return labels, scores, rng.integers(0, 4, 200).astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_auc_with_ties_and_weights_is_that_of_the_reference_library(seed: int) -> None:
    from sklearn.metrics import roc_auc_score

    labels, scores, weights = drawn(seed)

    found = measures.auc(labels, scores, weights)

    assert found == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights), abs=1e-12)


def test_auc_counts_pairs_that_stand_in_order_and_half_of_the_tied() -> None:
    positive, negative = SCORES[LABELS == 1][:, None], SCORES[LABELS == 0]
    pairs = (positive > negative) + 0.5 * (positive == negative)

    assert measures.auc(LABELS, SCORES) == pytest.approx(pairs.mean(), abs=1e-15)


def test_auc_of_one_constant_score_is_a_half() -> None:
    assert measures.auc(LABELS, np.full(8, 0.3)) == 0.5


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (measures.accuracy, 5 / 8),
        (measures.sensitivity, 3 / 4),
        (measures.specificity, 2 / 4),
        (measures.false_positive_rate, 2 / 4),
        (measures.false_negative_rate, 1 / 4),
        (measures.precision, 3 / 5),
        (measures.balanced_accuracy, 5 / 8),
        (measures.f1, 2 * 3 / (2 * 3 + 2 + 1)),
    ],
)
def test_measures_of_decisions_have_their_closed_forms(metric: Any, expected: float) -> None:
    assert metric(LABELS, SCORES) == pytest.approx(expected)


@pytest.mark.parametrize(
    "metric",
    [
        measures.auc,
        measures.accuracy,
        measures.sensitivity,
        measures.specificity,
        measures.false_positive_rate,
        measures.false_negative_rate,
        measures.precision,
        measures.balanced_accuracy,
        measures.f1,
        measures.weighted_f1,
        measures.brier,
        measures.log_loss,
    ],
)
def test_a_weight_of_three_is_the_item_three_times(metric: Any) -> None:
    labels, scores, weights = drawn(7)
    times = weights.astype(int)

    repeated = metric(np.repeat(labels, times), np.repeat(scores, times))

    assert metric(labels, scores, weights) == pytest.approx(repeated, abs=1e-12)


def test_losses_and_weighted_f1_are_those_of_the_reference_library() -> None:
    from sklearn import metrics

    labels, scores, weights = drawn(3)
    found = [
        measures.brier(labels, scores, weights),
        measures.log_loss(labels, scores, weights),
        measures.weighted_f1(labels, scores, weights),
    ]

    called = (scores >= 0.5).astype(int)
    assert found == pytest.approx(
        [
            metrics.brier_score_loss(labels, scores, sample_weight=weights),
            metrics.log_loss(labels, scores, sample_weight=weights),
            metrics.f1_score(labels, called, sample_weight=weights, average="weighted"),
        ],
        rel=1e-9,
    )


def test_a_fixed_threshold_moves_the_decision() -> None:
    at_high = measures.at_threshold(measures.sensitivity, 0.7)

    assert at_high(LABELS, SCORES, None) == 0.5
    assert measures.sensitivity(LABELS, SCORES) == 0.75


def test_a_share_of_nothing_is_not_a_number() -> None:
    only_positive = np.ones(3, dtype=np.int64)
    scores = np.array([0.2, 0.6, 0.9])

    assert np.isnan(measures.specificity(only_positive, scores))
    assert np.isnan(measures.auc(only_positive, scores))
    assert measures.weighted_f1(only_positive, scores) == pytest.approx(0.8)


@pytest.mark.parametrize("wanted", [0.07, 0.5, 0.93, 1.0])
def test_the_threshold_keeps_the_sensitivity_and_is_the_highest_that_does(wanted: float) -> None:
    labels = np.repeat([0, 1], 100)
    scores = np.random.default_rng(1).permutation(200) / 200

    threshold = measures.threshold_at_sensitivity(labels, scores, wanted)

    just_above = np.nextafter(threshold, 2)
    assert measures.sensitivity(labels, scores, threshold=threshold) == pytest.approx(wanted)
    assert measures.sensitivity(labels, scores, threshold=just_above) < wanted


def test_items_and_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises((ValueError, TypeError), match="probabilities"):  # or the shape check
        measures.auc(LABELS, SCORES[1:])
    with pytest.raises(ValueError, match="0 or 1"):
        measures.brier(LABELS + 1, SCORES)
    with pytest.raises(ValueError, match="0 positive items"):
        measures.threshold_at_sensitivity(np.zeros(2, dtype=np.int64), SCORES[:2], 0.9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
def test_mcc_with_weights_is_that_of_the_reference_library(seed: int, threshold: float) -> None:
    from sklearn.metrics import matthews_corrcoef

    labels, scores, weights = drawn(seed)

    found = measures.mcc(labels, scores, weights, threshold=threshold)

    expected = matthews_corrcoef(labels, scores >= threshold, sample_weight=weights)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "scores"),
    [([0, 1, 1], [0.1, 0.2, 0.3]), ([0, 1, 1], [0.9, 0.8, 0.7]), ([1, 1, 1], [0.1, 0.8, 0.7])],
)
def test_mcc_is_no_number_where_a_class_or_a_call_is_absent(
    labels: list[int], scores: list[float]
) -> None:
    assert np.isnan(measures.mcc(np.array(labels), np.array(scores)))


def test_mcc_is_1_for_the_truth_and_minus_1_for_its_opposite() -> None:
    assert measures.mcc(LABELS, LABELS.astype(float)) == pytest.approx(1)
    assert measures.mcc(LABELS, 1 - LABELS.astype(float)) == pytest.approx(-1)
