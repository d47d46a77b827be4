"""How many tumour patches each retraining calls infiltrated, before and after a strategy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from tissuetrace.explain.strategies import perturbed
from tissuetrace.models.mlp_stack import MlpStack, load_mlps
from tissuetrace.pipeline.files import read_table
from tissuetrace.studies.imc.cohorts import TUMOUR_SHARE
from tissuetrace.studies.imc.features import PREFIX, read_features

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Scorer", "excluded_patients", "level_table", "mean_levels", "read_scorers"]

Channels = Float[ndarray, " channel"]
Levels = Float[ndarray, " image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """One retraining, and the patches as it sees them.

    Args:
        seed: of the retraining.
        stack: all retrainings.
        table: `item, subject, image, row, col, label, tumour` of its patches.
        x: their channel means (counts).
        image: number of each patch's image, in the order of `images`.
        images: names of the cohort's images.
        upper: largest training value of each channel (counts).
        p: probability above which a patch is called infiltrated.
    """

    seed: int
    stack: MlpStack
    table: pd.DataFrame
    x: Float[ndarray, "patch channel"]
    image: Int[ndarray, " patch"]
    images: Sequence[str]
    upper: Channels
    p: float

    @property
    def sd(self) -> Channels:
        """Standard deviation of each channel over the training patches (counts)."""
        sd: Channels = self.stack.sd[self.stack.seeds.index(self.seed)]
        return sd

    @property
    def is_tumour(self) -> Bool[ndarray, " patch"]:
        """Whether more than half of a patch is tumour."""
        return (self.table["tumour"] > TUMOUR_SHARE).to_numpy()

    @property
    def patches(self) -> Int[ndarray, " image"]:
        """How many tumour patches each image has."""
        return np.bincount(self.image[self.is_tumour], minlength=len(self.images))

    def probabilities(self, relative: Channels) -> Float[ndarray, " patch"]:
        """Return f of every patch with the strategy applied."""
        changed, _ = perturbed(self.x, relative, upper=self.upper)
        return self.stack.probabilities(changed, self.stack.seeds.index(self.seed))

    def clipped(self, relative: Channels) -> float:
        """Share of the changed values of tumour patches that were held at a bound."""
        moved = relative != 0
        if not moved.any():
            return 0.0
        _, held = perturbed(self.x[self.is_tumour], relative, upper=self.upper)
        return float(held[:, moved].mean())

    def levels(self, relative: Channels) -> Levels:
        """Share of each image's tumour patches that are called infiltrated; NaN without any."""
        tumour = self.only(self.is_tumour)
        high = tumour.probabilities(relative) > self.p
        count = tumour.patches
        found = np.bincount(tumour.image, weights=high, minlength=len(self.images))
        share: Levels = np.divide(
            found, count, out=np.full(len(self.images), np.nan), where=count > 0
        )
        return share

    def only(self, chosen: Bool[ndarray, " patch"]) -> "Scorer":
        """Return the same with some of the patches."""
        return replace(self, table=self.table[chosen], x=self.x[chosen], image=self.image[chosen])


def read_scorers(
    *, tables: Path, decoys: Path, mlp: Path, predictors: Sequence[str], p: float
) -> list[Scorer]:
    """Return every retraining with the patches of its seed.

    Args:
        tables: folder of `patch`.
        decoys: of the patient scheme.
        mlp: folder of the MLP under that scheme.
        predictors: of the cohort.
        p: probability above which a patch is called infiltrated.
    """
    stack = load_mlps(mlp / "model.safetensors")
    seen = read_features(tables, decoys, scheme="patient")
    images = sorted(seen["image"].unique())
    splits = read_table(mlp / "predictions.parquet", ["item", "seed", "split"])
    seen = seen.merge(splits, on=["item", "seed"], how="left", validate="one_to_one")
    numbers = dict(zip(images, range(len(images)), strict=True))
    scorers = []
    for seed in stack.seeds:
        rows = seen[seen["seed"] == seed].reset_index(drop=True)
        x = rows[[f"{PREFIX}{name}" for name in predictors]].to_numpy(np.float64)
        scorers.append(
            Scorer(
                seed=seed,
                stack=stack,
                table=rows,
                x=x,
                image=rows["image"].map(numbers).to_numpy(np.int64),
                images=images,
                upper=x[(rows["split"] == "train").to_numpy()].max(axis=0),
                p=p,
            )
        )
    return scorers


