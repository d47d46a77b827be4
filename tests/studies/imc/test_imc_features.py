"""What a model of one seed sees, joined from the tables of patch, decoy and split."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from imc_patches import CHANNELS, SEEDS, Cohort, write_patches

from tissuetrace.pipeline.files import read_table, write_table
from tissuetrace.studies.imc.features import mean_columns, patch_table, predicted, read_features


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return write_patches(tmp_path)


def core(image: str, rows: list[int], cols: list[int]) -> pd.DataFrame:
    items = [f"{image}:{row}:{col}" for row, col in zip(rows, cols, strict=True)]
    return pd.DataFrame({"item": items, "image": image, "row": rows, "col": cols})


def test_patches_stand_in_the_order_of_image_and_of_numbers_not_of_digits(tmp_path: Path) -> None:
    # a file name's end would sort a-1 before a
    write_table(core("a", [2, 10, 10], [0, 9, 10]), tmp_path / "a.parquet")
    write_table(core("a-1", [0], [0]), tmp_path / "a-1.parquet")

    found = patch_table(tmp_path)

    assert found["item"].tolist() == ["a:2:0", "a:10:9", "a:10:10", "a-1:0:0"]


def test_a_folder_without_tables_and_a_name_used_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no table of patches"):
        patch_table(tmp_path)

    for name in ("a", "b"):
        write_table(core("a", [0], [0]), tmp_path / f"{name}.parquet")
    with pytest.raises(ValueError, match="two patches"):
        patch_table(tmp_path)


def test_the_means_are_those_under_the_decoy_and_not_those_of_a_patchs_own_hole(
    cohort: Cohort,
) -> None:
    found = read_features(cohort.tables, cohort.decoy_patient, scheme="patient")

    decoys = read_table(cohort.decoy_patient).set_index(["seed", "item"])
    keys = pd.MultiIndex.from_frame(found[["seed", "item"]])
    means = [f"mean_{name}" for name in CHANNELS]
    assert mean_columns(found) == means
    np.testing.assert_array_equal(found[means], decoys.loc[keys, means])
    own = patch_table(cohort.tables).set_index("item").loc[found["item"], means]
    assert (found[means].to_numpy() != own.to_numpy()).any(axis=0).all()


def test_rows_are_those_of_the_decoys_by_seed_then_place(cohort: Cohort) -> None:
    found = read_features(cohort.tables, cohort.decoy_random, scheme="random")

    order = {item: place for place, item in enumerate(patch_table(cohort.tables)["item"])}
    keys = [(seed, order[item]) for seed, item in zip(found["seed"], found["item"], strict=True)]
    assert keys == sorted(keys)
    assert sorted(found["item"] + found["seed"].astype(str)) == sorted(
        read_table(cohort.decoy_random)["item"]
        + read_table(cohort.decoy_random)["seed"].astype(str)
    )
    assert list(found)[:10] == [
        *("item", "subject", "image", "row", "col", "label", "tissue", "tumour"),
        *("scheme", "seed"),
    ]
    assert set(found["scheme"]) == {"random"}
    assert found[["row", "col", "label", "seed"]].dtypes.eq("int64").all()


def test_a_split_is_that_of_the_same_seed(cohort: Cohort) -> None:
    found = read_features(
        cohort.tables, cohort.decoy_patient, scheme="patient", splits=cohort.split_patient
    )

    splits = read_table(cohort.split_patient).set_index(["seed", "item"])["split"]
    keys = pd.MultiIndex.from_frame(found[["seed", "item"]])
    assert found["split"].tolist() == splits.loc[keys].tolist()
    assert found.groupby("seed")["split"].nunique().to_dict() == dict.fromkeys(SEEDS, 3)


def test_a_row_without_patch_or_split_is_refused(cohort: Cohort) -> None:
    decoys = read_table(cohort.decoy_patient)
    write_table(decoys.assign(item="core-9:9:" + decoys["seed"].astype(str)), cohort.decoy_random)
    write_table(read_table(cohort.split_patient).iloc[5:], cohort.split_random)

    with pytest.raises(ValueError, match="have no patch or no split"):
        read_features(cohort.tables, cohort.decoy_random, scheme="random")
    with pytest.raises(ValueError, match="have no patch or no split"):
        read_features(
            cohort.tables, cohort.decoy_patient, scheme="patient", splits=cohort.split_random
        )


def test_predictions_have_the_columns_of_every_lane(cohort: Cohort) -> None:
    rows = read_features(
        cohort.tables, cohort.decoy_patient, scheme="patient", splits=cohort.split_patient
    )

    found = predicted(rows, model="mlp", probability=np.linspace(0, 1, len(rows)))

    assert list(found) == [
        *("item", "subject", "image", "split", "scheme", "model", "seed", "label", "probability"),
    ]
    assert found["probability"].is_monotonic_increasing
