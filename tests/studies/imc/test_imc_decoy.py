from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from imc_cores import DECOY, PATCH, PREDICTORS, SPLIT, Cores, draw_cores, two_workers
from numpy import ndarray

from tissuetrace.imaging.masks import orient, unpack
from tissuetrace.pipeline.files import column_mistakes, read_table
from tissuetrace.studies.imc import contents
from tissuetrace.studies.imc.decoy import decoy
from tissuetrace.studies.imc.features import patch_table

MEANS = [f"mean_{name}" for name in PREDICTORS]


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> Cores:
    home = tmp_path_factory.mktemp("divided")
    with pytest.MonkeyPatch.context() as patcher:
        patcher.chdir(home)
        patcher.setenv("TISSUETRACE_WORKERS", "1")
        cores = draw_cores(home)
        cores.patch()
        cores.split()
    return cores


@pytest.fixture
def cores(divided: Cores, monkeypatch: pytest.MonkeyPatch) -> Cores:
    monkeypatch.chdir(divided.home)
    monkeypatch.setenv("TISSUETRACE_WORKERS", "1")
    return divided


def patches_of(cores: Cores) -> pd.DataFrame:
    return patch_table(cores.home / cores.out("patch", "tables"))


def seen(cores: Cores, scheme: str = "patient") -> pd.DataFrame:
    """Rows of the decoy table with the patch's label, own hole and split."""
    patches = patches_of(cores)[["item", "label", "kept", "erased_um2", "components", *MEANS]]
    rows = cores.table("decoy", scheme).merge(patches, on="item", suffixes=("", "_own"))
    return rows.merge(cores.table("split", scheme), on=["item", "seed"])


def pixels_and_hole(cores: Cores, item: str) -> tuple[ndarray, ndarray]:
    image = item.partition(":")[0]
    table = read_table(cores.home / cores.out("patch", f"tables/{image}.parquet"))
    place = table["item"].tolist().index(item)
    with np.load(cores.home / cores.out("patch", f"pixels/{image}.npz")) as shard:
        return shard["pixels"][place], unpack(shard["masks"], (10, 10))[place]


@pytest.mark.parametrize("scheme", ["patient", "random"])
def test_positives_keep_their_hole_and_negatives_get_that_of_a_positive_of_their_split(
    cores: Cores, scheme: str
) -> None:
    cores.decoy()

    rows = seen(cores, scheme)
    positive, negative = rows[rows["label"] == 1], rows[rows["label"] == 0]
    assert set(positive["donor"]) == {""}
    assert set(positive["orientation"]) == {-1}
    pd.testing.assert_frame_equal(
        positive[[*MEANS, "erased_um2", "components"]],
        positive[[f"{name}_own" for name in [*MEANS, "erased_um2", "components"]]].set_axis(
            [*MEANS, "erased_um2", "components"], axis=1
        ),
        rtol=1e-12,
    )
    donors = negative.merge(
        rows[["item", "seed", "label", "split"]],
        left_on=["donor", "seed"],
        right_on=["item", "seed"],
        suffixes=("", "_donor"),
    )
    assert len(donors) == len(negative) > 100
    assert set(donors["label_donor"]) == {1}
    assert (donors["split"] == donors["split_donor"]).all()
    assert set(negative["orientation"]) == set(range(8))


def test_means_and_holes_of_a_row_are_those_of_the_union_it_names(cores: Cores) -> None:
    cores.decoy()

    rows = cores.table("decoy", "random")
    row = rows[(rows["donor"] != "") & (rows["seed"] == 2)].iloc[5]
    pixels, own = pixels_and_hole(cores, row["item"])
    _, given = pixels_and_hole(cores, row["donor"])
    united = own | orient(given, int(row["orientation"]))
    assert row["erased_um2"] == united.sum()
    np.testing.assert_allclose(
        row[MEANS].to_numpy(dtype=float), pixels[:, ~united].mean(axis=1), rtol=1e-12
    )


def test_what_lies_under_a_decoy_reaches_no_feature(cores: Cores) -> None:
    cores.decoy()
    clean = {scheme: cores.table("decoy", scheme) for scheme in ("patient", "random")}
    row = clean["patient"][clean["patient"]["donor"] != ""].iloc[7]
    _, own = pixels_and_hole(cores, row["item"])
    _, given = pixels_and_hole(cores, row["donor"])
    united = own | orient(given, int(row["orientation"]))
    image = row["item"].partition(":")[0]
    path = cores.home / cores.out("patch", f"pixels/{image}.npz")
    table = read_table(cores.home / cores.out("patch", f"tables/{image}.parquet"))
    untouched = path.read_bytes()
    with np.load(path) as shard:
        content = dict(shard)
    poisoned = content["pixels"].copy()
    poisoned[table["item"].tolist().index(row["item"])][:, united] = 60000
    np.savez(path, **{**content, "pixels": poisoned})

    cores.decoy()

    found = cores.table("decoy", "patient")
    path.write_bytes(untouched)
    same = (found["item"] == row["item"]) & (found["seed"] == row["seed"])
    others = found["item"] != row["item"]
    expected = clean["patient"]
    pd.testing.assert_frame_equal(found[same | others], expected[same | others], check_exact=True)
    assert united.sum() > own.sum()  # a decoy hid what the patch showed by itself
    elsewhere = ~(same | others)  # other seeds hide other pixels, so there the poison shows
    assert (found.loc[elsewhere, MEANS] != expected.loc[elsewhere, MEANS]).to_numpy().any()


