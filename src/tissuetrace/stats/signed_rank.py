"""Whether paired differences lean to one side: Wilcoxon's signed-rank test."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

__all__ = ["signed_rank"]

_DECIMALS = 12  # differences of shares that ought to tie differ by rounding


def signed_rank(differences: Float[ndarray, " pair"]) -> float:
    """Two-sided p-value that paired differences lie symmetrically about 0.

    Args:
        differences: one for each pair, such as a patient's level after less before. Pairs must
            be independent, so several images of a patient are one. NaN pairs are left out.

    Returns:
        Exact where few pairs without ties are left, as scipy decides; pairs without a difference
        are left out; 1 where all are, and NaN where there is no pair.

    Source: Wilcoxon 1945.
    """
    known = np.round(differences[~np.isnan(differences)], _DECIMALS)
    moved = known[known != 0]
    if len(known) == 0:
        return float("nan")
    if len(moved) == 0:
        return 1.0
    from scipy.stats import wilcoxon

    return float(wilcoxon(moved).pvalue)
