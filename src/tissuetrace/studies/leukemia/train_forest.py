"""Fit the random forest on the hand-made features, under both ways of splitting.

Every seed is fitted and judged, since seeds give the variance of training; the first one's model
is kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, MinLen

from tissuetrace.pipeline.files import read_table, write_json, write_table
from tissuetrace.pipeline.hashing import digest
from tissuetrace.pipeline.parallel import parallel_map
from tissuetrace.pipeline.runs import write_run
from tissuetrace.pipeline.stage import exact, stage
from tissuetrace.studies.leukemia.items import ADMISSION, ASKED, predicted, read_items

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Forest", "train_forest", "with_features"]

THRESHOLD = 0.5  # of the card; evaluate chooses another one on validation


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """The random forest (section 4); the study states its 100 trees and no other setting."""

    trees: Annotated[int, Ge(1)]
    class_weight: Literal["none", "balanced"]
    seeds: Annotated[tuple[Annotated[int, Ge(0)], ...], MinLen(1)]


@stage(
    reads={
        "features": "data/leukemia/featurize/features.parquet",
        "splits": "data/leukemia/split/splits.parquet",
        "groups": "data/leukemia/split/groups.parquet",
        "table": "data/leukemia/ingest/table.parquet",
    },
    writes={
        "image": exact(
            "data/leukemia/train_forest/image",
            "Forest of the split by image: model.joblib, card.json, run.json, predictions.parquet",
            records=("run.json",),
        ),
        "subject": exact(
            "data/leukemia/train_forest/subject",
            "Forest of the split by subject: the same files",
            records=("run.json",),
        ),
    },
    params={"forest": Forest},
    gate=ADMISSION,
)
def train_forest(
    *,
    features: Path,
    splits: Path,
    groups: Path,
    table: Path,
    admission: Path,
    image: Path,
    subject: Path,
    forest: Forest,
) -> None:
    """Write a folder for each scheme; predictions hold every seed, in the order of the seeds."""
    inputs = {"features": features, "splits": splits, "groups": groups, "table": table}
    folders = {"image": image, "subject": subject}
    jobs = [
        _Job(scheme=scheme, seed=seed, forest=forest, inputs=inputs, folder=folder)
        for scheme, folder in folders.items()
        for seed in forest.seeds
    ]
    fitted = parallel_map(_fit, jobs, title="forests")
    for scheme, folder in folders.items():
        parts = [part for job, part in zip(jobs, fitted, strict=True) if job.scheme == scheme]
        _write_folder(folder, scheme, parts, forest=forest, inputs=inputs, admission=admission)


def with_features(items: "pd.DataFrame", features: Path) -> "tuple[pd.DataFrame, list[str]]":
    """Put the measured features beside each cell.

    Args:
        items: one row a cell, `item` its name.
        features: table of `name, subject, label` and the features.

    Returns:
        The items in their order with one more column a feature, and the names of these columns.

    Raises:
        ValueError: a cell was not measured.
    """
    wide = read_table(features)
    names = [str(column) for column in wide.columns if column not in {"name", "subject", "label"}]
    measured = wide[["name", *names]].rename(columns={"name": "item"})
    joined = items.merge(measured, on="item", how="left", validate="one_to_one", sort=False)
    unmeasured = int(joined[names].isna().any(axis=1).sum())
    if unmeasured:
        raise ValueError(f"{unmeasured} cells without features in {features}")
    return joined, names


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    scheme: str
    seed: int
    forest: Forest
    inputs: Mapping[str, Path]
    folder: Path


def _fit(job: _Job) -> "pd.DataFrame":
    """Fit one forest and judge all that it has not seen; the first seed's forest is written."""
    from tissuetrace.learn.forests import fit_forest, positive_probability, save_forest

    items, names = _read(job.inputs, job.scheme)
    training, asked = items[items["split"] == "train"], items[items["split"].isin(ASKED)]
    model = fit_forest(
        training[names].to_numpy(),
        training["label"].to_numpy(),
        trees=job.forest.trees,
        class_weight=job.forest.class_weight,
        seed=job.seed,
    )
    if job.seed == job.forest.seeds[0]:
        save_forest(model, job.folder / "model.joblib")  # here, so that workers change no byte
    probability = positive_probability(model, asked[names].to_numpy())
    return predicted(asked, probability, model="forest", seed=job.seed)


def _read(inputs: Mapping[str, Path], scheme: str) -> "tuple[pd.DataFrame, list[str]]":
    places = {name: inputs[name] for name in ("table", "splits", "groups")}
    return with_features(read_items(**places, scheme=scheme), inputs["features"])


def _write_folder(
    folder: Path,
    scheme: str,
    parts: Sequence["pd.DataFrame"],
    *,
    forest: Forest,
    inputs: Mapping[str, Path],
    admission: Path,
) -> None:
    import pandas as pd

    model, card = folder / "model.joblib", folder / "card.json"
    predictions = folder / "predictions.parquet"
    write_table(pd.concat(parts, ignore_index=True), predictions)
    write_json(_card(scheme, model, forest=forest, inputs=inputs), card)
    scores = [_scores(part) for part in parts]
    write_run(
        folder / "run.json",
        study="leukemia",
        variant=f"forest-{scheme}",
        parameters={"forest": asdict(forest), "scheme": scheme},
        metrics=scores[0],
        history=[],
        inputs=inputs,
        files=[model, card, predictions],
        admission=admission,
        children=[
            {"name": f"seed {seed}", "parameters": {"seed": seed}, "metrics": score, "history": []}
            for seed, score in zip(forest.seeds, scores, strict=True)
        ],
    )


def _card(
    scheme: str, model: Path, *, forest: Forest, inputs: Mapping[str, Path]
) -> dict[str, Any]:
    from importlib import metadata

    items, names = _read(inputs, scheme)
    counts = items.groupby(["split", "label"]).size().reset_index().to_numpy().tolist()
    return {
        "model": "forest",
        "scheme": scheme,
        "trees": forest.trees,
        "class_weight": forest.class_weight,
        "seed": forest.seeds[0],
        "features": names,
        "classes": {"0": "normal precursor", "1": "leukemic blast (ALL)"},
        "threshold": THRESHOLD,
        "cells": {f"{split} {label}": int(count) for split, label, count in counts},
        "sha256": digest(model).sha256,
        "versions": {name: metadata.version(name) for name in ("joblib", "numpy", "scikit-learn")},
        "use": "Research only, not for diagnosis: one centre, one stain, no new disease",
    }


def _scores(predictions: "pd.DataFrame") -> dict[str, float]:
    """Score validation and test; a measure that a small split leaves undefined is left out."""
    import math

    from tissuetrace.stats.classification import accuracy, auc, brier, false_positive_rate

    measures = {
        "auc": auc,
        "accuracy": accuracy,
        "false_positive_rate": false_positive_rate,
        "brier": brier,
    }
    found: dict[str, float] = {}
    for split in ("validation", "test"):
        part = predictions[predictions["split"] == split]
        if len(part) == 0:
            continue
        labels, probability = part["label"].to_numpy(), part["probability"].to_numpy()
        scores = {name: measure(labels, probability) for name, measure in measures.items()}
        found |= {f"{split}_{name}": value for name, value in scores.items()}
    return {name: value for name, value in found.items() if math.isfinite(value)}