def test_matched_donors_are_among_the_ten_nearest_by_the_training_z(cores: Cores) -> None:
    cores.decoy(patch=replace(PATCH, keep_min=0.0))  # no donor is refused for its hole

    rows = seen(cores)
    rows = rows[rows["seed"] == 1].reset_index(drop=True)
    own = rows[[f"{name}_own" for name in MEANS]]
    training = own[rows["split"] == "train"]
    z = ((own - training.mean()) / training.std(ddof=0)).to_numpy()
    place = rows.index[(rows["label"] == 0) & (rows["split"] == "validation")]
    positives = rows.index[(rows["label"] == 1) & (rows["split"] == "validation")].to_numpy()
    distance = np.linalg.norm(z[place][:, None] - z[positives], axis=2)
    nearest = rows["item"].to_numpy()[positives[np.argsort(distance, axis=1)[:, :10]]]
    assert (nearest == rows.loc[place, "donor"].to_numpy()[:, None]).any(axis=1).all()


def test_marginal_donors_are_of_all_positives_of_the_split(cores: Cores) -> None:
    cores.decoy(replace(DECOY, kind="marginal", nearest=1))

    rows = seen(cores)
    negative = rows[(rows["label"] == 0) & (rows["split"] == "train")]
    positives = rows[(rows["label"] == 1) & (rows["split"] == "train")]
    used = negative.groupby("seed")["donor"].nunique() / positives.groupby("seed").size()
    assert used.min() > 0.5


def test_without_decoys_the_own_holes_stay(cores: Cores) -> None:
    cores.decoy(replace(DECOY, kind="none"))

    rows = seen(cores)
    assert set(rows["donor"]) == {""}
    assert (rows["erased_um2"] == rows["erased_um2_own"]).all()
    np.testing.assert_allclose(rows[MEANS], rows[[f"{name}_own" for name in MEANS]], rtol=1e-12)


def test_full_means_count_what_is_hidden_as_zero(cores: Cores) -> None:
    cores.decoy()
    retained = cores.table("decoy", "patient")
    cores.decoy(patch=replace(PATCH, mean="full"))

    full = cores.table("decoy", "patient")
    # donors were matched by the same own-hole means, which the table of patches holds
    np.testing.assert_array_equal(full["donor"], retained["donor"])
    left = 1 - retained["erased_um2"].to_numpy()[:, None] / 100
    np.testing.assert_allclose(full[MEANS], retained[MEANS].to_numpy() * left, rtol=1e-12)


def test_patches_without_a_hole_that_fits_are_dropped_and_counted(cores: Cores) -> None:
    cores.decoy(patch=replace(PATCH, keep_min=0.42))

    dropped = cores.table("decoy", "dropped")
    patches = patches_of(cores)
    path = cores.home / cores.out("decoy", "dropped.parquet")
    assert column_mistakes(path, decoy.writes["dropped"].columns) == []
    assert dropped["scheme"].tolist() == ["patient"] * 3 + ["random"] * 3
    assert dropped["seed"].tolist() == [0, 1, 2] * 2
    for scheme in ("patient", "random"):
        rows = cores.table("decoy", scheme)
        counted = dropped.loc[dropped["scheme"] == scheme, "dropped"]
        assert (len(patches) - rows.groupby("seed").size()).tolist() == counted.tolist()
        assert counted.min() > 0
        negative = rows[rows["donor"] != ""]
        assert negative["erased_um2"].max() <= 58


def test_rows_are_sorted_by_seed_then_item_and_types_are_those_of_the_contract(
    cores: Cores,
) -> None:
    cores.decoy()

    table = cores.table("decoy", "random")
    items = patches_of(cores)["item"].tolist()
    assert list(table) == [
        *["item", "seed", "donor", "orientation", "erased_um2", "components"],
        *MEANS,
    ]
    assert table["item"].tolist() == items * SPLIT.seeds
    assert table["seed"].tolist() == sorted(table["seed"])
    kinds = {name: str(kind) for name, kind in table.dtypes.items()}
    assert kinds["orientation"] == kinds["components"] == kinds["seed"] == "int64"
    assert kinds["erased_um2"] == kinds[MEANS[0]] == "float64"


def test_chunks_and_workers_change_no_byte(cores: Cores, monkeypatch: pytest.MonkeyPatch) -> None:
    cores.decoy()
    one = (cores.home / cores.out("decoy", "patient.parquet")).read_bytes()
    monkeypatch.setattr(contents, "_CHUNK", 3)

    with two_workers():
        cores.decoy()

    assert (cores.home / cores.out("decoy", "patient.parquet")).read_bytes() == one
