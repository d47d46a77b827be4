"""The numbers of the lane: intervals by group, paired differences, null where undefined."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from leukemia_outcomes import HOME, rewrite_labels, run_evaluate, write_outcomes

from tissuetrace.pipeline.files import column_mistakes, read_json, read_table, write_table
from tissuetrace.studies.leukemia.evaluate import evaluate


@pytest.fixture
def lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_outcomes(prelim=6)
    return tmp_path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One run, only to be read."""
    home = tmp_path_factory.mktemp("lane")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        write_outcomes(prelim=6)
        return {name: home / path for name, path in run_evaluate().items()}


def scored(writes: dict[str, Path], **where: str) -> "pd.Series[Any]":
    table = read_table(writes["scores"])
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1, table
    return table.iloc[0]


def test_every_table_has_the_declared_columns(done: dict[str, Path]) -> None:
    mistakes = [
        mistake
        for name, output in evaluate.writes.items()
        if output.columns
        for mistake in column_mistakes(done[name], output.columns)
    ]
    assert mistakes == []


def test_headline_and_recovery_hold_at_most_fifteen_flat_numbers(done: dict[str, Path]) -> None:
    numbers = {**read_json(done["headline"]), **read_json(done["recovery"])}
    # the fixture's phantom is not the page's, so that no bounds are known for it
    assert "bounds_passed" not in numbers
    assert len(numbers) == 14
    assert all(isinstance(value, float | int) for value in numbers.values())


@pytest.mark.usefixtures("lane")
def test_the_headline_is_of_unseen_groups_and_of_the_first_seed() -> None:
    from sklearn.metrics import roc_auc_score

    table = read_table(HOME / "train_forest/subject/predictions.parquet")
    test = table[(table["split"] == "test") & (table["seed"] == 0)]

    writes = run_evaluate()

    wanted = roc_auc_score(test["label"], test["probability"])
    assert read_json(writes["headline"])["forest_auc"] == pytest.approx(wanted)


def test_rates_are_those_of_the_counts_beside_them(done: dict[str, Path]) -> None:
    place = {"source": "test", "scheme": "image", "model": "cnn"}
    tn, fp, fn, tp = (
        scored(done, metric=name, **place)["value"] for name in ("tn", "fp", "fn", "tp")
    )
    assert scored(done, metric="false_positive_rate", **place)["value"] == fp / (fp + tn)
    assert scored(done, metric="sensitivity", **place)["value"] == tp / (tp + fn)
    assert scored(done, metric="precision_normal", **place)["value"] == tn / (tn + fn)
    assert scored(done, metric="accuracy", **place)["items"] == tn + fp + fn + tp


@pytest.mark.usefixtures("lane")
def test_the_second_threshold_is_chosen_on_validation_alone() -> None:
    table = read_table(HOME / "train_cnn/subject/predictions.parquet")
    before = scored(run_evaluate(), metric="threshold_chosen", model="cnn", scheme="subject")
    table.loc[table["split"] == "test", "probability"] = 0.01
    write_table(table, HOME / "train_cnn/subject/predictions.parquet")

    writes = run_evaluate()

    after = scored(writes, metric="threshold_chosen", model="cnn", scheme="subject")
    place = {"source": "test", "scheme": "subject", "model": "cnn"}
    assert after["value"] == before["value"]
    assert scored(writes, metric="sensitivity_chosen", **place)["value"] == 0.0


def test_the_chosen_threshold_keeps_its_sensitivity_on_validation(done: dict[str, Path]) -> None:
    place = {"source": "validation", "scheme": "subject", "model": "forest"}
    assert scored(done, metric="sensitivity_chosen", **place)["value"] >= 0.93


@pytest.mark.usefixtures("lane")
def test_intervals_resample_groups_and_not_cells() -> None:
    row = scored(run_evaluate(), metric="auc", source="folds_cell", scheme="subject", model="area")
    cells = read_table(HOME / "ingest/table.parquet")

    assert row["groups"] == cells["subject"].nunique()
    assert row["items"] == len(cells)
    assert row["low"] < row["value"] < row["high"]


