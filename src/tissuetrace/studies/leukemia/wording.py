"""The report in words: its answer, its first screen, how to trace a number."""

from typing import TYPE_CHECKING

from tissuetrace.report.pages import Tile
from tissuetrace.studies.leukemia.findings import verdict
from tissuetrace.studies.leukemia.outcome import MODEL_NAMES, Outcome
from tissuetrace.studies.leukemia.paper import CITATION, confusion_of, quoted

if TYPE_CHECKING:
    from tissuetrace.stats.intervals import Interval

__all__ = ["NOTICE", "TRACE", "answer", "key_numbers", "subtitle"]

NOTICE = (
    "Phantom: every cell on this page was drawn by a generator with a known answer. These numbers "
    "show that the method works; they confirm no paper and say nothing about patients."
)

# From a number on the page to the bytes of the images, by hand.
TRACE = (
    "# 1. the number: one row of the table of scores",
    ".venv/bin/python - <<'EOF'",
    "import pandas as pd",
    'scores = pd.read_parquet("data/leukemia/evaluate/scores.parquet")',
    "print(scores.query(\"source == 'test' and scheme == 'subject' and model == 'forest'\"))",
    "# 2. the predictions it was computed from, one row a cell",
    'cells = pd.read_parquet("data/leukemia/evaluate/predictions.parquet")',
    "cells = cells.query(\"split == 'test' and scheme == 'subject' and model == 'forest'\")",
    "cells = cells[cells.seed == cells.seed.iloc[0]]",
    'print("accuracy", ((cells.probability >= .5) == (cells.label == 1)).mean())',
    "# 3. the image of a cell, and its checksum when it was fetched",
    'table = pd.read_parquet("data/leukemia/ingest/table.parquet")[["name", "path"]]',
    'files = pd.read_parquet("data/leukemia/fetch/manifest.parquet")',
    'cells = cells.merge(table, left_on="item", right_on="name").merge(files, on="path")',
    'print(*cells.iloc[0].items(), sep="\\n")',
    "EOF",
    "# 4. the same checksum from the bytes on disk (PATH: just printed), and what made each table",
    "sha256sum data/leukemia/fetch/images/PATH",
    "sed -n '/^  leukemia-evaluate:/,/outs:/p' dvc.lock",
    "cat metrics/leukemia/checksums/evaluate.json",
)


def subtitle(outcome: Outcome) -> str:
    """Say on what the page was made, in one line."""
    kind = "a phantom" if outcome.is_phantom else "real images"
    return f"After {CITATION}. Run on {kind}, {outcome.origin['files']:,} files."


def answer(outcome: Outcome) -> list[str]:
    """Return the headline in sentences, the answer first."""
    return [
        _which_is_better(outcome),
        _false_alarms(outcome),
        _leakage(outcome),
        "Not for diagnosis: one centre, one stain, blasts against normal precursors only.",
    ]


def key_numbers(outcome: Outcome) -> list[Tile]:
    """Return the numbers of the first screen, each with what it is."""
    found = [
        (outcome.score("auc", model=model), f"AUC of the {MODEL_NAMES[model]}, unseen subjects")
        for model in ("forest", "cnn", "hybrid")
    ]
    found += [
        (
            outcome.score("false_positive_rate", model=model),
            f"false-positive rate of the {MODEL_NAMES[model]}, unseen subjects",
        )
        for model in ("forest", "cnn")
    ]
    gap = outcome.score("auc_gap", model="forest", scheme="both", source=outcome.folds_source)
    reading = outcome.settings.featurize.reading
    added = f"AUC that a random split adds to the forest (texture over the {reading})"
    found.append((gap, added))
    tiles = []
    for one, meaning in found:
        value, _, brackets = _bracketed(one).partition(" [")
        brackets = f"[{brackets}" if brackets else ""
        tiles.append(Tile(value=value, interval=brackets, meaning=meaning))
    return tiles


def _which_is_better(outcome: Outcome) -> str:
    forest, cnn = (outcome.score("auc", model=model) for model in ("forest", "cnn"))
    difference = outcome.score("auc_difference", model="cnn-forest")
    said = {
        "no difference shown": "neither is shown to be better",
        "too few groups to tell": "there are too few subjects to tell them apart",
        "CNN higher": "the CNN is better",
        "random forest higher": "the random forest is better",
    }[verdict(difference, first="CNN", second="random forest")]
    return (
        f"On subjects they have not seen, the random forest reaches an AUC of {_bracketed(forest)} "
        f"and the CNN {_bracketed(cnn)}; their paired difference is {_bracketed(difference)}, so "
        f"{said}."
    )


def _false_alarms(outcome: Outcome) -> str:
    forest, cnn = (outcome.score("false_positive_rate", model=model) for model in ("forest", "cnn"))
    said = quoted("false_positive_rate", "forest", "test")
    from_table = confusion_of("forest", "test").false_positive_rate
    theirs = f"{100 * from_table:.0f} to {100 * (said.value if said else from_table):.0f}"
    return (
        f"The cost in false alarms: of 100 normal cells of unseen subjects the forest calls "
        f"{_per_hundred(forest)} leukemic, the CNN {_per_hundred(cnn)}. The paper has {theirs} and "
        f"{100 * confusion_of('cnn', 'test').false_positive_rate:.1f}, on a random split of images."
    )


def _leakage(outcome: Outcome) -> str:
    gap = outcome.score("auc_gap", model="forest", scheme="both", source=outcome.folds_source)
    area = outcome.score("auc", model="area", source=outcome.folds_source)
    forest = outcome.score("auc", model="forest", source=outcome.folds_source)
    said = (
        f"A random split by image, as in the paper, adds {_bracketed(gap)} to the forest's AUC: "
        "it recognises subjects it has seen."
        if gap.low > 0
        else "Whether a random split by image, as in the paper, flatters the forest is not shown "
        f"here: its AUC is {_bracketed(gap)} higher."
    )
    return (
        f"{said} Out of fold by group the forest has {_bracketed(forest)}; the cell's area alone "
        f"gives {_bracketed(area)}."
    )


def _bracketed(found: "Interval") -> str:
    if found.value != found.value:  # only NaN differs from itself
        return "not defined"
    value = f"{found.value:.2f}"
    known = found.low < found.high
    text = f"{value} [{found.low:.2f}, {found.high:.2f}]" if known else value
    return text.replace("-", "−")  # noqa: RUF001  # as wide as a digit


def _per_hundred(found: "Interval") -> str:
    if found.value != found.value:  # only NaN differs from itself
        return "an unknown number"
    value = f"{100 * found.value:.0f}"
    known = found.low < found.high
    return f"{value} [{100 * found.low:.0f}, {100 * found.high:.0f}]" if known else value
