"""The law by which the phantom's T cells come, and what follows from it in closed form."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy import ndarray

__all__ = [
    "CHEMOKINES",
    "EFFECT",
    "FOLLOWS",
    "FUNCTIONAL",
    "NULLS",
    "SIGNS",
    "SLOPE",
    "bayes_auc",
    "infiltrated",
    "level",
    "rate_factor",
]

CHEMOKINES = (
    "CCL2",
    "CCL4",
    "CCL8",
    "CCL18",
    "CCL19",
    "CCL22",
    "CXCL8",
    "CXCL9",
    "CXCL10",
    "CXCL12",
    "CXCL13",
)
# Sign of each causal chemokine's effect; every other channel has none.
SIGNS = {"CXCL9": 1, "CXCL10": 1, "CXCL12": 1, "CCL19": 1, "CCL8": -1}
NULLS = tuple(name for name in CHEMOKINES if name not in SIGNS)
# Channels without an effect that follow the field of a causal one.
FOLLOWS = {"CXCL13": "CXCL9", "CCL22": "CCL19"}
SLOPE = 0.8  # log rate of T cells per unit of a causal field
EFFECT = 0.5  # log counts per unit of a field
FUNCTIONAL = 0.75  # share of T cells that are not exhausted
_LEAST = 0.01  # of a channel's counts, so that one that is taken away keeps a logarithm

Expected = Float[ndarray, " square"]


def infiltrated(expected: Expected) -> Expected:
    """Probability of at least one T cell that is not exhausted: 1 - exp(-Λ).

    Args:
        expected: expected number Λ of such cells, 0 or more.
    """
    probability: Expected = -np.expm1(-expected)
    return probability


def bayes_auc(expected: Expected) -> float:
    """Return the AUC that no score can beat on average: of 1 - exp(-Λ), over all labels it draws.

    Args:
        expected: Λ of every square.

    Returns:
        Σ pᵢ(1 - pⱼ)[pᵢ > pⱼ] / Σ pᵢ(1 - pⱼ), equal p counting half; NaN where no label can be 1,
        or none 0.
    """
    from scipy.stats import rankdata

    probability = infiltrated(expected)
    # each square stands once as positive with weight p and once as negative with weight 1 - p
    order = np.argsort(probability, kind="stable")
    tie = rankdata(probability[order], method="dense").astype(np.int64) - 1
    positive = np.bincount(tie, weights=probability[order])
    negative = np.bincount(tie, weights=1 - probability[order])
    below = np.cumsum(negative) - negative
    whole = float(positive.sum() * negative.sum())
    return float(positive @ (below + negative / 2)) / whole if whole else math.nan


def rate_factor(relative: Mapping[str, float]) -> float:
    """Return what a therapy multiplies the rate of T cells by: Π (1 + rⱼ)^(0.8 sⱼ / 0.5).

    Counts go with exp(0.5 z) and the rate with exp(0.8 s z), so a relative change r of a channel's
    counts is a shift of its field by log(1 + r) / 0.5.

    Args:
        relative: channel and its relative change, -1 or more (0.5 is raised by half). Channels
            without an effect change nothing. A channel taken below 1 % of its counts counts as
            left at 1 %.
    """
    shift = sum(
        SIGNS.get(name, 0) * math.log(max(1 + change, _LEAST)) for name, change in relative.items()
    )
    return math.exp(SLOPE / EFFECT * shift)


def level(truth: pd.DataFrame, chosen: Bool[ndarray, " square"], *, factor: float = 1.0) -> float:
    """Mean probability of infiltration over the tumour squares of patients.

    Tumour squares lie wholly in the tissue and more than half in the tumour. The law's ceiling
    (0.004 per µm²) is left out after a therapy: a square at the ceiling is infiltrated in 99 %.

    Args:
        truth: the phantom's truth of one cohort.
        chosen: rows of the patients that are meant.
        factor: what the rate is multiplied by.

    Returns:
        0 to 1: mean over squares of a patient, then over patients; NaN without a tumour square.
    """
    tumour = (truth["tumour"] > 0.5) & (truth["tissue"] >= 1)  # noqa: PLR2004  # more than half
    rows = truth[tumour & chosen]
    if len(rows) == 0:
        return math.nan
    probability = infiltrated(rows["expected"].to_numpy() * factor)
    per_patient = pd.Series(probability).groupby(rows["subject"].to_numpy()).mean()
    return float(per_patient.mean())