def test_the_leakage_gap_is_image_less_group(done: dict[str, Path]) -> None:
    gap = scored(done, metric="auc_gap", source="folds_cell", model="forest")["value"]
    numbers = read_json(done["recovery"])
    by_image = scored(done, metric="auc", source="folds_cell", scheme="image", model="forest")
    by_hand = by_image["value"] - numbers["forest_auc_by_group"]
    assert gap == pytest.approx(by_hand)
    assert numbers["leakage_gap"] == pytest.approx(by_hand)


@pytest.mark.usefixtures("lane")
def test_models_are_compared_on_the_same_cells_whatever_their_order() -> None:
    before = scored(run_evaluate(), metric="auc_difference", model="cnn-forest", scheme="subject")
    path = HOME / "train_cnn/subject/predictions.parquet"
    write_table(read_table(path).iloc[::-1], path)

    after = scored(run_evaluate(), metric="auc_difference", model="cnn-forest", scheme="subject")

    assert after["value"] == before["value"]
    assert after["low"] == pytest.approx(before["low"])


def test_training_variance_is_a_number_of_its_own_over_all_seeds(done: dict[str, Path]) -> None:
    row = scored(done, metric="auc_over_seeds", model="forest", scheme="subject")

    assert row["groups"] == 3
    assert row["low"] <= row["value"] <= row["high"]
    assert row["se"] > 0


def test_one_seed_has_no_training_variance(done: dict[str, Path]) -> None:
    row = scored(done, metric="auc_over_seeds", model="cnn", scheme="subject")

    assert np.isnan(row["se"])


def test_preliminary_cells_of_unknown_subjects_have_values_without_intervals(
    done: dict[str, Path],
) -> None:
    row = scored(done, metric="auc", source="prelim", scheme="image", model="forest")

    assert row["items"] == 6
    assert np.isfinite(row["value"])
    assert np.isnan(row["low"])


@pytest.mark.usefixtures("lane")
def test_preliminary_cells_of_trained_groups_are_counted_and_not_scored() -> None:
    splits = read_table(HOME / "split/splits.parquet")
    cells = read_table(HOME / "ingest/table.parquet").merge(splits, on="name")
    cells = cells.merge(read_table(HOME / "split/groups.parquet"), on="subject")
    by_group = cells[cells["scheme"] == "subject"].groupby("split")["group"].first()
    path = HOME / "train_forest/subject/predictions.parquet"
    table = read_table(path)
    early = table.index[table["split"] == "prelim"]
    table.loc[early, "group"] = [
        by_group["train"],
        by_group["validation"],
        by_group["test"],
        97,
        98,
        by_group["train"],
    ]
    table.loc[early[:2], "probability"] = [1.0, 0.0]  # wrong, were they scored
    write_table(table, path)

    writes = run_evaluate()

    place = {"source": "prelim", "scheme": "subject", "model": "forest"}
    dropped = scored(writes, metric="linked_cells_dropped", **place)
    assert (dropped["value"], dropped["items"]) == (3, 6)
    assert scored(writes, metric="auc", **place)["items"] == 3
    other = scored(writes, metric="linked_cells_dropped", **{**place, "model": "cnn"})
    assert (other["value"], other["items"]) == (0, 6)


@pytest.mark.usefixtures("lane")
def test_identical_pairs_that_a_split_by_image_tears_apart_are_counted() -> None:
    splits = read_table(HOME / "split/splits.parquet")
    by_image = splits[splits["scheme"] == "image"].set_index("name")["split"]
    train, test = (by_image.index[by_image == split][:2] for split in ("train", "test"))
    pairs = [
        (train[0], test[0], "exact"),
        (train[0], test[1], "exact"),
        (train[0], train[1], "exact"),
        (train[1], test[1], "near"),
        (train[1], "of the preliminary phase", "exact"),
    ]
    table = pd.DataFrame(pairs, columns=["name_a", "name_b", "kind"])
    write_table(table.assign(subject_a="", subject_b=""), HOME / "split/pairs.parquet")

    numbers = read_json(run_evaluate()["recovery"])

    assert numbers["duplicates_across_image_splits"] == 2


