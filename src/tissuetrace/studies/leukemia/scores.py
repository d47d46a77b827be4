"""Every measure of every model, with its interval over groups of linked subjects.

One row a number. `source` says which items were scored: `test`, `validation` and `prelim` of the
one split, `strategies` for its test items under each treatment of the imbalance, `folds_image` and
`folds_cell` for the pooled out-of-fold predictions of a reading. Endings of a metric: `_chosen` at
the threshold chosen on validation, `_gap` image less subject scheme, `_difference` first less
second model, `_minus_none` less no strategy, `_over_seeds` over all training seeds: their mean,
lowest, highest and standard deviation. `linked_cells_dropped` of `prelim` counts cells left out
because their group is also in train or validation.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tissuetrace.stats import classification as measures
from tissuetrace.stats.calibration import expected_calibration_error
from tissuetrace.stats.classification import Statistic, at_threshold, threshold_at_sensitivity
from tissuetrace.stats.intervals import Interval, cluster_interval, paired_interval
from tissuetrace.stats.paired import mcnemar
from tissuetrace.studies.leukemia.unseen import preliminary_linked

__all__ = [
    "CALIBRATION_BINS",
    "accuracy_by_group",
    "chosen_thresholds",
    "kept_seed",
    "score_folds",
    "score_predictions",
    "score_strategies",
    "value_of",
]

_TEXTS = ("source", "scheme", "model", "metric")
_NUMBERS = ("value", "low", "high", "se")
_COUNTS = ("groups", "items")

CALIBRATION_BINS = 10

# Rows are (source, scheme, model); a frame of items has label, probability, group.
_DECISIONS = (
    "accuracy",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "false_positive_rate",
    "false_negative_rate",
    "precision",
    "f1",
    "weighted_f1",
)
_CHOSEN = ("accuracy", "sensitivity", "specificity", "false_positive_rate", "false_negative_rate")
_OF_FOLDS = ("auc", "accuracy", "sensitivity", "specificity", "false_positive_rate", "brier")
_OF_STRATEGIES = ("auc", "accuracy", "sensitivity", "specificity", "brier")
_GAPS = ("auc", "accuracy", "specificity")
_COMPARED = ("auc", "accuracy", "specificity", "sensitivity")
_OVER_SEEDS = ("auc", "accuracy", "false_positive_rate")

_GAINS: dict[str, Statistic] = {
    f"{name}_minus_none": getattr(measures, name) for name in _OF_STRATEGIES
}
_NAN = float("nan")

Row = dict[str, Any]


def score_predictions(
    predictions: pd.DataFrame,
    *,
    trained: pd.DataFrame,
    sensitivity: float,
    draws: int,
    seed: int,
) -> pd.DataFrame:
    """Score every model under both schemes, and compare forest and CNN on the same items.

    Args:
        predictions: the joined predictions of the three models.
        trained: groups in train or validation, from `unseen.trained_groups`; preliminary cells of
            these are not scored.
        sensitivity: that the chosen threshold keeps on validation.
        draws: of groups, for the intervals.
        seed: of the draws.

    Returns:
        One row a number, in the columns of `scores.parquet`.
    """
    linked = preliminary_linked(predictions, trained)
    kept = kept_seed(predictions[~linked])
    thresholds = chosen_thresholds(kept, sensitivity=sensitivity)
    rows: list[Row] = []
    for (scheme, model, split), items in kept.groupby(["scheme", "model", "split"], sort=False):
        place = {"source": split, "scheme": scheme, "model": model}
        threshold = thresholds[str(scheme), str(model)]
        rows += _scored(items, place, _all_measures(threshold), draws=draws, seed=seed)
        rows += _plain(items, place, threshold)
    rows += _dropped(kept_seed(predictions.assign(linked=linked)))
    rows += _over_seeds(predictions)
    rows += _models_compared(kept, draws=draws, seed=seed)
    return _table(rows)


def score_folds(folds: pd.DataFrame, *, draws: int, seed: int) -> pd.DataFrame:
    """Score the pooled out-of-fold predictions, and the gap between the two schemes.

    A gap is positive where a random split by image looks better than a split by group.
    """
    chosen = {name: _measure(name) for name in _OF_FOLDS}
    rows: list[Row] = []
    for (reading, scheme, model), items in folds.groupby(["reading", "scheme", "model"]):
        place = {"source": f"folds_{reading}", "scheme": scheme, "model": model}
        rows += _scored(items, place, chosen, draws=draws, seed=seed)
    for (reading, model), items in folds.groupby(["reading", "model"]):
        schemes = {str(name): part for name, part in items.groupby("scheme")}
        if {"image", "subject"} <= set(schemes):
            place = {"source": f"folds_{reading}", "scheme": "both", "model": model}
            pair = _paired(schemes["image"], schemes["subject"])
            gaps = {f"{name}_gap": _measure(name) for name in _GAPS}
            rows += _differences(pair, place, gaps, draws=draws, seed=seed)
    for (reading, scheme), items in folds.groupby(["reading", "scheme"]):
        models = {str(name): part for name, part in items.groupby("model", sort=False)}
        if "none" in models:
            none = models.pop("none")
            for model in sorted(set(models) - {"forest", "area"}):
                place = {"source": f"folds_{reading}", "scheme": scheme, "model": model}
                pair = _paired(models[model], none)
                rows += _differences(pair, place, _GAINS, draws=draws, seed=seed)
    return _table(rows)


def score_strategies(
    strategies: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    sensitivity: float,
    draws: int,
    seed: int,
) -> pd.DataFrame:
    """Score every treatment of the imbalance on test, each also less `none` on the same items.

    Args:
        strategies: predictions under each `strategy`.
        predictions: of the models as trained, which stand for `none` where a model lacks it.
        sensitivity: that the chosen threshold keeps on validation.
        draws: of groups, for the intervals.
        seed: of the draws.
    """
    kept = kept_seed(strategies, also=["strategy"])
    rows: list[Row] = []
    for (scheme, model), of_model in kept.groupby(["scheme", "model"], sort=False):
        parts = {str(name): part for name, part in of_model.groupby("strategy", sort=False)}
        if "none" not in parts:
            plain = (predictions["scheme"] == scheme) & (predictions["model"] == model)
            parts = {"none": kept_seed(predictions[plain]), **parts}
        none = parts["none"][parts["none"]["split"] == "test"]
        for name, part in parts.items():
            place = {"source": "strategies", "scheme": scheme, "model": f"{model}:{name}"}
            test = part[part["split"] == "test"]
            threshold = _threshold(part[part["split"] == "validation"], sensitivity)
            chosen = {metric: _measure(metric) for metric in _OF_STRATEGIES}
            chosen |= _at_chosen(threshold)
            rows += _scored(test, place, chosen, draws=draws, seed=seed)
            if name != "none":
                rows += _differences(_paired(test, none), place, _GAINS, draws=draws, seed=seed)
    return _table(rows)


def accuracy_by_group(items: pd.DataFrame) -> pd.DataFrame:
    """Share of cells called right in each group, by scheme and model.

    Args:
        items: `scheme, model, group, label, probability`, one row a cell.

    Returns:
        `scheme, model, group, label, items, accuracy`; a group of both labels has two rows.
    """
    right = (items["probability"] >= 0.5) == (items["label"] == 1)  # noqa: PLR2004  # even odds
    counted = items.assign(right=right).groupby(["scheme", "model", "group", "label"])["right"]
    table = counted.agg(items="size", accuracy="mean").reset_index()
    return table.astype({"items": "int64", "accuracy": "float64"})


def kept_seed(predictions: pd.DataFrame, *, also: list[str] | None = None) -> pd.DataFrame:
    """Return the rows of the first seed of every model: the model that is kept."""
    keys = ["scheme", "model", *(also or [])]
    first = predictions.groupby(keys, sort=False)["seed"].transform("first")
    return predictions[predictions["seed"] == first]


def chosen_thresholds(
    predictions: pd.DataFrame, *, sensitivity: float
) -> dict[tuple[str, str], float]:
    """Choose, for each scheme and model, the threshold that keeps a sensitivity on validation."""
    found = {}
    for (scheme, model), items in predictions.groupby(["scheme", "model"], sort=False):
        validation = items[items["split"] == "validation"]
        found[str(scheme), str(model)] = _threshold(validation, sensitivity)
    return found


def value_of(
    scores: pd.DataFrame, metric: str, *, source: str, scheme: str, model: str
) -> Interval:
    """Look one score up; NaN where it was not scored."""
    found = scores[
        (scores["metric"] == metric)
        & (scores["source"] == source)
        & (scores["scheme"] == scheme)
        & (scores["model"] == model)
    ]
    if found.empty:
        return _bare(_NAN)
    row = found.iloc[0]
    return Interval(row["value"], row["low"], row["high"], row["se"], int(row["groups"]))


def _all_measures(threshold: float) -> dict[str, Statistic]:
    free = {name: _measure(name) for name in ("auc", "brier", "log_loss")}
    decided = {name: _measure(name) for name in _DECISIONS}
    return free | decided | {"precision_normal": _precision_normal} | _at_chosen(threshold)


def _at_chosen(threshold: float) -> dict[str, Statistic]:
    return {f"{name}_chosen": at_threshold(getattr(measures, name), threshold) for name in _CHOSEN}


def _measure(name: str) -> Statistic:
    found: Callable[..., float] = getattr(measures, name)
    return found


def _precision_normal(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None
) -> float:
    tn, _, fn, _ = measures.confusion(labels, probabilities, weights)
    return tn / (tn + fn) if tn + fn else float("nan")


def _threshold(validation: pd.DataFrame, sensitivity: float) -> float:
    labels, probabilities, _ = _arrays(validation)
    if not labels.any():  # a small split may lack a class
        return float("nan")
    return threshold_at_sensitivity(labels, probabilities, sensitivity)


def _scored(
    items: pd.DataFrame, place: Row, chosen: Mapping[str, Statistic], *, draws: int, seed: int
) -> Iterator[Row]:
    labels, probabilities, groups = _arrays(items)
    for name, measure in chosen.items():
        if len(labels) == 0 or _needs_threshold(measure):
            interval = _bare(_NAN)
        elif (groups < 0).any():  # subjects unknown, so nothing to resample
            interval = _bare(measure(labels, probabilities, None))
        else:
            bounds = (0.0, np.inf) if name == "log_loss" else (0.0, 1.0)
            interval = cluster_interval(
                measure, labels, probabilities, groups, draws=draws, seed=seed, bounds=bounds
            )
        yield _row(place, name, interval, len(labels))


def _needs_threshold(measure: Statistic) -> bool:
    keywords = getattr(measure, "keywords", {})
    return bool(np.isnan(keywords.get("threshold", 0.0)))


def _plain(items: pd.DataFrame, place: Row, threshold: float) -> Iterator[Row]:
    """Yield numbers that have no interval: counts, calibration error, the chosen threshold."""
    labels, probabilities, _ = _arrays(items)
    counts = measures.confusion(labels, probabilities)
    for name, count in zip(("tn", "fp", "fn", "tp"), counts, strict=True):
        yield _row(place, name, _bare(count), len(labels))
    error = expected_calibration_error(labels, probabilities, bins=CALIBRATION_BINS)
    yield _row(place, "calibration_error", _bare(error), len(labels))
    if place["source"] == "validation":
        yield _row(place, "threshold_chosen", _bare(threshold), len(labels))


def _dropped(predictions: pd.DataFrame) -> Iterator[Row]:
    """Yield how many preliminary cells were left out, of how many."""
    early = predictions[predictions["split"] == "prelim"]
    for (scheme, model), linked in early.groupby(["scheme", "model"], sort=False)["linked"]:
        place = {"source": "prelim", "scheme": scheme, "model": model}
        yield _row(place, "linked_cells_dropped", _bare(float(linked.sum())), len(linked))


def _over_seeds(predictions: pd.DataFrame) -> Iterator[Row]:
    test = predictions[predictions["split"] == "test"]
    for (scheme, model), items in test.groupby(["scheme", "model"], sort=False):
        runs = [_arrays(part) for _, part in items.groupby("seed", sort=False)]
        for name in _OVER_SEEDS:
            values = np.array([_measure(name)(run[0], run[1], None) for run in runs])
            spread = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
            over = Interval(
                float(values.mean()), values.min().item(), values.max().item(), spread, len(values)
            )
            place = {"source": "test", "scheme": scheme, "model": model}
            yield _row(place, f"{name}_over_seeds", over, len(items) // len(values))


def _models_compared(kept: pd.DataFrame, *, draws: int, seed: int) -> Iterator[Row]:
    test = kept[kept["split"] == "test"]
    for scheme, items in test.groupby("scheme", sort=False):
        models = {str(name): part for name, part in items.groupby("model")}
        for first, second in (("cnn", "forest"), ("hybrid", "forest"), ("hybrid", "cnn")):
            if not {first, second} <= set(models):
                continue
            pair = _paired(models[first], models[second])
            place = {"source": "test", "scheme": scheme, "model": f"{first}-{second}"}
            chosen = {f"{name}_difference": _measure(name) for name in _COMPARED}
            yield from _differences(pair, place, chosen, draws=draws, seed=seed)
            truth = pair["label"].to_numpy() == 1
            right = [(pair[column].to_numpy() >= 0.5) == truth for column in ("first", "second")]  # noqa: PLR2004  # even odds
            yield _row(place, "mcnemar_p", _bare(mcnemar(right[0], right[1])), len(pair))


def _paired(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Put two models' probabilities of the same items side by side."""
    left = first[["item", "group", "label", "probability"]].rename(columns={"probability": "first"})
    right = second[["item", "probability"]].rename(columns={"probability": "second"})
    return left.merge(right, on="item", validate="one_to_one").sort_values("item")


