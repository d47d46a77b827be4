"""What a search starts from and may choose among, and the tables of what was found."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from tissuetrace.pipeline.errors import GateRefused, InputError
from tissuetrace.pipeline.files import read_table
from tissuetrace.studies.imc.cohorts import FEW_PROTOTYPES, TUMOUR_SHARE
from tissuetrace.studies.imc.features import PREFIX, read_features

if TYPE_CHECKING:
    from tissuetrace.studies.imc.perturb import Perturb

__all__ = [
    "Inputs",
    "Rows",
    "Search",
    "Searched",
    "caution_of",
    "check_pools",
    "planned",
    "read_seen",
    "rows_of",
    "search_settings",
    "settings_of",
]

_PREDICTED = 0.5  # the library's own threshold of a class
_ROUNDING = 1e-6  # a probability this close to p is not surely below it in another batch

Model = Literal["mlp", "cnn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Where a cohort's patches and models lie, and how they are searched."""

    tables: Path
    pixels: Path
    decoys: Path
    mlp: Path
    cnn: Path
    predictors: tuple[str, ...]
    free: tuple[str, ...]
    params: "Perturb"

    def predictions(self, model: Model) -> Path:
        """Return what a model said of every patch."""
        return (self.mlp if model == "mlp" else self.cnn) / "predictions.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One retraining and the variants that are searched with it.

    Args:
        model: mlp or cnn.
        seed: of the retraining.
        variants: names, `default` first.
        trained: patches that it was trained on.
        pool: of them, those classified as having T cells.
        largest: its largest probability on them.
    """

    inputs: Inputs
    model: Model
    seed: int
    variants: tuple[str, ...]
    trained: int
    pool: int
    largest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """The tables of one search: a row a patch, a row a variant."""

    counterfactuals: pd.DataFrame
    pools: pd.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What one retraining has seen and said, one row a patch.

    Args:
        table: with `label, split, tumour, probability` and the means.
        x: means of the predictors (counts).
        start: patches that are searched from.
        pool: prototypes.
        train: patches that it was trained on.
        free: predictors that may change.
    """

    table: pd.DataFrame
    x: Float[np.ndarray, "patch channel"]
    start: Bool[np.ndarray, " patch"]
    pool: Bool[np.ndarray, " patch"]
    train: Bool[np.ndarray, " patch"]
    free: Bool[np.ndarray, " channel"]


def planned(inputs: Inputs, *, cohort: str) -> list[Search]:
    """Return the searches of a cohort: of every retraining of the MLP, and of the CNN if trained.

    The CNN's stand first, since they take longest.

    Raises:
        InputError: a free channel is no predictor.
    """
    unknown = [name for name in inputs.free if name not in inputs.predictors]
    if unknown:
        raise InputError(
            f"{len(unknown)} free channels are no predictors: {', '.join(unknown)}",
            where=f"imc.cohorts.{cohort}.free",
            todo=f"Choose among {', '.join(inputs.predictors)}",
        )
    return [*_planned(inputs, "cnn"), *_planned(inputs, "mlp")]


def check_pools(searches: Sequence[Search], *, cohort: str) -> None:
    """Refuse where a retraining of the MLP calls no training patch one with T cells.

    A pool of fewer than 30 is said aloud. The CNN's are never refused: no strategy rests on it.

    Raises:
        GateRefused: names every such retraining and its largest probability.
    """
    empty = [search for search in searches if search.pool == 0 and search.model == "mlp"]
    if empty:
        raise GateRefused(
            f"no prototype in {len(empty)} of {sum(s.model == 'mlp' for s in searches)} "
            "retrainings of the MLP, allowed are 1 or more",
            where=f"{cohort}, prototype pool",
            todo="Lower imc.perturb.p, choose another imc.perturb.pool, or see in the report "
            "whether these models tell anything",
            items=[
                f"retraining {search.seed}: none of {search.trained:,} training patches, largest "
                f"probability {search.largest:.3f}"
                for search in empty
            ],
        )
    for search in searches:
        caution = caution_of(search, search.inputs.params.k)
        if caution:
            print(  # noqa: T201  # a caution to whoever runs the stage; it also stands in the table
                f"{cohort}, {search.model}, retraining {search.seed}: {caution}",
                file=sys.stderr,
            )


