"""The page: it loads nothing, says what it was made of, names no patient, and refuses."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from imc_outcomes import (
    COHORTS,
    HOME,
    MELANOMA,
    PATIENTS,
    SETTINGS,
    read_outcome,
    run_report,
    write_gate,
    write_outcomes,
    write_refused,
)
from matplotlib.image import imread

from tissuetrace.pipeline.errors import GateRefused
from tissuetrace.pipeline.files import read_json, read_table, write_json, write_table
from tissuetrace.studies.imc.classifier_figures import agreement, predicted_map
from tissuetrace.studies.imc.effect_levels import excluded_levels
from tissuetrace.studies.imc.layout import all_tables
from tissuetrace.studies.imc.outcome import Outcome
from tissuetrace.studies.imc.search_summaries import variant_order
from tissuetrace.studies.imc.statements import of_search, of_validity
from tissuetrace.studies.imc.therapy_figures import found_changes

FIGURES = {
    "leaks",
    "trainings",
    "figure_3b_shares",
    "figure_4c_patients",
    "figure_4e_sweep",
    *(
        f"{name}_{cohort}"
        for cohort in ("melanoma", "breast")
        for name in (
            "figure_3a_maps",
            "figure_4a_changes",
            "figure_4b_maps",
            "figure_4d_targets",
            "stability",
        )
    ),
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a phantom's lane after `report`, only to be read."""
    home = tmp_path_factory.mktemp("imc")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        write_outcomes()
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
    """A lane of one cohort before `report`, to be spoilt."""
    monkeypatch.chdir(tmp_path)
    write_outcomes({"melanoma": MELANOMA})
    return tmp_path


def page(home: Path) -> str:
    return (home / "reports/imc/index.html").read_text(encoding="utf-8")


def words(home: Path) -> str:
    return re.sub(r'src="data:[^"]*"', "", page(home))


def table(home: Path, name: str) -> Any:
    return pd.read_csv(home / f"reports/imc/tables/{name}.csv")


def test_every_figure_is_a_file_and_stands_in_the_page(done: Path) -> None:
    files = {path.stem for path in (done / "reports/imc/figures").glob("*.png")}

    assert files == FIGURES
    assert {name for name in FIGURES if f'id="figure-{name}"' not in page(done)} == set()


def test_figures_are_not_empty(done: Path) -> None:
    shades = {
        path.stem: len(np.unique(imread(path)[..., 0]))
        for path in (done / "reports/imc/figures").glob("*.png")
    }

    assert {name for name, count in shades.items() if count < 20} == set()


def test_the_page_loads_nothing(done: Path) -> None:
    html = page(done)

    targets = re.findall(r'(?:src|href|action|srcset)="([^"]*)"', html)
    assert {target for target in targets if not target.startswith(("data:", "#"))} == set()
    assert not re.search(r"<script|@import|url\(|<iframe|<object", html)


def test_a_phantom_is_named_on_page_captions_and_rows(done: Path) -> None:
    html = page(done)
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", html, flags=re.DOTALL)
    silent = [text for text in captions if not re.search(r"confirms\s+no\s+paper", text)]

    assert '<aside class="notice" role="note">Phantom' in html
    # the paper against itself is the same whatever the images
    assert len(silent) == 2
    assert all("Computed from the published" in text.replace("\n", " ") for text in silent)
    rows = [table(done, path.stem) for path in (done / "reports/imc/tables").glob("*.csv")]
    assert all(frame["origin"].str.contains("confirms no paper").all() for frame in rows)


def test_no_patient_core_or_file_is_named(done: Path) -> None:
    texts = [path.read_text() for path in (done / "reports/imc").rglob("*.csv")]

    assert "Q7X" not in words(done)
    assert not any("Q7X" in text for text in texts)


