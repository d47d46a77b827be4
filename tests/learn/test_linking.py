"""Which images show the same cell, and which subjects that joins."""

import numpy as np
import pytest
from numpy import ndarray

from tissuetrace.learn.linking import exact_pairs, groups_of, link_subjects, near_pairs


def literal_near_pairs(thumbs: ndarray, areas: ndarray, near: float) -> list[list[int]]:
    """Compare every image with every other, as the definition reads."""
    return [
        [i, j]
        for i in range(len(thumbs))
        for j in range(i + 1, len(thumbs))
        if np.corrcoef(thumbs[i], thumbs[j])[0, 1] >= near
        and abs(areas[i] - areas[j]) <= 0.01 * max(areas[i], areas[j])
    ]


def thumbs_of(seed: int, count: int) -> ndarray:
    return np.random.default_rng(seed).integers(40, 200, (count, 1024), dtype=np.uint8)


def test_equal_hashes_make_every_pair_of_their_members() -> None:
    assert exact_pairs(["a", "b", "a", "c", "a"]).tolist() == [[0, 2], [0, 4], [2, 4]]


def test_no_pair_is_an_empty_table() -> None:
    assert exact_pairs(["a", "b"]).shape == (0, 2)
    assert near_pairs(thumbs_of(0, 2), np.array([100, 100]), near=0.9).shape == (0, 2)


@pytest.mark.parametrize("block", [3, 512])
def test_near_pairs_are_those_of_the_definition(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tissuetrace.learn.linking._BLOCK", block)
    rng = np.random.default_rng(1)
    base = thumbs_of(2, 6)
    noise = rng.integers(-6, 6, (30, 1024))
    thumbs = np.clip(base[rng.integers(0, 6, 30)] + noise, 0, 255).astype(np.uint8)
    areas = rng.integers(1000, 1030, 30)

    found = near_pairs(thumbs, areas, near=0.9944)

    expected = literal_near_pairs(thumbs, areas, 0.9944)
    assert 5 < len(expected) < 100
    assert found.tolist() == expected


def test_brightness_and_contrast_of_the_photograph_do_not_matter() -> None:
    thumbs = thumbs_of(3, 2)
    thumbs[1] = thumbs[0] // 2 + 90

    assert near_pairs(thumbs, np.array([100, 100]), near=0.998).tolist() == [[0, 1]]


def test_a_bright_background_makes_no_cells_alike() -> None:
    # both are nearly flat, so that without taking off the mean they would correlate
    flat = np.random.default_rng(4).integers(195, 205, (2, 1024), dtype=np.uint8)

    assert near_pairs(flat, np.array([100, 100]), near=0.9).tolist() == []


@pytest.mark.parametrize(("area", "pairs"), [(9900, [[0, 1]]), (9899, [])])
def test_areas_may_differ_by_one_percent_of_the_larger(area: int, pairs: list[list[int]]) -> None:
    thumbs = np.repeat(thumbs_of(5, 1), 2, axis=0)

    assert near_pairs(thumbs, np.array([10_000, area]), near=0.998).tolist() == pairs


def test_images_without_contrast_are_near_to_none() -> None:
    thumbs = np.full((2, 1024), 100, dtype=np.uint8)

    assert near_pairs(thumbs, np.array([100, 100]), near=0.998).tolist() == []


def test_subjects_are_joined_through_others() -> None:
    subjects = ["51", "75", "78", "20", "51", "H10", "78"]
    pairs = np.array([[0, 1], [4, 2]])  # 51=75, 51=78

    names, groups = link_subjects(subjects, pairs)

    assert names == ["20", "51", "75", "78", "H10"]
    assert groups.tolist() == [0, 1, 1, 1, 2]


def test_without_pairs_every_name_is_a_group() -> None:
    names, groups = link_subjects(["b", "a", "b"], np.zeros((0, 2), dtype=np.int64))

    assert names == ["a", "b"]
    assert groups.tolist() == [0, 1]


def test_the_order_of_images_does_not_change_the_groups() -> None:
    subjects = ["c", "a", "b", "d", "e"]
    pairs = np.array([[0, 3], [1, 2]])
    turned = [4, 3, 2, 1, 0]

    first = link_subjects(subjects, pairs)
    second = link_subjects([subjects[k] for k in turned], 4 - pairs)

    assert first[0] == second[0]
    assert first[1].tolist() == second[1].tolist() == [0, 0, 1, 1, 2]


def test_a_subject_without_a_known_group_has_one_of_its_own() -> None:
    groups = groups_of(["9", "a", "8", "9"], ["a", "b"], [4, 2])

    assert groups.tolist() == [6, 4, 5, 6]
