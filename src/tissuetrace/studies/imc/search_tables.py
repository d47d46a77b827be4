"""The tables of what was searched for and found."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float

from tissuetrace.pipeline.files import write_table
from tissuetrace.studies.imc.searching import Search, Searched, caution_of, settings_of

if TYPE_CHECKING:
    from tissuetrace.explain.counterfactual import Counterfactuals

__all__ = ["counterfactual_table", "no_search", "pool_row", "write_searches"]

_KEYS = ["item", "subject", "image", "split", "scheme", "model", "seed"]


def counterfactual_table(
    search: Search,
    starts: pd.DataFrame,
    found: "Counterfactuals",
    *,
    variant: str,
    changes: Mapping[str, Float[np.ndarray, "patch channel"]],
) -> pd.DataFrame:
    """Return one row for each patch that was searched from.

    Args:
        search: the retraining.
        starts: rows of the patches.
        found: by the search, in their order.
        variant: of the settings.
        changes: `delta` and `relative` of every predictor; both become NaN where nothing was found.
    """
    was_found = found.found.numpy()
    keys = starts.assign(model=search.model)[_KEYS].reset_index(drop=True)
    told = pd.DataFrame(
        {
            "variant": variant,
            "found": was_found.astype(np.int64),
            "probability": found.probability.double().numpy(),
            "distance": np.where(was_found, found.distance.double().numpy(), np.nan),
            "iterations": np.where(was_found, found.iterations.double().numpy(), np.nan),
        },
        index=keys.index,
    )
    tables = [
        pd.DataFrame(
            np.where(was_found[:, None], values, np.nan),
            columns=[f"{kind}_{name}" for name in search.inputs.predictors],
        )
        for kind, values in changes.items()
    ]
    return pd.concat([keys, told, *tables], axis=1)


def pool_row(search: Search, table: pd.DataFrame, *, variant: str) -> dict[str, object]:
    """Return what a variant had to choose from and found."""
    found = table[table["found"] == 1]
    free = [f"relative_{name}" for name in search.inputs.free]
    return {
        "model": search.model,
        "variant": variant,
        "seed": search.seed,
        "pool": search.pool,
        "starts": len(table),
        "found": len(found),
        "distance": float(found["distance"].median()) if len(found) else float("nan"),
        "left_out": int(found[free].isna().to_numpy().sum()),
        "why": caution_of(search, settings_of(variant, search.inputs.params).k),
    }


def no_search(predictors: Sequence[str], why: str) -> Searched:
    """Return a table without a row and one row that says why.

    Args:
        predictors: of the cohort.
        why: the reason.
    """
    kinds = dict.fromkeys([*_KEYS, "variant"], "str") | {"seed": "int64", "found": "int64"}
    kinds |= dict.fromkeys(["probability", "distance", "iterations"], "float64")
    kinds |= {f"{kind}_{name}": "float64" for kind in ("delta", "relative") for name in predictors}
    empty = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})
    reason = {"model": "mlp", "variant": "none", "seed": -1, "pool": 0, "starts": 0, "found": 0}
    reason |= {"distance": float("nan"), "left_out": 0, "why": why}
    return Searched(counterfactuals=empty, pools=pd.DataFrame([reason]))


def write_searches(searched: Sequence[Searched], *, counterfactuals: Path, pool: Path) -> None:
    """Write all searches of a cohort, the MLP's first, each in the order of its retrainings."""
    for path, tables in (
        (counterfactuals, [one.counterfactuals for one in searched]),
        (pool, [one.pools for one in searched]),
    ):
        whole = pd.concat([table for table in tables if len(table)] or tables[:1])
        order = whole["model"].map({"mlp": 0, "cnn": 1}).argsort(kind="stable")
        write_table(whole.iloc[order].reset_index(drop=True), path)
