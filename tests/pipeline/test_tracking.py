"""MLflow holds every run on disk exactly once, whatever is started, killed or deleted."""

import subprocess
import sys
from pathlib import Path

import pytest
from trained_runs import ALL_RUNS, add_run, names_of_runs, trained_project, versions_of_models

from tissuetrace.pipeline import runbook
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.tracking import track

TRACK = "from pathlib import Path; from tissuetrace.pipeline.tracking import track; "
EVERYTHING = "print(*track(['leukemia', 'imc'], Path()).lines(), sep='\\n')"


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return trained_project(tmp_path / "project", monkeypatch)


def test_every_run_is_recorded_once_however_often_it_is_asked(trained: Path) -> None:
    first = track(["leukemia", "imc"], trained)
    second = track(["leukemia", "imc"], trained)

    assert first.lines() == [
        "leukemia: 3 runs recorded; sqlite:///mlflow.db",
        "imc: 1 run recorded; sqlite:///mlflow.db",
    ]
    assert second.lines() == [
        "leukemia: 0 runs recorded, 3 already there; sqlite:///mlflow.db",
        "imc: 0 runs recorded, 1 already there; sqlite:///mlflow.db",
    ]
    assert names_of_runs(trained) == ALL_RUNS


def test_a_run_that_was_trained_again_is_a_new_run_and_a_new_version(trained: Path) -> None:
    track(["imc"], trained)
    add_run("imc", "cnn", metrics={"auc": 0.95})

    report = track(["imc"], trained)

    assert report.lines() == ["imc: 1 run recorded; sqlite:///mlflow.db"]
    assert names_of_runs(trained) == ["cnn", "cnn"]
    assert versions_of_models(trained) == [
        ("imc-cnn", 1),
        ("imc-cnn", 2),
    ]


def test_a_study_without_runs_needs_no_database(trained: Path) -> None:
    assert track(["spheroid"], trained).lines() == ["spheroid: no runs yet"]
    assert not (trained / "mlflow.db").exists()


def test_figures_are_one_run_of_the_study_recorded_anew_when_one_changes(trained: Path) -> None:
    figures = trained / "reports/imc/figures"
    figures.mkdir(parents=True)
    (figures / "roc.png").write_bytes(b"one")

    first = track(["imc"], trained)
    second = track(["imc"], trained)
    (figures / "roc.png").write_bytes(b"two")
    third = track(["imc"], trained)

    assert [report.studies[0].figures for report in (first, second, third)] == [
        "recorded",
        "present",
        "recorded",
    ]
    assert first.lines() == ["imc: 1 run recorded, figures recorded; sqlite:///mlflow.db"]
    copies = sorted(
        path.read_bytes() for path in trained.glob("mlartifacts/imc/*/artifacts/figures/*")
    )
    assert copies == [b"one", b"two"]


@pytest.mark.parametrize("step", ["_log", "_put", "_add_version", "_finish"])
def test_a_run_that_a_kill_left_unfinished_is_recorded_again(
    trained: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runbook.RunBook, step, killed)
    with pytest.raises(KeyboardInterrupt):
        track(["leukemia"], trained)
    monkeypatch.undo()
    left = names_of_runs(trained)

    report = track(["leukemia"], trained)

    assert left
    assert report.studies[0].recorded == 3
    assert names_of_runs(trained) == [name for name in ALL_RUNS if name != "cnn"]
    assert len(list((trained / "mlartifacts/leukemia").iterdir())) == 3
    assert len(versions_of_models(trained)) == 3


def test_with_the_database_deleted_it_is_filled_again(trained: Path) -> None:
    track(["leukemia", "imc"], trained)
    (trained / "mlflow.db").unlink()

    report = track(["leukemia", "imc"], trained)

    assert [study.recorded for study in report.studies] == [3, 1]
    assert names_of_runs(trained) == ALL_RUNS


def test_a_model_that_was_changed_after_its_training_is_not_recorded(trained: Path) -> None:
    Path("data/leukemia/train/forest-image/model.joblib").write_bytes(b"other")
    Path("data/leukemia/train/cnn-subject/card.json").unlink()

    with pytest.raises(InputError) as caught:
        track(["leukemia"], trained)

    lines = str(caught.value).splitlines()
    assert lines[1:] == [
        "  data/leukemia/train/cnn-subject/run.json: card.json is missing beside it",
        "  data/leukemia/train/forest-image/run.json: model.joblib was changed after the training",
    ]
    assert names_of_runs(trained) == []


@pytest.mark.parametrize("attempt", range(3))
def test_four_started_at_once_on_a_fresh_database_lose_and_repeat_nothing(
    trained: Path, attempt: int
) -> None:
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", TRACK + EVERYTHING]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    ended = [process.communicate(timeout=300) for process in started]

    assert [process.returncode for process in started] == [0] * 4, ended
    assert [errors for _, errors in ended] == [""] * 4, attempt
    first_lines = sorted(output.splitlines()[0] for output, _ in ended)
    assert first_lines == [
        *["leukemia: 0 runs recorded, 3 already there; sqlite:///mlflow.db"] * 3,
        "leukemia: 3 runs recorded; sqlite:///mlflow.db",
    ]
    assert names_of_runs(trained) == ALL_RUNS
    assert len(versions_of_models(trained)) == 4


def test_tracking_reaches_for_no_network(trained: Path) -> None:
    watched = (
        "import sys; "
        "sys.addaudithook(lambda event, _: event in "
        "('socket.connect', 'socket.getaddrinfo', 'socket.gethostbyname') and print(event)); "
    )
    script = watched + TRACK + EVERYTHING

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines() == [
        "leukemia: 3 runs recorded; sqlite:///mlflow.db",
        "imc: 1 run recorded; sqlite:///mlflow.db",
    ]
    assert (trained / "mlflow.db").exists()
