from typing import Any

import numpy as np
import pytest

from tissuetrace.learn.forests import fit_forest, positive_probability
from tissuetrace.learn.imbalance import STRATEGIES, Strategy, fit_strategy


def cells(count: int = 300, seed: int = 0) -> tuple[Any, Any]:
    """Overlapping classes, five positive to one negative; the second column counts in thousands."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 6 > 0).astype(np.int64)
    features = rng.normal(size=(count, 3)) + 1.2 * labels[:, None]
    return features * [1.0, 1e3, 1.0], labels


def fit(strategy: Strategy, features: Any, labels: Any, *, seed: int = 1) -> Any:
    return fit_strategy(strategy, features, labels, trees=60, cost_fp=4.0, estimators=4, seed=seed)


def positives_called(model: Any, seed: int = 5) -> tuple[float, float]:
    """Share called positive among the positive and among the negative, on new items."""
    features, labels = cells(1200, seed)
    called = positive_probability(model, features) >= 0.5
    return float(called[labels == 1].mean()), float(called[labels == 0].mean())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_seed_gives_the_same_answers_and_rows_given_stay_as_they_are(
    strategy: Strategy,
) -> None:
    features, labels = cells()
    before = features.copy(), labels.copy()
    new = cells(50, seed=9)[0]

    first, again = (positive_probability(fit(strategy, *cells()), new) for _ in range(2))

    fit(strategy, features, labels)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(features, before[0])
    np.testing.assert_array_equal(labels, before[1])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_item_asked_about_gets_one_answer_whatever_its_class(strategy: Strategy) -> None:
    model = fit(strategy, *cells())
    features, labels = cells(70, seed=2)

    probability = positive_probability(model, features)

    assert probability.shape == (70,)
    one_by_one = [positive_probability(model, row[None])[0] for row in features[labels == 1][:5]]
    np.testing.assert_allclose(probability[labels == 1][:5], one_by_one)


# `cost` and `balanced` reach grown trees only through their splits, so they move less.
@pytest.mark.parametrize("strategy", ["smote", "undersampling", "balanced_forest", "easy_ensemble"])
def test_resampling_lowers_false_alarms_at_the_price_of_sensitivity(strategy: Strategy) -> None:
    plain_right, plain_wrong = positives_called(fit("none", *cells()))

    right, wrong = positives_called(fit(strategy, *cells()))

    assert wrong < plain_wrong - 0.05
    assert right < plain_right


def test_balanced_is_the_weighted_forest_and_none_the_plain_one() -> None:
    features, labels = cells()
    new = cells(50, seed=9)[0]
    plain = fit_forest(features, labels, trees=60, class_weight="none", seed=1)
    heavy = fit_forest(features, labels, trees=60, class_weight="balanced", seed=1)

    np.testing.assert_array_equal(
        positive_probability(fit("none", features, labels), new), positive_probability(plain, new)
    )
    np.testing.assert_array_equal(
        positive_probability(fit("balanced", features, labels), new),
        positive_probability(heavy, new),
    )


def test_the_cost_weighs_the_negative_items() -> None:
    features, labels = cells()

    forest = fit("cost", features, labels)

    shares = [tree.tree_.value[0, 0, 0] for tree in forest.estimators_]
    assert np.mean(shares) == pytest.approx(4 / (4 + 5), abs=0.03)  # 1 negative to 5 positive


def grown_on(model: Any) -> tuple[float, float]:
    """Number of training items behind a forest's trees, and the share of positive ones."""
    roots = [tree.tree_ for tree in model[-1].estimators_]
    # bootstrap: distinct items are 1 - 1/e of all
    items = np.mean([root.n_node_samples[0] for root in roots]) / (1 - np.exp(-1))
    return float(items), float(np.mean([root.value[0, 0, 1] for root in roots]))


@pytest.mark.parametrize(("strategy", "items"), [("smote", 500), ("undersampling", 100)])
def test_a_resampled_forest_grows_on_equal_classes(strategy: Strategy, items: int) -> None:
    model = fit(strategy, *cells())

    count, share = grown_on(model)

    assert count == pytest.approx(items, rel=0.03)
    assert share == pytest.approx(0.5, abs=0.02)


def test_smote_invents_items_between_neighbours_in_standard_units() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([1] * 60 + [0] * 20)
    near = np.repeat([-1.0, 1.0], 10)  # two clouds of negative items, told apart by column 0 only
    features = np.stack([rng.normal(size=80), 1e6 * rng.normal(size=80)], axis=1)
    features[60:, 0] = near + 0.01 * rng.normal(size=20)

    model = fit("smote", features, labels)

    scaled = model[0].transform(features)
    made, _ = model[1].fit_resample(scaled, labels)
    invented = made[80:, 0] * model[0].scale_[0] + model[0].mean_[0]
    assert len(invented) == 40
    assert (np.abs(np.abs(invented) - 1) < 0.1).mean() > 0.9


def test_smote_takes_fewer_neighbours_where_few_items_are_rare() -> None:
    features, labels = cells(60)
    rare = np.concatenate([np.flatnonzero(labels == 0)[:3], np.flatnonzero(labels == 1)])

    assert positive_probability(fit("smote", features[rare], labels[rare]), features).max() > 0.5


def test_one_class_and_an_unknown_strategy_are_refused() -> None:
    features, labels = cells()
    unknown: Any = "oversampling"

    with pytest.raises(ValueError, match="both classes"):
        fit("smote", features, np.ones_like(labels))
    with pytest.raises((ValueError, TypeError), match="oversampling"):
        fit(unknown, features, labels)
