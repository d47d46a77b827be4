"""The stage that trains the network, on tiny images."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from leukemia_images import SIDE_PX, SMALL, digests, split_of, write_cells
from leukemia_tables import Tables

from tissuetrace.imaging.bitmaps import read_bgr
from tissuetrace.learn.batches import augmented_batches
from tissuetrace.learn.cell_training import load_classifier, probabilities
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import read_json, read_table, write_table
from tissuetrace.pipeline.params import stage_params
from tissuetrace.studies.leukemia.train_cnn import Cnn, train_cnn

SECTION = {
    "input_px": 64,
    "epochs": 6,
    "batch": 32,
    "lr": 0.001,
    "patience": 5,
    "block": "relu_norm",
    "rotate_deg": 15,
    "shift": 0.1,
    "flip": "horizontal",
    "seeds": [0],
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return write_cells(tmp_path_factory.mktemp("cells"))


def train(tables: Tables, folder: Path, cnn: Cnn = SMALL) -> Path:
    train_cnn(
        images=tables.images,
        table=tables.table,
        splits=tables.splits,
        groups=tables.groups,
        admission=tables.admission,
        image=folder / "image",
        subject=folder / "subject",
        cnn=cnn,
        resume=folder.with_name(f"{folder.name}-resume"),
    )
    return folder


@pytest.fixture(scope="module")
def trained(tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TISSUETRACE_WORKERS", "1")
        return train(tables, tmp_path_factory.mktemp("trained") / "out")


def test_every_file_but_the_run_is_the_same_in_bytes_with_two_workers(
    tables: Tables, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TISSUETRACE_WORKERS", "2")

    again = train(tables, tmp_path / "out")

    assert digests(again) == digests(trained)


@pytest.mark.parametrize("scheme", ["image", "subject"])
def test_each_scheme_has_its_files(trained: Path, scheme: str) -> None:
    assert sorted(path.name for path in (trained / scheme).iterdir()) == [
        "card.json",
        "history.parquet",
        "model.safetensors",
        "predictions.parquet",
        "run.json",
    ]


@pytest.mark.parametrize("scheme", ["image", "subject"])
def test_each_seed_answers_for_every_cell_that_does_not_train(
    tables: Tables, trained: Path, scheme: str
) -> None:
    found = read_table(trained / scheme / "predictions.parquet")

    asked = split_of(tables, scheme, "validation", "test", "prelim")
    assert sorted(found.loc[found["seed"] == 3, "item"]) == asked.tolist()
    assert sorted(found.loc[found["seed"] == 4, "item"]) == asked.tolist()
    assert len(found) == 2 * len(asked)
    assert found["probability"].between(0, 1).all()
    assert set(found["model"]) == {"cnn"}
    assert set(found["scheme"]) == {scheme}


def test_two_seeds_do_not_answer_alike(trained: Path) -> None:
    found = read_table(trained / "subject" / "predictions.parquet")

    values = [part["probability"].to_numpy() for _, part in found.groupby("seed")]

    assert not np.allclose(values[0], values[1])


def test_the_kept_model_is_that_of_the_first_seed_and_answers_the_same_when_read(
    tables: Tables, trained: Path
) -> None:
    found = read_table(trained / "subject" / "predictions.parquet").query("seed == 3")
    network = load_classifier(trained / "subject" / "model.safetensors")
    images = np.load(trained.with_name("out-resume") / "images-16.npy")
    rows = read_table(tables.table).reset_index().set_index("name").loc[found["item"], "index"]

    answers = probabilities(network, images, rows.to_numpy(), device="cpu")

    assert answers.tolist() == found["probability"].tolist()


def test_images_are_rgb_and_averaged_over_areas(tables: Tables, trained: Path) -> None:
    images = np.load(trained.with_name("out-resume") / "images-16.npy")
    path = tables.images / read_table(tables.table)["path"].iloc[7]

    # 24 px to 16: every block of 3 becomes 2, of which each takes 1 whole and a half pixel
    third = np.array([[2, 1, 0], [0, 1, 2]]) / 3
    averaging = np.kron(np.eye(SIDE_PX // 3), third)
    expected = np.einsum("ij,jkc,lk->ilc", averaging, read_bgr(path)[..., ::-1], averaging)
    np.testing.assert_allclose(images[7], expected, atol=0.51)


def test_the_input_is_standardised_by_the_training_images_of_the_scheme_alone(
    tables: Tables, trained: Path
) -> None:
    images = np.load(trained.with_name("out-resume") / "images-16.npy").astype(float)
    training = read_table(tables.table)["name"].isin(split_of(tables, "subject", "train"))

    card = read_json(trained / "subject" / "card.json")

    chosen = images[training.to_numpy()].reshape(-1, 3)
    assert card["standard"]["mean"] == pytest.approx(chosen.mean(axis=0).tolist())
    assert card["standard"]["sd"] == pytest.approx(chosen.std(axis=0).tolist())


def test_labels_of_the_test_split_cannot_reach_the_model(
    tables: Tables, trained: Path, tmp_path: Path
) -> None:
    table = read_table(tables.table)
    hidden = table["name"].isin(split_of(tables, "image", "test")) & table["name"].isin(
        split_of(tables, "subject", "test")
    )
    table.loc[hidden, "label"] = 1 - table.loc[hidden, "label"]
    write_table(table, tmp_path / "table.parquet")

    again = train(replace(tables, table=tmp_path / "table.parquet"), tmp_path / "out")

    assert hidden.any()
    for scheme in ("image", "subject"):
        model = f"{scheme}/model.safetensors"
        assert (again / model).read_bytes() == (trained / model).read_bytes()


def test_the_card_says_what_the_model_is(trained: Path) -> None:
    model = (trained / "image" / "model.safetensors").read_bytes()

    card = read_json(trained / "image" / "card.json")

    assert card["sha256"] == hashlib.sha256(model).hexdigest()
    assert card["seed"] == 3
    assert card["threshold"] == 0.5
    assert card["input"].startswith("RGB, 16 x 16 px")
    assert card["parameters"] == 93_248 + 448 + (2 * 2 * 128 + 1) * 128 + 129 * 64 + 65
    assert card["training"]["images"] > card["training"]["blasts"] > 0


def test_the_history_has_a_row_for_each_seed_and_epoch(trained: Path) -> None:
    history = read_table(trained / "image" / "history.parquet")

    assert list(history.columns[:4]) == ["seed", "epoch", "train_loss", "validation_loss"]
    assert history[["seed", "epoch"]].to_numpy().tolist() == [[3, 1], [3, 2], [4, 1], [4, 2]]
    assert [str(kind) for kind in history.dtypes[:3]] == ["int64", "int64", "float64"]


def test_the_run_has_a_child_for_each_seed(trained: Path) -> None:
    run = read_json(trained / "subject" / "run.json")

    assert run["variant"] == "cnn-subject"
    assert [child["name"] for child in run["children"]] == ["seed 3", "seed 4"]
    assert run["history"] == run["children"][0]["history"]
    assert set(run["files"]) == {
        "card.json",
        "history.parquet",
        "model.safetensors",
        "predictions.parquet",
    }


def test_what_a_killed_run_has_finished_is_not_trained_again(
    tables: Tables, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TISSUETRACE_WORKERS", "1")
    shutil.copytree(trained.with_name("out-resume"), tmp_path / "out-resume")
    shutil.rmtree(tmp_path / "out-resume" / "subject-4")  # the last had not begun
    begun: list[str] = []
    fit = augmented_batches

    def noted(*args: object, **settings: object) -> object:
        batches = fit(*args, **settings)  # type: ignore[arg-type]  # passed on as they came

        def counted(generator: object) -> object:
            begun.append("epoch")
            return batches(generator)  # type: ignore[arg-type]  # as above

        return counted

    monkeypatch.setattr("tissuetrace.learn.cell_training.augmented_batches", noted)
    again = train(tables, tmp_path / "out")

    assert begun == ["epoch"] * SMALL.epochs
    assert digests(again) == digests(trained)


def test_a_broken_image_is_named(tables: Tables, tmp_path: Path) -> None:
    images = shutil.copytree(tables.images, tmp_path / "images")
    name = read_table(tables.table)["path"].iloc[2]
    (images / name).write_bytes(b"BM, and no more")

    with pytest.raises(InputError, match=name):
        train(replace(tables, images=images), tmp_path / "out")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("input_px", 60),
        ("input_px", 0),
        ("epochs", 0),
        ("batch", 0),
        ("lr", 0.0),
        ("patience", 0),
        ("block", "norm"),
        ("shift", 0.6),
        ("flip", True),
        ("seeds", []),
        ("seeds", [-1]),
    ],
)
def test_a_setting_out_of_its_bounds_is_named(key: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"leukemia\.cnn\.{key}"):
        stage_params(train_cnn, {"leukemia": {"cnn": {**SECTION, key: value}}})


def test_the_settings_of_the_project_are_accepted() -> None:
    found = stage_params(train_cnn, {"leukemia": {"cnn": SECTION}})

    assert found["cnn"].seeds == (0,)
