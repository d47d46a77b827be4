"""Counting what the gate's rules bound: names, pixels, pairs, splits and features."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tissuetrace.imaging.bitmaps import bitmap_mistake
from tissuetrace.learn.linking import exact_pairs, groups_of
from tissuetrace.studies.leukemia.collection import LABELS, label_mistakes
from tissuetrace.studies.leukemia.gates import COLLECTION_IMAGES, COLLECTION_SUBJECTS
from tissuetrace.studies.leukemia.grouping import PRELIMINARY
from tissuetrace.studies.leukemia.names import parse_name

__all__ = ["Evidence", "bad_bitmaps", "gather"]

_NEARLY_ALL = 0.9  # of the collection: from here on it is meant to be whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the rules look at, and what is written down beside them.

    Args:
        cells: `components, mask_share`, one row per training image.
        bounded: one number for each column that a rule of `counts` names.
        counts: whole numbers for the record.
    """

    cells: pd.DataFrame
    bounded: dict[str, float]
    counts: dict[str, int]

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables that the rules name."""
        return {"cells": self.cells, "counts": pd.DataFrame([self.bounded])}


def gather(
    tables: Mapping[str, pd.DataFrame], *, preliminary: Mapping[str, int], bitmaps_wrong: int
) -> Evidence:
    """Count all that the rules bound.

    Args:
        tables: `table`, `groups`, `splits`, `pairs`, `features`, `features_other`, as the stages
            before wrote them.
        preliminary: counts of the preliminary table, from `ingest`.
        bitmaps_wrong: from `bad_bitmaps`.
    """
    groups = tables["groups"]
    images = tables["table"].assign(
        group=groups_of(
            tables["table"]["subject"].tolist(),
            groups["subject"].tolist(),
            groups["group"].tolist(),
        )
    )
    training = images[images["fold"] >= 0]
    pairs = _pairs(images, tables["pairs"])
    divided = tables["splits"].merge(images[["name", "label", "group", "subject"]], on="name")
    bounded = {
        "bad_bitmaps": bitmaps_wrong,
        "preliminary_missing": preliminary["missing"],
        **_name_counts(images),
        **_pair_counts(pairs, tables["splits"]),
        **_split_counts(divided[divided["split"] != PRELIMINARY]),
        **_set_counts(training),
        "unplaced_images": _unplaced(images, tables["splits"], groups),
        "unmeasured_images": _unmeasured(images, tables["features"], tables["features_other"]),
    }
    cells = pd.DataFrame(
        {
            "components": training["components"],
            "mask_share": training["mask_px"] / (training["width"] * training["height"]),
        }
    )
    counts = _record(training, pairs, divided, tables["splits"])
    counts |= {f"preliminary_{key}": int(count) for key, count in preliminary.items()}
    return Evidence(cells=cells, bounded=bounded, counts=counts)


def bad_bitmaps(folder: Path, paths: list[str], *, size_px: int) -> int:
    """Count listed images that cannot be read or are no bitmap of the frame's size; decodes none.

    What the header hides was seen by `ingest`, which decodes every image.
    """
    return sum(bitmap_mistake(folder / path, size_px=size_px) is not None for path in paths)


def _name_counts(images: pd.DataFrame) -> dict[str, float]:
    columns = [images[column] for column in ("path", "name", "subject", "label")]
    wrong = np.array([_disagrees(*row) for row in zip(*columns, strict=True)], dtype=np.bool_)
    training = (images["fold"] >= 0).to_numpy()
    repeated = images["name"].duplicated(keep=False).to_numpy()
    return {
        "label_disagreements": int(wrong[training].sum()),
        "repeated_names": int(repeated.sum()),
        "preliminary_disagreements": int((wrong | repeated)[~training].sum()),
    }


def _disagrees(path: str, name: str, subject: str, label: int) -> bool:
    said = parse_name(name)
    if said is None or said.subject != subject:
        return True
    labels = {LABELS[said.suffix], LABELS[said.prefix], label}
    return len(labels) > 1 or bool(label_mistakes(path, name))


def _pairs(images: pd.DataFrame, listed: pd.DataFrame) -> pd.DataFrame:
    """Return exact pairs as the pixels have them now and near pairs as listed, with both sides."""
    names = images["name"].to_numpy()
    exact = exact_pairs(images["pixel_sha256"].tolist())
    near = listed.loc[listed["kind"] == "near", ["name_a", "name_b"]]
    pairs = pd.concat(
        [
            pd.DataFrame({"name_a": names[exact[:, 0]], "name_b": names[exact[:, 1]]}).assign(
                kind="exact"
            ),
            near.assign(kind="near"),
        ],
        ignore_index=True,
    )
    sides = images[["name", "subject", "group", "fold"]]
    for side in "ab":
        pairs = pairs.merge(sides.add_suffix(f"_{side}"), on=f"name_{side}")
    return pairs


def _training_pairs(pairs: pd.DataFrame, kind: str) -> pd.DataFrame:
    return pairs[(pairs["kind"] == kind) & (pairs["fold_a"] >= 0) & (pairs["fold_b"] >= 0)]


def _pair_counts(pairs: pd.DataFrame, splits: pd.DataFrame) -> dict[str, float]:
    exact, near = _training_pairs(pairs, "exact"), _training_pairs(pairs, "near")
    return {
        "exact_across_groups": int((exact["group_a"] != exact["group_b"]).sum()),
        "exact_across_subject_splits": _across_splits(exact, splits, "subject"),
        "near_across_groups": int((near["group_a"] != near["group_b"]).sum()),
        "exact_inside_subjects": int((exact["subject_a"] == exact["subject_b"]).sum()),
        "near_inside_subjects": int((near["subject_a"] == near["subject_b"]).sum()),
        "preliminary_in_training": int(((pairs["fold_a"] >= 0) != (pairs["fold_b"] >= 0)).sum()),
    }


def _across_splits(pairs: pd.DataFrame, splits: pd.DataFrame, scheme: str) -> int:
    chosen = splits[splits["scheme"] == scheme]
    split_of = dict(zip(chosen["name"], chosen["split"], strict=True))
    return int((pairs["name_a"].map(split_of) != pairs["name_b"].map(split_of)).sum())


def _split_counts(divided: pd.DataFrame) -> dict[str, float]:
    by_group = divided[divided["scheme"] == "subject"]
    classes = [("image", 0), ("image", 1), ("subject", 0), ("subject", 1)]
    cells = pd.MultiIndex.from_tuples(
        [(*pair, split) for pair in classes for split in ("train", "validation", "test")]
    )
    members = divided.groupby(["scheme", "label", "split"])["group"]
    images = members.count().reindex(cells, fill_value=0)
    groups = members.nunique().reindex(cells, fill_value=0)
    return {
        "fewest_images": int(images.min()),
        "fewest_groups": int(groups[groups.index.get_level_values(0) == "subject"].min()),
        "splits_of_a_group": max(by_group.groupby("group")["split"].nunique(), default=0),
    }


def _set_counts(training: pd.DataFrame) -> dict[str, float]:
    blasts, count = int(training["label"].sum()), len(training)
    subjects = training["subject"]
    whole = count >= _NEARLY_ALL * COLLECTION_IMAGES
    return {
        "class_ratio": blasts / max(count - blasts, 1),
        "largest_share": float(subjects.value_counts().max() / count),
        "images_off_collection": abs(count - COLLECTION_IMAGES) if whole else 0,
        "subjects_off_collection": abs(subjects.nunique() - COLLECTION_SUBJECTS) if whole else 0,
    }


def _unplaced(images: pd.DataFrame, splits: pd.DataFrame, groups: pd.DataFrame) -> int:
    """Count images that a scheme does not place or places twice, or whose group is not known."""
    sound = images["subject"].isin(groups["subject"]) | (images["fold"] < 0)
    for scheme in ("image", "subject"):
        rows = splits.loc[splits["scheme"] == scheme, "name"].value_counts()
        sound &= images["name"].map(rows) == 1
    strangers = ~splits["name"].isin(images["name"])
    return int((~sound).sum() + strangers.sum())


def _unmeasured(images: pd.DataFrame, *readings: pd.DataFrame) -> int:
    """Count images that one reading has not, has twice, or has with another label or a NaN."""
    sound = np.ones(len(images), dtype=np.bool_)
    for features in readings:
        numbers = features.drop(columns=["name", "subject", "label"]).to_numpy()
        good = features.loc[np.isfinite(numbers).all(axis=1), ["name", "subject", "label"]]
        good = good.drop_duplicates("name", keep=False).assign(found=True)
        joined = images[["name", "subject", "label"]].merge(
            good, on=["name", "subject", "label"], how="left"
        )
        sound &= joined["found"].notna().to_numpy()
    return int((~sound).sum())


def _record(
    training: pd.DataFrame, pairs: pd.DataFrame, divided: pd.DataFrame, splits: pd.DataFrame
) -> dict[str, int]:
    counts = {
        "images": len(training),
        "images_all": int(training["label"].sum()),
        "images_hem": int((1 - training["label"]).sum()),
        "subjects": training["subject"].nunique(),
        "groups": training["group"].nunique(),
        "touch_frame": int(training["touches_frame"].sum()),
    }
    for kind in ("exact", "near"):
        found = _training_pairs(pairs, kind)
        across = int((found["subject_a"] != found["subject_b"]).sum())
        counts[f"{kind}_pairs"] = len(found)
        counts[f"{kind}_pairs_across_subjects"] = across
        counts[f"{kind}_pairs_across_image_splits"] = _across_splits(found, splits, "image")
    sizes = divided.groupby(["scheme", "split", "label"])
    for (scheme, split, label), members in sizes:
        counts[f"{scheme}_{split}_{'all' if label else 'hem'}"] = len(members)
    return counts
