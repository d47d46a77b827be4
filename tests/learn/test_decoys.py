from typing import Any

import numpy as np
import pytest
from numpy import ndarray

from tissuetrace.imaging.masks import pack, unite, unpack
from tissuetrace.learn.decoys import DecoyRule, Decoys, draw_decoys, standardised

SIDE = 12


def rule(**changes: Any) -> DecoyRule:
    return DecoyRule(**{"kind": "matched", "nearest": 10, "keep_min": 0.1, **changes})


def cohort(count: int = 600, *, seed: int = 100, erased: float = 0.3) -> dict[str, ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < 0.3).astype(np.int64)
    holes = (rng.random((count, SIDE, SIDE)) < erased) & (labels == 1)[:, None, None]
    return {
        "z": rng.normal(size=(count, 4)),
        "labels": labels,
        "splits": rng.integers(3, size=count),
        "masks": pack(holes),
    }


def draw(cohort: dict[str, ndarray], *, rule: DecoyRule, seed: int = 0) -> Decoys:
    return draw_decoys(**cohort, side_px=SIDE, rule=rule, seed=np.random.SeedSequence(seed))


def nearest_positives(cohort: dict[str, ndarray], patch: int) -> list[int]:
    """All positives of the patch's split, nearest first, one distance at a time."""
    z, labels, splits = cohort["z"], cohort["labels"], cohort["splits"]
    positives = np.flatnonzero((labels == 1) & (splits == splits[patch]))
    distances = np.sqrt(((z[positives] - z[patch]) ** 2).sum(axis=1))
    order: list[int] = positives[np.argsort(distances, kind="stable")].tolist()
    return order


@pytest.mark.parametrize("kind", ["matched", "marginal"])
def test_every_negative_gets_a_positive_of_its_split_and_positives_get_none(kind: str) -> None:
    patches = cohort()

    drawn = draw(patches, rule=rule(kind=kind))

    negative = patches["labels"] == 0
    donors = drawn.donors[negative]
    assert not drawn.dropped.any()
    assert (patches["labels"][donors] == 1).all()
    np.testing.assert_array_equal(patches["splits"][donors], patches["splits"][negative])
    assert set(drawn.orientations[negative].tolist()) == set(range(8))
    assert (drawn.donors[~negative] == -1).all()
    assert (drawn.orientations[~negative] == -1).all()


def test_matched_donors_are_uniform_among_the_ten_nearest_in_z() -> None:
    patches = cohort(2000)

    drawn = draw(patches, rule=rule())

    negatives = np.flatnonzero(patches["labels"] == 0)
    ranks = [nearest_positives(patches, int(p)).index(int(drawn.donors[p])) for p in negatives]
    counts = np.bincount(ranks)
    assert len(counts) == 10
    # 5 standard deviations of a binomial with p = 1/10
    assert abs(counts - len(ranks) / 10).max() < 5 * np.sqrt(len(ranks) * 0.09)


def test_marginal_donors_do_not_depend_on_z() -> None:
    patches = cohort()

    drawn = draw(patches, rule=rule(kind="marginal"))
    moved = draw({**patches, "z": patches["z"][::-1].copy()}, rule=rule(kind="marginal"))

    np.testing.assert_array_equal(drawn.donors, moved.donors)
    assert len(np.unique(drawn.donors)) > 0.6 * (patches["labels"] == 1).sum()


def test_with_fewer_positives_than_asked_for_all_take_part() -> None:
    patches = cohort(300)
    positives = np.flatnonzero(patches["labels"] == 1)
    patches["labels"][positives[9:]] = 0
    patches["splits"][:] = np.arange(300) % 1
    patches["masks"][:] = 0

    drawn = draw(patches, rule=rule(nearest=10))

    assert set(drawn.donors[patches["labels"] == 0].tolist()) == set(positives[:9].tolist())


def test_without_decoys_nobody_gives_and_nobody_is_dropped() -> None:
    patches = cohort(50)

    drawn = draw(patches, rule=rule(kind="none"))

    assert (drawn.donors == -1).all()
    assert not drawn.dropped.any()


