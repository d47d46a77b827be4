"""The patches of a cohort, and what a model of one seed sees of them."""

from pathlib import Path
from typing import TYPE_CHECKING

from tissuetrace.pipeline.files import read_table
from tissuetrace.studies.imc.cohorts import Scheme

if TYPE_CHECKING:
    import pandas as pd
    from numpy import ndarray

__all__ = ["PREFIX", "mean_columns", "patch_table", "predicted", "read_features"]

PREFIX = "mean_"  # then the channel's name
_OF_A_PATCH = ["item", "subject", "image", "row", "col", "label", "tissue", "tumour"]


def mean_columns(table: "pd.DataFrame") -> list[str]:
    """Return the columns that hold the mean of a predictor, in their order."""
    return [name for name in table.columns if name.startswith(PREFIX)]


def patch_table(tables: Path) -> "pd.DataFrame":
    """Return the patches of all cores, ordered by image, row and column.

    Args:
        tables: folder of `patch`, one table a core.

    Raises:
        ValueError: there is no table, or two patches have one name.
    """
    import pandas as pd

    cores = [read_table(path) for path in sorted(tables.glob("*.parquet"))]
    if not cores:
        raise ValueError(f"no table of patches in {tables}")
    whole = pd.concat(cores, ignore_index=True)
    if whole["item"].duplicated().any():
        raise ValueError(f"two patches of {tables} have one name")
    return whole.sort_values(["image", "row", "col"], kind="stable", ignore_index=True)


def read_features(
    tables: Path, decoys: Path, *, scheme: Scheme, splits: Path | None = None
) -> "pd.DataFrame":
    """Return what the models of each seed see, ordered by seed, then image, row and column.

    Args:
        tables: folder of `patch`; the means of a patch's own hole that stand there are not read.
        decoys: table of `decoy` of one scheme: its rows and its means are the ones taken.
        scheme: of that table, written into a column.
        splits: table of `split` of the same scheme; without it there is no column `split`.

    Returns:
        `item, subject, image, row, col, label, tissue, tumour, scheme, seed`, `split` where
        asked for, and `mean_<channel>` (counts) of every predictor.

    Raises:
        ValueError: a row of the decoys has no patch, or no split.
    """
    seen = read_table(decoys)
    means = mean_columns(seen)
    patches = patch_table(tables)[_OF_A_PATCH]
    patches["position"] = range(len(patches))
    rows = patches.merge(seen[["item", "seed", *means]], on="item", how="right")
    keys = ["scheme", "seed"]
    if splits is not None:
        keys.append("split")
        rows = rows.merge(read_table(splits), on=["item", "seed"], how="left")
    alone = int(rows[["position", *keys[2:]]].isna().any(axis=1).sum())
    if alone:
        raise ValueError(f"{alone} rows of {decoys} have no patch or no split")
    rows["scheme"] = scheme
    ordered = rows.sort_values(["seed", "position"], kind="stable", ignore_index=True)
    # a merge that might have found no partner has turned whole numbers into others
    whole = dict.fromkeys(("row", "col", "label"), "int64")
    return ordered.astype(whole)[[*_OF_A_PATCH, *keys, *means]]


def predicted(rows: "pd.DataFrame", *, model: str, probability: "ndarray") -> "pd.DataFrame":
    """Return one row for each patch and seed that a model was asked about.

    Args:
        rows: from `read_features`, with splits.
        model: mlp or cnn.
        probability: of a T cell, for each of them.
    """
    table = rows.assign(model=model, probability=probability)
    columns = ["item", "subject", "image", "split", "scheme", "model", "seed", "label"]
    return table[[*columns, "probability"]]
