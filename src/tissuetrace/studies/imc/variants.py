"""Variants of the search: their names on the page, and which of them repeat the default."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tissuetrace.studies.imc.known_answer import listed
from tissuetrace.studies.imc.outcome import MODEL_NAMES, CohortOutcome, Outcome

if TYPE_CHECKING:
    from tissuetrace.studies.imc.perturb import Perturb

__all__ = [
    "explained",
    "repeats_default",
    "used_retrainings",
    "variant_in_words",
    "variant_name",
    "variant_order",
    "which_retrainings",
]

_SYMBOLS = {"beta": "β", "k": "k"}
_WORDS = {
    "default": "default: the search that the strategy is made of",
    "compat": "compat: the library's recurrence as it stands",
    "final": "final: Eq. 1's own minimiser in place of the smallest valid change",
    "cnn_channels": (
        "cnn_channels: the CNN, whose patches are changed by channel, all pixels of a channel by "
        "one factor"
    ),
    "cnn_pixels": "cnn_pixels: the CNN, changed pixel by pixel",
}
_SPOKEN = {
    "compat": "the library's recurrence",
    "final": "Eq. 1's own minimiser",
    "cnn_channels": "the CNN changed by channel",
    "cnn_pixels": "the CNN changed pixel by pixel",
}
_CHANGED = "β = … and k = …: the default with that setting changed"


def variant_order(variant: str) -> tuple[bool, str, float]:
    """Return a key that puts the default first, then variants by name and number."""
    name, _, number_text = str(variant).partition("=")
    return name != "default", name, float(number_text or 0)


def variant_name(variant: str) -> str:
    """Return a variant as the page calls it: β = 0.02 for beta=0.02."""
    name, _, value = variant.partition("=")
    return f"{_SYMBOLS[name]} = {float(value):g}" if value and name in _SYMBOLS else variant


def variant_in_words(variant: str) -> str:
    """Return a variant as a sentence calls it."""
    return _SPOKEN.get(variant, variant_name(variant))


def repeats_default(variant: str, settings: "Perturb") -> bool:
    """Whether a variant changes a setting to what the default has anyway."""
    name, _, value = variant.partition("=")
    return name in _SYMBOLS and bool(value) and float(value) == getattr(settings, name)


def explained(variants: Iterable[str]) -> str:
    """Say what the variants among them are, for a caption."""
    names = set(variants)
    said = [words for name, words in _WORDS.items() if name in names]
    said += [_CHANGED] if any("=" in name for name in names) else []
    return f"{'; '.join(said)}." if said else ""


def used_retrainings(one: CohortOutcome, model: str) -> list[int]:
    """Return the retrainings that a model's variants other than the default searched with."""
    rows = one.pool[(one.pool["model"] == model) & ~one.pool["variant"].isin(["default", "none"])]
    return sorted({int(seed) for seed in rows["seed"]})


def which_retrainings(outcome: Outcome, models: Sequence[str] = tuple(MODEL_NAMES)) -> str:
    """Say which retrainings the variants rest on, for a caption; empty without a variant.

    Args:
        outcome: whose searches are meant.
        models: whose variants the table shows.
    """
    cohorts: dict[str, list[str]] = {}
    for model in models:
        for one in outcome.searched:
            told = _rows_of(one, model)
            if told:
                cohorts.setdefault(told, []).append(one.name)
    if not cohorts:
        return ""
    said = [f"{told} ({listed(names)})" for told, names in cohorts.items()]
    return (
        f"Fewer retrainings: {'; '.join(said)}. The strategy uses all of the MLP: compare rows of "
        "as many with each other."
    )


def _rows_of(one: CohortOutcome, model: str) -> str:
    """Say which rows rest on which retrainings of a model; empty where they rest on all."""
    used = used_retrainings(one, model)
    numbers = listed([str(seed) for seed in used]) if used else ""
    if model == "cnn":
        return f"CNN rows use retrainings {numbers} of the CNN" if used else ""
    rows = one.pool[one.pool["model"] == model]
    every = rows.loc[rows["variant"] == "default", "seed"].nunique()
    if not 0 < len(used) < every:
        return ""
    kinds = {str(name).partition("=")[0] for name in rows["variant"]} - {"default", "none"}
    names = listed([_SYMBOLS.get(kind, kind) for kind in sorted(kinds)])
    return f"{names} rows use only retrainings {numbers} of {every}"
