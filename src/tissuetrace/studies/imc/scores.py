"""Every measure of the classifiers: over retrainings, over patients, and what a random split adds.

Two uncertainties stand side by side. `low` and `high` are those of the mean over retrainings, as
in the paper: chance of split and training, on these patients. `subject_low` and `subject_high` are
those of the first retraining over drawn patients: how far other patients would move it.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from tissuetrace.stats import classification as measures
from tissuetrace.stats.intervals import cluster_interval
from tissuetrace.stats.retrainings import mean_interval
from tissuetrace.studies.imc.evaluate import SCORE_COLUMNS, SHARE_COLUMNS

__all__ = ["GAP", "core_shares", "score"]

GAP = "random-patient"  # scheme of the rows that hold a difference

_EVEN_ODDS = 0.5
_ROUNDING = 1e-9
_AT_THRESHOLD: dict[str, measures.ThresholdStatistic] = {
    "precision": measures.precision,
    "recall": measures.sensitivity,
    "f1": measures.f1,
    "mcc": measures.mcc,
}
_BOUNDS = {"mcc": (-1.0, 1.0)}

Key = tuple[str, float]  # metric and threshold
Values = Float[ndarray, " retraining"]


def score(
    predictions: pd.DataFrame, *, thresholds: tuple[float, ...], draws: int, seed: int
) -> pd.DataFrame:
    """Return `SCORE_COLUMNS`, one row a number.

    Args:
        predictions: `subject, split, scheme, model, seed, label, probability`.
        thresholds: probabilities from which a patch is called positive.
        draws: of patients, for the intervals over them.
        seed: of these draws.

    A precision where no patch is called positive is undefined: that retraining is left out of the
    mean and counted. So is an MCC there, whereas recall and F1 are 0.

    Raises:
        ValueError: an MCC is above √(precision x recall), which no counts can give.

    Source: Wang & Thomson, Tables 1 and 3.
    """
    rows, found = [], {}
    for place, part in predictions.groupby(["model", "scheme", "split"], sort=True):
        model, scheme, split = (str(name) for name in place)
        named = {"model": model, "scheme": scheme, "split": split}
        values = _by_seed(part, thresholds)
        found[model, scheme, split] = values
        first = part[part["seed"] == part["seed"].min()]
        for key, own in values.items():
            over_patients = {}
            if split == "test" and key[0] != "mcc_bound":
                over_patients = _over_patients(first, key, draws=draws, seed=seed)
            rows.append({**named, **_over_retrainings(key, own), **over_patients})
    rows += _gaps(found)
    return pd.DataFrame(rows)[list(SCORE_COLUMNS)].astype(
        {"model": "str", "scheme": "str", "split": "str", "metric": "str"}
    )


def core_shares(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return `SHARE_COLUMNS`: each core's share of positive patches, true and called at 0.5.

    Args:
        predictions: `subject, image, split, scheme, model, seed, label, probability`.

    Only patches on test count, so that no core is predicted by a model that has learnt from it;
    a core that no retraining has on test is absent.

    Source: Wang & Thomson, Fig. 3B.
    """
    test = predictions[predictions["split"] == "test"]
    called = test.assign(called=test["probability"] >= _EVEN_ODDS)
    by_seed = (
        called.groupby(["scheme", "model", "image", "subject", "seed"], sort=True)
        .agg(actual=("label", "mean"), predicted=("called", "mean"), patches=("label", "size"))
        .reset_index()
    )
    shares = by_seed.groupby(["scheme", "model", "image", "subject"], sort=True).agg(
        actual=("actual", "mean"),
        predicted=("predicted", "mean"),
        retrainings=("seed", "nunique"),
        patches=("patches", "sum"),
    )
    return shares.reset_index()[list(SHARE_COLUMNS)]


def _by_seed(part: pd.DataFrame, thresholds: tuple[float, ...]) -> dict[Key, Values]:
    """Return every measure of every retraining, in the order of the seeds."""
    rows = []
    for seed, own in part.groupby("seed", sort=True):
        labels, probabilities = own["label"].to_numpy(), own["probability"].to_numpy()
        row: dict[Key, float] = {("auc", 0.0): measures.auc(labels, probabilities)}
        for threshold in thresholds:
            for metric, measure in _AT_THRESHOLD.items():
                row[metric, threshold] = measure(labels, probabilities, None, threshold=threshold)
            bound = float(np.sqrt(row["precision", threshold] * row["recall", threshold]))
            if row["mcc", threshold] > bound + _ROUNDING:
                raise ValueError(f"MCC above √(P·R) = {bound:g} at {threshold:g}, seed {seed}")
            row["mcc_bound", threshold] = bound
        rows.append(row)
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def _over_retrainings(key: Key, values: Values) -> dict[str, str | float]:
    mean = mean_interval(values)
    metric, threshold = key
    return {
        "metric": metric,
        "threshold": threshold,
        "value": mean.value,
        "low": mean.low,
        "high": mean.high,
        "retrainings": mean.retrainings,
        "undefined": len(values) - mean.retrainings,
        "first": float(values[0]),
        "subject_low": np.nan,
        "subject_high": np.nan,
        "subjects": 0,
    }


def _over_patients(
    first: pd.DataFrame, key: Key, *, draws: int, seed: int
) -> dict[str, str | float]:
    metric, threshold = key
    statistic: measures.Statistic = measures.auc
    if metric != "auc":
        statistic = partial(_AT_THRESHOLD[metric], threshold=threshold)
    interval = cluster_interval(
        statistic,
        first["label"].to_numpy(),
        first["probability"].to_numpy(),
        pd.factorize(first["subject"], sort=True)[0],
        draws=draws,
        seed=seed,
        bounds=_BOUNDS.get(metric, (0.0, 1.0)),
    )
    return {
        "subject_low": interval.low,
        "subject_high": interval.high,
        "subjects": interval.groups,
    }


def _gaps(
    found: Mapping[tuple[str, str, str], Mapping[Key, Values]],
) -> list[dict[str, str | float]]:
    """Return what patches drawn at random gain over unseen patients, one row a measure.

    The retrainings of two schemes have nothing in common, so that any pairing gives the interval
    of the difference; they are paired in their order.
    """
    rows = []
    for (model, scheme, split), patient in found.items():
        random = found.get((model, "random", split))
        if scheme != "patient" or random is None:
            continue
        for key, own in patient.items():
            both = min(len(own), len(random[key]))
            named = {"model": model, "scheme": GAP, "split": split}
            rows.append({**named, **_over_retrainings(key, random[key][:both] - own[:both])})
    return rows
