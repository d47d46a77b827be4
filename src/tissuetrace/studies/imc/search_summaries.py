"""Our own tables of the search: pool and found-rate, agreement of retrainings and variants."""

from typing import Any

import numpy as np
import pandas as pd

from tissuetrace.report.tables import (
    Table,
    count,
    filled,
    number,
    percent,
    percent_interval,
    text,
)
from tissuetrace.studies.imc.outcome import Outcome
from tissuetrace.studies.imc.strategy_tables import why_empty
from tissuetrace.studies.imc.trainings import weak_variants
from tissuetrace.studies.imc.variants import (
    explained,
    repeats_default,
    variant_name,
    variant_order,
    which_retrainings,
)

__all__ = ["agreement_table", "search_table", "stability_table", "variant_order"]

Rows = list[dict[str, Any]]


def search_table(outcome: Outcome) -> Table:
    """Return pool, searches, found-rate and distance of each variant of the search."""
    rows: Rows = []
    for one in outcome.cohorts.values():
        searched = one.pool[one.pool["variant"] != "none"]
        groups = dict(list(searched.groupby(["model", "variant"])))
        for model, variant in sorted(
            groups, key=lambda key: (key[0] != "mlp", variant_order(str(key[1])))
        ):
            part = groups[model, variant]
            row: dict[str, Any] = {"cohort": one.name, "model": str(model).upper()}
            row |= {"variant": str(variant), "name": variant_name(str(variant))}
            rows.append(row | _searched(part, channels=len(one.settings.free)))
    columns = ["cohort", "model", "variant", "retrainings", "pool", "pool_least", "starts"]
    columns += ["found", "distance", "left_out", "changes", "why", "name", "left_out_of"]
    frame = pd.DataFrame(rows, columns=columns)
    return Table(
        name="searches",
        title="The search: prototypes, found-rate, distance",
        caption=(
            f"{explained(frame['variant'])} {which_retrainings(outcome)} {weak_variants(outcome)} "
            "Pool: training patches that may be a prototype; a small one gives far prototypes. "
            "Distance: β‖δ‖₁ + ‖δ‖² with δ in SD of the channels, median over found patches, then "
            "over retrainings; it is in no unit, and comparable at equal β only. Left out: "
            "relative changes not formed, since the mean before is at or below the 1st percentile "
            "of the channel's positive training means; of all changes of found patches, one a free "
            f"channel. {why_empty(outcome)}{outcome.counted()} {outcome.note}"
        ),
        frame=frame,
        columns=filled(
            frame,
            (
                text("cohort", "cohort"),
                text("model", "model"),
                text("name", "variant"),
                count("retrainings", "retrainings"),
                count("pool", "pool, median"),
                count("pool_least", "pool, least"),
                count("starts", "searches"),
                percent("found", "found"),
                number("distance", "distance", digits=2),
                text("left_out_of", "left out"),
                text("why", "remark"),
            ),
        ),
    )


