from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tissuetrace.imaging.acquisitions import read_acquisition
from tissuetrace.imaging.ome_export import write_ome

NAMES = ("CD3", "Cytokeratin 5", "HLA-DR")


def draw(dtype: str) -> np.ndarray:
    return np.random.default_rng(3).poisson(2.0, (3, 20, 30)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint16", "float32", "uint8"])
def test_an_export_is_read_back_with_names_axes_and_scale(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "core.ome.tiff"

    write_ome(path, draw(dtype), NAMES, 0.488)

    with tifffile.TiffFile(path) as file:
        assert (file.is_ome, file.series[0].axes, file.series[0].shape) == (
            True,
            "CYX",
            (3, 20, 30),
        )
        assert file.series[0].dtype == dtype
    found = read_acquisition(path, acquisition="", panel=None, partial="refuse")
    assert found.names == NAMES
    assert found.px_um == pytest.approx(0.488)
    np.testing.assert_array_equal(found.x, draw(dtype))


def test_an_image_of_one_channel_keeps_its_axis(tmp_path: Path) -> None:
    write_ome(tmp_path / "one.ome.tiff", draw("uint16")[:1], ["CD3"], 1.0)

    found = read_acquisition(
        tmp_path / "one.ome.tiff", acquisition="", panel=None, partial="refuse"
    )
    assert (found.names, found.x.shape) == (("CD3",), (1, 20, 30))


def test_the_same_image_gives_the_same_bytes_and_another_one_another_identity(
    tmp_path: Path,
) -> None:
    paths = [tmp_path / f"{name}.ome.tiff" for name in "abc"]
    write_ome(paths[0], draw("uint16"), NAMES, 1.0)
    write_ome(paths[1], draw("uint16"), NAMES, 1.0)
    write_ome(paths[2], draw("uint16") + 1, NAMES, 1.0)

    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert uuid_of(paths[0]) != uuid_of(paths[2])


@pytest.mark.parametrize(
    ("names", "px_um"), [(["a", "b"], 1.0), (["a", "b", "b"], 1.0), (["a", "b", "c"], 0.0)]
)
def test_a_broken_promise_is_refused(tmp_path: Path, names: list[str], px_um: float) -> None:
    with pytest.raises(ValueError, match=r"channels|px_um"):
        write_ome(tmp_path / "x.ome.tiff", draw("uint16"), names, px_um)


def uuid_of(path: Path) -> Any:
    with tifffile.TiffFile(path) as file:
        assert file.ome_metadata is not None
        return file.ome_metadata.partition('UUID="')[2].partition('"')[0]
