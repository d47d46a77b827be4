import hashlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from leukemia_tables import FEATURES, Tables, write_tables

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import read_json, read_table, write_table
from tissuetrace.pipeline.params import stage_params
from tissuetrace.stats.classification import auc
from tissuetrace.studies.leukemia.train_forest import Forest, train_forest

FOREST = Forest(trees=15, class_weight="balanced", seeds=(4, 5))


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return write_tables(tmp_path_factory.mktemp("tables"))


def train(tables: Tables, folder: Path, forest: Forest = FOREST) -> Path:
    train_forest(
        features=tables.features,
        splits=tables.splits,
        groups=tables.groups,
        table=tables.table,
        admission=tables.admission,
        image=folder / "image",
        subject=folder / "subject",
        forest=forest,
    )
    return folder


@pytest.fixture(scope="module")
def trained(tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tables, tmp_path_factory.mktemp("trained"))


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


@pytest.fixture(params=["1", "2"])
def workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TISSUETRACE_WORKERS", request.param)


@pytest.mark.usefixtures("workers")
def test_every_file_but_the_run_is_the_same_in_bytes_with_one_and_two_workers(
    tables: Tables, trained: Path, tmp_path: Path
) -> None:
    again = train(tables, tmp_path)

    assert digests(again) == digests(trained)
    assert len(digests(again)) == 6


def test_predictions_hold_every_unseen_cell_once_for_each_seed(
    tables: Tables, trained: Path
) -> None:
    splits = read_table(tables.splits)
    unseen = splits[(splits["scheme"] == "subject") & (splits["split"] != "train")]

    found = read_table(trained / "subject/predictions.parquet")

    assert found["seed"].tolist() == [4] * len(unseen) + [5] * len(unseen)
    assert sorted(found["item"]) == sorted([*unseen["name"], *unseen["name"]])
    assert set(found["split"]) == {"validation", "test", "prelim"}
    assert set(found["scheme"]) == {"subject"}
    assert found["probability"].between(0, 1).all()
    assert list(found.columns) == [
        *["item", "subject", "group", "image", "split", "scheme", "model", "seed"],
        *["label", "probability"],
    ]


def test_the_kept_forest_is_the_first_seeds_and_gives_its_predictions(
    tables: Tables, trained: Path
) -> None:
    found = read_table(trained / "image/predictions.parquet")
    first = found[found["seed"] == 4]
    rows = read_table(tables.features).set_index("name").loc[first["item"], list(FEATURES)]

    forest = joblib.load(trained / "image/model.joblib")

    np.testing.assert_array_equal(forest.predict_proba(rows.to_numpy())[:, 1], first["probability"])


def test_the_card_names_the_features_in_order_and_the_bytes_of_the_model(trained: Path) -> None:
    card = read_json(trained / "subject/card.json")

    model = (trained / "subject/model.joblib").read_bytes()
    assert card["sha256"] == hashlib.sha256(model).hexdigest()
    assert card["features"] == list(FEATURES)
    assert (card["trees"], card["seed"], card["threshold"]) == (15, 4, 0.5)
    assert set(card["versions"]) == {"joblib", "numpy", "scikit-learn"}


def test_the_run_tells_both_seeds_and_the_inputs(trained: Path) -> None:
    run = read_json(trained / "subject/run.json")
    found = read_table(trained / "subject/predictions.parquet")
    test = found[(found["split"] == "test") & (found["seed"] == 5)]

    assert run["variant"] == "forest-subject"
    assert [child["name"] for child in run["children"]] == ["seed 4", "seed 5"]
    assert run["metrics"] == run["children"][0]["metrics"]
    assert run["children"][1]["metrics"]["test_auc"] == auc(
        test["label"].to_numpy(), test["probability"].to_numpy()
    )
    assert set(run["inputs"]) == {"features", "splits", "groups", "table"}
    assert set(run["files"]) == {"card.json", "model.joblib", "predictions.parquet"}


def test_cells_that_are_not_for_training_change_no_forest(
    tables: Tables, trained: Path, tmp_path: Path
) -> None:
    splits = read_table(tables.splits)
    kept = splits[(splits["scheme"] == "subject") & (splits["split"] == "train")]["name"]
    changed = read_table(tables.features)
    changed.loc[~changed["name"].isin(kept), list(FEATURES)] = 0.0
    write_table(changed, tmp_path / "changed.parquet")
    others = Tables(
        **{name: getattr(tables, name) for name in Tables.__slots__ if name != "features"},
        features=tmp_path / "changed.parquet",
    )

    again = train(others, tmp_path / "again")

    model = "subject/model.joblib"
    assert digests(again)[model] == digests(trained)[model]
    assert digests(again)["image/model.joblib"] != digests(trained)["image/model.joblib"]


def test_a_cell_that_was_not_measured_is_a_broken_promise(tables: Tables, tmp_path: Path) -> None:
    write_table(read_table(tables.features).iloc[1:], tmp_path / "fewer.parquet")
    others = Tables(
        **{name: getattr(tables, name) for name in Tables.__slots__ if name != "features"},
        features=tmp_path / "fewer.parquet",
    )

    with pytest.raises(ValueError, match="1 cells without features"):
        train(others, tmp_path)


@pytest.mark.parametrize(
    ("key", "value"), [("trees", 0), ("class_weight", "heavy"), ("seeds", []), ("seeds", [-1])]
)
def test_settings_outside_their_bounds_are_refused(key: str, value: Any) -> None:
    section = {"trees": 100, "class_weight": "balanced", "seeds": [0, 1, 2], key: value}

    with pytest.raises(InputError, match=f"leukemia.forest.{key}"):
        stage_params(train_forest, {"leukemia": {"forest": section}})
