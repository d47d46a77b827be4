"""The strategy of a cohort, all its tables and what it does, from the searches of its patches."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from tissuetrace.studies.imc import found_changes
from tissuetrace.studies.imc.levels import (
    Scorer,
    excluded_patients,
    level_table,
    mean_levels,
    read_scorers,
)
from tissuetrace.studies.imc.targets import (
    Part,
    best_subsets,
    map_table,
    parts_of,
    strategy_table,
)

if TYPE_CHECKING:
    from tissuetrace.explain.strategies import Strategy
    from tissuetrace.studies.imc.cohorts import Perturbed
    from tissuetrace.studies.imc.effect import Effect

__all__ = ["Judged", "judged", "without_strategy"]

Channels = Float[ndarray, " channel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What `effect` writes; a table without a row has no columns.

    Args:
        strategy: the strategy and its settings, as JSON.
        levels: of every image.
        channels: one row a free channel.
        strategies: one row a part of the strategy.
        stability: one row a channel, variant and retraining.
        maps: one image.
    """

    strategy: dict[str, Any]
    levels: pd.DataFrame
    channels: pd.DataFrame
    strategies: pd.DataFrame
    stability: pd.DataFrame
    maps: pd.DataFrame


def without_strategy(why: str, params: "Effect") -> Judged:
    """Return tables without a row, and the reason."""
    none = pd.DataFrame()
    settings = {"settings": asdict(params), "why": why}
    return Judged(
        strategy={"channels": {}, "called": {}, "agreement": {}, **settings},
        levels=none,
        channels=none,
        strategies=none,
        stability=none,
        maps=none,
    )


