from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from imc_searches import COHORT, PERTURB, PREDICTORS, Planted, plant, stack_of

from tissuetrace.pipeline.files import column_mistakes, read_json, read_table, write_table
from tissuetrace.studies.imc.effect import Effect, effect
from tissuetrace.studies.imc.features import read_features
from tissuetrace.studies.imc.levels import excluded_patients, read_scorers
from tissuetrace.studies.imc.perturb import perturb

EFFECT = Effect(
    tolerance=0.1,
    agreement=0.75,
    p=0.8,
    aggregate="retrainings",
    relative="per_patch",
    bootstrap=50,
    seed=0,
)
TABLES = ("levels", "channels", "strategies", "stability", "maps")
MEANS = [f"mean_{name}" for name in PREDICTORS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    home: Path
    strategy: dict[str, Any]
    tables: dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def searched(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TISSUETRACE_WORKERS", "1")
        _search(planted, home)
    return home


def _search(planted: Planted, home: Path, **cohort: Any) -> None:
    perturb(
        tables=planted.tables,
        pixels=planted.pixels,
        decoys=planted.decoys,
        mlp=planted.mlp,
        cnn=planted.cnn,
        counterfactuals=home / "counterfactuals.parquet",
        pool=home / "pool.parquet",
        cohort=replace(COHORT, **cohort),
        params=PERTURB,
        variant="melanoma",
    )


def judge(planted: Planted, searched: Path, home: Path, **settings: Any) -> Judged:
    effect(
        counterfactuals=searched / "counterfactuals.parquet",
        pool=searched / "pool.parquet",
        tables=planted.tables,
        decoys=planted.decoys,
        mlp=planted.mlp,
        strategy=home / "strategy.json",
        **{name: home / f"{name}.parquet" for name in TABLES},
        cohort=COHORT,
        params=replace(EFFECT, **settings),
    )
    tables = {name: read_table(home / f"{name}.parquet") for name in TABLES}
    return Judged(home=home, strategy=read_json(home / "strategy.json"), tables=tables)


@pytest.fixture(scope="module")
def judged(planted: Planted, searched: Path, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judge(planted, searched, tmp_path_factory.mktemp("judged"))


def found_of(searched: Path, seed: int) -> pd.DataFrame:
    table = read_table(searched / "counterfactuals.parquet")
    return table[table["seed"] == seed].query("variant == 'default' and found == 1")


def by(table: pd.DataFrame, key: str) -> dict[str, dict[str, Any]]:
    """Rows as plain dictionaries, by a column."""
    names = [str(name) for name in table[key]]
    rows = ({str(name): value for name, value in row.items()} for row in table.to_dict("records"))
    return dict(zip(names, rows, strict=True))


def tumour_rows(planted: Planted, seed: int) -> pd.DataFrame:
    seen = read_features(planted.tables, planted.decoys, scheme="patient")
    said = read_table(planted.mlp / "predictions.parquet", ["item", "seed", "split"])
    seen = seen.merge(said, on=["item", "seed"])
    return seen[(seen["seed"] == seed) & (seen["tumour"] > 0.5)]


def test_every_table_has_the_declared_columns(judged: Judged) -> None:
    mistakes = [
        column_mistakes(judged.home / f"{name}.parquet", effect.writes[name].columns)
        for name in TABLES
    ]

    assert mistakes == [[]] * len(TABLES)


def test_the_channels_that_move_the_model_are_called_with_their_sign(judged: Judged) -> None:
    called = judged.strategy["called"]

    assert set(called) == {"CXCL9", "CCL8"}
    assert called["CXCL9"] > 0.1
    assert called["CCL8"] < -0.1
    assert abs(judged.strategy["channels"]["CCL2"]) <= 0.1


def test_a_change_is_the_median_over_patches_then_over_retrainings(
    judged: Judged, searched: Path
) -> None:
    medians = [found_of(searched, seed)["relative_CXCL9"].median() for seed in (0, 1, 2)]

    assert judged.strategy["channels"]["CXCL9"] == pytest.approx(np.median(medians))


def test_the_other_reading_divides_medians(
    planted: Planted, searched: Path, tmp_path: Path
) -> None:
    other = judge(planted, searched, tmp_path, relative="of_medians", aggregate="one")

    found = found_of(searched, 0)
    levels = tumour_rows(planted, 0).set_index("item").loc[found["item"], "mean_CXCL9"]
    counts = found["delta_CXCL9"] * stack_of(planted).sd[0, 0]
    assert other.strategy["channels"]["CXCL9"] == pytest.approx(counts.median() / levels.median())


def test_a_level_is_the_share_of_tumour_patches_that_the_model_calls(
    judged: Judged, planted: Planted
) -> None:
    rows = tumour_rows(planted, 1)
    rows = rows[rows["image"] == "P2_1"]
    stack = stack_of(planted)
    x = rows[MEANS].to_numpy()
    changes = [judged.strategy["called"].get(name, 0.0) for name in PREDICTORS]
    train = read_features(planted.tables, planted.decoys, scheme="patient").query("seed == 1")
    said = read_table(planted.mlp / "predictions.parquet").query("seed == 1")
    train = train[train["item"].isin(said.query("split == 'train'")["item"])]
    top = np.maximum(train[MEANS].max().to_numpy(), x)

    level = judged.tables["levels"].query(
        "image == 'P2_1' and seed == 1 and scorer == 'same' and strategy == 'all'"
    )

    assert level["patches"].item() == len(rows)
    assert level["before"].item() == np.mean(stack.probabilities(x, 1) > 0.8)
    changed = np.clip(x * (1 + np.array(changes)), 0, top)
    assert level["after"].item() == np.mean(stack.probabilities(changed, 1) > 0.8)


def test_what_one_retraining_found_is_scored_by_itself_and_by_all_others(
    judged: Judged, planted: Planted, searched: Path
) -> None:
    stack, rows = stack_of(planted), {seed: tumour_rows(planted, seed) for seed in (0, 1, 2)}
    found = found_of(searched, 0)
    medians = {name: found[f"relative_{name}"].median() for name in judged.strategy["called"]}
    factor = 1 + np.array([medians.get(name, 0.0) for name in PREDICTORS])

    def level(seed: int) -> float:
        x = rows[seed].query("image == 'P1_0'")[MEANS].to_numpy()
        said = read_table(planted.mlp / "predictions.parquet")
        said = said[said["seed"] == seed]
        whole = read_features(planted.tables, planted.decoys, scheme="patient")
        train = whole[whole["seed"] == seed].set_index("item")
        top = train.loc[said.query("split == 'train'")["item"], MEANS].max().to_numpy()
        changed = np.clip(x * factor, 0, np.maximum(top, x))
        return float(np.mean(stack.probabilities(changed, seed) > 0.8))

    chosen = judged.tables["levels"].query("image == 'P1_0' and seed == 0 and strategy == 'all'")
    after = chosen.set_index("scorer")["after"]
    assert after["own"] == pytest.approx(level(0))
    assert after["other"] == pytest.approx((level(1) + level(2)) / 2)
    assert after["other"] != after["own"]


def test_no_strategy_leaves_what_training_has_seen(planted: Planted) -> None:
    scorer = read_scorers(
        tables=planted.tables,
        decoys=planted.decoys,
        mlp=planted.mlp,
        predictors=PREDICTORS,
        p=0.8,
    )[1]
    highest = scorer.x.copy()
    train = (scorer.table["split"] == "train").to_numpy()
    highest[:, 0] = np.maximum(scorer.x[train, 0].max(), scorer.x[:, 0])

    found = scorer.probabilities(np.array([1e6, 0.0, 0.0, 0.0, 0.0]))

    np.testing.assert_array_equal(found, stack_of(planted).probabilities(highest, 1))


def test_excluded_patients_lie_strictly_below_the_median_patient() -> None:
    subjects = np.array(["A", "A", "B", "C", "D"])
    levels = np.array([0.0, 0.4, 0.3, 0.3, 0.5])

    # medians .2 .3 .3 .5, of which the middle is .3
    assert excluded_patients(levels, subjects) == ({"A"}, 0.3)


def test_where_most_patients_are_at_0_those_are_taken() -> None:
    subjects = np.array(["A", "B", "C", "D"])
    levels = np.array([0.0, 0.0, 0.0, 0.5])

    assert excluded_patients(levels, subjects) == ({"A", "B", "C"}, 0.0)


def test_an_image_without_a_tumour_patch_excludes_nobody() -> None:
    subjects = np.array(["A", "B", "C"])

    assert excluded_patients(np.array([np.nan, 0.2, 0.6]), subjects) == ({"B"}, 0.4)


def test_each_target_stands_alone_and_is_left_out(judged: Judged) -> None:
    table = by(judged.tables["strategies"], "strategy")

    assert table["all"]["channels"] == "CXCL9 + CCL8"
    assert table["CXCL9"]["kind"] == "single"
    assert table["without CXCL9"]["channels"] == "CCL8"
    assert table["without CXCL9"]["after"] == table["CCL8"]["after"]
    assert table["all"]["after"] >= table["CXCL9"]["after"] > table["CCL8"]["after"]


def test_the_best_subset_of_one_is_the_best_single_target(judged: Judged) -> None:
    table = by(judged.tables["strategies"], "strategy")

    assert table["best 1"]["channels"] == "CXCL9"
    assert table["best 2"]["after"] == table["all"]["after"]
    assert "best 3" not in table


def test_each_beta_of_the_sweep_has_its_found_rate(judged: Judged, searched: Path) -> None:
    table = by(judged.tables["strategies"].query("kind == 'beta'"), "strategy")
    whole = read_table(searched / "counterfactuals.parquet")

    assert list(table) == ["beta=0.1", "beta=0.5"]
    rate = whole.query("variant == 'beta=0.5'")["found"].mean()
    assert table["beta=0.5"]["found"] == pytest.approx(rate)
    assert rate < table["beta=0.1"]["found"]


def test_effects_are_medians_over_cores_of_excluded_patients(judged: Judged) -> None:
    levels = judged.tables["levels"].query(
        "scorer == 'same' and strategy == 'all' and excluded == 1"
    )
    cores = levels.groupby("image")[["before", "after"]].mean()

    whole = by(judged.tables["strategies"], "strategy")["all"]

    assert whole["before"] == pytest.approx(cores["before"].median())
    assert whole["after"] == pytest.approx(cores["after"].median())
    assert whole["low"] < whole["after"] - whole["before"] < whole["high"]
    assert whole["p"] == pytest.approx(2 / 2 ** levels["subject"].nunique())  # all rise


def test_holm_spans_the_targets_of_one_figure_and_nothing_else(judged: Judged) -> None:
    table = judged.tables["strategies"]
    family = table["kind"].isin(["all", "single", "without"])

    assert table["p_holm"].isna().tolist() == (~family).tolist()
    least = table.loc[family, "p"].min()
    assert table.loc[family, "p_holm"].min() == pytest.approx(min(1.0, least * family.sum()))


def test_the_control_is_marked_and_left_alone(judged: Judged) -> None:
    channels = by(judged.tables["channels"], "channel")

    assert [name for name, row in channels.items() if row["control"]] == ["DapB"]
    assert channels["DapB"]["called"] == 0
    assert channels["CXCL9"]["low"] > 0
    assert channels["CXCL9"]["p"] == pytest.approx(2 / 2**8)  # 8 patients, all raised


def test_stability_tells_every_search(judged: Judged, searched: Path) -> None:
    table = judged.tables["stability"]

    row = table.query("variant == 'k=3' and channel == 'CCL8'")
    whole = read_table(searched / "counterfactuals.parquet").query("variant == 'k=3'")
    assert row["median"].item() == pytest.approx(
        whole.query("found == 1")["relative_CCL8"].median()
    )
    assert row["found"].item() == pytest.approx(whole["found"].mean())
    assert judged.strategy["stability"]["k=1"] == {"sign_agreement": 1.0, "rank_correlation": 1.0}
    assert set(judged.strategy["stability"]) == set(table["variant"])


def test_the_map_shows_an_excluded_core_and_leaves_other_tissue_alone(judged: Judged) -> None:
    table = judged.tables["maps"]
    excluded = judged.tables["levels"].query("excluded == 1")["image"]

    assert len(set(table["image"])) == 1
    assert set(table["image"]) <= set(excluded)
    assert len(table) == 25
    outside = table[table["tumour"] == 0]
    np.testing.assert_array_equal(outside["before"], outside["after"])
    assert (
        table.loc[table["tumour"] == 1, "after"] > table.loc[table["tumour"] == 1, "before"]
    ).all()


def test_values_at_the_box_are_counted(judged: Judged) -> None:
    assert 0 < judged.strategy["clipped"] < 0.5


def test_without_a_search_every_table_is_empty_and_says_why(
    planted: Planted, tmp_path: Path
) -> None:
    _search(planted, tmp_path, free=())

    found = judge(planted, tmp_path, tmp_path)

    assert found.strategy["why"] == "no channel is free (imc.cohorts.melanoma.free)"
    assert found.strategy["channels"] == found.strategy["called"] == {}
    for name in TABLES:
        assert len(found.tables[name]) == 0
        path = tmp_path / f"{name}.parquet"
        assert column_mistakes(path, effect.writes[name].columns) == []


def test_a_search_without_a_find_makes_no_strategy(
    planted: Planted, searched: Path, tmp_path: Path
) -> None:
    table = read_table(searched / "counterfactuals.parquet").assign(found=0)
    write_table(table, tmp_path / "counterfactuals.parquet")
    write_table(read_table(searched / "pool.parquet"), tmp_path / "pool.parquet")

    found = judge(planted, tmp_path, tmp_path)

    starts = (table["variant"] == "default").sum()
    assert found.strategy["why"] == f"none of {starts} searches found a change"
    assert len(found.tables["levels"]) == 0


def test_a_strategy_that_calls_nothing_changes_nothing(
    planted: Planted, searched: Path, tmp_path: Path
) -> None:
    found = judge(planted, searched, tmp_path, tolerance=100.0)

    assert found.strategy["called"] == {}
    levels = found.tables["levels"]
    np.testing.assert_array_equal(levels["before"], levels["after"])
    assert by(found.tables["strategies"], "strategy")["all"]["p"] == 1.0
