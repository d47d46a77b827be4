"""The page: it loads nothing, says what it was made of, names no subject, and refuses."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from leukemia_outcomes import (
    HOME,
    read_outcome,
    rewrite_labels,
    run_evaluate,
    run_report,
    write_outcomes,
)

from tissuetrace.pipeline.errors import GateRefused
from tissuetrace.pipeline.files import read_json, read_table, write_json
from tissuetrace.stats.intervals import Interval
from tissuetrace.stats.recovery import judge
from tissuetrace.studies.leukemia.findings import preliminary_table, verdict
from tissuetrace.studies.leukemia.gallery import wrong_cells
from tissuetrace.studies.leukemia.importance_tables import rank_agreement
from tissuetrace.studies.leukemia.layout import all_tables
from tissuetrace.studies.leukemia.outcome import Outcome
from tissuetrace.studies.leukemia.paper import CONTRADICTIONS, IMPORTANCES, confusion_of
from tissuetrace.studies.leukemia.performance_figures import performance_figures
from tissuetrace.studies.leukemia.recovery import bounds_for
from tissuetrace.studies.leukemia.robustness import recovery_table, strategy_table

FIGURES = {
    "area_correlations",
    "calibration",
    "confusion",
    "imbalance",
    "importances",
    "leakage",
    "per_subject",
    "precision_recall",
    "referral",
    "roc",
    "wrong_cells",
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a phantom's lane after `evaluate` and `report`, only to be read."""
    home = tmp_path_factory.mktemp("lane")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        write_outcomes()
        run_evaluate()
        run_report()
    return home


@pytest.fixture(scope="module")
def outcome(done: Path) -> Outcome:
    """What the page of `done` was written from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(done)
        return read_outcome()


@pytest.fixture
def lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lane before `evaluate` and `report`, to be spoilt."""
    monkeypatch.chdir(tmp_path)
    write_outcomes()
    return tmp_path


def page(home: Path) -> str:
    return (home / "reports/leukemia/index.html").read_text(encoding="utf-8")


def table(home: Path, name: str) -> Any:
    return pd.read_csv(home / f"reports/leukemia/tables/{name}.csv")


def test_every_figure_is_a_file_and_stands_in_the_page(done: Path) -> None:
    files = {path.stem for path in (done / "reports/leukemia/figures").glob("*.png")}

    assert files == FIGURES
    assert {name for name in FIGURES if f'id="figure-{name}"' not in page(done)} == set()


def test_the_page_loads_nothing(done: Path) -> None:
    html = page(done)

    targets = re.findall(r'(?:src|href|action|srcset)="([^"]*)"', html)
    assert {target for target in targets if not target.startswith(("data:", "#"))} == set()
    assert not re.search(r"<script|@import|url\(|<iframe|<object", html)
    assert "default-src 'none'" in html


def test_a_phantom_is_named_on_page_captions_and_rows(done: Path) -> None:
    html = page(done)
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", html, flags=re.DOTALL)
    silent = [text for text in captions if "confirms no paper" not in text]

    assert '<aside class="notice" role="note">Phantom' in html
    # the paper against itself is the same whatever the images
    assert [text[:10] for text in silent] == ["Recomputed"]
    rows = [table(done, path.stem) for path in (done / "reports/leukemia/tables").glob("*.csv")]
    assert all(frame["origin"].str.contains("confirms no paper").all() for frame in rows)


def test_real_images_are_not_called_a_phantom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_outcomes(kind="directory")
    run_evaluate()

    run_report()

    assert "hantom" not in page(tmp_path)
    assert set(table(tmp_path, "models")["origin"]) == {"images"}


def test_no_subject_and_no_cell_is_named(done: Path) -> None:
    texts = [path.read_text() for path in (done / "reports/leukemia").rglob("*.csv")]
    subjects = set(read_table(done / HOME / "ingest/table.parquet")["subject"])
    shown = re.sub(r'src="data:[^"]*"', "", page(done))

    words = set(re.findall(r"\w+", " ".join([shown, *texts])))
    assert words & {name for name in subjects if not name.isdecimal()} == set()
    assert not any(word.startswith("UID_") for word in words)


def test_a_second_run_gives_the_same_bytes(lane: Path) -> None:
    run_evaluate()
    run_report()
    folder = lane / "reports/leukemia"
    first = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    run_report()

    assert {path: path.read_bytes() for path in first} == first
    assert not any(b"Software" in content for content in first.values())


def test_the_headline_is_that_of_the_scores(done: Path) -> None:
    headline = table(done, "headline")
    row = headline[
        (headline["quantity"] == "AUC")
        & (headline["model"] == "CNN")
        & (headline["split"] == "unseen subjects")
    ].iloc[0]

    wanted = read_json(done / "metrics/leukemia/headline.json")["cnn_auc"]
    assert row["ours"] == pytest.approx(wanted, rel=1e-5)
    assert row["ours_low"] < row["ours"] < row["ours_high"]
    assert f"{wanted:.2f}" in page(done)


