"""The stage that combines forest and network, both ways, on tiny images."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from leukemia_images import SMALL, digests, split_of, write_cells
from leukemia_tables import FEATURES, Tables

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import read_json, read_table, write_table
from tissuetrace.studies.leukemia import concatenation
from tissuetrace.studies.leukemia.items import read_items
from tissuetrace.studies.leukemia.train_cnn import train_cnn
from tissuetrace.studies.leukemia.train_forest import Forest, train_forest
from tissuetrace.studies.leukemia.train_hybrid import Hybrid, train_hybrid

CNN = replace(SMALL, seeds=(3,))
FOREST = Forest(trees=15, class_weight="balanced", seeds=(4, 5))


@dataclass(frozen=True)
class Trained:
    tables: Tables
    folder: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("lane")
    tables = write_cells(folder)
    shared = {
        "table": tables.table,
        "splits": tables.splits,
        "groups": tables.groups,
        "admission": tables.admission,
    }
    train_forest(
        **shared,
        features=tables.features,
        image=folder / "forest" / "image",
        subject=folder / "forest" / "subject",
        forest=FOREST,
    )
    train_cnn(
        **shared,
        images=tables.images,
        image=folder / "cnn" / "image",
        subject=folder / "cnn" / "subject",
        cnn=CNN,
        resume=folder / "cnn-resume",
    )
    return Trained(tables, folder)


def combine(trained: Trained, folder: Path, how: Hybrid) -> Path:
    tables = trained.tables
    train_hybrid(
        images=tables.images,
        table=tables.table,
        splits=tables.splits,
        groups=tables.groups,
        features=tables.features,
        forest_image=trained.folder / "forest" / "image",
        forest_subject=trained.folder / "forest" / "subject",
        cnn_image=trained.folder / "cnn" / "image",
        cnn_subject=trained.folder / "cnn" / "subject",
        admission=tables.admission,
        image=folder / "image",
        subject=folder / "subject",
        hybrid=how,
        cnn=CNN,
        forest=FOREST,
        resume=folder.with_name(f"{folder.name}-resume"),
    )
    return folder


MEAN = Hybrid(combine="mean", embedding_folds=2)
CONCAT = Hybrid(combine="concat", embedding_folds=2)


@pytest.fixture(scope="module")
def averaged(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return combine(trained, tmp_path_factory.mktemp("mean") / "out", MEAN)


@pytest.fixture(scope="module")
def concatenated(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TISSUETRACE_WORKERS", "1")
        return combine(trained, tmp_path_factory.mktemp("concat") / "out", CONCAT)


def _answers(folder: Path, seed: int) -> pd.Series:
    table = read_table(folder / "predictions.parquet")
    return table[table["seed"] == seed].set_index("item")["probability"].sort_index()


@pytest.mark.parametrize("scheme", ["image", "subject"])
def test_the_mean_is_that_of_the_first_seeds(trained: Trained, averaged: Path, scheme: str) -> None:
    forest = _answers(trained.folder / "forest" / scheme, seed=4)
    network = _answers(trained.folder / "cnn" / scheme, seed=3)

    found = _answers(averaged / scheme, seed=4)

    pd.testing.assert_series_equal(found, (forest + network) / 2)


def test_the_rule_of_the_mean_names_both_models(trained: Trained, averaged: Path) -> None:
    rule = read_json(averaged / "image" / "model.json")

    forest = (trained.folder / "forest" / "image" / "model.joblib").read_bytes()
    network = (trained.folder / "cnn" / "image" / "model.safetensors").read_bytes()
    assert rule["forest"] == {"seed": 4, "sha256": hashlib.sha256(forest).hexdigest()}
    assert rule["cnn"] == {"seed": 3, "sha256": hashlib.sha256(network).hexdigest()}


def test_answers_about_other_cells_are_not_averaged(trained: Trained, tmp_path: Path) -> None:
    table = read_table(trained.tables.splits)
    tested = table.index[table["split"] == "test"]
    write_table(table.drop(index=tested[0]), tmp_path / "splits.parquet")
    changed = replace(trained.tables, splits=tmp_path / "splits.parquet")

    with pytest.raises(ValueError, match="asked about other items"):
        combine(Trained(changed, trained.folder), tmp_path / "out", MEAN)


@pytest.mark.parametrize("scheme", ["image", "subject"])
@pytest.mark.parametrize("made", ["averaged", "concatenated"])
def test_the_hybrid_answers_for_every_cell_that_does_not_train(
    trained: Trained, request: pytest.FixtureRequest, made: str, scheme: str
) -> None:
    folder: Path = request.getfixturevalue(made)

    found = read_table(folder / scheme / "predictions.parquet")

    first = found[found["seed"] == 4]
    asked = split_of(trained.tables, scheme, "validation", "test", "prelim")
    assert sorted(first["item"]) == asked.tolist()
    assert set(found["model"]) == {"hybrid"}
    assert found["probability"].between(0, 1).all()


def test_concat_gives_the_same_bytes_with_two_workers(
    trained: Trained, concatenated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TISSUETRACE_WORKERS", "2")

    again = combine(trained, tmp_path / "out", CONCAT)

    assert digests(again) == digests(concatenated)


def test_concat_answers_with_a_forest_on_features_and_units(
    trained: Trained, concatenated: Path
) -> None:
    folder = concatenated / "subject"
    units = read_table(folder / "embedding.parquet").set_index("item").drop(columns="split")
    features = read_table(trained.tables.features).set_index("name")[list(FEATURES)]
    found = _answers(folder, seed=4)

    model = joblib.load(folder / "model.joblib")

    rows = np.hstack([features.loc[found.index], units.loc[found.index]])
    assert rows.shape[1] == 15 + 64
    assert model.predict_proba(rows)[:, 1].tolist() == found.tolist()


def test_every_seed_of_the_forest_answers_under_concat(concatenated: Path) -> None:
    found = read_table(concatenated / "image" / "predictions.parquet")

    assert sorted(found["seed"].unique()) == [4, 5]


def test_importance_names_the_features_and_the_units_as_one_group(concatenated: Path) -> None:
    importance = read_json(concatenated / "image" / "card.json")["importance"]

    assert list(importance["mdi"]) == sorted([*FEATURES, "embedding"])
    assert sum(importance["mdi"].values()) == pytest.approx(1)
    assert importance["mdi"]["embedding"] == pytest.approx(sum(importance["units"]))
    assert len(importance["units"]) == 64


@pytest.mark.parametrize("scheme", ["image", "subject"])
def test_no_network_of_a_fold_trains_on_a_group_that_it_embeds(
    trained: Trained, concatenated: Path, scheme: str
) -> None:
    tables = trained.tables
    items = read_items(
        table=tables.table, splits=tables.splits, groups=tables.groups, scheme=scheme
    )
    group = items.set_index("row")["group"]

    pixels = concatenated.with_name("out-resume") / "images-16.npy"
    tasks = concatenation._tasks(items, pixels, CNN, folds=3, resume=Path("unused"))

    assert [set(group[task.held_out]) & set(group[task.rows.training]) for task in tasks] == [
        set(),
        set(),
        set(),
    ]
    held_out = np.concatenate([task.held_out for task in tasks])
    assert sorted(held_out) == items.loc[items["split"] == "train", "row"].tolist()


def test_a_killed_concat_keeps_a_checkpoint_for_each_scheme_and_fold(concatenated: Path) -> None:
    kept = concatenated.with_name("out-resume")

    found = sorted(path.parent.name for path in kept.glob("*/last.pt"))

    assert found == ["image-fold-0", "image-fold-1", "subject-fold-0", "subject-fold-1"]


def test_too_few_groups_for_the_folds_are_counted(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"40 folds need[\s\S]*label 0: \d groups"):
        combine(trained, tmp_path / "out", Hybrid(combine="concat", embedding_folds=40))
