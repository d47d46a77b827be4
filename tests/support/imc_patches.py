"""A tiny cohort of patches with a planted signal, as patch, split and decoy write it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tissuetrace.imaging.masks import count_components, pack, retained_means, unite
from tissuetrace.pipeline.files import write_json, write_table

__all__ = ["CHANNELS", "SEEDS", "Cohort", "write_patches"]

CHANNELS = ("CXCL9", "CCL8", "DapB")
SEEDS = (0, 1, 2)
SIDE_PX = 12
_SUBJECTS = 10
_ROWS = _COLUMNS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Where the files lie, by the arguments of the training stages."""

    tables: Path
    pixels: Path
    split_patient: Path
    split_random: Path
    decoy_patient: Path
    decoy_random: Path
    admission: Path

    @property
    def inputs(self) -> dict[str, Path]:
        """The arguments of `train_mlp`."""
        return {
            name: getattr(self, name)
            for name in (
                *("tables", "split_patient", "split_random"),
                *("decoy_patient", "decoy_random", "admission"),
            )
        }


def write_patches(home: Path) -> Cohort:
    """Write cores in which CXCL9 is three times as high where T cells were erased."""
    made = Cohort(
        tables=home / "tables",
        pixels=home / "pixels",
        split_patient=home / "split/patient.parquet",
        split_random=home / "split/random.parquet",
        decoy_patient=home / "decoy/patient.parquet",
        decoy_random=home / "decoy/random.parquet",
        admission=home / "admission.json",
    )
    rng = np.random.default_rng(11)
    tables, counts, masks = [], [], []
    made.pixels.mkdir(parents=True)
    for subject in range(_SUBJECTS):
        table, pixels, erased = _core(subject, rng)
        image = str(table["image"].iloc[0])
        write_table(table, made.tables / f"{image}.parquet")
        np.savez(
            made.pixels / f"{image}.npz",
            pixels=pixels,
            masks=pack(erased),
            names=np.array(CHANNELS),
            shape=np.array([SIDE_PX, SIDE_PX]),
            px_um=np.float64(1.0),
        )
        tables.append(table)
        counts.append(pixels)
        masks.append(erased)
    write_json({}, made.tables / "keys.json")
    write_json({"token": "0" * 64}, made.admission)
    patches = pd.concat(tables, ignore_index=True)
    holes = (np.concatenate(counts), np.concatenate(masks))
    for splits, decoys, kind in (
        (made.split_patient, made.decoy_patient, "patient"),
        (made.split_random, made.decoy_random, "random"),
    ):
        split = _split(patches, kind, rng)
        write_table(split, splits)
        write_table(_decoys(patches, holes, rng), decoys)
    return made


def _core(subject: int, rng: np.random.Generator) -> tuple[pd.DataFrame, Any, Any]:
    count = _ROWS * _COLUMNS
    row, col = np.divmod(np.arange(count), _COLUMNS)
    label = (rng.random(count) < 0.4).astype(np.int64)
    label[:2] = (0, 1)
    rate = np.ones((count, len(CHANNELS), 1, 1))
    rate[:, 0, 0, 0] += 2 * label
    pixels = rng.poisson(rate, (count, len(CHANNELS), SIDE_PX, SIDE_PX)).astype(np.uint16)
    erased = np.zeros((count, SIDE_PX, SIDE_PX), dtype=bool)
    erased[label == 1, 2:7, 3:5] = True
    image = f"core-{subject}"
    table = pd.DataFrame(
        {
            "item": [f"{image}:{r}:{c}" for r, c in zip(row, col, strict=True)],
            "subject": f"patient-{subject}",
            "image": image,
            "row": row,
            "col": col,
            "label": label,
            "tissue": 1.0,
            "tumour": 0.7,
            "kept": 1 - erased.mean(axis=(1, 2)),
            "erased_um2": erased.sum(axis=(1, 2)).astype(float),
            "components": count_components(erased),
            "marker_um2": 20.0 * label,
        }
    )
    means = dict(zip(CHANNELS, retained_means(pixels, erased).T, strict=True))
    return (
        table.assign(**{f"mean_{name}": values for name, values in means.items()}),
        pixels,
        erased,
    )


def _split(patches: pd.DataFrame, kind: str, rng: np.random.Generator) -> pd.DataFrame:
    parts = []
    for seed in SEEDS:
        units = patches["subject"] if kind == "patient" else patches["item"]
        names = units.unique()
        turn = dict(zip(names, rng.permutation(len(names)) / len(names), strict=True))
        place = units.map(turn).to_numpy()
        split = np.select([place < 0.2, place < 0.4], ["test", "validation"], "train")
        parts.append(pd.DataFrame({"item": patches["item"], "seed": seed, "split": split}))
    return pd.concat(parts, ignore_index=True)


def _decoys(
    patches: pd.DataFrame, holes: tuple[Any, Any], rng: np.random.Generator
) -> pd.DataFrame:
    pixels, own = holes
    positive = np.flatnonzero(patches["label"] == 1)
    parts = []
    for seed in SEEDS:
        given = rng.choice(positive, len(patches))
        negative = (patches["label"] == 0).to_numpy()
        orientation = np.where(negative, rng.integers(0, 8, len(patches)), -1)
        erased = unite(own, own[given], orientation)
        means = retained_means(pixels, erased)
        table = pd.DataFrame(
            {
                "item": patches["item"],
                "seed": seed,
                "donor": np.where(negative, patches["item"].to_numpy()[given], ""),
                "orientation": orientation,
                "erased_um2": erased.sum(axis=(1, 2)).astype(float),
                "components": count_components(erased),
            }
        )
        named = {f"mean_{name}": means[:, place] for place, name in enumerate(CHANNELS)}
        table = table.assign(**named)
        # one negative of each seed found no hole that left enough
        parts.append(table.drop(index=np.flatnonzero(negative)[seed]))
    united: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return united
