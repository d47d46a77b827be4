"""Our own tables of the search: pool and found-rate, agreement of retrainings and variants."""

from typing import Any

import numpy as np
import pandas as pd

from tissuetrace.report.tables import Table, count, number, percent, percent_interval, text
from tissuetrace.studies.imc.outcome import Outcome
from tissuetrace.studies.imc.strategy_tables import why_empty

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
            starts = int(part["starts"].sum())
            row: dict[str, Any] = {
                "cohort": one.name,
                "model": str(model).upper(),
                "variant": str(variant),
            }
            row |= {"retrainings": part["seed"].nunique(), "pool": float(part["pool"].median())}
            row |= {"pool_least": int(part["pool"].min()), "starts": starts}
            row["found"] = float(part["found"].sum()) / starts if starts else float("nan")
            row["distance"] = float(part["distance"].median())
            rows.append(row | {"left_out": int(part["left_out"].sum()), "why": _words(part["why"])})
    columns = ["cohort", "model", "variant", "retrainings", "pool", "pool_least", "starts"]
    columns += ["found", "distance", "left_out", "why"]
    return Table(
        name="searches",
        title="The search: prototypes, found-rate, distance",
        caption=(
            "Pool: training patches that may be a prototype; a small one gives far prototypes. "
            "Distance: β‖δ‖₁ + ‖δ‖² in SD of the channels, median over found patches, then over "
            "retrainings. Left out: relative changes not formed, since the mean before is at or "
            "below the 1st percentile of the channel's positive training means. "
            f"{why_empty(outcome)}{outcome.note}"
        ),
        frame=pd.DataFrame(rows, columns=columns),
        columns=(
            text("cohort", "cohort"),
            text("model", "model"),
            text("variant", "variant"),
            count("retrainings", "retrainings"),
            count("pool", "pool, median"),
            count("pool_least", "pool, least"),
            count("starts", "searches"),
            percent("found", "found"),
            number("distance", "distance", digits=2),
            count("left_out", "left out"),
            text("why", "remark"),
        ),
    )


def agreement_table(outcome: Outcome) -> Table:
    """Return how far retrainings agree, and how far each variant agrees with the default search."""
    rows: Rows = []
    for one in outcome.searched:
        told = one.strategy.get("stability", {})
        found = one.stability.groupby("variant")["found"].mean()
        for variant in sorted(told, key=variant_order):
            row: dict[str, Any] = {"cohort": one.name, "variant": variant}
            for name in ("sign_agreement", "rank_correlation"):
                row[name] = told[variant].get(name, float("nan"))
            rows.append(row | {"found": float(found.get(variant, float("nan")))})
    columns = ["cohort", "variant", "sign_agreement", "rank_correlation", "found"]
    chosen = outcome.settings.perturb
    return Table(
        name="agreements",
        title="Does the strategy hold in other retrainings, for other prototypes and settings?",
        caption=(
            "Default: mean over pairs of retrainings. Others: mean over retrainings that searched "
            f"both, against the default (β = {chosen.beta:g}, k = {chosen.k}). Treated alike: "
            "share of the channels raised, lowered or left alone in both. final: Eq. 1's own "
            "minimiser; compat: the library's recurrence. Medians of every channel: "
            f"tables/stability.csv. {why_empty(outcome)}{outcome.note}"
        ),
        frame=pd.DataFrame(rows, columns=columns),
        columns=(
            text("cohort", "cohort"),
            text("variant", "variant"),
            percent("sign_agreement", "treated alike", digits=0),
            number("rank_correlation", "rank correlation", digits=2),
            percent("found", "found"),
        ),
    )


def stability_table(outcome: Outcome) -> Table:
    """Return the sign of each channel's change over retrainings and variants of the search."""
    rows: Rows = []
    for one in outcome.searched:
        for (variant, channel), part in one.stability.groupby(["variant", "channel"], sort=True):
            medians = part["median"]
            middle = float(medians.median())
            same = float((np.sign(medians) == np.sign(middle)).mean())
            row: dict[str, Any] = {"cohort": one.name, "variant": variant, "channel": channel}
            row |= {"median": middle, "median_low": medians.min(), "median_high": medians.max()}
            row |= {"same_sign": same, "retrainings": len(part)}
            rows.append(row | {"found": float(part["found"].mean())})
    columns = ["cohort", "variant", "channel", "median", "median_low", "median_high", "same_sign"]
    columns += ["retrainings", "found"]
    return Table(
        name="stability",
        title="Does the strategy hold in every retraining and for every k?",
        caption=(
            "Median relative change over found patches: median over retrainings, in brackets the "
            "least and the largest of them. Variants change one setting each. "
            f"{why_empty(outcome)}{outcome.note}"
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


def variant_order(variant: str) -> tuple[bool, str, float]:
    """Return a key that puts the default first, then variants by name and number."""
    name, _, number_text = str(variant).partition("=")
    return name != "default", name, float(number_text or 0)


def _words(values: "pd.Series[Any]") -> str:
    return "; ".join(sorted({str(value) for value in values} - {""}))
