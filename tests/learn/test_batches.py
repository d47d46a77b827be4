"""Rows of an array of images into batches."""

import numpy as np
import pytest
import torch
from torch import Generator

from tissuetrace.learn.augmentation import Augmentation
from tissuetrace.learn.batches import (
    Standard,
    augmented_batches,
    measure_standard,
    ordered_batches,
)

STILL = Augmentation(rotate_deg=0, shift=0, flip="none")
PLAIN = Standard(mean=(0.0, 0.0, 0.0), sd=(1.0, 1.0, 1.0))


def _numbered(count: int) -> np.ndarray:
    """Return images that are constant, each with its own number."""
    return np.broadcast_to(
        np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 8, 8, 3)
    ).copy()


def test_mean_and_spread_are_those_of_the_named_rows_alone() -> None:
    images = np.random.default_rng(0).integers(0, 256, (700, 8, 8, 3), dtype=np.uint8)
    images[5] = 255
    rows = np.delete(np.arange(700), 5)

    found = measure_standard(images, rows)

    pixels = images[rows].reshape(-1, 3).astype(float)
    assert found.mean == pytest.approx(tuple(pixels.mean(axis=0)))
    assert found.sd == pytest.approx(tuple(pixels.std(axis=0)))


def test_standardised_training_images_have_mean_0_and_spread_1() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    standard = measure_standard(images, np.arange(20))

    found = standard.apply(torch.from_numpy(images).permute(0, 3, 1, 2).float())

    torch.testing.assert_close(found.mean(dim=(0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        found.std(dim=(0, 2, 3), correction=0), torch.ones(3), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize(("rows", "message"), [([], "no image"), ([0], "constant")])
def test_images_that_cannot_standardise_are_refused(rows: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure_standard(_numbered(2), np.array(rows, dtype=np.int64))


def _epoch(seed: int) -> tuple[list[int], list[float]]:
    batches = augmented_batches(
        _numbered(10),
        np.arange(10, dtype=np.float32) / 10,
        rows=np.arange(3, 10),
        standard=PLAIN,
        augmentation=STILL,
        batch=3,
        device="cpu",
    )
    parts = list(batches(Generator().manual_seed(seed)))
    assert [len(part[1]) for part in parts] == [3, 3, 1]
    numbers = torch.cat([pixels[:, 0, 4, 4] for pixels, _ in parts])
    return [round(float(number)) for number in numbers], torch.cat(
        [part[1] for part in parts]
    ).tolist()


def test_an_epoch_shows_every_training_row_once_beside_its_label() -> None:
    numbers, labels = _epoch(0)

    assert sorted(numbers) == list(range(3, 10))
    assert labels == pytest.approx([number / 10 for number in numbers])


def test_the_order_follows_the_generator() -> None:
    assert _epoch(1) == _epoch(1)
    assert _epoch(1) != _epoch(2)


def test_the_background_of_a_moved_image_stays_the_background_when_standardised() -> None:
    standard = Standard(mean=(100.0, 100.0, 100.0), sd=(50.0, 50.0, 50.0))
    batches = augmented_batches(
        np.full((40, 8, 8, 3), 150, dtype=np.uint8),
        np.zeros(40, dtype=np.float32),
        rows=np.arange(40),
        standard=standard,
        augmentation=Augmentation(rotate_deg=0, shift=0.5, flip="none"),
        batch=40,
        device="cpu",
    )

    ((pixels, _),) = batches(Generator().manual_seed(0))

    assert float(pixels.min()) == pytest.approx(-2.0)  # black, (0 - 100) / 50, not gray
    assert float(pixels.max()) == pytest.approx(1.0)


def test_ordered_batches_keep_the_order_and_take_no_chance() -> None:
    generator = Generator().manual_seed(0)
    before = generator.get_state()
    batches = ordered_batches(
        _numbered(9),
        np.zeros(9, dtype=np.float32),
        rows=np.array([8, 1, 4]),
        standard=PLAIN,
        batch=2,
        device="cpu",
    )

    parts = list(batches(generator))

    assert torch.cat([pixels[:, 1, 0, 0] for pixels, _ in parts]).tolist() == [8, 1, 4]
    assert torch.equal(generator.get_state(), before)
