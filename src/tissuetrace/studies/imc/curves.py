"""Few points of the curves on test, wide: one row a place on the axis, one column a curve."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from tissuetrace.studies.imc.cohorts import SCHEMES

__all__ = ["COLUMNS", "curve_points"]

GRID = np.linspace(0.01, 1, 100)  # precision has no meaning at recall 0
MODELS = ("mlp", "cnn")
COLUMNS = tuple(
    f"{kind}_{model}_{scheme}"
    for kind in ("sensitivity", "precision")
    for scheme in SCHEMES
    for model in MODELS
)

_ROUNDING = 1e-9  # 7 of 100 positives are a recall of 0.07

Labels = Int[ndarray, " item"]
Values = Float[ndarray, " item"]
Steps = Float[ndarray, " step"]
Points = Float[ndarray, " point"]


def curve_points(test: pd.DataFrame) -> pd.DataFrame:
    """Return ROC and precision-recall curves of every model and scheme, means over retrainings.

    Args:
        test: predictions on test: `model, scheme, seed, label, probability`.

    Returns:
        `rate` from 0.01 to 1; `sensitivity_<model>_<scheme>` where the false-positive rate is
        that (between two steps on the straight line), and `precision_<model>_<scheme>` where that
        recall is first reached. All columns are there: of a model that was not trained, or where
        test lacks a class, they are empty.
    """
    columns: dict[str, Any] = {"rate": GRID}
    for name in COLUMNS:
        kind, model, scheme = name.split("_")
        rows = test[(test["model"] == model) & (test["scheme"] == scheme)]
        measure = _sensitivity_at if kind == "sensitivity" else _precision_at
        points = [
            measure(own["label"].to_numpy(), own["probability"].to_numpy())
            for _, own in rows.groupby("seed", sort=True)
        ]
        columns[name] = np.mean(points, axis=0) if points else np.full(len(GRID), np.nan)
    return pd.DataFrame(columns)


def _steps(labels: Labels, probabilities: Values) -> tuple[Steps, Steps]:
    """Count false and true positives at every threshold that some item has, from the highest.

    Equal probabilities make one step. scikit-learn does the same (a test compares), but takes more
    than a second to be imported.
    """
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    last_of_tie = np.append(ranked[1:] != ranked[:-1], [True])
    true = np.cumsum(labels[order])[last_of_tie].astype(float)
    called = np.flatnonzero(last_of_tie) + 1.0
    return called - true, true


def _sensitivity_at(labels: Labels, probabilities: Values) -> Points:
    if len(np.unique(labels)) == 1:
        return np.full(len(GRID), np.nan)
    false, true = _steps(labels, probabilities)
    rate = np.append([0.0], false / false[-1])
    found = np.append([0.0], true / true[-1])
    # of several sensitivities at one rate the last, which is the highest
    last = np.append(np.diff(rate) > 0, [True])
    points: Points = np.interp(GRID, rate[last], found[last])
    return points


def _precision_at(labels: Labels, probabilities: Values) -> Points:
    if not labels.any():
        return np.full(len(GRID), np.nan)
    false, true = _steps(labels, probabilities)
    first = np.searchsorted(true / true[-1], GRID - _ROUNDING)
    points: Points = (true / (true + false))[first]
    return points
