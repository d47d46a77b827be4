from dataclasses import replace

import numpy as np
import pytest
from numpy import ndarray

from tissuetrace.imaging.patches import Layers, Patches, Rules, cut, patch_side_px, squares

RULES = Rules(
    size_um=10.0,
    radius_um=2.0,
    mean="retained",
    keep_min=0.1,
    tissue_min=0.0,
    label_min_um2=12.0,
)


def layers(
    predictors: ndarray,
    *,
    marker: ndarray | None = None,
    t_cells: ndarray | None = None,
    tissue: ndarray | None = None,
    acquired: ndarray | None = None,
    tumour: ndarray | None = None,
    px_um: float = 1.0,
) -> Layers:
    no = np.zeros(predictors.shape[1:], bool)
    return Layers(
        predictors=predictors,
        marker=no if marker is None else marker,
        t_cells=no if t_cells is None else t_cells,
        tissue=~no if tissue is None else tissue,
        acquired=~no if acquired is None else acquired,
        tumour=~no if tumour is None else tumour,
        px_um=px_um,
    )


def box(shape: tuple[int, int], rows: slice, cols: slice) -> ndarray:
    mask = np.zeros(shape, bool)
    mask[rows, cols] = True
    return mask


def noise(*shape: int) -> ndarray:
    return np.random.default_rng(0).poisson(5, shape).astype(np.float32)


def positions(patches: Patches) -> list[tuple[int, int]]:
    return list(zip(patches.rows.tolist(), patches.cols.tolist(), strict=True))


def test_a_patch_of_40_um_has_82_pixels_in_a_field_of_500_um_with_1024_pixels() -> None:
    assert patch_side_px(size_um=40.0, px_um=500 / 1024) == 82
    assert patch_side_px(size_um=40.0, px_um=1.0) == 40


def test_such_a_field_has_144_whole_patches() -> None:
    found = cut(layers(noise(1, 1024, 1024), px_um=500 / 1024), replace(RULES, size_um=40.0))

    assert len(found.rows) == 144
    assert found.dropped_border == 13 * 13 - 144


def test_squares_are_cut_from_the_top_left_corner_row_by_row() -> None:
    image = np.arange(2 * 7 * 11).reshape(2, 7, 11)

    found = squares(image, 3)

    assert found.shape == (6, 2, 3, 3)
    np.testing.assert_array_equal(found[4], image[:, 3:6, 3:6])


def test_rows_columns_pixels_and_means_belong_to_the_same_place() -> None:
    image = noise(3, 25, 34)

    found = cut(layers(image), RULES)

    assert positions(found) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    np.testing.assert_array_equal(found.pixels[5], image[:, 10:20, 20:30])
    np.testing.assert_allclose(found.means[5], image[:, 10:20, 20:30].mean(axis=(1, 2)), rtol=1e-6)
    assert found.dropped_border == 6  # 3 x 4 started, 2 x 3 complete


def test_a_disc_across_a_border_is_erased_in_both_patches() -> None:
    marker = box((10, 20), slice(5, 6), slice(9, 10))  # in the last column of the left patch

    found = cut(layers(noise(1, 10, 20), marker=marker), RULES)

    # a disc of radius 2 has 13 pixels: columns of 1, 3, 5, 3, 1
    assert found.erased.sum(axis=(1, 2)).tolist() == [9, 4]
    assert found.components.tolist() == [1, 1]


def test_means_leave_out_what_is_erased_or_count_it_as_zero() -> None:
    image, marker = noise(2, 10, 10), box((10, 10), slice(2, 5), slice(3, 7))
    core = layers(image, marker=marker)

    retained = cut(core, RULES)
    full = cut(core, replace(RULES, mean="full"))

    left = ~retained.erased[0]
    np.testing.assert_allclose(retained.means[0], image[:, left].mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(full.means, retained.means * left.mean(), rtol=1e-12)


def test_12_um2_of_t_cells_make_a_patch_positive_whatever_the_pixel() -> None:
    cells = np.zeros((10, 30), bool)
    cells.ravel()[:11] = False
    cells[0, 0:10] = cells[1, 0:1] = True  # 11 in the first patch
    cells[0, 10:20] = cells[1, 10:12] = True  # 12 in the second

    found = cut(layers(noise(1, 10, 30), t_cells=cells), RULES)
    cells[1, 0:4] = True  # 14
    cells[1, 12:15] = True  # 15 pixels of .09 µm², a rounding below 1.35 µm²
    finer = replace(RULES, size_um=3.0, radius_um=0.6, label_min_um2=1.35)
    finest = cut(layers(noise(1, 10, 30), t_cells=cells, px_um=0.3), finer)

    assert found.labels.tolist() == [0, 1, 0]
    assert found.marker_um2.tolist() == [11.0, 12.0, 0.0]
    assert finest.labels.tolist() == [0, 1, 0]


def test_shares_of_tissue_and_tumour_are_of_the_whole_patch() -> None:
    tissue = box((10, 20), slice(0, 10), slice(0, 15))
    tumour = box((10, 20), slice(0, 3), slice(0, 20))

    found = cut(layers(noise(1, 10, 20), tissue=tissue, tumour=tumour), RULES)

    assert found.tissue.tolist() == [1.0, 0.5]
    assert found.tumour.tolist() == pytest.approx([0.3, 0.3])


def test_patches_outside_the_tissue_and_patches_that_are_all_hole_are_counted_apart() -> None:
    tissue = box((10, 40), slice(0, 10), slice(0, 30))
    marker = box((10, 40), slice(0, 10), slice(20, 40))  # two patches, the right one no tissue

    found = cut(
        layers(noise(1, 10, 40), tissue=tissue, marker=marker), replace(RULES, tissue_min=1.0)
    )

    assert positions(found) == [(0, 0), (0, 1)]
    assert (found.dropped_tissue, found.dropped_hole, found.dropped_border) == (1, 1, 0)
    assert found.erased_share == pytest.approx(120 / 300)  # two columns of the second patch


def test_a_patch_with_a_pixel_that_was_not_acquired_is_dropped() -> None:
    acquired = np.ones((10, 30), bool)
    acquired[9, 15] = False

    found = cut(layers(noise(1, 10, 30), acquired=acquired), RULES)

    assert positions(found) == [(0, 0), (0, 2)]
    assert found.dropped_tissue == 1


@pytest.mark.parametrize(("hidden", "left"), [(9, 1), (10, 0)])
def test_a_tenth_of_a_patch_is_enough(hidden: int, left: int) -> None:
    marker = box((10, 10), slice(0, hidden), slice(0, 10))

    found = cut(layers(noise(1, 10, 10), marker=marker), replace(RULES, radius_um=0.0))

    assert len(found.rows) == left


def test_an_image_smaller_than_a_patch_gives_none() -> None:
    found = cut(layers(noise(2, 9, 30)), RULES)

    assert found.pixels.shape == (0, 2, 10, 10)
    assert found.means.shape == (0, 2)
    assert found.dropped_border == 3


def test_the_erased_pixels_of_a_predictor_change_no_mean() -> None:
    image, marker = noise(2, 20, 20), box((20, 20), slice(5, 13), slice(8, 12))
    core = layers(image, marker=marker)
    erased = box((20, 20), slice(5, 13), slice(8, 12))
    poisoned = np.where(erased, np.float32(1e9), image)

    means = cut(replace(core, predictors=poisoned), RULES).means

    assert means.tobytes() == cut(core, RULES).means.tobytes()
