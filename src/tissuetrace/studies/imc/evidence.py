"""Counting what the gate's rules bound: channels, cores, patches, splits, decoys and leaks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tissuetrace.imaging.panels import same_marker
from tissuetrace.stats.classification import auc
from tissuetrace.studies.imc.cohort_tables import CohortTables
from tissuetrace.studies.imc.cohorts import SCHEMES, Cohort, Scheme

__all__ = ["Evidence", "gather"]

SPLITS = ("train", "validation", "test")

_CORE_COUNTS = ("constant_channels", "zero_markers", "non_finite", "negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the rules of one cohort look at, and what is written down beside them.

    Args:
        bounded: one number for each column that a rule of `counts` names.
        cores: one row per core, without its name.
        splits: `positives, negatives, share`, one row per scheme, seed and split.
        counts: whole numbers for the record.
    """

    bounded: dict[str, float]
    cores: pd.DataFrame
    splits: pd.DataFrame
    counts: dict[str, int]

    def tables(self, cohort: str) -> dict[str, pd.DataFrame]:
        """Return the tables under the names that the rules of a cohort use."""
        return {
            f"{cohort}.counts": pd.DataFrame([self.bounded]),
            f"{cohort}.cores": self.cores,
            f"{cohort}.splits": self.splits,
        }


def gather(made: CohortTables, cohort: Cohort) -> Evidence:
    """Count all that the rules of one cohort bound."""
    seen = {scheme: _joined(made, scheme) for scheme in SCHEMES}
    bounded = {
        "cores": len(made.cores),
        **_channel_counts(made, cohort),
        **_patch_counts(made),
        **_split_counts(made),
        **_decoy_counts(made, seen),
        "gain": _known(made.leaks.get("gain")),
        "swap_auc": _known(made.leaks.get("swap_auc")),
    }
    if cohort.control:
        bounded["control_auc"] = _control_auc(seen["patient"])
    return Evidence(
        bounded=bounded,
        cores=_by_core(made),
        splits=pd.concat([_by_split(seen[scheme], made, scheme) for scheme in SCHEMES]),
        counts=_record(made),
    )


def _joined(made: CohortTables, scheme: str) -> pd.DataFrame:
    """Return the rows that a scheme's trainings see, with label, subject and split."""
    rows = made.decoys[scheme].merge(
        made.splits[scheme].drop_duplicates(["item", "seed"]), on=["item", "seed"], how="left"
    )
    known = made.patches[made.patches["label"].isin([0, 1])]
    labels = known.drop_duplicates("item")[["item", "label"]]
    return rows.merge(labels, on="item", how="left")


def _channel_counts(made: CohortTables, cohort: Cohort) -> dict[str, float]:
    markers = (cohort.markers.cd3, cohort.markers.cd8, *cohort.markers.exhausted)
    predictors = {*cohort.predictors, *(name for names in made.predictors for name in names)}
    repeated = {names: _repeats(names) for names in set(made.channels)}
    return {
        "repeated_channels": sum(repeated[names] for names in made.channels),
        "channel_sets": len({frozenset(names) for names in made.channels}),
        "markers_among_predictors": sum(
            any(same_marker(name, marker) for marker in markers) for name in predictors
        ),
        "other_predictors": sum(names != cohort.predictors for names in made.predictors),
    }


def _repeats(names: Sequence[str]) -> bool:
    return any(
        same_marker(name, other) for place, name in enumerate(names) for other in names[:place]
    )


def _patch_counts(made: CohortTables) -> dict[str, float]:
    images = set(made.images["image"])
    listed = (made.cores["image"].tolist(), *made.cut)
    uncut = sum(len(images ^ set(names)) + len(names) - len(set(names)) for names in listed)
    patches = made.patches
    sound = (
        patches["sound"].astype(bool)
        & patches["label"].isin([0, 1])
        & ~patches["item"].duplicated(keep=False)
    )
    return {
        "uncut_images": uncut,
        "unsound_patches": int((~sound).sum()),
        "least_kept": _least(patches["kept"]),
    }


def _split_counts(made: CohortTables) -> dict[str, float]:
    items = set(made.patches["item"])
    unplaced = 0
    for scheme in SCHEMES:
        rows = made.splits[scheme]
        placed = rows[rows["split"].isin(SPLITS) & rows["item"].isin(items)]
        once = ~placed.duplicated(["item", "seed"], keep=False)
        seeds = max(rows["seed"].nunique(), 1)
        # what is missing, what stands twice, and what no patch is
        unplaced += len(items) * seeds - int(once.sum()) + len(rows) - len(placed)
    subjects = made.patches.drop_duplicates("item")[["item", "subject"]]
    divided = made.splits["patient"].merge(subjects, on="item")
    splits = divided.groupby(["seed", "subject"])["split"].nunique()
    return {"unplaced_patches": unplaced, "subjects_in_two_splits": int((splits > 1).sum())}


