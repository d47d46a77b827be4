"""Tables that say how far to believe: the phantom's known answer, and the gate."""

from typing import Any

import pandas as pd

from tissuetrace.report.provenance import rules_table
from tissuetrace.report.tables import Table, count, number, text
from tissuetrace.stats.recovery import judge
from tissuetrace.studies.imc.outcome import CohortOutcome, Outcome
from tissuetrace.studies.imc.recovery import BOUNDS

__all__ = ["gate_tables", "recovery_table"]

# Beside the judged numbers, for the reader: key of the recovered numbers, in words.
_BESIDE = {
    "auc": "AUC on unseen patients",
    "auc_oracle": "AUC of the true probabilities on the same patches",
    "called": "channels called",
    "cold_before": "predicted level of cold patients, before",
    "cold_after": "predicted level of cold patients, after",
    "best_single_gain": "rise by the best single target",
    "true_before": "true level of cold patients, before",
    "true_after": "true level of cold patients, after",
}
_NAN = float("nan")


def recovery_table(outcome: Outcome) -> Table:
    """Return the phantom's known answer against what the lane found, by cohort."""
    frames = [_recovered(one) for one in outcome.cohorts.values() if one.recovered]
    columns = ["cohort", "key", "about", "found", "low", "high", "state"]
    return Table(
        name="recovery",
        title="Does the lane find what the phantom hides?",
        caption=(
            "The generator's law is known, so the lane can be scored on it; the true level after "
            "the strategy is computed from the law, not from f. The bounds hold for the mean over "
            "three seeds of 24 patients, 8 retrainings and matched decoys: a single seed may miss "
            "one. Rows without bounds are told beside. This shows that the method works; it "
            "confirms no paper."
        ),
        frame=pd.concat(frames, ignore_index=True)[columns]
        if frames
        else pd.DataFrame(columns=columns),
        columns=(
            text("cohort", "cohort"),
            text("about", "what"),
            number("found", "found"),
            number("low", "from", digits=2),
            number("high", "to", digits=2),
            text("state", "state"),
        ),
    )


def gate_tables(outcome: Outcome) -> list[Table]:
    """Return every rule with what was found, and the counts of the evidence."""
    counts = [
        {"cohort": cohort, "what": str(name).replace("_", " "), "count": value}
        for cohort, told in outcome.evidence.get("counts", {}).items()
        for name, value in told.items()
    ]
    return [
        rules_table(outcome.evidence, note=outcome.note),
        Table(
            name="gate_counts",
            title="What the gate counted",
            caption=outcome.note,
            frame=pd.DataFrame(counts, columns=["cohort", "what", "count"]),
            columns=(text("cohort", "cohort"), text("what", "what"), count("count", "count")),
        ),
    ]


def _recovered(one: CohortOutcome) -> pd.DataFrame:
    judged = judge(one.recovered, BOUNDS)
    states = ["recovered" if passed else "NOT recovered" for passed in judged["passed"]]
    beside: list[dict[str, Any]] = [
        {"key": key, "about": about, "found": one.recovered[key], "low": _NAN, "high": _NAN}
        for key, about in _BESIDE.items()
        if key in one.recovered
    ]
    told = [*judged.assign(state=states).to_dict(orient="records"), *beside]
    frame = pd.DataFrame(told, columns=["key", "about", "found", "low", "high", "state"])
    return frame.assign(cohort=one.name, state=frame["state"].fillna(""))
