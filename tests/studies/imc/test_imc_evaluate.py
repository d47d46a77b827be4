"""Scores of the classifiers: their arithmetic, both uncertainties, and what has no value."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    f1_score,
    matthews_corrcoef,
    precision_recall_curve,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from tissuetrace.pipeline.files import column_mistakes, read_table, write_json, write_table
from tissuetrace.studies.imc import scores as scoring
from tissuetrace.studies.imc.curves import GRID, curve_points
from tissuetrace.studies.imc.evaluate import PREDICTION_COLUMNS, Evaluate, evaluate
from tissuetrace.studies.imc.scores import core_shares, score

PARAMS = Evaluate(thresholds=(0.8, 0.5), bootstrap=20, seed=0)
ORACLES = {
    "precision": precision_score,
    "recall": recall_score,
    "f1": f1_score,
    "mcc": matthews_corrcoef,
}


def draw_predictions(*, model: str, scheme: str, signal: float, seeds: int = 3) -> pd.DataFrame:
    """Draw predictions of 10 patients with 2 cores of 20 patches; whole patients are on test."""
    rng = np.random.default_rng([len(model), len(scheme), seeds])
    parts = []
    for seed in range(seeds):
        place = np.arange(400)
        subject = (place // 40 + seed) % 10
        split = np.select([subject < 4, subject < 6], ["test", "validation"], "train")
        label = rng.binomial(1, 0.1 + 0.4 * (place // 40 % 2))
        logit = signal * (2 * label - 1) + rng.normal(size=400)
        part = pd.DataFrame(
            {
                "item": [
                    f"core-{core:02d}:0:{col}" for core, col in zip(*divmod(place, 20), strict=True)
                ],
                "subject": [f"patient-{number}" for number in place // 40],
                "image": [f"core-{core:02d}" for core in place // 20],
                "split": split,
                "scheme": scheme,
                "model": model,
                "seed": seed,
                "label": label.astype(np.int64),
                "probability": 1 / (1 + np.exp(-logit)),
            }
        )
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


PATIENT = draw_predictions(model="mlp", scheme="patient", signal=1.0)
RANDOM = draw_predictions(model="mlp", scheme="random", signal=1.6)
CNN = draw_predictions(model="cnn", scheme="patient", signal=1.3, seeds=2)


def run(home: Path) -> dict[str, Path]:
    train = home / "train"
    for model, scheme, table in (
        ("mlp", "patient", PATIENT),
        ("mlp", "random", RANDOM),
        ("cnn", "patient", CNN),
    ):
        write_table(table, train / model / scheme / "predictions.parquet")
    write_json({"reason": "the settings leave it out"}, train / "cnn/random/why.json")
    writes = {
        "predictions": home / "predictions.parquet",
        "scores": home / "scores.parquet",
        "curves": home / "curves.csv",
        "cores": home / "cores.parquet",
    }
    reads = {f"{m}_{s}": train / m / s for m in ("mlp", "cnn") for s in ("patient", "random")}
    evaluate(**reads, **writes, params=PARAMS)
    return writes


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One run, only to be read."""
    return run(tmp_path_factory.mktemp("evaluated"))


@pytest.fixture(scope="module")
def scored(done: dict[str, Path]) -> pd.DataFrame:
    return read_table(done["scores"])


def scored_once(predictions: pd.DataFrame) -> pd.DataFrame:
    return score(predictions, thresholds=(0.5,), draws=5, seed=0)


def row_of(
    scores: pd.DataFrame,
    metric: str,
    *,
    threshold: float = 0.5,
    model: str = "mlp",
    scheme: str = "patient",
    split: str = "test",
) -> "pd.Series[Any]":
    rows = scores[
        (scores["metric"] == metric)
        & (scores["threshold"] == (0.0 if metric == "auc" else threshold))
        & (scores["model"] == model)
        & (scores["scheme"] == scheme)
        & (scores["split"] == split)
    ]
    assert len(rows) == 1, rows
    return rows.iloc[0]


def test_every_table_has_the_declared_columns(done: dict[str, Path]) -> None:
    mistakes = [
        mistake
        for name, output in evaluate.writes.items()
        if output.columns
        for mistake in column_mistakes(done[name], output.columns)
    ]
    assert mistakes == []


