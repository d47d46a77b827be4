"""What MLflow is told of a run, and nothing more."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from trained_runs import ask, trained_project

from tissuetrace.pipeline.hashing import digest
from tissuetrace.pipeline.runbook import RunBook, open_database
from tissuetrace.pipeline.tracking import track


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return trained_project(tmp_path / "project", monkeypatch)


@contextmanager
def book_of(root: Path) -> Iterator[RunBook]:
    with open_database(f"sqlite:///{root}/mlflow.db", root / "mlartifacts") as book:
        yield book


def test_what_was_recorded_can_be_found_by_data_commit_and_gate(trained: Path) -> None:
    track(["leukemia"], trained)

    with book_of(trained) as book:
        client = book.client
        experiment = client.get_experiment_by_name("leukemia")
        assert experiment is not None
        ids = [experiment.experiment_id]
        md5, sha256 = digest(Path("table.parquet")).md5, digest(Path("table.parquet")).sha256
        by_data = client.search_runs(ids, f"dataset.digest = '{md5}'")
        of_folder = digest(Path("images")).md5.removesuffix(".dir")
        by_folder = client.search_runs(ids, f"dataset.digest = '{of_folder}'")
        by_gate = client.search_runs(ids, "tags.gate = 'f00d' AND tags.kind = 'training'")
        (cnn,) = client.search_runs(ids, "tags.variant = 'cnn-subject'")
        forest = client.search_runs(
            ids, "tags.variant = 'forest-subject' AND tags.kind = 'training'"
        )
        children = client.search_runs(ids, f"tags.`mlflow.parentRunId` = '{forest[0].info.run_id}'")
        epochs = client.get_metric_history(cnn.info.run_id, "loss")
        (version,) = client.search_model_versions("name = 'leukemia-cnn-subject'")

    assert len(by_data) == len(by_folder) == len(by_gate) == 3
    assert cnn.inputs is not None
    (dataset,) = [one for one in cnn.inputs.dataset_inputs if one.dataset.name == "features"]
    assert {tag.key: tag.value for tag in dataset.tags} == {
        "mlflow.data.context": "training",
        "sha256": sha256,
        "bytes": "7",
    }
    assert cnn.data.params == {
        "trees": "100",
        "glcm.distances": "[1]",
        "glcm.normed": "true",
    }
    assert [(epoch.step, epoch.value) for epoch in epochs] == [(0, 0.7), (1, 0.5), (2, 0.4)]
    assert cnn.data.metrics == {"auc": 0.9, "loss": 0.4}
    assert [run.data.params["seed"] for run in children] in (["0", "1"], ["1", "0"])
    assert version.run_id == cnn.info.run_id
    assert (
        version.tags["sha256"]
        == digest(Path("data/leukemia/train/cnn-subject/model.joblib")).sha256
    )
    assert version.aliases == []


def test_the_model_and_its_card_are_copied_with_the_run(trained: Path) -> None:
    track(["imc"], trained)

    (home,) = (trained / "mlartifacts/imc").iterdir()
    assert (home / "artifacts/model/model.joblib").read_bytes() == b"imc cnn"
    assert (home / "artifacts/model/card.json").exists()
    assert (home / "artifacts/run.json").read_bytes() == Path(
        "data/imc/train/cnn/run.json"
    ).read_bytes()


def test_an_experiment_in_the_bin_is_taken_out_again(trained: Path) -> None:
    track(["imc"], trained)
    with book_of(trained) as book:
        book.client.delete_experiment(book.experiment("imc"))

    report = track(["imc"], trained)

    assert report.problem == ""
    assert ask(trained, "SELECT lifecycle_stage FROM experiments WHERE name = 'imc'") == [
        ("active",)
    ]


def test_no_subject_folder_host_or_user_reaches_mlflow(trained: Path) -> None:
    track(["leukemia", "imc"], trained)

    content = (trained / "mlflow.db").read_bytes() + b"".join(
        path.read_bytes() for path in sorted((trained / "mlartifacts").rglob("*")) if path.is_file()
    )
    private = ["subject H10", str(trained.parent), str(Path.home()) + "/", platform.node()]
    assert [text for text in private if text.encode() in content] == []
    assert ask(trained, "SELECT value FROM tags WHERE key LIKE 'mlflow.user%'") == []
    assert ask(trained, "SELECT DISTINCT user_id FROM runs") == [("unknown",)]
    assert sorted(path.name for path in trained.iterdir()) == [
        ".mlflow.lock",
        "admission.json",
        "data",
        "images",
        "mlartifacts",
        "mlflow.db",
        "table.parquet",
    ]
