"""What the strategy does to immune-excluded tumours, and what each of its parts adds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from tissuetrace.stats.patient_medians import group_medians, median_change_interval
from tissuetrace.stats.signed_rank import signed_rank
from tissuetrace.studies.imc.cohorts import TUMOUR_SHARE
from tissuetrace.studies.imc.found_changes import adjusted
from tissuetrace.studies.imc.levels import Scorer, mean_levels

if TYPE_CHECKING:
    from tissuetrace.studies.imc.effect import Effect

__all__ = ["Part", "best_subsets", "map_table", "parts_of", "strategy_table"]

_LARGEST = 5  # targets of a best subset: more add little (Fig. 4E)
_CANDIDATES = 8  # targets among which subsets are tried: 218 of them

Channels = Float[ndarray, " channel"]
Kind = Literal["all", "single", "without", "subset", "beta"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A strategy, or a part of one.

    Args:
        name: unique in the cohort.
        kind: what it is.
        relative: change of every predictor, 0 where left alone.
        found: share of the searches behind it that found a change.
    """

    name: str
    kind: Kind
    relative: Channels
    found: float


def parts_of(relative: Channels, *, predictors: Sequence[str], found: float) -> list[Part]:
    """Return the whole strategy, each of its targets alone, and each left out (Fig. 4D).

    Args:
        relative: change of every predictor, 0 where not called.
        predictors: their names.
        found: share of the searches that found a change.
    """
    parts = [Part(name="all", kind="all", relative=relative, found=found)]
    targets = np.flatnonzero(relative)
    for target in targets.tolist():
        alone = np.where(np.arange(len(relative)) == target, relative, 0.0)
        name = predictors[target]
        parts.append(Part(name=name, kind="single", relative=alone, found=found))
    for target in targets.tolist():
        rest = np.where(np.arange(len(relative)) == target, 0.0, relative)
        name = f"without {predictors[target]}"
        parts.append(Part(name=name, kind="without", relative=rest, found=found))
    return parts


def best_subsets(
    scorers: Sequence[Scorer],
    whole: Part,
    *,
    chosen: Bool[ndarray, " image"],
    singles: Sequence[Part],
) -> list[Part]:
    """Return the best subset of each size up to 5 (Fig. 4E).

    Args:
        scorers: the retrainings.
        whole: the strategy.
        chosen: images that it is to help.
        singles: its targets alone. Of more than 8, those are tried that change their channel most.

    Returns:
        For each size the subset with the highest median level over the chosen images, among equals
        the highest mean. It is chosen and judged on the same images, so that its effect is the
        most that its size can do, not what to expect elsewhere.
    """
    few = [scorer.only(scorer.is_tumour & chosen[scorer.image]) for scorer in scorers]
    changes = sorted((part.relative for part in singles), key=lambda r: -np.abs(r).max())
    best = []
    for size in range(1, min(_LARGEST, len(changes)) + 1):
        sums = [np.sum(some, axis=0) for some in combinations(changes[:_CANDIDATES], size)]
        levels = [mean_levels(few, relative)[chosen] for relative in sums]
        scores = [(float(np.nanmedian(one)), float(np.nanmean(one))) for one in levels]
        relative = sums[max(range(len(sums)), key=scores.__getitem__)]
        best.append(Part(name=f"best {size}", kind="subset", relative=relative, found=whole.found))
    return best


def strategy_table(
    levels: pd.DataFrame,
    parts: Sequence[Part],
    *,
    predictors: Sequence[str],
    params: "Effect",
) -> pd.DataFrame:
    """Return the effect of every part on immune-excluded tumours.

    Args:
        levels: of every image, retraining and part.
        parts: the strategy and its parts.
        predictors: names of the channels.
        params: draws and seed of the intervals.
    """
    same = levels[(levels["scorer"] == "same") & (levels["excluded"] == 1)]
    means = same.groupby(["strategy", "subject", "image"], sort=True)[["before", "after"]].mean()
    tables = {str(name): part.reset_index() for name, part in means.groupby("strategy")}
    rows: list[dict[str, Any]] = []
    for part in parts:
        targets = np.flatnonzero(part.relative).tolist()
        rows.append(
            {
                "strategy": part.name,
                "kind": part.kind,
                "channels": " + ".join(predictors[target] for target in targets),
                "size": len(targets),
                "found": part.found,
                **_effect(tables.get(part.name, means.iloc[:0].reset_index()), params),
            }
        )
    table = pd.DataFrame(rows)
    # one family: the strategies of Fig. 4D
    family = table["kind"].isin(["all", "single", "without"]).to_numpy()
    table["p_holm"] = adjusted(np.where(family, table["p"], np.nan))
    return table


def map_table(
    scorers: Sequence[Scorer], whole: Part, *, chosen: Bool[ndarray, " image"]
) -> pd.DataFrame:
    """Return one image patch by patch, before and after the strategy (Fig. 4B).

    Args:
        scorers: the retrainings.
        whole: the strategy.
        chosen: images among which one is shown: that of the median rise, so a typical one.

    Returns:
        Probabilities, mean over retrainings; a patch outside the tumour is left as it is.
    """
    nothing = np.zeros_like(whole.relative)
    rise = mean_levels(scorers, whole.relative) - mean_levels(scorers, nothing)
    candidates = np.flatnonzero(chosen & ~np.isnan(rise))
    if len(candidates) == 0:
        return pd.DataFrame()
    image = candidates[np.argsort(rise[candidates], kind="stable")[len(candidates) // 2]]
    tables = []
    for scorer in scorers:
        core = scorer.only(scorer.image == image)
        before = core.probabilities(nothing)
        after = np.where(core.is_tumour, core.probabilities(whole.relative), before)
        tables.append(core.table.assign(before=before, after=after))
    whole_table = pd.concat(tables)
    whole_table["tumour"] = (whole_table["tumour"] > TUMOUR_SHARE).astype("int64")
    names = {"image": "first", "item": "first", "tumour": "first", "label": "first"}
    names |= {"before": "mean", "after": "mean"}
    shown = whole_table.groupby(["row", "col"], sort=True).agg(names).reset_index()
    return shown.rename(columns={"label": "observed"})


def _effect(images: pd.DataFrame, params: "Effect") -> Mapping[str, float]:
    """Return medians over images, the interval of their change, and the test over patients."""
    before, after = (images[name].to_numpy(np.float64) for name in ("before", "after"))
    subjects, groups = np.unique(images["subject"], return_inverse=True)
    interval = median_change_interval(
        before, after, groups, draws=params.bootstrap, seed=params.seed
    )
    once: Int[ndarray, " image"] = np.zeros(len(images), dtype=np.int64)
    patients = [
        group_medians(values, groups, once, count=len(subjects)) for values in (after, before)
    ]
    empty = len(images) == 0
    return {
        "before": float("nan") if empty else float(np.median(before)),
        "after": float("nan") if empty else float(np.median(after)),
        "low": interval.low,
        "high": interval.high,
        "p": signed_rank(patients[0] - patients[1]),
    }
