"""Whether two rankings agree."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

__all__ = ["rank_correlation"]


def rank_correlation(a: Float[ndarray, " item"], b: Float[ndarray, " item"]) -> float:
    """Spearman's rank correlation, ties given their mean rank.

    Args:
        a: one value for each item, in any unit.
        b: another value for the same items.

    Returns:
        -1 to 1; NaN where one of the two is constant or there are fewer than two items.

    Source: Spearman 1904.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} items against {len(b)}")
    if len(np.unique(a)) < 2 or len(np.unique(b)) < 2:  # noqa: PLR2004  # a constant has no order
        return float("nan")
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)
