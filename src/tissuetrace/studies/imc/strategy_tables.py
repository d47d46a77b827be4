"""Our own tables of the perturbations: the strategy, and what it and its parts do."""

from typing import Any

import pandas as pd

from tissuetrace.report.tables import (
    ABSENT,
    Column,
    Table,
    count,
    filled,
    p_value,
    percent,
    percent_interval,
    points,
    text,
)
from tissuetrace.studies.imc.effect_levels import (
    core_levels,
    excluded_count,
    level_summary,
    mean_over_retrainings,
    unseen_rows,
)
from tissuetrace.studies.imc.known_answer import calls, false_mark, listed, nulls_at
from tissuetrace.studies.imc.outcome import CohortOutcome, Outcome
from tissuetrace.studies.imc.paper import DIRECTIONS
from tissuetrace.studies.imc.trainings import weak_variants
from tissuetrace.studies.imc.variants import variant_name, which_retrainings

__all__ = [
    "CAUSATION",
    "UNSEEN",
    "channel_table",
    "joined",
    "strategy_table",
    "why_empty",
]

CAUSATION = (
    "A change that raises f is associated with T cells, not shown to bring them: reverse causation "
    "(T cells making chemokines) is not excluded."
)
UNSEEN = (
    "Unseen: scored only by the retrainings that had not trained on the patient, in whose "
    "validation or test set it lay; all other levels are mostly in-sample. The strategy itself was "
    "found with patches of all patients."
)
# of the tests beside the intervals
_BRACKETS = (
    "Brackets: 95 % interval from resampling patients, value ± t · standard error; they are "
    "symmetric, so they may pass 0 or 100 %. p asks something else, whether the changes of the "
    "patients lean to one side, so that a median of 0 can have a small p."
)

_PAPER = {1: "raised", -1: "lowered", 0: "left alone"}
_KINDS = {
    "all": "the strategy",
    "single": "one target alone",
    "without": "one target left out",
    "subset": "best subset of its size",
    "beta": "other β",
}
_EXACT = 50  # pairs up to which the signed-rank test counts all signs
_TINY = 1e-4  # p below which its size says nothing
_NOTED = 0.05  # p after Holm below which a channel without effect is named
_LEVELS = ("before", "after", "before_mean", "after_mean")


def channel_table(outcome: Outcome) -> Table:
    """Return the tumour-wide strategy: relative change of each free channel, with its interval."""
    frames = [_channels(outcome, one) for one in outcome.searched]
    columns = ["cohort", "channel", "median", "low", "high", "agreement", "called", "p", "p_holm"]
    columns += ["control", "paper", "applied", "is_control"]
    frame = joined(frames, columns).rename(columns={"low": "median_low", "high": "median_high"})
    chosen = outcome.settings.effect
    control = (
        "Control: a channel that should tell nothing; patients with T cells may differ in "
        "everything. "
    )
    return Table(
        name="strategy_channels",
        title="The strategy: median relative change of each channel",
        caption=(
            "Median per retraining over patches with a counterfactual, then over retrainings, in "
            "raw units. Same sign: share of the retrainings with the sign of that median, a dash "
            f"where it is 0. Called and applied: |median| above {chosen.tolerance:g} and the same "
            f"sign in at least {100 * chosen.agreement:g} % of the retrainings. {_BRACKETS} p: "
            "Wilcoxon over patients' medians, corrected after Holm over the channels. "
            f"{_least_p(_searched_patients(outcome))}{_nulls(outcome)}"
            f"{control if frame['is_control'].any() else ''}"
            f"{'Paper: melanoma, Fig. 4A. ' if frame['paper'].any() else ''}"
            f"{why_empty(outcome)}{CAUSATION} {outcome.counted()} {outcome.note}"
        ),
        frame=frame,
        columns=filled(
            frame,
            (
                text("cohort", "cohort"),
                text("channel", "channel"),
                percent_interval("median", "relative change (%)"),
                percent("agreement", "same sign", digits=0),
                text("applied", "applied"),
                p_value("p", "p"),
                p_value("p_holm", "p, Holm"),
                text("paper", "paper"),
                text("is_control", "control"),
            ),
        ),
    )


