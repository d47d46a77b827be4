"""The network trained on arrays, kept, and asked again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray

from tissuetrace.learn.augmentation import Augmentation
from tissuetrace.learn.cell_training import (
    CellClassifier,
    Recipe,
    Rows,
    embeddings,
    load_classifier,
    parameter_count,
    probabilities,
    save_classifier,
    train_classifier,
)
from tissuetrace.learn.loop import Schedule
from tissuetrace.learn.losses import CrossEntropy, FocalLoss

RECIPE = Recipe(
    schedule=Schedule(epochs=3, lr=0.003, patience=3),
    batch=16,
    block="relu_norm",
    augmentation=Augmentation(rotate_deg=15, shift=0.1, flip="horizontal"),
    loss=CrossEntropy(),
)
ROWS = Rows(training=np.arange(64), validation=np.arange(64, 96))
ASKED = np.arange(96, 128)


@pytest.fixture(scope="module")
def cells() -> tuple[ndarray, ndarray]:
    """Return images whose brightness is the label, and the labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 128)
    images = rng.integers(0, 60, (128, 16, 16, 3)) + 80 * labels[:, None, None, None]
    return images.astype(np.uint8), labels


def _train(cells: tuple[ndarray, ndarray], **changes: Any) -> CellClassifier:
    arguments: dict[str, Any] = {
        "rows": ROWS,
        "recipe": RECIPE,
        "seed": 0,
        "device": "cpu",
        "resume": None,
    }
    return train_classifier(*cells, **{**arguments, **changes})[0]


@pytest.fixture(scope="module")
def trained(cells: tuple[ndarray, ndarray]) -> CellClassifier:
    return _train(cells)


@pytest.mark.parametrize("loss", [CrossEntropy(), FocalLoss(gamma=2, alpha=0.25, majority=1)])
@pytest.mark.parametrize("block", ["relu_norm", "norm_relu"])
def test_bright_cells_are_told_from_dark_ones(
    cells: tuple[ndarray, ndarray], loss: Any, block: Any
) -> None:
    schedule = Schedule(epochs=8, lr=0.003, patience=8)
    recipe = replace(RECIPE, loss=loss, block=block, schedule=schedule)

    found = probabilities(_train(cells, recipe=recipe), cells[0], ASKED, device="cpu")

    np.testing.assert_array_equal(found > 0.5, cells[1][ASKED] == 1)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(
    cells: tuple[ndarray, ndarray], trained: CellClassifier
) -> None:
    answers = [
        probabilities(network, cells[0], ASKED, device="cpu").tolist()
        for network in (trained, _train(cells), _train(cells, seed=1))
    ]

    assert answers[0] == answers[1]
    assert answers[0] != answers[2]


def test_the_state_of_torch_outside_changes_nothing(
    cells: tuple[ndarray, ndarray], trained: CellClassifier
) -> None:
    torch.manual_seed(99)

    found = probabilities(_train(cells), cells[0], ASKED, device="cpu")

    assert found.tolist() == probabilities(trained, cells[0], ASKED, device="cpu").tolist()


def test_images_outside_the_rows_are_not_looked_at(
    cells: tuple[ndarray, ndarray], trained: CellClassifier
) -> None:
    images, labels = cells[0].copy(), cells[1].copy()
    images[ASKED], labels[ASKED] = 7, 1 - labels[ASKED]

    again = _train((images, labels))

    asked = [probabilities(network, cells[0], ASKED, device="cpu") for network in (trained, again)]
    assert asked[0].tolist() == asked[1].tolist()


def test_a_classifier_that_was_kept_answers_the_same(
    cells: tuple[ndarray, ndarray], trained: CellClassifier, tmp_path: Path
) -> None:
    save_classifier(trained, tmp_path / "model.safetensors")

    found = load_classifier(tmp_path / "model.safetensors")

    assert (found.side_px, found.block, found.standard) == (16, "relu_norm", trained.standard)
    assert parameter_count(found) == parameter_count(trained)
    for ask in (probabilities, embeddings):
        first, second = (ask(each, cells[0], ASKED, device="cpu") for each in (trained, found))
        np.testing.assert_array_equal(first, second)


def test_a_kept_classifier_has_the_same_bytes_each_time(
    trained: CellClassifier, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        save_classifier(trained, tmp_path / name)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_rows_may_be_asked_in_any_order(
    cells: tuple[ndarray, ndarray], trained: CellClassifier
) -> None:
    forth = embeddings(trained, cells[0], ASKED, device="cpu")
    back = embeddings(trained, cells[0], ASKED[::-1].copy(), device="cpu")

    np.testing.assert_allclose(forth, back[::-1], atol=1e-5)


def test_the_history_has_losses_and_accuracy_of_each_epoch(
    cells: tuple[ndarray, ndarray],
) -> None:
    _, history = train_classifier(
        *cells, rows=ROWS, recipe=RECIPE, seed=0, device="cpu", resume=None
    )

    assert [list(row) for row in history] == [
        ["epoch", "train_loss", "validation_loss", "validation_accuracy"]
    ] * 3
    assert history[-1]["train_loss"] < history[0]["train_loss"]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_trains_the_same_bits_twice(cells: tuple[ndarray, ndarray]) -> None:
    answers = [
        probabilities(_train(cells, device="cuda"), cells[0], ASKED, device="cuda").tolist()
        for _ in range(2)
    ]

    assert answers[0] == answers[1]