def test_the_paper_has_a_number_only_where_it_measured_one(done: Path) -> None:
    headline = table(done, "headline")
    told = headline[headline["paper"].notna()]

    assert set(told["split"]) == {"random by image"}
    assert set(told["model"]) == {"random forest", "CNN"}
    assert set(told["quantity"]) == {"accuracy", "false-positive rate"}


def test_a_deviation_is_ours_by_image_less_the_papers(done: Path) -> None:
    rows = table(done, "table_3_forest_test").set_index("quantity")

    accuracy, missed = rows.loc["accuracy"], rows.loc["ALL, called normal (FN)"]
    total = rows.iloc[:4]["image"].sum()
    paper = confusion_of("forest", "test")
    assert accuracy["deviation"] == pytest.approx(accuracy["image"] - paper.accuracy, abs=1e-5)
    assert missed["deviation"] == pytest.approx(missed["image"] / total - 72 / 1600, abs=1e-5)


def test_table_4_stands_reconstructed_beside_as_printed(done: Path) -> None:
    rows = table(done, "table_4_cnn_test").set_index("quantity")

    assert rows.loc["normal, called ALL (FP)", ["paper", "printed"]].tolist() == [140, 174]
    assert rows.loc["ALL, called ALL (TP)", ["paper", "printed"]].tolist() == [1023, 1203]


def test_all_contradictions_stand_in_the_page(done: Path) -> None:
    found = table(done, "contradictions")

    assert len(found) == 8
    assert all(one.title in page(done) for one in CONTRADICTIONS)


def test_importances_in_the_papers_order_agree_fully() -> None:
    order = [*IMPORTANCES, "solidity", "circularity"]
    rows = [
        ("subject", model, method, feature, sign * float(place))
        for place, feature in enumerate(reversed(order))
        for model, method, sign in (
            ("forest", "mdi", 1),
            ("forest", "treeshap", -1),
            ("hybrid", "permutation", 1),
        )
    ]
    columns = ["scheme", "model", "method", "feature", "importance"]

    found = rank_agreement(pd.DataFrame(rows, columns=columns))

    assert found["method"].tolist() == ["mdi", "treeshap"]
    assert found["rank_correlation"].tolist() == pytest.approx([1, -1])


def test_importances_deviate_by_image_as_the_paper_splits(done: Path) -> None:
    rows = table(done, "table_1_importances").set_index("feature")
    found = read_table(done / HOME / "explain/importances.parquet")
    mdi = found[found["method"] == "mdi"].pivot_table("importance", "feature", "scheme")
    shares = 100 * mdi / mdi.sum()

    by_image = shares["image"].to_dict()
    assert (100 * rows["mdi_image"]).to_dict() == pytest.approx(by_image, rel=1e-4)
    assert (100 * rows["mdi"]).to_dict() == pytest.approx(shares["subject"].to_dict(), rel=1e-4)
    for feature, theirs in IMPORTANCES.items():
        deviation = 100 * rows.loc[feature, "deviation"]
        assert deviation == pytest.approx(by_image[feature] - theirs, abs=1e-3)


def test_a_hybrid_of_features_and_embedding_shows_its_importances(outcome: Outcome) -> None:
    forest = outcome.importances
    embedding = forest[forest["feature"] == "area"].assign(feature="embedding")
    hybrid = pd.concat([forest, embedding]).assign(model="hybrid")
    both = replace(outcome, importances=pd.concat([forest, hybrid], ignore_index=True))

    shown = all_tables(both)["hybrid_importances"].frame

    assert len(shown) == 16
    assert "embedding" in set(shown["feature"])
    assert shown[["mdi", "mdi_image"]].sum().tolist() == pytest.approx([1, 1])
    assert "hybrid_importances" not in all_tables(outcome)


@pytest.mark.parametrize("name", ["imbalance", "differences"])
def test_captions_of_comparisons_count_them_and_say_uncorrected(
    outcome: Outcome, name: str
) -> None:
    caption = all_tables(outcome)[name].caption

    assert "One seed each; not corrected for 6 comparisons." in caption


def test_treatments_show_accuracy_and_brier_and_why_one_has_no_folds(outcome: Outcome) -> None:
    shown = strategy_table(outcome)

    assert {"accuracy (%)", "Brier score"} <= {column.title for column in shown.columns}
    assert "EasyEnsemble's: it boosts stumps for minutes per fold" in shown.caption


def test_the_leakage_caption_calls_the_test_rows_unpaired(outcome: Outcome) -> None:
    caption = next(one.caption for one in performance_figures(outcome) if one.name == "leakage")

    assert "Models of the same recipe, trained and scored under both splits" in caption
    assert "on different cells, unpaired" in caption


