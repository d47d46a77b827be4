"""What must be said of search and validity, with the numbers of this run where there are any."""

import math
from collections.abc import Callable, Sequence
from functools import partial

from tissuetrace.report.tables import ABSENT
from tissuetrace.studies.imc.contradictions import shrinkage
from tissuetrace.studies.imc.headline import found_rate
from tissuetrace.studies.imc.outcome import CohortOutcome, Outcome
from tissuetrace.studies.imc.strategy_tables import CAUSATION

__all__ = ["of_search", "of_validity", "real_numbers"]

_PROTOTYPED = "measured while the method was worked out, not in this run"

# least prototypes below which a search says little; the gate of the search warns there
_FEW = 30


def of_search(outcome: Outcome) -> Sequence[str]:
    """Return what the search does and what its result depends on."""
    used = outcome.settings.perturb
    curvature = 2 * (1 + used.theta)
    step = min(used.lr, 1 / curvature) if used.rule == "improved" else used.lr
    kappa = 2 * used.p - 1
    return [
        (
            "The first term of Eq. 1, c·max(−f, −p), is c·max(p − f, 0) − cp: no force above p. "  # noqa: RUF001  # minus signs
            "Valid means f > p strictly; the optimum sits on f = p, so the search aims at p + "
            f"{used.margin:g}."
        ),
        (
            f"Shrinkage: each step pulls δ towards 0 by β = {used.beta:g}, not by lr·β, which acts "
            f"as an L1 weight of β/lr = {_ratio(used.beta, step)}; so channels without effect come "
            "out as exactly 0. Eq. 1's own minimiser sets to 0 only what lies below β/(2(1+θ)) = "
            f"{shrinkage(beta=used.beta, theta=used.theta):.4f} SD: used as a strategy it left "
            "channels without effect at up to .21, and raising β from .1 to .5 changed nothing "
            f"({_PROTOTYPED})."
        ),
        (
            f"Step: with θ = {used.theta:g} the library's learning rate of 0.01 gives lr·2(1+θ) = "
            f"{0.01 * curvature:.2f}; above 2 the steps oscillate. Here it is {step:.4g}."
        ),
        (
            "The returned instance depends on the step: median distance 5.6, 5.1, 3.7, 2.9 at "
            f"learning rates .01, .0049, .002, .001 ({_PROTOTYPED}). The learning rate belongs to "
            "the result."
        ),
        (
            "The library's attack loss for two classes is 2c'·max(0, p − f) with a margin κ = 2p − "  # noqa: RUF001  # minus signs
            f"1 = {kappa:g}, so that c' = c/2 = {used.c / 2:g} matches Eq. 1."
        ),
        (
            "Our transcription of the published recurrence equals the library in 7 of 12 patches, "
            f"and in 3 others only without its momentum ({_PROTOTYPED}): the two are compared in "
            "distribution."
        ),
        (
            "The paper differs from the library: one class, max(−f, −p) in place of the difference "  # noqa: RUF001  # minus signs
            "of two classes, p in place of the likelier class, no trust score."
        ),
    ]


def of_validity(outcome: Outcome) -> Sequence[str]:
    """Return what the effects do not show, each with this run's numbers."""
    said = [
        (
            "The same f finds and scores a strategy; effects are therefore also scored by the "
            f"other retrainings. {_by_cohort(outcome, _others)}"
        ),
        (
            "The share of searches that reached p says little alone: with few prototypes, all may "
            f"be found at a huge distance. {_by_cohort(outcome, _pools)}"
        ),
        (
            "Patients with T cells may differ in everything. A control channel that should tell "
            "nothing is searched with the others where it is free. "
            f"{_by_cohort(outcome, partial(_controls, outcome))}"
        ),
        (
            "A fold change from a level of 0 is undefined: the difference, and (after + 1) / "
            "(before + 1) in patches, stand in the table of patients."
        ),
        (
            "Channel means multiplied by the strategy may leave what training has seen; they are "
            f"clipped to it. {_by_cohort(outcome, _clipped)}"
        ),
        (
            "Two families are corrected after Holm: channels (patients' medians of the relative "
            "change); the strategy, single and left-out targets."
        ),
        CAUSATION,
    ]
    return [text.strip() for text in said]


def real_numbers(values: Sequence[float], *, digits: int) -> str:
    """Return numbers with fixed digits, and a dash for what is not defined."""
    return ", ".join(f"{value:.{digits}f}" if math.isfinite(value) else ABSENT for value in values)


def _ratio(beta: float, step: float) -> str:
    return f"{beta / step:.3g}"


def _by_cohort(outcome: Outcome, say: Callable[[CohortOutcome], str]) -> str:
    return " ".join(f"{one.name}: {say(one)}." for one in outcome.cohorts.values())


def _others(one: CohortOutcome) -> str:
    if one.why_no_search:
        return one.why_no_search
    whole = str(one.effect("all")["strategy"].iloc[0]) if len(one.effect("all")) else ""
    rows = one.levels[(one.levels["strategy"] == whole) & (one.levels["excluded"] == 1)]
    rise = (rows["after"] - rows["before"]).groupby(rows["scorer"]).mean()
    own, other = (float(rise.get(scorer, float("nan"))) for scorer in ("own", "other"))
    return (
        f"what each found raises its own level by {real_numbers([100 * own], digits=1)} points, "
        f"that of the others by {real_numbers([100 * other], digits=1)}"
    )


def _pools(one: CohortOutcome) -> str:
    rows = one.pool[(one.pool["variant"] == "default") & (one.pool["model"] == "mlp")]
    if one.why_no_search or rows.empty:
        return one.why_no_search or "no search"
    least = int(rows["pool"].min())
    few = f", below {_FEW}: read with care" if least < _FEW else ""
    return (
        f"{real_numbers([100 * found_rate(one)], digits=1)} % found, median distance "
        f"{real_numbers([float(rows['distance'].median())], digits=2)}, at least {least} "
        f"prototypes{few}"
    )


def _controls(outcome: Outcome, one: CohortOutcome) -> str:
    """Say what the control tells as a single feature, and what the search does to it."""
    control = one.settings.control
    if not control:
        return "no control channel is named"
    start = f"{one.name}: AUC of {control} alone"
    alone = [
        f"{control} alone, AUC {finding['found']} (allowed {finding['bound']})"
        for finding in outcome.evidence["findings"]
        if finding["rule"].startswith(start)
    ]
    rows = one.channels[one.channels["channel"] == control]
    searched = [
        f"searched, {real_numbers([100 * row['median']], digits=1)} % "
        f"[{real_numbers([100 * row['low'], 100 * row['high']], digits=1)}]"
        for row in rows.to_dict(orient="records")
    ]
    return ", ".join([*alone, *(searched or [f"{control} is not among the free channels"])])


def _clipped(one: CohortOutcome) -> str:
    if one.why_no_search:
        return one.why_no_search
    share = one.strategy.get("clipped")
    if not isinstance(share, int | float):
        return "share clipped not recorded"
    return f"{100 * share:.1f} % of the values clipped"
