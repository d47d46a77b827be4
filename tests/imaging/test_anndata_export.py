import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tissuetrace.imaging.anndata_export import patches_as_anndata
from tissuetrace.pipeline.errors import InputError


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item": ["core:0:0", "core:2:3"],
            "subject": ["p1", "p1"],
            "image": ["core", "core"],
            "row": [0, 2],
            "col": [0, 3],
            "label": [1, 0],
            "tissue": [1.0, 0.5],
            "mean_CXCL9": [1.5, 2.5],
            "mean_CCL8": [0.0, 4.0],
        }
    )


def test_patches_become_observations_with_their_place_in_um(tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata", reason="anndata is an optional extra")

    made = patches_as_anndata(table(), ["CCL8", "CXCL9"], px_um=500 / 1024, size_um=40.0)
    made.write_h5ad(tmp_path / "patches.h5ad")
    read = anndata.read_h5ad(tmp_path / "patches.h5ad")

    side_um = 82 * 500 / 1024
    np.testing.assert_array_equal(read.X, [[0.0, 1.5], [4.0, 2.5]])
    assert read.var_names.tolist() == ["CCL8", "CXCL9"]
    assert read.obs_names.tolist() == ["core:0:0", "core:2:3"]
    assert read.obs["label"].tolist() == [1, 0]
    np.testing.assert_allclose(
        read.obsm["spatial"], [[0.5 * side_um, 0.5 * side_um], [3.5 * side_um, 2.5 * side_um]]
    )


def test_missing_channels_are_named() -> None:
    pytest.importorskip("anndata", reason="anndata is an optional extra")

    with pytest.raises(InputError, match="no means of CD3, CD8 among CXCL9, CCL8"):
        patches_as_anndata(table(), ["CD3", "CXCL9", "CD8"], px_um=1.0, size_um=40.0)


def test_without_the_extra_its_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anndata", None)

    with pytest.raises(InputError, match=r"pip install tissuetrace\[anndata\]"):
        patches_as_anndata(table(), ["CXCL9"], px_um=1.0, size_um=40.0)
