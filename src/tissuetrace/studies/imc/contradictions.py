"""Where the paper contradicts itself, with the arithmetic done on its own printed numbers."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tissuetrace.report.tables import Table, number, text
from tissuetrace.studies.imc.paper import EXCLUDED, PUBLISHED, SEARCH, published

__all__ = [
    "Contradiction",
    "bound_table",
    "contradiction_table",
    "contradictions",
    "f1_of",
    "mcc_bound",
    "reachable",
    "shrinkage",
]

_HALF_A_DIGIT = 0.005  # numbers are printed with two decimals
_PATIENTS = 69
_STEP = 0.01  # the library's learning rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """A place where the paper contradicts itself.

    Args:
        letter: by which it is called.
        title: what is meant, in a few words.
        printed: what the paper says.
        other: what stands against it, computed.
        consequence: what follows here.
    """

    letter: str
    title: str
    printed: str
    other: str
    consequence: str


def mcc_bound(precision: float, recall: float) -> float:
    """Largest Matthews correlation that a precision and a recall allow, √(P·R).

    MCC = √(P·R·S·N) − √((1−P)(1−R)(1−S)(1−N)) with specificity S and negative predictive value N;
    the second root is not negative and S·N ≤ 1, so MCC ≤ √(P·R). It holds for means over
    retrainings too, since the mean of √(P·R) is at most √(mean P · mean R) (Cauchy and Schwarz).
    """  # noqa: RUF002  # minus signs of a formula
    return math.sqrt(precision * recall)


def f1_of(precision: float, recall: float) -> float:
    """Harmonic mean of precision and recall; NaN where both are 0."""
    total = precision + recall
    return 2 * precision * recall / total if total else float("nan")


def reachable(
    printed: float,
    largest: Callable[[float, float], float],
    *,
    precision: float,
    recall: float,
) -> bool:
    """Say whether a printed number can be, every number rounded to two decimals in its favour.

    Args:
        printed: the number.
        largest: the most that a precision and a recall allow; rises with both.
        precision: as printed.
        recall: as printed.
    """
    most = largest(precision + _HALF_A_DIGIT, recall + _HALF_A_DIGIT)
    return printed - _HALF_A_DIGIT <= most


def shrinkage(*, beta: float, theta: float) -> float:
    """Threshold below which Eq. 1's own minimiser sets a change to 0, in SD of a channel.

    Args:
        beta: weight of the L1 penalty.
        theta: weight of the distance to the prototype.

    Source: Wang & Thomson, Eq. 1 with the hinge inactive: δ = soft(D·θ/(1+θ), β/(2(1+θ))).
    """
    return beta / (2 * (1 + theta))


def contradictions() -> tuple[Contradiction, ...]:
    """Return (a) to (f), computed from the published numbers."""
    return (_both_reached(), _impossible_mcc(), _f1(), _patients(), _equation(), _sparsity())


def contradiction_table() -> Table:
    """Return the places where the paper contradicts itself, both sides printed."""
    columns = ("letter", "title", "printed", "other", "consequence")
    rows = [{name: getattr(one, name) for name in columns} for one in contradictions()]
    return Table(
        name="contradictions",
        title="Where the paper contradicts itself",
        caption="Computed from the published numbers; no measurement of ours is needed for it.",
        frame=pd.DataFrame(rows),
        columns=(
            text("letter", "no."),
            text("title", "what"),
            text("printed", "printed"),
            text("other", "against it"),
            text("consequence", "what follows"),
        ),
    )


def bound_table() -> Table:
    """Return every published precision and recall with the MCC and F1 that they allow."""
    rows = [_bound_row(*key) for key in _settings()]
    return Table(
        name="published_arithmetic",
        title="What the published precision and recall allow",
        caption=(
            "For an MCC above 0, MCC² ≤ P·R; and always F1 = 2PR/(P+R); of means over "
            "retrainings the first holds as it stands, and the mean F1 is at most that of mean P "
            "and mean R. The MCC is printed "
            "once, without a threshold, beside Table 1. Out of reach: beyond the bound even where "
            "every printed number is rounded in its favour (by 0.005). Computed from the published "
            "numbers alone."
        ),
        frame=pd.DataFrame(rows),
        columns=(
            text("cohort", "cohort"),
            text("model", "model"),
            number("threshold", "threshold", digits=1),
            number("precision", "P", digits=2),
            number("recall", "R", digits=2),
            number("bound", "√(P·R)"),
            number("mcc", "MCC printed", digits=2),
            text("mcc_fits", "MCC"),
            number("f1_computed", "2PR/(P+R)"),
            number("f1", "F1 printed", digits=2),
            text("f1_fits", "F1"),
        ),
    )


def _settings() -> list[tuple[str, str, float]]:
    keys = [(one.cohort, one.model, one.threshold) for one in PUBLISHED if one.threshold]
    return list(dict.fromkeys(keys))


def _value(cohort: str, model: str, metric: str, threshold: float) -> float:
    found = published(cohort, model, metric, threshold)
    return found.value if found else float("nan")


def _bound_row(cohort: str, model: str, threshold: float) -> dict[str, Any]:
    precision = _value(cohort, model, "precision", threshold)
    recall = _value(cohort, model, "recall", threshold)
    mcc, f1 = _value(cohort, model, "mcc", 0.8), _value(cohort, model, "f1", threshold)
    return {
        "cohort": cohort,
        "model": model.upper(),
        "threshold": threshold,
        "precision": precision,
        "recall": recall,
        "bound": mcc_bound(precision, recall),
        "mcc": mcc,
        "mcc_fits": _fits(reachable(mcc, mcc_bound, precision=precision, recall=recall)),
        "f1_computed": f1_of(precision, recall),
        "f1": f1,
        "f1_fits": _fits(reachable(f1, f1_of, precision=precision, recall=recall)),
    }


def _fits(holds: bool) -> str:  # noqa: FBT001  # the answer itself, put into words
    return "fits" if holds else "out of reach"


def _name(row: dict[str, Any]) -> str:
    return f"{row['cohort']} {row['model']}"


def _both_reached() -> Contradiction:
    rows = [_bound_row(*key) for key in _settings()]
    both = [row for row in rows if row["precision"] > 0.7 and row["recall"] >= 0.6]  # noqa: PLR2004  # as the paper words it
    said = "; ".join(
        f"{_name(row)} at p = {row['threshold']:g}: {row['precision']:.2f} and {row['recall']:.2f}"
        for row in both
    )
    return Contradiction(
        letter="a",
        title="More than 70 % precision and 60 % recall",
        printed='Said of the classifiers: ">70 % precision and 60 % recall"',
        other=f"Of the {len(rows)} rows of Tables 1 and 3, {len(both)} has both: {said}.",
        consequence="Our tables print precision and recall at both thresholds.",
    )


def _impossible_mcc() -> Contradiction:
    rows = [_bound_row(*key) for key in _settings()]
    broken = [row for row in rows if row["mcc_fits"] != "fits"]
    at_half = [row for row in rows if row["threshold"] == 0.5]  # noqa: PLR2004  # Table 3
    said = "; ".join(
        f"{_name(row)}: √({row['precision']:.2f} · {row['recall']:.2f}) = {row['bound']:.2f} at "
        f"p = {row['threshold']:g}"
        for row in broken
    )
    fitting = "; ".join(
        f"{_name(row)} {row['bound']:.2f}"
        for row in at_half
        if _name(row) in {_name(one) for one in broken}
    )
    printed = ", ".join(f"{_name(row)} {row['mcc']:.2f}" for row in broken)
    half_fits = all(row["mcc_fits"] == "fits" for row in at_half)
    fit = "; they fit p = 0.5" if half_fits else ""
    return Contradiction(
        letter="b",
        title="Matthews correlation at p = 0.8",
        printed=f"MCC beside Table 1, whose p is 0.8: {printed}",
        other=(
            f"MCC² ≤ P·R holds for every MCC above 0; {said}. At p = 0.5 the bounds are {fitting}."
        ),
        consequence=(
            f"The printed values cannot stem from p = 0.8{fit}. Our MCC is printed at both."
        ),
    )


def _f1() -> Contradiction:
    rows = [_bound_row(*key) for key in _settings()]
    broken = [row for row in rows if row["f1_fits"] != "fits"]
    return Contradiction(
        letter="c",
        title="F1 of the melanoma CNN at p = 0.8",
        printed="; ".join(f"{_name(row)}: F1 {row['f1']:.2f}" for row in broken),
        other="; ".join(
            f"2 · {row['precision']:.2f} · {row['recall']:.2f} / "
            f"({row['precision']:.2f} + {row['recall']:.2f}) = {row['f1_computed']:.2f}"
            for row in broken
        ),
        consequence="Averaging over retrainings only lowers F1 below that of the means. We compare "
        "with the printed value.",
    )


def _patients() -> Contradiction:
    below = (_PATIENTS - 1) // 2
    return Contradiction(
        letter="d",
        title="How many patients",
        printed=f'{_PATIENTS} (abstract), "~30" (introduction), {EXCLUDED} (results)',
        other=f"At most ({_PATIENTS} − 1) / 2 = {below} of {_PATIENTS} patients lie strictly "  # noqa: RUF001  # a minus sign
        "below the median.",
        consequence=f"{EXCLUDED} are read as the immune-excluded: level before any change strictly "
        "below the cohort's median. That rule is used here.",
    )


def _equation() -> Contradiction:
    return Contradiction(
        letter="e",
        title="Eq. 1",
        printed="δ* = min of the objective",
        other="min is the value of the objective, δ* is where it is reached: argmin.",
        consequence="Read as argmin.",
    )


def _sparsity() -> Contradiction:
    beta, theta = SEARCH["beta"], SEARCH["theta"]
    step = _STEP * 2 * (1 + theta)
    return Contradiction(
        letter="f",
        title="Sparsity from Table 2's θ and β",
        printed=f"θ = {theta:g} and β = {beta:g} give few changed channels",
        other=f"Eq. 1's minimiser sets to 0 only what is below β/(2(1+θ)) = {beta:g}/"
        f"{2 * (1 + theta):g} = {shrinkage(beta=beta, theta=theta):.4f} SD of a channel; the "
        f"library shrinks by β per step, an L1 weight of β/lr = {beta / _STEP:g}. At its lr of "
        f"{_STEP:g}, lr·2(1+θ) = {step:.2f} > 2: the steps oscillate.",
        consequence="The sparsity stems from the algorithm, not from Eq. 1; both are selectable.",
    )
