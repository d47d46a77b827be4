import math

import numpy as np
import pytest
from numpy import ndarray
from scipy import ndimage

from tissuetrace.imaging.erasing import above, erased_mask, marker_mask, t_cell_mask


def point(height: int, width: int, *places: tuple[int, int], value: float = 1.0) -> ndarray:
    image = np.zeros((height, width))
    for place in places:
        image[place] = value
    return image


@pytest.mark.parametrize("px_um", [1.0, 0.5, 500 / 1024, 0.1])
def test_one_pixel_erases_a_disc(px_um: float) -> None:
    side = int(14 / px_um)
    marker = point(side, side, (side // 2, side // 2)) > 0

    erased = erased_mask(marker, radius_um=5.0, px_um=px_um)

    # lattice points in a disc; of 1 µm pixels 81 (Gauss's circle problem, r = 5)
    row, col = np.mgrid[:side, :side] - side // 2
    expected = row**2 + col**2 <= (5 / px_um) ** 2 + 1e-6
    np.testing.assert_array_equal(erased, expected)
    assert erased.sum() * px_um**2 == pytest.approx(math.pi * 25, rel=0.04)
    assert px_um != 1.0 or erased.sum() == 81


def test_two_discs_are_a_union() -> None:
    one, other = point(40, 40, (15, 12)) > 0, point(40, 40, (18, 19)) > 0

    both = erased_mask(one | other, radius_um=5.0, px_um=1.0)

    alone = [erased_mask(mask, radius_um=5.0, px_um=1.0) for mask in (one, other)]
    np.testing.assert_array_equal(both, alone[0] | alone[1])


def test_every_pixel_agrees_with_the_distance_to_each_marker_pixel() -> None:
    marker = np.random.default_rng(0).random((40, 50)) < 0.004
    row, col = np.mgrid[:40, :50]
    distances = [np.hypot(row - y, col - x) * 0.8 for y, x in np.argwhere(marker)]

    erased = erased_mask(marker, radius_um=5.0, px_um=0.8)

    np.testing.assert_array_equal(erased, np.min(distances, axis=0) <= 5.0)


def test_the_rim_of_the_disc_does_not_depend_on_binary_fractions() -> None:
    marker = point(9, 9, (4, 4)) > 0

    assert erased_mask(marker, radius_um=0.3, px_um=0.1)[4, 1]


def test_without_a_marker_nothing_is_erased_and_radius_0_erases_the_marker() -> None:
    marker = np.random.default_rng(1).random((20, 20)) < 0.1

    assert not erased_mask(np.zeros((20, 20), bool), radius_um=5.0, px_um=1.0).any()
    np.testing.assert_array_equal(erased_mask(marker, radius_um=0.0, px_um=1.0), marker)


@pytest.mark.parametrize("px_um", [1.0, 0.5])
def test_a_pixel_is_positive_where_the_smoothed_counts_exceed_the_threshold(px_um: float) -> None:
    counts = point(41, 41, (20, 20), value=300.0)
    row, col = np.mgrid[:41, :41] - 20

    positive = above(counts, threshold=3.0, px_um=px_um, smooth_um=1.0)

    sigma = 1.0 / px_um
    gaussian = 300 / (2 * math.pi * sigma**2) * np.exp(-(row**2 + col**2) / (2 * sigma**2))
    assert positive.sum() > 5
    np.testing.assert_array_equal(positive, gaussian > 3.0)


def test_without_smoothing_the_threshold_itself_is_not_positive() -> None:
    counts = np.array([[2.0, 3.0, 4.0]])

    assert above(counts, threshold=3.0, px_um=1.0, smooth_um=0.0).tolist() == [[False, False, True]]


def test_a_marker_is_either_channel_a_t_cell_both_and_never_exhausted() -> None:
    counts = np.random.default_rng(2).poisson(3, (4, 30, 30)).astype(np.float32)
    cd3, cd8, pd1, lag3 = counts
    smooth = ndimage.gaussian_filter(counts.astype(float), (0, 1, 1)) > 3

    marker = marker_mask(cd3, cd8, threshold=3.0, px_um=1.0, smooth_um=1.0)
    cells = t_cell_mask([cd3, cd8], [pd1, lag3], threshold=3.0, px_um=1.0, smooth_um=1.0)

    np.testing.assert_array_equal(marker, smooth[0] | smooth[1])
    np.testing.assert_array_equal(cells, smooth[0] & smooth[1] & ~smooth[2] & ~smooth[3])
    assert 0 < cells.sum() < marker.sum()