def judged(
    searches: pd.DataFrame,
    *,
    tables: Path,
    decoys: Path,
    mlp: Path,
    cohort: "Perturbed",
    params: "Effect",
) -> Judged:
    """Make the strategy of the found patches, apply it to every tumour, and take it apart.

    Args:
        searches: the counterfactuals; at least one of the default variant was found.
        tables: folder of `patch`.
        decoys: of the patient scheme.
        mlp: folder of the MLP under that scheme.
        cohort: its predictors, free channels and control.
        params: how it is made and judged.
    """
    scorers = read_scorers(
        tables=tables, decoys=decoys, mlp=mlp, predictors=cohort.predictors, p=params.p
    )
    medians = found_changes.found_medians(
        searches,
        free=cohort.free,
        scorers=scorers,
        predictors=cohort.predictors,
        relative=params.relative,
    )
    default = searches[searches["variant"] == found_changes.DEFAULT]
    strategy = found_changes.strategy_of(
        medians, variant=found_changes.DEFAULT, free=cohort.free, params=params
    )
    tested = _Tested.of(scorers, strategy, medians, cohort=cohort)
    found = float(default["found"].mean())
    parts = parts_of(tested.relative, predictors=cohort.predictors, found=found)
    singles = [part for part in parts if part.kind == "single"]
    parts += best_subsets(scorers, parts[0], chosen=tested.is_excluded, singles=singles)
    parts += _other_betas(searches, medians, cohort=cohort, params=params)
    levels = level_table(
        scorers,
        {part.name: part.relative for part in parts},
        tested.own,
        subjects=tested.subjects,
        excluded=tested.excluded,
    )
    return Judged(
        strategy=_told(tested, strategy, medians, cohort=cohort, params=params),
        levels=levels,
        channels=found_changes.channel_table(
            default, strategy, free=cohort.free, control=cohort.control, params=params
        ),
        strategies=strategy_table(levels, parts, predictors=cohort.predictors, params=params),
        stability=medians,
        maps=map_table(scorers, parts[0], chosen=tested.is_excluded),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tested:
    """The cohort that the strategy is tried on.

    Args:
        scorers: the retrainings.
        relative: change of every predictor, 0 where not called.
        own: the same by each retraining alone, in the called channels.
        subjects: patient of each image.
        excluded: immune-excluded patients.
        middle: median level of the patients.
    """

    scorers: Sequence[Scorer]
    relative: Channels
    own: dict[int, Channels]
    subjects: ndarray
    excluded: set[str]
    middle: float

    @classmethod
    def of(
        cls,
        scorers: Sequence[Scorer],
        strategy: "Strategy",
        medians: pd.DataFrame,
        *,
        cohort: "Perturbed",
    ) -> "_Tested":
        patients = pd.concat([scorer.table for scorer in scorers]).groupby("image")["subject"]
        subjects = patients.first().reindex(list(scorers[0].images)).to_numpy(dtype=object)
        before = mean_levels(scorers, np.zeros(len(cohort.predictors)))
        excluded, middle = excluded_patients(before, subjects)
        alone = medians[medians["variant"] == found_changes.DEFAULT]
        own = {}
        for scorer in scorers:
            rows = alone[alone["seed"] == scorer.seed].set_index("channel")["median"]
            changes = np.nan_to_num(rows.reindex(list(cohort.free)).to_numpy(np.float64))
            own[scorer.seed] = _full(np.where(strategy.called, changes, 0.0), cohort)
        return cls(
            scorers=scorers,
            relative=_full(strategy.applied, cohort),
            own=own,
            subjects=subjects,
            excluded=excluded,
            middle=middle,
        )

    @property
    def is_excluded(self) -> ndarray:
        """Whether each image is of an immune-excluded patient."""
        return np.isin(self.subjects.astype(str), sorted(self.excluded))

    @property
    def clipped(self) -> float:
        """Share of the changed values that were held at the box, mean over retrainings."""
        return float(np.mean([scorer.clipped(self.relative) for scorer in self.scorers]))


def _other_betas(
    searches: pd.DataFrame, medians: pd.DataFrame, *, cohort: "Perturbed", params: "Effect"
) -> list[Part]:
    """Return the strategy that each β of the sweep calls (Fig. 4E)."""
    parts = []
    for variant, rows in searches.groupby("variant", sort=False):
        if str(variant).startswith("beta="):
            strategy = found_changes.strategy_of(
                medians, variant=str(variant), free=cohort.free, params=params
            )
            parts.append(
                Part(
                    name=str(variant),
                    kind="beta",
                    relative=_full(strategy.applied, cohort),
                    found=float(rows["found"].mean()),
                )
            )
    return parts


def _full(changes: Float[ndarray, " free"], cohort: "Perturbed") -> Channels:
    """Put the changes of the free channels among all predictors."""
    full = np.zeros(len(cohort.predictors))
    full[[cohort.predictors.index(name) for name in cohort.free]] = changes
    return full


def _told(
    tested: _Tested,
    strategy: "Strategy",
    medians: pd.DataFrame,
    *,
    cohort: "Perturbed",
    params: "Effect",
) -> dict[str, Any]:
    """Return what `strategy.json` says; a channel of which no patch tells is only named."""
    changes = dict(zip(cohort.free, strategy.relative.tolist(), strict=True))
    known = {name: value for name, value in changes.items() if not np.isnan(value)}
    called = [
        name for name, is_called in zip(cohort.free, strategy.called, strict=True) if is_called
    ]
    return {
        "channels": known,
        "untold": sorted(set(changes) - set(known)),
        "called": {name: known[name] for name in called},
        "agreement": dict(zip(cohort.free, strategy.agreement.tolist(), strict=True)),
        "stability": found_changes.agreements(
            medians, free=cohort.free, tolerance=params.tolerance
        ),
        "clipped": tested.clipped,
        "excluded": {
            "patients": len(tested.excluded),
            "of": len(set(tested.subjects.tolist())),
            "median_level": tested.middle,
            "rule": "at a level of 0" if tested.middle == 0 else "below the median level",
        },
        "settings": asdict(params),
        "why": "",
    }
