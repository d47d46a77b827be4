import numpy as np
import pytest
from numpy import ndarray

from tissuetrace.learn.patient_splits import Division, TooFewError, divide

FRACTIONS = (0.65, 0.15, 0.2)


def draw(
    labels: ndarray, groups: ndarray, *, least: int = 1, draws: int = 100, seed: int = 0
) -> Division:
    return divide(
        labels,
        groups,
        fractions=FRACTIONS,
        least=least,
        draws=draws,
        seed=np.random.SeedSequence(seed),
    )


def cohort(patients: int = 24, patches: int = 60) -> tuple[ndarray, ndarray]:
    labels = (np.random.default_rng(0).random(patients * patches) < 0.3).astype(np.int64)
    return labels, np.repeat(np.arange(patients), patches)


@pytest.mark.parametrize("seed", range(8))
def test_no_group_lies_in_two_splits_and_shares_are_of_the_groups(seed: int) -> None:
    labels, groups = cohort()

    splits = draw(labels, groups, seed=seed).splits.reshape(24, 60)

    np.testing.assert_array_equal(splits, splits[:, :1].repeat(60, axis=1))
    assert np.bincount(splits[:, 0]).tolist() == [16, 3, 5]  # cuts at 15.6 and 19.2 of 24


def test_single_items_are_divided_one_by_one() -> None:
    labels = np.arange(200) % 2

    splits = draw(labels, np.arange(200), least=10).splits

    assert np.bincount(splits).tolist() == [130, 30, 40]


def test_the_seed_decides_and_seeds_differ() -> None:
    labels, groups = cohort()

    first, again, other = (draw(labels, groups, seed=seed).splits for seed in (0, 0, 1))

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_permutations_are_drawn_until_every_split_has_enough_of_both() -> None:
    groups = np.repeat(np.arange(12), 10)
    labels = np.zeros(120, np.int64)
    labels[np.isin(groups, [0, 5, 7])] = 1  # whole patients; each split needs one of three

    found = [draw(labels, groups, least=10, draws=1000, seed=seed) for seed in range(20)]

    counts = [
        [int((labels[d.splits == split] == label).sum()) for split in range(3)]
        for d in found
        for label in (0, 1)
    ]
    assert np.min(counts) >= 10
    assert max(d.redraws for d in found) > 0
    assert min(d.redraws for d in found) < max(d.redraws for d in found)


def test_a_refused_permutation_is_not_drawn_again() -> None:
    groups = np.repeat(np.arange(12), 10)
    labels = np.isin(groups, [0, 5, 7]).astype(np.int64)
    needed = max(draw(labels, groups, least=10, draws=1000, seed=s).redraws for s in range(20))

    with pytest.raises(TooFewError):
        [draw(labels, groups, least=10, draws=needed, seed=seed) for seed in range(20)]


def test_after_all_draws_the_counts_are_said() -> None:
    labels = np.array([1] * 5 + [0] * 40)

    with pytest.raises(TooFewError) as caught:
        draw(labels, np.arange(45), least=3, draws=7)

    assert str(caught.value) == (
        "5 positive and 40 negative patches in 45 groups: none of 7 draws has 3 of both in each "
        "of 3 splits, the best has 1"
    )


def test_one_group_cannot_be_divided() -> None:
    with pytest.raises(TooFewError, match=r"in 1 groups.*the best has 0"):
        draw(np.arange(100) % 2, np.zeros(100, np.int64))