def _decoy_counts(made: CohortTables, seen: Mapping[Scheme, pd.DataFrame]) -> dict[str, float]:
    positives = int((made.patches["label"] == 1).sum())
    unsound, foreign, least = 0, 0, np.inf
    for scheme, rows in seen.items():
        good = rows["sound"] & rows["split"].notna() & rows["label"].notna()
        good &= ~rows.duplicated(["item", "seed"], keep=False)
        seeds = max(made.splits[scheme]["seed"].nunique(), 1)
        absent = positives * seeds - int((good & (rows["label"] == 1)).sum())
        unsound += int((~good & (rows["label"] != 1)).sum()) + abs(absent)
        foreign += _foreign(rows)
        least = min(least, _least((made.patch_um2 - rows["erased_um2"]) / made.patch_um2))
    return {
        "unsound_decoys": unsound,
        "foreign_donors": foreign,
        "least_kept_with_decoy": least,
    }


def _foreign(rows: pd.DataFrame) -> int:
    """Count rows that took their decoy from a negative patch, another split or another seed."""
    givers = rows.loc[rows["label"] == 1, ["item", "seed", "split"]].drop_duplicates()
    taken = rows.loc[rows["donor"] != "", ["donor", "seed", "split"]]
    found = taken.merge(
        givers.rename(columns={"item": "donor"}), on=["donor", "seed", "split"], how="inner"
    )
    return len(taken) - len(found)


def _control_auc(seen: pd.DataFrame) -> float:
    if "control" not in seen:
        return np.inf
    known = seen[seen["label"].notna() & seen["sound"]]
    values = [
        auc(rows["label"].to_numpy(dtype=np.int64), rows["control"].to_numpy())
        for _, rows in known.groupby("seed")
    ]
    return _known(float(np.mean(values)) if values else None)


def _by_core(made: CohortTables) -> pd.DataFrame:
    patches = made.cores["image"].map(made.patches["image"].value_counts()).fillna(0)
    return made.cores[list(_CORE_COUNTS)].assign(
        patches=patches.astype("int64"), erased=made.cores["erased"].fillna(np.inf)
    )


def _by_split(seen: pd.DataFrame, made: CohortTables, scheme: str) -> pd.DataFrame:
    """Count classes of every split and seed, also of those that hold no patch."""
    seeds = sorted(made.splits[scheme]["seed"].unique()) or [0]
    cells = pd.MultiIndex.from_product([seeds, SPLITS])
    labels = seen.groupby(["seed", "split"])["label"]
    rows = labels.count().reindex(cells, fill_value=0)
    positives = labels.sum().reindex(cells, fill_value=0)
    counted = pd.DataFrame({"positives": positives, "negatives": rows - positives})
    return counted.assign(share=(positives / rows).fillna(0.0)).reset_index(drop=True)


def _least(values: "pd.Series[Any]") -> float:
    """Return the smallest share; minus infinity, which no bound allows, where one is unknown."""
    # a tenth of an area in µm² may come out as a little less than a tenth
    return round(float(values.fillna(-np.inf).min()), 9) if len(values) else -np.inf


def _known(value: float | None) -> float:
    """Return a number; infinity, which no bound allows, where it is unknown."""
    return np.inf if value is None or not np.isfinite(value) else float(value)


def _record(made: CohortTables) -> dict[str, int]:
    redraws = made.redraws.groupby("scheme")["redraws"].sum()
    dropped = [name for name in made.cores.columns.tolist() if name.startswith("dropped_")]
    rows = {scheme: len(table) for scheme, table in made.decoys.items()}
    counts = {
        "images": len(made.images),
        "recovered_images": int((made.images["recovered"] != "").sum()),
        "subjects": made.patches["subject"].nunique(),
        "patches": len(made.patches),
        "positive_patches": int((made.patches["label"] == 1).sum()),
        **{f"patches_{column}": int(made.cores[column].sum()) for column in dropped},
    }
    for scheme in SCHEMES:
        counts[f"{scheme}_redraws"] = int(redraws.get(scheme, 0))
        counts[f"{scheme}_rows_without_room_for_a_decoy"] = len(made.splits[scheme]) - rows[scheme]
    return counts
