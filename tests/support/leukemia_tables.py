"""Small tables of the leukemia lane, with a signal in the area, as the stages find them."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from tissuetrace.learn.splits import group_split, stratified_split
from tissuetrace.pipeline.files import read_table, write_json, write_table
from tissuetrace.studies.leukemia.featurize import COLUMNS

FEATURES = tuple(COLUMNS)[3:]
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Where the tables lie."""

    table: Path
    splits: Path
    groups: Path
    features: Path
    features_other: Path
    admission: Path
    images: Path


def write_tables(
    folder: Path, *, all_subjects: int = 12, hem_subjects: int = 9, cells: int = 6
) -> Tables:
    """Write tables of subjects with one label each; the last two subjects are preliminary."""
    tables = Tables(
        **{
            name: folder / f"{name}.parquet"
            for name in ("table", "splits", "groups", "features", "features_other")
        },
        admission=folder / "admission.json",
        images=folder / "images",
    )
    listed = _cells(all_subjects, hem_subjects, cells)
    write_table(listed, tables.table)
    write_table(_groups(listed), tables.groups)
    write_table(_splits(listed), tables.splits)
    write_table(_features(listed, seed=0), tables.features)
    write_table(_features(listed, seed=1), tables.features_other)
    write_json({"token": "synthetic"}, tables.admission)
    return tables


def write_images(tables: Tables, *, side_px: int) -> None:
    """Write a gray square for each cell, brighter where it is leukemic."""
    rng = np.random.default_rng(2)
    tables.images.mkdir()
    listed = read_table(tables.table)
    for path, label in zip(listed["path"], listed["label"], strict=True):
        level = 60 + 80 * label + rng.integers(0, 40, (side_px, side_px, 3))
        cv2.imwrite(str(tables.images / path), level.astype(np.uint8))


def _cells(all_subjects: int, hem_subjects: int, cells: int) -> pd.DataFrame:
    subjects = [(f"{number}", 1) for number in range(901, 901 + all_subjects)]
    subjects += [(f"H{number}", 0) for number in range(901, 901 + hem_subjects)]
    early = {subjects[all_subjects - 1][0], subjects[-1][0]}
    rows = [
        {
            "name": f"UID_{subject}_{1 + cell // 3}_{cell}_{'all' if label else 'hem'}",
            "path": f"{subject}_{cell}.bmp",
            "subject": subject,
            "image": 1 + cell // 3,
            "label": label,
            "fold": -1 if subject in early else 0,
        }
        for subject, label in subjects
        for cell in range(cells)
    ]
    return pd.DataFrame(rows).sort_values("name", ignore_index=True)


def _groups(listed: pd.DataFrame) -> pd.DataFrame:
    names = sorted(listed["subject"].unique())
    return pd.DataFrame({"subject": names, "group": np.arange(len(names), dtype=np.int64)})


def _splits(listed: pd.DataFrame) -> pd.DataFrame:
    trained = listed[listed["fold"] >= 0]
    early = listed.loc[listed["fold"] < 0, "name"]
    labels = trained["label"].to_numpy()
    groups = trained["subject"].map(_groups(listed).set_index("subject")["group"]).to_numpy()
    fractions = (0.6, 0.2, 0.2)
    cut = {
        "image": stratified_split(labels, fractions=fractions, seed=0),
        "subject": group_split(labels, groups, fractions=fractions, seed=0),
    }
    parts = [
        pd.DataFrame({"name": names, "scheme": scheme, "split": splits})
        for scheme, numbers in cut.items()
        for names, splits in [
            (trained["name"], [SPLITS[number] for number in numbers]),
            (early, "prelim"),
        ]
    ]
    return pd.concat(parts, ignore_index=True)


def _features(listed: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(len(listed), len(FEATURES)))
    table = listed[["name", "subject", "label"]].copy()
    for number, feature in enumerate(FEATURES):
        table[feature] = noise[:, number]
    cell = np.random.default_rng(9).normal(size=len(listed))  # the area is of no reading
    table["area"] = 5000 + 300 * table["label"] + 300 * cell
    table["perimeter"] = np.sqrt(table["area"]) + 0.1 * table["perimeter"]
    return table
