"""Random rotation, shift and mirroring of a batch of images, drawn from a given generator."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample

__all__ = ["Augmentation", "Flip", "augment"]

Flip = Literal["none", "horizontal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How far an image may be moved; every draw is uniform.

    Args:
        rotate_deg: largest rotation to either side (degrees), at least 0.
        shift: largest shift along each axis, as a share of the side, at least 0.
        flip: `horizontal` mirrors every second image, by chance.
    """

    rotate_deg: float
    shift: float
    flip: Flip


def augment(
    images: Float[Tensor, "item channel height width"],
    augmentation: Augmentation,
    generator: Generator,
) -> Float[Tensor, "item channel height width"]:
    """Move every image of a batch by its own draw; what comes in from outside is 0.

    The same number of draws is taken whatever the settings are, and they are made on the
    generator's device, so that a run on another device sees the same images.

    Args:
        images: in a unit where the background is 0, so not standardised yet.
        augmentation: how far.
        generator: the only source of chance.
    """
    angle, right, down, side = torch.rand(
        (4, len(images)), generator=generator, device=generator.device
    ).unbind()
    radians = math.radians(augmentation.rotate_deg) * (2 * angle - 1)
    mirror = torch.ones_like(side)
    if augmentation.flip == "horizontal":
        mirror[side < 0.5] = -1  # noqa: PLR2004  # every second one
    moves = _moves(
        radians, mirror, 2 * augmentation.shift * torch.stack([right, down]).mul(2).sub(1)
    )
    grid = affine_grid(moves.to(images), list(images.shape), align_corners=False)
    return grid_sample(images, grid, align_corners=False)


def _moves(
    radians: Float[Tensor, " item"],
    mirror: Float[Tensor, " item"],
    shift: Float[Tensor, "2 item"],
) -> Float[Tensor, "item 2 3"]:
    """Return where each output pixel is read from, in coordinates from -1 to 1."""
    cosine, sine = radians.cos(), radians.sin()
    x = torch.stack([mirror * cosine, -mirror * sine, shift[0]], dim=1)
    y = torch.stack([sine, cosine, shift[1]], dim=1)
    return torch.stack([x, y], dim=1)