@pytest.mark.parametrize("kind", ["matched", "marginal"])
def test_a_union_never_leaves_less_than_asked_for(kind: str) -> None:
    patches = cohort(400, erased=0.55)
    own = np.random.default_rng(3).random((400, SIDE, SIDE)) < 0.5
    patches["masks"] = np.where((patches["labels"] == 0)[:, None], pack(own), patches["masks"])

    drawn = draw(patches, rule=rule(kind=kind, keep_min=0.24))

    united = unite(
        unpack(patches["masks"], (SIDE, SIDE)),
        unpack(patches["masks"][drawn.donors], (SIDE, SIDE)),
        drawn.orientations,
    )
    kept = (~united).mean(axis=(1, 2))
    changed = draw(patches, rule=rule(kind=kind, keep_min=0.0))
    assert kept[(patches["labels"] == 0) & ~drawn.dropped].min() >= 0.24
    assert (changed.donors != drawn.donors).sum() > 20  # the rule had something to do


def test_the_next_nearest_takes_the_place_of_a_donor_that_leaves_too_little() -> None:
    z = np.array([[0.0], [1.0], [2.0], [3.0], [4.0]])
    holes = np.zeros((5, SIDE, SIDE), bool)
    holes[1:3] = True  # the two nearest leave nothing
    holes[3:, :2] = True
    patches = {
        "z": z,
        "labels": np.array([0, 1, 1, 1, 1]),
        "splits": np.zeros(5, np.int64),
        "masks": pack(holes),
    }

    found = [draw(patches, rule=rule(nearest=2), seed=seed) for seed in range(20)]

    assert {int(drawn.donors[0]) for drawn in found} == {3}
    assert len({int(drawn.orientations[0]) for drawn in found}) > 1


def test_a_nearer_positive_than_the_one_drawn_is_tried_last() -> None:
    holes = np.zeros((4, SIDE, SIDE), bool)
    holes[2] = True  # the second nearest leaves nothing
    patches = {
        "z": np.arange(4.0)[:, None],
        "labels": np.array([0, 1, 1, 1]),
        "splits": np.zeros(4, np.int64),
        "masks": pack(holes),
    }

    found = {int(draw(patches, rule=rule(nearest=2), seed=seed).donors[0]) for seed in range(20)}

    assert found == {1, 3}  # drawn itself, or the next after the second


def test_after_the_farthest_positive_the_nearest_is_tried() -> None:
    holes = np.zeros((4, SIDE, SIDE), bool)
    holes[2:] = True
    patches = {
        "z": np.arange(4.0)[:, None],
        "labels": np.array([0, 1, 1, 1]),
        "splits": np.zeros(4, np.int64),
        "masks": pack(holes),
    }

    found = {int(draw(patches, rule=rule(nearest=3), seed=seed).donors[0]) for seed in range(20)}

    assert found == {1}


def test_where_no_union_leaves_enough_the_patch_is_dropped() -> None:
    patches = cohort(60, erased=0.0)
    patches["masks"][patches["labels"] == 1] = 255

    drawn = draw(patches, rule=rule())

    np.testing.assert_array_equal(drawn.dropped, patches["labels"] == 0)
    assert (drawn.donors == -1).all()
    assert (drawn.orientations == -1).all()


def test_a_split_without_a_positive_patch_is_refused() -> None:
    patches = cohort(60)
    patches["labels"][patches["splits"] == 2] = 0

    with pytest.raises(ValueError, match="negative patches of a split, and no positive one"):
        draw(patches, rule=rule())


def test_the_seed_decides() -> None:
    patches = cohort()

    first, again, other = (draw(patches, rule=rule(), seed=seed).donors for seed in (0, 0, 1))

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_z_is_of_training_patches_and_a_constant_channel_stays_finite() -> None:
    means = np.array([[1.0, 0.1], [3.0, 0.1], [2.0, 0.1], [100.0, 1.1]])

    z = standardised(means, np.array([True, True, True, False]))

    sd = np.sqrt(2 / 3)  # of 1, 3 and 2
    np.testing.assert_allclose(z[:, 0], [-1 / sd, 1 / sd, 0, 98 / sd])
    np.testing.assert_allclose(z[:, 1], [0, 0, 0, 1], atol=1e-12)
