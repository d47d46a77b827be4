"""The report in words: its answer, its first screen, how to read and to trace a number."""

import math
from collections.abc import Sequence

from tissuetrace.report.pages import Tile
from tissuetrace.studies.imc.effect_levels import (
    core_levels,
    label_share,
    level_summary,
    whole_strategy,
)
from tissuetrace.studies.imc.gates import MOST_GAIN
from tissuetrace.studies.imc.headline import cohort_numbers
from tissuetrace.studies.imc.known_answer import calls, false_mark, hidden_words, listed
from tissuetrace.studies.imc.outcome import CohortOutcome, Outcome
from tissuetrace.studies.imc.paper import CITATION
from tissuetrace.studies.imc.shown_scores import Score

__all__ = ["NOTICE", "answer", "key_numbers", "reading_help", "subtitle", "trace"]

NOTICE = (
    "Phantom: every core on this page was drawn by a generator with a known answer. These numbers "
    "show how much of what was put in this method recovers, no more; they confirm no paper and say "
    "nothing about patients."
)

_FEW = 0.1  # shares below it need a decimal


def trace(cohort: str) -> tuple[str, ...]:
    """Return commands that lead from a number on the page to the bytes of an image."""
    return tuple(line.replace("COHORT", cohort) for line in _TRACE)


def subtitle(outcome: Outcome) -> str:
    """Say on what the page was made, in one line."""
    kind = "a phantom" if outcome.is_phantom else "real images"
    names = " and ".join(outcome.cohorts)
    return f"After {CITATION}. Run on {kind}: {names}."


def answer(outcome: Outcome) -> list[str]:
    """Return the headline in sentences, the answer first: of a phantom what was recovered."""
    cohorts = list(outcome.cohorts.values())
    return [
        *([hidden_words(outcome)] if outcome.is_phantom else []),
        *[_strategy(outcome, one) for one in cohorts],
        *[_classifier(outcome, one) for one in cohorts],
        (
            "A strategy is a prediction of a classifier, not a therapy: reverse causation (T cells "
            "making chemokines) is not excluded, and nothing here was tested in a patient."
        ),
    ]


def key_numbers(outcome: Outcome) -> list[Tile]:
    """Return the numbers of the first screen, each with what it is."""
    tiles = []
    for one in outcome.cohorts.values():
        numbers = cohort_numbers(one)
        auc = one.score("auc", model="mlp", scheme="patient", threshold=0)
        mcc = one.score("mcc", model="mlp", scheme="patient", threshold=0.5)
        tiles += [
            _tile(auc, f"AUC of the MLP, unseen patients, {one.name}"),
            _tile(mcc, f"MCC at 0.5 of the MLP, unseen patients, {one.name}"),
        ]
        levels = (numbers["level_before"], numbers["level_after"])
        if all(math.isfinite(level) for level in levels):
            before, after = (f"{100 * level:.0f}" for level in levels)
            meaning = (
                "infiltrated tumour patches of immune-excluded patients, before → under the "
                f"strategy, median over cores (brackets: the change in points), {one.name}"
            )
            tiles.append(Tile(value=f"{before} → {after} %", interval=_rise(one), meaning=meaning))
    return tiles


def reading_help(outcome: Outcome) -> Sequence[str]:
    """Say what the words and numbers of the page mean."""
    side = f"{outcome.settings.patch.size_um:g}"
    return (
        (
            f"Positive patch: {side} × {side} µm of tissue with T cells that are CD8⁺ and not "  # noqa: RUF001  # by
            "exhausted."
        ),
        (
            "AUC: chance that a patch with T cells gets a higher probability than one without; 0.5 "
            "is guessing. MCC: Matthews correlation of call and label, 0 is guessing, 1 is perfect."
        ),
        (
            "Retraining: a model of the same kind, trained anew from another random start on "
            "another split into training, validation and test; numbered from 0."
        ),
        (
            "Decoy: the hole of a patch with T cells, erased in a patch without, so that holes do "
            "not give the label away."
        ),
        (
            "f: the classifier's probability of T cells. Counterfactual: a patch whose channels "
            f"are changed as little as it takes for f to exceed p = {outcome.settings.perturb.p:g};"
            " δ is that change of the channel means, in standard deviations of the channel."
        ),
        (
            "Prototype: the patch, among those of training that are classified as having T cells, "
            "that a search is drawn towards."
        ),
        (
            "Level: share of a tumour's patches that f calls infiltrated. Immune-excluded: "
            "patients whose level before any change lies strictly below the cohort's median; where "
            "that is 0, those at 0."
        ),
        (
            "Brackets of scores: 95 % interval of a mean over retrainings. Brackets of effects: "
            "95 % interval from resampling patients. Holm: p values raised so that the chance of "
            "any false alarm in a family of tests stays as stated."
        ),
        "A dash: not trained, not searched or not defined.",
    )


