import numpy as np
import pytest
from numpy import ndarray
from skimage.measure import label

from tissuetrace.imaging.masks import (
    ORIENTATIONS,
    count_components,
    kept_shares,
    masked_means,
    orient,
    pack,
    retained_means,
    unite,
    unpack,
)


def blobs(count: int, side: int, *, seed: int = 0) -> ndarray:
    coarse = np.random.default_rng(seed).random((count, side // 3 + 1, side // 3 + 1)) < 0.2
    fine: ndarray = np.kron(coarse, np.ones((3, 3), bool)).astype(bool)[:, :side, :side]
    return fine


@pytest.mark.parametrize("side", [40, 41, 82])
def test_packing_loses_nothing(side: int) -> None:
    masks = blobs(7, side)

    packed = pack(masks)

    assert packed.shape == (7, -(-side * side // 8))
    np.testing.assert_array_equal(unpack(packed, (side, side)), masks)


def test_kept_shares_of_packed_masks_do_not_count_the_bits_that_fill_up() -> None:
    masks = blobs(7, 41)

    shares = kept_shares(pack(masks), 41 * 41)

    np.testing.assert_array_equal(shares, (~masks).mean(axis=(1, 2)))


def test_the_eight_orientations_differ_and_the_first_changes_nothing() -> None:
    square = np.arange(9).reshape(3, 3)

    positions = [orient(square, orientation) for orientation in range(ORIENTATIONS)]

    assert len({position.tobytes() for position in positions}) == 8
    np.testing.assert_array_equal(positions[0], square)
    assert positions[1].tolist() == [[2, 5, 8], [1, 4, 7], [0, 3, 6]]
    assert positions[4].tolist() == [[2, 1, 0], [5, 4, 3], [8, 7, 6]]


@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_a_stack_turns_like_each_of_its_squares(orientation: int) -> None:
    masks = blobs(3, 12)

    turned = orient(masks, orientation)

    np.testing.assert_array_equal(turned, np.stack([orient(mask, orientation) for mask in masks]))


@pytest.mark.parametrize("orientation", [-1, 8])
def test_no_ninth_orientation(orientation: int) -> None:
    with pytest.raises(ValueError, match="orientation must be 0 to 7"):
        orient(np.zeros((2, 2)), orientation)


def test_a_donors_hole_is_added_to_the_own_one_in_its_orientation() -> None:
    own, donors = blobs(9, 12, seed=1), blobs(9, 12, seed=2)
    orientations = np.array([0, 1, 2, 3, 4, 5, 6, 7, -1])

    united = unite(own, donors, orientations)

    expected = [o | orient(d, k) for o, d, k in zip(own, donors, range(8), strict=False)]
    np.testing.assert_array_equal(united[:8], np.stack(expected))
    np.testing.assert_array_equal(united[8], own[8])  # it has no donor


def test_means_are_over_the_pixels_left_or_over_all_of_them() -> None:
    pixels = np.array([[[[1.0, 2.0], [30.0, 40.0]], [[5.0, 5.0], [5.0, 5.0]]]], np.float32)
    erased = np.array([[[[False, True], [False, True]], [[True, True], [True, True]]]])

    retained = masked_means(pixels, erased, mean="retained")
    full = masked_means(pixels, erased, mean="full")

    assert retained[0, 0].tolist() == [15.5, 5.0]
    assert np.isnan(retained[0, 1]).all()  # nothing is left
    assert full[0].tolist() == [[7.75, 2.5], [0.0, 0.0]]


@pytest.mark.parametrize("kind", [np.float32, np.uint16, np.float64])
def test_means_agree_with_one_mean_at_a_time(kind: type) -> None:
    rng = np.random.default_rng(3)
    pixels: ndarray = rng.poisson(4, (50, 6, 82, 82)).astype(kind)  # more than one chunk
    erased = blobs(50, 82)

    means = retained_means(pixels, erased)

    expected = [
        [float(channel[~hole].astype(float).mean()) for channel in patch]
        for patch, hole in zip(pixels, erased, strict=True)
    ]
    np.testing.assert_allclose(means, expected, rtol=1e-12)


def test_what_lies_under_an_erased_pixel_changes_no_bit_of_a_mean() -> None:
    rng = np.random.default_rng(4)
    pixels = rng.random((8, 3, 20, 20)).astype(np.float32)
    erased = blobs(8, 20)
    poisoned = np.where(erased[:, None], np.float32(1e9), pixels)

    assert retained_means(poisoned, erased).tobytes() == retained_means(pixels, erased).tobytes()


def test_parts_touch_at_corners_and_never_across_patches() -> None:
    masks = np.zeros((4, 4, 4), bool)
    masks[0, 3, :] = True  # would touch the first row of the next patch
    masks[1, 0, :] = True
    masks[1, 2, 0] = masks[1, 3, 1] = True  # one part, through a corner
    masks[3] = True

    assert count_components(masks).tolist() == [1, 2, 0, 1]


def test_parts_are_counted_as_by_scikit_image() -> None:
    masks = blobs(40, 40)

    expected = [int(label(mask, connectivity=2).max()) for mask in masks]  # type: ignore[no-untyped-call]  # scikit-image types it not
    assert count_components(masks).tolist() == expected