@pytest.mark.usefixtures("lane")
@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("split", ["test", "validation"])
def test_a_split_without_one_class_gives_null_and_no_crash(label: int, split: str) -> None:
    rewrite_labels(label, split)

    writes = run_evaluate()

    text = writes["headline"].read_text()
    assert "NaN" not in text
    assert (json.loads(text)["forest_auc"] is None) == (split == "test")


def test_real_images_have_leakage_and_no_recovery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_outcomes(kind="directory")

    writes = run_evaluate()

    assert sorted(read_json(writes["recovery"])) == [
        "duplicates_across_image_splits",
        "forest_auc_by_group",
        "leakage_gap",
    ]
    assert len(read_table(writes["recovered"])) == 0


@pytest.mark.usefixtures("lane")
def test_two_runs_give_the_same_bytes() -> None:
    first = {name: path.read_bytes() for name, path in run_evaluate().items()}
    second = {name: path.read_bytes() for name, path in run_evaluate().items()}

    assert first == second


def test_curves_are_few_points_that_rise_from_corner_to_corner(done: dict[str, Path]) -> None:
    roc = pd.read_csv(done["roc"])
    assert len(roc) == 101
    assert list(roc) == [
        "false_positive_rate",
        *(
            f"{model}_{scheme}"
            for scheme in ("subject", "image")
            for model in ("forest", "cnn", "hybrid")
        ),
    ]
    assert roc["forest_subject"].is_monotonic_increasing
    assert roc["forest_subject"].iloc[-1] == 1.0


def test_the_rows_of_the_confusion_table_are_counted_to_the_scores(done: dict[str, Path]) -> None:
    rows = pd.read_csv(done["confusion"])
    found = int(((rows["actual"] == "normal") & (rows["cnn"] == "ALL")).sum())
    place = {"source": "test", "scheme": "subject", "model": "cnn"}
    assert found == scored(done, metric="fp", **place)["value"]


def test_referral_keeps_all_at_even_odds_and_fewer_later(done: dict[str, Path]) -> None:
    kept = pd.read_csv(done["referral"])["forest_subject_kept"]

    assert kept.iloc[0] == 1.0
    assert kept.is_monotonic_decreasing
    assert len(kept) == 19


def test_a_strategy_is_held_against_none_on_the_same_cells(done: dict[str, Path]) -> None:
    place = {"source": "strategies", "scheme": "subject"}
    smote = scored(done, metric="auc", model="forest:smote", **place)["value"]
    none = scored(done, metric="auc", model="forest:none", **place)["value"]
    gain = scored(done, metric="auc_minus_none", model="forest:smote", **place)
    assert gain["value"] == pytest.approx(smote - none)
    assert gain["groups"] > 1


def test_accuracy_by_group_adds_up_to_the_accuracy(done: dict[str, Path]) -> None:
    subjects = read_table(done["subjects"])
    of_cnn = subjects[
        (subjects["source"] == "test")
        & (subjects["scheme"] == "subject")
        & (subjects["model"] == "cnn")
    ]
    place = {"source": "test", "scheme": "subject", "model": "cnn"}
    wanted = scored(done, metric="accuracy", **place)["value"]
    assert np.average(of_cnn["accuracy"], weights=of_cnn["items"]) == pytest.approx(wanted)


def test_strategies_are_also_compared_over_all_groups(done: dict[str, Path]) -> None:
    place = {"source": "folds_image", "scheme": "subject"}

    gain = scored(done, metric="auc_minus_none", model="smote", **place)

    smote = scored(done, metric="auc", model="smote", **place)["value"]
    assert gain["value"] == pytest.approx(
        smote - scored(done, metric="auc", model="none", **place)["value"]
    )
    assert gain["groups"] == 26


def test_a_network_without_its_own_none_is_held_against_the_trained_one(
    done: dict[str, Path],
) -> None:
    place = {"scheme": "subject"}

    gain = scored(
        done, metric="auc_minus_none", source="strategies", model="cnn:cnn_focal", **place
    )

    focal = scored(done, metric="auc", source="strategies", model="cnn:cnn_focal", **place)["value"]
    plain = scored(done, metric="auc", source="test", model="cnn", **place)["value"]
    assert gain["value"] == pytest.approx(focal - plain)
