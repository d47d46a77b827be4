"""How well probabilities of one class agree with the truth: every measure takes weights.

A measure is a function of labels (1 = positive), probabilities of the positive class and, where
items are drawn with replacement, a weight for each item: how often it was drawn. An item counts
as positive where its probability is at least the threshold.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

__all__ = [
    "Statistic",
    "ThresholdStatistic",
    "accuracy",
    "at_threshold",
    "auc",
    "balanced_accuracy",
    "brier",
    "confusion",
    "f1",
    "false_negative_rate",
    "false_positive_rate",
    "log_loss",
    "mcc",
    "precision",
    "sensitivity",
    "specificity",
    "threshold_at_sensitivity",
    "weighted_f1",
]

Labels = Int[ndarray, " item"]
Values = Float[ndarray, " item"]

Statistic = Callable[[Labels, Values, Values | None], float]


@runtime_checkable
class ThresholdStatistic(Protocol):
    """A measure of decisions, not of probabilities."""

    def __call__(
        self, labels: Labels, probabilities: Values, weights: Values | None, *, threshold: float
    ) -> float:
        """Return the measure at a threshold."""


def at_threshold(metric: ThresholdStatistic, threshold: float) -> Statistic:
    """Return a measure of decisions with its threshold fixed, to be used as a statistic."""
    return partial(metric, threshold=threshold)


def auc(labels: Labels, probabilities: Values, weights: Values | None = None) -> float:
    """Area under the ROC curve: chance that a positive item outranks a negative one.

    Args:
        labels: 1 for a positive item, 0 for a negative one.
        probabilities: any score that grows with the evidence for 1.
        weights: how often each item counts, 0 or more; once each by default.

    Returns:
        0 to 1, 0.5 for no information; equal scores count half. NaN where a class is absent.

    Source: Hanley & McNeil 1982, as the area by trapezoids over ranks with ties.
    """
    _check(labels, probabilities)
    order = np.argsort(probabilities, kind="stable")  # linear in time where already sorted
    ranked = probabilities[order]
    weight = np.ones(len(order)) if weights is None else weights[order]
    last_of_tie = np.append(ranked[1:] != ranked[:-1], [True])
    positive = np.cumsum(weight * labels[order])[last_of_tie]
    negative = np.cumsum(weight * (1 - labels[order]))[last_of_tie]
    below = np.concatenate([[0.0], negative[:-1]])
    gained = np.diff(positive, prepend=0.0)
    return _ratio(float(gained @ (below + negative)) / 2, float(positive[-1] * negative[-1]))


def confusion(
    labels: Labels, probabilities: Values, weights: Values | None = None, *, threshold: float = 0.5
) -> tuple[float, float, float, float]:
    """Count true negatives, false positives, false negatives and true positives."""
    _check(labels, probabilities)
    cell = 2 * labels + (probabilities >= threshold)
    counts = np.bincount(cell, weights=weights, minlength=4).astype(float)
    return float(counts[0]), float(counts[1]), float(counts[2]), float(counts[3])


def accuracy(
    labels: Labels, probabilities: Values, weights: Values | None = None, *, threshold: float = 0.5
) -> float:
    """Share of items that are called right."""
    tn, fp, fn, tp = confusion(labels, probabilities, weights, threshold=threshold)
    return _ratio(tn + tp, tn + fp + fn + tp)


def sensitivity(
    labels: Labels, probabilities: Values, weights: Values | None = None, *, threshold: float = 0.5
) -> float:
    """Share of the positive items that are called positive (recall of class 1)."""
    _, _, fn, tp = confusion(labels, probabilities, weights, threshold=threshold)
    return _ratio(tp, fn + tp)


def specificity(
    labels: Labels, probabilities: Values, weights: Values | None = None, *, threshold: float = 0.5
) -> float:
    """Share of the negative items that are called negative (recall of class 0)."""
    tn, fp, _, _ = confusion(labels, probabilities, weights, threshold=threshold)
    return _ratio(tn, tn + fp)


def false_positive_rate(
    labels: Labels, probabilities: Values, weights: Values | None = None, *, threshold: float = 0.5
) -> float:
    """Share of the negative items that are called positive: false alarms."""
    tn, fp, _, _ = confusion(labels, probabilities, weights, threshold=threshold)
    return _ratio(fp, tn + fp)


def false_negative_rate(
    labels: Labels, probabilities: Values, weights: Values | None = None, *, threshold: float = 0.5
) -> float:
    """Share of the positive items that are called negative: missed."""
    _, _, fn, tp = confusion(labels, probabilities, weights, threshold=threshold)
    return _ratio(fn, fn + tp)


def precision(
    labels: Labels, probabilities: Values, weights: Values | None = None, *, threshold: float = 0.5
) -> float:
    """Share of the items called positive that are; NaN where none is called positive."""
    _, fp, _, tp = confusion(labels, probabilities, weights, threshold=threshold)
    return _ratio(tp, fp + tp)


def balanced_accuracy(
    labels: Labels, probabilities: Values, weights: Values | None = None, *, threshold: float = 0.5
) -> float:
    """Mean of sensitivity and specificity."""
    tn, fp, fn, tp = confusion(labels, probabilities, weights, threshold=threshold)
    return (_ratio(tp, fn + tp) + _ratio(tn, tn + fp)) / 2


def f1(
    labels: Labels, probabilities: Values, weights: Values | None = None, *, threshold: float = 0.5
) -> float:
    """Harmonic mean of precision and sensitivity; NaN where nothing is or is called positive."""
    _, fp, fn, tp = confusion(labels, probabilities, weights, threshold=threshold)
    return _ratio(2 * tp, 2 * tp + fp + fn)


def weighted_f1(
    labels: Labels, probabilities: Values, weights: Values | None = None, *, threshold: float = 0.5
) -> float:
    """F1 of each class, weighted by its items: the measure of the C-NMC challenge."""
    tn, fp, fn, tp = confusion(labels, probabilities, weights, threshold=threshold)
    of_positive = (tp + fn) * _ratio(2 * tp, 2 * tp + fp + fn) if tp + fn else 0.0
    of_negative = (tn + fp) * _ratio(2 * tn, 2 * tn + fp + fn) if tn + fp else 0.0
    return _ratio(of_positive + of_negative, tn + fp + fn + tp)


def mcc(
    labels: Labels, probabilities: Values, weights: Values | None = None, *, threshold: float = 0.5
) -> float:
    """Matthews' correlation coefficient: Pearson's correlation of label and call, -1 to 1.

    NaN where a class is absent, or nothing or everything is called positive.

    Source: Matthews 1975; as the covariance of two variables of 0 and 1, taken by NumPy.
    """
    counts = confusion(labels, probabilities, weights, threshold=threshold)
    cells = np.array([[0, 0, 1, 1], [0, 1, 0, 1]])  # label and call of each count
    shared = np.cov(cells, aweights=np.array(counts), ddof=0)
    return _ratio(float(shared[0, 1]), float(np.sqrt(shared[0, 0] * shared[1, 1])))


def brier(labels: Labels, probabilities: Values, weights: Values | None = None) -> float:
    """Mean squared difference of probability and label: 0 is best, 0.25 what 0.5 gives."""
    _check(labels, probabilities)
    return _mean((probabilities - labels) ** 2, weights)


def log_loss(labels: Labels, probabilities: Values, weights: Values | None = None) -> float:
    """Mean negative log likelihood (nats); probabilities are kept off 0 and 1 by 2.2e-16."""
    _check(labels, probabilities)
    edge = np.finfo(float).eps  # a forest says 0 and 1 outright, whose logarithm is infinite
    kept = np.clip(probabilities, edge, 1 - edge)
    return _mean(-np.log(np.where(labels == 1, kept, 1 - kept)), weights)


def threshold_at_sensitivity(labels: Labels, probabilities: Values, sensitivity: float) -> float:
    """Return the highest threshold that keeps a sensitivity; choose it on validation alone.

    Args:
        labels: 1 for a positive item, 0 for a negative one.
        probabilities: of the positive class.
        sensitivity: share of the positive items to keep, above 0 and at most 1.

    Raises:
        ValueError: no item is positive, or the sensitivity lies outside (0, 1].
    """
    _check(labels, probabilities)
    positives = np.sort(probabilities[labels == 1])[::-1]
    if len(positives) == 0 or not 0 < sensitivity <= 1:
        raise ValueError(f"{len(positives)} positive items, sensitivity {sensitivity:g}")
    # 0.07 * 100 is 7.000000000000001, which must not cost an eighth item
    kept = int(np.ceil(sensitivity * len(positives) - 1e-9))
    return float(positives[max(kept, 1) - 1])


def _check(labels: Labels, probabilities: Values) -> None:
    if len(labels) == 0 or len(labels) != len(probabilities):
        raise ValueError(f"{len(labels)} labels for {len(probabilities)} probabilities")
    if not ((labels == 0) | (labels == 1)).all():
        raise ValueError(f"labels must be 0 or 1, found {np.unique(labels)[:5]}")


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _mean(values: Values, weights: Values | None) -> float:
    return float(np.average(values, weights=weights))
