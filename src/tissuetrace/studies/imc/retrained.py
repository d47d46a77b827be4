"""What both training stages write of a scheme, and what is said of each retraining."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tissuetrace.pipeline.files import write_json, write_table
from tissuetrace.pipeline.hashing import digest
from tissuetrace.pipeline.runs import write_run
from tissuetrace.pipeline.stage import Output, tolerance
from tissuetrace.studies.imc.cohorts import SCHEMES, Scheme

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["READS", "THRESHOLDS", "Scheduled", "metrics_of", "outputs", "write_scheme"]

THRESHOLDS = (0.8, 0.5)  # of the paper's Tables 1 and 3

READS = {
    "tables": "data/imc/patch/{cohorts}/tables",
    "split_patient": "data/imc/split/{cohorts}/patient.parquet",
    "split_random": "data/imc/split/{cohorts}/random.parquet",
    "decoy_patient": "data/imc/decoy/{cohorts}/patient.parquet",
    "decoy_random": "data/imc/decoy/{cohorts}/random.parquet",
}

_ABOUT = (
    "{} of all retrainings under the {} scheme: {}, card.json, history.parquet (seed, epoch, "
    "train_loss, validation_loss, validation_mcc), run.json, predictions.parquet (every patch of "
    "every seed){}"
)


def outputs(model: Literal["mlp", "cnn"], *, files: str, instead: str = "") -> dict[str, Output]:
    """Declare the folder of each scheme.

    Args:
        model: mlp or cnn.
        files: names of its weights.
        instead: what may lie there in place of a model.
    """
    return {
        scheme: tolerance(
            f"data/imc/train/{{cohorts}}/{model}/{scheme}",
            _ABOUT.format(model.upper(), scheme, files, instead),
            within=1e-3,
            records=("run.json",),
        )
        for scheme in SCHEMES
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """One scheme's retrainings, trained.

    Args:
        model: mlp or cnn.
        variant: the cohort.
        scheme: how patches were split.
        settings: the section of `params.yaml`.
        files: of the weights, already written.
        input_text: what the model takes, for its card.
        channels: the predictors, in the order in which it takes them.
        parameters: how many numbers one retraining has.
        histories: seed → its rows, one an epoch.
        best_epochs: seed → the epoch whose weights it has.
        rows: what every seed sees: `seed, split, subject, label` are read.
        predictions: of every patch and seed, in the lane's columns.
    """

    model: Literal["mlp", "cnn"]
    variant: str
    scheme: Scheme
    settings: Mapping[str, Any]
    files: Sequence[Path]
    input_text: str
    channels: Sequence[str]
    parameters: int
    histories: Mapping[int, Sequence[Mapping[str, float]]]
    best_epochs: Mapping[int, int]
    rows: "pd.DataFrame"
    predictions: "pd.DataFrame"


def write_scheme(
    trained: Scheduled, folder: Path, *, inputs: Mapping[str, Path], admission: Path
) -> None:
    """Write card, history, predictions and run beside the weights."""
    import pandas as pd

    history = [
        {"seed": seed, **epoch, "epoch": int(epoch["epoch"])}
        for seed, epochs in trained.histories.items()
        for epoch in epochs
    ]
    write_table(pd.DataFrame(history), folder / "history.parquet")
    write_table(trained.predictions, folder / "predictions.parquet")
    write_json(_card(trained), folder / "card.json")
    children = [_child(trained, seed) for seed in trained.histories]
    names = ("card.json", "history.parquet", "predictions.parquet")
    write_run(
        folder / "run.json",
        study="imc",
        variant=f"{trained.model}-{trained.variant}-{trained.scheme}",
        parameters={
            trained.model: dict(trained.settings),
            "cohort": trained.variant,
            "scheme": trained.scheme,
        },
        metrics=_means([child["metrics"] for child in children]),
        history=children[0]["history"],
        inputs=inputs,
        files=[*trained.files, *(folder / name for name in names)],
        admission=admission,
        children=children,
    )


def metrics_of(predictions: "pd.DataFrame") -> dict[str, float]:
    """Return what one retraining reaches on validation and test, where it is defined."""
    import math

    from tissuetrace.stats.classification import auc, f1, mcc, precision, sensitivity

    measures = {"precision": precision, "recall": sensitivity, "f1": f1, "mcc": mcc}
    found = {}
    for split in ("validation", "test"):
        rows = predictions[predictions["split"] == split]
        labels, answers = rows["label"].to_numpy(), rows["probability"].to_numpy()
        found[f"{split}_auc"] = auc(labels, answers)
        for threshold in THRESHOLDS:
            for name, measure in measures.items():
                found[f"{split}_{name}_{threshold:g}"] = measure(
                    labels, answers, threshold=threshold
                )
    return {name: value for name, value in found.items() if not math.isnan(value)}


def _means(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric that every retraining has."""
    everywhere = [name for name in metrics[0] if all(name in one for one in metrics)]
    return {name: sum(one[name] for one in metrics) / len(metrics) for name in everywhere}


def _child(trained: Scheduled, seed: int) -> dict[str, Any]:
    return {
        "name": f"seed {seed}",
        "parameters": {"seed": seed},
        "metrics": metrics_of(trained.predictions[trained.predictions["seed"] == seed]),
        "history": list(trained.histories[seed]),
    }


def _card(trained: Scheduled) -> dict[str, Any]:
    return {
        "model": trained.model,
        "what": "probability that a 40 um patch holds non-exhausted CD8+ T cells, from channels "
        "that T cells were erased from",
        "not_for": "diagnosis or choice of a therapy: association in one cohort, in which an "
        "arrow from T cells to signals is not excluded",
        "cohort": trained.variant,
        "scheme": trained.scheme,
        "input": trained.input_text,
        "channels": list(trained.channels),
        "parameters": trained.parameters,
        "settings": dict(trained.settings),
        "retrainings": [_retraining(trained, seed) for seed in trained.histories],
        "sha256": {file.name: digest(file).sha256 for file in trained.files},
    }


def _retraining(trained: Scheduled, seed: int) -> dict[str, Any]:
    rows, best = trained.rows, trained.best_epochs[seed]
    training = rows[(rows["seed"] == seed) & (rows["split"] == "train")]
    return {
        "seed": seed,
        "best_epoch": best,
        "validation_mcc": float(trained.histories[seed][best - 1]["validation_mcc"]),
        "training": {
            "patches": len(training),
            "positive": int(training["label"].sum()),
            "subjects": int(training["subject"].nunique()),
        },
    }
