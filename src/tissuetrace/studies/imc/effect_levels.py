"""Levels of immune-excluded patients before and after a strategy, and who has not seen them."""

from typing import Any

import pandas as pd

from tissuetrace.studies.imc.cohorts import TUMOUR_SHARE
from tissuetrace.studies.imc.outcome import CohortOutcome

__all__ = [
    "core_levels",
    "excluded_count",
    "excluded_levels",
    "label_share",
    "level_summary",
    "mean_over_retrainings",
    "unseen_levels",
    "unseen_rows",
    "whole_strategy",
]

_BOTH = ["before", "after"]


def whole_strategy(one: CohortOutcome) -> str:
    """Return the name of the whole strategy; empty where there is none."""
    whole = one.effect("all")
    return str(whole["strategy"].iloc[0]) if len(whole) else ""


def excluded_count(one: CohortOutcome) -> int:
    """Return how many immune-excluded patients have levels."""
    return int(one.levels.loc[one.levels["excluded"] == 1, "subject"].nunique())


def core_levels(one: CohortOutcome, strategy: str, *, scorer: str = "same") -> pd.DataFrame:
    """Return `subject, image, before, after` of immune-excluded patients, mean over retrainings.

    Args:
        one: whose levels are taken.
        strategy: by its name.
        scorer: same (the strategy, by every retraining), own (what a retraining found alone, by
            itself), or other (the same, by all other retrainings).
    """
    table = one.levels
    return mean_over_retrainings(
        table[
            (table["excluded"] == 1) & (table["scorer"] == scorer) & (table["strategy"] == strategy)
        ]
    )


def unseen_rows(one: CohortOutcome) -> pd.DataFrame:
    """Return levels of every strategy by the retrainings that had not trained on the patient.

    A retraining may have its patient in the validation set, which chose its epoch, or in the test
    set. The strategies themselves were found with patches of all patients.

    Returns:
        Rows of immune-excluded patients, scored by one retraining each.
    """
    said = one.predictions
    splits = said[(said["model"] == "mlp") & (said["scheme"] == "patient")]
    trained = splits.loc[splits["split"] == "train", ["subject", "seed"]].drop_duplicates()
    table = one.levels
    rows = table[(table["excluded"] == 1) & (table["scorer"] == "same")]
    rows = rows.merge(trained, on=["subject", "seed"], how="left", indicator="trained")
    return rows[rows["trained"] == "left_only"].drop(columns="trained")


def unseen_levels(one: CohortOutcome, strategy: str) -> pd.DataFrame:
    """Return `core_levels` of the retrainings that had not trained on the patient.

    Returns:
        With `models`, how many these are; a core that all of them trained on is absent.
    """
    rows = unseen_rows(one)
    rows = rows[rows["strategy"] == strategy]
    models = rows.groupby(["subject", "image"])["seed"].nunique().rename("models").reset_index()
    return mean_over_retrainings(rows).merge(models, on=["subject", "image"])


def mean_over_retrainings(rows: pd.DataFrame) -> pd.DataFrame:
    """Return `subject, image, before, after`, means of the rows of each core."""
    return rows.groupby(["subject", "image"])[_BOTH].mean().reset_index()


def level_summary(cores: pd.DataFrame) -> dict[str, float]:
    """Return medians and means over cores, and the change of the median; NaN without a core."""
    found = {name: float(cores[name].median()) for name in _BOTH}
    found |= {f"{name}_mean": float(cores[name].mean()) for name in _BOTH}
    return found | {"change": found["after"] - found["before"]}


def label_share(one: CohortOutcome) -> float:
    """Share of the tumour patches of immune-excluded patients that hold T cells by label."""
    excluded = one.levels.loc[one.levels["excluded"] == 1, "subject"].unique()
    patches = one.patches
    tumour = patches[(patches["tumour"] > TUMOUR_SHARE) & patches["subject"].isin(excluded)]
    return float(tumour["label"].mean())


def excluded_levels(one: CohortOutcome, *, scorer: str = "same") -> pd.DataFrame:
    """Return levels of each immune-excluded patient before and after the strategy (Fig. 4C).

    Args:
        one: whose levels are taken.
        scorer: as in `core_levels`, or unseen (retrainings that had not trained on the patient).

    Returns:
        `patient` (number), `images`, `tumour_patches`, then medians over the patient's images of
        the mean over retrainings, `before`, `after`, with quartiles `before_low`, `before_high`,
        `after_low`, `after_high`; sorted by number.
    """
    whole = whole_strategy(one)
    means = (
        unseen_levels(one, whole) if scorer == "unseen" else core_levels(one, whole, scorer=scorer)
    )
    tumour = one.patches[one.patches["tumour"] > TUMOUR_SHARE].groupby("subject").size()
    rows: list[dict[str, Any]] = []
    for subject, part in means.groupby("subject", sort=True):
        row: dict[str, Any] = {"patient": one.patient_numbers[str(subject)], "images": len(part)}
        row["tumour_patches"] = int(tumour.get(subject, 0))
        for name in _BOTH:
            row[name] = float(part[name].median())
            row[f"{name}_low"] = float(part[name].quantile(0.25))
            row[f"{name}_high"] = float(part[name].quantile(0.75))
        rows.append(row)
    columns = ["patient", "images", "tumour_patches"]
    columns += [f"{name}{end}" for name in _BOTH for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=columns)
