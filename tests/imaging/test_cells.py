"""One cell measured: closed forms, invariances, and the frame gone over by other libraries."""

from typing import Literal

import cv2
import numpy as np
import pytest
from numpy import ndarray
from scipy import ndimage, stats
from skimage.feature import graycomatrix, graycoprops

from tissuetrace.imaging.cells import (
    FEATURES,
    Reading,
    cell_box,
    cell_mask,
    component_areas,
    measure_cell,
    smooth,
    thumbnail,
    to_gray,
)
from tissuetrace.imaging.cooccurrence import PROPERTIES, Cooccurrence

GLCM = Cooccurrence(
    distances=(1,), angles_deg=(0.0, 45.0, 90.0, 135.0), levels=256, symmetric=True, normed=True
)
CANNY: dict[Reading, tuple[float, float]] = {"image": (100.0, 200.0), "cell": (30.0, 60.0)}


def measured(
    gray: ndarray,
    reading: Reading = "image",
    *,
    mask: Literal["above_zero", "otsu"] = "above_zero",
    glcm: Cooccurrence = GLCM,
) -> dict[str, float]:
    values = measure_cell(
        np.dstack([gray] * 3),
        reading=reading,
        mask=mask,
        aspect_ratio="ellipse",
        blur=0,
        glcm=glcm,
        canny=CANNY[reading],
    )
    return dict(zip(FEATURES, values.tolist(), strict=True))


def disc(*, radius_px: float = 60, size_px: int = 450, level: int = 100) -> ndarray:
    row, column = np.mgrid[:size_px, :size_px] - size_px // 2
    return np.where(row**2 + column**2 < radius_px**2, level, 0).astype(np.uint8)


