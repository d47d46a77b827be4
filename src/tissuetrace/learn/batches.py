"""Image files into one array, and rows of that array into batches for the training loop."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from numpy import ndarray
from torch import Generator, Tensor

from tissuetrace.learn.augmentation import Augmentation, augment
from tissuetrace.learn.loop import Batch, Batches

__all__ = [
    "Standard",
    "augmented_batches",
    "measure_standard",
    "ordered_batches",
]

_CHUNK = 256  # images summed at a time


@dataclass(frozen=True, slots=True)
class Standard:
    """Mean and standard deviation of each channel (gray levels) over the training images."""

    mean: tuple[float, float, float]
    sd: tuple[float, float, float]

    def apply(
        self, images: Float[Tensor, "item 3 height width"]
    ) -> Float[Tensor, "item 3 height width"]:
        """Return images of mean 0 and standard deviation 1 in each channel."""
        mean = torch.tensor(self.mean).to(images).view(1, 3, 1, 1)
        sd = torch.tensor(self.sd).to(images).view(1, 3, 1, 1)
        return (images - mean) / sd


def measure_standard(
    images: UInt8[ndarray, "image height width 3"], rows: Int64[ndarray, " row"]
) -> Standard:
    """Return the channels' mean and standard deviation over some images, black included.

    Sums of whole numbers, so the order of the rows does not matter.

    Raises:
        ValueError: there is no image, or a channel is constant.
    """
    first, second, count = np.zeros(3, np.int64), np.zeros(3, np.int64), 0
    for start in range(0, len(rows), _CHUNK):
        pixels = images[rows[start : start + _CHUNK]].reshape(-1, 3).astype(np.int64)
        first += pixels.sum(axis=0)
        second += (pixels**2).sum(axis=0)
        count += len(pixels)
    if count == 0:
        raise ValueError("no image to standardise by")
    mean = first / count
    sd = np.sqrt(second / count - mean**2)
    if (sd <= 0).any():
        raise ValueError("a channel is constant over all training images")
    return Standard(mean=tuple(mean.tolist()), sd=tuple(sd.tolist()))


def augmented_batches(
    images: UInt8[ndarray, "image side side 3"],
    labels: Float[ndarray, " image"],
    *,
    rows: Int64[ndarray, " row"],
    standard: Standard,
    augmentation: Augmentation,
    batch: int,
    device: str,
) -> Batches:
    """Return shuffled, augmented batches for training; both draw from the given generator."""

    def batches(generator: Generator) -> Iterator[Batch]:
        order = rows[torch.randperm(len(rows), generator=generator).numpy()]
        for chosen in _groups(order, batch):
            pixels = augment(_pixels(images, chosen, device), augmentation, generator)
            yield standard.apply(pixels), _targets(labels, chosen, device)

    return batches


def ordered_batches(
    images: UInt8[ndarray, "image side side 3"],
    labels: Float[ndarray, " image"],
    *,
    rows: Int64[ndarray, " row"],
    standard: Standard,
    batch: int,
    device: str,
) -> Batches:
    """Return batches in the order of the rows, as they are, for validation and prediction."""

    def batches(_: Generator) -> Iterator[Batch]:
        for chosen in _groups(rows, batch):
            pixels = _pixels(images, chosen, device)
            yield standard.apply(pixels), _targets(labels, chosen, device)

    return batches


def _groups(rows: Int64[ndarray, " row"], batch: int) -> Iterator[Int64[ndarray, " some"]]:
    for start in range(0, len(rows), batch):
        yield rows[start : start + batch]


def _pixels(
    images: UInt8[ndarray, "image side side 3"], rows: Int64[ndarray, " row"], device: str
) -> Float[Tensor, "row 3 side side"]:
    # the axes are renamed, not moved: memory stays channels-last, which convolutions like best
    return torch.from_numpy(images[rows]).to(device).permute(0, 3, 1, 2).float()


def _targets(
    labels: Float[ndarray, " image"], rows: Int64[ndarray, " row"], device: str
) -> Float[Tensor, " row"]:
    return torch.from_numpy(labels[rows]).to(device=device, dtype=torch.float32)
