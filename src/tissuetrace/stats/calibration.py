"""Whether a probability of 0.8 comes true four times in five."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

__all__ = ["CalibrationTable", "calibration_table", "expected_calibration_error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationTable:
    """Items in bins of rising probability; empty bins are left out.

    Args:
        items: how many items lie in each bin.
        probability: their mean probability of class 1.
        observed: share of them that are of class 1.
    """

    items: Int[ndarray, " bin"]
    probability: Float[ndarray, " bin"]
    observed: Float[ndarray, " bin"]


def calibration_table(
    labels: Int[ndarray, " item"], probabilities: Float[ndarray, " item"], *, bins: int
) -> CalibrationTable:
    """Compare predicted with observed shares in bins of equal count.

    Bins are cut at quantiles, so items of one probability share a bin and their order in the
    table does not matter; with many ties the counts are then less equal, the bins fewer.

    Args:
        labels: 1 for a positive item, 0 for a negative one.
        probabilities: of the positive class.
        bins: how many bins to cut, 1 or more.

    Raises:
        ValueError: there is no item, or no bin.
    """
    if len(labels) == 0 or bins < 1:
        raise ValueError(f"{len(labels)} items in {bins} bins")
    cuts = np.quantile(probabilities, np.arange(1, bins) / bins)
    place = np.searchsorted(cuts, probabilities, side="left")
    counts = np.bincount(place, minlength=bins)
    used = counts > 0
    predicted = np.bincount(place, weights=probabilities, minlength=bins)[used]
    positive = np.bincount(place, weights=labels, minlength=bins)[used]
    return CalibrationTable(
        items=counts[used],
        probability=predicted / counts[used],
        observed=positive / counts[used],
    )


def expected_calibration_error(
    labels: Int[ndarray, " item"], probabilities: Float[ndarray, " item"], *, bins: int
) -> float:
    """Mean distance of predicted and observed share over the bins, weighted by their items.

    Returns:
        0 to 1, 0 for a calibrated model.

    Source: Naeini, Cooper, Hauskrecht 2015, with bins of equal count.
    """
    table = calibration_table(labels, probabilities, bins=bins)
    distance = np.abs(table.probability - table.observed)
    return float(np.average(distance, weights=table.items))
