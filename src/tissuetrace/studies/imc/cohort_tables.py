"""Reading what the stages before the gate have written of one cohort, without its pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tissuetrace.pipeline.files import read_json, read_table

__all__ = ["CohortFiles", "CohortTables", "read_cohort"]

_MEAN = "mean_"


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortFiles:
    """Where the stages before have written what the rules look at, for one cohort.

    Args:
        images: table of the ingested images.
        channels: folder of the ingested images, read for the names of their channels.
        tables: folder of patch tables, one per core.
        pixels: folder of the patches' pixels, one file per core.
        cores: table of the cut cores.
        patient: which split a patch lies in, by seed, patients kept together.
        random: the same, patches drawn one by one.
        redraws: how often each split was drawn again.
        decoy_patient: the features that a seed's training sees, patients kept together.
        decoy_random: the same, patches drawn one by one.
        leaks: numbers of the leak probe.
    """

    images: Path
    channels: Path
    tables: Path
    pixels: Path
    cores: Path
    patient: Path
    random: Path
    redraws: Path
    decoy_patient: Path
    decoy_random: Path
    leaks: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortTables:
    """What was read of one cohort.

    Args:
        images: `image, recovered`, as ingested.
        channels: names of the channels of every image.
        patches: `item, subject, image, label, kept, sound`; sound says that all means are finite
            and not negative.
        cores: as cut, one row per core.
        cut: names of the cores with a table, and of those with pixels.
        predictors: names in every patch table and every file of pixels.
        splits: scheme → `item, seed, split`.
        redraws: `scheme, seed, redraws`.
        decoys: scheme → `item, seed, donor, erased_um2, sound`, and `control` where there is one.
        patch_um2: area of a patch.
        leaks: numbers of the leak probe.
    """

    images: pd.DataFrame
    channels: Sequence[tuple[str, ...]]
    patches: pd.DataFrame
    cores: pd.DataFrame
    cut: tuple[list[str], list[str]]
    predictors: Sequence[tuple[str, ...]]
    splits: Mapping[str, pd.DataFrame]
    redraws: pd.DataFrame
    decoys: Mapping[str, pd.DataFrame]
    patch_um2: float
    leaks: Mapping[str, float | None]


def read_cohort(files: CohortFiles, *, control: str) -> CohortTables:
    """Read what the rules need: names of channels but no pixels, and not every mean at once."""
    tables = sorted(files.tables.glob("*.parquet"))
    pixels = sorted(files.pixels.glob("*.npz"))
    shards = [_read_patches(path) for path in tables]
    cut = [_read_pixels(path) for path in pixels]
    return CohortTables(
        images=read_table(files.images, ["image", "recovered"]),
        channels=[_names(path) for path in sorted(files.channels.glob("*.npz"))],
        patches=pd.concat([patches for patches, _ in shards], ignore_index=True)
        if shards
        else pd.DataFrame(columns=["item", "subject", "image", "label", "kept", "sound"]),
        cores=read_table(files.cores),
        cut=([path.stem for path in tables], [path.stem for path in pixels]),
        predictors=[*(names for _, names in shards), *(names for names, _ in cut)],
        splits={"patient": read_table(files.patient), "random": read_table(files.random)},
        redraws=read_table(files.redraws),
        decoys={
            "patient": _read_decoys(files.decoy_patient, control),
            "random": _read_decoys(files.decoy_random, control),
        },
        patch_um2=min((area for _, area in cut), default=float("nan")),
        leaks=read_json(files.leaks),
    )


def _names(path: Path) -> tuple[str, ...]:
    with np.load(path) as shard:
        return tuple(shard["names"].tolist())


def _read_patches(path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    table = read_table(path)
    means = [column for column in table.columns if column.startswith(_MEAN)]
    numbers = table[means].to_numpy(dtype=np.float64)
    kept = table[["item", "subject", "image", "label", "kept"]].assign(
        sound=(np.isfinite(numbers) & (numbers >= 0)).all(axis=1)
    )
    return kept, tuple(column.removeprefix(_MEAN) for column in means)


def _read_pixels(path: Path) -> tuple[tuple[str, ...], float]:
    """Return the names and the area of a patch (µm²), without its pixels."""
    with np.load(path) as shard:
        area = float(np.prod(shard["shape"]) * shard["px_um"] ** 2)
        return tuple(shard["names"].tolist()), area


def _read_decoys(path: Path, control: str) -> pd.DataFrame:
    """Read decoys without their means: eight seeds of them would fill the memory."""
    import pyarrow.parquet as pq

    means = [name for name in pq.read_schema(path).names if name.startswith(_MEAN)]
    table = read_table(path, ["item", "seed", "donor", "erased_um2"])
    sound = np.ones(len(table), dtype=np.bool_)
    for column in means:
        values = read_table(path, [column])[column].to_numpy()
        sound &= np.isfinite(values) & (values >= 0)
        if column == f"{_MEAN}{control}":
            table["control"] = values
    return table.assign(sound=sound)
