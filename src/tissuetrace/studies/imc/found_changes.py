"""What each search found, channel by channel, and the strategy that its retrainings make."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from tissuetrace.explain.strategies import (
    Strategy,
    changes_of_medians,
    channel_medians,
    sign_agreement,
    tumour_strategy,
)
from tissuetrace.stats.agreement import rank_correlation
from tissuetrace.stats.paired import holm
from tissuetrace.stats.patient_medians import group_medians, median_interval
from tissuetrace.stats.signed_rank import signed_rank

if TYPE_CHECKING:
    from tissuetrace.studies.imc.effect import Effect
    from tissuetrace.studies.imc.levels import Scorer

__all__ = ["DEFAULT", "adjusted", "agreements", "channel_table", "found_medians", "strategy_of"]

DEFAULT = "default"  # the variant that the strategy is made of


def found_medians(
    searches: pd.DataFrame,
    *,
    free: Sequence[str],
    scorers: "Sequence[Scorer]",
    predictors: Sequence[str],
    relative: Literal["per_patch", "of_medians"],
) -> pd.DataFrame:
    """Return the relative change of each channel by each search.

    Args:
        searches: the counterfactuals.
        free: channels that could change.
        scorers: the retrainings, for the levels that the other reading divides by.
        predictors: of the cohort.
        relative: the median of the patches' relative changes, or the median change over the
            median level.

    Returns:
        `variant, seed, channel, median, found`, in the order of the searches and of `free`; NaN
        where no found patch tells.
    """
    known = {scorer.seed: scorer for scorer in scorers}
    places = [list(predictors).index(name) for name in free]
    tables = []
    for (variant, seed), rows in searches.groupby(["variant", "seed"], sort=False):
        found = rows[rows["found"] == 1]
        if relative == "per_patch":
            medians = channel_medians(found[[f"relative_{name}" for name in free]].to_numpy())
        else:
            scorer = known[int(str(seed))]
            row_of = dict(zip(scorer.table["item"], range(len(scorer.table)), strict=True))
            x0 = scorer.x[found["item"].map(row_of).to_numpy(np.int64)][:, places]
            delta = found[[f"delta_{name}" for name in free]].to_numpy()
            medians = changes_of_medians(delta, x0, sd=scorer.sd[places])
        tables.append(
            pd.DataFrame(
                {
                    "variant": str(variant),
                    "seed": int(str(seed)),
                    "channel": list(free),
                    "median": medians,
                    "found": len(found) / len(rows),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def strategy_of(
    medians: pd.DataFrame, *, variant: str, free: Sequence[str], params: "Effect"
) -> Strategy:
    """Join what all retrainings found under one variant of the search."""
    return tumour_strategy(
        _wide(medians, variant=variant, free=free),
        aggregate=params.aggregate,
        tolerance=params.tolerance,
        agreement=params.agreement,
    )


def channel_table(
    searches: pd.DataFrame,
    strategy: Strategy,
    *,
    free: Sequence[str],
    control: str,
    params: "Effect",
) -> pd.DataFrame:
    """Return each channel's change with its interval over patients, its test and its calling.

    Args:
        searches: of the default variant.
        strategy: made of them, for the channels of `free`.
        free: channels that could change.
        control: a channel that should tell nothing.
        params: draws and seed of the intervals.
    """
    found = searches[searches["found"] == 1]
    subjects, groups = np.unique(found["subject"], return_inverse=True)
    repeats = found["seed"].to_numpy()
    rows: list[dict[str, Any]] = []
    for place, channel in enumerate(free):
        values = found[f"relative_{channel}"].to_numpy()
        interval = median_interval(
            values, groups, repeats, draws=params.bootstrap, seed=params.seed
        )
        # the interval's own middle may be another where a reading other than the default is taken
        shift = strategy.relative[place] - interval.value
        patients = group_medians(values, groups, repeats, count=len(subjects))
        rows.append(
            {
                "channel": channel,
                "median": strategy.relative[place],
                "low": interval.low + shift,
                "high": interval.high + shift,
                "agreement": strategy.agreement[place],
                "called": int(strategy.called[place]),
                "p": signed_rank(patients),
                "control": int(channel == control),
                "left_out": int(np.isnan(values).sum()),
            }
        )
    table = pd.DataFrame(rows)
    table.insert(7, "p_holm", adjusted(table["p"].to_numpy(np.float64)))
    return table


def adjusted(p: Float[ndarray, " test"]) -> Float[ndarray, " test"]:
    """Adjust the p-values of one family after Holm; a test that could not be made is none."""
    known = ~np.isnan(p)
    found = np.full(len(p), np.nan)
    found[known] = holm(p[known])
    return found


def agreements(
    medians: pd.DataFrame, *, free: Sequence[str], tolerance: float
) -> dict[str, dict[str, float]]:
    """Say how far retrainings agree with each other, and variants with the default search.

    Returns:
        By variant: `sign_agreement`, share of the channels treated alike (raised, lowered, or left
        alone), and `rank_correlation` of the changes. `default` is the mean over pairs of
        retrainings; another variant the mean over the retrainings that both searched. What is
        undefined is absent.
    """
    default = _rows(medians, variant=DEFAULT, free=free)
    seeds = sorted(default)
    pairs = [(default[a], default[b]) for a in seeds for b in seeds if a < b]
    found = {DEFAULT: _agreement(pairs, tolerance)}
    for variant in medians["variant"].unique():
        if variant != DEFAULT:
            other = _rows(medians, variant=str(variant), free=free)
            both = [(default[seed], other[seed]) for seed in sorted({*default} & {*other})]
            found[str(variant)] = _agreement(both, tolerance)
    return found


def _agreement(pairs: Sequence[tuple[ndarray, ndarray]], tolerance: float) -> dict[str, float]:
    signs = [sign_agreement(a, b, tolerance=tolerance) for a, b in pairs]
    ranks = []
    for a, b in pairs:
        told = ~np.isnan(a) & ~np.isnan(b)
        ranks.append(rank_correlation(a[told], b[told]))
    means = {"sign_agreement": signs, "rank_correlation": ranks}
    known = {name: [v for v in values if not np.isnan(v)] for name, values in means.items()}
    return {name: float(np.mean(values)) for name, values in known.items() if values}


def _rows(medians: pd.DataFrame, *, variant: str, free: Sequence[str]) -> dict[int, ndarray]:
    chosen = medians[medians["variant"] == variant]
    wide = _wide(medians, variant=variant, free=free)
    return dict(zip(sorted(chosen["seed"].unique().tolist()), wide, strict=True))


def _wide(
    medians: pd.DataFrame, *, variant: str, free: Sequence[str]
) -> Float[ndarray, "retraining channel"]:
    """Return one row a retraining, by seed."""
    chosen = medians[medians["variant"] == variant]
    wide = chosen.pivot_table("median", "seed", "channel", aggfunc="first", dropna=False)
    return wide.reindex(columns=list(free)).to_numpy(np.float64)
