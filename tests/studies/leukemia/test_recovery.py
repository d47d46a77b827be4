"""What the phantom demands: bounds, the oracle, the area, the most important feature."""

import math
from typing import Any

import numpy as np
import pytest

from tissuetrace.stats.recovery import judge
from tissuetrace.studies.leukemia.recovery import (
    NULL,
    SIGNAL,
    area_agreement,
    bounds_for,
    oracle_auc,
    top_feature,
)

GOOD = {
    "area_r": 1.0,
    "area_bias": 0.0001,
    "oracle_auc_by_group": 0.877,
    "forest_auc_by_group": 0.757,
    "forest_auc_by_image": 0.854,
    "leakage_gap": 0.097,
    "top_is_size": 1.0,
}


def test_the_numbers_measured_while_building_pass() -> None:
    assert judge(GOOD, SIGNAL)["passed"].all()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("area_r", 0.998),
        ("area_bias", 0.006),
        ("area_bias", -0.006),
        ("oracle_auc_by_group", 0.82),
        ("oracle_auc_by_group", 0.92),
        ("forest_auc_by_group", 0.69),
        ("forest_auc_by_group", 0.89),
        ("leakage_gap", 0.03),
        ("top_is_size", 0.0),
        ("leakage_gap", math.nan),
    ],
)
def test_each_number_out_of_bounds_fails_alone(key: str, value: float) -> None:
    judged = judge({**GOOD, key: value}, SIGNAL)

    assert judged.loc[~judged["passed"], "key"].tolist() == [key]


def test_a_number_that_is_missing_fails() -> None:
    judged = judge({}, SIGNAL)

    assert len(judged) == len(SIGNAL)
    assert not judged["passed"].any()


def test_a_split_that_ignores_groups_fails_every_row_of_the_null() -> None:
    ignored = {**GOOD, "forest_auc_by_group": 0.72, "forest_auc_by_image": 0.72, "leakage_gap": 0.0}

    judged = judge(ignored, NULL)

    assert judged.loc[~judged["passed"], "key"].tolist() == ["forest_auc_by_group", "leakage_gap"]


@pytest.mark.parametrize(("delta", "bounds"), [(1.0, SIGNAL), (0.0, NULL), (0.5, ())])
def test_bounds_are_known_for_full_and_no_signal_alone(delta: float, bounds: object) -> None:
    assert bounds_for(delta) == bounds


@pytest.mark.parametrize(
    "other", [{"folds": 3}, {"trees": 20}, {"subjects": (12, 10)}, {"subjects": (22, 34)}]
)
def test_no_bounds_are_known_for_other_settings_than_those_measured(other: Any) -> None:
    assert bounds_for(1.0, folds=5, trees=100, subjects=(34, 22)) == SIGNAL
    assert bounds_for(1.0, **other) == ()


def test_an_area_one_percent_too_large_has_bias_one_percent() -> None:
    true = np.array([100.0, 200.0, 400.0])

    r, bias = area_agreement(1.01 * true, true)

    assert [r, bias] == pytest.approx([1, 0.01])


def test_the_oracle_finds_a_signal_and_no_subject() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 10)
    labels = (groups >= 20).astype(np.int64)
    own = rng.normal(size=(40, 1))[groups]  # tells the group, not the class
    signal = rng.normal(size=(400, 1)) + 1.5 * labels[:, None]

    assert oracle_auc(np.hstack([signal, own]), labels, groups, seed=0) > 0.8
    assert 0.3 < oracle_auc(own, labels, groups, seed=0) < 0.7


def test_the_oracle_is_not_defined_for_fewer_groups_than_folds() -> None:
    groups = np.array([0, 0, 1, 1, 2, 3, 4, 5, 6, 7])
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])

    assert math.isnan(oracle_auc(np.zeros((10, 1)), labels, groups, seed=0))


def test_the_most_important_feature_is_the_one_that_decides() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(200, 3))
    labels = (features[:, 1] > 0).astype(np.int64)

    assert top_feature(features, labels, names=["a", "b", "c"], seed=0) == "b"
