"""Intervals of a measure when items come in groups: whole groups are drawn, not items."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from tissuetrace.stats.classification import Statistic

__all__ = ["Interval", "cluster_interval", "paired_interval"]

Labels = Int[ndarray, " item"]
Values = Float[ndarray, " item"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % interval.

    Args:
        value: the measure on all items.
        low: lower end.
        high: upper end.
        se: standard error, in the unit of the value.
        groups: how many groups were resampled.
    """

    value: float
    low: float
    high: float
    se: float
    groups: int


def cluster_interval(
    statistic: Statistic,
    labels: Labels,
    probabilities: Values,
    groups: ndarray,
    *,
    draws: int,
    seed: int,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """95 % interval of a measure, from resampling groups within each label.

    Args:
        statistic: a measure of labels, probabilities and weights.
        labels: 1 for a positive item, 0 for a negative one.
        probabilities: of the positive class.
        groups: which group an item belongs to, any values that can be sorted.
        draws: how many times the groups are drawn, 2 or more.
        seed: of the draws.
        bounds: range of the measure, to which the interval is clipped.

    Returns:
        value ± t(n-1) · SE · sqrt(n/(n-1)) for n groups. Draws in which the measure is undefined
        are left out. Where it is undefined on all items, there is one group, or no draw differs
        from another (one group in a label), nothing is known of its spread: the ends are NaN.

    Source: cluster bootstrap, Field & Welsh 2007. Groups of one label are drawn among each other,
    so that no draw lacks a class. Percentile intervals gave 11 % false alarms at 12 groups, these
    7 %.
    """
    ranked = _ranked(labels, probabilities)
    drawn = [
        ranked.measure(statistic, weights)
        for weights in _draws(labels, groups, draws=draws, seed=seed)
    ]
    value = statistic(labels, probabilities, None)
    return _interval(value, np.array(drawn), len(np.unique(groups)), bounds)


def paired_interval(  # noqa: PLR0917  # two models on the same items: read in their order
    statistic: Statistic,
    labels: Labels,
    first: Values,
    second: Values,
    groups: ndarray,
    *,
    draws: int,
    seed: int,
    bounds: tuple[float, float] = (-1.0, 1.0),
) -> Interval:
    """95 % interval of a difference between two models, both on the same drawn groups.

    Args:
        statistic: a measure of labels, probabilities and weights.
        labels: 1 for a positive item, 0 for a negative one.
        first: probabilities of the first model.
        second: probabilities of the second model, for the same items in the same order.
        groups: which group an item belongs to.
        draws: how many times the groups are drawn, 2 or more.
        seed: of the draws.
        bounds: range of the difference.

    Returns:
        The measure of the first less that of the second, as in `cluster_interval`; a model less
        itself is 0 without doubt.
    """
    one, two = _ranked(labels, first), _ranked(labels, second)
    drawn = [
        one.measure(statistic, weights) - two.measure(statistic, weights)
        for weights in _draws(labels, groups, draws=draws, seed=seed)
    ]
    if np.array_equal(first, second):
        return Interval(0.0, 0.0, 0.0, 0.0, len(np.unique(groups)))
    value = statistic(labels, first, None) - statistic(labels, second, None)
    return _interval(value, np.array(drawn), len(np.unique(groups)), bounds)


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Items sorted by probability once, so that no draw sorts them again."""

    order: Int[ndarray, " item"]
    labels: Labels
    probabilities: Values

    def measure(self, statistic: Statistic, weights: Values) -> float:
        """Measure with weights that come in the order before sorting."""
        return statistic(self.labels, self.probabilities, weights[self.order])


def _ranked(labels: Labels, probabilities: Values) -> _Ranked:
    order = np.argsort(probabilities, kind="stable")
    return _Ranked(order, labels[order], probabilities[order])


def _draws(labels: Labels, groups: ndarray, *, draws: int, seed: int) -> Iterator[Values]:
    """Yield, for each draw, how often every item was drawn."""
    if draws < 2 or len(groups) != len(labels):  # noqa: PLR2004  # one draw has no spread
        raise ValueError(f"{draws} draws over {len(labels)} items with {len(groups)} groups")
    names, member = np.unique(groups, return_inverse=True)
    positives = np.bincount(member, weights=labels, minlength=len(names))
    share = positives / np.bincount(member, minlength=len(names))
    stratum = np.where(share == 0, 0, np.where(share == 1, 1, 2))  # 2: a group of both labels
    generator = np.random.default_rng(seed)
    counts = np.empty((draws, len(names)))
    for kind in np.unique(stratum):
        chosen = np.flatnonzero(stratum == kind)
        even = np.full(len(chosen), 1 / len(chosen))
        counts[:, chosen] = generator.multinomial(len(chosen), even, size=draws)
    for count in counts:
        yield count[member]


def _interval(
    value: float, drawn: Float[ndarray, " draw"], groups: int, bounds: tuple[float, float]
) -> Interval:
    known = drawn[np.isfinite(drawn)]
    unknown = float("nan")
    if groups < 2 or len(known) < 2 or not np.isfinite(value):  # noqa: PLR2004  # no spread of one
        return Interval(value, unknown, unknown, unknown, groups)
    spread = known.std(ddof=1)
    if spread == 0:
        return Interval(value, unknown, unknown, 0.0, groups)
    se = float(spread * np.sqrt(groups / (groups - 1)))
    reach = _student_t(groups - 1) * se
    low, high = bounds
    return Interval(value, max(low, value - reach), min(high, value + reach), se, groups)


def _student_t(freedom: int) -> float:
    from scipy.special import stdtrit  # the t quantile without the rest of scipy.stats

    quantile: Any = stdtrit(freedom, 0.975)
    return float(quantile)
