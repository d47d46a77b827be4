from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from imc_pixel_searches import plant_cnn
from imc_searches import COHORT, PERTURB, PREDICTORS, Planted, plant

from tissuetrace.learn.patch_networks import load_patch_cnn
from tissuetrace.pipeline.files import read_table, write_table
from tissuetrace.studies.imc.features import read_features
from tissuetrace.studies.imc.perturb import perturb
from tissuetrace.studies.imc.searching_cnn import first_of_each
from tissuetrace.studies.imc.seen_pixels import PatchFiles

DELTAS = [f"delta_{name}" for name in PREDICTORS]
QUICK = replace(PERTURB, steps=40, betas=(), ks=(), cnn_patches=12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Searches:
    planted: Planted
    table: pd.DataFrame
    pool: pd.DataFrame


@pytest.fixture(autouse=True)
def _one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TISSUETRACE_WORKERS", "1")


def run(planted: Planted, home: Path) -> Searches:
    perturb(
        tables=planted.tables,
        pixels=planted.pixels,
        decoys=planted.decoys,
        mlp=planted.mlp,
        cnn=planted.cnn,
        counterfactuals=home / "counterfactuals.parquet",
        pool=home / "pool.parquet",
        cohort=COHORT,
        params=QUICK,
        variant="melanoma",
    )
    tables = [read_table(home / f"{name}.parquet") for name in ("counterfactuals", "pool")]
    table, pool = (table[table["model"] == "cnn"] for table in tables)
    return Searches(planted=planted, table=table, pool=pool)


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory) -> Searches:
    home = tmp_path_factory.mktemp("cnn")
    planted = plant(home / "planted", seeds=1)
    plant_cnn(planted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TISSUETRACE_WORKERS", "1")
        return run(planted, home)


def seen_of(searches: Searches) -> pd.DataFrame:
    """What the retraining saw, with its splits."""
    planted = searches.planted
    said = read_table(planted.cnn / "predictions.parquet", ["item", "split", "probability"])
    seen = read_features(planted.tables, planted.decoys, scheme="patient")
    donors = read_table(planted.decoys, ["item", "donor", "orientation"])
    return seen.merge(said, on="item").merge(donors, on="item").set_index("item", drop=False)


def found_of(searches: Searches, variant: str) -> pd.DataFrame:
    table = searches.table
    return table[(table["variant"] == variant) & (table["found"] == 1)]


def test_both_kinds_search_the_same_patches_in_turn_from_every_patient(searches: Searches) -> None:
    seen = seen_of(searches)
    starts = seen[(seen["tumour"] > 0.5) & (seen["label"] == 0) & (seen["probability"] < 0.8)]
    chosen = first_of_each(starts["subject"].to_numpy(), 12)

    for variant in ("cnn_channels", "cnn_pixels"):
        items = searches.table.loc[searches.table["variant"] == variant, "item"]
        assert items.tolist() == starts["item"].iloc[chosen].tolist()


def test_most_patches_are_found_and_the_causal_channel_rises(searches: Searches) -> None:
    rates = searches.table.groupby("variant")["found"].mean()

    assert rates.min() >= 0.5
    for variant in ("cnn_channels", "cnn_pixels"):
        assert (found_of(searches, variant)["delta_CXCL9"] > 0).mean() > 0.9


def test_scaling_the_pixels_of_each_channel_by_hand_reaches_the_same_probability(
    searches: Searches,
) -> None:
    planted, seen = searches.planted, seen_of(searches)
    found = found_of(searches, "cnn_channels")
    rows = seen.loc[found["item"]]
    x = seen[[f"mean_{name}" for name in PREDICTORS]]
    sd = x[seen["split"] == "train"].to_numpy().std(axis=0)
    ratio = 1 + found[DELTAS].to_numpy() * sd / x.loc[found["item"]].to_numpy()
    pixels = PatchFiles.open(planted.pixels, planted.tables).read(rows.reset_index(drop=True))
    network = load_patch_cnn(planted.cnn / "model.0.safetensors")

    roots = np.sqrt(pixels.roots.astype(np.float64) ** 2 * ratio[:, :, None, None].clip(0))
    z = (roots - network.mean[:, None, None]) / network.sd[:, None, None]
    with torch.no_grad():
        f = torch.sigmoid(network.model(torch.from_numpy(z * pixels.kept[:, None]).float()))

    np.testing.assert_allclose(f.numpy(), found["probability"], atol=2e-3)
    assert (found["probability"] > 0.8).all()


def test_what_is_not_free_stays_exactly_where_it_is(searches: Searches) -> None:
    found = searches.table[searches.table["found"] == 1]

    assert (found[["delta_CD31", "relative_CD31"]] == 0).all(axis=None)


def test_content_under_a_hole_or_a_decoy_never_reaches_the_search(
    searches: Searches, tmp_path: Path
) -> None:
    other = plant(tmp_path / "planted", seeds=1)
    plant_cnn(other, hidden=1000.0)

    again = run(other, tmp_path)

    pd.testing.assert_frame_equal(again.table, searches.table)


def test_a_cnn_that_calls_no_patch_is_not_searched_and_refuses_nothing(tmp_path: Path) -> None:
    planted = plant(tmp_path / "planted", seeds=1)
    plant_cnn(planted)
    path = planted.cnn / "predictions.parquet"
    write_table(read_table(path).assign(probability=0.1), path)

    found = run(planted, tmp_path)

    assert len(found.table) == 0
    assert found.pool["starts"].tolist() == [0, 0]
    assert set(found.pool["why"]) == {"no prototype, so nothing was searched"}
