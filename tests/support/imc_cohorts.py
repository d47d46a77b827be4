"""A small cohort as the stages before the gate write it: sound, and quick to damage."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from tissuetrace.pipeline.files import read_table, write_json, write_table
from tissuetrace.studies.imc.cohorts import Cohort, Markers

__all__ = ["COHORT", "SCHEMES", "edit", "edit_names", "paths_of", "write_cohort"]

SCHEMES = ("patient", "random")
PREDICTORS = ("CXCL9", "CCL8", "DapB")
CHANNELS = ("CD3", "CD8", "PD1", *PREDICTORS)
SUBJECTS = 12
ROWS, COLUMNS = 5, 8  # patches of a core
SEEDS = (0, 1)
SIDE_PX = 4
PX_UM = 10.0
PATCH_UM2 = (SIDE_PX * PX_UM) ** 2

COHORT = Cohort(
    px_um=PX_UM,
    markers=Markers(cd3="CD3", cd8="CD8", exhausted=("PD1",)),
    threshold=3.0,
    predictors=PREDICTORS,
    free=("CXCL9", "CCL8"),
    control="DapB",
    tumour_marker="",
    tumour_threshold=0.0,
    tissue_min=1.0,
    cnn=("patient",),
)


def paths_of(home: Path, cohort: str) -> dict[str, Path]:
    """Say where a cohort's files lie, by the argument of `validate` that reads them."""
    ingest, patch, split, decoy = (
        home / f"data/imc/{stage}/{cohort}" for stage in ("ingest", "patch", "split", "decoy")
    )
    return {
        "images": ingest / "images.parquet",
        "channels": ingest / "images",
        "tables": patch / "tables",
        "pixels": patch / "pixels",
        "cores": patch / "cores.parquet",
        "patient": split / "patient.parquet",
        "random": split / "random.parquet",
        "redraws": split / "redraws.parquet",
        "decoy_patient": decoy / "patient.parquet",
        "decoy_random": decoy / "random.parquet",
        "leaks": home / f"metrics/imc/leak_{cohort}.json",
    }


def write_cohort(home: Path, cohort: str) -> None:
    """Write what ingest, patch, split, decoy and probe would."""
    paths = paths_of(home, cohort)
    rng = np.random.default_rng(5)
    patches = _patches(rng)
    for folder in ("channels", "tables", "pixels"):
        paths[folder].mkdir(parents=True)
    for image, rows in patches.groupby("image"):
        np.savez(
            paths["channels"] / f"{image}.npz",
            x=np.zeros((len(CHANNELS), 2, 2), np.float32),
            names=np.array(CHANNELS),
            px_um=np.float64(PX_UM),
        )
        write_table(rows, paths["tables"] / f"{image}.parquet")
        np.savez(
            paths["pixels"] / f"{image}.npz",
            pixels=np.zeros((len(rows), 3, SIDE_PX, SIDE_PX), np.float32),
            names=np.array(PREDICTORS),
            shape=np.array([SIDE_PX, SIDE_PX]),
            px_um=np.float64(PX_UM),
        )
    write_json({}, paths["channels"] / "keys.json")
    write_table(_images(patches), paths["images"])
    write_table(_cores(patches), paths["cores"])
    draws = pd.DataFrame({"scheme": ["patient", "random"], "seed": [0, 0], "redraws": [1, 0]})
    write_table(draws, paths["redraws"])
    for scheme in SCHEMES:
        split = _split(patches, scheme)
        write_table(split, paths[scheme])
        write_table(_decoys(patches, split), paths[f"decoy_{scheme}"])
    leaks = {"gain": 0.01, "swap_auc": 0.51, "marginal_auc": 0.7, "auc": 0.9}
    write_json(leaks, paths["leaks"])


def edit(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Write a table back, changed."""
    write_table(change(read_table(path)), path)


def edit_names(path: Path, names: tuple[str, ...]) -> None:
    """Write an image or the pixels of a core back with other names of channels."""
    with np.load(path) as shard:
        content = {**shard, "names": np.array(names)}
    np.savez(path, **content)


def _patches(rng: np.random.Generator) -> pd.DataFrame:
    cells = [
        (f"core-{subject:02d}", f"patient-{subject:02d}", row, col)
        for subject in range(SUBJECTS)
        for row in range(ROWS)
        for col in range(COLUMNS)
    ]
    table = pd.DataFrame(cells, columns=["image", "subject", "row", "col"])
    place = np.arange(len(table))
    label = (place % 5 < 2).astype(np.int64)
    erased = np.where(label == 1, 0.2, 0.0)
    items = [f"{image}:{row}:{col}" for image, _, row, col in cells]
    table = table.assign(item=items, label=label, tissue=1.0, tumour=1.0, kept=1 - erased)
    table = table.assign(erased_um2=erased * PATCH_UM2, components=label, marker_um2=30.0 * label)
    means = {f"mean_{name}": rng.gamma(2.0, 1.0, len(table)) for name in PREDICTORS}
    # even over both labels, so that alone it tells nothing
    means["mean_DapB"] = (place // 5 % 7).astype(np.float64)
    order = ["item", "subject", "image", "row", "col", "label", "tissue", "tumour", "kept"]
    order += ["erased_um2", "components", "marker_um2"]
    return table.assign(**means)[[*order, *means]]


def _images(patches: pd.DataFrame) -> pd.DataFrame:
    first = patches.drop_duplicates("image")[["image", "subject"]].reset_index(drop=True)
    return first.assign(
        file=first["image"] + ".tiff",
        acquisition="",
        recovered="",
        height=20,
        width=32,
        px_um=PX_UM,
        missing=0,
        zero_channels=0,
    )


def _cores(patches: pd.DataFrame) -> pd.DataFrame:
    first = patches.drop_duplicates("image")[["image", "subject"]].reset_index(drop=True)
    none = dict.fromkeys(("dropped_border", "dropped_tissue", "dropped_hole"), 0)
    faults = dict.fromkeys(("constant_channels", "zero_markers", "non_finite", "negative"), 0)
    return first.assign(patches=ROWS * COLUMNS, **none, erased=0.1, **faults)


def _split(patches: pd.DataFrame, scheme: str) -> pd.DataFrame:
    width = 5 if scheme == "random" else ROWS * COLUMNS  # patches that stay together
    tenth = patches.index // width % 10
    parts = []
    for seed in SEEDS:
        turned = (tenth + 3 * seed) % 10
        split = np.select([turned < 2, turned < 4], ["test", "validation"], "train")
        parts.append(pd.DataFrame({"item": patches["item"], "seed": seed, "split": split}))
    return pd.concat(parts, ignore_index=True)


def _decoys(patches: pd.DataFrame, split: pd.DataFrame) -> pd.DataFrame:
    means = [name for name in patches if str(name).startswith("mean_")]
    rows = split.merge(patches[["item", "label", "erased_um2", "components", *means]], on="item")
    givers = rows[rows["label"] == 1].groupby(["seed", "split"])["item"].first()
    given = pd.Index(list(zip(rows["seed"], rows["split"], strict=True))).map(givers)
    negative = rows["label"] == 0
    rows["donor"] = np.where(negative, given, "")
    rows["orientation"] = np.where(negative, 3, -1)
    rows.loc[negative, ["erased_um2", "components"]] = [0.2 * PATCH_UM2, 1]
    order = ["item", "seed", "donor", "orientation", "erased_um2", "components", *means]
    return rows[order].astype({"components": "int64"})
