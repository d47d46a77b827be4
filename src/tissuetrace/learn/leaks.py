"""Whether what was hidden still shows: does the hole tell the label, beside or through features?"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int
from numpy import ndarray
from sklearn.linear_model import LogisticRegression

from tissuetrace.learn.decoys import standardised
from tissuetrace.stats.classification import auc

__all__ = ["Leak", "Rows", "find_leak", "separation"]

_ITERATIONS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Patches as a model of one seed sees them.

    Args:
        features: channel means.
        labels: 1 for a positive patch, 0 for a negative one.
        training: patches that models are fitted to.
        test: patches that they are asked about.
    """

    features: Float[ndarray, "patch channel"]
    labels: Int[ndarray, " patch"]
    training: Bool[ndarray, " patch"]
    test: Bool[ndarray, " patch"]


@dataclass(frozen=True, slots=True)
class Leak:
    """What the hole tells on test patches.

    Args:
        auc: of the features alone.
        gain: what AUC rises by when the hole's size and number of parts are known as well.
        marginal_auc: of the erased share alone.
    """

    auc: float
    gain: float
    marginal_auc: float


def find_leak(
    rows: Rows, erased: Float[ndarray, " patch"], components: Int[ndarray, " patch"]
) -> Leak:
    """Ask how much the hole adds to the features: that is what could be learnt from it.

    The hole may tell nothing by itself and yet much beside the features, where true holes grow
    with the density of T cells and others do not. So the second model knows, beside features and
    hole, the squares and products of the hole's two numbers with each other and with the
    features' own score.

    Args:
        rows: patches.
        erased: share of each patch that is hidden.
        components: parts of the hidden area.

    Source: ours; logistic regression (L2, C = 1) on z values of the training patches.
    """
    alone = _logits(rows, standardised(rows.features, rows.training))
    hole = standardised(np.stack([erased, components], axis=1), rows.training)
    beside = np.concatenate(
        [
            standardised(rows.features, rows.training),
            hole,
            hole**2,
            hole[:, :1] * hole[:, 1:],
            hole * standardised(alone[:, None], rows.training),
        ],
        axis=1,
    )
    found = _test_auc(rows, alone)
    return Leak(
        auc=found,
        gain=_test_auc(rows, _logits(rows, beside)) - found,
        marginal_auc=_test_auc(rows, np.asarray(erased, dtype=np.float64)),
    )


def separation(rows: Rows) -> float:
    """Return the test AUC of a logistic regression on the features."""
    return _test_auc(rows, _logits(rows, standardised(rows.features, rows.training)))


def _logits(rows: Rows, z: Float[ndarray, "patch term"]) -> Float64[ndarray, " patch"]:
    model = LogisticRegression(max_iter=_ITERATIONS)
    model.fit(z[rows.training], rows.labels[rows.training])
    logits: Float64[ndarray, " patch"] = model.decision_function(z)
    return logits


def _test_auc(rows: Rows, scores: Float[ndarray, " patch"]) -> float:
    return auc(rows.labels[rows.test], scores[rows.test])
