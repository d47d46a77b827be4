"""Our own tables of the perturbations: the strategy, what it does, whom it helps."""

from typing import Any

import pandas as pd

from tissuetrace.report.tables import (
    Table,
    count,
    number,
    percent,
    percent_interval,
    text,
)
from tissuetrace.studies.imc.outcome import CohortOutcome, Outcome
from tissuetrace.studies.imc.paper import DIRECTIONS

__all__ = [
    "CAUSATION",
    "channel_table",
    "excluded_levels",
    "patient_table",
    "strategy_table",
    "why_empty",
]

CAUSATION = (
    "A change that raises f is associated with T cells, not shown to bring them: reverse causation "
    "(T cells making chemokines) is not excluded."
)

_PAPER = {1: "raised", -1: "lowered", 0: "left alone"}
_KINDS = {
    "all": "the strategy",
    "single": "one target alone",
    "without": "one target left out",
    "subset": "best subset of its size",
    "beta": "other β",
}

Rows = list[dict[str, Any]]


def channel_table(outcome: Outcome) -> Table:
    """Return the tumour-wide strategy: relative change of each free channel, with its interval."""
    frames = [
        one.channels.assign(
            cohort=one.name,
            paper=[_said(one.name, str(channel)) for channel in one.channels["channel"]],
            applied=[_yes(value) for value in one.channels["called"]],
            is_control=[_yes(value) for value in one.channels["control"]],
        )
        for one in outcome.searched
    ]
    columns = ["cohort", "channel", "median", "low", "high", "agreement", "called", "p", "p_holm"]
    columns += ["control", "paper", "applied", "is_control"]
    frame = _joined(frames, columns)
    frame = frame.rename(columns={"low": "median_low", "high": "median_high"})
    chosen = outcome.settings.effect
    return Table(
        name="strategy_channels",
        title="The strategy: median relative change of each channel",
        caption=(
            "Median per retraining over patches with a counterfactual, then over retrainings, in "
            "raw units. Brackets: 95 % interval from resampling patients. Called and applied: "
            f"|median| above {chosen.tolerance:g} and the same sign in at least "
            f"{100 * chosen.agreement:g} % of the retrainings. p: Wilcoxon over patients' medians, "
            "corrected after Holm over the channels. Control: a channel that should tell nothing; "
            "patients with T cells may differ in everything. Paper: melanoma, Fig. 4A. "
            f"{why_empty(outcome)}{CAUSATION} {outcome.counted()} {outcome.note}"
        ),
        frame=frame,
        columns=(
            text("cohort", "cohort"),
            text("channel", "channel"),
            percent_interval("median", "relative change (%)"),
            percent("agreement", "same sign", digits=0),
            text("applied", "applied"),
            number("p", "p"),
            number("p_holm", "p, Holm"),
            text("paper", "paper"),
            text("is_control", "control"),
        ),
    )


def strategy_table(outcome: Outcome) -> Table:
    """Return effects of the strategy, of its parts, of subsets and of other β (Fig. 4C to 4E)."""
    frames = [
        one.strategies.assign(
            cohort=one.name,
            kind_name=[_KINDS.get(str(kind), str(kind)) for kind in one.strategies["kind"]],
            change=one.strategies["after"] - one.strategies["before"],
        )
        for one in outcome.searched
    ]
    columns = ["cohort", "kind", "strategy", "channels", "size", "found", "before", "after"]
    columns += ["change", "low", "high", "p", "p_holm", "kind_name"]
    frame = _joined(frames, columns)
    frame = frame.rename(columns={"low": "change_low", "high": "change_high"})
    return Table(
        name="strategies",
        title="Effect on immune-excluded tumours: the strategy, its parts, other settings",
        caption=(
            f"Level: share of tumour patches with f > {outcome.settings.effect.p:g}, mean over "
            "retrainings, median over cores of immune-excluded patients. Brackets of the change: "
            "95 % interval from resampling patients. p: Wilcoxon over patients, paired before and "
            "after, corrected after Holm over the strategy, single and left-out targets. Best "
            "subsets are chosen and judged on the same cores: the most that their size can do. "
            "Found: share of searches behind it that reached p. "
            f"{why_empty(outcome)}{CAUSATION} "
            f"{outcome.counted()} {outcome.note}"
        ),
        frame=frame,
        columns=(
            text("cohort", "cohort"),
            text("kind_name", "kind"),
            text("strategy", "strategy"),
            text("channels", "channels"),
            count("size", "targets"),
            percent("found", "found"),
            percent("before", "before"),
            percent("after", "after"),
            percent_interval("change", "change (points)"),
            number("p", "p"),
            number("p_holm", "p, Holm"),
        ),
    )


