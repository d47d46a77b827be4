"""The report in words: its answer, its first screen, how to trace a number."""

import math
from typing import TYPE_CHECKING

from tissuetrace.report.pages import Tile
from tissuetrace.studies.imc.headline import cohort_numbers
from tissuetrace.studies.imc.outcome import CohortOutcome, Outcome
from tissuetrace.studies.imc.paper import CITATION

if TYPE_CHECKING:
    from tissuetrace.stats.retrainings import MeanInterval

__all__ = ["NOTICE", "TRACE", "answer", "key_numbers", "subtitle"]

NOTICE = (
    "Phantom: every core on this page was drawn by a generator with a known answer. These numbers "
    "show that the method works; they confirm no paper and say nothing about patients."
)

# From a number on the page to the bytes of the images, by hand.
TRACE = (
    "# 1. the number, as git keeps it, and its row in the table of scores",
    "grep melanoma_auc metrics/imc/headline.json",
    ".venv/bin/python - <<'EOF'",
    "import pandas as pd",
    'scores = pd.read_parquet("data/imc/evaluate/melanoma/scores.parquet")',
    "chosen = \"model == 'mlp' and scheme == 'patient' and split == 'test'\"",
    "print(scores.query(chosen + \" and metric == 'auc'\").T)",
    "# 2. the predictions it was computed from, one row a patch and retraining",
    'patches = pd.read_parquet("data/imc/evaluate/melanoma/predictions.parquet").query(chosen)',
    'print(patches.groupby("seed").size())',
    "# 3. the core of a patch, its file, and its checksum when it was fetched",
    'table = pd.read_parquet("data/imc/ingest/melanoma/images.parquet")[["image", "file"]]',
    'files = pd.read_parquet("data/imc/fetch/manifest.parquet")',
    'table["path"] = "melanoma/" + table["file"]',
    'patches = patches.merge(table, on="image").merge(files, on="path")',
    "print(patches.iloc[0].to_string())",
    "EOF",
    "# 4. the same checksum from the bytes on disk; PATH is the path just printed",
    "sha256sum data/imc/fetch/files/PATH",
    "# 5. what the scores were made from, each with its checksum, and what git remembers of them",
    "sed -n '/^  imc-evaluate@melanoma:/,/outs:/p' dvc.lock",
    "cat metrics/imc/checksums/evaluate@melanoma.json",
)


def subtitle(outcome: Outcome) -> str:
    """Say on what the page was made, in one line."""
    kind = "a phantom" if outcome.is_phantom else "real images"
    names = " and ".join(outcome.cohorts)
    return f"After {CITATION}. Run on {kind}: {names}."


def answer(outcome: Outcome) -> list[str]:
    """Return the headline in sentences, the answer first."""
    cohorts = list(outcome.cohorts.values())
    return [
        *[_strategy(one) for one in cohorts],
        *[_classifier(one) for one in cohorts],
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
            meaning = f"infiltration of immune-excluded patients under the strategy, {one.name}"
            tiles.append(Tile(value=f"{before} → {after} %", interval="", meaning=meaning))
    return tiles


def _strategy(one: CohortOutcome) -> str:
    if one.why_no_search:
        return f"{one.name.capitalize()}: no perturbation result; {one.why_no_search}."
    called = one.channels[one.channels["called"] == 1]
    if called.empty:
        return f"{one.name.capitalize()}: no channel is changed alike in enough retrainings."
    up = [str(name) for name in called.loc[called["median"] > 0, "channel"]]
    down = [str(name) for name in called.loc[called["median"] < 0, "channel"]]
    parts = [
        f"{verb} {_listed(names)}" for verb, names in (("raise", up), ("lower", down)) if names
    ]
    numbers = cohort_numbers(one)
    effect = (
        f"the classifier then calls {_percent(numbers['level_after'])} of the tumour patches of "
        f"immune-excluded patients infiltrated, before {_percent(numbers['level_before'])}"
    )
    return f"{one.name.capitalize()}: {' and '.join(parts)}; {effect}."


def _classifier(one: CohortOutcome) -> str:
    patient, random = (
        one.score("auc", model="mlp", scheme=scheme, threshold=0)
        for scheme in ("patient", "random")
    )
    gain = cohort_numbers(one)["leak_gain"]
    leak = f"{_number(gain)} of AUC" if math.isfinite(gain) else "an unknown share"
    return (
        f"{one.name.capitalize()}: the signalling channels of a 40 µm patch tell T cells with an "
        f"AUC of {_bracketed(patient)} on unseen patients and {_bracketed(random)} on random "
        f"patches; the hole that erasing leaves still adds {leak}."
    )


def _tile(found: "MeanInterval", meaning: str) -> Tile:
    value, _, brackets = _bracketed(found).partition(" [")
    return Tile(value=value, interval=f"[{brackets}" if brackets else "", meaning=meaning)


def _bracketed(found: "MeanInterval") -> str:
    if not math.isfinite(found.value):
        return "not defined"
    value = _number(found.value)
    if not found.low < found.high:
        return value
    return f"{value} [{_number(found.low)}, {_number(found.high)}]"


def _number(value: float) -> str:
    return f"{value:z.2f}".replace("-", "−")  # noqa: RUF001  # as wide as a digit


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %" if math.isfinite(value) else "an unknown share"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
