"""Patches for the tools of scverse: one observation a patch, one variable a channel."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tissuetrace.imaging.patches import patch_side_px
from tissuetrace.pipeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData  # type: ignore[import-untyped]  # it publishes no types

__all__ = ["patches_as_anndata"]

_MEAN = "mean_"


def patches_as_anndata(
    table: "pd.DataFrame", channels: Sequence[str], *, px_um: float, size_um: float
) -> "AnnData":
    """Turn a table of patches into AnnData, which squidpy, scanpy and napari open.

    Args:
        table: of one core or of several, with `item, row, col` and `mean_<channel>`; all other
            columns go along in `obs`.
        channels: that become variables, in this order.
        px_um: side of a pixel (µm).
        size_um: side of a patch (µm), as it was asked for; whole pixels were cut.

    Returns:
        `X`, channel means (counts); `obs`, indexed by `item`; `obsm["spatial"]`, the middle of
        each patch from the top left corner of its own core, x then y (µm).

    Raises:
        InputError: the optional extra is not installed, or the table lacks a channel.
    """
    try:
        import anndata
    except ImportError as problem:
        raise InputError(
            "the package anndata is not installed",
            where="export of patches",
            todo="Run pip install tissuetrace[anndata]",
        ) from problem
    import pandas as pd

    missing = [channel for channel in channels if f"{_MEAN}{channel}" not in table.columns]
    if missing:
        known = [str(name).removeprefix(_MEAN) for name in table if str(name).startswith(_MEAN)]
        raise InputError(
            f"no means of {', '.join(missing)} among {', '.join(known)}",
            where="table of patches",
        )
    means = [f"{_MEAN}{channel}" for channel in channels]
    others = [name for name in table.columns if not str(name).startswith(_MEAN)]
    side_um = patch_side_px(size_um=size_um, px_um=px_um) * px_um
    return anndata.AnnData(
        X=table[means].to_numpy(dtype=np.float64),
        obs=_plain(table[others]).set_index("item"),
        var=pd.DataFrame(index=pd.Index(list(channels), dtype=object)),
        obsm={"spatial": (table[["col", "row"]].to_numpy() + 0.5) * side_um},
        uns={"patch": {"px_um": px_um, "side_um": side_um}},
    )


def _plain(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return text as Python's own, since anndata writes no strings of Arrow."""
    texts: list[str] = table.select_dtypes("str").columns.tolist()
    return table.astype(dict.fromkeys(texts, object))
