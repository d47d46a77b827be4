"""What the phantom's known answer demands of the lane, and what was found.

The bounds were set on seeds 1 to 5, 11 and 12; the tests draw others. All are of the cell reading,
of 34 + 22 subjects, and of out-of-fold predictions in five folds by forests of 100 trees.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from tissuetrace.learn.splits import group_folds
from tissuetrace.stats.classification import auc
from tissuetrace.stats.recovery import Bound

__all__ = [
    "FOLDS",
    "NULL",
    "SIGNAL",
    "SIZE_FEATURES",
    "SUBJECTS",
    "TREES",
    "area_agreement",
    "bounds_for",
    "oracle_auc",
    "top_feature",
]

FOLDS = 5
TREES = 100
SUBJECTS = (34, 22)  # ALL, normal
SIZE_FEATURES = ("area", "perimeter")

Labels = Int[ndarray, " item"]


_AREA = (
    Bound(key="area_r", about="correlation of measured with true area", low=0.999, high=1.0),
    Bound(key="area_bias", about="mean relative error of the area", low=-0.005, high=0.005),
)

# The signal as designed (delta 1): the best AUC on a new subject is 0.873.
SIGNAL = (
    *_AREA,
    Bound(
        key="oracle_auc_by_group",
        about="AUC of a logistic regression on the true latents, by group",
        low=0.873 - 0.045,
        high=0.873 + 0.045,
    ),
    Bound(key="forest_auc_by_group", about="AUC of the forest, by group", low=0.70, high=0.88),
    Bound(key="leakage_gap", about="AUC of the forest by image less by group", low=0.04, high=1.0),
    Bound(
        key="top_is_size",
        about="most important feature (MDI) is area or perimeter: 1 yes, 0 no",
        low=1.0,
        high=1.0,
    ),
)

# No signal (delta 0): only the recognition of subjects is left.
NULL = (
    *_AREA,
    Bound(key="forest_auc_by_group", about="AUC of the forest, by group", low=0.33, high=0.62),
    Bound(key="forest_auc_by_image", about="AUC of the forest, by image", low=0.65, high=1.0),
    Bound(key="leakage_gap", about="AUC of the forest by image less by group", low=0.12, high=1.0),
)


def bounds_for(
    delta: float,
    *,
    folds: int = FOLDS,
    trees: int = TREES,
    subjects: tuple[int, int] = SUBJECTS,
) -> tuple[Bound, ...]:
    """Return the bounds for what was drawn and how it was judged.

    Args:
        delta: strength of the signal; bounds are known for 1 and 0.
        folds: of the out-of-fold predictions.
        trees: of each forest.
        subjects: how many were drawn, ALL and normal.

    Returns:
        Nothing for other settings than those that the bounds were measured with.
    """
    if (folds, trees, tuple(subjects)) != (FOLDS, TREES, SUBJECTS):
        return ()
    return {1.0: SIGNAL, 0.0: NULL}.get(float(delta), ())


def area_agreement(
    measured: Float[ndarray, " item"], true: Float[ndarray, " item"]
) -> tuple[float, float]:
    """Compare measured with true areas, both in px².

    Returns:
        Pearson's correlation, and the mean relative error (0.01: one percent too large).
    """
    correlation = float(np.corrcoef(measured, true)[0, 1])
    return correlation, float((measured / true - 1).mean())


def oracle_auc(
    latents: Float[ndarray, "item latent"],
    labels: Labels,
    groups: Int[ndarray, " item"],
    *,
    seed: int,
) -> float:
    """AUC of a logistic regression on the true latents, out of fold by group.

    Returns:
        What a perfect measurement of every cell would reach; NaN where a class has fewer groups
        than there are folds.
    """
    from sklearn.linear_model import LogisticRegression

    if min(len(np.unique(groups[labels == label])) for label in (0, 1)) < FOLDS:
        return math.nan
    probabilities = np.empty(len(labels))
    for train, test in group_folds(labels, groups, folds=FOLDS, seed=seed):
        model = LogisticRegression().fit(latents[train], labels[train])
        probabilities[test] = model.predict_proba(latents[test])[:, 1]
    return auc(labels, probabilities)


def top_feature(
    features: Float[ndarray, "item feature"], labels: Labels, *, names: Sequence[str], seed: int
) -> str:
    """Return the feature with the largest mean decrease in impurity of a forest on all items."""
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(
        n_estimators=TREES, class_weight="balanced", random_state=seed
    ).fit(features, labels)
    return names[int(np.argmax(forest.feature_importances_))]
