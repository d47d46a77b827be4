"""Tables that say how far to believe: the phantom's known answer, and the gate."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from tissuetrace.report.provenance import rules_table
from tissuetrace.report.tables import Column, Table, count, general, number, text
from tissuetrace.stats.recovery import judge
from tissuetrace.studies.imc.outcome import CohortOutcome, Outcome
from tissuetrace.studies.imc.recovery import BOUNDS
from tissuetrace.studies.imc.truth import SIGNS

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
_COUNTS = {"called"}
_NAN = float("nan")
_WHOLE, _SHARE = general("found", ""), number("found", "")


def recovery_table(outcome: Outcome) -> Table:
    """Return the phantom's known answer against what the lane found, by cohort."""
    frames = [_recovered(one) for one in outcome.cohorts.values() if one.recovered]
    columns = ["cohort", "key", "about", "found", "low", "high", "allowed", "state"]
    return Table(
        name="recovery",
        title="How much of what the phantom hides is recovered",
        caption=(
            "The generator's law is known, so the lane can be scored on it. True level: the law's "
            "probability that a square of the size of a patch holds a T cell that is not "
            "exhausted, mean over the tumour squares of a patient, then over the cold patients; "
            "after the strategy it is computed from the law, not from f. Predicted level: share of "
            f"tumour patches with f > {outcome.settings.effect.p:g}, a stricter count, mean over "
            "cores, retrainings and cold patients. Cold: drawn with few T cells. The bounds hold "
            "for the mean over three seeds of 24 patients, 8 retrainings and matched decoys: a "
            "single seed may miss one. Rows without bounds are told beside. The rows show how much "
            "of what was put in this method recovers, no more; they say nothing about patients. "
            f"{outcome.counted()} {outcome.note}"
        ),
        frame=pd.concat(frames, ignore_index=True)[columns]
        if frames
        else pd.DataFrame(columns=columns),
        columns=(
            text("cohort", "cohort"),
            text("about", "what"),
            Column(title="found", show=_found),
            text("allowed", "allowed"),
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
    states = [
        f"{_state(passed, found)}{_counted(str(key), one.recovered)}"
        for key, found, passed in zip(judged["key"], judged["found"], judged["passed"], strict=True)
    ]
    beside: list[dict[str, Any]] = [
        {"key": key, "about": about, "found": one.recovered[key], "low": _NAN, "high": _NAN}
        for key, about in _BESIDE.items()
        if key in one.recovered
    ]
    told = [*judged.assign(state=states).to_dict(orient="records"), *beside]
    frame = pd.DataFrame(told, columns=["key", "about", "found", "low", "high", "state"])
    bounds = zip(frame["low"], frame["high"], strict=True)
    return frame.assign(
        cohort=one.name,
        allowed=[_allowed(low, high) for low, high in bounds],
        state=frame["state"].fillna(""),
    )


def _allowed(low: float, high: float) -> str:
    """Say what is allowed; no quantity exceeds 1, and a least value of 0 or below binds none."""
    if low == high:
        return f"{low:.2f}"
    ends = {"at least": low if low > 0 else _NAN, "at most": high if high < 1 else _NAN}
    return ", ".join(f"{word} {end:.2f}" for word, end in ends.items() if math.isfinite(end))


def _state(passed: object, found: float) -> str:
    if not math.isfinite(found):
        return "NOT MEASURED"
    return "within bounds" if passed else "OUT OF BOUNDS"


def _counted(key: str, recovered: Mapping[str, Any]) -> str:
    """Say how many channels a share of them stands for."""
    share, called = (float(recovered.get(name, _NAN)) for name in (key, "called"))
    if key == "sign_recall" and math.isfinite(share):
        return f" ({round(share * len(SIGNS))} of {len(SIGNS)} found)"
    if key == "sign_precision" and math.isfinite(share) and called >= 1:
        false = round((1 - share) * called)
        return f" ({false or 'none'} of {called:.0f} called {'are' if false > 1 else 'is'} false)"
    return ""


def _found(row: Mapping[str, Any]) -> str:
    return (_WHOLE if row["key"] in _COUNTS else _SHARE).show(row)
