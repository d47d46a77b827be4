"""Ways to fit a classifier where one class is rarer, all on the rows that they are given."""

from typing import Any, Literal, get_args

from jaxtyping import Float, Int
from numpy import ndarray

from tissuetrace.learn.forests import (
    Classifier,
    check_both_classes,
    fit_forest,
    random_state,
)

__all__ = ["FOREST_STRATEGIES", "STRATEGIES", "Strategy", "fit_strategy"]

Features = Float[ndarray, "item feature"]
Labels = Int[ndarray, " item"]
Strategy = Literal[
    "none", "balanced", "cost", "smote", "undersampling", "balanced_forest", "easy_ensemble"
]

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
FOREST_STRATEGIES: tuple[Strategy, ...] = STRATEGIES[:-1]  # EasyEnsemble boosts stumps


def fit_strategy(
    strategy: Strategy,
    features: Features,
    labels: Labels,
    *,
    trees: int,
    cost_fp: float,
    estimators: int,
    seed: int,
) -> Classifier:
    """Fit with one way of meeting the imbalance.

    Nothing is resampled at prediction: what is drawn or made up lives inside this fit.

    Args:
        strategy: `none`; `balanced`, weights by the classes' shares; `cost`, a wrong call on a
            negative item counts `cost_fp` times; `smote`, the rarer class is filled up by points
            between neighbours; `undersampling`, the commoner class is thinned out once;
            `balanced_forest`, that for each tree anew; `easy_ensemble`, boosted stumps on several
            thinned samples.
        features: one row for each item of the training set.
        labels: 0 or 1; both must be present.
        trees: of each forest.
        cost_fp: weight of a negative item under `cost`, above 0; a positive one weighs 1.
        estimators: how many boosted ensembles `easy_ensemble` averages.
        seed: of every draw, 0 or more.

    Source: Chawla and others 2002 (SMOTE); Chen, Liaw, Breiman 2004 (balanced forest); Liu, Wu,
    Zhou 2009 (EasyEnsemble); as imbalanced-learn has them.
    """
    check_both_classes(labels)
    if strategy in {"none", "balanced"}:
        weight: Any = strategy
        return fit_forest(features, labels, trees=trees, class_weight=weight, seed=seed)
    model = _unfitted(
        strategy,
        rarest=int(min((labels == 0).sum(), (labels == 1).sum())),
        trees=trees,
        cost_fp=cost_fp,
        estimators=estimators,
        state=random_state(seed),
    )
    fitted: Classifier = model.fit(features, labels)
    return fitted


def _unfitted(
    strategy: Strategy, *, rarest: int, trees: int, cost_fp: float, estimators: int, state: int
) -> Any:  # noqa: ANN401  # an estimator of one of two libraries without types
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(n_estimators=trees, random_state=state, n_jobs=1)
    match strategy:
        case "cost":
            return forest.set_params(class_weight={0: cost_fp, 1: 1.0})
        case "smote":
            return _smote_before(forest, rarest=rarest, state=state)
        case "undersampling":
            return _undersampling_before(forest, state=state)
        case "balanced_forest":
            return _balanced_forest(trees=trees, state=state)
        case "easy_ensemble":
            return _easy_ensemble(estimators=estimators, state=state)
        case _:
            raise ValueError(f"no strategy {strategy!r} among {', '.join(STRATEGIES)}")


def _smote_before(forest: Any, *, rarest: int, state: int) -> Any:  # noqa: ANN401  # as above
    from imblearn.over_sampling import SMOTE
    from imblearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # neighbours in raw units would be those of the area alone, thousands of pixels
    neighbours = min(5, rarest - 1)
    return make_pipeline(
        StandardScaler(), SMOTE(k_neighbors=neighbours, random_state=state), forest
    )


def _undersampling_before(forest: Any, *, state: int) -> Any:  # noqa: ANN401  # as above
    from imblearn.pipeline import make_pipeline
    from imblearn.under_sampling import RandomUnderSampler

    return make_pipeline(RandomUnderSampler(random_state=state), forest)


def _balanced_forest(*, trees: int, state: int) -> Any:  # noqa: ANN401  # as above
    from imblearn.ensemble import BalancedRandomForestClassifier

    return BalancedRandomForestClassifier(
        n_estimators=trees,
        sampling_strategy="all",
        replacement=True,
        bootstrap=False,
        random_state=state,
        n_jobs=1,
    )


def _easy_ensemble(*, estimators: int, state: int) -> Any:  # noqa: ANN401  # as above
    from imblearn.ensemble import EasyEnsembleClassifier

    return EasyEnsembleClassifier(n_estimators=estimators, random_state=state, n_jobs=1)
