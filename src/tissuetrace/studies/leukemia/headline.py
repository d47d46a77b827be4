"""The few numbers of the lane that git keeps and `dvc metrics` compares."""

import math
from collections.abc import Mapping

import pandas as pd

from tissuetrace.studies.leukemia.phantom import SIGNAL
from tissuetrace.studies.leukemia.recovery import (
    SIZE_FEATURES,
    area_agreement,
    oracle_auc,
    top_feature,
)
from tissuetrace.studies.leukemia.scores import value_of

__all__ = [
    "against_truth",
    "duplicates_across_image_splits",
    "headline_numbers",
    "leakage_numbers",
    "without_nan",
]

_HEADLINE = {
    "forest_auc": ("auc", "forest"),
    "cnn_auc": ("auc", "cnn"),
    "hybrid_auc": ("auc", "hybrid"),
    "cnn_minus_forest_auc": ("auc_difference", "cnn-forest"),
    "forest_accuracy": ("accuracy", "forest"),
    "cnn_accuracy": ("accuracy", "cnn"),
    "forest_false_positive_rate": ("false_positive_rate", "forest"),
    "cnn_false_positive_rate": ("false_positive_rate", "cnn"),
}


def headline_numbers(scores: pd.DataFrame) -> dict[str, float | None]:
    """Return the numbers on test, subject scheme: unseen groups, threshold 0.5."""
    found = {
        key: value_of(scores, metric, source="test", scheme="subject", model=model).value
        for key, (metric, model) in _HEADLINE.items()
    }
    return without_nan(found)


def leakage_numbers(scores: pd.DataFrame, *, reading: str) -> dict[str, float]:
    """Return the forest's out-of-fold AUC by group and by image in a reading, and their gap."""
    source = f"folds_{reading}"
    by = {
        scheme: value_of(scores, "auc", source=source, scheme=scheme, model="forest").value
        for scheme in ("subject", "image")
    }
    gap = value_of(scores, "auc_gap", source=source, scheme="both", model="forest").value
    return {
        "forest_auc_by_group": by["subject"],
        "forest_auc_by_image": by["image"],
        "leakage_gap": gap,
    }


def duplicates_across_image_splits(pairs: pd.DataFrame, splits: pd.DataFrame) -> int:
    """Count pixel-identical pairs of training images that a random split by image tears apart.

    Args:
        pairs: `name_a, name_b, kind`.
        splits: `name, scheme, split`; pairs with an image of the preliminary phase do not count.
    """
    chosen = splits[(splits["scheme"] == "image") & (splits["split"] != "prelim")]
    split_of = dict(zip(chosen["name"], chosen["split"], strict=True))
    exact = pairs[pairs["kind"] == "exact"]
    first, second = exact["name_a"].map(split_of), exact["name_b"].map(split_of)
    return int((first.notna() & second.notna() & (first != second)).sum())


def against_truth(
    truth: pd.DataFrame, features: pd.DataFrame, groups: pd.DataFrame, *, seed: int
) -> dict[str, float]:
    """Hold what was measured against what the phantom drew.

    Args:
        truth: `name, z1` to `z6`, `area_px`.
        features: `name, subject, label` and the measurements, in the cell reading.
        groups: `subject, group`.
        seed: of the folds and of the forest.

    Returns:
        `area_r, area_bias, oracle_auc_by_group, top_is_size`.
    """
    names = list(features.columns.drop(["name", "subject", "label"]))
    joined = features.merge(truth, on="name", validate="one_to_one").merge(groups, on="subject")
    labels = joined["label"].to_numpy()
    r, bias = area_agreement(joined["area"].to_numpy(), joined["area_px"].to_numpy())
    latents, members = joined[list(SIGNAL)].to_numpy(), joined["group"].to_numpy()
    top = top_feature(joined[names].to_numpy(), labels, names=names, seed=seed)
    return {
        "area_r": r,
        "area_bias": bias,
        "oracle_auc_by_group": oracle_auc(latents, labels, members, seed=seed),
        "top_is_size": float(top in SIZE_FEATURES),
    }


def without_nan(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """Replace what is not defined, as in a split without one class, by null: JSON has no NaN."""
    return {key: None if math.isnan(value) else value for key, value in numbers.items()}