def test_real_cores_are_not_called_a_phantom_and_have_no_known_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_outcomes({"melanoma": MELANOMA}, kind="directory", why="nothing was free")

    run_report({"melanoma": MELANOMA})

    shown = words(tmp_path).replace("or phantom", "")
    assert "hantom" not in shown
    assert "Real images." in shown
    assert set(table(tmp_path, "splits")["origin"]) == {"images"}
    assert not (tmp_path / "reports/imc/tables/recovery.csv").exists()


def test_one_cohort_without_networks_or_free_channels_tells_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = {"mine": replace(MELANOMA, cnn=(), free=())}
    write_outcomes(mine, why="imc.cohorts.mine.free is empty")

    run_report(mine)

    shown = words(tmp_path)
    assert "Mine: no perturbation result; imc.cohorts.mine.free is empty." in shown
    assert "No row for mine: imc.cohorts.mine.free is empty." in shown
    assert "figure-figure_4c" not in shown
    assert len(table(tmp_path, "strategies")) == 0
    assert read_json(Path("metrics/imc/headline.json"))["mine_found"] is None


def test_what_is_undefined_is_a_dash_and_no_nan(lane: Path) -> None:
    for name in ("strategies", "channels", "levels", "stability"):
        path = HOME / f"effect/melanoma/{name}.parquet"
        spoilt = read_table(path)
        numbers = spoilt.select_dtypes("float64").columns
        write_table(spoilt.assign(**dict.fromkeys(numbers, np.nan)), path)
    scores = HOME / "evaluate/melanoma/scores.parquet"
    spoilt = read_table(scores)
    write_table(spoilt.assign(value=np.nan, low=np.nan, high=np.nan), scores)
    write_table(
        read_table(HOME / "probe/melanoma/leaks.parquet").iloc[:0],
        HOME / "probe/melanoma/leaks.parquet",
    )

    run_report({"melanoma": MELANOMA})

    assert not re.search(r"\bnan\b", words(lane))
    assert read_json(Path("metrics/imc/headline.json"))["melanoma_auc"] is None


@pytest.mark.usefixtures("lane")
def test_a_refused_acquisition_is_counted_and_not_named() -> None:
    reason = "Q7X_0042.mcd: the XML of Q7X_0042 in /home/lab/Q7X is cut off"
    write_refused("melanoma", [("in/Q7X_0042.mcd", "ROI_7", reason)])

    tables = all_tables(read_outcome({"melanoma": MELANOMA}))

    counted = tables["accounting"].frame.set_index("what")["count"]
    assert counted["acquisitions refused and skipped"] == 1
    assert tables["refused"].shown == [["melanoma", "…: the XML of … in … is cut off", "1"]]


def test_recovered_and_dropped_are_counted(done: Path) -> None:
    counted = table(done, "accounting")
    melanoma = counted[counted["cohort"] == "melanoma"].set_index("what")["count"]

    assert melanoma["of these recovered from text files"] == 1
    assert melanoma["patches dropped: incomplete at the border"] == 4 * PATIENTS
    assert melanoma["patches dropped: too little left after erasing"] == PATIENTS
    assert melanoma["patches without a decoy, mean over seeds, unseen patients"] == 1
    assert melanoma["splits drawn again, all seeds, random patches"] == 3


def test_the_headline_has_at_most_15_numbers_that_are_those_of_the_tables(done: Path) -> None:
    headline = read_json(done / "metrics/imc/headline.json")
    shown = table(done, "headline")

    assert len(headline) == 14
    assert shown["value"].tolist() == pytest.approx(
        [
            headline[f"{cohort}_{key}"]
            for cohort in COHORTS
            for key in (
                "auc",
                "auc_gap",
                "mcc",
                "found",
                "level_before",
                "level_after",
                "leak_gain",
            )
        ],
        rel=1e-5,
    )
    assert headline["melanoma_auc_gap"] == pytest.approx(0.03)
    assert headline["melanoma_level_after"] == pytest.approx(0.30)


