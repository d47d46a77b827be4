"""The stage that trains the network on pixels, on a tiny cohort."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from imc_patches import CHANNELS, SEEDS, SIDE_PX, write_patches
from imc_patches import Cohort as Files

from tissuetrace.imaging.masks import orient, unpack
from tissuetrace.learn.patch_networks import load_patch_cnn, probabilities
from tissuetrace.learn.patch_pixels import cache_patches, open_patches
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import read_json, read_table
from tissuetrace.pipeline.hashing import digest
from tissuetrace.studies.imc.cohorts import Cohort, Markers
from tissuetrace.studies.imc.features import patch_table
from tissuetrace.studies.imc.train_cnn import Cnn, patches_of, train_cnn

COHORT = Cohort(
    px_um=1.0,
    markers=Markers(cd3="CD3", cd8="CD8", exhausted=("PD1",)),
    threshold=3.0,
    predictors=CHANNELS,
    free=CHANNELS[:2],
    control="DapB",
    tumour_marker="",
    tumour_threshold=0.0,
    tissue_min=1.0,
    cnn=("patient",),
)
CNN = Cnn(repeats=2, lr=0.003, batch=32, epochs=2, patience=2, pos_weight=1.0, seed=0)


def train(files: Files, folder: Path, cohort: Cohort = COHORT, cnn: Cnn = CNN) -> Path:
    train_cnn(
        **files.inputs,
        pixels=files.pixels,
        patient=folder / "patient",
        random=folder / "random",
        cohort=cohort,
        cnn=cnn,
        variant="melanoma",
        resume=folder / "resume",
    )
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_patches(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def trained(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TISSUETRACE_WORKERS", "1")
        return train(files, tmp_path_factory.mktemp("trained"))


def rows_of(files: Files, seed: int) -> pd.DataFrame:
    """Join what `patches_of` reads, independently of the stage."""
    decoys = read_table(files.decoy_patient)
    rows = decoys[decoys["seed"] == seed].merge(
        patch_table(files.tables)[["item", "label"]], on="item"
    )
    items = patch_table(files.tables)["item"].tolist()
    return rows.assign(
        place=[items.index(item) for item in rows["item"]],
        donor_place=[items.index(donor) if donor else -1 for donor in rows["donor"]],
    )


def test_the_first_seeds_are_trained_and_predict_every_patch(files: Files, trained: Path) -> None:
    found = read_table(trained / "patient/predictions.parquet")

    decoys = read_table(files.decoy_patient)
    asked = decoys[decoys["seed"].isin(SEEDS[:2])]
    assert sorted(zip(found["seed"], found["item"], strict=True)) == sorted(
        zip(asked["seed"], asked["item"], strict=True)
    )
    assert sorted(path.name for path in (trained / "patient").iterdir()) == [
        *("card.json", "history.parquet", "model.0.safetensors", "model.1.safetensors"),
        *("predictions.parquet", "run.json"),
    ]


def test_a_model_that_is_read_back_predicts_what_the_stage_wrote(
    files: Files, trained: Path, tmp_path: Path
) -> None:
    images = sorted(path.stem for path in files.pixels.glob("*.npz"))
    cache_patches(files.pixels, images, tmp_path)
    rows = rows_of(files, SEEDS[1])
    patches = patches_of(open_patches(tmp_path, images), rows)

    network = load_patch_cnn(trained / f"patient/model.{SEEDS[1]}.safetensors")
    answers = probabilities(network, patches, rows["place"].to_numpy(), device="cpu")

    found = read_table(trained / "patient/predictions.parquet")
    own = found[found["seed"] == SEEDS[1]].set_index("item").loc[rows["item"], "probability"]
    np.testing.assert_allclose(answers, own, rtol=0, atol=1e-6)


def test_a_patch_is_seen_without_its_own_hole_and_that_of_its_donor_as_it_was_turned(
    files: Files, tmp_path: Path
) -> None:
    images = sorted(path.stem for path in files.pixels.glob("*.npz"))
    cache_patches(files.pixels, images, tmp_path)
    rows = rows_of(files, SEEDS[0])
    pixels = open_patches(tmp_path, images)

    found = unpack(patches_of(pixels, rows).erased, (SIDE_PX, SIDE_PX))

    own = unpack(pixels.masks, (SIDE_PX, SIDE_PX))
    given = rows[rows["donor"] != ""].iloc[7]
    expected = own[given["place"]] | orient(own[given["donor_place"]], int(given["orientation"]))
    assert given["label"] == 0
    np.testing.assert_array_equal(found[given["place"]], expected)
    alone = rows.loc[rows["donor"] == "", "place"]
    np.testing.assert_array_equal(found[alone], own[alone])
    area = rows.set_index("place")["erased_um2"]
    np.testing.assert_array_equal(found[area.index].sum(axis=(1, 2)), area)


def test_the_network_learns_from_the_training_patches_of_its_seed(
    files: Files, trained: Path, tmp_path: Path
) -> None:
    images = sorted(path.stem for path in files.pixels.glob("*.npz"))
    cache_patches(files.pixels, images, tmp_path)
    rows = rows_of(files, SEEDS[1])
    patches = patches_of(open_patches(tmp_path, images), rows)
    splits = read_table(files.split_patient)
    training = splits[(splits["seed"] == SEEDS[1]) & (splits["split"] == "train")]["item"]
    own = rows.loc[rows["item"].isin(training), "place"].to_numpy()

    network = load_patch_cnn(trained / f"patient/model.{SEEDS[1]}.safetensors")

    erased = unpack(patches.erased[own], (SIDE_PX, SIDE_PX))
    seen = np.sqrt(patches.pixels.counts(own))[~erased]
    np.testing.assert_allclose(network.mean, seen.mean(axis=0, dtype=np.float64), rtol=1e-6)


def test_a_scheme_that_the_cohort_leaves_out_holds_the_reason_alone(trained: Path) -> None:
    assert [path.name for path in (trained / "random").iterdir()] == ["why.json"]
    assert read_json(trained / "random/why.json") == {
        "reason": "imc.cohorts.melanoma.cnn does not name the random scheme"
    }


def test_a_cohort_without_networks_reads_no_pixels(files: Files, tmp_path: Path) -> None:
    none = replace(files, pixels=tmp_path / "absent")

    train(none, tmp_path / "out", cohort=replace(COHORT, cnn=()))

    reasons = [
        read_json(tmp_path / f"out/{scheme}/why.json")["reason"] for scheme in ("patient", "random")
    ]
    assert [reason.split()[-2] for reason in reasons] == ["patient", "random"]


def test_card_and_run_tell_channels_seeds_and_inputs(trained: Path) -> None:
    card = read_json(trained / "patient/card.json")
    run = read_json(trained / "patient/run.json")

    assert card["channels"] == list(CHANNELS)
    assert [one["seed"] for one in card["retrainings"]] == [0, 1]
    assert run["variant"] == "cnn-melanoma-patient"
    assert set(run["inputs"]) == {"tables", "splits", "decoys", "pixels"}
    assert [child["name"] for child in run["children"]] == ["seed 0", "seed 1"]


@pytest.mark.slow
def test_two_workers_give_the_bytes_of_one(
    files: Files, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TISSUETRACE_WORKERS", "2")

    train(files, tmp_path)

    names = ["model.0.safetensors", "model.1.safetensors", "predictions.parquet", "history.parquet"]
    found = [digest(tmp_path / "patient" / name).sha256 for name in names]
    assert found == [digest(trained / "patient" / name).sha256 for name in names]


def test_more_repeats_than_the_split_has_seeds_are_refused(files: Files, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is 4, and the split has 3 seeds"):
        train(files, tmp_path, cnn=replace(CNN, repeats=4))


def write_core(files: Files, image: str, **changes: Any) -> None:
    path = files.pixels / f"{image}.npz"
    with np.load(path) as core:
        content = dict(core)
    np.savez(path, **{**content, **changes})


def test_pixels_of_other_patches_than_the_tables_are_refused(tmp_path: Path) -> None:
    files = write_patches(tmp_path)
    with np.load(files.pixels / "core-3.npz") as core:
        fewer = {name: core[name][1:] for name in ("pixels", "masks")}
    write_core(files, "core-3", **fewer)

    with pytest.raises(ValueError, match="differ in patches"):
        train(files, tmp_path / "out")


def test_pixels_of_other_channels_than_the_tables_are_refused(tmp_path: Path) -> None:
    files = write_patches(tmp_path)
    for path in sorted(files.pixels.glob("*.npz")):
        write_core(files, path.stem, names=np.array(CHANNELS[::-1]))

    with pytest.raises(ValueError, match="differ in channels"):
        train(files, tmp_path / "out")
