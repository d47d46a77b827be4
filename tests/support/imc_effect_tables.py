"""What the searches and effects of the imc lane leave behind, made up in their columns."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tissuetrace.pipeline.files import write_json, write_table
from tissuetrace.studies.imc.cohorts import Cohort

FREE = ("CCL8", "CCL19", "CXCL9", "CXCL10", "CXCL13")
EFFECTS = {"CCL8": -0.3, "CCL19": 0.4, "CXCL9": 0.6, "CXCL10": 0.5, "CXCL13": 0.02}
CALLED = [name for name in FREE if abs(EFFECTS[name]) > 0.1]
VARIANTS = ("default", "beta=0.02", "beta=0.5", "k=3", "k=5")
SEEDS = 3


def write_search(folder: Path, patches: pd.DataFrame, settings: Cohort, *, why: str) -> None:
    """Write counterfactuals and pool; no search but a reason where there is one."""
    rng = np.random.default_rng(1)
    starts = patches[(patches["label"] == 0) & (patches["tumour"] > 0.5)]
    starts = starts[["item", "subject", "image"]].reset_index(drop=True)
    tables, pool = [], []
    for variant in VARIANTS:
        for seed in range(SEEDS if variant == "default" else 2):
            own = _found(starts, settings, rng).assign(seed=seed, variant=variant)
            tables.append(own)
            found = int(own["found"].sum())
            pool.append(("mlp", variant, seed, 40, len(own), found, 4.9, 3, ""))
    if why:
        tables, pool = [tables[0].iloc[:0]], [("mlp", "none", -1, 0, 0, 0, float("nan"), 0, why)]
    columns = ["model", "variant", "seed", "pool", "starts", "found", "distance", "left_out", "why"]
    write_table(pd.concat(tables, ignore_index=True), folder / "counterfactuals.parquet")
    write_table(pd.DataFrame(pool, columns=columns), folder / "pool.parquet")


def write_effect(folder: Path, patches: pd.DataFrame, settings: Cohort, *, why: str) -> None:
    """Write strategy and tables; empty ones with the reason where there is one."""
    strategies = _strategies()
    tables = {
        "levels": _levels(patches, strategies["strategy"].tolist()),
        "channels": _channels(),
        "strategies": strategies,
        "stability": _stability(),
        "maps": _map(patches),
    }
    for name, table in tables.items():
        write_table(table.iloc[:0] if why else table, folder / f"{name}.parquet")
    strategy: dict[str, Any] = {
        "channels": {} if why else EFFECTS,
        "called": {} if why else {name: EFFECTS[name] for name in CALLED},
        "agreement": {} if why else dict.fromkeys(settings.free, 1.0),
        "settings": {},
    }
    strategy["why"] = why
    if not why:
        agreed = {"sign_agreement": 0.9, "rank_correlation": 0.8}
        strategy |= {"clipped": 0.04, "stability": dict.fromkeys(VARIANTS, agreed)}
        strategy["excluded"] = {"patients": 3, "of": 6, "rule": "below the median level"}
    write_json(strategy, folder / "strategy.json")


def _found(starts: pd.DataFrame, settings: Cohort, rng: np.random.Generator) -> pd.DataFrame:
    found = rng.random(len(starts)) < 0.97
    numbers: dict[str, Any] = {"found": found.astype("int64"), "probability": 0.8}
    for name in ("distance", "iterations"):
        numbers[name] = np.where(found, 5.0, np.nan)
    for name in settings.predictors:
        change = EFFECTS.get(name, 0.0) * rng.uniform(0.5, 1.5, len(starts))
        numbers |= {f"delta_{name}": change, f"relative_{name}": change}
    return starts.assign(split="train", scheme="patient", model="mlp", **numbers)


def _channels() -> pd.DataFrame:
    rows = [
        (name, value, value - 0.05, value + 0.05, 1.0, int(name in CALLED), 0.03, 0.1, 0, 2)
        for name, value in EFFECTS.items()
    ]
    columns = ["channel", "median", "low", "high", "agreement", "called", "p", "p_holm"]
    return pd.DataFrame(rows, columns=[*columns, "control", "left_out"])


def _strategies() -> pd.DataFrame:
    whole = " + ".join(CALLED)
    rows = [("all", "all", whole, len(CALLED), 0.30)]
    rows += [(name, "single", name, 1, 0.04) for name in CALLED]
    rows += [(f"without {name}", "without", "others", 3, 0.2) for name in CALLED]
    rows += [(f"best {size}", "subset", whole, size, 0.08 * size) for size in range(1, 5)]
    rows += [(f"beta={beta:g}", "beta", whole, 4, 0.3 - 0.2 * beta) for beta in (0.02, 0.1, 0.5)]
    table = pd.DataFrame(rows, columns=["strategy", "kind", "channels", "size", "after"])
    change = table["after"] - 0.02
    table = table.assign(found=0.97, before=0.02, low=change - 0.03, high=change + 0.03, p=0.03)
    table["p_holm"] = np.where(table["kind"].isin(["beta", "subset"]), np.nan, 0.2)
    return table


def _levels(patches: pd.DataFrame, strategies: list[str]) -> pd.DataFrame:
    """Cold patients rise by 25 points, by 20 where others score."""
    rises = {("same", name): 0.25 for name in strategies}
    rises |= {("own", "all"): 0.27, ("other", "all"): 0.2}
    cores = patches[["subject", "image", "hot"]].drop_duplicates().to_dict(orient="records")
    rows = [
        (core["subject"], core["image"], seed, scorer, name, before, before + rise, 20, excluded)
        for core in cores
        for seed in range(SEEDS)
        for (scorer, name), rise in rises.items()
        for excluded in [1 - int(core["hot"])]
        for before in [0.02 + 0.5 * (1 - excluded)]
    ]
    columns = ["subject", "image", "seed", "scorer", "strategy", "before", "after"]
    return pd.DataFrame(rows, columns=[*columns, "patches", "excluded"])


def _stability() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    rows = [
        (variant, seed, name, value + rng.normal(0, 0.02), 0.97)
        for variant in VARIANTS
        for seed in range(2)
        for name, value in EFFECTS.items()
    ]
    return pd.DataFrame(rows, columns=["variant", "seed", "channel", "median", "found"])


def _map(patches: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    first = patches[patches["image"] == patches["image"].iloc[0]].reset_index(drop=True)
    table = first[["image", "item", "row", "col"]].assign(observed=first["label"])
    table["tumour"] = (first["tumour"] > 0.5).astype("int64")
    noise = rng.random((2, len(table)))
    made: pd.DataFrame = table.assign(before=noise[0] / 5, after=0.5 + noise[1] / 2)
    return made
