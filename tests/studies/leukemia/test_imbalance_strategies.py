from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from leukemia_tables import FEATURES, Tables, write_images, write_tables

from tissuetrace.learn.imbalance import STRATEGIES
from tissuetrace.pipeline.files import column_mistakes, read_table, write_table
from tissuetrace.pipeline.params import stage_params
from tissuetrace.studies.leukemia.imbalance import imbalance
from tissuetrace.studies.leukemia.strategies import Imbalance
from tissuetrace.studies.leukemia.train_cnn import Cnn
from tissuetrace.studies.leukemia.train_forest import Forest

CNN = Cnn(
    input_px=8,
    epochs=2,
    batch=16,
    lr=0.001,
    patience=5,
    block="relu_norm",
    rotate_deg=15,
    shift=0.1,
    flip="horizontal",
    seeds=(0,),
)


@pytest.fixture(scope="module", autouse=True)
def in_this_process() -> Iterator[None]:
    # a worker that has loaded torch may be replaced with a warning, which stops the pool here
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TISSUETRACE_WORKERS", "1")
        yield


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    made = write_tables(tmp_path_factory.mktemp("tables"))
    write_images(made, side_px=16)
    return made


IMBALANCE = Imbalance(cost_fp=4.0, gamma=2.0, alpha=0.25, estimators=2, seed=6)


def compare(tables: Tables, folder: Path, params: Imbalance = IMBALANCE) -> pd.DataFrame:
    imbalance(
        features=tables.features,
        images=tables.images,
        table=tables.table,
        splits=tables.splits,
        groups=tables.groups,
        admission=tables.admission,
        strategies=folder / "strategies.parquet",
        params=params,
        forest=Forest(trees=12, class_weight="balanced", seeds=(0, 1)),
        cnn=CNN,
        resume=folder / "resume",
    )
    return read_table(folder / "strategies.parquet")


@pytest.fixture(scope="module")
def home(tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strategies")
    compare(tables, folder)
    return folder


@pytest.fixture(scope="module")
def found(home: Path) -> pd.DataFrame:
    return read_table(home / "strategies.parquet")


def test_every_strategy_judges_every_cell_that_did_not_train(
    tables: Tables, found: pd.DataFrame
) -> None:
    splits = read_table(tables.splits)
    asked = splits[(splits["scheme"] == "subject") & (splits["split"] != "train")]

    items = found.groupby("strategy")["item"].agg(sorted)

    assert list(dict.fromkeys(found["strategy"])) == [*STRATEGIES, "cnn_focal"]
    assert all(judged == sorted(asked["name"]) for judged in items)
    assert set(found.loc[found["model"] == "cnn", "strategy"]) == {"cnn_focal"}
    assert set(found["seed"]) == {6}


def test_the_table_has_the_declared_columns(home: Path) -> None:
    declared = imbalance.writes["strategies"].columns

    assert column_mistakes(home / "strategies.parquet", declared) == []


def test_no_two_strategies_answer_alike(found: pd.DataFrame) -> None:
    answers = found.groupby("strategy")["probability"].agg(tuple)

    assert answers.is_unique


def changed_outside(tables: Tables, split: str, folder: Path) -> Tables:
    """Move features of one split far away, beyond all that the others hold."""
    splits = read_table(tables.splits)
    chosen = (splits["scheme"] == "subject") & (splits["split"] == split)
    features = read_table(tables.features)
    rows = features["name"].isin(splits.loc[chosen, "name"])
    features.loc[rows, list(FEATURES)] = 1e5 + 7 * features.loc[rows, list(FEATURES)]
    write_table(features, folder / "features.parquet")
    return replace(tables, features=folder / "features.parquet")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_test_rows_take_no_part_in_resampling_or_fitting(
    answers_after_changing_test: pd.DataFrame, found: pd.DataFrame, strategy: str
) -> None:
    kept = (found["split"] == "validation") & (found["strategy"] == strategy)

    after = answers_after_changing_test[kept]["probability"].tolist()

    assert after == found[kept]["probability"].tolist()


@pytest.fixture(scope="module")
def answers_after_changing_test(
    tables: Tables, tmp_path_factory: pytest.TempPathFactory
) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("changed")
    return compare(changed_outside(tables, "test", folder), folder)


def test_training_rows_do_take_part(tables: Tables, found: pd.DataFrame, tmp_path: Path) -> None:
    kept = (found["split"] == "validation") & (found["model"] == "forest")

    moved = compare(changed_outside(tables, "train", tmp_path), tmp_path)

    assert (moved[kept]["probability"] != found[kept]["probability"]).any()


def test_the_sections_of_the_project_fit() -> None:
    from tissuetrace.pipeline.params import load_params

    content = load_params(Path(__file__).parents[3] / "params.yaml")

    assert set(stage_params(imbalance, content)) == {"params", "forest", "cnn"}


def test_the_network_weighs_the_commoner_class_by_alpha_and_forests_do_not_see_it(
    tables: Tables, tmp_path: Path
) -> None:
    heavy, light = (
        compare(tables, tmp_path / f"{alpha}", replace(IMBALANCE, alpha=alpha))
        for alpha in (0.99, 0.01)
    )

    network = heavy["model"] == "cnn"
    # ALL is the commoner class here
    assert heavy[network]["probability"].mean() > light[network]["probability"].mean() + 0.05
    pd.testing.assert_frame_equal(heavy[~network], light[~network])


def test_gamma_is_that_of_the_networks_loss(
    tables: Tables, found: pd.DataFrame, tmp_path: Path
) -> None:
    sharp = compare(tables, tmp_path, replace(IMBALANCE, gamma=5.0))

    network = found["model"] == "cnn"
    assert (sharp[network]["probability"] != found[network]["probability"]).all()
