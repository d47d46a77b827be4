"""What retrainings of one model say together."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import stdtrit  # the t quantile without the rest of scipy.stats

__all__ = ["MeanInterval", "mean_interval"]


@dataclass(frozen=True, slots=True)
class MeanInterval:
    """A mean over retrainings with its 95 % interval.

    Args:
        value: the mean.
        low: lower end; NaN where fewer than two retrainings have a value.
        high: upper end, likewise.
        retrainings: how many have a value.
    """

    value: float
    low: float
    high: float
    retrainings: int


def mean_interval(values: Float[ndarray, " retraining"]) -> MeanInterval:
    """Return the mean ± t(n-1, .975) s / √n over n retrainings.

    It tells how far seeds and splits move a measure, not how far other patients would.

    Args:
        values: one measure a retraining; a NaN is one that has none, such as a precision where
            nothing was called, and is left out.

    Returns:
        One retraining alone has a value and no interval: its ends are NaN. None has NaN alone.

    Source: Wang & Thomson, Tables 1 and 3 ("95 % CI of 8 retrainings"); the quantile is Student's.
    """
    known = values[~np.isnan(values)]
    n = len(known)
    if n == 0:
        return MeanInterval(float("nan"), float("nan"), float("nan"), 0)
    mean = float(known.mean())
    if n == 1:
        return MeanInterval(mean, float("nan"), float("nan"), 1)
    half = float(stdtrit(n - 1, 0.975) * known.std(ddof=1) / np.sqrt(n))
    return MeanInterval(mean, mean - half, mean + half, n)
