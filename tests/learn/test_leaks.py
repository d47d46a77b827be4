from dataclasses import replace

import numpy as np
import pytest
from numpy import ndarray

from tissuetrace.learn.leaks import Leak, Rows, find_leak, separation
from tissuetrace.stats.classification import auc


def patches(count: int = 4000, *, seed: int = 0) -> tuple[Rows, ndarray, np.random.Generator]:
    """Features that tell something; density of T cells for the hole to grow with."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(count, 3))
    density = z[:, 0] + 0.5 * rng.normal(size=count)
    labels = (density + 0.5 * rng.normal(size=count) > 0.5).astype(np.int64)
    training = np.arange(count) % 2 == 0
    rows = Rows(features=3 + z, labels=labels, training=training, test=~training)
    return rows, density, rng


def probed(rows: Rows, erased: ndarray) -> Leak:
    return find_leak(rows, erased, np.ones(len(erased), dtype=np.int64))


def test_a_hole_that_is_the_label_is_found_alone_and_beside_the_features() -> None:
    rows, _, _ = patches()

    leak = probed(rows, rows.labels * 0.3)

    assert leak.marginal_auc == 1.0
    assert leak.auc + leak.gain == pytest.approx(1.0, abs=1e-3)
    assert leak.gain > 0.05


def test_a_hole_of_chance_adds_nothing() -> None:
    rows, _, rng = patches()

    leak = probed(rows, rng.random(len(rows.labels)))

    assert leak.marginal_auc == pytest.approx(0.5, abs=0.04)
    assert abs(leak.gain) < 0.003


def test_a_hole_that_grows_with_what_features_tell_is_no_gain_but_shows_marginally() -> None:
    rows, _, rng = patches()

    leak = probed(rows, rows.features[:, 0] + 0.1 * rng.random(len(rows.labels)))

    assert leak.marginal_auc > 0.8
    assert abs(leak.gain) < 0.005


def test_holes_equally_large_in_both_classes_leak_where_only_true_ones_grow_with_density() -> None:
    rows, density, rng = patches()
    positive = rows.labels == 1
    erased = density.copy()
    erased[~positive] = rng.choice(density[positive], size=int((~positive).sum()))

    leak = probed(rows, erased)

    assert leak.marginal_auc == pytest.approx(0.5, abs=0.04)
    assert leak.gain > 0.02


def test_the_number_of_parts_counts_as_well() -> None:
    rows, _, _ = patches()

    leak = find_leak(rows, np.zeros(len(rows.labels)), 3 * rows.labels)

    assert leak.auc + leak.gain == pytest.approx(1.0, abs=1e-3)


def test_the_score_is_of_test_patches_and_of_what_training_taught() -> None:
    rows, _, _ = patches()

    found = separation(rows)
    unlearnable = replace(rows, labels=np.where(rows.training, 1 - rows.labels, rows.labels))

    oracle = auc(rows.labels[rows.test], rows.features[rows.test, 0])
    assert found == pytest.approx(oracle, abs=0.005)
    assert separation(unlearnable) == pytest.approx(1 - found, abs=0.01)


def test_the_unit_of_a_feature_does_not_matter() -> None:
    rows, _, _ = patches(400)

    scaled = replace(rows, features=rows.features * [1e-6, 1.0, 1e6])

    assert separation(scaled) == pytest.approx(separation(rows), abs=1e-6)