def excluded_levels(one: CohortOutcome, *, scorer: str = "same") -> pd.DataFrame:
    """Return levels of each immune-excluded patient before and after the strategy (Fig. 4C).

    Args:
        one: whose levels are taken.
        scorer: same (the strategy, by every retraining), own (what a retraining found alone, by
            itself), or other (the same, by all other retrainings).

    Returns:
        `patient` (number), `images`, `tumour_patches`, then medians over the patient's images of
        the mean over retrainings, `before`, `after`, with quartiles `before_low`, `before_high`,
        `after_low`, `after_high`; sorted by number.
    """
    table = one.levels
    chosen = (
        (table["excluded"] == 1) & (table["scorer"] == scorer) & (table["strategy"] == _whole(one))
    )
    means = table[chosen].groupby(["subject", "image"])[["before", "after"]].mean().reset_index()
    tumour = one.patches[one.patches["tumour"] > 0.5].groupby("subject").size()  # noqa: PLR2004  # a tumour patch
    rows: Rows = []
    for subject, part in means.groupby("subject", sort=True):
        row: dict[str, Any] = {"patient": one.patient_numbers[str(subject)], "images": len(part)}
        row["tumour_patches"] = int(tumour.get(subject, 0))
        for name in ("before", "after"):
            row[name] = float(part[name].median())
            row[f"{name}_low"] = float(part[name].quantile(0.25))
            row[f"{name}_high"] = float(part[name].quantile(0.75))
        rows.append(row)
    columns = ["patient", "images", "tumour_patches"]
    columns += [f"{name}{end}" for name in ("before", "after") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=columns)


def patient_table(outcome: Outcome) -> Table:
    """Return the levels of each immune-excluded patient, scored by the same and other models."""
    frames = []
    for one in outcome.searched:
        same = excluded_levels(one)
        n = same["tumour_patches"]
        frames.append(
            same.assign(
                cohort=one.name,
                after_own=_after(one, same, scorer="own"),
                after_other=_after(one, same, scorer="other"),
                difference=same["after"] - same["before"],
                ratio=(same["after"] * n + 1) / (same["before"] * n + 1),
            )
        )
    columns = ["cohort", "patient", "images", "tumour_patches", "before", "after", "after_own"]
    columns += ["after_other", "difference", "ratio"]
    return Table(
        name="excluded_patients",
        title="Immune-excluded patients before and after the strategy",
        caption=(
            "Immune-excluded: level by f before any change strictly below the cohort's median; "
            "where that median is 0, the patients at 0"
            f"{_excluded(outcome)}. Patients are numbered. Median over a "
            "patient's cores of the mean over retrainings. Own: what each retraining found alone, "
            "scored by itself; by others: the same, scored by the retrainings that did not find "
            "it. A fold change from 0 is undefined: the difference, and (after + 1) / (before + 1) "
            f"in patches, stand instead. {why_empty(outcome)}{CAUSATION} {outcome.note}"
        ),
        frame=_joined(frames, columns),
        columns=(
            text("cohort", "cohort"),
            count("patient", "patient"),
            count("images", "cores"),
            count("tumour_patches", "tumour patches"),
            percent("before", "before"),
            percent("after", "after"),
            percent("after_own", "after, own"),
            percent("after_other", "after, by others"),
            percent("difference", "difference"),
            number("ratio", "ratio + 1", digits=1),
        ),
    )


def why_empty(outcome: Outcome) -> str:
    """Say for which cohorts there is no perturbation and why; empty where there is one for all."""
    said = [
        f"No row for {one.name}: {one.why_no_search}."
        for one in outcome.cohorts.values()
        if one.why_no_search
    ]
    return f"{' '.join(said)} " if said else ""


def _excluded(outcome: Outcome) -> str:
    said = [
        f"{one.name} {told['patients']} of {told['of']}, {told['rule']}"
        for one in outcome.searched
        for told in [one.strategy.get("excluded")]
        if told
    ]
    return f" ({'; '.join(said)})" if said else ""


def _after(one: CohortOutcome, rows: pd.DataFrame, *, scorer: str) -> list[float]:
    """Return the level after, of the same patients as other rows have, by another scorer."""
    found = excluded_levels(one, scorer=scorer)
    after = dict(zip(found["patient"], found["after"], strict=True))
    return [after.get(patient, float("nan")) for patient in rows["patient"]]


def _whole(one: CohortOutcome) -> str:
    whole = one.effect("all")
    return str(whole["strategy"].iloc[0]) if len(whole) else ""


def _joined(frames: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    if not frames:
        return pd.DataFrame(columns=columns)
    return pd.concat([frame[columns] for frame in frames], ignore_index=True)


def _said(cohort: str, channel: str) -> str:
    return _PAPER[DIRECTIONS.get(channel, 0)] if cohort == "melanoma" else ""


def _yes(value: object) -> str:
    return "yes" if value else ""