def _differences(
    pair: pd.DataFrame, place: Row, chosen: Mapping[str, Statistic], *, draws: int, seed: int
) -> Iterator[Row]:
    labels, groups = pair["label"].to_numpy(), pair["group"].to_numpy()
    first, second = pair["first"].to_numpy(), pair["second"].to_numpy()
    for name, measure in chosen.items():
        interval = (
            paired_interval(measure, labels, first, second, groups, draws=draws, seed=seed)
            if len(labels)
            else _bare(_NAN)
        )
        yield _row(place, name, interval, len(labels))


def _arrays(items: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        items["label"].to_numpy(),
        items["probability"].to_numpy(),
        items["group"].to_numpy(),
    )


def _bare(value: float) -> Interval:
    return Interval(value, _NAN, _NAN, _NAN, 0)


def _row(place: Row, metric: str, found: Interval, items: int) -> Row:
    numbers = {"value": found.value, "low": found.low, "high": found.high, "se": found.se}
    return {**place, "metric": metric, **numbers, "groups": found.groups, "items": items}


def _table(rows: list[Row]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=[*_TEXTS, *_NUMBERS, *_COUNTS])
    kinds = {"str": _TEXTS, "float64": _NUMBERS, "int64": _COUNTS}
    return table.astype({name: kind for kind, names in kinds.items() for name in names})
