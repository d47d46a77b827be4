"""The page: it loads nothing, says what it was made of, names no subject, and refuses."""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from leukemia_outcomes import HOME, rewrite_labels, run_evaluate, run_report, write_outcomes

from tissuetrace.pipeline.errors import GateRefused
from tissuetrace.pipeline.files import read_json, read_table, write_json
from tissuetrace.stats.intervals import Interval
from tissuetrace.studies.leukemia.comparison import rank_agreement
from tissuetrace.studies.leukemia.findings import verdict
from tissuetrace.studies.leukemia.gallery import wrong_cells
from tissuetrace.studies.leukemia.paper import CONTRADICTIONS, IMPORTANCES, confusion_of

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
