"""What the strategy does to each immune-excluded patient, and who scores it."""

import pandas as pd

from tissuetrace.report.tables import Table, count, number, percent, points, text
from tissuetrace.studies.imc.effect_levels import excluded_levels, unseen_levels, whole_strategy
from tissuetrace.studies.imc.outcome import CohortOutcome, Outcome
from tissuetrace.studies.imc.strategy_tables import CAUSATION, UNSEEN, joined, why_empty

__all__ = ["patient_levels", "patient_table"]


def patient_levels(one: CohortOutcome) -> pd.DataFrame:
    """Return the levels of each immune-excluded patient, scored by same, other and unseen models.

    Returns:
        The columns of `excluded_levels`, then `after_own`, `after_other`, `difference`, `ratio`
        ((after + 1) / (before + 1) in patches), `unseen_before`, `unseen_after`,
        `unseen_difference` and `unseen_models`.
    """
    same = excluded_levels(one)
    own, other, unseen = (
        excluded_levels(one, scorer=scorer).set_index("patient").reindex(same["patient"])
        for scorer in ("own", "other", "unseen")
    )
    n = same["tumour_patches"]
    return same.assign(
        after_own=own["after"].to_numpy(),
        after_other=other["after"].to_numpy(),
        difference=same["after"] - same["before"],
        ratio=(same["after"] * n + 1) / (same["before"] * n + 1),
        unseen_before=unseen["before"].to_numpy(),
        unseen_after=unseen["after"].to_numpy(),
        unseen_difference=(unseen["after"] - unseen["before"]).to_numpy(),
        unseen_models=_models(one).reindex(same["patient"]).to_numpy(),
    )


def patient_table(outcome: Outcome) -> Table:
    """Return the levels of each immune-excluded patient, scored by the same and other models."""
    frames = [patient_levels(one).assign(cohort=one.name) for one in outcome.searched]
    columns = ["cohort", "patient", "images", "tumour_patches", "before", "after", "after_own"]
    columns += ["after_other", "difference", "ratio", "unseen_before", "unseen_after"]
    columns += ["unseen_difference", "unseen_models"]
    train = 100 * outcome.settings.split.fractions[0]
    return Table(
        name="excluded_patients",
        title="Immune-excluded patients before and after the strategy",
        caption=(
            "Immune-excluded: level by f before any change strictly below the cohort's median; "
            "where that median is 0, the patients at 0"
            f"{_excluded(outcome)}. Patients are numbered. Median over a "
            "patient's cores of the mean over retrainings. Own: what each retraining found, of the "
            "channels that all together call, scored by itself; by others: the same, scored by the "
            "retrainings that did not find it. Others are not unseen: each retraining trains on "
            f"about {train:g} % of the patients. {UNSEEN} Models: how many these are; a dash where "
            "all had. A fold change from 0 is undefined: the difference, and (after + 1) / "
            f"(before + 1) in patches, stand instead. {why_empty(outcome)}{CAUSATION} "
            f"{outcome.counted()} {outcome.note}"
        ),
        frame=joined(frames, columns),
        columns=(
            text("cohort", "cohort"),
            count("patient", "patient"),
            count("images", "cores"),
            count("tumour_patches", "tumour patches"),
            percent("before", "before"),
            percent("after", "after"),
            points("difference", "difference (points)"),
            number("ratio", "(after+1)/(before+1)", digits=1),
            percent("after_own", "after, own"),
            percent("after_other", "after, by others"),
            points("unseen_difference", "difference, unseen (points)"),
            count("unseen_models", "models, unseen"),
        ),
    )


def _excluded(outcome: Outcome) -> str:
    said = [
        f"{one.name} {told['patients']} of {told['of']}, {told['rule']}"
        for one in outcome.searched
        for told in [one.strategy.get("excluded")]
        if told
    ]
    return f" ({'; '.join(said)})" if said else ""


def _models(one: CohortOutcome) -> "pd.Series[float]":
    """Return by patient's number how many retrainings had not trained on the patient."""
    cores = unseen_levels(one, whole_strategy(one))
    patients = cores["subject"].map(one.patient_numbers)
    return cores.groupby(patients)["models"].max().astype("float64")
