"""The few numbers of the lane that git keeps and a pull request compares."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tissuetrace.studies.imc.outcome import CohortOutcome

__all__ = ["MEANINGS", "SHARES", "cohort_numbers", "found_rate", "headline_numbers"]

# Seven a cohort, so that two cohorts stay below fifteen.
MEANINGS = {
    "auc": "AUC, unseen patients",
    "auc_gap": "AUC that a split by random patches adds",
    "mcc": "MCC at 0.5, unseen patients",
    "found": "searches that found a counterfactual",
    "level_before": "infiltration of immune-excluded patients, before",
    "level_after": "infiltration of immune-excluded patients, under the strategy",
    "leak_gain": "AUC that knowing the erased area adds",
}
SHARES = frozenset({"found", "level_before", "level_after"})  # shown as percentages

_NAN = float("nan")


def cohort_numbers(cohort: "CohortOutcome") -> dict[str, float]:
    """Return the numbers of one cohort by name; NaN where a step had nothing to measure.

    Args:
        cohort: what was found in it; classifiers and searches of the MLP.
    """
    patient, gap = (
        cohort.score("auc", model="mlp", scheme=scheme, threshold=0).value
        for scheme in ("patient", "random-patient")
    )
    effect = cohort.effect("all")
    before, after = (
        (float(effect[name].iloc[0]) for name in ("before", "after"))
        if len(effect)
        else (_NAN, _NAN)
    )
    gain = cohort.leak.get("gain")
    return {
        "auc": patient,
        "auc_gap": gap,
        "mcc": cohort.score("mcc", model="mlp", scheme="patient", threshold=0.5).value,
        "found": found_rate(cohort),
        "level_before": before,
        "level_after": after,
        "leak_gain": _NAN if gain is None else float(gain),
    }


def found_rate(cohort: "CohortOutcome") -> float:
    """Return the share of the default searches of the MLP that found a counterfactual."""
    table = cohort.counterfactuals
    rows = table[(table["model"] == "mlp") & (table["variant"] == "default")]
    return float(rows["found"].mean()) if len(rows) else _NAN


def headline_numbers(cohorts: Mapping[str, "CohortOutcome"]) -> dict[str, float | None]:
    """Return the numbers of all cohorts as `<cohort>_<name>`; null for what is undefined.

    JSON has no NaN.
    """
    return {
        f"{name}_{key}": None if math.isnan(value) else value
        for name, cohort in cohorts.items()
        for key, value in cohort_numbers(cohort).items()
    }
