"""The decoys of every seed of a scheme, drawn from tables of patches and splits."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Int64
from numpy import ndarray

from tissuetrace.learn.decoys import DecoyRule, Decoys, draw_decoys, standardised
from tissuetrace.studies.imc.cohorts import SCHEMES, Scheme
from tissuetrace.studies.imc.contents import Covers, Holes
from tissuetrace.studies.imc.features import mean_columns

if TYPE_CHECKING:
    from tissuetrace.studies.imc.decoy import Decoy

__all__ = ["SPLIT_NAMES", "covers_of", "draw_for_seeds", "read_seed_splits"]

SPLIT_NAMES = ("train", "validation", "test")


def read_seed_splits(patches: pd.DataFrame, splits: pd.DataFrame) -> Int64[ndarray, "seed patch"]:
    """Bring a table of splits into the order of the patches.

    Returns:
        Number of the split of each patch in `SPLIT_NAMES`, a row a seed.

    Raises:
        ValueError: a patch has no split, or a seed is missing.
    """
    wide = splits.pivot_table(index="item", columns="seed", values="split", aggfunc="first")
    numbers_of = {name: number for number, name in enumerate(SPLIT_NAMES)}
    codes = wide.reindex(patches["item"]).apply(lambda column: column.map(numbers_of))
    if codes.isna().to_numpy().any() or set(splits["seed"]) != set(range(wide.shape[1])):
        raise ValueError("a patch without a split, or a seed without patches")
    numbers: Int64[ndarray, "seed patch"] = codes.to_numpy(dtype=np.int64).T
    return numbers


def draw_for_seeds(
    patches: pd.DataFrame,
    splits: Int64[ndarray, "seed patch"],
    holes: Holes,
    *,
    scheme: Scheme,
    params: "Decoy",
    keep_min: float,
) -> list[Decoys]:
    """Draw the decoys of every seed; each has a generator of its own.

    Args:
        patches: of all cores, in item order.
        splits: of the scheme, from `read_seed_splits`.
        holes: of the same patches.
        scheme: whose generators are taken.
        params: how decoys are drawn.
        keep_min: share of a patch that must be left.
    """
    means = patches[mean_columns(patches)].to_numpy()
    labels = patches["label"].to_numpy()
    of_schemes = np.random.SeedSequence(params.seed).spawn(len(SCHEMES))
    seeds = of_schemes[SCHEMES.index(scheme)].spawn(len(splits))
    rule = DecoyRule(kind=params.kind, nearest=params.nearest, keep_min=keep_min)
    return [
        draw_decoys(
            standardised(means, codes == SPLIT_NAMES.index("train")),
            labels,
            codes,
            holes.masks,
            side_px=holes.side_px,
            rule=rule,
            seed=seed,
        )
        for codes, seed in zip(splits, seeds, strict=True)
    ]


def covers_of(drawn: Sequence[Decoys]) -> Covers:
    """Return the covers that decoys make: each patch keeps its own hole and gets the donor's."""
    donors = np.stack([decoys.donors for decoys in drawn], axis=1)
    own = np.broadcast_to(np.arange(len(donors))[:, None], donors.shape).copy()
    return Covers(own, donors, np.stack([decoys.orientations for decoys in drawn], axis=1))
