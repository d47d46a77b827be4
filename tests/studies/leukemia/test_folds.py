from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from leukemia_tables import FEATURES, Tables, write_tables

from tissuetrace.learn.imbalance import FOREST_STRATEGIES
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import read_table, write_table
from tissuetrace.studies.leukemia.featurize import Featurize, Glcm
from tissuetrace.studies.leukemia.folds import Folds, folds
from tissuetrace.studies.leukemia.strategies import Imbalance
from tissuetrace.studies.leukemia.train_forest import Forest

SCHEMES = ("image", "subject")
FOREST = Forest(trees=10, class_weight="balanced", seeds=(3, 4))
IMBALANCE = Imbalance(cost_fp=4.0, gamma=2.0, alpha=0.25, estimators=2, seed=3)
FEATURIZE = Featurize(
    reading="cell",
    blur=0,
    mask="above_zero",
    aspect_ratio="ellipse",
    glcm=Glcm(distances=(1,), angles=(0,), levels=256, symmetric=True, normed=True),
    canny=(100, 200),
    canny_cell=(30, 60),
)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return write_tables(tmp_path_factory.mktemp("tables"))


def cut(
    tables: Tables, path: Path, *, count: int = 4, imbalance: Imbalance = IMBALANCE
) -> pd.DataFrame:
    folds(
        features=tables.features,
        features_other=tables.features_other,
        groups=tables.groups,
        table=tables.table,
        admission=tables.admission,
        predictions=path,
        params=Folds(folds=count, seed=0),
        forest=FOREST,
        imbalance=imbalance,
        featurize=FEATURIZE,
    )
    return read_table(path)


@pytest.fixture(scope="module")
def found(tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return cut(tables, tmp_path_factory.mktemp("folds") / "folds.parquet")


def test_every_cell_is_judged_once_by_each_model_scheme_and_reading(
    tables: Tables, found: pd.DataFrame
) -> None:
    listed = read_table(tables.table)
    cells = sorted(listed.loc[listed["fold"] >= 0, "name"])

    parts = found.groupby(["reading", "scheme", "model"])["item"].agg(list)

    assert set(parts.index) == {
        *((reading, scheme, "forest") for reading in ("image", "cell") for scheme in SCHEMES),
        *(("cell", scheme, "area") for scheme in SCHEMES),
        *(("cell", "subject", strategy) for strategy in FOREST_STRATEGIES),
    }
    assert all(items == cells for items in parts)


def test_groups_stay_whole_in_the_subject_scheme_and_not_in_the_other(found: pd.DataFrame) -> None:
    pairs = found[["scheme", "group", "fold"]].drop_duplicates()
    folds_of_group = pairs.value_counts(["scheme", "group"]).reset_index()

    by_subject = folds_of_group["scheme"] == "subject"
    assert set(folds_of_group.loc[by_subject, "count"]) == {1}
    assert max(folds_of_group.loc[~by_subject, "count"]) > 1


def test_all_models_of_a_scheme_share_the_folds(found: pd.DataFrame) -> None:
    spread = found.groupby(["scheme", "item"])["fold"].agg(lambda part: len(set(part)))

    assert set(spread) == {1}
    assert sorted(found["fold"].unique()) == [0, 1, 2, 3]


def by_group(found: pd.DataFrame) -> dict[str, list[float]]:
    chosen = found[(found["reading"] == "cell") & (found["scheme"] == "subject")]
    sorted_ = chosen.sort_values("item")
    return {str(name): part["probability"].tolist() for name, part in sorted_.groupby("model")}


def test_the_weighted_forest_is_the_strategy_of_that_name(found: pd.DataFrame) -> None:
    judged = by_group(found)

    assert judged["forest"] == judged["balanced"]
    assert judged["forest"] != judged["none"]


def test_strategies_take_their_own_seed(
    tables: Tables, found: pd.DataFrame, tmp_path: Path
) -> None:
    other = by_group(cut(tables, tmp_path / "folds.parquet", imbalance=replace(IMBALANCE, seed=9)))

    first = by_group(found)
    assert other["forest"] == first["forest"]
    assert all(other[strategy] != first[strategy] for strategy in FOREST_STRATEGIES)


def test_a_cell_has_no_part_in_the_fit_that_judges_it(
    tables: Tables, found: pd.DataFrame, tmp_path: Path
) -> None:
    held_out = found.loc[(found["scheme"] == "subject") & (found["fold"] == 2), "item"].unique()
    changed = read_table(tables.features)
    judged = changed["name"].isin(held_out[1:])
    changed.loc[judged, list(FEATURES)] = 1e6 * changed.loc[judged, list(FEATURES)]
    write_table(changed, tmp_path / "changed.parquet")
    others = replace(tables, features=tmp_path / "changed.parquet")

    again = cut(others, tmp_path / "folds.parquet")

    kept = (found["item"] == held_out[0]) & (found["scheme"] == "subject")
    assert again[kept]["probability"].tolist() == found[kept]["probability"].tolist()
    others_moved = ~found["item"].isin(held_out) & (found["model"] == "forest")
    assert (again[others_moved]["probability"] != found[others_moved]["probability"]).any()


def test_each_reading_is_judged_by_its_own_table(
    tables: Tables, found: pd.DataFrame, tmp_path: Path
) -> None:
    swapped = replace(tables, features=tables.features_other, features_other=tables.features)

    again = cut(swapped, tmp_path / "folds.parquet")

    keys = ["scheme", "item"]
    forest, mirrored = (table[table["model"] == "forest"] for table in (found, again))
    image = forest[forest["reading"] == "image"].sort_values(keys)["probability"]
    cell = mirrored[mirrored["reading"] == "cell"].sort_values(keys)["probability"]
    assert cell.tolist() == image.tolist()
    assert cell.tolist() != forest[forest["reading"] == "cell"]["probability"].tolist()


def test_the_area_model_sees_the_area_alone(
    tables: Tables, found: pd.DataFrame, tmp_path: Path
) -> None:
    changed = read_table(tables.features)
    changed[list(FEATURES[1:])] = 0.0
    write_table(changed, tmp_path / "changed.parquet")

    again = cut(replace(tables, features=tmp_path / "changed.parquet"), tmp_path / "folds.parquet")

    of_area = found["model"] == "area"
    pd.testing.assert_frame_equal(again[of_area], found[of_area])
    assert not again[found["model"] == "forest"].equals(found[found["model"] == "forest"])


def test_the_bytes_repeat_with_another_number_of_workers(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(tables, tmp_path / "many.parquet")
    monkeypatch.setenv("TISSUETRACE_WORKERS", "1")

    cut(tables, tmp_path / "one.parquet")

    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "many.parquet").read_bytes()


def test_more_folds_than_groups_of_a_class_are_refused_with_both_numbers(
    tables: Tables, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="9 folds, but a class has 8 groups"):
        cut(tables, tmp_path / "folds.parquet", count=9)


def test_the_table_has_the_declared_columns(tables: Tables, tmp_path: Path) -> None:
    from tissuetrace.pipeline.files import column_mistakes

    cut(tables, tmp_path / "folds.parquet", count=2)

    declared = folds.writes["predictions"].columns
    assert column_mistakes(tmp_path / "folds.parquet", declared) == []