def test_referral_shows_all_four_measures_of_the_kept(outcome: Outcome) -> None:
    figure = next(one for one in performance_figures(outcome) if one.name == "referral").draw()

    assert [ax.get_title() for ax in figure.axes] == [
        "share of cells kept",
        "accuracy of the kept",
        "false-positive rate of the kept",
        "false-negative rate of the kept",
    ]
    assert all(len(ax.lines) >= 3 for ax in figure.axes)


def test_groups_have_a_table_of_numbers_without_names(done: Path) -> None:
    rows = table(done, "per_group")
    groups = read_table(done / HOME / "split/groups.parquet")["group"]

    assert list(rows.columns) == ["group", "label", "cells", "accuracy", "origin"]
    assert set(rows["group"]) == set(groups)
    assert rows["cells"].sum() == len(read_table(done / HOME / "ingest/table.parquet"))
    assert rows["accuracy"].between(0, 1).all()


def test_the_preliminary_caption_says_that_linked_cells_are_left_out(outcome: Outcome) -> None:
    caption = preliminary_table(outcome).caption

    assert "cells that share a group with training are left out" in caption


def test_without_bounds_the_caption_says_for_what_they_are_known(outcome: Outcome) -> None:
    known = replace(outcome, recovered=judge({}, bounds_for(1.0)))
    unknown = replace(outcome, recovered=judge({}, ()))

    assert "The bounds hold for 5 folds, 100 trees and 34 + 22" in recovery_table(known).caption
    assert "No bounds are known for these settings" in recovery_table(unknown).caption


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.01, 0.2, "CNN higher"),
        (-0.2, -0.01, "forest higher"),
        (-0.01, 0.2, "no difference shown"),
        (0.0, 0.2, "no difference shown"),
        (float("nan"), float("nan"), "too few groups to tell"),
    ],
)
def test_nothing_wins_unless_its_interval_leaves_out_0(low: float, high: float, said: str) -> None:
    found = Interval(0.1, low, high, 0.05, 9)

    assert verdict(found, first="CNN", second="forest") == said


def test_wrong_cells_are_of_the_first_forest_on_unseen_subjects() -> None:
    rows = [
        # item, split, scheme, model, seed, label, probability
        ("false alarm", "test", "subject", "forest", 7, 0, 0.9),
        ("missed", "test", "subject", "forest", 7, 1, 0.2),
        ("right", "test", "subject", "forest", 7, 1, 0.5),
        ("other seed", "test", "subject", "forest", 8, 0, 0.9),
        ("other scheme", "test", "image", "forest", 7, 0, 0.9),
        ("other model", "test", "subject", "cnn", 7, 0, 0.9),
        ("other split", "validation", "subject", "forest", 7, 0, 0.9),
    ]
    columns = ["item", "split", "scheme", "model", "seed", "label", "probability"]

    found = wrong_cells(pd.DataFrame(rows, columns=columns))

    assert found[["item", "kind"]].to_numpy().tolist() == [
        ["missed", "false_negative"],
        ["false alarm", "false_positive"],
    ]
    assert found["confidence"].tolist() == pytest.approx([0.8, 0.9])


def test_a_changed_token_is_refused_and_nothing_is_written(lane: Path) -> None:
    run_evaluate()
    token = read_json(HOME / "validate/token.json")
    write_json({**token, "suite_sha256": "0"}, HOME / "validate/token.json")

    with pytest.raises(GateRefused, match="changed by hand"):
        run_report()

    assert not (lane / "reports/leukemia/index.html").exists()


@pytest.mark.usefixtures("lane")
def test_a_token_that_says_fail_is_refused() -> None:
    from tissuetrace.pipeline.gate import Finding, Rule, seal

    rule = Rule(name="r", table="t", expectation="E", todo="")
    broken = Finding(rule="r", severity="critical", held=False, found="1", bound="0", todo="")
    inputs = [HOME / "ingest/table.parquet", HOME / "fetch/images"]
    run_evaluate()
    write_json(seal([broken], inputs, [rule], "code"), HOME / "validate/token.json")

    with pytest.raises(GateRefused, match="verdict is 'fail'"):
        run_report()


@pytest.mark.usefixtures("lane")
def test_an_image_changed_after_the_gate_is_refused() -> None:
    run_evaluate()
    image = next((HOME / "fetch/images").rglob("*.bmp"))
    image.write_bytes(image.read_bytes()[:-1] + b"\x01")

    with pytest.raises(GateRefused, match="fetch/images is not what the gate has seen"):
        run_report()


@pytest.mark.parametrize("label", [0, 1])
def test_a_test_set_of_one_class_is_told_and_does_not_crash(lane: Path, label: int) -> None:
    rewrite_labels(label, "test")
    run_evaluate()

    run_report()

    assert "not defined" in page(lane)
    assert "nan" not in re.sub(r"data:image[^\"]*", "", page(lane))


def test_figures_are_not_empty(done: Path) -> None:
    shades = {
        path.stem: len(np.unique(np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))))
        for path in (done / "reports/leukemia/figures").glob("*.png")
    }

    assert {name for name, count in shades.items() if count < 30} == set()
