"""Augmentation against moves that can be written down."""

import math

import pytest
import torch
from torch import Tensor

from tissuetrace.learn.augmentation import Augmentation, Flip, augment

STILL = Augmentation(rotate_deg=0, shift=0, flip="none")


@pytest.fixture
def images() -> Tensor:
    return torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(1)) + 1


def _moved(images: Tensor, *, rotate: float = 0, shift: float = 0, flip: Flip = "none") -> Tensor:
    settings = Augmentation(rotate_deg=rotate, shift=shift, flip=flip)
    return augment(images, settings, torch.Generator().manual_seed(5))


def _centre_x(images: Tensor) -> Tensor:
    weight = images.sum(dim=(1, 2))
    return (weight * torch.arange(images.shape[3])).sum(dim=1) / weight.sum(dim=1)


def _disc(count: int, side: int) -> Tensor:
    axis = torch.arange(side) - (side - 1) / 2
    inside = (axis[:, None] ** 2 + axis[None, :] ** 2) < (side / 5) ** 2
    return inside.float().expand(count, 3, side, side)


def test_nothing_moves_where_nothing_may(images: Tensor) -> None:
    torch.testing.assert_close(_moved(images), images)


def test_flip_mirrors_about_half_of_the_images_and_leaves_the_others(images: Tensor) -> None:
    found = _moved(images, flip="horizontal")

    same = torch.isclose(found, images).all(dim=(1, 2, 3))
    mirrored = torch.isclose(found, images.flip(3)).all(dim=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 16 < int(mirrored.sum()) < 48


def test_shift_stays_within_its_share_of_the_side_and_reaches_for_it() -> None:
    disc = _disc(500, 40)

    moved = _centre_x(_moved(disc, shift=0.1)) - _centre_x(disc)

    assert float(moved.abs().max()) <= 4 + 1e-3  # a tenth of 40 px
    assert float(moved.max()) > 3.8
    assert float(moved.min()) < -3.8


def test_rotation_stays_within_its_angle_and_reaches_for_it() -> None:
    bar = torch.zeros(500, 3, 65, 65)
    bar[:, :, 32, 52:58] = 1  # to the right of the centre

    found = _moved(bar, rotate=15)[:, 0]

    axis = torch.arange(65) - 32.0
    y = (found * axis[:, None]).sum(dim=(1, 2)) / found.sum(dim=(1, 2))
    x = (found * axis[None, :]).sum(dim=(1, 2)) / found.sum(dim=(1, 2))
    degrees = torch.atan2(y, x) * 180 / math.pi
    assert float(degrees.abs().max()) < 15.5
    assert float(degrees.max()) > 14
    assert float(degrees.min()) < -14


def test_a_disc_turned_keeps_its_mass() -> None:
    disc = _disc(20, 64)

    found = _moved(disc, rotate=180)

    torch.testing.assert_close(found.sum(dim=(1, 2, 3)), disc.sum(dim=(1, 2, 3)), rtol=0.01, atol=0)


def test_what_comes_in_from_outside_is_zero() -> None:
    ones = torch.ones(50, 1, 20, 20)

    found = _moved(ones, shift=0.5)

    assert float(found.min()) == 0.0


def test_every_image_has_a_draw_of_its_own() -> None:
    found = _moved(_disc(10, 40), shift=0.1)

    assert len({round(float(value), 4) for value in _centre_x(found)}) == 10


def test_equal_generators_give_equal_images_and_torch_itself_is_not_asked(images: Tensor) -> None:
    before = torch.get_rng_state()

    first = _moved(images, rotate=15, shift=0.1, flip="horizontal")
    second = _moved(images, rotate=15, shift=0.1, flip="horizontal")

    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_settings_do_not_change_how_much_chance_is_used(images: Tensor) -> None:
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]

    augment(images, STILL, generators[0])
    augment(images, Augmentation(rotate_deg=9, shift=0.2, flip="horizontal"), generators[1])

    assert torch.equal(generators[0].get_state(), generators[1].get_state())
