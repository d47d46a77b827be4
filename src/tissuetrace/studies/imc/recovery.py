"""What the phantom's known answer demands of the lane, and what was found of it.

The bounds were set on cohorts of 24 patients, 8 retrainings and matched decoys, for the mean over
three seeds of the generator: a single seed may miss one.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tissuetrace.stats.classification import auc
from tissuetrace.stats.recovery import Bound
from tissuetrace.studies.imc.truth import NULLS, SIGNS, bayes_auc, level, rate_factor

__all__ = [
    "BOUNDS",
    "classifier_recovery",
    "level_recovery",
    "mean_over_seeds",
    "strategy_recovery",
    "true_levels",
]


BOUNDS = (
    Bound(
        key="auc_below_oracle",
        about="AUC on unseen patients, less than that of the true probabilities by",
        low=-1.0,
        high=0.08,
    ),
    Bound(
        key="sign_precision",
        about="share of the called channels that are causal and have the right sign",
        low=0.8,
        high=1.0,
    ),
    Bound(
        key="sign_recall",
        about="share of the causal channels that are called with the right sign",
        low=1.0,
        high=1.0,
    ),
    Bound(
        key="null_largest",
        about="largest |relative change| of a chemokine without effect",
        low=0.0,
        high=0.15,
    ),
    Bound(
        key="combination_gain",
        about="rise of the predicted level of cold patients under the strategy",
        low=0.15,
        high=1.0,
    ),
    Bound(
        key="combination_over_single",
        about="that rise, above the rise by the best single target",
        low=0.15,
        high=1.0,
    ),
    Bound(
        key="true_gain",
        about="rise of the true level of cold patients under the strategy",
        low=0.15,
        high=1.0,
    ),
    Bound(
        key="cold_rising",
        about="share of the cold patients whose predicted level rises",
        low=0.9,
        high=1.0,
    ),
    Bound(
        key="fig3b_r",
        about="correlation over cores of predicted with actual share of positive patches",
        low=0.9,
        high=1.0,
    ),
    Bound(
        key="found_rate",
        about="share of the searches that found a counterfactual",
        low=0.95,
        high=1.0,
    ),
)


def mean_over_seeds(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average the numbers of several seeds; one that a seed lacks is missing."""
    shared = set.intersection(*(set(one) for one in found))
    return {key: float(np.mean([one[key] for one in found])) for key in sorted(shared)}


def classifier_recovery(
    truth: pd.DataFrame, predictions: pd.DataFrame, cores: pd.DataFrame
) -> dict[str, float]:
    """Hold the MLP on unseen patients against the true probabilities.

    Args:
        truth: the phantom's truth of the cohort.
        predictions: of all models, schemes, splits and retrainings.
        cores: `actual` and `predicted` share of positive patches of each core.

    Returns:
        `auc` on the test patches, mean over retrainings; `auc_oracle`, the best AUC in closed form
        on the same patches; `auc_below_oracle`, their difference; `fig3b_r`.
    """
    test = _patient_mlp(predictions).query("split == 'test'")
    test = test.merge(truth[["item", "expected"]], on="item", validate="many_to_one")
    found: list[float] = []
    best: list[float] = []
    for _, rows in test.groupby("seed", sort=True):
        found.append(auc(rows["label"].to_numpy(), rows["probability"].to_numpy()))
        best.append(bayes_auc(rows["expected"].to_numpy()))
    shares = _patient_mlp(cores).dropna(subset=["actual", "predicted"])
    measured, oracle = (float(np.mean(values)) if values else math.nan for values in (found, best))
    return {
        "auc": measured,
        "auc_oracle": oracle,
        "auc_below_oracle": oracle - measured,
        "fig3b_r": _correlation(shares),
    }


def strategy_recovery(strategy: Mapping[str, Any]) -> dict[str, float]:
    """Hold the strategy's signs against the causal ones.

    Args:
        strategy: `channels`, the relative change of every free channel, and `called`, of those
            that are applied.

    Returns:
        `sign_precision`, of the called channels (NaN where none is called); `sign_recall`, of the
        causal channels; `null_largest`, largest absolute relative change of a chemokine without
        effect, called or not; `called`, how many channels are.
    """
    called = strategy["called"]
    right = sum(change * SIGNS.get(name, 0) > 0 for name, change in called.items())
    nulls = [abs(change) for name, change in strategy["channels"].items() if name in NULLS]
    return {
        "sign_precision": right / len(called) if called else math.nan,
        "sign_recall": right / len(SIGNS),
        "null_largest": max(nulls, default=math.nan),
        "called": float(len(called)),
    }


def level_recovery(
    truth: pd.DataFrame, levels: pd.DataFrame, strategies: pd.DataFrame
) -> dict[str, float]:
    """Hold predicted levels of the truly cold patients against what is asked of the strategy.

    Args:
        truth: the phantom's truth of the cohort.
        levels: share of tumour patches called infiltrated, `before` and `after` each strategy, by
            image, retraining and scorer; those scored by the retraining itself count.
        strategies: `strategy` and `kind`: all for the combination, single for one target.

    Returns:
        `cold_before`, `cold_after`, `combination_gain`: means over a patient's cores and
        retrainings, then over cold patients; `best_single_gain` and `combination_over_single`;
        `cold_rising`, share of cold patients whose level rises.
    """
    cold = set(truth.loc[truth["hot"] < 0, "subject"])
    rows = levels[levels["subject"].isin(cold) & (levels["scorer"] == "same")]
    rows = rows.merge(strategies[["strategy", "kind"]].drop_duplicates(), on="strategy")
    combined = _by_patient(rows[rows["kind"] == "all"])
    gain = float((combined["after"] - combined["before"]).mean())
    singles = [
        float((one["after"] - one["before"]).mean())
        for _, part in rows[rows["kind"] == "single"].groupby("strategy", sort=True)
        for one in [_by_patient(part)]
    ]
    best = max(singles, default=math.nan)
    return {
        "cold_before": float(combined["before"].mean()),
        "cold_after": float(combined["after"].mean()),
        "combination_gain": gain,
        "best_single_gain": best,
        "combination_over_single": gain - best,
        "cold_rising": _share(combined["after"] > combined["before"]),
    }


def true_levels(truth: pd.DataFrame, called: Mapping[str, float]) -> dict[str, float]:
    """Return the true level of cold patients before and after what is applied, in closed form.

    Args:
        truth: the phantom's truth of the cohort.
        called: applied channels and their relative change.

    Returns:
        `true_before`, `true_after`, `true_gain`: mean probability of a T cell that is not exhausted
        over a patient's tumour squares, then over cold patients.
    """
    cold = (truth["hot"] < 0).to_numpy()
    before, after = (level(truth, cold, factor=factor) for factor in (1.0, rate_factor(called)))
    return {"true_before": before, "true_after": after, "true_gain": after - before}


def _patient_mlp(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["scheme"] == "patient") & (table["model"] == "mlp")]


def _correlation(shares: pd.DataFrame) -> float:
    flat = shares[["actual", "predicted"]].nunique().min() < 2  # noqa: PLR2004  # one value
    if shares.empty or flat:
        return math.nan
    return float(np.corrcoef(shares["actual"], shares["predicted"])[0, 1])


def _by_patient(levels: pd.DataFrame) -> pd.DataFrame:
    """Average a patient's cores within a retraining, then the retrainings."""
    numbers = ["before", "after"]
    return levels.groupby(["subject", "seed"])[numbers].mean().groupby("subject").mean()


def _share(holds: "pd.Series[bool]") -> float:
    return float(holds.mean()) if len(holds) else math.nan
