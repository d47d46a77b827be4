"""Which features a forest relies on: by impurity, by permutation, by Shapley values."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from tissuetrace.stats.classification import auc

__all__ = [
    "Importances",
    "correlated_clusters",
    "impurity_importances",
    "permutation_importances",
    "shapley_importances",
]

Features = Float[ndarray, "item feature"]
Labels = Int[ndarray, " item"]
Predict = Callable[[Features], Float[ndarray, " item"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Importances:
    """One number for each feature or cluster of features.

    Args:
        means: the larger, the more the model relies on it.
        spread: standard deviation over what the method averages: trees, repeats or items.
    """

    means: Float[ndarray, " part"]
    spread: Float[ndarray, " part"]


def impurity_importances(
    forest: Any,  # noqa: ANN401  # a forest of scikit-learn, which has no types
    parts: Sequence[Sequence[int]],
) -> Importances:
    """Mean decrease of Gini impurity, from the training items alone.

    It favours features with many distinct values, and shares credit among correlated ones.

    Args:
        forest: a fitted random forest.
        parts: columns that count as one, such as those of an embedding.

    Returns:
        Shares that add up to 1 where the parts hold every column once; spread over the trees.

    Source: Breiman 2001; the importance that the study prints.
    """
    trees = np.array([tree.feature_importances_ for tree in forest.estimators_])
    grown = trees[[tree.tree_.node_count > 1 for tree in forest.estimators_]]
    if len(grown) == 0:
        return Importances(means=np.zeros(len(parts)), spread=np.zeros(len(parts)))
    summed = np.stack([grown[:, list(part)].sum(axis=1) for part in parts], axis=1)
    mean = summed.mean(axis=0)
    return Importances(means=mean / grown.mean(axis=0).sum(), spread=summed.std(axis=0))


def permutation_importances(
    predict: Predict,
    features: Features,
    labels: Labels,
    *,
    parts: Sequence[Sequence[int]],
    repeats: int,
    seed: int,
) -> Importances:
    """Loss of AUC on held-out items when columns are shuffled among the items.

    Args:
        predict: probability of class 1 for each item.
        features: of items that the model was not fitted on.
        labels: 0 or 1; both must be present.
        parts: columns that are shuffled together, by one order: a feature, or a cluster.
        repeats: how often each part is shuffled, 1 or more.
        seed: of the orders; those of a part depend on its place among the parts alone.

    Returns:
        AUC before less after, mean over the repeats; about 0 for a part of no use, below 0 by
        chance. Two features that say the same each look useless; their cluster does not.

    Source: Breiman 2001, with AUC in place of accuracy.
    """
    whole = auc(labels, predict(features))
    losses = np.empty((len(parts), repeats))
    for number, spawned in enumerate(np.random.SeedSequence(seed).spawn(len(parts))):
        generator = np.random.default_rng(spawned)
        columns = list(parts[number])
        shuffled = np.tile(features, (repeats, 1, 1))
        for repeat in range(repeats):
            order = generator.permutation(len(features))
            shuffled[repeat][:, columns] = features[order][:, columns]
        scores = predict(shuffled.reshape(-1, features.shape[1])).reshape(repeats, -1)
        losses[number] = [whole - auc(labels, score) for score in scores]
    return Importances(means=losses.mean(axis=1), spread=losses.std(axis=1))


def shapley_importances(
    forest: Any,  # noqa: ANN401  # as above
    features: Features,
    parts: Sequence[Sequence[int]],
) -> Importances:
    """Mean size of the Shapley value of each part for the probability of class 1.

    Args:
        forest: a fitted random forest of two classes.
        features: of items that it was not fitted on.
        parts: columns that count as one; their values are added, with their signs, for each item.

    Returns:
        In probability, 0 or more; spread over the items.

    Source: Lundberg and others 2020 (TreeSHAP, path-dependent), as shap has it.
    """
    values = np.asarray(_tree_explainer(forest).shap_values(features))[:, :, 1]
    sizes = np.abs(np.stack([values[:, list(part)].sum(axis=1) for part in parts], axis=1))
    return Importances(means=sizes.mean(axis=0), spread=sizes.std(axis=0))


def correlated_clusters(features: Features, *, above: float) -> list[list[int]]:
    """Join features that rank items alike.

    Args:
        features: one row for each item.
        above: absolute Spearman correlation above which two features are joined, 0 to 1.

    Returns:
        Columns of each cluster, in order of its first column. Joining is transitive: two members
        may correlate less where a third lies between them. A constant column stands alone.
    """
    from scipy.sparse.csgraph import connected_components
    from scipy.stats import rankdata

    ranks = rankdata(features, axis=0)
    centred = ranks - ranks.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    unit = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    _, cluster = connected_components(np.abs(unit.T @ unit) > above, directed=False)
    _, first = np.unique(cluster, return_index=True)
    return [np.flatnonzero(cluster == cluster[column]).tolist() for column in np.sort(first)]


def _tree_explainer(forest: Any) -> Any:  # noqa: ANN401  # neither library has types
    with warnings.catch_warnings():
        # shap builds its colour maps by a call that matplotlib is about to retire
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        from shap import TreeExplainer

    return TreeExplainer(forest)