def test_table_1_has_the_papers_number_and_ours_and_of_a_phantom_no_deviation(done: Path) -> None:
    rows = table(done, "table_1_classifiers").set_index(["cohort", "model", "quantity"])

    row = rows.loc[("melanoma", "MLP", "precision")]
    assert row[["paper", "paper_low", "paper_high"]].tolist() == pytest.approx([0.79, 0.78, 0.80])
    assert row["patient"] == pytest.approx(0.6)
    assert rows.loc[("breast", "CNN", "AUC"), "paper"] == pytest.approx(0.97)
    assert np.isnan(rows.loc[("breast", "CNN", "AUC"), "patient"])
    assert not [name for name in rows.columns if "deviation" in name]
    assert "deviation (points)" not in words(done)


def test_the_mcc_stands_at_both_thresholds_beside_the_papers_one(done: Path) -> None:
    at = [
        table(done, f"table_{number}_classifiers")
        .set_index(["cohort", "model", "quantity"])
        .loc[("melanoma", "MLP", "MCC"), ["paper", "patient"]]
        .tolist()
        for number in (1, 3)
    ]

    assert at == [pytest.approx([0.53, 0.45]), pytest.approx([0.53, 0.55])]


@pytest.mark.usefixtures("lane")
def test_other_settings_of_the_search_stand_beside_table_2() -> None:
    perturb = replace(SETTINGS["perturb"], beta=0.3, rule="cfproto")

    shown = all_tables(read_outcome({"melanoma": MELANOMA}, perturb=perturb))["table_2_search"]

    assert ["β", "0.1", "0.3"] in shown.shown
    assert ["k", "1", "1"] in shown.shown
    assert "follows: the library's recurrence; learning rate 0.01 as set" in shown.caption


def test_levels_of_a_patient_are_medians_over_cores_and_only_of_the_excluded(
    outcome: Outcome,
) -> None:
    rows = excluded_levels(outcome.cohorts["melanoma"])

    assert rows["patient"].tolist() == [1, 3, 5]
    np.testing.assert_allclose(rows["before"], 0.02)
    np.testing.assert_allclose(rows["after"], 0.27)


def test_effects_scored_by_the_others_stand_beside(done: Path) -> None:
    rows = table(done, "excluded_patients")

    assert rows["after_own"].tolist() == pytest.approx([0.29] * len(rows))
    assert rows["after_other"].tolist() == pytest.approx([0.22] * len(rows))
    n = rows["tumour_patches"]
    assert rows["ratio"].tolist() == pytest.approx(
        ((0.27 * n + 1) / (0.02 * n + 1)).tolist(), rel=1e-4
    )


def test_the_patients_are_counted_with_the_rule_that_chose_them(outcome: Outcome) -> None:
    caption = all_tables(outcome)["excluded_patients"].caption

    assert "melanoma 3 of 6, below the median level" in caption


def test_variants_stand_by_number_after_the_default(outcome: Outcome) -> None:
    rows = all_tables(outcome)["agreements"].frame

    assert rows["variant"].tolist()[:5] == ["default", "beta=0.02", "beta=0.5", "k=3", "k=5"]
    assert sorted(["k=10", "k=9", "default"], key=variant_order) == ["default", "k=9", "k=10"]


def test_a_change_is_drawn_over_its_patchs_largest(outcome: Outcome) -> None:
    rows = found_changes(outcome.cohorts["melanoma"])
    values = rows.drop(columns="subject").to_numpy()

    np.testing.assert_allclose(np.abs(values).max(axis=1), 1.0)
    assert rows["subject"].is_monotonic_increasing


def test_a_core_is_mapped_by_those_that_have_not_seen_it(outcome: Outcome) -> None:
    one = outcome.cohorts["melanoma"]
    wrong = one.predictions.assign(
        probability=np.where(one.predictions["split"] == "test", 0.9, 0.1)
    )

    found = predicted_map(replace(one, predictions=wrong))

    tested = one.predictions.query("split == 'test' and scheme == 'patient' and model == 'mlp'")
    assert len(found) == tested["item"].nunique()
    assert set(found["called"]) == {1}


