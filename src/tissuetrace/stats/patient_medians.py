"""Medians of many patches of a few patients, and how far other patients would move them."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from tissuetrace.stats.intervals import Interval

__all__ = ["group_medians", "median_change_interval", "median_interval", "weighted_medians"]

Values = Float[ndarray, " item"]
Codes = Int[ndarray, " item"]

_ROUNDING = 1e-9  # of a sum of weights
_AT_ONCE = 2_000_000  # weights held at a time


def group_medians(
    values: Values, groups: Codes, repeats: Codes, *, count: int
) -> Float[ndarray, " group"]:
    """Return each group's median: over its items in each repeat, then over the repeats.

    Args:
        values: one for each item; NaN items are left out.
        groups: number of the patient, 0 to `count` - 1.
        repeats: number of the retraining.
        count: how many groups there are.

    Returns:
        NaN for a group without an item.
    """
    found = np.full(count, np.nan)
    known = np.flatnonzero(~np.isnan(values))
    ordered = known[np.argsort(groups[known], kind="stable")]
    names, starts = np.unique(groups[ordered], return_index=True)
    for name, inside in zip(names, np.split(ordered, starts[1:]), strict=False):
        found[name] = _nested_median(values[inside], repeats[inside])
    return found


def median_interval(
    values: Values, groups: Codes, repeats: Codes, *, draws: int, seed: int
) -> Interval:
    """Median over items in each repeat, then over the repeats, with its 95 % interval.

    Args:
        values: one for each item; NaN items are left out.
        groups: number of the patient; whole patients are drawn, the same in every repeat.
        repeats: number of the retraining.
        draws: how many times the patients are drawn, 2 or more.
        seed: of the draws.

    Returns:
        value ± t(n-1) · SE of n patients. Fewer than two patients tell no spread: the ends are NaN.

    Source: cluster bootstrap, Field & Welsh 2007, n-1 of the n patients as in Rao & Wu 1988;
    their weight n/(n-1) cancels in a median.
    """
    known = ~np.isnan(values)
    values, repeats = values[known], repeats[known]
    names, members = np.unique(groups[known], return_inverse=True)
    if len(names) == 0:
        return _unknown(float("nan"), 0)
    weights = _drawn_weights(len(names), draws=draws, seed=seed)
    medians = [
        _drawn_medians(values[repeats == repeat], members[repeats == repeat], weights)
        for repeat in np.unique(repeats)
    ]
    value = _nested_median(values, repeats)
    return _interval(value, _column_medians(np.stack(medians)), groups=len(names))


def median_change_interval(
    before: Values, after: Values, groups: Codes, *, draws: int, seed: int
) -> Interval:
    """Median after less median before, both on the same drawn patients.

    Args:
        before: one for each item, such as the level of an image; NaN items are left out.
        after: of the same items.
        groups: number of the patient.
        draws: how many times the patients are drawn, 2 or more.
        seed: of the draws.

    Returns:
        As `median_interval`, of the difference of the two medians.
    """
    known = ~np.isnan(before) & ~np.isnan(after)
    names, members = np.unique(groups[known], return_inverse=True)
    if len(names) == 0:
        return _unknown(float("nan"), 0)
    weights = _drawn_weights(len(names), draws=draws, seed=seed)
    drawn = [_drawn_medians(values[known], members, weights) for values in (after, before)]
    value = float(np.median(after[known]) - np.median(before[known]))
    return _interval(value, drawn[0] - drawn[1], groups=len(names))


def weighted_medians(
    values: Values, weights: Float[ndarray, "draw item"]
) -> Float[ndarray, " draw"]:
    """Return the median of the values under each set of weights.

    Returns:
        With equal weights that of `numpy.median`, the mean of the two middle values included; NaN
        where all weights are 0.
    """
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    reached = np.cumsum(weights[:, order], axis=1)
    half = reached[:, -1:] / 2
    low = (reached >= half - _ROUNDING).argmax(axis=1)
    high = (reached > half + _ROUNDING).argmax(axis=1)
    return np.where(reached[:, -1] > 0, (ranked[low] + ranked[high]) / 2, np.nan)


def _drawn_weights(count: int, *, draws: int, seed: int) -> Float[ndarray, "draw group"]:
    """Return how often each patient is drawn in n-1 draws; one patient has no other draw."""
    if count == 1:
        return np.ones((draws, 1))
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(count - 1, np.full(count, 1 / count), size=draws)
    return drawn.astype(np.float64)


def _interval(value: float, drawn: Values, *, groups: int) -> Interval:
    if groups < 2 or len(drawn) < 2:  # noqa: PLR2004  # one patient or draw has no spread
        return _unknown(value, groups)
    from scipy.special import stdtrit  # the t quantile without the rest of scipy.stats

    se = float(drawn.std(ddof=1))
    reach = float(stdtrit(groups - 1, 0.975)) * se
    return Interval(value, value - reach, value + reach, se, groups)


def _unknown(value: float, groups: int) -> Interval:
    nothing = float("nan")
    return Interval(value, nothing, nothing, nothing, groups)


def _drawn_medians(
    values: Values, members: Codes, weights: Float[ndarray, "draw group"]
) -> Float[ndarray, " draw"]:
    step = max(1, _AT_ONCE // len(values))
    parts = [
        weighted_medians(values, weights[start : start + step][:, members])
        for start in range(0, len(weights), step)
    ]
    return np.concatenate(parts)


def _column_medians(medians: Float[ndarray, "repeat draw"]) -> Values:
    """Median over the repeats of each draw; a draw that holds no item of any repeat is left out."""
    known = medians[:, ~np.isnan(medians).all(axis=0)]
    medians_of_draws: Values = np.nanmedian(known, axis=0)
    return medians_of_draws


def _nested_median(values: Values, repeats: Codes) -> float:
    parts = [np.median(values[repeats == repeat]) for repeat in np.unique(repeats)]
    return float(np.median(parts))
