import math

import cv2
import numpy as np
import pytest
from numpy import ndarray
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.measure import regionprops

from tissuetrace.imaging.shape import AspectRatio, fill, measure_shape, outline


def blob(seed: int) -> ndarray:
    """The largest piece of a smoothed noise, its holes filled."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(120, 120)), 7)
    labels, _ = ndimage.label(noise > 0)
    largest = np.bincount(labels.ravel())[1:].argmax() + 1
    filled: ndarray = ndimage.binary_fill_holes(labels == largest)
    return filled


def shape_of(mask: ndarray, aspect_ratio: AspectRatio = "ellipse") -> list[float]:
    contour = outline(mask.astype(np.uint8))
    assert contour is not None
    found: list[float] = measure_shape(contour, mask, aspect_ratio=aspect_ratio).tolist()
    return found


@pytest.mark.parametrize("seed", range(12))
def test_area_and_axes_equal_those_of_regionprops(seed: int) -> None:
    mask = blob(seed)

    area, *_, aspect_ratio = shape_of(mask)

    (region,) = regionprops(mask.astype(int))  # type: ignore[no-untyped-call]  # scikit-image types it not
    assert area == region.area
    assert aspect_ratio == pytest.approx(
        region.axis_major_length / region.axis_minor_length, rel=1e-9
    )


@pytest.mark.parametrize("seed", range(12))
def test_perimeter_and_solidity_come_near_those_of_regionprops(seed: int) -> None:
    mask = blob(seed)

    _, perimeter, _, solidity, _ = shape_of(mask)

    # another definition there: pixels of the hull, and weighted patterns along the rim
    (region,) = regionprops(mask.astype(int))  # type: ignore[no-untyped-call]  # as above
    assert perimeter == pytest.approx(region.perimeter, rel=0.03)
    assert solidity == pytest.approx(region.solidity, abs=0.03)


@pytest.mark.parametrize("seed", range(12))
def test_the_outline_is_a_polygon_through_the_rims_pixel_centres(seed: int) -> None:
    mask = blob(seed)

    _, perimeter, circularity, solidity, _ = shape_of(mask)

    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = contours[0][:, 0].astype(float)
    following = np.roll(points, -1, axis=0)
    length = np.hypot(*(following - points).T).sum()
    area = abs(np.linalg.det(np.stack([points, following], axis=1)).sum()) / 2
    assert perimeter == pytest.approx(length, rel=1e-6)
    assert circularity == pytest.approx(4 * math.pi * area / length**2, rel=1e-6)
    assert solidity == pytest.approx(area / ConvexHull(points).volume, rel=1e-9)


def test_a_rectangle_in_closed_form() -> None:
    mask = np.zeros((40, 40), bool)
    mask[5:12, 8:29] = True  # 7 by 21 pixels, so 6 by 20 between centres

    expected = [147, 52, 4 * math.pi * 120 / 52**2, 1]
    assert shape_of(mask, "box") == pytest.approx([*expected, 3], rel=1e-12)
    # n equal pixels in a row have the second moment (n² - 1) / 12
    axes = math.sqrt((21**2 - 1) / (7**2 - 1))
    assert shape_of(mask, "ellipse") == pytest.approx([*expected, axes], rel=1e-12)


@pytest.mark.parametrize("factor", [2, 5])
def test_ratios_hardly_change_with_size(factor: int) -> None:
    mask = blob(3)
    larger = np.kron(mask, np.ones((factor, factor), bool))

    assert shape_of(larger)[0] == shape_of(mask)[0] * factor**2
    assert shape_of(larger)[3:] == pytest.approx(shape_of(mask)[3:], rel=0.03)


@pytest.mark.parametrize("aspect_ratio", ["ellipse", "box"])
def test_lying_and_standing_cells_are_equally_long(aspect_ratio: AspectRatio) -> None:
    mask = blob(4)

    assert shape_of(np.ascontiguousarray(mask.T), aspect_ratio) == pytest.approx(
        shape_of(mask, aspect_ratio), rel=1e-9
    )


@pytest.mark.parametrize(("length_px", "expected"), [(1, [1, 0, 0, 1, 1]), (5, [5, 8, 0, 1, 5])])
def test_a_line_encloses_nothing(length_px: int, expected: list[float]) -> None:
    mask = np.zeros((9, 9), bool)
    mask[4, 2 : 2 + length_px] = True

    assert shape_of(mask) == expected


def test_the_largest_component_is_outlined_and_filled() -> None:
    mask = np.zeros((30, 30), np.uint8)
    mask[2:4, 2:4] = 1
    mask[10:20, 10:20] = 1
    mask[12:18, 12:18] = 0  # a hole makes it smaller than its outline says
    mask[22:28, 2:8] = 1

    contour = outline(mask)

    assert contour is not None
    expected = np.zeros((30, 30), bool)
    expected[10:20, 10:20] = True
    np.testing.assert_array_equal(fill(contour, (30, 30)), expected)


def test_a_long_thread_is_smaller_than_a_compact_cell() -> None:
    mask = np.zeros((60, 60), np.uint8)
    mask[2, 2:58] = 1
    mask[20:30, 20:30] = 1

    contour = outline(mask)

    assert contour is not None
    assert cv2.boundingRect(contour) == (20, 20, 10, 10)


def test_nothing_has_no_outline() -> None:
    assert outline(np.zeros((5, 5), np.uint8)) is None