def mean_levels(scorers: Sequence[Scorer], relative: Channels) -> Levels:
    """Return each image's level under a strategy, mean over the retrainings that see the image."""
    return _mean([scorer.levels(relative) for scorer in scorers])


def excluded_patients(levels: Levels, subjects: ndarray) -> tuple[set[str], float]:
    """Return the immune-excluded patients, and the cohort's median level.

    Args:
        levels: of each image before anything is changed, mean over retrainings; NaN left out.
        subjects: patient of each image.

    Returns:
        Patients whose median over their images is strictly below the median of all patients'
        medians. Where that is 0 nobody can be below, and the patients at 0 are taken.

    Source: Wang & Thomson, section on immune-excluded tumours (34 of 69 patients), as we read it.
    """
    table = pd.DataFrame({"subject": subjects, "level": levels}).dropna()
    medians = table.groupby("subject")["level"].median()
    if medians.empty:
        return set(), float("nan")
    middle = float(medians.median())
    below = medians == 0 if middle == 0 else medians < middle
    return {str(name) for name in medians.index[below]}, middle


def level_table(
    scorers: Sequence[Scorer],
    strategies: Mapping[str, Channels],
    own: Mapping[int, Channels],
    *,
    subjects: ndarray,
    excluded: set[str],
) -> pd.DataFrame:
    """Return the level of every image before and after, by retraining, strategy and scorer.

    Args:
        scorers: the retrainings.
        strategies: relative changes by name; each is scored by every retraining.
        own: by seed, what that retraining alone would do in the place of the strategy `all`.
        subjects: patient of each image.
        excluded: immune-excluded patients.

    Returns:
        Scorer `same` for the strategies; `own` for what a retraining found, scored by itself;
        `other` for the same, mean over all other retrainings.
    """
    nothing = np.zeros(scorers[0].x.shape[1])
    before = {scorer.seed: scorer.levels(nothing) for scorer in scorers}
    parts = [
        _rows(one, "same", name, before=before[one.seed], after=one.levels(relative))
        for name, relative in strategies.items()
        for one in scorers
    ]
    for scorer in scorers:
        relative = own[scorer.seed]
        others = [other for other in scorers if other.seed != scorer.seed]
        after = scorer.levels(relative)
        parts.append(_rows(scorer, "own", "all", before=before[scorer.seed], after=after))
        if others:
            mean_before = _mean([before[other.seed] for other in others])
            after = mean_levels(others, relative)
            parts.append(_rows(scorer, "other", "all", before=mean_before, after=after))
    table = pd.concat(parts, ignore_index=True)
    patient = dict(zip(scorers[0].images, subjects.tolist(), strict=True))
    subject = table["image"].map(patient)
    table.insert(0, "subject", subject)
    return table.assign(excluded=subject.isin(excluded).astype("int64"))


def _rows(
    scorer: Scorer, kind: str, strategy: str, *, before: Levels, after: Levels
) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "image": scorer.images,
            "seed": scorer.seed,
            "scorer": kind,
            "strategy": strategy,
            "before": before,
            "after": after,
            "patches": scorer.patches,
        }
    )
    seen: pd.DataFrame = table[~np.isnan(before)]
    return seen


def _mean(levels: "Sequence[Levels] | Iterator[Levels]") -> Levels:
    """Mean over retrainings; an image that one of them does not see is the mean of the others."""
    stacked = np.stack(list(levels))
    seen = ~np.isnan(stacked)
    total = np.where(seen, stacked, 0.0).sum(axis=0)
    mean: Levels = np.divide(
        total, seen.sum(axis=0), out=np.full(len(total), np.nan), where=seen.any(axis=0)
    )
    return mean
