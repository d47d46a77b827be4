"""Cutting and erasing on MIBI fields of ductal carcinoma in situ, where they lie beside us.

Counts of positives are those of `SOURCES.md` beside the images: threshold 0.1 on CD3 and CD8
smoothed with 1 µm, not PD1, at least 12 µm² in a patch of 40 µm, and no patch dropped.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy import ndarray

from tissuetrace.imaging.erasing import erased_mask, marker_mask, t_cell_mask
from tissuetrace.imaging.patches import Layers, Patches, Rules, cut

DATA = Path(__file__).parents[2] / "../shared/data/imc/mibi_dcis"
PX_UM = 500 / 1024
RULES = Rules(
    size_um=40.0,
    radius_um=5.0,
    mean="retained",
    keep_min=0.0,
    tissue_min=0.0,
    label_min_um2=12.0,
)

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.exists(), reason="no real images in ../shared/data/imc"),
]


def read(field: str, names: Sequence[str]) -> ndarray:
    return np.stack([tifffile.imread(DATA / field / f"{name}.tif") for name in names])


def marker_of(field: str) -> ndarray:
    cd3, cd8 = read(field, ["CD3", "CD8"])
    return marker_mask(cd3, cd8, threshold=0.1, px_um=PX_UM, smooth_um=1.0)


def patches_of(field: str, *, keep_min: float = 0.0) -> Patches:
    cd3, cd8, pd1 = read(field, ["CD3", "CD8", "PD1"])
    everywhere = np.ones(cd3.shape, bool)
    layers = Layers(
        predictors=read(field, ["PDL1", "IDO1", "VIM"]),
        marker=marker_of(field),
        t_cells=t_cell_mask([cd3, cd8], [pd1], threshold=0.1, px_um=PX_UM, smooth_um=1.0),
        tissue=everywhere,
        acquired=everywhere,
        tumour=everywhere,
        px_um=PX_UM,
    )
    return cut(layers, replace(RULES, keep_min=keep_min))


@pytest.mark.parametrize(
    ("field", "positives"),
    [
        ("Point2203_pt1072_31606", 18),
        ("Point6201_pt1027_20597", 52),  # 36 %, the most
        ("Point4130_pt1057_31848", 0),
    ],
)
def test_a_field_gives_144_patches_and_the_positives_of_the_first_reading(
    field: str, positives: int
) -> None:
    found = patches_of(field)

    assert len(found.rows) == 144
    assert found.dropped_border == 25
    assert int(found.labels.sum()) == positives


def test_the_densest_field_loses_patches_that_are_all_hole() -> None:
    found = patches_of("Point6201_pt1027_20597", keep_min=0.1)

    assert found.dropped_hole == 20
    assert (~found.erased).mean(axis=(1, 2)).min() >= 0.1


def test_every_pixel_within_5_um_of_a_marker_is_erased_and_no_other() -> None:
    marker = marker_of("Point2203_pt1072_31606")[:300, :300]

    erased = erased_mask(marker, radius_um=5.0, px_um=PX_UM)

    # a disc of 10 whole pixels on every marker pixel, since 5 µm are 10.24
    row, col = np.mgrid[-11:12, -11:12]
    disc = np.hypot(row, col) * PX_UM <= 5.0
    padded = np.pad(marker, 11)
    windows = [
        padded[11 + y : 311 + y, 11 + x : 311 + x]
        for y, x in zip(row[disc].tolist(), col[disc].tolist(), strict=True)
    ]
    np.testing.assert_array_equal(erased, np.any(windows, axis=0))