def test_predictions_of_all_trained_models_stand_in_one_table(done: dict[str, Path]) -> None:
    joined = read_table(done["predictions"])

    wanted = pd.concat([PATIENT, RANDOM, CNN], ignore_index=True)[list(PREDICTION_COLUMNS)]
    pd.testing.assert_frame_equal(joined, wanted, check_dtype=False)


@pytest.mark.parametrize("threshold", [0.8, 0.5])
@pytest.mark.parametrize("metric", sorted(ORACLES))
def test_a_measure_is_the_mean_of_scikit_learns_over_retrainings(
    metric: str, threshold: float, scored: pd.DataFrame
) -> None:
    test = PATIENT[PATIENT["split"] == "test"]

    values = [
        ORACLES[metric](own["label"], own["probability"] >= threshold)
        for _, own in test.groupby("seed")
    ]

    found = row_of(scored, metric, threshold=threshold)
    half = 4.302652729911275 * np.std(values, ddof=1) / np.sqrt(3)  # t with 2 degrees of freedom
    assert found["value"] == pytest.approx(np.mean(values))
    assert found["low"] == pytest.approx(np.mean(values) - half)
    assert found["high"] == pytest.approx(np.mean(values) + half)
    assert (found["retrainings"], found["undefined"]) == (3, 0)
    assert found["first"] == pytest.approx(values[0])


def test_the_auc_has_no_threshold_and_one_row(scored: pd.DataFrame) -> None:
    test = PATIENT[PATIENT["split"] == "test"]
    values = [roc_auc_score(own["label"], own["probability"]) for _, own in test.groupby("seed")]

    assert row_of(scored, "auc")["value"] == pytest.approx(np.mean(values))


def test_uncertainty_over_patients_is_beside_that_over_retrainings(scored: pd.DataFrame) -> None:
    found = row_of(scored, "auc")

    assert found["subjects"] == 4
    assert found["subject_low"] < found["first"] < found["subject_high"]
    assert found["subject_high"] - found["subject_low"] != found["high"] - found["low"]


def test_patients_are_drawn_on_test_alone(scored: pd.DataFrame) -> None:
    others = scored[(scored["split"] != "test") | (scored["scheme"] == scoring.GAP)]

    assert (others["subjects"] == 0).all()
    assert others["subject_low"].isna().all()


def test_the_gap_is_random_less_patient(scored: pd.DataFrame) -> None:
    gap = row_of(scored, "auc", scheme="random-patient")

    both = [row_of(scored, "auc", scheme=scheme)["value"] for scheme in ("random", "patient")]
    assert gap["value"] == pytest.approx(both[0] - both[1])
    assert gap["low"] < gap["value"] < gap["high"]
    assert gap["retrainings"] == 3


def test_a_scheme_that_was_not_trained_has_no_row_and_no_gap(scored: pd.DataFrame) -> None:
    assert set(scored.loc[scored["model"] == "cnn", "scheme"]) == {"patient"}


def test_a_precision_without_any_call_is_left_out_and_counted() -> None:
    table = PATIENT.copy()
    quiet = (table["seed"] == 1) & (table["split"] == "test")
    table.loc[quiet, "probability"] = table.loc[quiet, "probability"] / 2.5

    scores = scored_once(table)

    kept = scored_once(table[table["seed"] != 1])
    for metric in ("precision", "mcc", "mcc_bound"):
        found = row_of(scores, metric)
        assert (found["retrainings"], found["undefined"]) == (2, 1)
        assert found["value"] == row_of(kept, metric)["value"]
    for metric in ("recall", "f1"):
        found = row_of(scores, metric)
        assert (found["retrainings"], found["undefined"]) == (3, 0)
        assert found["value"] == pytest.approx(row_of(kept, metric)["value"] * 2 / 3)


def test_mcc_squared_is_at_most_precision_times_recall(scored: pd.DataFrame) -> None:
    rows = scored[(scored["scheme"] != scoring.GAP) & (scored["metric"] != "auc")]
    wide = rows.pivot_table(
        index=["model", "scheme", "split", "threshold"], columns="metric", values="value"
    ).dropna()

    assert len(wide) == 18
    assert (wide["mcc"] <= wide["mcc_bound"]).all()
    # of means as well (Cauchy and Schwarz), so that a table can be checked as printed
    assert (wide["mcc_bound"] ** 2 <= wide["precision"] * wide["recall"] + 1e-12).all()


