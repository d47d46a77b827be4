from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from leukemia_tables import FEATURES, Tables, write_tables

from tissuetrace.learn.forests import fit_forest, load_forest, save_forest
from tissuetrace.pipeline.files import column_mistakes, read_table, write_json, write_table
from tissuetrace.studies.leukemia.explain import Explain, explain
from tissuetrace.studies.leukemia.featurize import Featurize, Glcm
from tissuetrace.studies.leukemia.train_forest import Forest, train_forest

METHODS = ["mdi", "permutation", "permutation_cluster", "treeshap"]
FEATURIZE = Featurize(
    reading="image",
    blur=0,
    mask="above_zero",
    aspect_ratio="ellipse",
    glcm=Glcm(distances=(1,), angles=(0,), levels=256, symmetric=True, normed=True),
    canny=(100, 200),
    canny_cell=(30, 60),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    tables: Tables
    forest: Path
    mean: Path
    concat: Path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    home = tmp_path_factory.mktemp("models")
    tables = write_tables(home / "tables")
    train_forest(
        features=tables.features,
        splits=tables.splits,
        groups=tables.groups,
        table=tables.table,
        admission=tables.admission,
        image=home / "forest/image",
        subject=home / "forest/subject",
        forest=Forest(trees=30, class_weight="balanced", seeds=(0,)),
    )
    write_json({"combine": "mean"}, home / "mean/card.json")
    for scheme in ("image", "subject"):
        _write_concat(tables, home / "concat" / scheme)
    return Models(tables=tables, forest=home / "forest", mean=home / "mean", concat=home / "concat")


def _write_concat(tables: Tables, folder: Path) -> None:
    """A hybrid whose three units hold the label, split among them."""
    features = read_table(tables.features)
    rng = np.random.default_rng(4)
    units = features["label"].to_numpy()[:, None] + rng.normal(size=(len(features), 3))
    columns = np.hstack([features[list(FEATURES)].to_numpy(), units])
    model = fit_forest(columns, features["label"].to_numpy(), trees=20, class_weight="none", seed=0)
    save_forest(model, folder / "model.joblib")
    write_json({"combine": "concat", "features": list(FEATURES)}, folder / "card.json")
    table = pd.DataFrame(units, columns=["unit_00", "unit_01", "unit_02"])
    table.insert(0, "item", features["name"])
    table.insert(1, "split", "any")
    write_table(table.iloc[::-1], folder / "embedding.parquet")


def ask(models: Models, folder: Path, *, hybrid: Path | None = None) -> pd.DataFrame:
    hybrid = hybrid or models.mean
    explain(
        forest_image=models.forest / "image",
        forest_subject=models.forest / "subject",
        hybrid_image=hybrid / "image",
        hybrid_subject=hybrid / "subject",
        features=models.tables.features,
        features_other=models.tables.features_other,
        splits=models.tables.splits,
        importances=folder / "importances.parquet",
        correlations=folder / "correlations.parquet",
        params=Explain(repeats=5, seed=0, cluster=0.9),
        featurize=FEATURIZE,
    )
    return read_table(folder / "importances.parquet")


@pytest.fixture(scope="module")
def home(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explained")
    ask(models, folder, hybrid=models.concat)
    return folder


@pytest.fixture(scope="module")
def found(home: Path) -> pd.DataFrame:
    return read_table(home / "importances.parquet")


def part(found: pd.DataFrame, *, model: str, method: str) -> pd.Series:
    chosen = found[
        (found["scheme"] == "subject") & (found["model"] == model) & (found["method"] == method)
    ]
    return chosen.set_index("feature")["importance"]


def test_both_tables_have_the_declared_columns(home: Path) -> None:
    mistakes = [
        column_mistakes(home / f"{name}.parquet", explain.writes[name].columns)
        for name in ("importances", "correlations")
    ]

    assert mistakes == [[], []]


def test_each_method_tells_every_feature_once_for_each_scheme_and_model(
    found: pd.DataFrame,
) -> None:
    listed = found.groupby(["scheme", "model", "method"])["feature"].agg(tuple).to_dict()

    assert listed == {
        (scheme, model, method): names
        for scheme in ("image", "subject")
        for model, names in (("forest", FEATURES), ("hybrid", (*FEATURES, "embedding")))
        for method in METHODS
    }


def test_a_hybrid_that_averages_has_no_importance(models: Models, tmp_path: Path) -> None:
    found = ask(models, tmp_path)

    assert set(found["model"]) == {"forest"}


def test_the_impurity_is_that_of_the_kept_forest(models: Models, found: pd.DataFrame) -> None:
    forest = load_forest(models.forest / "subject/model.joblib")

    importance = part(found, model="forest", method="mdi")

    np.testing.assert_allclose(importance, forest.feature_importances_)  # type: ignore[attr-defined]  # scikit-learn's own


def test_area_and_its_twin_are_one_cluster_that_matters(found: pd.DataFrame) -> None:
    clusters = found[found["method"] == "permutation_cluster"].set_index("feature")["cluster"]

    together = part(found, model="forest", method="permutation_cluster")

    assert set(clusters["area"]) == {"area + perimeter"}
    assert together["area"] == together["perimeter"] == together.max()
    assert together["area"] > part(found, model="forest", method="permutation")["area"]
    assert set(clusters["solidity"]) == {"solidity"}


def test_the_units_of_the_embedding_count_as_one_and_matter_most(found: pd.DataFrame) -> None:
    most = [part(found, model="hybrid", method=method).idxmax() for method in METHODS]

    assert most == ["embedding"] * 4
    assert part(found, model="hybrid", method="mdi").sum() == pytest.approx(1.0)


def test_permutation_is_on_cells_that_did_not_train(
    models: Models, found: pd.DataFrame, tmp_path: Path
) -> None:
    splits = read_table(models.tables.splits)
    held_out = (splits["scheme"] == "subject") & splits["split"].isin(["validation", "test"])
    names = splits.loc[held_out, "name"]
    features = read_table(models.tables.features)
    rows = features["name"].isin(names)
    features.loc[rows, list(FEATURES)] = 0.0
    write_table(features, tmp_path / "flat.parquet")
    flat = replace(models, tables=replace(models.tables, features=tmp_path / "flat.parquet"))

    again = ask(flat, tmp_path)

    # a held-out cell that equals all others cannot be told from them, shuffled or not
    assert set(part(again, model="forest", method="permutation")) == {0.0}
    assert part(again, model="forest", method="mdi").equals(
        part(found, model="forest", method="mdi")
    )


def test_correlations_tell_the_two_readings_apart(home: Path, models: Models) -> None:
    from scipy.stats import spearmanr

    found = read_table(home / "correlations.parquet").set_index(["reading", "feature"])
    cell = read_table(models.tables.features_other)

    rho = found["spearman_with_area"]
    assert list(rho.index) == [
        (reading, name) for reading in ("image", "cell") for name in FEATURES
    ]
    assert rho["image", "area"] == pytest.approx(1.0)
    assert rho["cell", "solidity"] == spearmanr(cell["solidity"], cell["area"]).statistic
    assert rho["cell", "solidity"] != rho["image", "solidity"]


def test_the_bytes_repeat_with_one_worker(
    models: Models, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TISSUETRACE_WORKERS", "1")

    ask(models, tmp_path, hybrid=models.concat)

    again = (tmp_path / "importances.parquet").read_bytes()
    assert again == (home / "importances.parquet").read_bytes()
