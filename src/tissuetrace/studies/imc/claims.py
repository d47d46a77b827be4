"""What the paper says of its perturbations, with ours beside."""

import math

import pandas as pd

from tissuetrace.report.tables import Table, text
from tissuetrace.studies.imc.known_answer import calls, listed
from tissuetrace.studies.imc.outcome import CohortOutcome, Outcome
from tissuetrace.studies.imc.paper import CLAIMS
from tissuetrace.studies.imc.patient_tables import patient_levels
from tissuetrace.studies.imc.strategy_tables import UNSEEN, why_empty

__all__ = ["claim_table"]

_PERTURBED = "melanoma"  # the paper perturbs no other cohort
_TITLES = {
    "targets": "targets of the strategy",
    "fold": "infiltration of immune-excluded patients, fold",
    "improve": "immune-excluded patients that improve",
    "single": "one target alone",
    "size": "how many targets",
}
_WITHOUT = "not defined"


def claim_table(outcome: Outcome) -> Table:
    """Return each claim of the paper about its perturbations beside what was found here."""
    rows = [
        {
            "cohort": one.name,
            "claim": title,
            "paper": CLAIMS[key] if one.name == _PERTURBED else "",
            "here": found[key],
        }
        for one in outcome.searched
        for found in [_found(one)]
        for key, title in _TITLES.items()
    ]
    meaning = (
        "Ours is a phantom, so this compares nothing with patients: it says whether the same "
        "steps lead to statements of the same kind. "
    )
    return Table(
        name="claims",
        title="What the paper says of its perturbations, and what was found here",
        caption=(
            "Paper: melanoma, Fig. 4 and its text; the breast cohort has no perturbation there. "
            "Fold: median over patients of (after + 1) / (before + 1) in patches. Points: change "
            "of the median level over cores. Subsets are the best of their size, chosen and judged "
            f"on the same cores. {UNSEEN} "
            f"{meaning if outcome.is_phantom else ''}{why_empty(outcome)}{outcome.counted()} "
            f"{outcome.note}"
        ),
        frame=pd.DataFrame(rows, columns=["cohort", "claim", "paper", "here"]),
        columns=(
            text("cohort", "cohort"),
            text("claim", "claim"),
            text("paper", "paper"),
            text("here", "here"),
        ),
    )


def _found(one: CohortOutcome) -> dict[str, str]:
    patients = patient_levels(one)
    return {
        "targets": _targets(one),
        "fold": _fold(patients),
        "improve": _improve(patients),
        "single": _single(one),
        "size": _sizes(one),
    }


def _targets(one: CohortOutcome) -> str:
    called = calls(one)
    sides = {"raised": 1, "lowered": -1}
    said = [
        f"{listed(names)} {verb}"
        for verb, way in sides.items()
        for names in [[channel for channel, sign in called.items() if sign == way]]
        if names
    ]
    return ", ".join(said) or "none"


def _fold(patients: pd.DataFrame) -> str:
    ratio = float(patients["ratio"].median())
    return f"{ratio:.1f}" if math.isfinite(ratio) else _WITHOUT


def _improve(patients: pd.DataFrame) -> str:
    if patients.empty:
        return _WITHOUT
    all_models, unseen = (patients[name] for name in ("difference", "unseen_difference"))
    return (
        f"{int((all_models > 0).sum())} of {len(patients)}; unseen "
        f"{int((unseen > 0).sum())} of {int(unseen.notna().sum())}"
    )


def _single(one: CohortOutcome) -> str:
    singles, whole = one.effect("single"), one.effect("all")
    singles = singles.assign(change=singles["after"] - singles["before"]).dropna(subset=["change"])
    if singles.empty or whole.empty:
        return _WITHOUT
    best = singles.sort_values("change", kind="stable").iloc[-1]
    told = float(whole["after"].iloc[0] - whole["before"].iloc[0])
    return (
        f"the best, {best['strategy']}, changes {_points(float(best['change']))}, the whole "
        f"strategy {_points(told)}"
    )


def _sizes(one: CohortOutcome) -> str:
    rows = pd.concat([one.effect("subset"), one.effect("all")], ignore_index=True)
    changes = rows["after"] - rows["before"]
    told = [
        f"{'all ' if kind == 'all' else ''}{size:.0f}: {_points(change)}"
        for kind, size, change in zip(rows["kind"], rows["size"], changes, strict=True)
        if math.isfinite(change)
    ]
    return "; ".join(told) or _WITHOUT


def _points(change: float) -> str:
    return f"{100 * change:+.1f} points".replace("-", "−")  # noqa: RUF001  # as wide as the plus
