"""The measurements on images of the collection, where they lie beside the project."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy import ndarray
from scipy import ndimage, stats
from skimage.feature import graycomatrix, graycoprops
from skimage.measure import regionprops

from tissuetrace.imaging.bitmaps import bitmap_mistake, read_bgr
from tissuetrace.imaging.cells import (
    FEATURES,
    Reading,
    cell_mask,
    component_areas,
    measure_cell,
    to_gray,
)
from tissuetrace.imaging.cooccurrence import PROPERTIES, Cooccurrence

DATA = Path(__file__).parents[2] / "../shared/data/leukemia"
PRELIMINARY = "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.exists(), reason="no real images in ../shared/data/leukemia"),
]

GLCM = Cooccurrence(
    distances=(1,),
    angles_deg=(0.0, 45.0, 90.0, 135.0),
    levels=256,
    symmetric=True,
    normed=True,
)


@pytest.fixture(scope="module")
def cells() -> list[ndarray]:
    """Every image of the three archives."""
    found: list[ndarray] = []
    for path in sorted(DATA.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            members = sorted(name for name in archive.namelist() if name.endswith(".bmp"))
            encoded = [np.frombuffer(archive.read(name), np.uint8) for name in members]
        found += [np.asarray(cv2.imdecode(image, cv2.IMREAD_COLOR_BGR)) for image in encoded]
    return found


def table(cells: list[ndarray], reading: Reading) -> dict[str, ndarray]:
    canny = {"image": (100.0, 200.0), "cell": (30.0, 60.0)}[reading]
    rows = [
        measure_cell(
            bgr,
            reading=reading,
            mask="above_zero",
            aspect_ratio="ellipse",
            blur=0,
            glcm=GLCM,
            canny=canny,
        )
        for bgr in cells
    ]
    return dict(zip(FEATURES, np.array(rows).T, strict=True))


@pytest.fixture(scope="module")
def in_image(cells: list[ndarray]) -> dict[str, ndarray]:
    return table(cells, "image")


@pytest.fixture(scope="module")
def in_cell(cells: list[ndarray]) -> dict[str, ndarray]:
    return table(cells, "cell")


def by_other_libraries(bgr: ndarray) -> dict[str, float]:
    gray = to_gray(bgr)
    matrices = graycomatrix(  # type: ignore[no-untyped-call]  # scikit-image types it not
        gray, [1], np.radians([0, 45, 90, 135]), 256, symmetric=True, normed=True
    )
    (region,) = regionprops(ndimage.binary_fill_holes(gray > 0).astype(int))  # type: ignore[no-untyped-call]  # as above
    slope = np.hypot(*(ndimage.sobel(gray.astype(float), axis, mode="mirror") for axis in (0, 1)))
    return {
        "area": region.area,
        "aspect_ratio": region.axis_major_length / region.axis_minor_length,
        **{
            f"glcm_{name}": float(graycoprops(matrices, name).mean())  # type: ignore[no-untyped-call]  # as above
            for name in PROPERTIES
        },
        "mean": gray.mean(),
        "std": gray.std(),
        "skewness": float(stats.skew(gray, axis=None)),
        "edge_density": float((cv2.Canny(gray, 100, 200) > 0).mean()),
        "sobel_mean": slope.mean(),
    }


def test_other_libraries_find_the_same_over_the_whole_frame(
    cells: list[ndarray], in_image: dict[str, ndarray]
) -> None:
    chosen = range(0, len(cells), 20)

    expected = [by_other_libraries(cells[row]) for row in chosen]

    found = [[in_image[name][row] for name in expected[0]] for row in chosen]
    np.testing.assert_allclose(found, [list(row.values()) for row in expected], rtol=1e-7)
    texture = [name for name in expected[0] if name.startswith("glcm")]
    np.testing.assert_allclose(
        [[in_image[name][row] for name in texture] for row in chosen],
        [[row[name] for name in texture] for row in expected],
        rtol=1e-9,
    )


def test_every_cell_is_one_piece_of_four_to_twentyfive_percent(cells: list[ndarray]) -> None:
    pieces = [component_areas(to_gray(bgr)) for bgr in cells]

    shares = np.array([areas[0] for areas in pieces]) / 450**2
    assert {len(areas) for areas in pieces} == {1}
    assert 0.039 <= shares.min() < shares.max() <= 0.254


def test_otsu_loses_up_to_two_percent_of_the_area(cells: list[ndarray]) -> None:
    grays = [to_gray(bgr) for bgr in cells[::10]]

    lost = [
        1 - cell_mask(gray, method="otsu").sum() / cell_mask(gray, method="above_zero").sum()
        for gray in grays
    ]

    assert 0 <= min(lost) < max(lost) < 0.02


def test_texture_of_the_whole_frame_is_the_area_in_disguise(in_image: dict[str, ndarray]) -> None:
    names = ["glcm_energy", "skewness", "glcm_homogeneity", "mean", "perimeter"]

    found = [stats.spearmanr(in_image["area"], in_image[name]).statistic for name in names]

    # the page's, of the 3,576 images of the second fold
    np.testing.assert_allclose(found, [-1.0, -0.977, -0.949, 0.947, 0.945], atol=0.02)


def test_texture_of_the_cell_alone_is_less_so(in_cell: dict[str, ndarray]) -> None:
    names = ["glcm_energy", "skewness", "glcm_homogeneity", "mean"]

    found = [stats.spearmanr(in_cell["area"], in_cell[name]).statistic for name in names]

    np.testing.assert_allclose(found, [-0.41, -0.42, -0.03, 0.53], atol=0.15)


def test_edges_inside_the_cell_are_found_in_most_cells(in_cell: dict[str, ndarray]) -> None:
    assert in_cell["edge_density"].mean() == pytest.approx(0.008, abs=0.003)


def test_files_of_both_phases_are_faultless_bitmaps() -> None:
    paths = sorted((DATA / "C-NMC_Leukemia").rglob("*.bmp"))

    assert len({path.stat().st_size for path in paths}) == 2  # two lengths of header
    assert {bitmap_mistake(path, size_px=450) for path in paths} == {None}
    assert {read_bgr(path).shape for path in paths} == {(450, 450, 3)}


def test_a_cut_off_file_is_found_before_it_is_decoded(tmp_path: Path) -> None:
    whole = (DATA / PRELIMINARY / "1002.bmp").read_bytes()
    (tmp_path / "1002.bmp").write_bytes(whole[:-1])

    found = bitmap_mistake(tmp_path / "1002.bmp", size_px=450)

    assert found == "truncated (found 608537 bytes, expected 608538)"
