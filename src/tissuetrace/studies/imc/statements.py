"""What must be said of search and validity, with the numbers of this run where there are any."""

import math
from collections.abc import Callable, Sequence
from functools import partial

from tissuetrace.report.tables import ABSENT
from tissuetrace.studies.imc.contradictions import shrinkage
from tissuetrace.studies.imc.effect_levels import (
    excluded_count,
    level_summary,
    unseen_levels,
    whole_strategy,
)
from tissuetrace.studies.imc.headline import found_rate
from tissuetrace.studies.imc.known_answer import moved_nulls
from tissuetrace.studies.imc.outcome import CohortOutcome, Outcome
from tissuetrace.studies.imc.strategy_tables import CAUSATION
from tissuetrace.studies.imc.variants import repeats_default, variant_in_words, variant_order

__all__ = ["of_holding", "of_search", "of_validity", "real_numbers"]

_PROTOTYPED = "measured while the method was worked out, not in this run"

# least prototypes below which a search says little; the gate of the search warns there
_FEW = 30

# shares of channels treated alike, and of searches that found: from here on a strategy holds
_ALIKE, _FOUND = 0.8, 0.8


def of_search(outcome: Outcome) -> Sequence[str]:
    """Return what the search does and what its result depends on."""
    used = outcome.settings.perturb
    curvature = 2 * (1 + used.theta)
    step = outcome.settings.rate
    kappa = 2 * used.p - 1
    return [
        (
            "The first term of Eq. 1, c·max(−f, −p), is c·max(p − f, 0) − cp: no force above p. "  # noqa: RUF001  # minus signs
            "Valid means f > p strictly; the optimum sits on f = p, so the search aims at p + "
            f"{used.margin:g}."
        ),
        (
            f"Shrinkage: each step pulls δ towards 0 by β = {used.beta:g}, not by lr·β, which acts "
            f"as an L1 weight of β/lr = {_ratio(used.beta, step)} and sets small changes to "
            "exactly 0. A channel without effect that goes along with a causal one may still be "
            f"changed.{_moved(outcome)} Eq. 1's own minimiser sets to 0 only what lies below "
            f"β/(2(1+θ)) = {shrinkage(beta=used.beta, theta=used.theta):.4f} SD: used as a "
            "strategy that minimiser left channels without effect at up to .21, and raising its β "
            f"from .1 to .5 changed nothing ({_PROTOTYPED}); the shrinking search does answer to "
            "β, see the sweep."
        ),
        (
            f"Step: with θ = {used.theta:g} the library's learning rate of 0.01 gives lr·2(1+θ) = "
            f"{0.01 * curvature:.2f}; above 2 the steps oscillate. Here it is "
            f"{outcome.settings.rate_in_words}."
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


def of_holding(outcome: Outcome) -> str:
    """Say under which retrainings, settings and models the strategy holds, and where it does not.

    A variant holds where at least 80 % of the channels are treated as by the default search, and
    at least 80 % of its searches found a change.
    """
    said = [_holding(outcome, one) for one in outcome.searched]
    if not said:
        return "There is no strategy to hold: no cohort has a perturbation."
    return (
        f"{' '.join(said)} Counted as holding: at least {100 * _ALIKE:.0f} % of the channels "
        f"raised, lowered or left alone as in the default search, and {100 * _FOUND:.0f} % of the "
        "searches that found a change."
    )


def of_validity(outcome: Outcome) -> Sequence[str]:
    """Return what the effects do not show, each with this run's numbers."""
    said = [
        (
            "The same f finds and scores a strategy; effects are therefore also scored by the "
            "other retrainings. That does not mean unseen, since each has trained on most "
            "patients: a third score is of those models alone that had not trained on the patient. "
            f"{_by_cohort(outcome, _others)}"
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


def _holding(outcome: Outcome, one: CohortOutcome) -> str:
    told = one.strategy.get("stability", {})
    shares = {name: float(found.get("sign_agreement", math.nan)) for name, found in told.items()}
    found = one.stability.groupby("variant")["found"].mean()
    others = sorted(
        (
            name
            for name, share in shares.items()
            if name != "default"
            and math.isfinite(share)
            and not repeats_default(name, outcome.settings.perturb)
        ),
        key=variant_order,
    )
    failing = {
        name: f"{variant_in_words(name)} ({why})"
        for name in others
        for why in [_lost(alike=shares[name], found=float(found.get(name, 1.0)))]
        if why
    }
    holding = [variant_in_words(name) for name in others if name not in failing]
    pairs = shares.get("default", math.nan)
    parts = [f"retrainings treat {100 * pairs:.0f} % of the channels alike, mean over pairs"]
    parts = parts if math.isfinite(pairs) else ["retrainings cannot be compared"]
    parts += [f"the strategy holds under {', '.join(holding)}"] if holding else []
    parts += [f"it does not under {', '.join(failing.values())}"] if failing else []
    return f"{one.name.capitalize()}: {'; '.join(parts)}."


def _lost(*, alike: float, found: float) -> str:
    """Say why a variant does not hold; empty where it does."""
    said = [f"only {100 * alike:.0f} % of the channels alike"] if alike < _ALIKE else []
    said += [f"only {100 * found:.0f} % of the searches found a change"] if found < _FOUND else []
    return ", ".join(said)


def _ratio(beta: float, step: float) -> str:
    return f"{beta / step:.3g}"


def _by_cohort(outcome: Outcome, say: Callable[[CohortOutcome], str]) -> str:
    return " ".join(f"{one.name}: {say(one)}." for one in outcome.cohorts.values())


def _moved(outcome: Outcome) -> str:
    """Name what was moved without need; only of a phantom is that known."""
    if not outcome.is_phantom:
        return ""
    said = [
        f"{one.name} {', '.join(names)}"
        for one in outcome.searched
        for names in [moved_nulls(one)]
        if names
    ]
    return f" Without effect and not 0 here: {'; '.join(said)}." if said else ""


def _others(one: CohortOutcome) -> str:
    if one.why_no_search:
        return one.why_no_search
    whole = whole_strategy(one)
    rows = one.levels[(one.levels["strategy"] == whole) & (one.levels["excluded"] == 1)]
    rise = (rows["after"] - rows["before"]).groupby(rows["scorer"]).mean()
    own, other, same = (
        real_numbers([100 * float(rise.get(scorer, float("nan")))], digits=1)
        for scorer in ("own", "other", "same")
    )
    cores = unseen_levels(one, whole)
    unseen = level_summary(cores)
    apart = real_numbers([100 * (unseen["after_mean"] - unseen["before_mean"])], digits=1)
    return (
        f"what each found raises its own level by {own} points, that of the others by {other}; the "
        f"strategy of all raises the level by {same} points (mean over cores), where models that "
        f"had not trained on the patient score it by {apart} ({cores['subject'].nunique()} of "
        f"{excluded_count(one)} patients)"
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
        f"{control} alone, AUC {_rounded(finding['found'])} (allowed {finding['bound']})"
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


def _rounded(found: str) -> str:
    """Shorten a number of the evidence to three digits; words stay."""
    try:
        return f"{float(found):.3g}"
    except ValueError:
        return found
