from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tissuetrace.learn.forests import (
    fit_forest,
    fit_logistic,
    load_forest,
    out_of_fold,
    positive_probability,
    random_state,
    save_forest,
)
from tissuetrace.learn.splits import stratified_folds
from tissuetrace.stats.classification import auc


def cells(seed: int = 0, count: int = 120) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 3 > 0).astype(np.int64)
    return rng.normal(size=(count, 3)) + labels[:, None], labels


def test_a_forest_is_the_same_in_bytes_for_the_same_seed_and_another_for_another(
    tmp_path: Path,
) -> None:
    files = [tmp_path / name for name in ("first", "again", "other")]
    for file, seed in zip(files, [1, 1, 2], strict=True):
        save_forest(fit_forest(*cells(), trees=5, class_weight="balanced", seed=seed), file)

    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].read_bytes() != files[2].read_bytes()


def test_a_saved_forest_answers_as_before(tmp_path: Path) -> None:
    features, labels = cells()
    forest = fit_forest(features, labels, trees=5, class_weight="none", seed=0)

    save_forest(forest, tmp_path / "below/forest.joblib")

    read = load_forest(tmp_path / "below/forest.joblib")
    np.testing.assert_array_equal(
        positive_probability(read, features), positive_probability(forest, features)
    )


def test_balanced_weights_let_both_classes_weigh_the_same_at_the_root() -> None:
    features, labels = cells()
    heavy = fit_forest(features, labels, trees=3, class_weight="balanced", seed=0)
    plain = fit_forest(features, labels, trees=3, class_weight="none", seed=0)

    roots: Any = [[tree.tree_.value[0, 0, 1] for tree in f.estimators_] for f in (heavy, plain)]  # type: ignore[attr-defined]  # scikit-learn's own

    assert np.mean(roots[0]) == pytest.approx(1 / 2, abs=0.1)
    assert np.mean(roots[1]) == pytest.approx(2 / 3, abs=0.1)


def test_one_class_is_refused() -> None:
    features, labels = cells()

    with pytest.raises(ValueError, match=r"found \[1\]"):
        fit_forest(features, np.ones_like(labels), trees=2, class_weight="none", seed=0)
    with pytest.raises(ValueError, match=r"found \[0, 1, 2\]"):
        fit_logistic(features, np.arange(120) % 3)


def test_a_model_of_other_classes_is_not_asked() -> None:
    from sklearn.linear_model import LogisticRegression

    features, labels = cells()
    shifted = LogisticRegression().fit(features, labels + 1)

    with pytest.raises(ValueError, match=r"knows \[1, 2\]"):
        positive_probability(shifted, features)


def test_logistic_regression_does_not_see_the_unit() -> None:
    features, labels = cells()
    pixels = fit_logistic(features, labels)
    microns = fit_logistic(features * 1e-3, labels)

    np.testing.assert_allclose(
        positive_probability(microns, features * 1e-3),
        positive_probability(pixels, features),
        rtol=1e-9,
    )


def test_labels_without_a_signal_are_not_recovered_out_of_fold() -> None:
    rng = np.random.default_rng(3)
    features, labels = rng.normal(size=(400, 4)), np.arange(400) % 2

    def fit(rows: Any, truth: Any) -> Any:
        return fit_forest(rows, truth, trees=30, class_weight="none", seed=0)

    fold, probability = out_of_fold(
        fit, features, labels, stratified_folds(labels, folds=5, seed=0)
    )

    assert auc(labels, probability) == pytest.approx(0.5, abs=0.1)
    assert auc(labels, positive_probability(fit(features, labels), features)) > 0.99
    assert np.bincount(fold).tolist() == [80] * 5


def test_folds_that_leave_an_item_out_are_refused() -> None:
    features, labels = cells()
    folds = stratified_folds(labels, folds=4, seed=0)

    with pytest.raises(ValueError, match="3 folds do not test each of 120"):
        out_of_fold(fit_logistic, features, labels, folds[:3])


def test_small_seeds_are_spread() -> None:
    states = {random_state(seed) for seed in range(100)}

    assert len(states) == 100
    assert np.std(list(states)) > 2**29