def cell(seed: int = 0, *, size_px: int = 90, centre: tuple[int, int] = (42, 50)) -> ndarray:
    """A lopsided cell with smooth chromatin and fine noise."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:size_px, :size_px]
    angle = np.arctan2(row - centre[0], column - centre[1])
    radius = 22 * (1 + 0.2 * np.cos(2 * angle + seed) + 0.1 * np.cos(3 * angle))
    inside = np.hypot(row - centre[0], column - centre[1]) < radius
    chromatin = ndimage.gaussian_filter(rng.normal(size=(size_px, size_px)), 2) * 150
    gray = 120 + np.roll(chromatin, centre, axis=(0, 1)) + rng.normal(0, 2, (size_px, size_px))
    return np.where(inside, gray.clip(8, 250), 0).astype(np.uint8)


def by_other_libraries(gray: ndarray, inside: ndarray) -> dict[str, float]:
    """Texture, intensity and edges of a frame, or of what is marked, with nothing left out."""
    matrices = graycomatrix(  # type: ignore[no-untyped-call]  # scikit-image types it not
        gray, [1], np.radians([0, 45, 90, 135]), 256, symmetric=True, normed=True
    )
    slope = np.hypot(
        ndimage.sobel(gray.astype(float), 0, mode="mirror"),
        ndimage.sobel(gray.astype(float), 1, mode="mirror"),
    )
    grays = gray[inside].astype(float)
    return {
        **{
            f"glcm_{name}": float(graycoprops(matrices, name).mean())  # type: ignore[no-untyped-call]  # as above
            for name in PROPERTIES
        },
        "mean": grays.mean(),
        "std": grays.std(),
        "skewness": float(stats.skew(grays)),
        "edge_density": float((cv2.Canny(gray, 100, 200) > 0).mean()),
        "sobel_mean": slope.mean(),
    }


def test_the_disc_of_known_answers() -> None:
    found = measured(disc())

    assert found["area"] == 11_277
    assert found["circularity"] == pytest.approx(0.9069, abs=5e-5)
    assert found["solidity"] == pytest.approx(11_108 / 11_188)  # by hand, to be read as .9929
    assert found["aspect_ratio"] == pytest.approx(1, rel=1e-12)
    assert found["mean"] == pytest.approx(5.5689, abs=5e-5)
    assert found["glcm_contrast"] == pytest.approx(14.2725, abs=5e-5)
    # two gray values: a share f of 100 has std 100 √(f(1-f)) and skewness (1-2f)/√(f(1-f))
    f = 11_277 / 450**2
    assert found["std"] == pytest.approx(100 * (f * (1 - f)) ** 0.5, rel=1e-14)
    assert found["skewness"] == pytest.approx((1 - 2 * f) / (f * (1 - f)) ** 0.5, rel=1e-12)


def test_a_flat_cell_has_no_spread_and_no_inner_edge() -> None:
    found = measured(disc(), "cell")

    expected = {
        "glcm_contrast": 0,
        "glcm_dissimilarity": 0,
        "glcm_homogeneity": 1,
        "glcm_energy": 1,
        "glcm_correlation": 1,
        "mean": 100,
        "std": 0,
        "skewness": 0,
        "edge_density": 0,
        "sobel_mean": 0,
    }
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("centre", [(42, 50), (10, 50), (42, 80), (0, 0), (89, 3)])
def test_the_box_of_the_image_reading_stands_for_the_frame(centre: tuple[int, int]) -> None:
    gray = cell(3, centre=centre)

    found = measured(gray)

    expected = by_other_libraries(gray, np.ones_like(gray, dtype=bool))
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-7)
    texture = [name for name in expected if name.startswith("glcm")]
    assert [found[name] for name in texture] == pytest.approx(
        [expected[name] for name in texture], rel=1e-9
    )


def test_long_steps_need_a_wider_rim() -> None:
    gray = cell(4)
    far = Cooccurrence(
        distances=(9,), angles_deg=(0.0, 90.0), levels=256, symmetric=False, normed=True
    )

    found = measured(gray, glcm=far)

    matrices = graycomatrix(gray, [9], np.radians([0, 90]), 256)  # type: ignore[no-untyped-call]  # as above
    expected = graycoprops(matrices, "contrast").mean()  # type: ignore[no-untyped-call]  # as above
    assert found["glcm_contrast"] == pytest.approx(expected, rel=1e-9)


def test_the_cell_reading_takes_moments_of_the_cell_and_edges_inside_its_rim() -> None:
    gray = cell(5)
    inside = gray > 0

    found = measured(gray, "cell")

    inner = ndimage.binary_erosion(inside, np.ones((3, 3)))
    expected = by_other_libraries(gray, inside)
    slope = np.hypot(*(ndimage.sobel(gray.astype(float), axis, mode="mirror") for axis in (0, 1)))
    assert [found[name] for name in ("mean", "std", "skewness")] == pytest.approx(
        [expected[name] for name in ("mean", "std", "skewness")], rel=1e-12
    )
    assert found["sobel_mean"] == pytest.approx(slope[inner].mean(), rel=1e-7)
    assert found["edge_density"] == (cv2.Canny(gray, 30, 60)[inner] > 0).mean() > 0


@pytest.mark.parametrize("reading", ["image", "cell"])
def test_where_the_cell_lies_does_not_matter(reading: Reading) -> None:
    gray = cell(6)

    moved = np.roll(gray, (14, -9), axis=(0, 1))

    assert measured(moved, reading) == pytest.approx(measured(gray, reading), rel=1e-12)


@pytest.mark.parametrize("reading", ["image", "cell"])
@pytest.mark.parametrize("turn", [np.rot90, np.flipud, np.fliplr, np.transpose])
def test_how_the_cell_is_turned_does_not_matter(reading: Reading, turn: np.ufunc) -> None:
    gray = cell(7)

    turned = measured(np.ascontiguousarray(turn(gray)), reading)

    # Canny breaks ties between neighbours by their order, so a few edge pixels may differ
    expected = measured(gray, reading)
    assert turned.pop("edge_density") == pytest.approx(expected.pop("edge_density"), rel=0.1)
    assert turned == pytest.approx(expected, rel=1e-10)


def test_black_around_the_cell_changes_the_image_reading_only() -> None:
    gray = cell(8)
    wider = np.pad(gray, 30)

    assert measured(wider, "cell") == pytest.approx(measured(gray, "cell"), rel=1e-12)
    assert measured(wider)["mean"] == pytest.approx(measured(gray)["mean"] * (90 / 150) ** 2)


@pytest.mark.parametrize("reading", ["image", "cell"])
@pytest.mark.parametrize(
    "pixels",
    [[(4, 4)], [(4, 4), (4, 5), (4, 6)], [(4, 4), (5, 5)], [(0, 0)], [(4, 4), (4, 5), (5, 4)]],
)
def test_a_cell_of_a_few_pixels_has_finite_values(
    reading: Reading, pixels: list[tuple[int, int]]
) -> None:
    gray = np.zeros((10, 10), np.uint8)
    gray[tuple(np.transpose(pixels))] = 90

    found = measured(gray, reading)

    assert found["area"] == len(pixels)
    assert np.isfinite(list(found.values())).all()


def test_a_cell_that_fills_the_frame_is_measured() -> None:
    gray = np.random.default_rng(0).integers(1, 256, (30, 30)).astype(np.uint8)

    found = measured(gray)

    assert found["area"] == 900
    expected = by_other_libraries(gray, gray > 0)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-7)


def test_a_black_frame_holds_no_cell() -> None:
    with pytest.raises(ValueError, match="no cell"):
        measured(np.zeros((9, 9), np.uint8))


def test_gray_is_the_rounded_luma_of_bt_601() -> None:
    bgr = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)

    luma = bgr @ np.array([0.114, 0.587, 0.299])

    assert abs(to_gray(bgr) - luma).max() <= 0.501


def test_holes_are_filled_and_smaller_pieces_left_out() -> None:
    gray = np.zeros((20, 20), np.uint8)
    gray[3:10, 3:10] = 50
    gray[5:7, 5:8] = 0
    gray[15:18, 15:18] = 90

    mask = cell_mask(gray, method="above_zero")

    expected = np.zeros((20, 20), bool)
    expected[3:10, 3:10] = True
    np.testing.assert_array_equal(mask, expected)
    assert component_areas(gray) == [43, 9]


@pytest.mark.parametrize("seed", range(8))
def test_ragged_masks_agree_with_scipy(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(size=(60, 60))
    gray = np.where(ndimage.gaussian_filter(noise, 1.5) > 0.02, 200, 0).astype(np.uint8)

    mask = cell_mask(gray, method="above_zero")

    labels, count = ndimage.label(gray, np.ones((3, 3)))
    filled = [ndimage.binary_fill_holes(labels == label) for label in range(1, count + 1)]
    assert any((mask == other).all() for other in filled)
    assert mask.sum() == max(other.sum() for other in filled)
    areas = np.sort(np.bincount(labels.ravel())[1:])[::-1]
    assert component_areas(gray) == areas.tolist()


def test_pixels_that_meet_at_a_corner_are_one_piece() -> None:
    gray = np.zeros((8, 8), np.uint8)
    gray[1:4, 1:4] = gray[4:7, 4:7] = 10

    assert component_areas(gray) == [18]
    assert cell_mask(gray, method="above_zero").sum() == 18


def test_a_black_frame_has_no_component_and_an_empty_mask() -> None:
    black = np.zeros((8, 8), np.uint8)

    assert component_areas(black) == []
    assert not cell_mask(black, method="above_zero").any()
    with pytest.raises(ValueError, match="no box"):
        cell_box(cell_mask(black, method="otsu"))


def test_otsu_leaves_out_a_dim_rim() -> None:
    gray = np.maximum(disc(radius_px=60), disc(radius_px=63, level=12))

    assert cell_mask(gray, method="otsu").sum() == 11_277
    assert measured(gray, mask="otsu")["area"] == 11_277
    # the image reading is of the frame, so the rim still counts
    assert measured(gray, mask="otsu")["mean"] == pytest.approx(gray.mean(), rel=1e-14)


def test_the_box_is_that_of_a_slice() -> None:
    mask = np.zeros((9, 12), bool)
    mask[2:5, 7:11] = True

    assert cell_box(mask) == (2, 5, 7, 11)


def test_blur_lets_black_into_the_rim_and_nothing_else_into_the_middle() -> None:
    gray = disc(radius_px=10, size_px=40)

    smoothed = smooth(gray, width_px=3)

    assert component_areas(smoothed)[0] > component_areas(gray)[0]
    assert smoothed[20, 20] == 100
    np.testing.assert_array_equal(smooth(gray, width_px=0), gray)


def test_a_blurred_frame_is_measured_as_the_smoothed_one() -> None:
    gray = cell(2)
    bgr = np.dstack([gray] * 3)

    found = measure_cell(
        bgr,
        reading="image",
        mask="above_zero",
        aspect_ratio="ellipse",
        blur=3,
        glcm=GLCM,
        canny=(100.0, 200.0),
    )

    assert found.tolist() == list(measured(smooth(gray, width_px=3)).values())


def test_a_thumbnail_is_the_same_wherever_the_cell_lies() -> None:
    gray = cell(1)

    np.testing.assert_array_equal(thumbnail(np.roll(gray, (9, -7), axis=(0, 1))), thumbnail(gray))


def test_a_thumbnail_averages_the_areas_of_the_box() -> None:
    gray = np.zeros((100, 100), np.uint8)
    gray[10:74, 20:84] = np.random.default_rng(2).integers(1, 256, (64, 64))

    small = thumbnail(gray).reshape(32, 32)

    means = gray[10:74, 20:84].reshape(32, 2, 32, 2).mean(axis=(1, 3))
    assert abs(small - means).max() <= 0.5


def test_the_thumbnail_of_a_black_frame_is_black() -> None:
    assert thumbnail(np.zeros((50, 50), np.uint8)).tolist() == [0] * 1024
