"""Splits keep classes and groups as promised."""

import numpy as np
import pytest

from tissuetrace.learn.splits import group_folds, group_split, stratified_folds, stratified_split

FRACTIONS = (0.70, 0.15, 0.15)


def test_a_random_split_gives_every_class_its_shares() -> None:
    labels = np.repeat([0, 1], [200, 400])

    splits = stratified_split(labels, fractions=FRACTIONS, seed=3)

    assert np.bincount(splits[labels == 0]).tolist() == [140, 30, 30]
    assert np.bincount(splits[labels == 1]).tolist() == [280, 60, 60]


@pytest.mark.parametrize("count", [7, 10, 19, 101])
def test_a_random_split_misses_a_share_by_less_than_one(count: int) -> None:
    splits = stratified_split(np.zeros(count, dtype=int), fractions=FRACTIONS, seed=0)

    assert (np.abs(np.bincount(splits, minlength=3) - count * np.array(FRACTIONS)) < 1).all()


def test_the_seed_alone_decides_a_random_split() -> None:
    labels = np.repeat([0, 1], 50)
    first, again, other = (
        stratified_split(labels, fractions=FRACTIONS, seed=seed) for seed in (1, 1, 2)
    )

    assert (first == again).all()
    assert (first != other).any()


def test_a_group_split_serves_the_largest_need_first() -> None:
    # one class of 100 items: needs 70, 15, 15; 50 → train (20 left), 18 → train (2 left),
    # 16 → validation (-1), 10 → test (5), 6 → test (-1)
    groups = np.repeat([4, 8, 6, 5, 7], [50, 18, 16, 10, 6])

    splits = group_split(np.zeros(100, dtype=int), groups, fractions=FRACTIONS, seed=0)

    assert dict(zip(groups.tolist(), splits.tolist(), strict=True)) == {
        4: 0,
        8: 0,
        6: 1,
        5: 2,
        7: 2,
    }


@pytest.mark.parametrize("seed", range(5))
def test_no_group_lies_in_two_splits(seed: int) -> None:
    groups = np.repeat(np.arange(40), np.random.default_rng(seed).integers(2, 30, 40))
    labels = groups % 2

    splits = group_split(labels, groups, fractions=FRACTIONS, seed=seed)

    assert len(np.unique(np.stack([groups, splits]), axis=1).T) == 40


def test_groups_of_one_size_are_divided_by_the_seed() -> None:
    groups = np.repeat(np.arange(40), 5)
    labels = groups % 2
    first, again, other = (
        group_split(labels, groups, fractions=FRACTIONS, seed=seed) for seed in (1, 1, 2)
    )

    assert (first == again).all()
    assert (first != other).any()


def test_fewer_groups_than_splits_are_refused() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    groups = np.array([0, 1, 2, 3, 4])

    with pytest.raises(ValueError, match="class 0: 2 groups for 3 splits"):
        group_split(labels, groups, fractions=FRACTIONS, seed=0)


def test_a_group_of_two_classes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"two classes: \[7\]"):
        group_split(np.array([0, 1]), np.array([7, 7]), fractions=FRACTIONS, seed=0)


@pytest.mark.parametrize("fractions", [(0.7, 0.2, 0.2), (1.1, -0.1)])
def test_fractions_are_shares_of_a_whole(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        stratified_split(np.zeros(9, dtype=int), fractions=fractions, seed=0)


def test_every_item_is_tested_once() -> None:
    groups = np.repeat(np.arange(20), 4)
    labels = groups % 2

    tested = np.concatenate([test for _, test in group_folds(labels, groups, folds=5, seed=0)])
    tested_alone = np.concatenate([test for _, test in stratified_folds(labels, folds=5, seed=0)])

    assert sorted(tested) == list(range(80))
    assert sorted(tested_alone) == list(range(80))


def test_a_fold_by_group_tests_on_groups_that_it_has_not_trained_on() -> None:
    groups = np.repeat(np.arange(20), 4)

    folds = group_folds(groups % 2, groups, folds=5, seed=0)

    assert [set(groups[train]) & set(groups[test]) for train, test in folds] == [set()] * 5


def test_a_random_fold_shares_groups_between_training_and_testing() -> None:
    groups = np.repeat(np.arange(20), 4)

    train, test = stratified_folds(groups % 2, folds=5, seed=0)[0]

    assert set(groups[train]) & set(groups[test])


def test_fewer_groups_than_folds_are_refused() -> None:
    labels = np.repeat([0, 1], [8, 20])
    groups = np.repeat(np.arange(14), 2)

    with pytest.raises(ValueError, match="class 0: 4 groups for 5 folds"):
        group_folds(labels, groups, folds=5, seed=0)