def _strategy(outcome: Outcome, one: CohortOutcome) -> str:
    if one.why_no_search:
        return f"{one.name.capitalize()}: no perturbation result; {one.why_no_search}."
    called = {channel: sign for channel, sign in calls(one).items() if sign}
    if not called:
        return f"{one.name.capitalize()}: no channel is changed alike in enough retrainings."
    marked = {
        channel: f"{channel} (false)"
        if outcome.is_phantom and false_mark(channel, sign)
        else channel
        for channel, sign in called.items()
    }
    parts = [
        f"{verb} {listed(names)}"
        for verb, way in (("raises", 1), ("lowers", -1))
        for names in [[marked[name] for name, sign in called.items() if sign == way]]
        if names
    ]
    return f"{one.name.capitalize()}: the strategy {' and '.join(parts)}. {_effect(outcome, one)}"


def _effect(outcome: Outcome, one: CohortOutcome) -> str:
    numbers = cohort_numbers(one)
    means = level_summary(core_levels(one, whole_strategy(one)))
    share, before = label_share(one), means["before_mean"]
    strict = (
        f"; by label {_percent(share)} of these patches hold T cells, but f > "
        f"{outcome.settings.effect.p:g} is strict"
        if share > before
        else ""
    )
    return (
        f"With it the MLP calls {_percent(numbers['level_after'])} of the tumour patches of "
        f"immune-excluded patients infiltrated (median over cores; mean "
        f"{_percent(means['after_mean'])}), without it {_percent(numbers['level_before'])} (mean "
        f"{_percent(before)}{strict})."
    )


def _classifier(outcome: Outcome, one: CohortOutcome) -> str:
    patient, random = (
        one.score("auc", model="mlp", scheme=scheme, threshold=0)
        for scheme in ("patient", "random")
    )
    gain = cohort_numbers(one)["leak_gain"]
    leak = f"{_number(gain)} of AUC" if math.isfinite(gain) else "an unknown share"
    side = f"{outcome.settings.patch.size_um:g}"
    free = len(one.settings.free)
    return (
        f"{one.name.capitalize()}: the means of {len(one.settings.predictors)} channels in a patch "
        f"of {side} × {side} µm, {free or 'none'} of them free to change in the search, tell "  # noqa: RUF001  # by
        f"patches with T cells from others with an AUC of {_bracketed(patient)} on unseen patients "
        f"and {_bracketed(random)} on random patches. The area erased around T cells could give "
        f"the label away; knowing it adds {leak} (allowed {MOST_GAIN:g})."
    )


def _rise(one: CohortOutcome) -> str:
    """Return the interval of the change of level, in points; empty where there is none."""
    whole = one.effect("all")
    low, high = (100 * float(whole[name].iloc[0]) for name in ("low", "high"))
    if not low < high:
        return ""
    return f"[{low:+.0f}, {high:+.0f}]".replace("-", "−")  # noqa: RUF001  # as wide as the plus


def _tile(found: Score, meaning: str) -> Tile:
    if not math.isfinite(found.value):
        return Tile(value="not defined", interval="", meaning=meaning)
    return Tile(value=_number(found.value), interval=_spread(found), meaning=meaning)


def _bracketed(found: Score) -> str:
    if not math.isfinite(found.value):
        return "not defined"
    return f"{_number(found.value)} {_spread(found)}".rstrip()


def _spread(found: Score) -> str:
    """Return the interval, or the values of two retrainings; empty where neither is known."""
    if found.each:
        return f"({'; '.join(_number(one) for one in found.each)})"
    if not found.low < found.high:
        return ""
    return f"[{_number(found.low)}, {_number(found.high)}]"


def _number(value: float) -> str:
    return f"{value:z.2f}".replace("-", "−")  # noqa: RUF001  # as wide as a digit


def _percent(value: float) -> str:
    if not math.isfinite(value):
        return "an unknown share"
    digits = 1 if 0 < value < _FEW else 0
    return f"{100 * value:.{digits}f} %"


_TRACE = (
    "# 1. the number, as git keeps it, and its row in the table of scores",
    "grep COHORT_auc metrics/imc/headline.json",
    ".venv/bin/python - <<'EOF'",
    "import pandas as pd",
    'scores = pd.read_parquet("data/imc/evaluate/COHORT/scores.parquet")',
    "chosen = \"model == 'mlp' and scheme == 'patient' and split == 'test'\"",
    "print(scores.query(chosen + \" and metric == 'auc'\").T)",
    "# 2. the predictions it was computed from, one row a patch and retraining",
    'patches = pd.read_parquet("data/imc/evaluate/COHORT/predictions.parquet").query(chosen)',
    'print(patches.groupby("seed").size())',
    "# 3. the core of a patch, its file, and its checksum when it was fetched",
    'table = pd.read_parquet("data/imc/ingest/COHORT/images.parquet")[["image", "file"]]',
    'files = pd.read_parquet("data/imc/fetch/manifest.parquet")',
    'table["path"] = "COHORT/" + table["file"]',
    'patches = patches.merge(table, on="image").merge(files, on="path")',
    'print(*patches.iloc[0].items(), sep="\\n")',
    "EOF",
    "# 4. the same checksum from the bytes on disk; PATH is the path just printed",
    "sha256sum data/imc/fetch/files/PATH",
    "# 5. what the scores were made from, each with its checksum, and what git remembers of them",
    "sed -n '/^  imc-evaluate@COHORT:/,/outs:/p' dvc.lock",
    "cat metrics/imc/checksums/evaluate@COHORT.json",
)
