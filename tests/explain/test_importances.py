from typing import Any

import numpy as np
import pytest

from tissuetrace.explain.importances import (
    correlated_clusters,
    impurity_importances,
    permutation_importances,
    shapley_importances,
)
from tissuetrace.learn.forests import fit_forest, positive_probability
from tissuetrace.stats.agreement import rank_correlation


def cells(seed: int = 0, count: int = 240) -> tuple[Any, Any]:
    """Column 0 carries the label, 1 is its copy with a little noise, 2 and 3 are noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    features = rng.normal(size=(count, 4))
    features[:, 0] += 2 * labels
    features[:, 1] = features[:, 0] + 0.01 * features[:, 1]
    return features, labels


SINGLE = [[0], [1], [2], [3]]


@pytest.fixture(scope="module")
def forest() -> Any:
    return fit_forest(*cells(), trees=40, class_weight="none", seed=0)


def test_impurity_is_that_of_the_library_and_a_part_is_the_sum_of_its_columns(
    forest: Any,
) -> None:
    single = impurity_importances(forest, SINGLE)
    joined = impurity_importances(forest, [[0, 1], [2], [3]])

    np.testing.assert_allclose(single.means, forest.feature_importances_)
    np.testing.assert_allclose(joined.means[0], single.means[:2].sum())
    assert joined.means.sum() == pytest.approx(1.0)
    assert joined.spread[0] < single.spread[0]  # the two columns take turns over the trees


def test_a_forest_of_bare_roots_relies_on_nothing() -> None:
    features, labels = np.ones((20, 2)), np.arange(20) % 2
    bare = fit_forest(features, labels, trees=3, class_weight="none", seed=0)

    assert impurity_importances(bare, [[0], [1]]).means.tolist() == [0.0, 0.0]


def by_first(features: Any) -> Any:
    return features[:, 0]


def test_shuffling_the_only_feature_in_use_costs_the_whole_auc_above_a_half() -> None:
    labels = np.arange(2000) % 2
    features = np.stack([labels + 0.0, np.arange(2000.0)], axis=1)

    found = permutation_importances(
        by_first, features, labels, parts=[[0], [1]], repeats=20, seed=0
    )

    assert found.means[0] == pytest.approx(0.5, abs=0.02)
    assert (found.means[1], found.spread[1]) == (0.0, 0.0)


def test_permutation_agrees_with_the_reference_library(forest: Any) -> None:
    from sklearn.inspection import permutation_importance

    features, labels = cells(seed=1)

    found = permutation_importances(
        lambda rows: positive_probability(forest, rows),
        features,
        labels,
        parts=SINGLE,
        repeats=30,
        seed=0,
    )

    reference = permutation_importance(
        forest, features, labels, scoring="roc_auc", n_repeats=30, random_state=0
    )
    np.testing.assert_allclose(found.means, reference.importances_mean, atol=0.01)
    np.testing.assert_allclose(found.spread, reference.importances_std, atol=0.01)


def test_twins_look_useless_alone_and_not_together(forest: Any) -> None:
    features, labels = cells(seed=1)

    found = permutation_importances(
        lambda rows: positive_probability(forest, rows),
        features,
        labels,
        parts=[[0], [1], [0, 1]],
        repeats=10,
        seed=0,
    )

    assert found.means[2] > found.means[0] + found.means[1] + 0.05


def test_columns_of_a_part_are_shuffled_by_one_order() -> None:
    labels = np.arange(100) % 2
    features = np.random.default_rng(0).normal(size=(100, 2))
    features[:, 1] = -features[:, 0]

    found = permutation_importances(
        lambda rows: rows.sum(axis=1), features, labels, parts=[[0, 1], [0]], repeats=5, seed=0
    )

    assert found.means[0] == 0.0  # the sum stays 0 for every item
    assert found.spread[1] > 0.0


def test_the_features_given_are_left_as_they_are(forest: Any) -> None:
    features, labels = cells(seed=2)
    before = features.copy()

    permutation_importances(
        lambda rows: positive_probability(forest, rows),
        features,
        labels,
        parts=SINGLE,
        repeats=2,
        seed=0,
    )

    np.testing.assert_array_equal(features, before)


def test_shapley_values_of_a_stump_are_half_the_step() -> None:
    # one split, both sides equally full: every item is moved by half of 1 - 0
    features = np.stack([np.repeat([0.0, 1.0], 50), np.zeros(100)], axis=1)
    labels = np.repeat([0, 1], 50)
    from sklearn.ensemble import RandomForestClassifier

    stump = RandomForestClassifier(
        n_estimators=1, bootstrap=False, max_features=None, random_state=0
    ).fit(features, labels)

    found = shapley_importances(stump, features, [[0], [1]])

    assert found.means == pytest.approx([0.5, 0.0])
    assert found.spread == pytest.approx([0.0, 0.0])


def test_shapley_finds_the_columns_that_carry_the_label(forest: Any) -> None:
    found = shapley_importances(forest, cells(seed=1)[0], SINGLE)

    assert found.means[:2].min() > 2 * found.means[2:].max()


def test_shapley_values_of_all_columns_together_are_the_distance_from_the_base_rate(
    forest: Any,
) -> None:
    features, _ = cells(seed=1)
    roots = [tree.tree_.value[0, 0, 1] for tree in forest.estimators_]

    whole = shapley_importances(forest, features, [[0, 1, 2, 3]])

    distance = np.abs(positive_probability(forest, features) - np.mean(roots))
    np.testing.assert_allclose(whole.means, [distance.mean()])
    np.testing.assert_allclose(whole.spread, [distance.std()])


def test_clusters_join_what_ranks_alike_in_either_direction() -> None:
    rng = np.random.default_rng(0)
    area = rng.uniform(1, 9, 300)
    other = rng.normal(size=300)
    features = np.stack([other, area, np.exp(area), -(area**3), np.ones(300)], axis=1)

    assert correlated_clusters(features, above=0.9) == [[0], [1, 2, 3], [4]]


def test_joining_is_transitive() -> None:
    rng = np.random.default_rng(1)
    chain = np.cumsum(rng.normal(size=(4000, 3)) * [1.0, 0.4, 0.4], axis=1)

    assert rank_correlation(chain[:, 0], chain[:, 1]) > 0.9
    assert rank_correlation(chain[:, 0], chain[:, 2]) < 0.89
    assert correlated_clusters(chain, above=0.9) == [[0, 1, 2]]