@pytest.mark.parametrize(
    ("actual", "predicted", "r", "rmse"),
    [
        ([0.0, 0.5, 1.0], [0.1, 0.6, 1.1], 1.0, 0.1),
        ([0.0, 0.5, 1.0], [1.0, 0.5, 0.0], -1.0, np.sqrt(2 / 3)),
        ([0.2, 0.2, 0.2], [0.1, 0.2, 0.3], np.nan, np.sqrt(0.02 / 3)),
        ([0.2, 0.4], [0.2, 0.4], np.nan, 0.0),
        ([], [], np.nan, np.nan),
    ],
)
def test_agreement_of_shares_is_r_and_rmse(
    actual: list[float], predicted: list[float], r: float, rmse: float
) -> None:
    shares = pd.DataFrame({"actual": actual, "predicted": predicted}, dtype="float64")

    found = agreement(shares)

    assert found == pytest.approx((r, rmse), nan_ok=True)


def test_the_step_that_oscillates_is_computed_from_the_settings(outcome: Outcome) -> None:
    said = " ".join(of_search(outcome))

    assert "lr·2(1+θ) = 2.02; above 2 the steps oscillate." in said
    assert "Here it is 0.00495: 0.01 as set, capped at 1/(2(1+θ))." in said
    assert "β/(2(1+θ)) = 0.0005 SD" in said
    assert "κ = 2p − 1 = 0.6, so that c' = c/2 = 50" in said  # noqa: RUF001  # minus signs


def test_validity_says_what_own_and_other_retrainings_find(outcome: Outcome) -> None:
    said = " ".join(of_validity(outcome))

    assert (
        "melanoma: what each found raises its own level by 27.0 points, that of the others" in said
    )
    assert "by 20.0; the strategy of all raises the level by 25.0 points" in said
    assert "reverse causation" in said
    assert "DapB alone, AUC 0.52 (allowed 0.45 to 0.55), DapB is not among the free" in said


def test_captions_of_effects_say_n_and_that_causation_is_not_shown(outcome: Outcome) -> None:
    tables = all_tables(outcome)

    for name in ("strategy_channels", "strategies", "excluded_patients"):
        assert "reverse causation" in tables[name].caption
    assert "melanoma 6 patients, 6 cores, 144 patches" in tables["strategies"].caption


def test_a_changed_token_is_refused_and_nothing_is_written(lane: Path) -> None:
    token = read_json(HOME / "validate/token.json")
    write_json({**token, "suite_sha256": "0"}, HOME / "validate/token.json")

    with pytest.raises(GateRefused, match="changed by hand"):
        run_report({"melanoma": MELANOMA})

    assert not (lane / "reports/imc/index.html").exists()


@pytest.mark.usefixtures("lane")
def test_a_token_that_says_fail_is_refused() -> None:
    write_gate({"melanoma": MELANOMA}, held=False)

    with pytest.raises(GateRefused, match="verdict is 'fail'"):
        run_report({"melanoma": MELANOMA})


@pytest.mark.usefixtures("lane")
def test_a_patch_changed_after_the_gate_is_refused() -> None:
    path = next((HOME / "patch/melanoma/tables").glob("*.parquet"))
    patches = read_table(path)
    write_table(patches.assign(label=1 - patches["label"]), path)

    with pytest.raises(GateRefused, match="patch/melanoma/tables is not what the gate has seen"):
        run_report({"melanoma": MELANOMA})


def test_a_second_run_gives_the_same_bytes(lane: Path) -> None:
    write_outcomes({"melanoma": MELANOMA}, why="nothing was free")
    run_report({"melanoma": MELANOMA})
    files = [path for path in (lane / "reports/imc").rglob("*") if path.is_file()]
    first = {path: path.read_bytes() for path in files}

    run_report({"melanoma": MELANOMA})

    assert {path: path.read_bytes() for path in first} == first
    assert len(first) > 20
