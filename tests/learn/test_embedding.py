"""Embeddings of folds brought into one frame."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ortho_group

from tissuetrace.learn.augmentation import Augmentation
from tissuetrace.learn.cell_training import Recipe, Rows
from tissuetrace.learn.embedding import (
    EmbeddedFold,
    FoldTask,
    embed_fold,
    gather_folds,
    turn_onto,
    unit_names,
)
from tissuetrace.learn.loop import Schedule
from tissuetrace.learn.losses import CrossEntropy


def test_an_embedding_that_was_rotated_and_shifted_is_turned_back_exactly() -> None:
    rng = np.random.default_rng(2)
    items, anchor = rng.normal(size=(9, 5)), rng.normal(size=(20, 5))
    rotation, shift = ortho_group.rvs(5, random_state=3), rng.normal(size=5)

    found = turn_onto(items @ rotation + shift, anchor @ rotation + shift, anchor)

    np.testing.assert_allclose(found, items, atol=1e-12)


def test_turning_keeps_the_distances_between_items() -> None:
    rng = np.random.default_rng(2)
    items, anchor, reference = (rng.normal(size=(9, 4)) for _ in range(3))

    found = turn_onto(items, anchor, reference)

    np.testing.assert_allclose(
        np.linalg.norm(found[0] - found[1:], axis=1), np.linalg.norm(items[0] - items[1:], axis=1)
    )


def _fold(rows: list[int], anchor: np.ndarray) -> EmbeddedFold:
    # an embedding that says which row it is of
    return EmbeddedFold(
        rows=np.array(rows),
        embedding=np.repeat(np.array(rows, float)[:, None], 64, 1),
        anchor=anchor,
    )


def test_folds_are_put_back_in_the_order_of_the_rows() -> None:
    anchor = np.random.default_rng(0).normal(size=(80, 64))

    found = gather_folds([_fold([7, 2], anchor), _fold([5], anchor)], anchor, np.array([2, 5, 7]))

    np.testing.assert_allclose(found[:, 0], [2, 5, 7])


def test_each_fold_is_turned_by_what_its_own_network_says_of_the_anchor() -> None:
    rng = np.random.default_rng(1)
    truth, reference = rng.normal(size=(4, 64)), rng.normal(size=(80, 64))
    frames = [ortho_group.rvs(64, random_state=seed) for seed in (1, 2)]
    folds = [
        EmbeddedFold(rows=np.array(rows), embedding=truth[rows] @ frame, anchor=reference @ frame)
        for rows, frame in zip([[0, 3], [1, 2]], frames, strict=True)
    ]

    found = gather_folds(folds, reference, np.arange(4))

    np.testing.assert_allclose(found, truth, atol=1e-12)


@pytest.mark.parametrize("rows", [[2, 5], [2, 5, 7, 7]])
def test_a_row_embedded_never_or_twice_is_noticed(rows: list[int]) -> None:
    anchor = np.random.default_rng(0).normal(size=(80, 64))

    with pytest.raises(ValueError, match="each of 3 rows once"):
        gather_folds([_fold(rows, anchor)], anchor, np.array([2, 5, 7]))


def test_a_cell_that_is_held_out_must_not_train(tmp_path: Path) -> None:
    task = FoldTask(
        pixels=tmp_path / "none.npy",
        labels=np.array([0, 1, 0]),
        rows=Rows(training=np.array([0, 1]), validation=np.array([2])),
        held_out=np.array([1]),
        recipe=Recipe(
            schedule=Schedule(epochs=1, lr=0.1, patience=1),
            batch=2,
            block="relu_norm",
            augmentation=Augmentation(rotate_deg=0, shift=0, flip="none"),
            loss=CrossEntropy(),
        ),
        seed=0,
        device="cpu",
        resume=tmp_path,
    )

    with pytest.raises(ValueError, match="held out and trained on"):
        embed_fold(task)


def test_units_sort_as_they_are_numbered() -> None:
    assert unit_names() == sorted(unit_names())
    assert len(set(unit_names())) == 64