def test_an_mcc_that_no_counts_can_give_is_a_broken_promise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_good(*_: object, threshold: float) -> float:
        return threshold + 0.49

    changed: dict[str, Any] = {**scoring._AT_THRESHOLD}
    monkeypatch.setattr(scoring, "_AT_THRESHOLD", {**changed, "mcc": too_good})

    with pytest.raises(ValueError, match="MCC above"):
        scored_once(PATIENT)


def test_a_negative_mcc_is_no_broken_promise() -> None:
    """Where a model calls the wrong ones, MCC² may exceed P·R = 0: the bound is of MCC itself."""
    table = PATIENT.assign(probability=1.0 - PATIENT["label"])

    found = scored_once(table)

    assert row_of(found, "mcc")["value"] == pytest.approx(-1)
    assert row_of(found, "mcc_bound")["value"] == 0


def test_a_split_without_positives_has_no_auc_and_no_crash() -> None:
    table = PATIENT.assign(label=PATIENT["label"].where(PATIENT["split"] != "test", 0))

    found = row_of(scored_once(table), "auc")

    assert np.isnan(found["value"])
    assert (found["retrainings"], found["undefined"]) == (0, 3)


def test_curves_are_those_of_scikit_learn_over_retrainings() -> None:
    test = CNN[CNN["split"] == "test"].assign(probability=CNN["probability"].round(1))  # with ties

    curves = curve_points(test)

    sensitivity, precision = [], []
    for _, own in test.groupby("seed"):
        rate, found, _ = roc_curve(own["label"], own["probability"], drop_intermediate=False)
        last = pd.Series(found).groupby(rate).max()
        sensitivity.append(np.interp(GRID, last.index, last))
        reached, recall, _ = precision_recall_curve(own["label"], own["probability"])
        precision.append([reached[np.flatnonzero(recall >= at - 1e-9)[-1]] for at in GRID])
    np.testing.assert_allclose(curves["sensitivity_cnn_patient"], np.mean(sensitivity, axis=0))
    np.testing.assert_allclose(curves["precision_cnn_patient"], np.mean(precision, axis=0))


def test_the_curves_file_has_every_column_whatever_was_trained(done: dict[str, Path]) -> None:
    curves = pd.read_csv(done["curves"])

    assert len(curves) == 100
    assert list(curves) == [
        "rate",
        "sensitivity_mlp_patient",
        "sensitivity_cnn_patient",
        "sensitivity_mlp_random",
        "sensitivity_cnn_random",
        "precision_mlp_patient",
        "precision_cnn_patient",
        "precision_mlp_random",
        "precision_cnn_random",
    ]
    assert curves["sensitivity_cnn_random"].isna().all()
    assert curves["precision_mlp_random"].notna().all()
    assert curves["sensitivity_mlp_patient"].is_monotonic_increasing


def test_the_share_of_a_core_is_of_its_patches_on_test_in_these_retrainings() -> None:
    core = (PATIENT["image"] == "core-02") & (PATIENT["split"] == "test")
    own = PATIENT[core]

    shares = core_shares(PATIENT).set_index("image")

    seeds = own["seed"].unique()
    assert len(seeds) == 3
    found = shares.loc["core-02"]
    by_seed = own.assign(called=own["probability"] >= 0.5).groupby("seed")
    assert found["actual"] == pytest.approx(by_seed["label"].mean().mean())
    assert found["predicted"] == pytest.approx(by_seed["called"].mean().mean())
    assert (found["retrainings"], found["patches"]) == (3, 60)


def test_a_core_that_is_never_on_test_has_no_share() -> None:
    tested = PATIENT[PATIENT["split"] == "test"]

    shares = core_shares(PATIENT)

    assert set(shares["image"]) == set(tested["image"])
    assert len(shares) < PATIENT["image"].nunique()


def test_two_runs_give_the_same_bytes(done: dict[str, Path], tmp_path: Path) -> None:
    again = run(tmp_path)

    assert [path.read_bytes() for path in again.values()] == [
        path.read_bytes() for path in done.values()
    ]
