"""Reading what the stages of one cohort have written, for the report."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from tissuetrace.pipeline.files import read_json, read_table
from tissuetrace.studies.imc.cohorts import SCHEMES, Cohort
from tissuetrace.studies.imc.outcome import CohortOutcome

__all__ = ["read_cohort"]

_TABLES = (
    "images",
    "refused",
    "cores",
    "redraws",
    "dropped",
    "leaks",
    "scores",
    "predictions",
    "shares",
    "pool",
    "levels",
    "channels",
    "strategies",
    "stability",
    "maps",
)
_PATCH = ["item", "subject", "image", "row", "col", "label", "tissue", "tumour"]
_SEARCH = ["subject", "model", "seed", "variant", "found"]
_HISTORY = ["seed", "epoch", "train_loss", "validation_loss", "validation_mcc"]


def read_cohort(name: str, settings: Cohort, paths: Mapping[str, Path]) -> CohortOutcome:
    """Read all that was found in one cohort.

    Args:
        name: of the cohort.
        settings: of the cohort.
        paths: of its tables by what they hold, as the stage `report` declares them.
    """
    deltas = [f"delta_{channel}" for channel in settings.free]
    return CohortOutcome(
        name=name,
        settings=settings,
        patches=_patches(paths["patches"]),
        histories=_histories(paths),
        counterfactuals=read_table(paths["counterfactuals"], [*_SEARCH, *deltas]),
        strategy=read_json(paths["strategy"]),
        leak=read_json(paths["leak"]),
        recovered=read_json(paths["recovered"]),
        **{table: read_table(paths[table]) for table in _TABLES},
    )


def _patches(folder: Path) -> pd.DataFrame:
    parts = [read_table(path, _PATCH) for path in sorted(folder.glob("*.parquet"))]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_PATCH)


def _histories(paths: Mapping[str, Path]) -> pd.DataFrame:
    """Join the epochs of all trainings; a folder without any was not trained."""
    parts = [
        read_table(file).assign(model=model, scheme=scheme)
        for model in ("mlp", "cnn")
        for scheme in SCHEMES
        for file in [paths[f"{model}_{scheme}"] / "history.parquet"]
        if file.exists()
    ]
    if not parts:
        return pd.DataFrame(columns=[*_HISTORY, "model", "scheme"])
    return pd.concat(parts, ignore_index=True)
