"""Random forests on tables of features, and the one-feature model that they must beat."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

__all__ = [
    "ClassWeight",
    "Classifier",
    "check_both_classes",
    "fit_forest",
    "fit_logistic",
    "load_forest",
    "out_of_fold",
    "positive_probability",
    "random_state",
    "save_forest",
]

Features = Float[ndarray, "item feature"]
Labels = Int[ndarray, " item"]
ClassWeight = Literal["none", "balanced"]


@runtime_checkable
class Classifier(Protocol):
    """A fitted model of scikit-learn or imbalanced-learn with two classes, 0 and 1."""

    classes_: Any

    def predict_proba(self, features: Features) -> Float[ndarray, "item 2"]:
        """Return the probability of either class for each item."""


def fit_forest(
    features: Features, labels: Labels, *, trees: int, class_weight: ClassWeight, seed: int
) -> Classifier:
    """Fit a random forest on one core.

    Args:
        features: one row for each item, any units: trees only see their order.
        labels: 0 or 1; both must be present.
        trees: how many.
        class_weight: `balanced` weighs an item by 1 / (2 x share of its class), `none` by 1.
        seed: of bootstrap samples and of the features tried at each node, 0 or more.

    Returns:
        The forest; the same bytes for the same arguments once saved.

    Source: Breiman 2001, with the settings of scikit-learn where the study states none.
    """
    from sklearn.ensemble import RandomForestClassifier

    check_both_classes(labels)
    forest = RandomForestClassifier(
        n_estimators=trees,
        class_weight=None if class_weight == "none" else class_weight,
        random_state=random_state(seed),
        n_jobs=1,
    )
    fitted: Classifier = forest.fit(features, labels)
    return fitted


def fit_logistic(features: Features, labels: Labels) -> Classifier:
    """Fit a logistic regression on standardised features.

    Args:
        features: one row for each item; mean and spread are those of these rows.
        labels: 0 or 1; both must be present.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    check_both_classes(labels)
    fitted: Classifier = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, labels)
    return fitted


def positive_probability(model: Classifier, features: Features) -> Float[ndarray, " item"]:
    """Return the probability of class 1 for each item.

    Raises:
        ValueError: the model was fitted on other classes than 0 and 1.
    """
    classes = np.asarray(model.classes_).tolist()
    if classes != [0, 1]:
        raise ValueError(f"expected the classes 0 and 1, the model knows {classes}")
    return np.asarray(model.predict_proba(features)[:, 1], dtype=np.float64)


def out_of_fold(
    fit: Callable[[Features, Labels], Classifier],
    features: Features,
    labels: Labels,
    folds: Sequence[tuple[Int[ndarray, " _"], Int[ndarray, " _"]]],
) -> tuple[Int[ndarray, " item"], Float[ndarray, " item"]]:
    """Let every item be judged by a model that was fitted without its fold.

    Args:
        fit: makes a model of the rows that it is given, and of nothing else.
        features: one row for each item.
        labels: 0 or 1.
        folds: indices for training and for testing; every item is tested once.

    Returns:
        Number of the fold that tested each item, and the probability of class 1 found there.

    Raises:
        ValueError: an item is tested never or twice.
    """
    tested = np.concatenate([test for _, test in folds])
    if not np.array_equal(np.sort(tested), np.arange(len(labels))):
        raise ValueError(f"{len(folds)} folds do not test each of {len(labels)} items once")
    fold = np.empty(len(labels), dtype=np.int64)
    probability = np.empty(len(labels))
    for number, (train, test) in enumerate(folds):
        model = fit(features[train], labels[train])
        fold[test] = number
        probability[test] = positive_probability(model, features[test])
    return fold, probability


def random_state(seed: int) -> int:
    """Spread a small seed over the whole range that scikit-learn takes."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0])


def save_forest(model: Classifier, path: Path) -> None:
    """Write a fitted model as joblib does, which scikit-learn of the same version reads."""
    import joblib

    path.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, path)


def load_forest(path: Path) -> Classifier:
    """Read a fitted model of this project; joblib files run code, so read no stranger's."""
    import joblib

    model: Classifier = joblib.load(path)
    return model


def check_both_classes(labels: Labels) -> None:
    """Refuse labels to fit on that are not both 0 and 1.

    Raises:
        ValueError: a class is missing, or there is another one.
    """
    if np.unique(labels).tolist() != [0, 1]:
        raise ValueError(f"expected labels of both classes, found {np.unique(labels).tolist()}")
