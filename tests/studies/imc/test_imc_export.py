from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from tissuetrace.imaging import ome_export
from tissuetrace.imaging.array_files import write_arrays
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import write_table
from tissuetrace.studies.imc.export import EXPORTS

IMAGES = Path("data/imc/ingest/toy/images")
PATCHES = Path("data/imc/patch/toy")
PX_UM = 500 / 1024


@pytest.fixture(autouse=True)
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with one core of two patches of 82 pixels, cut at 40 µm."""
    monkeypatch.chdir(tmp_path)
    counts = np.random.default_rng(0).poisson(2.0, (2, 9, 11)).astype(np.float32)
    core = {"x": counts, "names": np.array(["CXCL9", "CCL8"]), "px_um": np.array(PX_UM)}
    IMAGES.mkdir(parents=True)
    write_arrays(IMAGES / "core.npz", core)
    rows = {"item": ["core:0:0", "core:2:3"], "subject": "p", "image": "core"}
    place = {"row": [0, 2], "col": [0, 3], "label": [1, 0], "mean_CXCL9": [1.5, 2.5]}
    write_table(pd.DataFrame({**rows, **place}), PATCHES / "tables/core.parquet")
    (PATCHES / "pixels").mkdir()
    cut = {"shape": np.array([82, 82]), "px_um": np.array(PX_UM)}
    write_arrays(PATCHES / "pixels/core.npz", cut)


def export(what: str, folder: str = "out") -> list[str]:
    return [str(path) for path in EXPORTS[what]("toy", Path(folder))]


def files_in(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).rglob("*") if path.is_file())


def test_every_core_leaves_as_ome_tiff() -> None:
    assert export("ome-tiff") == ["out/toy/core.ome.tiff"]

    with np.load(IMAGES / "core.npz") as core:
        np.testing.assert_array_equal(tifffile.imread("out/toy/core.ome.tiff"), core["x"])
    assert files_in("out") == ["core.ome.tiff"]


def test_patches_leave_with_the_size_that_they_were_cut_with_whatever_params_say() -> None:
    anndata = pytest.importorskip("anndata", reason="anndata is an optional extra")
    Path("params.yaml").write_text("imc: {patch: {size_um: 80.0}}\n")

    assert export("anndata") == ["out/toy.h5ad"]

    read = anndata.read_h5ad("out/toy.h5ad")
    side_um = 82 * PX_UM
    assert read.uns["patch"] == {"px_um": PX_UM, "side_um": pytest.approx(side_um)}
    np.testing.assert_allclose(
        read.obsm["spatial"], [[0.5 * side_um, 0.5 * side_um], [3.5 * side_um, 2.5 * side_um]]
    )
    assert files_in("out") == ["toy.h5ad"]


@pytest.mark.parametrize("before", [b"", b"of an earlier export"])
def test_an_export_that_breaks_off_leaves_no_half_file(
    monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    Path("out/toy").mkdir(parents=True)
    target = Path("out/toy/core.ome.tiff")
    target.write_bytes(before)

    def breaking_off(path: Path, *_: object) -> None:
        path.write_bytes(b"II*\0 half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ome_export, "write_ome", breaking_off)

    with pytest.raises(OSError, match="No space left"):
        export("ome-tiff")
    assert target.read_bytes() == before
    assert files_in("out") == ["core.ome.tiff"]


@pytest.mark.parametrize(("what", "lost"), [("ome-tiff", IMAGES), ("anndata", PATCHES / "pixels")])
def test_nothing_to_export_is_said_with_its_folder(what: str, lost: Path) -> None:
    next(lost.iterdir()).unlink()

    with pytest.raises(InputError, match=rf"{lost}: nothing to export"):
        export(what)
