"""Few points of every curve, wide: one row a place on the axis, one column a model and scheme."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from tissuetrace.stats import classification as measures
from tissuetrace.stats.calibration import calibration_table

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "calibration_points",
    "confusion_items",
    "precision_recall_points",
    "referral_points",
    "roc_points",
    "write_curve",
]

GRID = np.linspace(0, 1, 101)
RECALL_GRID = GRID[1:]  # precision has no meaning at recall 0
REFERRAL_GRID = np.linspace(0.5, 0.95, 19)

Labels = Int[ndarray, " item"]
Values = Float[ndarray, " item"]


def roc_points(items: pd.DataFrame) -> pd.DataFrame:
    """Sensitivity at 101 false-positive rates, of every `model_scheme`."""
    columns: dict[str, Any] = {"false_positive_rate": GRID}
    for name, labels, probabilities in _each_model(items):
        columns[name] = _sensitivity_at(labels, probabilities)
    return pd.DataFrame(columns)


def precision_recall_points(items: pd.DataFrame) -> pd.DataFrame:
    """Precision where each of 100 recalls is first reached, of every `model_scheme`."""
    columns: dict[str, Any] = {"recall": RECALL_GRID}
    for name, labels, probabilities in _each_model(items):
        columns[name] = _precision_at(labels, probabilities)
    return pd.DataFrame(columns)


def calibration_points(items: pd.DataFrame, *, bins: int) -> pd.DataFrame:
    """Observed share of ALL in bins of rising probability, of every `model_scheme`.

    Returns:
        `bin` from 1, and for each `model_scheme` its `_probability` (mean in the bin),
        `_observed`, `_excess` (observed less mean probability, 0 where calibrated) and `_items`;
        empty where a model has fewer bins.
    """
    table = pd.DataFrame({"bin": np.arange(1, bins + 1)})
    for name, labels, probabilities in _each_model(items):
        found = calibration_table(labels, probabilities, bins=bins)
        place = pd.RangeIndex(len(found.items))
        table[f"{name}_probability"] = pd.Series(found.probability, index=place)
        table[f"{name}_observed"] = pd.Series(found.observed, index=place)
        table[f"{name}_excess"] = pd.Series(found.observed - found.probability, index=place)
        table[f"{name}_items"] = pd.Series(found.items, index=place).astype("Int64")
    return table


def confusion_items(items: pd.DataFrame) -> pd.DataFrame:
    """`actual` class of every item and the class that each model calls: DVC counts the rows.

    Args:
        items: of one scheme, so that every model has the same.

    Returns:
        Rows sorted by what they say, so that none can be told for a cell.
    """
    called = items.assign(called=_named(items["probability"] >= 0.5))  # noqa: PLR2004  # even odds
    models = list(dict.fromkeys(items["model"]))
    wide = called.pivot_table(index="item", columns="model", values="called", aggfunc="first")
    truth = items.drop_duplicates("item").set_index("item")["label"]
    wide.insert(0, "actual", _named(truth.loc[wide.index] == 1))
    return wide[["actual", *models]].sort_values(["actual", *models]).reset_index(drop=True)


def referral_points(items: pd.DataFrame) -> pd.DataFrame:
    """What is left to a model when cells it is unsure of go to a person.

    Returns:
        `threshold` t from 0.5 to 0.95, and for each `model_scheme`, over the cells with
        max(p, 1-p) >= t: `_kept` (their share), `_accuracy`, `_false_positive_rate`,
        `_false_negative_rate`; empty where none is kept.
    """
    columns: dict[str, Any] = {"threshold": REFERRAL_GRID}
    for name, labels, probabilities in _each_model(items):
        sure = np.maximum(probabilities, 1 - probabilities)
        # a forest's 0.85 of 100 trees is the grid's 0.85
        kept = [sure >= threshold - 1e-9 for threshold in REFERRAL_GRID]
        columns[f"{name}_kept"] = [part.mean() for part in kept]
        for metric in ("accuracy", "false_positive_rate", "false_negative_rate"):
            measure = getattr(measures, metric)
            columns[f"{name}_{metric}"] = [
                measure(labels[part], probabilities[part], None) if part.any() else np.nan
                for part in kept
            ]
    return pd.DataFrame(columns)


def write_curve(points: pd.DataFrame, path: "Path") -> None:
    """Write points as CSV with six decimals, which two machines agree on."""
    points.to_csv(path, index=False, float_format="%.6f", lineterminator="\n")


def _each_model(items: pd.DataFrame) -> Iterator[tuple[str, Labels, Values]]:
    for (scheme, model), part in items.groupby(["scheme", "model"], sort=False):
        yield f"{model}_{scheme}", part["label"].to_numpy(), part["probability"].to_numpy()


def _named(is_all: "pd.Series[bool]") -> "pd.Series[str]":
    return is_all.map({True: "ALL", False: "normal"})


def _sensitivity_at(labels: Labels, probabilities: Values) -> Float[ndarray, " point"]:
    from sklearn.metrics import roc_curve

    if len(np.unique(labels)) == 1:
        return np.full(len(GRID), np.nan)
    false_positive_rate, found, _ = roc_curve(labels, probabilities)
    # of several sensitivities at one rate the last, which is the highest
    last = np.append(np.diff(false_positive_rate) > 0, [True])
    points: Values = np.interp(GRID, false_positive_rate[last], found[last])
    return points


def _precision_at(labels: Labels, probabilities: Values) -> Float[ndarray, " point"]:
    from sklearn.metrics import precision_recall_curve

    if not labels.any():
        return np.full(len(RECALL_GRID), np.nan)
    precision, recall, _ = precision_recall_curve(labels, probabilities)
    rising, values = recall[::-1], precision[::-1]
    points: Values = values[np.searchsorted(rising, RECALL_GRID - 1e-9)]
    return points
