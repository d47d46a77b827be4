"""The stage that trains the perceptrons, on a tiny cohort."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from imc_patches import CHANNELS, SEEDS, Cohort, write_patches

from tissuetrace.models.mlp_stack import load_mlps
from tissuetrace.pipeline.files import read_json, read_table
from tissuetrace.pipeline.hashing import digest
from tissuetrace.stats.classification import auc
from tissuetrace.studies.imc.cohorts import SCHEMES, Scheme
from tissuetrace.studies.imc.features import mean_columns, read_features
from tissuetrace.studies.imc.retrained import metrics_of
from tissuetrace.studies.imc.train_mlp import Mlp, retrainings_of, train_mlp

MLP = Mlp(hidden=(8, 4), lr=0.01, batch=32, epochs=15, patience=5, pos_weight=1.0, seed=0)


def train(cohort: Cohort, folder: Path, mlp: Mlp = MLP) -> Path:
    train_mlp(
        **cohort.inputs,
        patient=folder / "patient",
        random=folder / "random",
        mlp=mlp,
        variant="melanoma",
    )
    return folder


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return write_patches(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def trained(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(cohort, tmp_path_factory.mktemp("trained"))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_patch_of_every_seed_is_predicted_by_that_seeds_network(
    cohort: Cohort, trained: Path, scheme: Scheme
) -> None:
    found = read_table(trained / scheme / "predictions.parquet")

    decoys = getattr(cohort, f"decoy_{scheme}")
    splits = getattr(cohort, f"split_{scheme}")
    rows = read_features(cohort.tables, decoys, scheme=scheme, splits=splits)
    stack = load_mlps(trained / scheme / "model.safetensors")
    own = rows[rows["seed"] == SEEDS[1]]
    expected = stack.probabilities(own[mean_columns(rows)].to_numpy(), 1)
    assert stack.seeds == SEEDS
    assert found["item"].tolist() == rows["item"].tolist()
    assert found["split"].tolist() == rows["split"].tolist()
    assert set(found["scheme"]) == {scheme}
    np.testing.assert_array_equal(
        found.loc[found["seed"] == SEEDS[1], "probability"].to_numpy(), expected
    )


def test_the_planted_channel_is_found_in_patients_not_seen(trained: Path) -> None:
    found = read_table(trained / "patient/predictions.parquet")
    test = found[found["split"] == "test"]

    assert auc(test["label"].to_numpy(), test["probability"].to_numpy()) > 0.9


def test_each_seed_learns_from_its_own_training_rows_alone(cohort: Cohort) -> None:
    rows = read_features(
        cohort.tables, cohort.decoy_patient, scheme="patient", splits=cohort.split_patient
    )

    found = retrainings_of(rows)

    own = rows[(rows["seed"] == SEEDS[2]) & (rows["split"] == "train")]
    assert [one.seed for one in found] == list(SEEDS)
    np.testing.assert_array_equal(found[2].training.x, own[mean_columns(rows)])
    np.testing.assert_array_equal(found[2].training.labels, own["label"])


def test_the_network_is_standardised_by_its_training_rows(cohort: Cohort, trained: Path) -> None:
    rows = read_features(
        cohort.tables, cohort.decoy_patient, scheme="patient", splits=cohort.split_patient
    )
    own = rows[(rows["seed"] == 1) & (rows["split"] == "train")]

    stack = load_mlps(trained / "patient/model.safetensors")

    np.testing.assert_allclose(stack.mean[1], own[mean_columns(rows)].mean(), rtol=1e-12)
    np.testing.assert_allclose(stack.sd[1], own[mean_columns(rows)].std(ddof=0), rtol=1e-12)


def test_history_and_card_tell_each_seeds_epochs(cohort: Cohort, trained: Path) -> None:
    history = read_table(trained / "patient/history.parquet")
    card = read_json(trained / "patient/card.json")

    assert list(history) == ["seed", "epoch", "train_loss", "validation_loss", "validation_mcc"]
    assert history[["seed", "epoch"]].dtypes.eq("int64").all()
    best = history.groupby("seed")["validation_mcc"].max()
    assert [one["validation_mcc"] for one in card["retrainings"]] == best.tolist()
    rows = read_features(
        cohort.tables, cohort.decoy_patient, scheme="patient", splits=cohort.split_patient
    )
    own = rows[(rows["seed"] == SEEDS[2]) & (rows["split"] == "train")]
    assert card["retrainings"][2]["training"] == {
        "patches": len(own),
        "positive": int(own["label"].sum()),
        "subjects": 6,
    }
    assert card["channels"] == list(CHANNELS)
    assert card["parameters"] == (3 * 8 + 8) + (8 * 4 + 4) + (4 + 1)
    assert card["sha256"] == {
        "model.safetensors": digest(trained / "patient/model.safetensors").sha256
    }


def test_the_run_has_a_child_for_each_seed_and_the_mean_of_their_metrics(trained: Path) -> None:
    run = read_json(trained / "random/run.json")
    predictions = read_table(trained / "random/predictions.parquet")

    metrics = [metrics_of(predictions[predictions["seed"] == seed]) for seed in SEEDS]
    assert run["variant"] == "mlp-melanoma-random"
    assert [child["metrics"] for child in run["children"]] == metrics
    mean = np.mean([one["test_auc"] for one in metrics])
    assert run["metrics"]["test_auc"] == pytest.approx(mean)
    assert run["parameters"]["mlp"] == {**asdict(MLP), "hidden": list(MLP.hidden)}
    assert set(run["inputs"]) == {"tables", "splits", "decoys"}
    assert run["gate"] == "0" * 64


def test_no_patient_is_named_in_card_and_run(trained: Path) -> None:
    texts = [(trained / f"patient/{name}").read_text() for name in ("card.json", "run.json")]

    assert not any("patient-" in text or "core-" in text for text in texts)


def test_the_same_settings_give_the_same_bytes_and_another_seed_others(
    cohort: Cohort, trained: Path, tmp_path: Path
) -> None:
    train(cohort, tmp_path / "again")
    train(cohort, tmp_path / "other", replace(MLP, seed=1))

    names = [
        f"{scheme}/{name}"
        for scheme in SCHEMES
        for name in ("model.safetensors", "history.parquet", "predictions.parquet", "card.json")
    ]
    expected = [digest(trained / name).sha256 for name in names]
    assert [digest(tmp_path / "again" / name).sha256 for name in names] == expected
    others = [digest(tmp_path / "other" / name).sha256 for name in names]
    assert not set(others) & set(expected)