def agreement_table(outcome: Outcome) -> Table:
    """Return how far retrainings agree, and how far each variant agrees with the default search."""
    rows: Rows = []
    chosen = outcome.settings.perturb
    for one in outcome.searched:
        told = one.strategy.get("stability", {})
        searched = one.stability.groupby("variant")
        found, seeds = searched["found"].mean(), searched["seed"].nunique()
        for variant in sorted(told, key=variant_order):
            if repeats_default(variant, chosen):
                continue
            row: dict[str, Any] = {"cohort": one.name, "variant": variant}
            row |= {"name": variant_name(variant), "retrainings": seeds.get(variant, 0)}
            for name in ("sign_agreement", "rank_correlation"):
                row[name] = told[variant].get(name, float("nan"))
            rows.append(row | {"found": float(found.get(variant, float("nan")))})
    columns = ["cohort", "variant", "retrainings", "sign_agreement", "rank_correlation", "found"]
    frame = pd.DataFrame(rows, columns=[*columns, "name"])
    return Table(
        name="agreements",
        title="How alike are the strategies of other retrainings, models and settings?",
        caption=(
            "Default: mean over pairs of retrainings. Others: mean over retrainings that searched "
            f"both, against the default (β = {chosen.beta:g}, k = {chosen.k}; rows that repeat it "
            "are left out). CNN: against the MLP of the same split, in patches of its own. Treated "
            "alike: share of the channels raised, lowered or left alone in both, where a change up "
            f"to {outcome.settings.effect.tolerance:g} is none. {explained(frame['variant'])} "
            f"{which_retrainings(outcome)} {weak_variants(outcome)} Medians of every channel: "
            f"tables/stability.csv. {why_empty(outcome)}{outcome.counted()} {outcome.note}"
        ),
        frame=frame,
        columns=(
            text("cohort", "cohort"),
            text("name", "variant"),
            count("retrainings", "retrainings"),
            percent("sign_agreement", "treated alike", digits=0),
            number("rank_correlation", "rank correlation", digits=2),
            percent("found", "found"),
        ),
    )


def stability_table(outcome: Outcome) -> Table:
    """Return the sign of each channel's change over retrainings and variants of the search."""
    rows: Rows = []
    for one in outcome.searched:
        told = one.stability.groupby(["variant", "seed"])["median"].transform("count") > 0
        for (variant, channel), part in one.stability[told].groupby(
            ["variant", "channel"], sort=True
        ):
            medians = part["median"]
            middle = float(medians.median())
            row: dict[str, Any] = {"cohort": one.name, "variant": variant, "channel": channel}
            row |= {"median": middle, "median_low": medians.min(), "median_high": medians.max()}
            row |= {"same_sign": _same_sign(medians, middle), "retrainings": len(part)}
            rows.append(row | {"found": float(part["found"].mean())})
    columns = ["cohort", "variant", "channel", "median", "median_low", "median_high", "same_sign"]
    columns += ["retrainings", "found"]
    return Table(
        name="stability",
        title="Does the strategy hold in every retraining and for every k?",
        caption=(
            "Median relative change over found patches: median over retrainings, in brackets the "
            "least and the largest of them. Same sign: share of the retrainings with the sign of "
            "that median, empty where it is 0. compat, final, β and k change one setting of the "
            "default; the CNN's rows have another model and patches of its own. "
            f"{why_empty(outcome)}{outcome.counted()} {outcome.note}"
        ),
        frame=pd.DataFrame(rows, columns=columns),
        columns=(
            text("cohort", "cohort"),
            text("variant", "variant"),
            text("channel", "channel"),
            percent_interval("median", "relative change (%)"),
            percent("same_sign", "same sign", digits=0),
            count("retrainings", "retrainings"),
            percent("found", "found", digits=0),
        ),
    )


def _searched(part: pd.DataFrame, *, channels: int) -> dict[str, Any]:
    """Return what one model found under one variant; `changes` is how many could be formed."""
    starts, found, left_out = (int(part[name].sum()) for name in ("starts", "found", "left_out"))
    return {
        "retrainings": part["seed"].nunique(),
        "pool": float(part["pool"].median()),
        "pool_least": int(part["pool"].min()),
        "starts": starts,
        "found": found / starts if starts else float("nan"),
        "distance": float(part["distance"].median()),
        "left_out": left_out,
        "changes": found * channels,
        "left_out_of": f"{left_out:,} of {found * channels:,}",
        "why": _words(part["why"]),
    }


def _same_sign(medians: "pd.Series[float]", middle: float) -> float:
    """Share of the retrainings with the sign of their median; NaN where that has none."""
    if middle == 0 or np.isnan(middle):
        return float("nan")
    return float((np.sign(medians) == np.sign(middle)).mean())


def _words(values: "pd.Series[Any]") -> str:
    return "; ".join(sorted({str(value) for value in values} - {""}))