def read_seen(inputs: Inputs) -> pd.DataFrame:
    """Read what all retrainings see of the patches of a cohort."""
    return read_features(inputs.tables, inputs.decoys, scheme="patient")


def rows_of(search: Search, seen: pd.DataFrame) -> Rows:
    """Return what one retraining saw and said of the patches of its cohort.

    Args:
        search: of that retraining.
        seen: from `read_seen`.
    """
    inputs, params = search.inputs, search.inputs.params
    said = _said(inputs, search.model)
    said = said.loc[said["seed"] == search.seed, ["item", "split", "probability"]]
    own = seen[seen["seed"] == search.seed]
    table = own.merge(said, on="item", how="left", validate="one_to_one")
    if table["probability"].isna().any():
        raise ValueError(f"{search.model} has not seen all patches of retraining {search.seed}")
    below = table["probability"] < params.p - _ROUNDING
    start = (table["tumour"] > TUMOUR_SHARE) & (table["label"] == 0) & below
    if params.start == "test":
        start &= table["split"] == "test"
    train = table["split"] == "train"
    return Rows(
        table=table,
        x=table[[f"{PREFIX}{name}" for name in inputs.predictors]].to_numpy(np.float64),
        start=start.to_numpy(bool, copy=True),  # pandas' own cannot be written, which torch minds
        pool=(train & _is_prototype(table, params)).to_numpy(bool, copy=True),
        train=train.to_numpy(bool, copy=True),
        free=np.isin(inputs.predictors, inputs.free),
    )


def settings_of(variant: str, params: "Perturb") -> "Perturb":
    """Return the settings of one variant: those of the cohort, with one of them changed."""
    name, _, value = variant.partition("=")
    match name:
        case "compat":
            return replace(params, rule="cfproto", selection="best_valid")
        case "final":
            return replace(params, selection="final")
        case "beta":
            return replace(params, beta=float(value))
        case "k":
            return replace(params, k=int(value))
        case _:
            return params


def search_settings(params: "Perturb") -> dict[str, Any]:
    """Return what `explain.counterfactual.search` takes of the settings."""
    names = ("c", "beta", "theta", "p", "selection", "rule", "lr", "steps", "rounds", "margin")
    return {name: getattr(params, name) for name in (*names, "c_steps")}


def caution_of(search: Search, k: int) -> str:
    """Say what is to be known of a pool of prototypes; empty where it is large enough."""
    if search.pool == 0:
        return "no prototype, so nothing was searched"
    if search.pool < k:
        return f"{search.pool} prototypes, fewer than k = {k}: the farthest was taken"
    if search.pool < FEW_PROTOTYPES:
        return f"{search.pool} prototypes, fewer than {FEW_PROTOTYPES}"
    return ""


def _planned(inputs: Inputs, model: Model) -> list[Search]:
    if not inputs.predictions(model).exists():
        return []
    params = inputs.params
    said = _said(inputs, model)
    trained = said[said["split"] == "train"]
    searches = []
    for place, (seed, rows) in enumerate(trained.groupby("seed", sort=True)):
        names: tuple[str, ...] = ("cnn_channels", "cnn_pixels") if model == "cnn" else ("default",)
        if model == "mlp" and place < params.variant_retrainings:
            names += ("compat", "final")
            names += tuple(f"beta={value!r}" for value in dict.fromkeys(params.betas))
            names += tuple(f"k={value}" for value in dict.fromkeys(params.ks))
        searches.append(
            Search(
                inputs=inputs,
                model=model,
                seed=int(str(seed)),
                variants=names,
                trained=len(rows),
                pool=int(_is_prototype(rows, params).sum()),
                largest=float(rows["probability"].max()),
            )
        )
    return searches


def _said(inputs: Inputs, model: Model) -> pd.DataFrame:
    columns = ["item", "seed", "split", "label", "probability"]
    return read_table(inputs.predictions(model), columns)


def _is_prototype(rows: pd.DataFrame, params: "Perturb") -> "pd.Series[bool]":
    match params.pool:
        case "above_p":
            return rows["probability"] > params.p
        case "predicted":
            return rows["probability"] > _PREDICTED
        case "label":
            return rows["label"] == 1