def strategy_table(outcome: Outcome) -> Table:
    """Return effects of the strategy, of its parts, of subsets and of other β (Fig. 4C to 4E)."""
    columns = ["cohort", "kind", "strategy", "channels", "size", "retrainings", "found", *_LEVELS]
    columns += ["change", "low", "high", "unseen_change", "unseen_patients", "p", "p_holm"]
    columns += ["kind_name", "name"]
    frame = joined([_effects(one) for one in outcome.searched], columns)
    frame = frame.rename(columns={"low": "change_low", "high": "change_high"})
    return Table(
        name="strategies",
        title="Effect on immune-excluded tumours: the strategy, its parts, other settings",
        caption=(
            f"Level: share of tumour patches with f > {outcome.settings.effect.p:g}, mean over "
            "retrainings; median over cores of immune-excluded patients, in parentheses the mean "
            f"over these cores. Change: of the median. {_BRACKETS} p: Wilcoxon over patients, "
            "paired before and after, corrected after Holm over the strategy, single and left-out "
            f"targets. {_least_p({one.name: excluded_count(one) for one in outcome.searched})}"
            f"{UNSEEN} Retrainings: whose searches the strategy is made of; all of them score it. "
            f"{which_retrainings(outcome, ['mlp'])} {weak_variants(outcome, ['mlp'])} Best "
            "subsets are chosen and judged on the same cores: the most that their size can do. "
            "Found: share of searches behind it that reached p. "
            f"{why_empty(outcome)}{CAUSATION} {outcome.counted()} {outcome.note}"
        ),
        frame=frame,
        columns=(
            text("cohort", "cohort"),
            text("kind_name", "kind"),
            text("name", "strategy"),
            text("channels", "channels"),
            count("size", "targets"),
            count("retrainings", "retrainings"),
            percent("found", "found"),
            _with_mean("before"),
            _with_mean("after"),
            percent_interval("change", "change (points)"),
            points("unseen_change", "change, unseen (points)"),
            p_value("p", "p"),
            p_value("p_holm", "p, Holm"),
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


def joined(frames: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """Put tables of cohorts below each other; without any, a table without a row."""
    if not frames:
        return pd.DataFrame(columns=columns)
    return pd.concat([frame[columns] for frame in frames], ignore_index=True)


def _channels(outcome: Outcome, one: CohortOutcome) -> pd.DataFrame:
    table = one.channels
    called = calls(one)
    marks = {
        channel: false_mark(channel, sign) if outcome.is_phantom else ""
        for channel, sign in called.items()
    }
    applied = {
        channel: f"yes ({marks[channel]})" if marks[channel] else _yes(sign)
        for channel, sign in called.items()
    }
    return table.assign(
        cohort=one.name,
        # a channel whose median is 0 has no sign that retrainings could share
        agreement=table["agreement"].where(table["median"].abs() > 0),
        paper=[_said(one.name, str(channel)) for channel in table["channel"]],
        applied=[applied[str(channel)] for channel in table["channel"]],
        is_control=[_yes(value) for value in table["control"]],
    )


def _effects(one: CohortOutcome) -> pd.DataFrame:
    table = one.strategies
    levels = [level_summary(core_levels(one, str(name))) for name in table["strategy"]]
    alone = unseen_rows(one)
    unseen = [mean_over_retrainings(alone[alone["strategy"] == name]) for name in table["strategy"]]
    searched = one.pool[one.pool["model"] == "mlp"].groupby("variant")["seed"].nunique()
    default = searched.get("default", 0)
    return table.assign(
        cohort=one.name,
        name=[variant_name(str(name)) for name in table["strategy"]],
        kind_name=[_KINDS.get(str(kind), str(kind)) for kind in table["kind"]],
        retrainings=[searched.get(str(name), default) for name in table["strategy"]],
        change=table["after"] - table["before"],
        before_mean=[one["before_mean"] for one in levels],
        after_mean=[one["after_mean"] for one in levels],
        unseen_change=[level_summary(cores)["change"] for cores in unseen],
        unseen_patients=[cores["subject"].nunique() for cores in unseen],
    )


def _with_mean(key: str) -> Column:
    """Show a median level with the mean beside it."""
    median, mean = percent(key, ""), percent(f"{key}_mean", "")

    def show(row: Any) -> str:  # noqa: ANN401  # a row of a table
        value = median.show(row)
        return value if value == ABSENT else f"{value} ({mean.show(row)})"

    return Column(title=f"{key}, median (mean)", show=show)


def _searched_patients(outcome: Outcome) -> dict[str, int]:
    return {
        one.name: int(found["subject"].nunique())
        for one in outcome.searched
        for table in [one.counterfactuals]
        for found in [table[(table["variant"] == "default") & (table["found"] == 1)]]
    }


def _least_p(patients: dict[str, int]) -> str:
    """Say how small p can be with so few patients."""
    said = [
        f"{name} {_small(2.0 ** (1 - n))} with {n}"
        for name, n in patients.items()
        if 0 < n <= _EXACT
    ]
    if not said:
        return ""
    return f"Least p that n patients allow, 2^(1−n): {', '.join(said)}. "  # noqa: RUF001  # a minus sign


def _small(p: float) -> str:
    return f"{p:.2g}" if p >= _TINY else f"below {_TINY:.4f}"


def _nulls(outcome: Outcome) -> str:
    """Say that p does not tell causal from correlated channels, with those of a phantom."""
    said = "p does not tell a causal channel from one that goes along with it. "
    if not outcome.is_phantom:
        return said
    found = [
        f"{one.name} {listed(names)}"
        for one in outcome.searched
        for names in [nulls_at(one, below=_NOTED)]
        if names
    ]
    if not found:
        return said
    return f"{said}Without effect and yet below {_NOTED:g} after Holm: {'; '.join(found)}. "


def _said(cohort: str, channel: str) -> str:
    return _PAPER[DIRECTIONS.get(channel, 0)] if cohort == "melanoma" else ""


def _yes(value: object) -> str:
    return "yes" if value else ""
